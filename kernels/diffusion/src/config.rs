//! What is common to reading the `config.json` files of a model's parts.

use thiserror::Error;

/// A configuration that no model of the family can have.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not the expected JSON.
    #[error("the configuration of `{part}` cannot be read")]
    Json {
        /// Which part of the model.
        part: &'static str,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A number is outside what a model can have.
    #[error("`{field}` of `{part}` is {found}, but must be between {min} and {max}")]
    OutOfRange {
        /// Which part of the model.
        part: &'static str,
        /// The field in its `config.json`.
        field: &'static str,
        /// What was given.
        found: usize,
        /// Smallest allowed value.
        min: usize,
        /// Largest allowed value.
        max: usize,
    },
    /// Two numbers do not fit each other.
    #[error("`{field}` of `{part}` must be divisible by `{by}`")]
    NotDivisible {
        /// Which part of the model.
        part: &'static str,
        /// The field in its `config.json`.
        field: &'static str,
        /// The other field.
        by: &'static str,
    },
    /// A list has the wrong number of entries.
    #[error("`{field}` of `{part}` must have {expected} entries, but has {found}")]
    Length {
        /// Which part of the model.
        part: &'static str,
        /// The field in its `config.json`.
        field: &'static str,
        /// Entries it must have.
        expected: usize,
        /// Entries it has.
        found: usize,
    },
    /// A choice that is not built.
    #[error("`{field}` of `{part}` is `{found}`, which is not supported")]
    Unsupported {
        /// Which part of the model.
        part: &'static str,
        /// The field in its `config.json`.
        field: &'static str,
        /// What was given.
        found: String,
    },
}

/// Refuses a number outside `min..=max`.
pub(crate) fn check_range(
    part: &'static str,
    field: &'static str,
    found: usize,
    min: usize,
    max: usize,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(ConfigError::OutOfRange { part, field, found, min, max }) }
}
