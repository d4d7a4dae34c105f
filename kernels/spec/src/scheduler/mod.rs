//! How pictures are sampled: schedulers and their names, what a model predicts, how timesteps are spread, where noise comes from.

mod kind;
mod names;
mod solver;

pub use kind::SchedulerKind;
pub use solver::{SigmaSpacing, Solver};

use crate::words::words;

words!(
    /// What the UNet's output means.
    PredictionType, "prediction type" {
        /// The noise that was added.
        Epsilon = "epsilon",
        /// The velocity `alpha * noise - sigma * sample` (Salimans and Ho, 2022).
        VPrediction = "v_prediction",
        /// The finished sample itself.
        Sample = "sample",
        /// The velocity `noise - sample` of a straight path (Lipman et al., 2022).
        Flow = "flow_prediction",
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
        for noise in NoiseKind::ALL {
            assert_eq!(noise.as_str().parse(), Ok(*noise));
        }
        let error = "dice".parse::<NoiseKind>().unwrap_err().to_string();
        assert!(error.contains("`dice`") && error.contains("philox, torch-cpu"), "{error}");
    }
}
