//! Layers with the checkpoint's names and layout: `weight` is `[out, in]` as on disk, never transposed when it is loaded.

mod attention;
mod axes;
mod builder;
mod conv2d;
mod kept;
mod layers;
mod linear;
mod packed_linear;
mod seamless;
#[cfg(feature = "autodiff")]
pub mod training;

pub use attention::attend;
pub(crate) use axes::along_axes;
pub use builder::{Builder, BuilderRoot, Init, LoadError, Outlined, Problem};
pub use conv2d::{Conv2d, Conv2dShape};
pub use kept::Kept;
pub use layers::{Activation, Embedding, GroupNorm, LayerNorm, quick_gelu, upsample_nearest};
pub use linear::Linear;
pub use packed_linear::PackedLinear;
pub use seamless::Seamless;
