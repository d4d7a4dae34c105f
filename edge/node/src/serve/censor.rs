//! What becomes of a picture that was flagged: the library's answers, under the names that a request has for them.

use api::request::Censor as Asked;
use diffusion::{
    picture::Picture,
    safety::{self, Censor},
};

/// A picture of the same size that may be shown in its place.
pub fn censored(picture: &Picture, kind: Asked) -> Picture {
    let kind = match kind {
        Asked::Black => Censor::Black,
        Asked::Blur => Censor::Blur,
        Asked::Pixelate => Censor::Pixelate,
        Asked::SensitiveContentText => Censor::Notice,
    };
    safety::censored(picture, kind)
}
