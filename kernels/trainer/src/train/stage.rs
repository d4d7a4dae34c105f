//! The steps of a stage, from nothing or from where it was left.

use super::{TrainOptions, pace::Pace, shards::Shards};
use crate::{
    LearningRate, MixedPrecision, Report, TrainError,
    average::{Average, parameters},
    checkpoint::{Checkpoint, State},
};
use burn::{
    module::{Module, ParamId},
    optim::ModuleOptimizer,
    tensor::{Device, FloatDType, Tensor},
};
use diffusion::nn::{BuilderRoot, LoadError};
use std::{ops::Range, path::Path};

/// How much of the averaged weights stays in a step.
const DECAY: f64 = 0.999;

/// What is particular to a stage.
pub trait Recipe: Sync {
    /// What is trained.
    type Model: Module + Sync;

    /// Seed of a new model's weights.
    const SEED: u64;

    /// Builds the model from a checkpoint's tensors or from random ones.
    fn build(&self, root: &BuilderRoot<'_>) -> Result<Self::Model, TrainError>;

    /// What a new model goes through before its first step.
    fn prepare(&self, model: Self::Model, _report: &mut dyn FnMut(Report)) -> Result<Self::Model, TrainError> {
        Ok(model)
    }

    /// A new optimiser.
    fn optimiser(&self) -> ModuleOptimizer;

    /// Mean over these places of a step's batch: of what is minimised, and of what is reported.
    fn loss(&self, model: &Self::Model, step: u64, places: Range<usize>, device: &Device) -> (Tensor<1>, Tensor<1>);

    /// Called whenever the stage was saved.
    fn saved(&self, _step: u64) -> Result<(), TrainError> {
        Ok(())
    }
}

/// A stage's place on disk and in time.
pub struct Stage<'a> {
    name: &'static str,
    options: &'a TrainOptions,
    checkpoint: Checkpoint,
    saved: Option<State>,
    pace: Pace<'a>,
    batch: usize,
    rate: LearningRate,
}

/// A model with its optimiser and its average.
struct Run<M> {
    model: M,
    names: Vec<(ParamId, String)>,
    average: Average,
    optimiser: ModuleOptimizer,
}

impl<'a> Stage<'a> {
    /// Finds out how far the stage is.
    ///
    /// # Errors
    /// [`TrainError`] when it was saved but cannot be read.
    pub fn open(
        options: &'a TrainOptions,
        name: &'static str,
        length: super::TrainLength,
        batch: usize,
        rate: LearningRate,
    ) -> Result<Self, TrainError> {
        let checkpoint = Checkpoint::new(&options.out, name);
        let saved = checkpoint.state()?;
        let pace = Pace::new(options, name, length, batch, saved.unwrap_or_default());
        Ok(Self { name, options, checkpoint, saved, pace, batch, rate })
    }

    /// Takes the steps that are left, and saves now and then and at the end.
    ///
    /// # Errors
    /// [`TrainError`]; what was saved stays usable.
    pub fn run<R: Recipe>(mut self, recipe: &R, report: &mut dyn FnMut(Report)) -> Result<(), TrainError> {
        if self.pace.is_over() {
            return Ok(());
        }
        let device = self.options.device.clone().autodiff();
        let mut run = self.begin(recipe, &device, report)?;
        run.model = run.model.set_require_grad(true);
        let shards = Shards::new(&self.options.device, self.batch)?;
        while !self.pace.is_over() {
            let loss;
            (run, loss) = self.step(recipe, run, &shards, &device)?;
            self.pace.step(loss, report);
            if self.pace.wants_save() {
                let Run { model, names, average, optimiser } = &run;
                self.checkpoint.save(self.pace.state, names, &parameters(model), &average.parameters, optimiser)?;
                recipe.saved(self.pace.state.step)?;
            }
        }
        Ok(())
    }

    /// One step; gives its loss too.
    fn step<R: Recipe>(
        &mut self,
        recipe: &R,
        mut run: Run<R::Model>,
        shards: &Shards,
        device: &Device,
    ) -> Result<(Run<R::Model>, f64), TrainError> {
        let step = self.pace.state.step;
        let is_scaled = self.options.mixed_precision == MixedPrecision::Fp16;
        let mut scale = is_scaled.then(|| self.pace.state.loss_scale.unwrap_or_default());
        let factor = scale.map_or(1.0, |scale| scale.factor);
        let (loss, gradients) =
            shards.gradients(&run.model, self.batch, factor, |model, places| recipe.loss(model, step, places, device));
        if !loss.is_finite() && factor <= 1.0 {
            return Err(TrainError::Diverged { stage: self.name, step });
        }
        let gradients = match &mut scale {
            Some(scale) => scale.unscale(&run.model, gradients),
            None => Some(gradients),
        };
        self.pace.state.loss_scale = scale;
        if let Some(gradients) = gradients {
            run.model = run.optimiser.step(self.rate.at(step, self.pace.done()), run.model, gradients);
            run.average.update(step, parameters(&run.model));
        }
        Ok((run, loss))
    }

    fn begin<R: Recipe>(
        &self,
        recipe: &R,
        device: &Device,
        report: &mut dyn FnMut(Report),
    ) -> Result<Run<R::Model>, TrainError> {
        let optimiser = recipe.optimiser();
        let Some(state) = self.saved else {
            let root = BuilderRoot::random(R::SEED, device).with_product_dtype(self.options.mixed_precision.dtype());
            let model = recipe.prepare(recipe.build(&root)?, report)?;
            let average = Average::new(DECAY, parameters(&model));
            return Ok(Run { names: root.names(), model, average, optimiser });
        };
        let products = self.options.mixed_precision.dtype();
        let (model, names) = load(&self.checkpoint.weights(), device, products, |root| recipe.build(root))?;
        let (averaged, _) = load(&self.checkpoint.average(), &self.options.device, None, |root| recipe.build(root))?;
        let average = Average::new(DECAY, parameters(&averaged));
        Ok(Run { model, names, average, optimiser: self.checkpoint.load_optimiser(state, optimiser)? })
    }
}

/// Builds a model from a checkpoint's file, which must hold nothing else.
///
/// # Errors
/// [`TrainError`] when the file does not fit.
pub fn load<T>(
    path: &Path,
    device: &Device,
    product_dtype: Option<FloatDType>,
    build: impl FnOnce(&BuilderRoot<'_>) -> Result<T, TrainError>,
) -> Result<(T, Vec<(ParamId, String)>), TrainError> {
    let source = weights::open_path(path)?;
    let root = BuilderRoot::from_checkpoint(&*source, device, false);
    let root = root.with_product_dtype(product_dtype).with_plain_parameters();
    let module = build(&root)?;
    root.finish("").map_err(|error: LoadError| TrainError::Load(error))?;
    Ok((module, root.names()))
}
