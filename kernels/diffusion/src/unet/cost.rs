//! What a forward pass takes, told from the configuration alone.

use super::UNetConfig;

/// Bytes of an activation.
const ACTIVATION: u64 = 4;
/// Tensors of the largest size that live at once: a layer's input, its output, and a residual.
const AT_ONCE: u64 = 3;

/// What one forward pass of a network takes, for one picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulates of convolutions, linear layers and the two products of attention; two operations each.
    pub macs: u64,
    /// Elements of the largest tensor between two layers.
    pub largest: u64,
    /// Elements of what is kept from one side of the network for the other.
    pub held: u64,
}

impl Cost {
    /// Bytes of activations at the worst moment, about.
    pub const fn activation_bytes(&self) -> u64 {
        ACTIVATION * (self.held + AT_ONCE * self.largest)
    }

    /// A convolution with a square `kernel` that gives `pixels`.
    pub(crate) fn conv(&mut self, pixels: usize, kernel: usize, input: usize, output: usize) {
        self.macs += (pixels * kernel * kernel * input * output) as u64;
        self.holds(pixels * output);
    }

    /// A linear layer over `tokens`.
    pub(crate) fn linear(&mut self, tokens: usize, input: usize, output: usize) {
        self.conv(tokens, 1, input, output);
    }

    /// `Q Kᵀ` and the product with `V`, whose scores are never a tensor as a whole.
    pub(crate) fn attention(&mut self, queries: usize, keys: usize, width: usize) {
        self.macs += (2 * queries * keys * width) as u64;
    }

    /// A residual block without a time.
    pub(crate) fn resnet(&mut self, pixels: usize, input: usize, output: usize) {
        self.conv(pixels, 3, input, output);
        self.conv(pixels, 3, output, output);
        if input != output {
            self.conv(pixels, 1, input, output);
        }
        self.holds(pixels * input);
    }

    fn holds(&mut self, elements: usize) {
        self.largest = self.largest.max(elements as u64);
    }
}

impl UNetConfig {
    /// What a forward pass takes for latents of `height` by `width` and a prompt of `tokens`.
    ///
    /// The configuration must be a valid one.
    pub fn cost(&self, height: usize, width: usize, tokens: usize) -> Cost {
        let channels = &self.block_out_channels;
        let outer = channels[0];
        let mut pass = Pass { config: self, tokens, sides: (height, width), cost: Cost::default() };
        pass.cost.linear(1, outer, outer * 4);
        pass.cost.linear(1, outer * 4, outer * 4);
        if let Some(added) = self.projection_class_embeddings_input_dim {
            pass.cost.linear(1, added, outer * 4);
            pass.cost.linear(1, outer * 4, outer * 4);
        }
        pass.cost.conv(pass.pixels(), 3, self.in_channels, outer);
        pass.hold(outer);
        (0..channels.len()).for_each(|level| pass.down(level));
        pass.middle();
        (0..channels.len()).rev().for_each(|level| pass.up(level));
        pass.cost.conv(pass.pixels(), 3, outer, self.out_channels);
        pass.cost
    }
}

/// A walk through the blocks, in the order of the forward pass.
struct Pass<'a> {
    config: &'a UNetConfig,
    tokens: usize,
    sides: (usize, usize),
    cost: Cost,
}

