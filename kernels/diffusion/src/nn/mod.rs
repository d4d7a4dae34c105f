//! Layers with the checkpoint's names and layout: `weight` is `[out, in]` as on disk, never transposed when it is loaded.

mod attention;
mod builder;
mod layers;
#[cfg(feature = "autodiff")]
pub mod training;

pub use attention::attend;
pub use builder::{Builder, BuilderRoot, Init, LoadError, Problem};
pub use layers::{
    Activation, Conv2d, Conv2dShape, Embedding, GroupNorm, LayerNorm, Linear, quick_gelu, upsample_nearest,
};
