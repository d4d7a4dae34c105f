//! The language of prompts.

use prompt::{Pass, Piece, Prompt, Styles, pieces, take_networks};

/// Steps of a first pass, and one of a second.
const STEPS: [(usize, Pass); 4] =
    [(0, Pass::first(4)), (2, Pass::first(4)), (4, Pass::first(4)), (1, Pass { steps: 3, after: Some(4) })];

/// Reads the bytes as a prompt, as a negative prompt and as a file of styles.
///
/// # Panics
/// Where a promise is broken, as every target does.
pub fn prompt(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    for prompt in [Prompt::parse(text), Prompt::parse_negative(text)] {
        match prompt {
            Ok(prompt) => check(&prompt, text),
            Err(error) => crate::source::tell(&error),
        }
    }
    if let Ok((kept, networks)) = take_networks(text) {
        assert!(kept.len() <= text.len());
        assert!(networks.iter().all(|one| one.unet_weight.is_finite() && one.text_weight.is_finite()));
    }
    match Styles::parse(text) {
        Ok(styles) => styles.all().iter().for_each(|style| drop(style.apply("a cat", text))),
        Err(error) => crate::source::tell(&error),
    }
}

fn check(prompt: &Prompt, text: &str) {
    assert!(!prompt.parts.is_empty());
    for part in &prompt.parts {
        assert!(part.weight.is_finite());
        let mut last = None;
        for (step, pass) in STEPS {
            let said = part.editing.at(step, pass);
            if last.as_ref() == Some(&said) {
                continue;
            }
            assert!(last.is_none() || !part.editing.is_constant(), "what has no edit never changes");
            weigh(&said, text);
            last = Some(said);
        }
    }
}

/// The runs of what is said at a step.
fn weigh(said: &str, text: &str) {
    assert!(said.len() <= text.len());
    let mut length = 0;
    for piece in pieces(said) {
        if let Piece::Text { text, weight } = piece {
            assert!(weight.is_finite());
            length += text.len();
        }
    }
    assert!(length <= said.len());
}
