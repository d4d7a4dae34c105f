//! Prompts joined by `AND` (Liu et al., 2022).

use super::stands_alone;

const AND: &str = "AND";

/// The prompts that `AND` joins, each with its weight, `a AND b :0.7`.
///
/// The reference reads a weight behind a prompt without `AND` too; then a time such as 12:30 would count thirty times.
pub(super) fn parts(text: &str) -> Vec<(&str, f64)> {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = text[at..].find(AND).map(|found| found + at) {
        at = found + AND.len();
        if stands_alone(text, found, AND) {
            parts.push(&text[from..found]);
            from = at;
        }
    }
    if parts.is_empty() {
        return vec![(text, 1.0)];
    }
    parts.push(&text[from..]);
    parts.into_iter().map(weighted).collect()
}

/// A text and the number behind its last colon.
fn weighted(text: &str) -> (&str, f64) {
    let parsed = text.rsplit_once(':').and_then(|(before, number)| {
        let number = number.trim();
        let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let weight = number.parse().ok().filter(|weight: &f64| is_number && weight.is_finite())?;
        Some((before.trim_end(), weight))
    });
    parsed.unwrap_or((text, 1.0))
}
