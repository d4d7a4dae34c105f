//! Switches on the denoiser.

use super::recipe::Recipe;
use crate::parse::real;
use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use diffusion::{
    metadata::quoted,
    nn::Seamless,
    pipeline::{Panorama, SelfAttentionGuidance, Switches},
    unet::{FreeU, TokenMerging},
};
use std::collections::BTreeMap;

/// Keys of web UIs and their extensions.
const FREE_U: &str = "FreeU Stages";
const FREE_U_SCHEDULE: (&str, &str) = ("FreeU Schedule", "0.0, 1.0, 0.0");
const TOKEN_MERGING: &str = "Token merging ratio";
const TOKEN_MERGING_SECOND: &str = "Token merging ratio hr";
const SELF_ATTENTION: &str = "SAG Guidance Scale";
const TILING: (&str, &str) = ("Tiling", "True");
/// InvokeAI's.
const SEAMLESS: [&str; 2] = ["seamless_x", "seamless_y"];
/// Our own.
const TILING_AXES: &str = "Tiling axes";
const PANORAMA: (&str, &str) = ("Panorama", "True");
const CIRCULAR: (&str, &str) = ("Panorama circular", "True");

/// What a run does otherwise; all can be combined.
#[derive(Debug, Args)]
pub struct GuidanceArgs {
    /// `FreeU`'s factors of features (b1, b2) and skips (s1, s2), for SD 1.5 about 1.5,1.6,0.9,0.2
    #[arg(long, value_name = "B1,B2,S1,S2", value_parser = free_u)]
    freeu: Option<FreeU>,
    /// Share of the tokens that are merged where there are most of them, 0 to 1 (at most 0.75 are)
    #[arg(long, value_name = "RATIO", value_parser = real, allow_negative_numbers = true)]
    token_merging: Option<f64>,
    /// Scale of self-attention guidance, about 0.75
    #[arg(long, value_name = "SCALE", value_parser = real, allow_negative_numbers = true)]
    sag: Option<f64>,
    /// Draw overlapping views of 512 pixels, for pictures wider or higher than that
    #[arg(long)]
    panorama: bool,
    /// Let the panorama's right edge go on at the left one
    #[arg(long, requires = "panorama")]
    circular: bool,
    /// Draw a picture that can be laid beside itself: its edges go on at the opposite ones, or with =x or =y along one axis
    #[arg(long, value_name = "AXES", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "xy")]
    tiling: Option<Axes>,
}

/// Axes along which a picture goes on at the opposite edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Axes {
    /// Both
    Xy,
    /// Left and right
    X,
    /// Above and below
    Y,
}

impl From<Axes> for Seamless {
    fn from(axes: Axes) -> Self {
        Self { x: axes != Axes::Y, y: axes != Axes::X }
    }
}

impl GuidanceArgs {
    /// Fills what no flag said by what a picture says.
    pub fn restore(&mut self, recipe: &Recipe) -> Result<()> {
        // One that begins later or ends earlier is not what is done here.
        if recipe.look(FREE_U_SCHEDULE.0).is_none_or(|schedule| schedule == FREE_U_SCHEDULE.1) {
            recipe.restore(&mut self.freeu, FREE_U, stages)?;
            recipe.take(FREE_U_SCHEDULE.0);
        }
        if [Some("0"), recipe.look(TOKEN_MERGING), None].contains(&recipe.look(TOKEN_MERGING_SECOND)) {
            recipe.take(TOKEN_MERGING_SECOND);
        }
        recipe.restore(&mut self.token_merging, TOKEN_MERGING, real)?;
        recipe.restore(&mut self.sag, SELF_ATTENTION, real)?;
        recipe.switch(&mut self.panorama, PANORAMA);
        recipe.switch(&mut self.circular, CIRCULAR);
        self.restore_tiling(recipe)
    }

