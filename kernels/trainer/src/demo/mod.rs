//! The demo model's world: objects on coloured backgrounds, and a program that judges drawings of it.

mod caption;
mod colour;
mod config;
mod dataset;
mod draw;
mod object;
mod score;

pub(crate) use caption::random_caption;
pub use caption::{caption, known_words};
pub use colour::{COLOURS, Colour};
pub(crate) use config::{CELL, LATENT_CHANNELS, MERGES, VOCAB};
pub use config::{DemoConfigs, card, configs, tokenizer};
pub use dataset::{Dataset, Item, is_held_out};
pub use draw::{IMAGE_SIDE, Position, Scale, Sprites, extract_sprites};
pub use object::{OBJECTS, Object};
pub use score::{Judge, Verdict};
