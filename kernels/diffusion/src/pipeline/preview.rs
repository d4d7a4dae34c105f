//! What a picture looks like before it is finished.

use super::autoencoder::Autoencoder;
use crate::{
    picture::Picture,
    vae::{AutoencoderTiny, TilingMode},
};
use burn::tensor::{ExecutionError, Tensor, TensorData, module::avg_pool2d, ops::AvgPoolOptions};

/// A preview may take this share of a step's time.
const SHARE: u64 = 20;
/// Latents along the shorter side of a preview that is made of fewer, at least.
const FEWEST: usize = 16;

/// How previews are made, cheapest that the model allows.
#[derive(Debug, Clone)]
pub(super) enum Decoder {
    /// A small autoencoder.
    Tiny(Box<AutoencoderTiny>),
    /// The decoder itself, where it costs little.
    Full,
    /// A linear map from latents to colours.
    Linear,
}

/// Makes previews.
#[derive(Debug, Clone)]
pub(super) struct Previewer {
    decoder: Decoder,
    /// How often latents are halved in both directions first.
    halvings: u32,
}

/// RGB of each latent channel of the SD 1.x and 2.x autoencoders, fitted by least squares; one row a channel.
const SD_LATENT_RGB: [[f32; 3]; 4] =
    [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]];

impl Previewer {
    /// `decoder_macs` and `step_macs` are what the decoder and a step of the denoiser take of the same latents.
    pub(super) const fn new(decoder: Decoder, decoder_macs: u64, step_macs: u64) -> Self {
        Self { decoder, halvings: halvings(decoder_macs, step_macs) }
    }

    /// # Shapes
    ///
    /// - latents: `[batch, channels, height, width]`, as the denoiser sees them
    pub(super) async fn pictures(&self, latents: Tensor<4>, vae: &Autoencoder) -> Result<Vec<Picture>, ExecutionError> {
        let image = match &self.decoder {
            Decoder::Tiny(tiny) => tiny.decode(tiny.unscale(halved(latents, self.halvings))),
            Decoder::Full => vae.decode(halved(latents, self.halvings), TilingMode::Auto),
            Decoder::Linear => linear(latents),
        };
        pictures_of((image + 1.0) / 2.0).await
    }
}

/// How often latents must be halved for their decoding to stay within its share of a step.
const fn halvings(decoder_macs: u64, step_macs: u64) -> u32 {
    let mut halvings = 0;
    while decoder_macs * SHARE > step_macs << (2 * halvings) && halvings < 3 {
        halvings += 1;
    }
    halvings
}

/// The latents' means over squares of 2 x 2, as often as asked and as leaves enough of them.
fn halved(latents: Tensor<4>, halvings: u32) -> Tensor<4> {
    (0..halvings).fold(latents, |latents, _| {
        let [.., height, width] = latents.dims();
        let is_enough = height.min(width) >= 2 * FEWEST && height % 2 == 0 && width % 2 == 0;
        if is_enough { avg_pool2d(latents, AvgPoolOptions::new([2, 2])) } else { latents }
    })
}

fn linear(latents: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = latents.dims();
    let used = channels.min(SD_LATENT_RGB.len());
    let table: Vec<f32> =
        (0..3).flat_map(|colour| (0..used).map(move |channel| SD_LATENT_RGB[channel][colour])).collect();
    let table = Tensor::<2>::from_data(TensorData::new(table, [3, used]), &latents.device());
    let pixels = latents.narrow(1, 0, used).reshape([batch, used, height * width]);
    table.unsqueeze::<3>().expand([batch, 3, used]).matmul(pixels).reshape([batch, 3, height, width])
}

/// Reads pictures in 0..1 back from the device.
pub(super) async fn pictures_of(image: Tensor<4>) -> Result<Vec<Picture>, ExecutionError> {
    let [_, channels, height, width] = image.dims();
    let data = image.clamp(0.0, 1.0).into_data_async().await?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    Ok(values
        .chunks_exact(channels * height * width)
        .map(|planes| Picture::from_planes(planes, width, height))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_preview_takes_at_most_its_share_of_a_step() {
        // TAESD beside the UNet of SD 1.5 at 512 x 512, and beside one that is as small as itself.
        assert_eq!(halvings(70_700, 401_600), 1);
        assert_eq!(halvings(70_700, 2_000_000), 0);
        assert_eq!(halvings(1, 1), 3);
    }

    #[test]
    fn small_pictures_keep_all_of_their_latents() {
        let sides = |height, width| {
            let latents = Tensor::<4>::ones([2, 4, height, width], &Device::flex());
            let [.., height, width] = halved(latents, 2).dims();
            (height, width)
        };
        assert_eq!([sides(64, 128), sides(40, 64), sides(16, 64), sides(8, 8)], [(16, 32), (20, 32), (16, 64), (8, 8)]);
    }
}
