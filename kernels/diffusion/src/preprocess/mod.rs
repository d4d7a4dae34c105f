//! From a picture to what a ControlNet was trained to be steered by.
//!
//! Edges, lines and the like are white on black. What needs a network of its own takes it as a file: [`LineArt`] and
//! [`Depth`].

mod canny;
mod depth;
mod line_art;
mod simple;

pub use canny::canny;
pub use depth::{Depth, LoadDepthError};
pub use line_art::{LineArt, LoadLineArtError};
pub use simple::{invert, scribble, tile};

use crate::picture::Picture;
use std::str::FromStr;
use thiserror::Error;

/// A way of preparing a picture that needs no weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preprocessor {
    /// As it is.
    None,
    /// Edges (Canny, 1986), for `canny` networks.
    Canny {
        /// Weaker edges are none.
        low: f64,
        /// Stronger edges are some wherever they are.
        high: f64,
    },
    /// Black for white, for drawings of black lines.
    Invert,
    /// White where the picture is dark, for `scribble` networks.
    Scribble,
    /// Less detail, for `tile` networks: so many times fewer pixels, and back.
    Tile {
        /// How many times fewer, along a side.
        factor: f64,
    },
}

/// A name that no preprocessor has, or a number that it cannot take.
#[derive(Debug, Error)]
#[error(
    "`{0}` is no preprocessor; there are none, canny, canny:LOW:HIGH, invert, scribble, tile and tile:FACTOR (1 to 64)"
)]
pub struct PreprocessorError(String);

impl FromStr for Preprocessor {
    type Err = PreprocessorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PreprocessorError(text.to_owned());
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let numbers: Vec<f64> = parts.map(|part| part.parse().map_err(|_| error())).collect::<Result<_, _>>()?;
        if numbers.iter().any(|number| !(0.0..=10_000.0).contains(number)) {
            return Err(error());
        }
        match (name, numbers.as_slice()) {
            ("none", []) => Ok(Self::None),
            ("canny", []) => Ok(Self::Canny { low: 100.0, high: 200.0 }),
            ("canny", &[low, high]) => Ok(Self::Canny { low, high }),
            ("invert", []) => Ok(Self::Invert),
            ("scribble", []) => Ok(Self::Scribble),
            ("tile", []) => Ok(Self::Tile { factor: 2.0 }),
            ("tile", &[factor]) if (1.0..=64.0).contains(&factor) => Ok(Self::Tile { factor }),
            _ => Err(error()),
        }
    }
}

impl Preprocessor {
    /// Prepares a picture.
    #[must_use]
    pub fn prepare(self, picture: &Picture) -> Picture {
        match self {
            Self::None => picture.clone(),
            Self::Canny { low, high } => canny(picture, low, high),
            Self::Invert => invert(picture),
            Self::Scribble => scribble(picture),
            Self::Tile { factor } => tile(picture, factor),
        }
    }
}

/// Grey values as a picture.
fn grey(values: impl Iterator<Item = u8>, picture: &Picture) -> Picture {
    Picture { rgb: values.flat_map(|value| [value; 3]).collect(), ..*picture }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_and_others_refused() {
        let read = |text: &str| text.parse::<Preprocessor>();
        assert_eq!(read("canny").unwrap(), Preprocessor::Canny { low: 100.0, high: 200.0 });
        assert_eq!(read("canny:50:90.5").unwrap(), Preprocessor::Canny { low: 50.0, high: 90.5 });
        assert_eq!(read("tile:4").unwrap(), Preprocessor::Tile { factor: 4.0 });
        for text in ["", "cany", "canny:1", "canny:a:b", "tile:0", "tile:nan", "tile:1000", "invert:1"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("is no preprocessor"), "{text}: {error}");
        }
    }
}
