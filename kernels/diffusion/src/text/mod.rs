//! From words to the vectors that condition a picture.

mod chunks;
mod clip;
mod encoders;
mod tokenizer;

pub use chunks::{Chunk, chunks};
pub use clip::{ClipTextConfig, ClipTextModel, TextOutput};
pub(crate) use clip::{EncoderLayer, EncoderShape};
pub use encoders::{EncodedText, Row, TextEncoder, TextEncoders};
pub use tokenizer::{Tokenizer, TokenizerError, Tokens};
