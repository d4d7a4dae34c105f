//! How much of a sample is signal and how much is noise.

use burn::tensor::Tensor;
use spec::PredictionType;

/// The shares of a sample `alpha * original + sigma * noise`.
///
/// Solvers keep samples at different scales: `alpha² + sigma² = 1` as they were trained, `alpha = 1` where noise grows without
/// bound (Karras et al., 2022), or `alpha + sigma = 1` on a straight path. What a prediction means is the same at each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// The share of the finished sample.
    pub alpha: f64,
    /// The share of unit noise.
    pub sigma: f64,
}

/// The least share of signal that is divided by: of a model without any at its last timestep nothing can be predicted there.
const LEAST_ALPHA: f64 = 1.0 / 4096.0;

impl Level {
    /// From `ᾱ`, the share of signal in the square of a sample that keeps its variance.
    pub(super) fn of_alpha_cumprod(value: f64) -> Self {
        Self { alpha: value.sqrt(), sigma: (1.0 - value).sqrt() }
    }

    /// From noise relative to signal, for a sample that keeps its variance.
    pub(super) fn of_ratio(ratio: f64) -> Self {
        let alpha = ratio.hypot(1.0).recip();
        Self { alpha, sigma: ratio * alpha }
    }

    /// From noise relative to signal, for a sample whose signal keeps its size.
    pub(super) const fn exploding(ratio: f64) -> Self {
        Self { alpha: 1.0, sigma: ratio }
    }

    /// On the straight path from a picture to noise.
    pub(super) const fn straight(sigma: f64) -> Self {
        Self { alpha: 1.0 - sigma, sigma }
    }

    /// The logarithm of signal to noise, infinite where there is no noise.
    pub(super) fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// The length of a unit sample at this level, which the model's input is divided by.
    pub(super) fn length(self) -> f64 {
        self.alpha.hypot(self.sigma)
    }

    /// The finished sample that a prediction means.
    pub(super) fn original(self, prediction: PredictionType, output: Tensor<4>, sample: Tensor<4>) -> Tensor<4> {
        let Self { alpha, sigma } = self;
        match prediction {
            PredictionType::Epsilon => (sample - output * sigma) / alpha.max(LEAST_ALPHA),
            PredictionType::VPrediction => {
                let length = self.length();
                sample * (alpha / (length * length)) - output * (sigma / length)
            }
            PredictionType::Sample => output,
            PredictionType::Flow => sample - output * sigma,
        }
    }

    /// The noise that a prediction means.
    pub(super) fn noise(self, prediction: PredictionType, output: Tensor<4>, sample: Tensor<4>) -> Tensor<4> {
        let Self { alpha, sigma } = self;
        match prediction {
            PredictionType::Epsilon => output,
            PredictionType::VPrediction => {
                let length = self.length();
                output * (alpha / length) + sample * (sigma / (length * length))
            }
            PredictionType::Sample => (sample - output * alpha) / sigma,
            PredictionType::Flow => sample + output * alpha,
        }
    }

    /// Carries a sample to another level along the straight line that its original makes of the probability flow: the first
    /// step of every solver here.
    pub(super) fn carry(self, sample: Tensor<4>, original: Tensor<4>, to: Self) -> Tensor<4> {
        let kept = to.sigma / self.sigma;
        sample * kept + original * (to.alpha - self.alpha * kept)
    }
}

/// How an ancestral step from one noise level to the next is divided: what is walked down to, and the fresh noise that leads
/// back up.
pub(super) fn ancestral(from: f64, to: f64) -> (f64, f64) {
    let up = (to * to * (from * from - to * to) / (from * from)).max(0.0).sqrt().min(to);
    ((to * to - up * up).max(0.0).sqrt(), up)
}
