//! ControlNets in a run.

use super::GenerateError;
use crate::{
    controlnet::{ControlNetModel, ControlScale},
    unet::{Context, Residuals},
};
use burn::tensor::Tensor;
use std::sync::Arc;

/// One ControlNet, with the picture that it steers by.
#[derive(Debug, Clone)]
pub struct Control {
    /// The network.
    pub model: Arc<ControlNetModel>,
    /// `[1 or batch, 3, height, width]` in 0..1.
    pub picture: Tensor<4>,
    /// How strongly it steers; 1 is as it was trained.
    pub weight: f64,
    /// The share of the steps after which it begins, 0 to 1.
    pub start: f64,
    /// The share of the steps after which it ends, 0 to 1.
    pub end: f64,
    /// Whether it guesses without a prompt: it steers the conditional half alone, and its outer residuals count less.
    pub guess_mode: bool,
}

impl Control {
    /// A network that steers all steps as it was trained to.
    pub const fn new(model: Arc<ControlNetModel>, picture: Tensor<4>) -> Self {
        Self { model, picture, weight: 1.0, start: 0.0, end: 1.0, guess_mode: false }
    }

    /// Whether it steers step `index` of `of`.
    fn steers(&self, index: usize, of: usize) -> bool {
        let share = |index: usize| index as f64 / of as f64;
        self.weight != 0.0 && share(index) >= self.start && share(index + 1) <= self.end
    }
}

/// What a run knows of its ControlNets.
pub(super) struct Controls {
    nets: Vec<(Control, Tensor<4>)>,
    first: usize,
    steps: usize,
}

/// A step of a run, as the networks see it.
pub(super) struct ControlStep<'a> {
    /// Scaled latents, without what guidance doubles.
    pub input: &'a Tensor<4>,
    /// The step's time.
    pub timestep: f64,
    /// What the denoiser gets: under guidance both halves.
    pub context: &'a Context,
    /// Whether there are two halves.
    pub is_guided: bool,
    /// The step among all of the schedule's.
    pub index: usize,
}

impl Controls {
    /// For a run of the steps `first..steps`.
    pub(super) fn new(controls: Vec<Control>, first: usize, steps: usize) -> Self {
        let embedded = |control: Control| {
            let embedded = control.model.embed(control.picture.clone());
            (control, embedded)
        };
        Self { nets: controls.into_iter().map(embedded).collect(), first, steps }
    }

    /// What the networks add together; `None` where none steers.
    pub(super) fn residuals(&self, step: &ControlStep<'_>) -> Option<Residuals> {
        let (index, of) = (step.index - self.first, self.steps - self.first);
        let steering = self.nets.iter().filter(|(control, _)| control.steers(index, of));
        steering.map(|(control, embedded)| residuals(control, embedded, step)).reduce(Residuals::plus)
    }
}

fn residuals(control: &Control, embedded: &Tensor<4>, step: &ControlStep<'_>) -> Residuals {
    let Control { model, weight, guess_mode, .. } = control;
    let scale = ControlScale { weight: *weight, graded: *guess_mode };
    let (input, embedded) = (step.input.clone(), embedded.clone());
    let [batch, ..] = input.dims();
    if !step.is_guided {
        return model.forward(input, &vec![step.timestep; batch], step.context, embedded, scale);
    }
    if *guess_mode || model.pools() {
        let context = step.context.conditional();
        return model.forward(input, &vec![step.timestep; batch], context, embedded, scale).behind_zeros();
    }
    let doubled = |tensor: Tensor<4>| Tensor::cat(vec![tensor.clone(), tensor], 0);
    let [pictures, ..] = embedded.dims();
    let embedded = if pictures == 1 { embedded } else { doubled(embedded) };
    model.forward(doubled(input), &vec![step.timestep; batch * 2], step.context, embedded, scale)
}

/// Refuses networks of another family than the denoiser's, and pictures of another size.
pub(super) fn check(
    controls: &[Control],
    unet: &crate::unet::UNet2DConditionModel,
    batch: usize,
    [height, width]: [usize; 2],
) -> Result<(), GenerateError> {
    for control in controls {
        let (found, expected) = (control.model.shape(), unet.shape());
        if found != expected {
            return Err(GenerateError::Control { expected: expected.to_string(), found: found.to_string() });
        }
        let found = control.picture.dims();
        let expected = [if found[0] == batch { batch } else { 1 }, control.model.channels(), height, width];
        if found != expected {
            return Err(GenerateError::Shape { name: "the control picture", expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controlnet::ControlNetConfig, nn::BuilderRoot};
    use burn::tensor::Device;

    #[test]
    fn a_network_steers_between_its_start_and_its_end() {
        let device = Device::flex();
        let config = r#"{"block_out_channels": [4], "down_block_types": ["DownBlock2D"], "norm_num_groups": 2,
            "attention_head_dim": 2, "cross_attention_dim": 4, "mid_block_type": null,
            "conditioning_embedding_out_channels": [4]}"#;
        let config = ControlNetConfig::from_json(config).unwrap();
        let root = BuilderRoot::random(0, &device);
        let model = Arc::new(ControlNetModel::new(&root.root(""), &config).unwrap());
        let control = Control::new(model, Tensor::zeros([1, 3, 8, 8], &device));
        let steered = |start, end| {
            let control = Control { start, end, ..control.clone() };
            (0..10).filter(|&index| control.steers(index, 10)).collect::<Vec<_>>()
        };
        assert_eq!(steered(0.0, 1.0), (0..10).collect::<Vec<_>>());
        assert_eq!(steered(0.25, 0.5), [3, 4]);
        assert_eq!(steered(0.0, 0.05), [] as [usize; 0]);
    }
}
