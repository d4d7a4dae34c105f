//! Networks that a prompt asks for: `<lora:name:0.8>`.

use super::{PromptError, is_word, shown};

/// A LoRA that a prompt asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraNetwork {
    /// Its name, which is a file's name without its ending.
    pub name: String,
    /// How much of it the denoiser gets.
    pub unet_weight: f64,
    /// How much of it the text encoder gets.
    pub text_weight: f64,
}

/// Takes `<lora:…>` and `<lyco:…>` out of a text; other words between angles are text.
///
/// The first number is the text encoder's and the second the denoiser's, which is the first's where it is left out; `te=` and
/// `unet=` name them.
///
/// # Errors
/// [`PromptError`] for a hypernetwork, and for a weight that is no number.
pub fn take_networks(text: &str) -> Result<(String, Vec<ExtraNetwork>), PromptError> {
    let mut kept = String::with_capacity(text.len());
    let mut networks = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let inside = &rest[open + 1..];
        let kind_end = inside.find(|c| !is_word(c)).unwrap_or(inside.len());
        let (kind, behind) = inside.split_at(kind_end);
        let is_network = behind.starts_with(':') && ["lora", "lyco", "hypernet"].contains(&kind);
        let Some(close) = is_network.then(|| behind.find('>')) else {
            kept.push_str(&rest[..=open]);
            rest = inside;
            continue;
        };
        // Without an end here there is none further on.
        let Some(close) = close else { break };
        let tag = &rest[open..=open + 1 + kind_end + close];
        if kind == "hypernet" {
            return Err(PromptError::Unsupported(shown(tag)));
        }
        kept.push_str(&rest[..open]);
        rest = &behind[close + 1..];
        match network(tag, &behind[1..close])? {
            Some(network) => networks.push(network),
            None => kept.push_str(tag),
        }
    }
    kept.push_str(rest);
    Ok((kept, networks))
}

/// What stands behind the kind: a name and numbers.
fn network(tag: &str, arguments: &str) -> Result<Option<ExtraNetwork>, PromptError> {
    let number = |text: &str| {
        let parsed: Option<f64> = text.trim().parse().ok();
        parsed
            .filter(|weight| weight.is_finite())
            .ok_or_else(|| PromptError::NetworkWeight { tag: shown(tag), found: shown(text) })
    };
    let (mut places, mut named_text, mut named_unet) = (Vec::new(), None, None);
    for argument in arguments.split(':') {
        match argument.split_once('=') {
            Some(("te", weight)) => named_text = Some(number(weight)?),
            Some(("unet", weight)) => named_unet = Some(number(weight)?),
            Some(_) => {}
            None => places.push(argument),
        }
    }
    let Some(name) = places.first().map(|name| name.trim()).filter(|name| !name.is_empty()) else { return Ok(None) };
    let place = |index: usize| places.get(index).map(|weight| number(weight)).transpose();
    let text_weight = named_text.or(place(1)?).unwrap_or(1.0);
    let unet_weight = named_unet.or(place(2)?).unwrap_or(text_weight);
    Ok(Some(ExtraNetwork { name: name.to_owned(), unet_weight, text_weight }))
}