    fn restore_tiling(&mut self, recipe: &Recipe) -> Result<()> {
        let is_on = |key: &str| recipe.take(key).is_some_and(|said| said.eq_ignore_ascii_case("true"));
        let axes = match SEAMLESS.map(is_on) {
            [true, true] => Some(Axes::Xy),
            [true, false] => Some(Axes::X),
            [false, true] => Some(Axes::Y),
            [false, false] => None,
        };
        let is_tiled = is_on(TILING.0);
        recipe.restore(&mut self.tiling, TILING_AXES, |text| Axes::from_str(text, true).map_err(anyhow::Error::msg))?;
        self.tiling = self.tiling.or(axes).or(is_tiled.then_some(Axes::Xy));
        Ok(())
    }

    /// What web UIs write of it.
    pub fn infotext(&self, has_second: bool) -> Vec<String> {
        let mut pairs = Vec::new();
        if let Some(FreeU { b1, b2, s1, s2 }) = self.freeu {
            let stage = |b, s| serde_json::json!({ "backbone_factor": b, "skip_factor": s });
            let stages = serde_json::Value::from(vec![stage(b1, s1), stage(b2, s2)]).to_string();
            pairs.push(format!("{FREE_U}: {}", quoted(&stages)));
            pairs.push(format!("{}: {}", FREE_U_SCHEDULE.0, quoted(FREE_U_SCHEDULE.1)));
        }
        if let Some(ratio) = self.token_merging {
            pairs.push(format!("{TOKEN_MERGING}: {ratio}"));
            pairs.extend(has_second.then(|| format!("{TOKEN_MERGING_SECOND}: {ratio}")));
        }
        pairs.extend(self.sag.map(|scale| format!("{SELF_ATTENTION}: {scale}")));
        if let Some(axes) = self.tiling {
            pairs.push(format!("{}: {}", TILING.0, TILING.1));
            let one = axes.to_possible_value().filter(|_| axes != Axes::Xy);
            pairs.extend(one.map(|axis| format!("{TILING_AXES}: {}", axis.get_name())));
        }
        let switches = [(PANORAMA, self.panorama), (CIRCULAR, self.circular)];
        pairs.extend(switches.iter().filter(|(_, is_on)| *is_on).map(|((key, value), _)| format!("{key}: {value}")));
        pairs
    }

    /// The same as the pipeline takes it.
    pub fn switches(&self) -> Switches {
        Switches {
            freeu: self.freeu,
            token_merging: self.token_merging.map(|ratio| TokenMerging { ratio, ..TokenMerging::default() }),
            self_attention: self.sag.map(|scale| SelfAttentionGuidance { scale }),
            panorama: self.panorama.then_some(Panorama { circular: self.circular }),
            seamless: self.tiling.map(Seamless::from).unwrap_or_default(),
        }
    }
}

/// The factors as an extension of web UIs writes them; what it leaves out is 1, and later stages are not ours.
fn stages(text: &str) -> Result<FreeU> {
    let stages: Vec<BTreeMap<String, f64>> = serde_json::from_str(text)?;
    let factor = |stage: usize, key| stages.get(stage).and_then(|stage| stage.get(key)).copied().unwrap_or(1.0);
    let [b, s] = ["backbone_factor", "skip_factor"];
    let is_ours = |key: &String| key == b || key == s;
    ensure!(
        stages.len() <= 2 && stages.iter().all(|stage| stage.keys().all(is_ours)),
        "it has more than two stages of two factors"
    );
    Ok(FreeU { b1: factor(0, b), b2: factor(1, b), s1: factor(0, s), s2: factor(1, s) })
}

/// Four numbers between commas.
fn free_u(text: &str) -> Result<FreeU> {
    let numbers = text.split(',').map(|part| real(part.trim())).collect::<Result<Vec<f64>>>()?;
    let [b1, b2, s1, s2] = <[f64; 4]>::try_from(numbers).ok().context("there must be four numbers: B1,B2,S1,S2")?;
    Ok(FreeU { b1, b2, s1, s2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_numbers_are_read_and_nothing_else() {
        assert_eq!(free_u("1.5, 1.6,0.9,0.2").unwrap(), FreeU { b1: 1.5, b2: 1.6, s1: 0.9, s2: 0.2 });
        for wrong in ["", "1,2,3", "1,2,3,4,5", "1,2,3,x"] {
            assert!(free_u(wrong).is_err(), "{wrong}");
        }
    }
}
