//! From scores to a yes or a no.

/// What a concept's cosine must exceed.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Of the concepts that call for care.
    pub special: Vec<f32>,
    /// Of the concepts that are not fit for work.
    pub concepts: Vec<f32>,
}

/// By how much a picture that calls for care has the bar lowered.
const ADJUSTMENT: f32 = 0.01;
/// How steeply [`Verdict::score`] rises; published pictures lie within a tenth of the bar.
const STEEPNESS: f64 = 40.0;

/// What is held of one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// By how much the closest concept is above its threshold, rounded to thousandths; not a number where nothing can be said.
    pub margin: f32,
    /// Whether it called for care.
    pub is_special: bool,
}

impl Verdict {
    /// Of nothing that could be judged, which is flagged.
    pub const NONE: Self = Self { margin: f32::NAN, is_special: true };

    /// The verdict of a picture's cosines; numbers that are none, or of another count, give [`Verdict::NONE`].
    pub fn of(special: &[f32], concepts: &[f32], thresholds: &Thresholds) -> Self {
        let Thresholds { special: special_bars, concepts: bars } = thresholds;
        let is_judged = special.len() == special_bars.len() && concepts.len() == bars.len() && !bars.is_empty();
        let mut all = special.iter().chain(concepts).chain(special_bars).chain(bars);
        if !is_judged || !all.all(|value| value.is_finite()) {
            return Self::NONE;
        }
        let is_special = margin(special, special_bars, 0.0) > 0.0;
        let adjustment = if is_special { ADJUSTMENT } else { 0.0 };
        Self { margin: margin(concepts, bars, adjustment), is_special }
    }

    /// Whether the picture must not be shown: everything but a margin that is not above 0.
    pub fn is_flagged(self) -> bool {
        // The other way round, what is not a number would be let through.
        let is_clear = self.margin <= 0.0;
        !is_clear
    }

    /// The same as a number from 0 to 1, which is flagged from one half on; not a number where nothing can be said.
    pub fn score(self) -> f32 {
        // Half a thousandth off, since a margin of 0 is not flagged.
        (1.0 / (1.0 + libm::exp(-STEEPNESS * (f64::from(self.margin) - 0.0005)))) as f32
    }
}

/// The largest rounded difference.
fn margin(scores: &[f32], bars: &[f32], adjustment: f32) -> f32 {
    let differences = scores.iter().zip(bars).map(|(score, bar)| rounded(score - bar + adjustment));
    differences.fold(f32::NEG_INFINITY, f32::max)
}

/// To three decimals, as NumPy rounds single precision.
fn rounded(value: f32) -> f32 {
    (value * 1000.0).round_ties_even() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars() -> Thresholds {
        Thresholds { special: vec![0.2], concepts: vec![0.3, 0.1] }
    }

    #[test]
    fn a_picture_is_flagged_above_a_threshold_in_thousandths() {
        for (concept, is_flagged) in [(0.05, false), (0.1, false), (0.1004, false), (0.1006, true), (0.2, true)] {
            let verdict = Verdict::of(&[0.0], &[0.0, concept], &bars());
            assert_eq!(verdict.is_flagged(), is_flagged, "{concept}: {verdict:?}");
            assert_eq!(verdict.score() >= 0.5, is_flagged, "{concept}: {}", verdict.score());
            assert!((0.0..=1.0).contains(&verdict.score()));
        }
    }

    #[test]
    fn what_calls_for_care_lowers_the_bar_by_a_hundredth() {
        let of = |special, concept| Verdict::of(&[special], &[0.0, concept], &bars());
        assert!(!of(0.2, 0.095).is_flagged());
        assert!(of(0.201, 0.095).is_flagged() && of(0.201, 0.095).is_special);
        assert!(!of(0.201, 0.089).is_flagged());
    }

    #[test]
    fn what_is_no_judgement_is_flagged() {
        let is_flagged = |special: &[f32], concepts: &[f32], bars: &Thresholds| {
            let verdict = Verdict::of(special, concepts, bars);
            assert!(verdict.score().is_nan());
            verdict.is_flagged()
        };
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(is_flagged(&[0.0], &[0.0, wrong], &bars()));
            assert!(is_flagged(&[wrong], &[0.0, 0.0], &bars()));
            assert!(is_flagged(&[0.0], &[0.0, 0.0], &Thresholds { concepts: vec![0.3, wrong], ..bars() }));
        }
        assert!(is_flagged(&[0.0], &[0.0], &bars()));
        assert!(is_flagged(&[], &[0.0, 0.0], &bars()));
        assert!(is_flagged(&[], &[], &Thresholds { special: vec![], concepts: vec![] }));
    }
}
