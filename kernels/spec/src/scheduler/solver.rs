//! The two halves of a scheduler: what takes noise away, and at which noise levels.

use crate::words::words;

words!(
    /// How noise is taken away, step by step.
    Solver, "solver" {
        /// Denoising diffusion implicit models (Song et al., 2020).
        Ddim = "ddim",
        /// Euler's method on the probability-flow equation (Karras et al., 2022).
        Euler = "euler",
        /// Euler with fresh noise at every step.
        EulerAncestral = "euler-a",
        /// DPM-Solver++ of second order, multistep (Lu et al., 2022).
        DpmPlusPlus2M = "dpmpp-2m",
        /// The same for the stochastic equation.
        DpmPlusPlus2MSde = "dpmpp-2m-sde",
        /// The stochastic one with Heun's correction.
        DpmPlusPlus2MSdeHeun = "dpmpp-2m-sde-heun",
        /// The stochastic one of third order.
        DpmPlusPlus3MSde = "dpmpp-3m-sde",
        /// DPM-Solver++ of second order, singlestep: two steps of the run make one of the solver's.
        DpmPlusPlus2S = "dpmpp-2s",
        /// DPM-Solver++ of second order with fresh noise at every step, two evaluations each.
        DpmPlusPlus2SAncestral = "dpmpp-2s-a",
        /// DPM-Solver++ for the stochastic equation on one Brownian path, two evaluations a step.
        DpmPlusPlusSde = "dpmpp-sde",
        /// Unified predictor and corrector (Zhao et al., 2023).
        UniPc = "unipc",
        /// Exponential integrator on polynomials of the logarithm of noise (Zhang and Chen, 2022).
        Deis = "deis",
        /// Heun's method, two evaluations a step (Karras et al., 2022, algorithm 1).
        Heun = "heun",
        /// The midpoint method in the logarithm of noise, two evaluations a step (Lu et al., 2022).
        Dpm2 = "dpm2",
        /// The same with fresh noise at every step.
        Dpm2Ancestral = "dpm2-a",
        /// Linear multistep method of fourth order.
        Lms = "lms",
        /// Pseudo numerical methods for diffusion models (Liu et al., 2022).
        Pndm = "pndm",
        /// The same, started by lower orders instead of a repeated evaluation (Zhang and Chen, 2022).
        Ipndm = "ipndm",
        /// Denoising diffusion probabilistic models (Ho et al., 2020).
        Ddpm = "ddpm",
        /// For latent consistency models (Luo et al., 2023).
        Lcm = "lcm",
        /// For trajectory consistency models (Zheng et al., 2024).
        Tcd = "tcd",
        /// Euler's method for models of straight paths (Esser et al., 2024).
        FlowEuler = "flow-euler",
    }
);

words!(
    /// Which noise levels a solver visits.
    SigmaSpacing, "sigma spacing" {
        /// Those of the timesteps that the model's configuration spreads.
        Default = "default",
        /// Karras et al. (2022), equation 5.
        Karras = "karras",
        /// Evenly in the logarithm.
        Exponential = "exponential",
        /// By the quantiles of a beta distribution (Lee et al., 2024).
        Beta = "beta",
        /// Evenly in the logarithm of signal to noise, as Lu et al. (2022) use.
        Lu = "lu",
        /// Evenly in timesteps, without the last.
        SgmUniform = "sgm-uniform",
        /// Evenly in timesteps, from first to last.
        Uniform = "uniform",
        /// Every so manieth of the training levels, from the noisiest.
        Simple = "simple",
        /// Every so manieth of the training levels, from the second cleanest.
        DdimUniform = "ddim-uniform",
        /// By the angle of noise to signal (Sabour et al., 2024, appendix).
        KlOptimal = "kl-optimal",
    }
);

impl Solver {
    /// Whether steps draw fresh noise, so that the whole noise stream matters and not the first draw alone.
    pub const fn is_ancestral(self) -> bool {
        matches!(
            self,
            Self::EulerAncestral
                | Self::DpmPlusPlus2MSde
                | Self::DpmPlusPlus2MSdeHeun
                | Self::DpmPlusPlus3MSde
                | Self::DpmPlusPlus2SAncestral
                | Self::DpmPlusPlusSde
                | Self::Dpm2Ancestral
                | Self::Ddpm
                | Self::Lcm
                | Self::Tcd
        )
    }

    /// The noise levels that it can visit, its own first.
    pub const fn spacings(self) -> &'static [SigmaSpacing] {
        use SigmaSpacing::{Beta, Default, Exponential, Karras, SgmUniform};
        match self {
            // These step along training timesteps.
            Self::Ddim | Self::Ddpm | Self::Pndm => &[Default, SgmUniform],
            Self::Lcm | Self::Tcd => &[Default],
            // The levels of a straight path are no ratios of noise to signal.
            Self::FlowEuler => &[Default, Karras, Exponential, Beta],
            _ => SigmaSpacing::ALL,
        }
    }
}
