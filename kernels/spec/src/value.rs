//! Newtypes with a range each.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a parameter was refused: its name, what was given, and what is allowed.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum SpecError {
    /// A number outside its range.
    #[error("{name} is {found}, but must be between {min} and {max}")]
    OutOfRange {
        /// The parameter as the user knows it.
        name: &'static str,
        /// What was given.
        found: f64,
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
        max: f64,
    },
    /// A side of a picture that the model's latents cannot divide.
    #[error("{name} is {found}, but must be a multiple of {multiple}")]
    NotAMultiple {
        /// The parameter as the user knows it.
        name: &'static str,
        /// What was given.
        found: u32,
        /// What it must be divisible by.
        multiple: u32,
    },
    /// A word outside a closed set.
    #[error("{name} is `{found}`, but must be one of {allowed}")]
    Unknown {
        /// The parameter as the user knows it.
        name: &'static str,
        /// What was given.
        found: String,
        /// The allowed words, comma-separated.
        allowed: String,
    },
    /// A name with characters that are not safe in a path or a URL.
    #[error("model name `{0}` may only have letters, digits, `.`, `_`, `-` and single `/` between parts")]
    ModelName(String),
}

fn in_range(name: &'static str, value: f64, min: f64, max: f64) -> Result<(), SpecError> {
    if value.is_finite() && value >= min && value <= max {
        Ok(())
    } else {
        Err(SpecError::OutOfRange { name, found: value, min, max })
    }
}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident($inner:ty), $label:literal, $min:expr, $max:expr, default $default:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name($inner);

        impl $name {
            /// Smallest allowed value.
            pub const MIN: $inner = $min;
            /// Largest allowed value.
            pub const MAX: $inner = $max;

            /// Checks the range.
            ///
            /// # Errors
            /// [`SpecError::OutOfRange`] with the allowed range.
            pub fn new(value: $inner) -> Result<Self, SpecError> {
                in_range($label, f64::from(value), f64::from($min), f64::from($max))?;
                Ok(Self(value))
            }

            /// The bare number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl TryFrom<f64> for $name {
            type Error = SpecError;

            fn try_from(value: f64) -> Result<Self, SpecError> {
                in_range($label, value, f64::from($min), f64::from($max))?;
                Ok(Self(value as $inner))
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> Self {
                Self::from(value.0)
            }
        }
    };
}

ranged!(
    /// How many denoising steps a picture takes, 1 to 1000.
    Steps(u32), "steps", 1, 1000, default 20
);
ranged!(
    /// Classifier-free guidance scale, 0 to 50; up to 1 switches guidance off (Ho and Salimans, 2022).
    Guidance(f32), "guidance", 0.0, 50.0, default 7.5
);
ranged!(
    /// Share of guidance rescaling, 0 (off) to 1 (Lin et al., 2023, section 3.4).
    GuidanceRescale(f32), "guidance rescale", 0.0, 1.0, default 0.0
);
ranged!(
    /// How much of an initial picture is repainted, 0 (nothing) to 1 (all of it).
    Strength(f32), "strength", 0.0, 1.0, default 0.8
);
ranged!(
    /// Which layer of the text encoder conditions the picture, counted from the last: 1 is the last, 2 the last but one.
    ClipSkip(u32), "clip skip", 1, 12, default 1
);
ranged!(
    /// How many pictures one run makes, 1 to 16.
    BatchSize(u32), "batch", 1, 16, default 1
);

impl Guidance {
    /// Whether the unconditional half is computed at all.
    pub fn is_active(self) -> bool {
        self.0 > 1.0
    }
}

/// The number that a picture's noise grows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Seed(pub u64);

/// Width and height of a picture in pixels, each a multiple of 8 from 16 to 2048.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct ImageSize {
    width: u32,
    height: u32,
}

impl ImageSize {
    /// Every side is divisible by this, the largest factor of the autoencoders we run.
    pub const MULTIPLE: u32 = 8;
    /// Smallest side in pixels.
    pub const MIN: u32 = 16;
    /// Largest side in pixels.
    pub const MAX: u32 = 2048;

    /// Checks both sides.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`] or [`SpecError::NotAMultiple`], naming the side.
    pub fn new(width: u32, height: u32) -> Result<Self, SpecError> {
        for (name, side) in [("width", width), ("height", height)] {
            in_range(name, f64::from(side), f64::from(Self::MIN), f64::from(Self::MAX))?;
            if side % Self::MULTIPLE != 0 {
                return Err(SpecError::NotAMultiple { name, found: side, multiple: Self::MULTIPLE });
            }
        }
        Ok(Self { width, height })
    }

    /// Width in pixels.
    pub const fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub const fn height(self) -> u32 {
        self.height
    }
}

impl TryFrom<(u32, u32)> for ImageSize {
    type Error = SpecError;

    fn try_from((width, height): (u32, u32)) -> Result<Self, SpecError> {
        Self::new(width, height)
    }
}

impl From<ImageSize> for (u32, u32) {
    fn from(size: ImageSize) -> Self {
        (size.width, size.height)
    }
}

/// A model's name: path-safe parts joined by `/`, such as `demo` or `stabilityai/sd-turbo`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId(String);

impl ModelId {
    /// Checks the characters.
    ///
    /// # Errors
    /// [`SpecError::ModelName`] when a part is empty, starts with a dot, or has other characters.
    pub fn new(name: impl Into<String>) -> Result<Self, SpecError> {
        let name = name.into();
        let part_is_safe = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        if name.len() <= 128 && name.split('/').all(part_is_safe) {
            Ok(Self(name))
        } else {
            Err(SpecError::ModelName(name))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ModelId {
    type Error = SpecError;

    fn try_from(name: String) -> Result<Self, SpecError> {
        Self::new(name)
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_outside_the_range_or_off_the_grid_are_named() {
        assert_eq!(ImageSize::new(64, 128).map(<(u32, u32)>::from), Ok((64, 128)));
        assert_eq!(ImageSize::new(64, 70), Err(SpecError::NotAMultiple { name: "height", found: 70, multiple: 8 }));
        let error = ImageSize::new(4096, 64).unwrap_err();
        assert_eq!(error.to_string(), "width is 4096, but must be between 16 and 2048");
    }

    #[test]
    fn numbers_that_are_not_numbers_are_refused() {
        assert!(Guidance::new(f32::NAN).is_err());
        assert!(Strength::new(1.5).is_err());
        assert!(Steps::new(0).is_err());
        assert!(serde_json::from_str::<Steps>("1001").is_err());
        assert_eq!(serde_json::from_str::<Steps>("25").unwrap().get(), 25);
    }

    #[test]
    fn model_names_cannot_leave_their_folder() {
        assert!(ModelId::new("stabilityai/sd-turbo").is_ok());
        for bad in ["", "..", "a/../b", "/a", "a//b", "a b", ".hidden"] {
            assert!(ModelId::new(bad).is_err(), "{bad}");
        }
    }
}
