//! Our own dialect: strict, with every wrong field named at once.

mod parse;
mod problem;
mod resources;
#[cfg(test)]
mod tests;
mod time;

pub use parse::image_request;
pub use problem::{Code, Fault, Problem};
pub use resources::*;
pub use time::{date, rfc3339};
