//! Which layers take two inputs that were joined.

use super::UNetConfig;

/// A residual block of the way up, whose input is what comes from below beside what the way down left for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipInput {
    /// The block's name, `up_blocks.1.resnets.2`.
    pub block: String,
    /// Channels from below, which come first.
    pub hidden: usize,
    /// Channels from the way down.
    pub skip: usize,
}

impl UNetConfig {
    /// Every block with a joined input, from the inside out, as [`super::UNet2DConditionModel`] builds them.
    pub fn skip_inputs(&self) -> Vec<SkipInput> {
        let channels = &self.block_out_channels;
        let levels = channels.len();
        let at = |level: usize| channels.get(level).copied().unwrap_or(0);
        (0..levels)
            .flat_map(|index| {
                let level = levels - 1 - index;
                let layers = self.layers_per_block.get(level) + 1;
                (0..layers).map(move |layer| SkipInput {
                    block: format!("up_blocks.{index}.resnets.{layer}"),
                    hidden: if layer == 0 { at((level + 1).min(levels - 1)) } else { at(level) },
                    skip: if layer + 1 == layers { at(level.saturating_sub(1)) } else { at(level) },
                })
            })
            .collect()
    }

    /// How many of the channels that the weight `name` takes come from below, where they are joined with others: the first
    /// convolution of such a block, and the 1 x 1 convolution around it.
    pub fn boundary_of(&self, name: &str) -> Option<usize> {
        let block = name.strip_suffix(".conv1.weight").or_else(|| name.strip_suffix(".conv_shortcut.weight"))?;
        self.skip_inputs().into_iter().find(|input| input.block == block).map(|input| input.hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{nn::BuilderRoot, unet::UNet2DConditionModel};
    use burn::tensor::Device;

    #[test]
    fn joined_channels_are_what_the_network_takes() {
        for config in [
            r#"{"block_out_channels": [8, 16, 24], "layers_per_block": 2, "cross_attention_dim": 8, "norm_num_groups": 4,
                "attention_head_dim": 2, "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
                "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}"#,
            r#"{"block_out_channels": [8, 16], "layers_per_block": 1, "cross_attention_dim": 8, "norm_num_groups": 4,
                "attention_head_dim": 2, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
                "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}"#,
        ] {
            let config: UNetConfig = serde_json::from_str(config).unwrap();
            let root = BuilderRoot::outline(&Device::flex());
            UNet2DConditionModel::new(&root.root(""), &config).unwrap();
            let outlined = root.outlined();
            let firsts: Vec<_> = outlined
                .iter()
                .filter(|one| one.name.starts_with("up_blocks.") && one.name.ends_with(".conv1.weight"))
                .collect();
            let inputs = config.skip_inputs();
            assert_eq!(firsts.len(), inputs.len());
            for input in inputs {
                let first = firsts.iter().find(|one| one.name.starts_with(&format!("{}.", input.block))).unwrap();
                assert_eq!(first.shape[1], input.hidden + input.skip, "{input:?}");
                assert_eq!(config.boundary_of(&first.name), Some(input.hidden));
            }
            assert_eq!(config.boundary_of("down_blocks.0.resnets.0.conv1.weight"), None);
            assert_eq!(config.boundary_of("up_blocks.0.resnets.0.conv2.weight"), None);
        }
    }

    #[test]
    fn stable_diffusion_joins_what_its_papers_say() {
        let inputs = UNetConfig::default().skip_inputs();
        let pairs: Vec<_> = inputs.iter().map(|input| (input.hidden, input.skip)).collect();
        assert_eq!(
            pairs,
            [
                (1280, 1280),
                (1280, 1280),
                (1280, 1280),
                (1280, 1280),
                (1280, 1280),
                (1280, 640),
                (1280, 640),
                (640, 640),
                (640, 320),
                (640, 320),
                (320, 320),
                (320, 320),
            ]
        );
    }
}
