//! Self-attention guidance (Hong et al., 2023): the picture so far is blurred where the denoiser attends to, and the next one is
//! driven away from what it says of that.

use super::{PipelineRequest, SelfAttentionGuidance, StableDiffusion, predict::Seen};
use crate::{
    nn::along_axes,
    scheduler::Schedule,
    unet::{AttentionProbe, Context, Tweaks},
};
use burn::tensor::{Tensor, TensorData};

/// Half of the blur's window of nine.
const REACH: isize = 4;
/// The blur's standard deviation in latents.
const DEVIATION: f64 = 1.0;

/// What the denoiser looked at.
pub(super) struct Look<'a> {
    /// What it attended to, where that is asked.
    pub probe: Option<&'a AttentionProbe>,
    /// The latents before the step.
    pub latents: &'a Tensor<4>,
    /// The prompt of the prediction that is degraded.
    pub context: &'a Context,
    /// Everything else that it was given.
    pub seen: &'a Seen<'a>,
    /// The steps.
    pub schedule: &'a Schedule,
    /// Which of them.
    pub index: usize,
    /// The run.
    pub request: &'a PipelineRequest,
}

impl StableDiffusion {
    /// The guided prediction, driven away from that of degraded latents by what separates it from `plain`, the one without
    /// guidance; itself where nobody asked, and in a model whose middle has no attention.
    pub(super) fn steered(&self, guided: Tensor<4>, plain: Tensor<4>, look: &Look<'_>) -> Tensor<4> {
        let Look { probe, context, latents, seen, schedule, index, request } = *look;
        let received = probe.and_then(AttentionProbe::take);
        let (Some(SelfAttentionGuidance { scale }), Some(received)) = (request.switches.self_attention, received)
        else {
            return guided;
        };
        let [batch, ..] = latents.dims();
        // Under guidance the unconditional half comes first.
        let received = received.narrow(0, 0, batch);
        let original = schedule.original(plain.clone(), index, latents.clone());
        let input = degraded(latents.clone(), original, received, schedule, index);
        let input = beside(schedule.scale_model_input(input, index), seen.beside.as_ref());
        let timesteps = vec![schedule.timesteps()[index]; batch];
        let tweaks = Tweaks::new(request.switches.freeu, seen.merger, None);
        let output = self.unet.forward_tweaked(input, &timesteps, context, None, tweaks);
        guided + (plain - output) * scale
    }
}

/// Latents with the channels that an inpainting model sees behind them.
fn beside(latents: Tensor<4>, more: Option<&Tensor<4>>) -> Tensor<4> {
    let Some(more) = more else { return latents };
    let ([batch, ..], [_, channels, rows, columns]) = (latents.dims(), more.dims());
    Tensor::cat(vec![latents, more.clone().expand([batch, channels, rows, columns])], 1)
}

/// The latents of step `index` with their finished picture blurred where it is attended to, and their noise as it was.
///
/// # Shapes
///
/// - latents, original, output: `[batch, channels, height, width]`
/// - received: `[batch, rows, columns]`, how much attention each place gets
pub(super) fn degraded(
    latents: Tensor<4>,
    original: Tensor<4>,
    received: Tensor<3>,
    schedule: &Schedule,
    index: usize,
) -> Tensor<4> {
    let [_, _, height, width] = original.dims();
    let blurred = along_axes(original.clone(), blur(height), blur(width));
    // A step's latents are the picture and the noise, each times its level: what is added to the one is added to both.
    let change = (blurred - original) * enlarged(received.greater_elem(1.0).float(), height, width);
    let silence = change.zeros_like();
    latents + schedule.add_noise(change, silence, index)
}

/// Each value as often as it takes, the nearest from above and left.
fn enlarged(mask: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, rows, columns] = mask.dims();
    let device = mask.device();
    let spread = |from: usize, to: usize| {
        let values: Vec<f32> = (0..from * to).map(|at| f32::from(u8::from((at % to) * from / to == at / to))).collect();
        Tensor::<2>::from_data(TensorData::new(values, [from, to]), &device)
    };
    let wide = mask.reshape([batch * rows, columns]).matmul(spread(columns, width)).reshape([batch, rows, width]);
    let high = wide.swap_dims(1, 2).reshape([batch * width, rows]).matmul(spread(rows, height));
    high.reshape([batch, width, height]).swap_dims(1, 2).reshape([batch, 1, height, width])
}

/// The entry of a Gaussian blur that reflects at the edges, for an axis of this length.
fn blur(length: usize) -> impl Fn(usize, usize) -> f64 {
    let weight = |step: isize| (-0.5 * (step as f64 / DEVIATION).powi(2)).exp();
    let sum: f64 = (-REACH..=REACH).map(weight).sum();
    move |to, from| {
        let reaches = |step: &isize| reflected(to as isize + step, length as isize) == from as isize;
        (-REACH..=REACH).filter(reaches).map(|step| weight(step) / sum).sum()
    }
}

/// A place beyond an edge, seen in it; the edge itself is there once.
const fn reflected(place: isize, length: isize) -> isize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    let place = place.rem_euclid(period);
    if place < length { place } else { period - place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_blur_keeps_the_sum_of_every_row_at_any_length() {
        for length in [1, 2, 3, 5, 64] {
            let entry = blur(length);
            for to in 0..length {
                let sum: f64 = (0..length).map(|from| entry(to, from)).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{length}: {sum}");
            }
        }
        assert_eq!([-2, -1, 0, 4, 5, 6].map(|place| reflected(place, 5)), [2, 1, 0, 4, 3, 2]);
    }

    #[test]
    fn masks_are_enlarged_to_the_nearest() {
        let mask = Tensor::<3>::from_data([[[1.0, 0.0], [0.0, 1.0]]], &Device::flex());
        let values: Vec<f32> = enlarged(mask, 2, 5).into_data().try_to_vec().unwrap();
        assert_eq!(values, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
