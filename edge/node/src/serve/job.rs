//! One job under its lease, from its inputs to its end.

use super::{
    backoff::retry,
    blocking::blocking,
    checker::{Checker, LONGEST_CHECK, is_flagged_in_time},
    compute::{Compute, Failure, Paint, Painted, Place},
    edge::{CallError, Edge, JobRef},
    finish::{self, Draft, Finished},
    guard::Guard,
    inputs,
    keep_alive::keep_alive,
    log,
    node::Node,
    watch::{Stage, Watch},
};
use api::{
    node::{End, Lease, Made, Outcome},
    request::{Censor, ImageRequest, ImageSource, Task},
};
use diffusion::{infotext::infotext, picture::Picture};
use image::DynamicImage;
use serde_json::Value;
use spec::{GenerateSpec, InitImageSpec, ModelId, Seed, Strength};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{select, time::timeout};

/// Longest that a run may go without a step.
const LONGEST_STEP: Duration = Duration::from_mins(10);

/// Why a job ends without pictures.
enum Stop {
    /// The lease is over: nobody wants to hear of it.
    Lost,
    /// What the edge is told.
    With(Outcome),
}

impl Stop {
    fn refused(reason: impl Into<String>) -> Self {
        Self::With(Outcome::Refused { reason: reason.into() })
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::With(Outcome::Failed { reason: reason.into() })
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Cancelled => Self::Lost,
            Failure::Refused(reason) => Self::refused(reason),
            Failure::Failed(reason) => Self::failed(reason),
        }
    }
}

/// A job and everything that it is done with.
struct Job {
    node: Arc<Node>,
    at: JobRef,
    watch: Arc<Watch>,
}

/// Does the work of a lease and says how it ended.
pub async fn run(node: Arc<Node>, lease: Lease, place: Place) {
    let Lease { account, job, epoch, lease_ms, request, model, previews, traceparent } = lease;
    let length = Duration::from_millis(lease_ms);
    let watch = if request.censor.is_some() { Watch::unseen(length) } else { Watch::new(length, previews) };
    let watch = Arc::new(watch);
    let at = JobRef { account, job, epoch, traceparent };
    let job = Job { node, at, watch };
    job.log("lease taken", &[("model", model.as_str().into()), ("task", request.task.word().into())]);
    let started = Instant::now();
    let outcome = select! {
        stopped = job.work(request, model, place) => match stopped {
            Ok(outcome) | Err(Stop::With(outcome)) => Some(outcome),
            Err(Stop::Lost) => None,
        },
        () = keep_alive(&job.node.edge, &job.at, &job.watch) => None,
        () = job.node.drain.hands_back(&job.watch) => Some(Outcome::HandedBack),
        () = without_a_step(&job.watch, LONGEST_STEP) => {
            job.node.health.computing_stuck();
            Some(Outcome::Failed { reason: "the node's device did not move for ten minutes".to_owned() })
        }
    };
    // Whatever still runs for it is for nobody.
    job.watch.cancel.cancel();
    let word = outcome.as_ref().map_or("lost", outcome_word);
    let told = match outcome {
        Some(outcome) => job.end(outcome).await,
        None => Ok(()),
    };
    let word = if told.is_ok() { word } else { "lost" };
    job.node.metrics.job(word);
    job.log("lease ended", &[("outcome", word.into()), ("seconds", started.elapsed().as_secs_f64().into())]);
}

/// Gives back a lease that the node has no place for.
pub async fn hand_back(node: Arc<Node>, lease: Lease) {
    let watch = Arc::new(Watch::new(Duration::from_millis(lease.lease_ms), false));
    let at = JobRef { account: lease.account, job: lease.job, epoch: lease.epoch, traceparent: lease.traceparent };
    let job = Job { node, at, watch };
    let told = job.end(Outcome::HandedBack).await;
    let word = if told.is_ok() { "handed_back" } else { "lost" };
    job.node.metrics.job(word);
    job.log("lease ended", &[("outcome", word.into())]);
}

/// Whether a job can be computed together with others.
pub const fn can_join(request: &ImageRequest) -> bool {
    matches!(request.task, Task::Generate { .. })
}

const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Failed { .. } => "failed",
        Outcome::Refused { .. } => "refused",
        Outcome::HandedBack => "handed_back",
    }
}

/// Returns when a job that is computed has not moved for `longest`.
async fn without_a_step(watch: &Watch, longest: Duration) {
    let mut stages = watch.listen();
    loop {
        let stage = *stages.borrow_and_update();
        let changed = match stage {
            Stage::Computing(_) => match timeout(longest, stages.changed()).await {
                Ok(changed) => changed,
                Err(_) => return,
            },
            Stage::Waiting | Stage::Finishing => stages.changed().await,
        };
        if changed.is_err() {
            return;
        }
    }
}

