//! What a picture looks like before it is finished.

use super::autoencoder::Autoencoder;
use crate::{picture::Picture, vae::AutoencoderTiny};
use burn::tensor::{ExecutionError, Tensor, TensorData};

/// How previews are made, cheapest that the model allows.
#[derive(Debug, Clone)]
pub(super) enum Previewer {
    /// A small autoencoder.
    Tiny(Box<AutoencoderTiny>),
    /// The decoder itself, where it costs little.
    Full,
    /// A linear map from latents to colours.
    Linear,
}

/// RGB of each latent channel of the SD 1.x and 2.x autoencoders, fitted by least squares; one row a channel.
const SD_LATENT_RGB: [[f32; 3]; 4] =
    [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]];

impl Previewer {
    /// # Shapes
    ///
    /// - latents: `[batch, channels, height, width]`, as the denoiser sees them
    pub(super) async fn pictures(&self, latents: Tensor<4>, vae: &Autoencoder) -> Result<Vec<Picture>, ExecutionError> {
        let image = match self {
            Self::Tiny(tiny) => (tiny.decode(tiny.unscale(latents)) + 1.0) / 2.0,
            Self::Full => (vae.decode(latents) + 1.0) / 2.0,
            Self::Linear => (linear(latents) + 1.0) / 2.0,
        };
        pictures_of(image).await
    }
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
