//! What a run may do otherwise, each a switch that is off.

use super::GenerateError;
use crate::{
    nn::Seamless,
    unet::{FreeU, TokenMerger, TokenMerging},
};
use serde::Deserialize;

/// Switches on the denoiser.
///
/// All can be combined, but for self-attention guidance and panoramas with `ControlNets`: the one
/// would ask them about latents that were never theirs, the other shows the denoiser parts of a picture that they see whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// Louder features and quieter skips.
    pub freeu: Option<FreeU>,
    /// Fewer tokens in the largest layers.
    pub token_merging: Option<TokenMerging>,
    /// Guidance away from what is blurred where the denoiser looks.
    pub self_attention: Option<SelfAttentionGuidance>,
    /// Pictures larger than the model was trained for, of overlapping views.
    pub panorama: Option<Panorama>,
    /// Pictures that can be laid beside themselves: every convolution goes on at the opposite edge.
    pub seamless: Seamless,
}

/// Self-attention guidance (Hong et al., 2023).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct SelfAttentionGuidance {
    /// How strongly; 0 is off.
    pub scale: f64,
}

/// `MultiDiffusion` (Bar-Tal et al., 2023): the mean of what the denoiser says of all views.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Panorama {
    /// Whether the right edge goes on at the left one.
    pub circular: bool,
}

impl Switches {
    /// Refuses numbers that nothing can be made of, and what cannot be combined.
    pub(super) fn check(&self, has_controls: bool) -> Result<(), GenerateError> {
        let within = |what: &'static str, value: f64, min: f64, max: f64| {
            let is_within = (min..=max).contains(&value);
            is_within.then_some(()).ok_or(GenerateError::Switch { what, value, min, max })
        };
        if let Some(FreeU { b1, b2, s1, s2 }) = self.freeu {
            [b1, b2, s1, s2].into_iter().try_for_each(|factor| within("a factor of FreeU", factor, 0.0, 10.0))?;
        }
        if let Some(TokenMerging { ratio, sx, sy, .. }) = self.token_merging {
            within("the share of merged tokens", ratio, 0.0, 1.0)?;
            within("a side of the cells of merged tokens", sx as f64, 1.0, 64.0)?;
            within("a side of the cells of merged tokens", sy as f64, 1.0, 64.0)?;
        }
        if let Some(SelfAttentionGuidance { scale }) = self.self_attention {
            within("the scale of self-attention guidance", scale, 0.0, 100.0)?;
        }
        let alone =
            [("self-attention guidance", self.self_attention.is_some()), ("a panorama", self.panorama.is_some())];
        match alone.into_iter().find(|(_, is_on)| *is_on && has_controls) {
            Some((what, _)) => Err(GenerateError::Combination { what, with: "ControlNets" }),
            None => Ok(()),
        }
    }

    /// What merges the tokens of a run.
    pub(super) fn merger(&self) -> Option<TokenMerger> {
        self.token_merging.map(TokenMerger::new)
    }

    /// Whether the right edge goes on at the left one.
    pub(super) fn is_circular(&self) -> bool {
        self.panorama.is_some_and(|panorama| panorama.circular)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_can_be_made_of_is_refused_with_its_bounds() {
        let freeu = |b1| Switches { freeu: Some(FreeU { b1, b2: 1.0, s1: 1.0, s2: 1.0 }), ..Switches::default() };
        let merging = |ratio, sx| {
            let merging = TokenMerging { ratio, sx, ..TokenMerging::default() };
            Switches { token_merging: Some(merging), ..Switches::default() }
        };
        let sag = |scale| Switches { self_attention: Some(SelfAttentionGuidance { scale }), ..Switches::default() };
        for good in [Switches::default(), freeu(1.5), merging(0.0, 1), merging(1.0, 2), sag(0.0), sag(0.75)] {
            assert!(good.check(false).is_ok(), "{good:?}");
        }
        for bad in [freeu(f64::NAN), freeu(-0.1), merging(1.1, 2), merging(f64::NAN, 2), merging(0.5, 0), sag(-1.0)] {
            let error = bad.check(false).unwrap_err().to_string();
            assert!(error.contains("but must be between"), "{error}");
        }
        assert!(freeu(1.5).check(true).is_ok());
        let error = sag(0.75).check(true).unwrap_err().to_string();
        assert_eq!(error, "self-attention guidance cannot be combined with ControlNets; leave one of them out");
        let panorama = Switches { panorama: Some(Panorama::default()), ..Switches::default() };
        assert!(panorama.check(true).is_err());
    }
}
