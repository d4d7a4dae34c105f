//! `unet/config.json`.

use crate::config::{ConfigError, check_range};
use serde::Deserialize;

const PART: &str = "unet";
/// Numbers that SDXL is told of a picture's sizes.
const SIZES: usize = 6;

/// One value for all blocks, or one for each.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PerBlock {
    /// The same everywhere.
    Same(usize),
    /// Block by block, from the outside in.
    Each(Vec<usize>),
}

impl PerBlock {
    /// The value of block `index`.
    pub fn get(&self, index: usize) -> usize {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.get(index).or(values.last()).copied().unwrap_or(1),
        }
    }

    fn check(&self, field: &'static str, blocks: usize, max: usize) -> Result<(), ConfigError> {
        if let Self::Each(values) = self
            && values.len() != blocks
        {
            return Err(ConfigError::Length { part: PART, field, expected: blocks, found: values.len() });
        }
        (0..blocks).try_for_each(|index| check_range(PART, field, self.get(index), 1, max))
    }
}

/// What the denoiser is made of; fields as in the reference.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct UNetConfig {
    /// Channels that come in: 4, or 9 for inpainting models.
    pub in_channels: usize,
    /// Channels that go out.
    pub out_channels: usize,
    /// Side of the latents it was trained on.
    pub sample_size: Option<usize>,
    /// Channels of each resolution.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each resolution.
    pub layers_per_block: PerBlock,
    /// `CrossAttnDownBlock2D` or `DownBlock2D`, from the outside in.
    pub down_block_types: Vec<String>,
    /// `UNetMidBlock2DCrossAttn`, `UNetMidBlock2D`, or none.
    pub mid_block_type: Option<String>,
    /// `CrossAttnUpBlock2D` or `UpBlock2D`, from the inside out.
    pub up_block_types: Vec<String>,
    /// Width of the conditioning vectors.
    pub cross_attention_dim: PerBlock,
    /// The number of heads, under the name that the reference keeps for old files.
    pub attention_head_dim: PerBlock,
    /// The number of heads, where a file gives it by its proper name.
    pub num_attention_heads: Option<PerBlock>,
    /// Transformer layers of each resolution.
    pub transformer_layers_per_block: PerBlock,
    /// Whether the transformer's projections are linear layers and not 1 x 1 convolutions.
    pub use_linear_projection: bool,
    /// Groups of the norms.
    pub norm_num_groups: usize,
    /// Epsilon of the norms.
    pub norm_eps: f64,
    /// Whether cosines come before sines in the time embedding.
    pub flip_sin_to_cos: bool,
    /// Shift of the time embedding's frequencies.
    pub freq_shift: f64,
    /// Activation; only `silu` and its older name `swish` exist in this family.
    pub act_fn: String,
    /// `text_time` where a pooled text and sizes come in beside the timestep, as in SDXL.
    pub addition_embed_type: Option<String>,
    /// Width of the sinusoids of each size.
    pub addition_time_embed_dim: Option<usize>,
    /// Width of the pooled text and all sizes together.
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// Set for models with class labels.
    pub class_embed_type: Option<String>,
}

impl Default for UNetConfig {
    /// The reference's own defaults, for fields that a file leaves out.
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            in_channels: 4,
            out_channels: 4,
            sample_size: None,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerBlock::Same(2),
            down_block_types: words(&[
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "DownBlock2D",
            ]),
            mid_block_type: Some("UNetMidBlock2DCrossAttn".to_owned()),
            up_block_types: words(&["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]),
            cross_attention_dim: PerBlock::Same(1280),
            attention_head_dim: PerBlock::Same(8),
            num_attention_heads: None,
            transformer_layers_per_block: PerBlock::Same(1),
            use_linear_projection: false,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            act_fn: "silu".to_owned(),
            addition_embed_type: None,
            addition_time_embed_dim: None,
            projection_class_embeddings_input_dim: None,
            class_embed_type: None,
        }
    }
}

