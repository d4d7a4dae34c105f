//! Closed sets: schedulers, what a model predicts, how timesteps are spread, where noise comes from.

use crate::SpecError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $label:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every member, in the order a menu shows them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that users and files know it by.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = SpecError;

            fn from_str(word: &str) -> Result<Self, SpecError> {
                Self::ALL.iter().copied().find(|member| member.as_str() == word).ok_or_else(|| SpecError::Unknown {
                    name: $label,
                    found: word.to_owned(),
                    allowed: Self::ALL.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

words!(
    /// How noise is taken away, step by step.
    SchedulerKind, "scheduler" {
        /// Denoising diffusion implicit models (Song et al., 2020).
        Ddim = "ddim",
        /// Euler's method on the probability-flow equation (Karras et al., 2022).
        Euler = "euler",
        /// Euler on Karras' noise levels.
        EulerKarras = "euler-karras",
        /// Euler with fresh noise at every step.
        EulerAncestral = "euler-a",
        /// DPM-Solver++ of second order, multistep (Lu et al., 2022).
        DpmPlusPlus2M = "dpmpp-2m",
        /// DPM-Solver++ of second order on Karras' noise levels.
        DpmPlusPlus2MKarras = "dpmpp-2m-karras",
    }
);

impl SchedulerKind {
    /// The name that web UIs write into a picture's parameters.
    pub const fn infotext_name(self) -> &'static str {
        match self {
            Self::Ddim => "DDIM",
            Self::Euler => "Euler",
            Self::EulerKarras => "Euler Karras",
            Self::EulerAncestral => "Euler a",
            Self::DpmPlusPlus2M => "DPM++ 2M",
            Self::DpmPlusPlus2MKarras => "DPM++ 2M Karras",
        }
    }

    /// Whether every step draws fresh noise, so that the whole noise stream matters and not the first draw alone.
    pub const fn is_ancestral(self) -> bool {
        matches!(self, Self::EulerAncestral)
    }
}

words!(
    /// What the UNet's output means.
    PredictionType, "prediction type" {
        /// The noise that was added.
        Epsilon = "epsilon",
        /// The velocity `alpha * noise - sigma * sample` (Salimans and Ho, 2022).
        VPrediction = "v_prediction",
    }
);

words!(
    /// How inference timesteps are spread over the training timesteps (Lin et al., 2023, table 2).
    TimestepSpacing, "timestep spacing" {
        /// Multiples of the step ratio from the start.
        Leading = "leading",
        /// Evenly from first to last.
        Linspace = "linspace",
        /// Multiples of the step ratio from the end, so that the last timestep is used.
        Trailing = "trailing",
    }
);

words!(
    /// Which generator a seed's noise comes from.
    NoiseKind, "noise" {
        /// Philox 4x32-10 as PyTorch draws on CUDA.
        Philox = "philox",
        /// Mersenne Twister and Box-Muller as PyTorch draws on the CPU.
        TorchCpu = "torch-cpu",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_unknown_ones_list_what_is_allowed() {
        for kind in SchedulerKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        let error = "plms".parse::<SchedulerKind>().unwrap_err().to_string();
        assert!(error.contains("`plms`") && error.contains("dpmpp-2m-karras"), "{error}");
    }
}
