//! The original code's names of a denoiser's blocks, which kohya's trainer writes for Stable Diffusion XL.

use std::collections::BTreeSet;

/// Parts of a residual block, ours and the original's.
const RESIDUAL: [(&str, &str); 6] = [
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
];

/// Pairs of what modules' names begin with, ours first.
pub(super) struct OriginalNames(Vec<(String, String)>);

impl OriginalNames {
    /// Of a denoiser with these modules.
    pub(super) fn new(modules: &BTreeSet<&str>) -> Self {
        let has = |start: &str| {
            let start = format!("{start}.");
            modules.range(start.as_str()..).next().is_some_and(|name| name.starts_with(&start))
        };
        let fixed = [
            ("conv_in", "input_blocks.0.0"),
            ("time_embedding.linear_1", "time_embed.0"),
            ("time_embedding.linear_2", "time_embed.2"),
            ("add_embedding.linear_1", "label_emb.0.0"),
            ("add_embedding.linear_2", "label_emb.0.2"),
            ("conv_out", "out.2"),
            ("mid_block.resnets.0", "middle_block.0"),
            ("mid_block.attentions.0", "middle_block.1"),
            ("mid_block.resnets.1", "middle_block.2"),
        ];
        let mut pairs: Vec<_> = fixed.map(|(ours, original)| (ours.to_owned(), original.to_owned())).into();
        let numbered = |start: String| (0..).map(move |index| format!("{start}{index}"));
        let mut number = 1;
        for block in numbered("down_blocks.".to_owned()).take_while(|block| has(block)) {
            for (layer, resnet) in numbered(format!("{block}.resnets.")).take_while(|name| has(name)).enumerate() {
                pairs.push((resnet, format!("input_blocks.{number}.0")));
                pairs.push((format!("{block}.attentions.{layer}"), format!("input_blocks.{number}.1")));
                number += 1;
            }
            if has(&format!("{block}.downsamplers")) {
                pairs.push((format!("{block}.downsamplers.0.conv"), format!("input_blocks.{number}.0.op")));
                number += 1;
            }
        }
        number = 0;
        for block in numbered("up_blocks.".to_owned()).take_while(|block| has(block)) {
            for (layer, resnet) in numbered(format!("{block}.resnets.")).take_while(|name| has(name)).enumerate() {
                pairs.push((resnet, format!("output_blocks.{number}.0")));
                pairs.push((format!("{block}.attentions.{layer}"), format!("output_blocks.{number}.1")));
                number += 1;
            }
            let part = 1 + usize::from(has(&format!("{block}.attentions")));
            let last = format!("output_blocks.{}.{part}.conv", number.max(1) - 1);
            pairs.push((format!("{block}.upsamplers.0.conv"), last));
        }
        Self(pairs)
    }

    /// The original's name of a module.
    pub(super) fn of(&self, module: &str) -> Option<String> {
        let (rest, ours, original) = self.0.iter().find_map(|(ours, original)| {
            let rest = module.strip_prefix(ours.as_str())?;
            (rest.is_empty() || rest.starts_with('.')).then_some((rest, ours, original))
        })?;
        let inner = rest.trim_start_matches('.');
        if !ours.contains(".resnets.") {
            return Some(format!("{original}{rest}"));
        }
        RESIDUAL.iter().find(|(ours, _)| *ours == inner).map(|(_, part)| format!("{original}.{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_as_the_original_counts_them() {
        let modules = BTreeSet::from([
            "down_blocks.0.downsamplers.0.conv",
            "down_blocks.0.resnets.0.conv1",
            "down_blocks.0.resnets.1.conv1",
            "down_blocks.1.attentions.0.proj_in",
            "down_blocks.1.resnets.0.conv1",
            "up_blocks.0.attentions.0.proj_in",
            "up_blocks.0.resnets.0.conv1",
            "up_blocks.0.resnets.1.conv1",
            "up_blocks.0.upsamplers.0.conv",
            "up_blocks.1.resnets.0.conv1",
        ]);
        let names = OriginalNames::new(&modules);
        for (ours, original) in [
            ("conv_in", "input_blocks.0.0"),
            ("down_blocks.0.resnets.1.conv2", "input_blocks.2.0.out_layers.3"),
            ("down_blocks.0.downsamplers.0.conv", "input_blocks.3.0.op"),
            (
                "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q",
                "input_blocks.4.1.transformer_blocks.1.attn1.to_q",
            ),
            ("mid_block.resnets.1.time_emb_proj", "middle_block.2.emb_layers.1"),
            ("up_blocks.0.upsamplers.0.conv", "output_blocks.1.2.conv"),
            ("up_blocks.1.resnets.0.conv_shortcut", "output_blocks.2.0.skip_connection"),
        ] {
            assert_eq!(names.of(ours).as_deref(), Some(original), "{ours}");
        }
        assert_eq!(names.of("conv_inner"), None);
    }
}