impl Pass<'_> {
    const fn pixels(&self) -> usize {
        self.sides.0 * self.sides.1
    }

    fn hold(&mut self, channels: usize) {
        self.cost.held += (self.pixels() * channels) as u64;
    }

    fn resnet(&mut self, input: usize, output: usize) {
        self.cost.resnet(self.pixels(), input, output);
        self.cost.linear(1, self.config.block_out_channels[0] * 4, output);
    }

    fn transformer(&mut self, level: usize) {
        let (pixels, tokens, cost) = (self.sides.0 * self.sides.1, self.tokens, &mut self.cost);
        let width = self.config.block_out_channels[level];
        let context = self.config.cross_attention_dim.get(level);
        for _ in 0..self.config.transformer_layers_per_block.get(level) {
            for (keys, from) in [(pixels, width), (tokens, context)] {
                // Queries and the way out, then keys and values.
                (0..2).for_each(|_| cost.linear(pixels, width, width));
                (0..2).for_each(|_| cost.linear(keys, from, width));
                cost.attention(pixels, keys, width);
            }
            cost.linear(pixels, width, width * 8);
            cost.linear(pixels, width * 4, width);
        }
        (0..2).for_each(|_| cost.linear(pixels, width, width));
    }

    fn down(&mut self, level: usize) {
        let channels = &self.config.block_out_channels;
        let output = channels[level];
        let has_attention = self.config.down_block_types[level].starts_with("CrossAttn");
        for layer in 0..self.config.layers_per_block.get(level) {
            self.resnet(if layer == 0 { channels[level.saturating_sub(1)] } else { output }, output);
            if has_attention {
                self.transformer(level);
            }
            self.hold(output);
        }
        if level + 1 < channels.len() {
            self.sides = (self.sides.0.div_ceil(2), self.sides.1.div_ceil(2));
            self.cost.conv(self.pixels(), 3, output, output);
            self.hold(output);
        }
    }

    fn middle(&mut self) {
        let level = self.config.block_out_channels.len() - 1;
        let channels = self.config.block_out_channels[level];
        let Some(kind) = self.config.mid_block_type.as_deref() else { return };
        self.resnet(channels, channels);
        if kind == "UNetMidBlock2DCrossAttn" {
            self.transformer(level);
            self.resnet(channels, channels);
        }
    }

    fn up(&mut self, level: usize) {
        let channels = &self.config.block_out_channels;
        let output = channels[level];
        let below = channels.get(level + 1).copied().unwrap_or(output);
        let beside = channels[level.saturating_sub(1)];
        let index = channels.len() - 1 - level;
        let has_attention = self.config.up_block_types[index].starts_with("CrossAttn");
        let layers = self.config.layers_per_block.get(level) + 1;
        for layer in 0..layers {
            let input = if layer == 0 { below } else { output };
            let skip = if layer + 1 == layers { beside } else { output };
            self.resnet(input + skip, output);
            if has_attention {
                self.transformer(level);
            }
        }
        if level > 0 {
            self.sides = (self.sides.0 * 2, self.sides.1 * 2);
            self.cost.conv(self.pixels(), 3, output, output);
        }
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

    /// <https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/blob/main/unet/config.json>
    fn sd15() -> UNetConfig {
        serde_json::from_str(r#"{"attention_head_dim": 8, "cross_attention_dim": 768, "sample_size": 64}"#).unwrap()
    }

    /// <https://huggingface.co/stabilityai/sd-turbo/blob/main/unet/config.json>
    fn sd_turbo() -> UNetConfig {
        let text =
            r#"{"attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "use_linear_projection": true}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_forward_pass_takes_what_is_published() {
        assert_near(sd15().cost(64, 64, 77), 401.6);
        assert_near(sd15().cost(32, 32, 77), 90.1);
        assert_near(sd_turbo().cost(64, 64, 77), 402.1);
    }

    #[test]
    fn the_largest_tensor_is_where_the_gate_of_the_feed_forward_part_is() {
        let cost = sd15().cost(64, 64, 77);
        assert_eq!(cost.largest, 64 * 64 * 320 * 8);
        // conv_in, two blocks and the downsampler of each resolution.
        let levels = [(4096, 3 * 320), (1024, 320 + 2 * 640), (256, 640 + 2 * 1280), (64, 1280 + 2 * 1280)];
        assert_eq!(cost.held, levels.iter().map(|(pixels, channels)| pixels * channels).sum::<u64>());
        assert_eq!(cost.activation_bytes(), 4 * (cost.held + 3 * cost.largest));
    }

    #[test]
    fn odd_sides_and_a_network_without_a_middle_are_counted() {
        let config = UNetConfig { mid_block_type: None, ..sd15() };
        let whole = sd15().cost(65, 63, 77);
        assert!(config.cost(65, 63, 77).macs < whole.macs);
    }
}
