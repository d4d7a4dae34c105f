//! How a masked part of a picture is repainted.

use burn::tensor::{Bool, Tensor};

/// A pixel is repainted where its mask is above this.
pub(super) const HALF: f64 = 0.5;

/// Which cells of the latents belong to a mask, which is eight times finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskCells {
    /// Those with a masked pixel, so that every masked pixel is really drawn.
    #[default]
    Any,
    /// Those whose upper left pixel is masked, as diffusers has it: a mask that is finer than a cell may miss it.
    Corner,
}

impl MaskCells {
    /// # Shapes
    ///
    /// - mask: `[batch, 1, height, width]`
    /// - output: `[batch, 1, height / factor, width / factor]`
    pub(super) fn of(self, mask: &Tensor<4>, factor: usize) -> Tensor<4, Bool> {
        let [batch, _, height, width] = mask.dims();
        let (rows, columns) = (height / factor, width / factor);
        let blocks = mask.clone().reshape([batch * rows, factor, columns, factor]);
        let cells = match self {
            Self::Any => blocks.max_dim(3).max_dim(1),
            Self::Corner => blocks.narrow(3, 0, 1).narrow(1, 0, 1),
        };
        cells.reshape([batch, 1, rows, columns]).greater_elem(HALF)
    }
}

/// What a masked part holds before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskedContent {
    /// What the picture has there.
    #[default]
    Original,
    /// Latents of noise.
    Noise,
    /// Latents of zero.
    Nothing,
}

/// How a masked part of a picture is repainted.
#[derive(Debug, Clone)]
pub struct Inpaint {
    /// Which cells of the latents belong to it.
    pub cells: MaskCells,
    /// What it holds before the first step.
    pub content: MaskedContent,
    /// Whether the pixels outside it are the picture's own in the end, byte for byte, and not what the decoder makes of them.
    pub keeps_pixels: bool,
    /// Unit noise for the encoder's distribution of the picture without its masked part, which models of nine channels see;
    /// drawn when absent.
    pub masked_noise: Option<Tensor<4>>,
}

impl Default for Inpaint {
    fn default() -> Self {
        let (cells, content) = (MaskCells::default(), MaskedContent::default());
        Self { cells, content, keeps_pixels: true, masked_noise: None }
    }
}

impl MaskedContent {
    /// Latents with this in their masked cells.
    pub(super) fn put_into(self, latents: Tensor<4>, cells: &Tensor<4, Bool>, noise: &Tensor<4>) -> Tensor<4> {
        let shape = noise.dims();
        let content = match self {
            Self::Original => return latents,
            Self::Noise => noise.clone(),
            Self::Nothing => noise.zeros_like(),
        };
        latents.expand(shape).mask_where(cells.clone().expand(shape), content)
    }
}

/// What a model of nine channels sees beside the latents: the mask, then latents of the picture without its masked part.
///
/// Without a mask all of the picture is one. `encode` takes pixels and unit noise.
///
/// # Shapes
///
/// - pixels: `[1 or batch, 3, height, width]` in -1..1
/// - mask: `[1 or batch, 1, height, width]`
/// - cells: `[1 or batch, 1, rows, columns]`
/// - noise: `[batch, channels, rows, columns]`
/// - output: `[batch, 1 + channels, rows, columns]`
pub(super) fn inpainting_channels(
    encode: impl FnOnce(Tensor<4>, Tensor<4>) -> Tensor<4>,
    pixels: &Tensor<4>,
    mask: Option<(&Tensor<4>, &Tensor<4, Bool>)>,
    noise: Tensor<4>,
) -> Tensor<4> {
    let [batch, _, rows, columns] = noise.dims();
    let [pictures, channels, height, width] = pixels.dims();
    let (known, cells) = match mask {
        Some((mask, cells)) => {
            let [masks, ..] = mask.dims();
            let shape = [pictures.max(masks), channels, height, width];
            let hidden = mask.clone().greater_elem(HALF).expand(shape);
            (pixels.clone().expand(shape).mask_fill(hidden, 0.0), cells.clone().float())
        }
        None => (pixels.zeros_like(), Tensor::ones([1, 1, rows, columns], &noise.device())),
    };
    let latents = encode(known, noise);
    Tensor::cat(vec![cells.expand([batch, 1, rows, columns]), latents], 1)
}