impl UNetConfig {
    /// Heads of attention in block `index`.
    pub fn heads(&self, index: usize) -> usize {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).get(index)
    }

    /// The channels of everything that the down blocks hand to the up blocks, from the outside in.
    pub fn skip_channels(&self) -> Vec<usize> {
        let channels = &self.block_out_channels;
        let mut all = vec![channels[0]];
        for (level, &width) in channels.iter().enumerate() {
            let with_downsampler = usize::from(level + 1 < channels.len());
            all.extend(vec![width; self.layers_per_block.get(level) + with_downsampler]);
        }
        all
    }

    /// Refuses what this family has not, before anything is allocated for it.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let blocks = self.block_out_channels.len();
        check_range(PART, "block_out_channels", blocks, 1, 8)?;
        check_range(PART, "in_channels", self.in_channels, 1, 64)?;
        check_range(PART, "out_channels", self.out_channels, 1, 64)?;
        check_range(PART, "norm_num_groups", self.norm_num_groups, 1, 256)?;
        for (field, found) in
            [("down_block_types", self.down_block_types.len()), ("up_block_types", self.up_block_types.len())]
        {
            if found != blocks {
                return Err(ConfigError::Length { part: PART, field, expected: blocks, found });
            }
        }
        self.layers_per_block.check("layers_per_block", blocks, 16)?;
        self.cross_attention_dim.check("cross_attention_dim", blocks, 1 << 14)?;
        self.attention_head_dim.check("attention_head_dim", blocks, 256)?;
        self.transformer_layers_per_block.check("transformer_layers_per_block", blocks, 32)?;
        for (index, &channels) in self.block_out_channels.iter().enumerate() {
            check_range(PART, "block_out_channels", channels, 1, 1 << 13)?;
            if channels % self.norm_num_groups != 0 {
                return Err(not_divisible("block_out_channels", "norm_num_groups"));
            }
            if channels % self.heads(index) != 0 {
                return Err(not_divisible("block_out_channels", "attention_head_dim"));
            }
        }
        self.check_choices()
    }

    fn check_choices(&self) -> Result<(), ConfigError> {
        let unsupported = |field, found: &str| ConfigError::Unsupported { part: PART, field, found: found.to_owned() };
        let known = ["CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"];
        for (field, kinds) in [("down_block_types", &self.down_block_types), ("up_block_types", &self.up_block_types)] {
            if let Some(kind) = kinds.iter().find(|kind| !known.contains(&kind.as_str())) {
                return Err(unsupported(field, kind));
            }
        }
        match self.mid_block_type.as_deref() {
            None | Some("UNetMidBlock2DCrossAttn" | "UNetMidBlock2D") => {}
            Some(other) => return Err(unsupported("mid_block_type", other)),
        }
        if !matches!(self.act_fn.as_str(), "silu" | "swish") {
            return Err(unsupported("act_fn", &self.act_fn));
        }
        if let Some(kind) = &self.class_embed_type {
            return Err(unsupported("class_embed_type", kind));
        }
        match self.addition_embed_type.as_deref() {
            None => Ok(()),
            Some("text_time") => self.check_added(),
            Some(other) => Err(unsupported("addition_embed_type", other)),
        }
    }

    fn check_added(&self) -> Result<(), ConfigError> {
        let sinusoids = self.addition_time_embed_dim.unwrap_or(0);
        check_range(PART, "addition_time_embed_dim", sinusoids, 1, 1 << 12)?;
        let all = self.projection_class_embeddings_input_dim.unwrap_or(0);
        check_range(PART, "projection_class_embeddings_input_dim", all, sinusoids * SIZES + 1, 1 << 15)
    }

    /// Width of the pooled text that comes in beside the timestep, of a model that takes one.
    pub fn pooled_width(&self) -> Option<usize> {
        self.addition_embed_type.as_ref()?;
        self.projection_class_embeddings_input_dim?.checked_sub(self.addition_time_embed_dim? * SIZES)
    }
}

const fn not_divisible(field: &'static str, by: &'static str) -> ConfigError {
    ConfigError::NotDivisible { part: PART, field, by }
}
