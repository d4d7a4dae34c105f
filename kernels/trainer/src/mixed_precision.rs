//! Products in a half type, and gradients that do not vanish in it (Micikevicius et al., 2018).

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, FloatDType, Tensor},
};
use serde::{Deserialize, Serialize};

/// What linear layers and convolutions multiply in; weights, norms, attention and the optimiser stay f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixedPrecision {
    /// f32, as everything else.
    No,
    /// bfloat16, whose range is that of f32.
    Bf16,
    /// IEEE half precision, with a scaled loss.
    Fp16,
}

impl MixedPrecision {
    /// The best that a device has; the CPU backend computes halves in f32, so there they would only cost.
    pub fn best(device: &Device) -> Self {
        let has = |dtype| *device != Device::flex() && device.supports_dtype(dtype);
        if has(FloatDType::BF16) {
            Self::Bf16
        } else if has(FloatDType::F16) {
            Self::Fp16
        } else {
            Self::No
        }
    }

    /// Whether a device can compute so.
    pub fn is_supported(self, device: &Device) -> bool {
        self.dtype().is_none_or(|dtype| device.supports_dtype(dtype))
    }

    /// The type of the products, where it is not f32.
    pub const fn dtype(self) -> Option<FloatDType> {
        match self {
            Self::No => None,
            Self::Bf16 => Some(FloatDType::BF16),
            Self::Fp16 => Some(FloatDType::F16),
        }
    }
}

/// Factor of the loss that lifts gradients into the range of halves.
///
/// A step whose gradients are no numbers is left out and halves it; many good ones double it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    /// What the loss is multiplied by.
    pub factor: f64,
    good_steps: u32,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: 65536.0, good_steps: 0 }
    }
}

impl LossScale {
    /// Good steps after which a larger factor is tried.
    const PATIENCE: u32 = 2000;

    /// Takes the factor out of gradients and adapts it; `None` when the step must be left out.
    pub fn unscale<M: Module>(&mut self, model: &M, gradients: GradientsParams) -> Option<GradientsParams> {
        let mut visitor = Unscale { gradients, factor: self.factor, squares: None };
        model.visit(&mut visitor);
        let sum: f32 = visitor.squares.map_or(0.0, Tensor::into_scalar);
        if !sum.is_finite() {
            *self = Self { factor: self.factor / 2.0, good_steps: 0 };
            return None;
        }
        self.good_steps += 1;
        if self.good_steps == Self::PATIENCE {
            *self = Self { factor: self.factor * 2.0, good_steps: 0 };
        }
        Some(visitor.gradients)
    }
}

struct Unscale {
    gradients: GradientsParams,
    factor: f64,
    squares: Option<Tensor<1>>,
}

impl ModuleVisitor for Unscale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let gradient = gradient / self.factor;
        let square = gradient.clone().square().sum();
        self.squares = Some(match self.squares.take() {
            Some(sum) => sum + square,
            None => square,
        });
        self.gradients.register(param.id, gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diffusion::nn::{BuilderRoot, Linear};

    fn layer(device: &Device) -> Linear {
        Linear::new(&BuilderRoot::random(0, device).root("layer"), 3, 2)
    }

    fn gradients(layer: &Linear, value: f32) -> GradientsParams {
        let device = layer.weight.val().device();
        let mut gradients = GradientsParams::new();
        gradients.register(layer.weight.id, Tensor::<2>::full([2, 3], value, &device));
        gradients
    }

    #[test]
    fn a_gradient_comes_out_without_the_factor() {
        let layer = layer(&Device::flex());
        let mut scale = LossScale::default();
        let unscaled = scale.unscale(&layer, gradients(&layer, 32768.0)).unwrap();
        let value: f32 = unscaled.get::<2>(layer.weight.id).unwrap().max().into_scalar();
        assert!((value - 0.5).abs() < 1e-6);
        assert_eq!(unscaled.len(), 1);
    }

    #[test]
    fn a_gradient_that_is_no_number_halves_it_and_many_good_ones_double_it() {
        let layer = layer(&Device::flex());
        let mut scale = LossScale::default();
        assert!(scale.unscale(&layer, gradients(&layer, f32::INFINITY)).is_none());
        assert!(scale.unscale(&layer, gradients(&layer, f32::NAN)).is_none());
        assert!((scale.factor - 16384.0).abs() < 1e-9);
        for _ in 1..LossScale::PATIENCE {
            assert!(scale.unscale(&layer, gradients(&layer, 1.0)).is_some());
        }
        assert!((scale.factor - 16384.0).abs() < 1e-9);
        assert!(scale.unscale(&layer, gradients(&layer, 1.0)).is_some());
        assert!((scale.factor - 32768.0).abs() < 1e-9);
    }
}