impl Job {
    fn edge(&self) -> &Edge {
        &self.node.edge
    }

    fn log(&self, message: &str, fields: &[(&str, Value)]) {
        let JobRef { account, job, epoch, traceparent } = &self.at;
        let mut all: Vec<(&str, Value)> = vec![
            ("account", account.as_str().into()),
            ("job", (*job).into()),
            ("epoch", (*epoch).into()),
            ("traceparent", traceparent.as_str().into()),
        ];
        all.extend(fields.iter().cloned());
        log::info(message, &all);
    }

    async fn end(&self, outcome: Outcome) -> Result<(), CallError> {
        let end = End { epoch: self.at.epoch, outcome };
        retry(|| self.watch.is_alive(), || self.edge().end(&self.at, &end)).await
    }

    async fn work(&self, request: ImageRequest, model: ModelId, place: Place) -> Result<Outcome, Stop> {
        let guard = self.guard(request.censor)?;
        let enlarge = request.upscale.max(1);
        let (spec, image, mask) = match request.task {
            Task::Upscale { image, factor } => {
                return self.remade(&image, inputs::whole, factor.saturating_mul(enlarge), guard).await;
            }
            Task::Crop { image } => return self.remade(&image, inputs::square, enlarge, guard).await,
            Task::Check { image, threshold } => return self.judged(&image, threshold, guard).await,
            Task::Generate { spec } => (GenerateSpec { init: None, ..spec }, None, None),
            Task::Edit { spec, image } => (spec, Some(image), None),
            Task::Inpaint { spec, image, mask } => (spec, Some(image), Some(mask)),
        };
        self.check(&spec, &model, enlarge)?;
        let size = spec.size;
        let init = match &image {
            Some(source) => Some(self.input(source, move |image| inputs::covering(image, size)).await?),
            None => None,
        };
        let mask = match &mask {
            Some(source) => Some(self.input(source, move |mask| inputs::mask_covering(mask, size)).await?),
            None => None,
        };
        let spec = GenerateSpec { init: init.as_ref().map(|_| spec.init.unwrap_or_else(usual_init)), ..spec };
        let paint = Paint { model: model.clone(), spec: spec.clone(), init, mask };
        let painted = self.compute().paint(paint, Arc::clone(&self.watch), place).await?;
        self.watch.enter(Stage::Finishing);
        let Painted { pictures, scheduler, seconds, batch } = painted;
        let drafts = pictures.into_iter().enumerate().map(|(index, picture)| {
            let seed = spec.seed.0.wrapping_add(index as u64);
            let parameters = infotext(&GenerateSpec { seed: Seed(seed), ..spec.clone() }, scheduler, model.as_str());
            Draft { picture, seed, parameters, is_flagged: false }
        });
        let began = Instant::now();
        let finished = files(drafts, enlarge, guard.as_ref()).await?;
        let seconds = seconds + began.elapsed().as_secs_f64();
        Ok(Outcome::Done { pictures: self.upload(finished).await?, seconds, batch })
    }

    fn compute(&self) -> &Compute {
        &self.node.compute
    }

    /// Refuses at once what would be refused after hours of waiting.
    fn check(&self, spec: &GenerateSpec, model: &ModelId, enlarge: u32) -> Result<(), Stop> {
        let (width, height) = spec.size.into();
        let entry = self.node.catalogue.get(model);
        let Some(entry) = entry else {
            return Err(Stop::refused(format!("there is no model `{}` on this node", model.as_str())));
        };
        let (most, multiple) = (entry.offer.max_side, entry.offer.multiple);
        if width > most || height > most {
            let model = model.as_str();
            return Err(Stop::refused(format!(
                "{width} x {height} is too large for the model `{model}`, whose sides are at most {most}"
            )));
        }
        if !width.is_multiple_of(multiple) || !height.is_multiple_of(multiple) {
            return Err(Stop::refused(format!(
                "{width} x {height} does not fit the model `{}`: both sides must be multiples of {multiple}",
                model.as_str()
            )));
        }
        finish::check_enlarged(width, height, enlarge).map_err(Stop::refused)
    }

    fn checker(&self) -> Result<Arc<dyn Checker>, Stop> {
        let none = "this node has no checker, so it judges no pictures and makes none that must be checked";
        self.node.checker.clone().ok_or_else(|| Stop::refused(none))
    }

