//! Switches on the denoiser.

use crate::parse::real;
use anyhow::{Context as _, Result};
use clap::Args;
use diffusion::{
    pipeline::{Panorama, SelfAttentionGuidance, Switches},
    unet::{FreeU, TokenMerging},
};

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
}

impl GuidanceArgs {
    /// The same as the pipeline takes it.
    pub fn switches(&self) -> Switches {
        Switches {
            freeu: self.freeu,
            token_merging: self.token_merging.map(|ratio| TokenMerging { ratio, ..TokenMerging::default() }),
            self_attention: self.sag.map(|scale| SelfAttentionGuidance { scale }),
            panorama: self.panorama.then_some(Panorama { circular: self.circular }),
        }
    }
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
