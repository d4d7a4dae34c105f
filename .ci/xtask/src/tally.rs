//! Counting what passed and failed across test runners.

use std::fmt;
use std::ops::AddAssign;

/// Tests that passed and tests that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub passed: u64,
    /// Failed, or could not be run at all.
    pub failed: u64,
}

impl Tally {
    /// One failure: a runner that broke before it could count.
    pub const BROKEN: Self = Self { passed: 0, failed: 1 };

    /// From a line of `cargo test`: `test result: ok. 3 passed; 0 failed; …`.
    pub fn from_cargo(line: &str) -> Option<Self> {
        let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let count =
            |word: &str| counts.split(';').find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<u64>().ok());
        Some(Self { passed: count(" passed")?, failed: count(" failed")? })
    }

    /// From the TAP report of `node --test`, whose last lines are `# pass 3` and the like.
    pub fn from_tap(report: &str) -> Option<Self> {
        let count =
            |word: &str| report.lines().rev().find_map(|line| line.strip_prefix(word)?.trim().parse::<u64>().ok());
        Some(Self { passed: count("# pass ")?, failed: count("# fail ")? + count("# cancelled ")? })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed } = self;
        write!(f, "{passed} passed, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(Tally::from_cargo(line), Some(Tally { passed: 12, failed: 3 }));
        assert_eq!(Tally::from_cargo("test a::b ... ok"), None);
    }

    #[test]
    fn tap_reports_are_counted_from_their_end() {
        let report = "ok 1 - a\n# pass 9\nok 2 - b\n# tests 3\n# pass 1\n# fail 1\n# cancelled 1\n# skipped 0\n";
        assert_eq!(Tally::from_tap(report), Some(Tally { passed: 1, failed: 2 }));
    }
}