    fn guard(&self, censor: Option<Censor>) -> Result<Option<Guard>, Stop> {
        censor.map(|censor| Ok(Guard { checker: self.checker()?, censor })).transpose()
    }

    /// An input that `make` cuts and that is enlarged, by no model.
    async fn remade(
        &self,
        source: &ImageSource,
        make: fn(&DynamicImage) -> Picture,
        factor: u32,
        guard: Option<Guard>,
    ) -> Result<Outcome, Stop> {
        let picture = self.input(source, make).await?;
        finish::check_enlarged(picture.width, picture.height, factor).map_err(Stop::refused)?;
        self.watch.enter(Stage::Finishing);
        let began = Instant::now();
        let draft = Draft { picture, seed: 0, parameters: String::new(), is_flagged: false };
        let finished = files([draft], factor, guard.as_ref()).await?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Outcome::Done { pictures: self.upload(finished).await?, seconds, batch: 1 })
    }

    /// An input as it was, with what the checker says of it; a guard judges it beside that, as every picture.
    async fn judged(&self, source: &ImageSource, threshold: f32, guard: Option<Guard>) -> Result<Outcome, Stop> {
        let checker = self.checker()?;
        let picture = Arc::new(self.input(source, inputs::whole).await?);
        self.watch.enter(Stage::Finishing);
        let began = Instant::now();
        let is_flagged = is_flagged_in_time(checker, Arc::clone(&picture), threshold, LONGEST_CHECK).await;
        let picture = Arc::unwrap_or_clone(picture);
        let draft = Draft { picture, seed: 0, parameters: String::new(), is_flagged };
        let finished = files([draft], 1, guard.as_ref()).await?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Outcome::Done { pictures: self.upload(finished).await?, seconds, batch: 1 })
    }

    /// Fetches an input, decodes it, and makes of it what the run takes.
    async fn input(
        &self,
        source: &ImageSource,
        make: impl FnOnce(&DynamicImage) -> Picture + Send + 'static,
    ) -> Result<Picture, Stop> {
        let ImageSource::Upload(name) = source else {
            return Err(Stop::refused("nodes take pictures from the edge alone, not from addresses"));
        };
        let bytes = retry(|| self.watch.is_alive(), || self.edge().input(&self.at, name)).await;
        let bytes = bytes.map_err(|error| match error {
            CallError::Rejected(_) => Stop::refused(format!("the input `{name}` is not there")),
            _ => Stop::Lost,
        })?;
        let name = name.clone();
        let decoded = blocking("an input", move || Ok(make(&inputs::decode(&name, &bytes)?))).await;
        decoded.map_err(Stop::failed)?.map_err(|reason: String| Stop::refused(reason))
    }

    /// Hands in every picture, in order.
    async fn upload(&self, files: Vec<Finished>) -> Result<Vec<Made>, Stop> {
        let began = Instant::now();
        let mut all = Vec::with_capacity(files.len());
        for (index, Finished { made, png }) in files.into_iter().enumerate() {
            retry(|| self.watch.is_alive(), || self.edge().upload(&self.at, index, &png, &made.sha256)).await.map_err(
                |error| match error {
                    CallError::Rejected(_) => Stop::failed("the edge did not take a finished picture"),
                    _ => Stop::Lost,
                },
            )?;
            all.push(made);
        }
        self.node.metrics.phase("upload", began.elapsed().as_secs_f64());
        Ok(all)
    }
}

/// How a picture is used where a request does not say.
fn usual_init() -> InitImageSpec {
    InitImageSpec { strength: Strength::default() }
}

/// Files of all drafts, one after the other, so that no more than one of them is large in memory.
async fn files(
    drafts: impl IntoIterator<Item = Draft>,
    factor: u32,
    guard: Option<&Guard>,
) -> Result<Vec<Finished>, Stop> {
    let mut files = Vec::new();
    for draft in drafts {
        files.push(finish::file(draft, factor, guard).await.map_err(Stop::failed)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{Phase, Progress};

    #[tokio::test]
    async fn only_a_job_that_is_computed_can_be_without_a_step() {
        let watch = Watch::new(Duration::from_mins(1), false);
        let short = Duration::from_millis(5);
        assert!(timeout(short * 10, without_a_step(&watch, short)).await.is_err());
        watch.enter(Stage::Computing(Some(Progress {
            phase: Phase::Denoising,
            step: 1,
            of: 2,
            seconds_per_step: None,
            eta_seconds: None,
        })));
        without_a_step(&watch, short).await;
        watch.enter(Stage::Finishing);
        assert!(timeout(short * 10, without_a_step(&watch, short)).await.is_err());
    }
}
