//! What stands between pixels and latents: the full autoencoder, or a small one alone.

use super::{LoadModelError, ModelFiles, stable_diffusion::parse};
use crate::{
    config::ConfigError,
    nn::{Builder, Seamless},
    vae::{AutoencoderKl, AutoencoderTiny, TilingMode, TinyVaeConfig, VaeConfig, VaeTiling},
};
use burn::tensor::Tensor;

/// Latents of the opposite edge that are decoded beside each edge of a seamless picture in tiles.
const BESIDE: usize = 8;

/// The autoencoder that a model has; the small one needs no tiles.
#[derive(Debug, Clone)]
pub(super) enum Autoencoder {
    /// diffusers' `AutoencoderKL`.
    Kl(Box<AutoencoderKl>),
    /// diffusers' `AutoencoderTiny`, where a model comes without the full one.
    Tiny(Box<AutoencoderTiny>),
}

/// The configuration of either.
#[derive(Clone)]
pub(super) enum AutoencoderConfig {
    Kl(VaeConfig),
    Tiny(TinyVaeConfig),
}

/// Channels of the latents that an `AutoencoderKL`'s configuration describes.
pub(crate) fn vae_channels(config: &str) -> Result<usize, ConfigError> {
    Ok(parse::<VaeConfig>("vae", config)?.latent_channels)
}

/// Channels of the latents that a denoiser gives.
pub(crate) fn latent_channels(files: &ModelFiles) -> Result<usize, ConfigError> {
    Ok(parse::<crate::unet::UNetConfig>("unet", &files.unet_config)?.out_channels)
}

impl AutoencoderConfig {
    /// Of the full one, else of the small one.
    pub(super) fn of(files: &ModelFiles) -> Result<Self, LoadModelError> {
        match (&files.vae, &files.tiny_vae) {
            (Some((config, _)), _) => Ok(Self::Kl(parse("vae", config)?)),
            (None, Some((config, _))) => Ok(Self::Tiny(parse("taesd", config)?)),
            (None, None) => Err(LoadModelError::NoAutoencoder),
        }
    }

    pub(super) const fn latent_channels(&self) -> usize {
        match self {
            Self::Kl(config) => config.latent_channels,
            Self::Tiny(config) => config.latent_channels,
        }
    }

    /// Pixels along one side of a latent.
    pub(super) const fn factor(&self) -> usize {
        match self {
            Self::Kl(config) => config.factor(),
            Self::Tiny(config) => config.factor(),
        }
    }

    /// Multiply-accumulates of decoding square latents.
    pub(super) fn decode_macs(&self, side: usize) -> u64 {
        match self {
            Self::Kl(config) => config.decode_cost(side, side).macs,
            Self::Tiny(config) => config.decode_cost(side, side).macs,
        }
    }

    pub(super) fn build(&self, builder: &Builder<'_>) -> Result<Autoencoder, ConfigError> {
        Ok(match self {
            Self::Kl(config) => Autoencoder::Kl(Box::new(AutoencoderKl::new(builder, config)?)),
            Self::Tiny(config) => Autoencoder::Tiny(Box::new(AutoencoderTiny::new(builder, config)?)),
        })
    }
}

impl Autoencoder {
    /// # Shapes
    ///
    /// - latents: `[batch, latent_channels, height, width]`, as the denoiser sees them
    /// - output: `[batch, 3, factor * height, factor * width]`, about -1..1
    pub(super) fn decode(&self, latents: Tensor<4>, tiling: TilingMode) -> Tensor<4> {
        let [.., rows, columns] = latents.dims();
        match self {
            Self::Kl(vae) => match tiling.of(vae.config(), [rows, columns]) {
                Some(tiling) => seamless_tiles(vae, vae.unscale(latents), tiling),
                None => vae.decode(vae.unscale(latents)),
            },
            Self::Tiny(tiny) => tiny.decode(tiny.unscale(latents)),
        }
    }

    /// Latents as the denoiser sees them; the small one has no spread, and leaves the noise alone.
    ///
    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in -1..1
    /// - noise, output: `[batch, latent_channels, height / factor, width / factor]`
    pub(super) fn encode(&self, image: Tensor<4>, noise: Tensor<4>, tiling: TilingMode) -> Tensor<4> {
        let [.., rows, columns] = noise.dims();
        match self {
            Self::Kl(vae) => {
                let posterior = match tiling.of(vae.config(), [rows, columns]) {
                    // A tile's edges are not the picture's.
                    Some(tiling) => Seamless::NONE.within(|| vae.encode_tiled(&image, tiling)),
                    None => vae.encode(image),
                };
                vae.scale(posterior.sample(noise))
            }
            Self::Tiny(tiny) => {
                let encoded = tiny.scale(tiny.encode(image));
                let [_, channels, height, width] = encoded.dims();
                let [batch, ..] = noise.dims();
                encoded.expand([batch, channels, height, width])
            }
        }
    }
}

/// What tiles make of latents whose edges may go on at the opposite ones; a tile's own do not.
fn seamless_tiles(vae: &AutoencoderKl, latents: Tensor<4>, tiling: VaeTiling) -> Tensor<4> {
    let seams = Seamless::current();
    let ([_, _, rows, columns], factor) = (latents.dims(), vae.config().factor());
    let image = Seamless::NONE.within(|| vae.decode_tiled(&seams.surround(latents, BESIDE), tiling));
    let start = [BESIDE.min(rows) * factor, BESIDE.min(columns) * factor];
    seams.middle(image, start, [rows * factor, columns * factor])
}
