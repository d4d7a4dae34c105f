//! How a denoiser is cut into blocks, as its tensors' names show.

use std::collections::BTreeSet;

/// Most blocks that are looked for; no denoiser of the family has half as many.
const MOST: usize = 64;

/// One resolution on the way down or up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// For each residual block whether a transformer follows it.
    pub(super) transformers: Vec<bool>,
    /// Whether the resolution changes at its end.
    pub(super) resamples: bool,
}

/// All resolutions of a denoiser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    /// From the outside in.
    pub(super) down: Vec<Level>,
    /// Whether the middle has a transformer.
    pub(super) middle_transformer: bool,
    /// From the inside out.
    pub(super) up: Vec<Level>,
}

/// Names in order, to ask what begins how.
pub(super) struct Names<'a>(BTreeSet<&'a str>);

impl<'a> Names<'a> {
    /// Those of `names` that begin with `prefix`, without it.
    pub(super) fn below(names: impl Iterator<Item = &'a str>, prefix: &str) -> Self {
        Self(names.filter_map(|name| name.strip_prefix(prefix)).collect())
    }

    /// Whether any name begins so.
    pub(super) fn any(&self, start: &str) -> bool {
        self.0.range(start..).next().is_some_and(|name| name.starts_with(start))
    }

    /// How many of `start0`, `start1`, … have anything below them.
    pub(super) fn count(&self, start: &str) -> usize {
        (0..MOST).take_while(|index| self.any(&format!("{start}{index}."))).count()
    }
}

impl Blocks {
    /// From the names of the original code, which numbers residual blocks and changes of resolution in one row.
    pub(super) fn of_original(names: &Names<'_>) -> Self {
        let mut blocks = Self { middle_transformer: names.any("middle_block.1.norm."), ..Self::default() };
        let mut level = Level::default();
        for index in 1..MOST {
            let block = format!("input_blocks.{index}");
            if names.any(&format!("{block}.0.op.")) {
                level.resamples = true;
                blocks.down.push(std::mem::take(&mut level));
            } else if names.any(&format!("{block}.0.in_layers.")) {
                level.transformers.push(names.any(&format!("{block}.1.norm.")));
            } else {
                break;
            }
        }
        blocks.down.push(std::mem::take(&mut level));
        for index in 0..MOST {
            let block = format!("output_blocks.{index}");
            if !names.any(&format!("{block}.0.in_layers.")) {
                break;
            }
            level.transformers.push(names.any(&format!("{block}.1.norm.")));
            level.resamples = [1, 2].iter().any(|part| names.any(&format!("{block}.{part}.conv.")));
            if level.resamples {
                blocks.up.push(std::mem::take(&mut level));
            }
        }
        blocks.up.push(level);
        blocks
    }

    /// From diffusers' names.
    pub(super) fn of_diffusers(names: &Names<'_>) -> Self {
        let levels = |way: &str, sampler: &str| {
            (0..names.count(&format!("{way}_blocks.")))
                .map(|index| {
                    let block = format!("{way}_blocks.{index}");
                    let layers = names.count(&format!("{block}.resnets."));
                    Level {
                        transformers: (0..layers)
                            .map(|layer| names.any(&format!("{block}.attentions.{layer}.")))
                            .collect(),
                        resamples: names.any(&format!("{block}.{sampler}.0.")),
                    }
                })
                .collect()
        };
        Self {
            down: levels("down", "downsamplers"),
            middle_transformer: names.any("mid_block.attentions.0."),
            up: levels("up", "upsamplers"),
        }
    }

    /// What names begin with in the original code, and what the same begin with in diffusers.
    pub(super) fn prefixes(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = [
            ("input_blocks.0.0.", "conv_in."),
            ("time_embed.0.", "time_embedding.linear_1."),
            ("time_embed.2.", "time_embedding.linear_2."),
            ("label_emb.0.0.", "add_embedding.linear_1."),
            ("label_emb.0.2.", "add_embedding.linear_2."),
            ("out.0.", "conv_norm_out."),
            ("out.2.", "conv_out."),
            ("middle_block.0.", "mid_block.resnets.0."),
        ]
        .map(|(original, ours)| (original.to_owned(), ours.to_owned()))
        .to_vec();
        let last = if self.middle_transformer { 2 } else { 1 };
        if self.middle_transformer {
            pairs.push(("middle_block.1.".to_owned(), "mid_block.attentions.0.".to_owned()));
        }
        pairs.push((format!("middle_block.{last}."), "mid_block.resnets.1.".to_owned()));
        let mut number = 1;
        for (index, level) in self.down.iter().enumerate() {
            for layer in 0..level.transformers.len() {
                pairs.push((format!("input_blocks.{number}.0."), format!("down_blocks.{index}.resnets.{layer}.")));
                pairs.push((format!("input_blocks.{number}.1."), format!("down_blocks.{index}.attentions.{layer}.")));
                number += 1;
            }
            if level.resamples {
                let sampler = format!("down_blocks.{index}.downsamplers.0.conv.");
                pairs.push((format!("input_blocks.{number}.0.op."), sampler));
                number += 1;
            }
        }
        number = 0;
        for (index, level) in self.up.iter().enumerate() {
            for (layer, has_transformer) in level.transformers.iter().enumerate() {
                let is_last = layer + 1 == level.transformers.len();
                pairs.push((format!("output_blocks.{number}.0."), format!("up_blocks.{index}.resnets.{layer}.")));
                if level.resamples && is_last {
                    let part = 1 + usize::from(*has_transformer);
                    let sampler = format!("up_blocks.{index}.upsamplers.0.conv.");
                    pairs.push((format!("output_blocks.{number}.{part}.conv."), sampler));
                }
                if *has_transformer {
                    let ours = format!("up_blocks.{index}.attentions.{layer}.");
                    pairs.push((format!("output_blocks.{number}.1."), ours));
                }
                number += 1;
            }
        }
        // The longest first: `input_blocks.3.0.op.` before any `input_blocks.3.0.`.
        pairs.sort_by_key(|(original, _)| std::cmp::Reverse(original.len()));
        pairs
    }
}
