//! What holds for every scheduler, spacing, prediction and number of steps.

use burn::tensor::{Device, Tensor, TensorData};
use diffusion::scheduler::{Schedule, SchedulerConfig};
use proptest::prelude::*;
use spec::SchedulerKind;

const KINDS: [SchedulerKind; 6] = [
    SchedulerKind::Ddim,
    SchedulerKind::Euler,
    SchedulerKind::EulerKarras,
    SchedulerKind::EulerAncestral,
    SchedulerKind::DpmPlusPlus2M,
    SchedulerKind::DpmPlusPlus2MKarras,
];
const TRAINED: usize = 1000;

fn config(prediction: &str, spacing: &str) -> SchedulerConfig {
    let text = format!(
        r#"{{"beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear","prediction_type":"{prediction}",
        "timestep_spacing":"{spacing}","steps_offset":1,"clip_sample":false,"set_alpha_to_one":true}}"#
    );
    SchedulerConfig::from_json(&text).expect("the configuration is one")
}

fn kind() -> impl Strategy<Value = SchedulerKind> {
    prop::sample::select(KINDS.to_vec())
}

fn spacing() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["leading", "linspace", "trailing"])
}

fn tensor(values: &[f32]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), &Device::flex())
}

/// Shares of signal and of noise before step `index`.
fn shares(schedule: &Schedule, index: usize) -> (f64, f64) {
    let share = |signal: f32, noise: f32| {
        let mixed: f32 = schedule.add_noise(tensor(&[signal]), tensor(&[noise]), index).into_scalar();
        f64::from(mixed)
    };
    (share(1.0, 0.0), share(0.0, 1.0))
}

/// What a model says that knows how the picture ends.
fn oracle(prediction: &str, schedule: &Schedule, index: usize, sample: Tensor<4>, end: Tensor<4>) -> Tensor<4> {
    let (signal, sigma) = shares(schedule, index);
    let noise = (sample - end.clone() * signal) / sigma;
    let length = signal.hypot(sigma);
    match prediction {
        "epsilon" => noise,
        _ => noise * (signal / length) - end * (sigma / length),
    }
}

proptest! {
    // One fewer than the model was trained on: DPM++ spreads one more timestep than it takes.
    #[test]
    fn noise_only_falls_and_ends_at_nothing(kind in kind(), spacing in spacing(), steps in 1..TRAINED) {
        let schedule = Schedule::new(kind, &config("epsilon", spacing), steps).expect("the steps fit");
        let timesteps = schedule.timesteps();
        prop_assert_eq!(timesteps.len(), steps);
        prop_assert!(timesteps.iter().all(|&timestep| (0.0..=TRAINED as f64).contains(&timestep)));
        prop_assert!(timesteps.windows(2).all(|pair| pair[0] >= pair[1]), "{timesteps:?}");
        let sigmas = schedule.sigmas();
        if kind != SchedulerKind::Ddim {
            prop_assert_eq!(sigmas.len(), steps + 1);
            prop_assert!(sigmas[steps].abs() < f64::EPSILON);
        }
        prop_assert!(sigmas.windows(2).all(|pair| pair[0] >= pair[1] && pair[0].is_finite()), "{sigmas:?}");
    }

    #[test]
    fn a_model_that_knows_the_end_is_followed_to_it(
        kind in kind(),
        spacing in spacing(),
        prediction in prop::sample::select(vec!["epsilon", "v_prediction"]),
        // Divisors, since the reference's DDIM takes whole strides and else stops a little short.
        steps in prop::sample::select(vec![1_usize, 2, 4, 5, 8, 10, 20, 25, 40, 50]),
        pixels in prop::collection::vec((-2.0_f32..2.0, -3.0_f32..3.0, -3.0_f32..3.0), 4),
    ) {
        let mut schedule = Schedule::new(kind, &config(prediction, spacing), steps).expect("the steps fit");
        let of = |pick: fn(&(f32, f32, f32)) -> f32| tensor(&pixels.iter().map(pick).collect::<Vec<_>>());
        let (end, start, drawn) = (of(|pixel| pixel.0), of(|pixel| pixel.1), of(|pixel| pixel.2));
        let mut sample = schedule.add_noise(end.clone(), start, 0);
        for index in 0..steps {
            let scaled = oracle(prediction, &schedule, index, sample.clone(), end.clone());
            let step = schedule.step(scaled, index, sample, schedule.draws_noise().then(|| drawn.clone()));
            sample = step.prev_sample;
        }
        let off: f32 = (sample - end).abs().max().into_scalar();
        prop_assert!(off < 1e-3, "{off} off after {steps} steps");
    }

    #[test]
    fn no_steps_and_too_many_are_refused(kind in kind(), spacing in spacing(), more in 1_usize..1_000_000) {
        for steps in [0, TRAINED + more] {
            let refused = Schedule::new(kind, &config("epsilon", spacing), steps).expect_err("cannot be made");
            prop_assert!(refused.to_string().contains(&format!("{steps} steps")), "{refused}");
        }
    }
}
