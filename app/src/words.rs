//! Plain words for numbers, and the words of a prompt that a model does not know.

use std::collections::HashSet;

/// `text` with a capital first letter.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `text` as a whole sentence.
pub fn full_stop(text: &str) -> String {
    let text = sentence(text.trim());
    if text.ends_with(['.', '!', '?']) { text } else { text + "." }
}

/// Bytes as people read them.
pub fn bytes(count: f64) -> String {
    match count {
        count if count >= 1e9 => format!("{:.2} GB", count / 1e9),
        count if count >= 1e6 => format!("{:.1} MB", count / 1e6),
        count if count >= 1e3 => format!("{:.0} kB", count / 1e3),
        count => format!("{count:.0} bytes"),
    }
}

/// A time as people read it, rounded to what matters at its length.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        let minutes = (seconds / 60.0).floor();
        format!("{minutes:.0} min {:.0} s", (seconds - minutes * 60.0).floor())
    }
}

/// An expected time, no finer than an expectation is.
pub fn about(expected: f64) -> String {
    if expected < 0.95 {
        "under 1 s".to_owned()
    } else {
        format!("about {}", seconds(expected.round().max(1.0)).replace(".0", ""))
    }
}

/// The words of `prompt` that are not in `known`, in the prompt's order and once each; none when `known` is empty.
///
/// Case and punctuation do not count; a hyphenated word is known when it or all of its parts are.
pub fn unknown(prompt: &str, known: &HashSet<String>) -> Vec<String> {
    let mut unknown = Vec::new();
    if known.is_empty() {
        return unknown;
    }
    for word in prompt.split_whitespace() {
        let word = word.to_lowercase();
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        if word.is_empty() || known.contains(word) {
            continue;
        }
        for part in word.split(|c: char| !c.is_alphanumeric() && c != '\'') {
            if !part.is_empty() && !known.contains(part) && !unknown.iter().any(|seen| seen == part) {
                unknown.push(part.to_owned());
            }
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(words: &[&str]) -> HashSet<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn unknown_words_ignore_case_and_punctuation_and_come_once() {
        let known = known(&["a", "red", "apple", "t-shirt", "blue", "background", "on"]);
        assert_eq!(unknown("A RED apple, on a (blue) background!", &known), Vec::<String>::new());
        assert_eq!(unknown("a Dragon and a dragon on a t-shirt", &known), ["dragon", "and"]);
        assert_eq!(unknown("red-blue red-green", &known), ["green"]);
    }

    #[test]
    fn a_model_of_a_whole_language_knows_every_word() {
        assert!(unknown("xyzzy", &HashSet::new()).is_empty());
    }

    #[test]
    fn numbers_read_as_people_say_them() {
        assert_eq!(bytes(11_534_336.0), "11.5 MB");
        assert_eq!(bytes(900.0), "900 bytes");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(3.24), "3.2 s");
        assert_eq!(seconds(125.0), "2 min 5 s");
        assert_eq!(sentence("steps is 0"), "Steps is 0");
        assert_eq!(
            [0.3, 0.96, 3.4, 42.0, 125.0].map(about),
            ["under 1 s", "about 1 s", "about 3 s", "about 42 s", "about 2 min 5 s"]
        );
    }
}
