//! What clients say to the edge and what it answers, in every dialect; nothing here reads a clock, a network or a disk.
//!
//! A dialect is one module: it reads a body's [`fields`] into the strict [`request`] that all dialects share, and renders the
//! same answers in its own words.

pub mod body;
pub mod fields;
pub mod modelslab;
pub mod node;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;
pub mod v1;
