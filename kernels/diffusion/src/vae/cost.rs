//! What decoding takes, told from the configurations alone.

use super::{TinyVaeConfig, VaeConfig};
use crate::unet::Cost;

impl VaeConfig {
    /// What the decoder takes for latents of `height` by `width`.
    ///
    /// The configuration must be a valid one.
    pub fn decode_cost(&self, height: usize, width: usize) -> Cost {
        let mut cost = Cost::default();
        let mut pixels = height * width;
        let (latent, mut channels) = (self.latent_channels, self.block_out_channels[self.block_out_channels.len() - 1]);
        if self.use_post_quant_conv {
            cost.conv(pixels, 1, latent, latent);
        }
        cost.conv(pixels, 3, latent, channels);
        (0..2).for_each(|_| cost.resnet(pixels, channels, channels));
        if self.mid_block_add_attention {
            (0..4).for_each(|_| cost.linear(pixels, channels, channels));
            cost.attention(pixels, pixels, channels);
        }
        for (level, &output) in self.block_out_channels.iter().enumerate().rev() {
            for layer in 0..=self.layers_per_block {
                cost.resnet(pixels, if layer == 0 { channels } else { output }, output);
            }
            if level > 0 {
                pixels *= 4;
                cost.conv(pixels, 3, output, output);
            }
            channels = output;
        }
        cost.conv(pixels, 3, channels, self.out_channels);
        cost
    }
}

impl TinyVaeConfig {
    /// What the small decoder takes for latents of `height` by `width`.
    ///
    /// The configuration must be a valid one.
    pub fn decode_cost(&self, height: usize, width: usize) -> Cost {
        let mut cost = Cost::default();
        let mut pixels = height * width;
        let stages = self.decoder_block_out_channels.iter().zip(&self.num_decoder_blocks);
        for (index, (&channels, &blocks)) in stages.enumerate() {
            if index == 0 {
                cost.conv(pixels, 3, self.latent_channels, channels);
            }
            (0..3 * blocks).for_each(|_| cost.conv(pixels, 3, channels, channels));
            if index + 1 == self.num_decoder_blocks.len() {
                cost.conv(pixels, 3, channels, self.in_channels);
            } else {
                pixels *= 4;
                cost.conv(pixels, 3, channels, channels);
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of `torch.utils.flop_counter`, in billions of multiply-accumulates.
    fn assert_near(found: Cost, published: f64) {
        let found = found.macs as f64 / 1e9;
        assert!((found / published - 1.0).abs() < 0.005, "{found} instead of {published}");
    }

    #[test]
    fn decoding_takes_what_is_published() {
        // https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/blob/main/vae/config.json
        let text = r#"{"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}"#;
        let vae: VaeConfig = serde_json::from_str(text).unwrap();
        assert_near(vae.decode_cost(64, 64), 1257.3);
        assert_eq!(vae.decode_cost(64, 64).largest, 512 * 512 * 256);
    }

    #[test]
    fn decoding_with_the_small_autoencoder_takes_what_is_published() {
        assert_near(TinyVaeConfig::taesd().decode_cost(64, 64), 70.7);
    }
}
