//! Large pictures through an autoencoder in overlapping tiles, so that memory is a tile's and not the picture's.
//!
//! The way of diffusers' `enable_vae_tiling`: tiles overlap by a quarter, and the overlap goes linearly from one to the next.
//! Each tile has its own statistics in the norms and attends to itself alone, so the picture is not quite the whole one's.

use super::{AutoencoderKl, Posterior, VaeConfig};
use burn::tensor::{Tensor, TensorData};

/// Activations up to this many bytes are not worth a seam.
const BUDGET: u64 = 2 << 30;
/// Latents along a side of a tile where nothing else is asked: 512 pixels of a usual autoencoder.
const USUAL: usize = 64;

/// The size of tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VaeTiling {
    /// Latents along a side of a tile.
    pub tile: usize,
    /// The share of a side that two tiles have in common.
    pub overlap: f64,
}

impl Default for VaeTiling {
    fn default() -> Self {
        Self { tile: USUAL, overlap: 0.25 }
    }
}

/// When pictures go through the autoencoder in tiles.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum TilingMode {
    /// Where a picture as a whole would take more than 2 GiB of activations.
    #[default]
    Auto,
    /// Wherever a picture is larger than a tile.
    On(VaeTiling),
    /// Never.
    Off,
}

impl TilingMode {
    /// The tiles for latents of so many rows and columns, where there are to be any.
    pub fn of(self, config: &VaeConfig, [rows, columns]: [usize; 2]) -> Option<VaeTiling> {
        let is_large = || config.decode_cost(rows, columns).activation_bytes() > BUDGET;
        let tiling = match self {
            Self::Auto => is_large().then(VaeTiling::default),
            Self::On(tiling) => Some(tiling),
            Self::Off => None,
        };
        tiling.filter(|tiling| rows > tiling.tile || columns > tiling.tile)
    }
}

impl AutoencoderKl {
    /// [`Self::decode`] in tiles.
    pub fn decode_tiled(&self, latents: &Tensor<4>, tiling: VaeTiling) -> Tensor<4> {
        let factor = self.factor();
        blended(latents, Tiles::new(tiling, 1, factor), |tile| self.decode(tile))
    }

    /// [`Self::encode`] in tiles.
    pub fn encode_tiled(&self, image: &Tensor<4>, tiling: VaeTiling) -> Posterior {
        let factor = self.factor();
        Posterior::from_moments(blended(image, Tiles::new(tiling, factor, 1), |tile| self.moments(tile)))
    }
}

/// Tiles of one run; sides are counted in the pixels of what goes in or of what comes out.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    /// Side of a tile that goes in.
    side: usize,
    /// From one tile to the next, going in.
    step: usize,
    /// Overlap of what comes out.
    blend: usize,
    /// What is kept of a side that comes out.
    kept: usize,
}

impl Tiles {
    /// `input` and `output` are pixels along a side of a latent, of what goes in and of what comes out.
    fn new(tiling: VaeTiling, input: usize, output: usize) -> Self {
        let tile = tiling.tile.max(1);
        let step = ((tile as f64 * (1.0 - tiling.overlap.clamp(0.0, 0.5))) as usize).max(1);
        Self { side: tile * input, step: step * input, blend: (tile - step) * output, kept: step * output }
    }
}

/// Runs every tile, lets each begin as its upper and its left neighbour end, and puts them together.
fn blended(input: &Tensor<4>, tiles: Tiles, run: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    let [.., height, width] = input.dims();
    let mut rows = Vec::new();
    let mut above: Vec<Tensor<4>> = Vec::new();
    for y in (0..height).step_by(tiles.step) {
        let part = input.clone().narrow(2, y, tiles.side.min(height - y));
        let mut row: Vec<Tensor<4>> = Vec::new();
        for (column, x) in (0..width).step_by(tiles.step).enumerate() {
            let mut tile = run(part.clone().narrow(3, x, tiles.side.min(width - x)));
            if let Some(above) = above.get(column) {
                tile = continued(above, tile, tiles.blend, 2);
            }
            if let Some(left) = row.last() {
                tile = continued(left, tile, tiles.blend, 3);
            }
            row.push(tile);
        }
        let kept = |tile: &Tensor<4>| {
            let [.., height, width] = tile.dims();
            tile.clone().narrow(2, 0, height.min(tiles.kept)).narrow(3, 0, width.min(tiles.kept))
        };
        rows.push(Tensor::cat(row.iter().map(kept).collect(), 3));
        above = row;
    }
    Tensor::cat(rows, 2)
}

/// The tile whose first rows (axis 2) or columns (axis 3) come linearly out of the last ones of the tile before it.
fn continued(before: &Tensor<4>, tile: Tensor<4>, blend: usize, axis: usize) -> Tensor<4> {
    let (had, has) = (before.dims()[axis], tile.dims()[axis]);
    let blend = blend.min(had).min(has);
    if blend == 0 {
        return tile;
    }
    let share: Vec<f32> = (0..blend).map(|at| at as f32 / blend as f32).collect();
    let mut shape = [1; 4];
    shape[axis] = blend;
    let share = Tensor::<4>::from_data(TensorData::new(share, shape), &tile.device());
    let ending = before.clone().narrow(axis, had - blend, blend);
    let beginning = tile.clone().narrow(axis, 0, blend);
    let mixed = ending * (share.clone() * -1.0 + 1.0) + beginning * share;
    if blend == has {
        return mixed;
    }
    Tensor::cat(vec![mixed, tile.narrow(axis, blend, has - blend)], axis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// <https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/blob/main/vae/config.json>
    fn full_size() -> VaeConfig {
        serde_json::from_str(r#"{"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}"#).unwrap()
    }

    #[test]
    fn a_full_size_picture_of_1024_is_tiled_and_a_tile_stays_within_two_gibibytes() {
        let config = full_size();
        assert_eq!(TilingMode::Auto.of(&config, [96, 96]), None);
        let tiling = TilingMode::Auto.of(&config, [128, 128]).unwrap();
        // The CPU's convolution holds its input and its output in two layouts each; then there is a residual, and the weights.
        let largest = 4 * config.decode_cost(tiling.tile, tiling.tile).largest;
        let weights = 200 << 20;
        assert!(largest * 6 + weights < 2 << 30, "{largest}");
        assert_eq!(TilingMode::Off.of(&config, [128, 128]), None);
    }

    #[test]
    fn what_knows_no_neighbours_is_the_same_in_tiles_of_any_size() {
        let values: Vec<f32> = (0..2 * 3 * 21 * 34).map(|at| (at % 97) as f32).collect();
        let input = Tensor::<4>::from_data(TensorData::new(values, [2, 3, 21, 34]), &Device::flex());
        for (tile, overlap) in [(8, 0.25), (5, 0.5), (16, 0.0), (3, 0.25)] {
            let tiles = Tiles::new(VaeTiling { tile, overlap }, 1, 2);
            let output = blended(&input, tiles, crate::nn::upsample_nearest);
            let whole = crate::nn::upsample_nearest(input.clone());
            assert_eq!(output.dims(), whole.dims(), "{tile}");
            let worst: f32 = (output - whole).abs().max().into_scalar();
            assert!(worst < 1e-4, "{tile}: {worst}");
        }
    }
}
