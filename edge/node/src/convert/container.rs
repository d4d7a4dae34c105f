//! What is written, and under whose names.

use super::Kind;
use anyhow::{Result, bail};
use clap::ValueEnum;

/// The container that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Container {
    /// One file with everything in it.
    Gguf,
    /// A folder in diffusers' layout, also called `safetensors`.
    #[value(alias = "safetensors")]
    Folder,
    /// One safetensors file under the original names, the form in which most models are traded.
    Checkpoint,
}

/// Whose names the tensors of a GGUF have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Names {
    /// diffusers', with the configurations and the vocabulary: what this program and its page read best.
    Diffusers,
    /// The original code's, as stable-diffusion.cpp reads them; convolutions stay in half precision.
    Original,
    /// The original code's, the denoiser alone, as `ComfyUI`'s GGUF nodes read it.
    Comfyui,
}

/// What was asked for, checked.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The container.
    pub container: Container,
    /// Whose names.
    pub names: Names,
}

impl Layout {
    /// Refuses what a container cannot hold.
    pub fn new(container: Container, names: Option<Names>, kind: Kind) -> Result<Self> {
        let is_safetensors = container != Container::Gguf;
        if is_safetensors && kind.dtype().is_block_quantised() {
            bail!("safetensors has no quantised kinds; take --to gguf, or --type f16, bf16, f8_e4m3 or f32");
        }
        if container == Container::Gguf && kind == Kind::F8E4M3 {
            bail!("a GGUF has no {}; take --to checkpoint or folder, or --type q8_0", kind.word());
        }
        match names {
            Some(names) if is_safetensors && (names == Names::Original) != (container == Container::Checkpoint) => {
                bail!("--names is for --to gguf: a folder has diffusers' names, and a checkpoint the original ones")
            }
            _ => Ok(Self { container, names: names.unwrap_or(Names::Diffusers) }),
        }
    }
}
