//! Words that are not drawn, and accounts that ask for them again and again.
//!
//! A filter of words stops what is asked for plainly and no more; what was drawn is looked at by the node's checker. So that
//! trivial disguises do not pass, words are compared as they sound: without case, width, accents and invisible characters.

use crate::clock::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Terms of one or several words that may not be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockedTerms {
    terms: BTreeSet<Vec<String>>,
    longest: usize,
}

impl BlockedTerms {
    /// Reads a list with one term a line; empty lines and those that start with `#` are skipped.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let terms: BTreeSet<Vec<String>> = lines.map(words).filter(|words| !words.is_empty()).collect();
        let longest = terms.iter().map(Vec::len).max().unwrap_or(0);
        Self { terms, longest }
    }

    /// The first term that a prompt has, whole words only.
    pub fn find(&self, prompt: &str) -> Option<String> {
        let words = words(prompt);
        let starts = 0..words.len();
        starts
            .flat_map(|start| (1..=self.longest).filter_map(move |count| Some((start, start.checked_add(count)?))))
            .filter_map(|(start, end)| words.get(start..end))
            .find(|part| self.terms.contains(*part))
            .map(|part| part.join(" "))
    }
}

/// The words of a text, as they are compared.
fn words(text: &str) -> Vec<String> {
    let plain: String = text.nfkd().filter(|&letter| !is_combining_mark(letter) && !is_invisible(letter)).collect();
    let plain = plain.to_lowercase();
    plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Characters that take no room: soft hyphen, zero-width ones, marks of direction, variation selectors.
const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// When an account is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrikePolicy {
    /// Hits that are too many.
    pub hits: u32,
    /// Within this time.
    pub within: Millis,
}

impl Default for StrikePolicy {
    /// Five hits in a day.
    fn default() -> Self {
        Self { hits: 5, within: Millis::seconds(24 * 3600) }
    }
}

/// An account's hits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strikes(VecDeque<Millis>);

impl Strikes {
    /// Notes a hit; `true` when the account is to be suspended.
    pub fn hit(&mut self, policy: StrikePolicy, now: Millis) -> bool {
        self.0.retain(|&at| now.since(at) < policy.within);
        self.0.push_back(now);
        self.0.len() >= policy.hits.max(1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_found_in_disguise_and_others_are_left_alone() {
        let blocked = BlockedTerms::parse("# a list\n\nGore\nmean  thing\nécole\n");
        for (prompt, term) in [
            ("some gore, please", "gore"),
            ("GORE", "gore"),
            ("ｇｏｒｅ", "gore"),
            ("g\u{200b}o\u{ad}re", "gore"),
            ("gö\u{308}re", "gore"),
            ("a mean thing", "mean thing"),
            ("a mean, THING!", "mean thing"),
            ("Ecole", "ecole"),
        ] {
            assert_eq!(blocked.find(prompt).as_deref(), Some(term), "{prompt}");
        }
        for prompt in ["", "gorey", "a categorey", "mean", "thing mean", "a mean little thing"] {
            assert_eq!(blocked.find(prompt), None, "{prompt}");
        }
        assert_eq!(BlockedTerms::default().find("gore"), None);
    }

    #[test]
    fn an_account_is_suspended_for_many_hits_in_a_short_time() {
        let policy = StrikePolicy { hits: 3, within: Millis(100) };
        let mut strikes = Strikes::default();
        let hits: Vec<bool> = [0, 60, 110, 150, 155, 400].map(|at| strikes.hit(policy, Millis(at))).to_vec();
        assert_eq!(hits, [false, false, false, true, true, false]);
    }
}
