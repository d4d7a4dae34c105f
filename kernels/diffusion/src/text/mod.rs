//! From words to the vectors that condition a picture.

mod clip;
mod tokenizer;

pub use clip::{ClipTextConfig, ClipTextModel, TextOutput};
pub(crate) use clip::{EncoderLayer, EncoderShape};
pub use tokenizer::{Tokenizer, TokenizerError};
