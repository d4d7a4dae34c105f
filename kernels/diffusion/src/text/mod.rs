//! From words to the vectors that condition a picture.

mod clip;
mod encoders;
mod tokenizer;

pub use clip::{ClipTextConfig, ClipTextModel, TextOutput};
pub(crate) use clip::{EncoderLayer, EncoderShape};
pub use encoders::{EncodedText, TextEncoder, TextEncoders};
pub use tokenizer::{Tokenizer, TokenizerError};
