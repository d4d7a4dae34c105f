//! How noise is taken away: the field's schedulers by diffusers' definitions.
//!
//! A scheduler is a solver and the noise levels it visits ([`spec::SchedulerKind`]), under what a model expects of it
//! ([`SchedulerConfig`]). Tables are plain `f64`; only a step's few sums and products run on the device, so that a scheduler
//! costs nothing there.
//!
//! # One run, step by step
//!
//! A [`Schedule`] is one run. For each of its evaluations: scale the sample, ask the model, draw the noise that the solver wants,
//! step.
//!
//! ```
//! # use burn::tensor::{Device, Tensor, TensorData};
//! # use diffusion::{noise::Noise, scheduler::{Schedule, SchedulerConfig, StepNoiseSampler}};
//! # use spec::{NoiseKind, Seed};
//! # let device = Device::flex();
//! # let model = |input: Tensor<4>, _timestep: f64| input * 0.5;
//! let config = SchedulerConfig::from_json(r#"{"beta_schedule":"scaled_linear","beta_start":0.00085,"beta_end":0.012}"#)?;
//! let mut schedule = Schedule::new("DPM++ SDE Karras".parse()?, &config, 4)?;
//! let (mut noise, shape) = (Noise::new(NoiseKind::Philox, Seed(1), 1), [4, 8, 8]);
//! let mut sample = noise.draw(shape, &device) * schedule.init_noise_sigma();
//! let mut sampler = StepNoiseSampler::new(&schedule, &noise);
//! for index in 0..schedule.timesteps().len() {
//!     let input = schedule.scale_model_input(sample.clone(), index);
//!     let output = model(input, schedule.timesteps()[index]);
//!     let drawn = sampler.draw(&schedule, index, &mut noise, shape, &device);
//!     sample = schedule.step(output, index, sample, drawn).prev_sample;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A sampler of one's own takes from a schedule what it needs, [`Schedule::level`] and [`Schedule::original`], and steps by itself.

mod beta;
mod brownian;
mod config;
mod consistency;
mod ddim;
mod ddpm;
mod deis;
mod dpm2;
mod euler;
mod heun;
mod level;
mod lms;
mod multistep;
mod plan;
mod pndm;
mod schedule;
mod singlestep;
mod spacing;
mod step_noise;
mod table;
mod unipc;

pub use brownian::BrownianTree;
pub use config::{SchedulerConfig, SchedulerOptions};
pub use level::Level;
pub use plan::StepNoise;
pub use schedule::{Schedule, SchedulerError, StepOutput};
pub use step_noise::StepNoiseSampler;
pub use table::NoiseTable;
