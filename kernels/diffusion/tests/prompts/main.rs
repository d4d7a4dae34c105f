//! The language of prompts, against what the web UI documents.

mod chunks;
mod grammar;
mod metadata;
