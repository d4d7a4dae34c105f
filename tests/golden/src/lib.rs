//! Every stage of the engine against what the field's reference implementation computes.
//!
//! `data/` holds tiny models with random weights and, for each case, inputs and the outputs that diffusers gives for them; its
//! README says what each is. [`run`] feeds one case to a device and compares, so that a CPU, a graphics driver and a browser
//! are held to the same numbers. Files come through [`Data`], which natively is that folder and elsewhere whatever delivers
//! bytes by name.

mod adapters;
mod cases;
mod comparison;
mod control;
mod data;
mod pictures;
mod prompts;
mod schedulers;
mod tensors;
mod wide;

pub use cases::run;
pub use comparison::{Comparison, compare, values, verdict};
pub use data::{Case, ControlRun, Data, Kind, LoraRun, Manifest, Model, Run};
pub use tensors::{Tensors, read_all, to_gguf, to_safetensors};
pub use wide::{WIDE_BYTES, write_wide, write_wide_lora};
