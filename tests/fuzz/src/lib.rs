//! What the fuzzer calls: each function takes any bytes, reads them as strangers' files are read, and panics where a promise is
//! broken.
//!
//! `cargo xtask fuzz` runs them under libFuzzer (`targets`), `tests/corpus.rs` on what is kept in `corpus`: what each began with
//! (`seed-`), what broke it (`found-`), and of what it reached the eighty inputs that reach most (`reached-`).

mod gguf;
mod lora_keys;
mod picture;
mod prompt;
mod safetensors;
mod source;

pub use gguf::gguf;
pub use lora_keys::lora_keys;
pub use picture::picture;
pub use prompt::prompt;
pub use safetensors::safetensors;

/// Something that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target under its name, which is also the name of its folder in `corpus`.
pub const TARGETS: [(&str, Target); 5] =
    [("safetensors", safetensors), ("gguf", gguf), ("lora_keys", lora_keys), ("picture", picture), ("prompt", prompt)];
