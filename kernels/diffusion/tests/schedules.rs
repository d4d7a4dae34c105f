//! What holds for every scheduler, spacing, prediction and number of steps.

use burn::tensor::{Device, Tensor, TensorData};
use diffusion::{
    noise::Noise,
    scheduler::{Schedule, SchedulerConfig, StepNoise, StepNoiseSampler},
};
use proptest::prelude::*;
use spec::{NoiseKind, SchedulerKind, Seed, Solver};

const TRAINED: usize = 1000;

fn config(prediction: &str, spacing: &str) -> SchedulerConfig {
    let text = format!(
        r#"{{"beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear","prediction_type":"{prediction}",
        "timestep_spacing":"{spacing}","steps_offset":1,"clip_sample":false,"set_alpha_to_one":true}}"#
    );
    SchedulerConfig::from_json(&text).expect("the configuration is one")
}

fn kind() -> impl Strategy<Value = SchedulerKind> {
    prop::sample::select(SchedulerKind::every().collect::<Vec<_>>())
}

fn spacing() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["leading", "linspace", "trailing"])
}

fn tensor(values: &[f32]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), &Device::flex())
}

fn off(sample: Tensor<4>, end: Tensor<4>) -> f32 {
    (sample - end).abs().max().into_scalar()
}

/// What a model says that knows how the picture ends.
fn oracle(prediction: &str, schedule: &Schedule, index: usize, sample: Tensor<4>, end: Tensor<4>) -> Tensor<4> {
    let level = schedule.level(index);
    let noise = (sample - end.clone() * level.alpha) / level.sigma;
    let length = level.alpha.hypot(level.sigma);
    match prediction {
        "epsilon" => noise,
        "sample" => end,
        "flow_prediction" => noise - end,
        _ => noise * (level.alpha / length) - end * (level.sigma / length),
    }
}

/// The evaluations that a step begins with.
fn beginnings(schedule: &Schedule) -> Vec<usize> {
    let done = |index: usize| schedule.steps_done(index);
    let begins = |&index: &usize| index == 0 || done(index - 1) > index.checked_sub(2).map_or(0, done);
    (0..schedule.timesteps().len()).filter(begins).collect()
}

proptest! {
    #[test]
    fn noise_only_falls_and_ends_at_almost_nothing(kind in kind(), spacing in spacing(), steps in 1..TRAINED) {
        let schedule = Schedule::new(kind, &config("epsilon", spacing), steps).expect("the steps fit");
        prop_assert_eq!(schedule.steps(), steps);
        let timesteps = schedule.timesteps();
        prop_assert!(timesteps.iter().all(|&timestep| (0.0..=TRAINED as f64).contains(&timestep)), "{timesteps:?}");
        let begun = beginnings(&schedule);
        prop_assert_eq!(begun.len(), steps);
        prop_assert!(begun.windows(2).all(|pair| timesteps[pair[0]] >= timesteps[pair[1]]), "{timesteps:?}");
        let noise = |index: usize| schedule.level(index).sigma;
        prop_assert!(begun.windows(2).all(|pair| noise(pair[0]) >= noise(pair[1])));
        prop_assert!(noise(timesteps.len()) < 0.03, "{} is left", noise(timesteps.len()));
    }

    #[test]
    fn a_model_that_knows_the_end_is_followed_to_it(
        kind in kind(),
        spacing in spacing(),
        prediction in prop::sample::select(vec!["epsilon", "v_prediction", "sample"]),
        // Divisors, since the reference's DDIM takes whole strides and else stops a little short.
        steps in prop::sample::select(vec![1_usize, 2, 4, 5, 8, 10, 20, 25, 40, 50]),
        pixels in prop::collection::vec((-2.0_f32..2.0, -3.0_f32..3.0, -3.0_f32..3.0), 4),
    ) {
        // The first level of a straight path has no signal, so that its noise says nothing of the picture.
        let prediction = if kind.solver() == Solver::FlowEuler { "flow_prediction" } else { prediction };
        // These look back along whole strides of timesteps, and on outputs as they were said: velocities of several levels.
        let strides = matches!(kind.solver(), Solver::Pndm | Solver::Ipndm);
        prop_assume!(!strides || (spacing == "leading" && prediction == "epsilon" && kind == kind.solver().into()));
        let mut schedule = Schedule::new(kind, &config(prediction, spacing), steps).expect("the steps fit");
        let of = |pick: fn(&(f32, f32, f32)) -> f32| tensor(&pixels.iter().map(pick).collect::<Vec<_>>());
        let (end, start, drawn) = (of(|pixel| pixel.0), of(|pixel| pixel.1), of(|pixel| pixel.2));
        let mut sample = schedule.add_noise(end.clone(), start, 0);
        let evaluations = schedule.timesteps().len();
        for index in 0..evaluations {
            let said = oracle(prediction, &schedule, index, sample.clone(), end.clone());
            sample = schedule.step(said, index, sample, Some(drawn.clone())).prev_sample;
        }
        let off = off(sample, end);
        // Some leave the noise of the first timestep.
        let left = schedule.level(evaluations).sigma as f32;
        prop_assert!(off < 2e-3 + 10.0 * left, "{kind} {spacing} {prediction}: {off} off after {steps} steps");
    }

    #[test]
    fn no_steps_and_too_many_are_refused(kind in kind(), spacing in spacing(), more in 1_usize..1_000_000) {
        for steps in [0, TRAINED + more] {
            let refused = Schedule::new(kind, &config("epsilon", spacing), steps).expect_err("cannot be made");
            prop_assert!(refused.to_string().contains(&format!("{steps} steps")), "{refused}");
        }
    }

    #[test]
    fn a_run_over_a_picture_begins_with_a_step(kind in kind(), steps in 1_usize..60, strength in 0.0..1.0) {
        let schedule = Schedule::new(kind, &config("epsilon", "leading"), steps).expect("the steps fit");
        let (first, evaluations) = (schedule.start(strength), schedule.timesteps().len());
        prop_assert!(first <= evaluations);
        // PNDM repeats its second timestep wherever it begins, as in the reference.
        prop_assume!(kind.solver() != Solver::Pndm);
        prop_assert!(first == evaluations || beginnings(&schedule).contains(&first), "{kind}: {first}");
    }
}

