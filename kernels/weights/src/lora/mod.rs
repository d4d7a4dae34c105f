//! What the names in files of low-rank adaptations mean, and which of a model's tensors they reach.
//!
//! Nothing is computed here: a file's keys are taken apart, and every spelling of a module leads to its tensor.

mod lora_key;
mod module_names;
mod original_names;

pub use lora_key::{Factor, LoraKey, Role};
pub use module_names::{Module, ModuleNames, Part, Place};
