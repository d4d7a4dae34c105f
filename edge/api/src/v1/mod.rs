//! Our own dialect: strict, with every wrong field named at once.

mod parse;
mod problem;
#[cfg(test)]
mod tests;

pub use parse::image_request;
pub use problem::{Code, Fault, Problem};