/// Runs a model of no sense, and says how large what it makes is.
fn size_after(kind: SchedulerKind, config: &SchedulerConfig, steps: usize) -> f32 {
    let mut schedule = Schedule::new(kind, config, steps).expect("the steps fit");
    let device = Device::flex();
    let mut noise = Noise::new(NoiseKind::Philox, Seed(5), 2);
    let mut sampler = StepNoiseSampler::new(&schedule, &noise);
    let mut sample = noise.draw([1, 1, 2], &device) * schedule.init_noise_sigma();
    for index in 0..schedule.timesteps().len() {
        let output = schedule.scale_model_input(sample.clone(), index) * 0.7;
        let drawn = sampler.draw(&schedule, index, &mut noise, [1, 1, 2], &device);
        assert_eq!(drawn.is_some(), schedule.draws_noise(index), "{kind}");
        let step = schedule.step(output, index, sample, drawn);
        sample = step.prev_sample;
    }
    sample.abs().max().into_scalar()
}

#[test]
fn one_step_two_and_a_thousand_stay_finite() {
    for prediction in ["epsilon", "v_prediction", "sample", "flow_prediction"] {
        for spacing in ["leading", "linspace", "trailing"] {
            for kind in SchedulerKind::every() {
                for steps in [1, 2] {
                    let size = size_after(kind, &config(prediction, spacing), steps);
                    assert!(size.is_finite(), "{kind} {prediction} {spacing} {steps}");
                }
            }
        }
    }
    for kind in SchedulerKind::ALL {
        let size = size_after(*kind, &config("v_prediction", "leading"), TRAINED);
        assert!(size.is_finite(), "{kind} of a thousand steps: {size}");
    }
}

#[test]
fn no_signal_at_the_last_timestep_stays_finite() {
    for kind in SchedulerKind::ALL {
        for prediction in ["epsilon", "v_prediction"] {
            let config = SchedulerConfig { rescale_betas_zero_snr: true, ..config(prediction, "trailing") };
            let size = size_after(*kind, &config, 6);
            assert!(size.is_finite(), "{kind} {prediction}: {size}");
        }
    }
}

#[test]
fn the_stochastic_solver_walks_one_path() {
    let kind: SchedulerKind = "DPM++ SDE Karras".parse().expect("a name");
    let schedule = Schedule::new(kind, &config("epsilon", "leading"), 3).expect("the steps fit");
    let asked: Vec<StepNoise> = (0..schedule.timesteps().len()).map(|index| schedule.noise(index)).collect();
    let sigma = |index: usize| schedule.level(index).sigma;
    let path = |from: usize, to: usize| StepNoise::Path { from: sigma(from), to: sigma(to) };
    assert_eq!(asked, [path(0, 1), path(0, 2), path(2, 3), path(2, 4), StepNoise::None]);
}

/// DPM-Solver++ of second order (Lu et al., 2022, algorithm 2), from what a schedule says of its levels.
fn second_order(schedule: &Schedule, model: impl Fn(Tensor<4>) -> Tensor<4>, start: Tensor<4>) -> Tensor<4> {
    let steps = schedule.timesteps().len();
    let lambda = |index: usize| (schedule.level(index).alpha / schedule.level(index).sigma).ln();
    let (mut sample, mut before) = (start * schedule.init_noise_sigma(), None);
    for index in 0..steps {
        let output = model(schedule.scale_model_input(sample.clone(), index));
        let original = schedule.original(output, index, sample.clone());
        let (now, next) = (schedule.level(index), schedule.level(index + 1));
        let h = lambda(index + 1) - lambda(index);
        let aim = match before.replace(original.clone()) {
            Some(before) if index + 1 < steps => {
                let ratio = (lambda(index) - lambda(index - 1)) / h;
                original.clone() + (original - before) * (0.5 / ratio)
            }
            _ => original,
        };
        sample = sample * (next.sigma / now.sigma) + aim * (next.alpha * (1.0 - (-h).exp()));
    }
    sample
}

#[test]
fn a_sampler_of_ones_own_steps_along_a_schedule() {
    let kind: SchedulerKind = "dpmpp-2m-karras".parse().expect("a name");
    let model = |input: Tensor<4>| input.clone() * 0.5 + (input * 2.0).sin();
    let start = tensor(&[0.3, -1.2, 0.8, 2.0]);
    let mut schedule = Schedule::new(kind, &config("v_prediction", "leading"), 9).expect("the steps fit");
    let own = second_order(&schedule, model, start.clone());
    let mut sample = start * schedule.init_noise_sigma();
    for index in 0..9 {
        let output = model(schedule.scale_model_input(sample.clone(), index));
        sample = schedule.step(output, index, sample, None).prev_sample;
    }
    let off = off(own, sample);
    assert!(off < 1e-5, "{off} off");
}
