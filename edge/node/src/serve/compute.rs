//! The one thread that computes.
//!
//! Models are not `Send`, and a device that is shared by two runs is slower than one that runs a batch, so there is one thread
//! that owns all of them. Jobs wait in its queue; those that ask for the same kind of run are computed as one. Whatever goes
//! wrong in a run, the thread goes on: a panic costs the model, which is loaded anew, and the job that caused it; jobs that
//! were only in the same batch get a run of their own.

use super::{health::Health, log, metrics::Metrics, observer::BatchObserver, watch::Watch};
use diffusion::{
    picture::Picture,
    pipeline::CancelToken,
    prompt::{ExtraNetwork, take_networks},
};
use spec::{GenerateSpec, ModelId, SchedulerKind};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Most pictures that jobs are joined for; a job that asks for more still gets them.
const MOST_PICTURES: u32 = 8;
/// Longest that a run waits for jobs of the same lease answer, which are on their way to the queue.
const GATHER: Duration = Duration::from_secs(1);

/// What is to be painted.
#[derive(Debug, Clone)]
pub struct Paint {
    /// By what.
    pub model: ModelId,
    /// What, and how.
    pub spec: GenerateSpec,
    /// The picture to start from, of the spec's size.
    pub init: Option<Picture>,
    /// White where it is painted, of the spec's size.
    pub mask: Option<Picture>,
}

impl Paint {
    /// Whether both can be one run: everything is equal that a run has once. Pictures to start from are left out, since they
    /// would have to agree in more than their parameters.
    fn joins(&self, other: &Self) -> bool {
        let (a, b) = (&self.spec, &other.spec);
        let is_plain = |paint: &Self| paint.init.is_none() && paint.mask.is_none();
        is_plain(self)
            && is_plain(other)
            && self.model == other.model
            && a.size == b.size
            && a.steps == b.steps
            && a.guidance == b.guidance
            && a.guidance_rescale == b.guidance_rescale
            && a.scheduler == b.scheduler
            && a.clip_skip == b.clip_skip
            && networks(&a.prompt) == networks(&b.prompt)
    }
}

/// The LoRAs that a prompt asks for, which a run has once; nothing where it cannot be read, and is refused.
fn networks(prompt: &str) -> Vec<ExtraNetwork> {
    take_networks(prompt).map(|(_, networks)| networks).unwrap_or_default()
}

/// What was painted.
#[derive(Debug, Clone)]
pub struct Painted {
    /// In the order of the batch.
    pub pictures: Vec<Picture>,
    /// The scheduler that was really used.
    pub scheduler: SchedulerKind,
    /// Seconds that the run took.
    pub seconds: f64,
    /// Jobs that ran together.
    pub batch: u32,
}

/// Why nothing was painted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nobody wants it any more.
    Cancelled,
    /// Nobody could do it; the sentence is for the job's owner.
    Refused(String),
    /// This node could not do it; the sentence is for the job's owner.
    Failed(String),
}

/// A job for the thread.
#[derive(Debug)]
pub struct Work {
    paint: Paint,
    watch: Arc<Watch>,
    number: u64,
    queued: Instant,
    /// Whether it already was in a batch that broke.
    is_alone: bool,
    reply: oneshot::Sender<Result<Painted, Failure>>,
}

/// What a run needs of the models.
pub trait Engine {
    /// Computes jobs as one run; all of them can be joined.
    fn paint(
        &mut self,
        batch: &[&Paint],
        observer: &mut BatchObserver,
        cancel: &CancelToken,
    ) -> Result<Vec<(Vec<Picture>, SchedulerKind)>, Failure>;

    /// Drops a model that a run broke.
    fn forget(&mut self, model: &ModelId);
}

/// The thread, from outside.
#[derive(Debug, Clone)]
pub struct Compute {
    inbox: mpsc::Sender<Work>,
    numbers: Arc<AtomicU64>,
    arriving: Arc<AtomicUsize>,
}

/// A job's place in the queue, which it can take later than those behind it.
#[derive(Debug)]
pub struct Place {
    number: u64,
    /// Runs wait a moment for it, until it is there or dropped.
    _arriving: Option<Arriving>,
}

/// A promise that a job will soon be in the queue; kept, or withdrawn by dropping it.
#[derive(Debug)]
struct Arriving(Arc<AtomicUsize>);

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Compute {
    /// Starts the thread; `engine` is made on it. At most `slots` jobs wait.
    pub fn start<E: Engine>(
        slots: usize,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        engine: impl FnOnce() -> E + Send + 'static,
    ) -> std::io::Result<Self> {
        let (inbox, outbox) = mpsc::channel(slots);
        let arriving = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&arriving);
        thread::Builder::new().name("compute".to_owned()).spawn(move || {
            Worker { engine: engine(), inbox: outbox, arriving: seen, queue: VecDeque::new(), metrics, health }.run();
        })?;
        Ok(Self { inbox, numbers: Arc::default(), arriving })
    }

    /// The last place in the queue; a job that can be joined is on its way at once, and worth waiting for.
    pub fn place(&self, can_join: bool) -> Place {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let arriving = can_join.then(|| {
            self.arriving.fetch_add(1, Ordering::Relaxed);
            Arriving(Arc::clone(&self.arriving))
        });
        Place { number, _arriving: arriving }
    }

    /// Has a job painted. Dropping the future does not stop the run; the watch's token does.
    pub async fn paint(&self, paint: Paint, watch: Arc<Watch>, place: Place) -> Result<Painted, Failure> {
        let (reply, painted) = oneshot::channel();
        let work = Work { paint, watch, number: place.number, queued: Instant::now(), is_alone: false, reply };
        let gone = || Failure::Failed("the node's computing has ended".to_owned());
        self.inbox.send(work).await.map_err(|_| gone())?;
        drop(place);
        painted.await.map_err(|_| gone())?
    }
}

struct Worker<E> {
    engine: E,
    inbox: mpsc::Receiver<Work>,
    arriving: Arc<AtomicUsize>,
    queue: VecDeque<Work>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl<E: Engine> Worker<E> {
    /// Works until nobody can send any more.
    fn run(mut self) {
        loop {
            if self.queue.is_empty() {
                let Some(work) = self.inbox.blocking_recv() else { return };
                self.queue.push_back(work);
            }
            self.gather();
            self.queue.retain(|work| !work.watch.cancel.is_cancelled());
            self.queue.make_contiguous().sort_by_key(|work| work.number);
            let batch = take_batch(&mut self.queue);
            if !batch.is_empty() {
                self.compute(batch);
                self.health.computing_goes_on();
            }
        }
    }

    /// Takes in what was sent, and waits a moment for what is on its way.
    fn gather(&mut self) {
        let started = Instant::now();
        loop {
            // Asked before the inbox is emptied, so that what arrived in between is seen.
            let is_more_coming = self.arriving.load(Ordering::Acquire) > 0;
            while let Ok(work) = self.inbox.try_recv() {
                self.queue.push_back(work);
            }
            if !is_more_coming || started.elapsed() > GATHER {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn compute(&mut self, batch: Vec<Work>) {
        for work in &batch {
            self.metrics.queue_wait(work.queued.elapsed().as_secs_f64());
        }
        self.metrics.batch(batch.len());
        let jobs = batch.len() as u32;
        let cancel = CancelToken::default();
        let watches = batch.iter().map(|work| (Arc::clone(&work.watch), work.paint.spec.batch.get())).collect();
        let mut observer = BatchObserver::new(watches, cancel.clone(), Arc::clone(&self.metrics));
        let paints: Vec<_> = batch.iter().map(|work| &work.paint).collect();
        let started = Instant::now();
        let engine = &mut self.engine;
        // Whatever a panic leaves half done is the model's, which is dropped below.
        let run = catch_unwind(AssertUnwindSafe(|| engine.paint(&paints, &mut observer, &cancel)));
        let seconds = started.elapsed().as_secs_f64();
        match run {
            Ok(Ok(parts)) => {
                for (work, (pictures, scheduler)) in batch.into_iter().zip(parts) {
                    let painted = Painted { pictures, scheduler, seconds, batch: jobs };
                    // Whoever no longer listens has no lease any more.
                    work.reply.send(Ok(painted)).ok();
                }
            }
            Ok(Err(failure @ (Failure::Cancelled | Failure::Refused(_)))) => answer(batch, &failure),
            Ok(Err(failure @ Failure::Failed(_))) => self.broke(batch, &failure),
            Err(_) => self.broke(
                batch,
                &Failure::Failed(
                    "the computation broke off, perhaps for want of memory; a smaller picture may work".to_owned(),
                ),
            ),
        }
    }

    /// Drops the model; a job that was not alone gets a run of its own.
    fn broke(&mut self, batch: Vec<Work>, failure: &Failure) {
        let Some(model) = batch.first().map(|work| work.paint.model.clone()) else { return };
        log::error("a run broke", &[("model", model.as_str().into()), ("jobs", batch.len().into())]);
        let engine = &mut self.engine;
        if catch_unwind(AssertUnwindSafe(|| engine.forget(&model))).is_err() {
            log::error("the broken model could not be dropped", &[("model", model.as_str().into())]);
        }
        if batch.len() == 1 {
            answer(batch, failure);
        } else {
            self.queue.extend(batch.into_iter().map(|work| Work { is_alone: true, ..work }));
        }
    }
}

fn answer(batch: Vec<Work>, failure: &Failure) {
    for work in batch {
        work.reply.send(Err(failure.clone())).ok();
    }
}

/// The longest waiting job, and all that can be joined to it.
fn take_batch(queue: &mut VecDeque<Work>) -> Vec<Work> {
    let Some(first) = queue.pop_front() else { return Vec::new() };
    let mut pictures = first.paint.spec.batch.get();
    let mut batch = vec![first];
    let mut left = VecDeque::with_capacity(queue.len());
    while let Some(work) = queue.pop_front() {
        let more = work.paint.spec.batch.get();
        let fits = pictures + more <= MOST_PICTURES && !batch[0].is_alone && !work.is_alone;
        if fits && batch[0].paint.joins(&work.paint) {
            pictures += more;
            batch.push(work);
        } else {
            left.push_back(work);
        }
    }
    *queue = left;
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paints one grey pixel a picture, breaks on some prompts, and notes every run.
    struct Fake {
        runs: std::sync::mpsc::Sender<(usize, &'static str, u32)>,
    }

    impl Engine for Fake {
        fn paint(
            &mut self,
            batch: &[&Paint],
            observer: &mut BatchObserver,
            cancel: &CancelToken,
        ) -> Result<Vec<(Vec<Picture>, SchedulerKind)>, Failure> {
            let asks = |word: &str| batch.iter().any(|paint| paint.spec.prompt == word);
            self.runs.send((batch.len(), "run", batch[0].spec.steps.get())).unwrap();
            observer.loading();
            assert!(!asks("panic"), "asked to");
            if asks("fail") {
                return Err(Failure::Failed("asked to".to_owned()));
            }
            while asks("endless") && !cancel.is_cancelled() {
                observer.loading();
                thread::sleep(Duration::from_millis(1));
            }
            if cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let pixel = Picture { width: 1, height: 1, rgb: vec![128; 3] };
            let pictures = |paint: &&Paint| vec![pixel.clone(); paint.spec.batch.get() as usize];
            Ok(batch.iter().map(|paint| (pictures(paint), spec::Solver::Ddim.into())).collect())
        }

        fn forget(&mut self, _model: &ModelId) {
            self.runs.send((0, "forget", 0)).unwrap();
        }
    }

    fn paint(prompt: &str, steps: u32) -> Paint {
        let spec = format!(r#"{{"prompt":"{prompt}","size":[64,64],"steps":{steps}}}"#);
        let spec = serde_json::from_str(&spec).unwrap();
        Paint { model: ModelId::new("demo").unwrap(), spec, init: None, mask: None }
    }

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(Duration::from_mins(1), false))
    }

    fn start() -> (Compute, std::sync::mpsc::Receiver<(usize, &'static str, u32)>) {
        let (runs, seen) = std::sync::mpsc::channel();
        let compute = Compute::start(8, Arc::default(), Arc::default(), || Fake { runs }).unwrap();
        (compute, seen)
    }

    /// Sends them so that all are in the queue before the first run.
    async fn together(compute: &Compute, paints: Vec<Paint>) -> Vec<Result<Painted, Failure>> {
        let placed: Vec<_> = paints.into_iter().map(|paint| (paint, compute.place(true))).collect();
        let mut tasks = Vec::new();
        for (paint, place) in placed {
            let compute = compute.clone();
            tasks.push(tokio::spawn(async move { compute.paint(paint, watch(), place).await }));
        }
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    }

    #[tokio::test]
    async fn like_jobs_run_as_one_and_others_alone() {
        let (compute, seen) = start();
        let results = together(&compute, vec![paint("a", 4), paint("b", 4), paint("c", 5)]).await;
        let batches: Vec<_> = results.into_iter().map(|made| made.unwrap().batch).collect();
        assert_eq!(batches, [2, 2, 1]);
        assert_eq!(seen.try_iter().map(|(jobs, ..)| jobs).sum::<usize>(), 3);
    }

    #[tokio::test]
    async fn places_count_and_not_who_comes_first() {
        let (compute, seen) = start();
        let places = [(); 3].map(|()| compute.place(true));
        let paints = [paint("a", 4), paint("b", 5), paint("c", 6)];
        let runs = places.into_iter().zip(paints).rev().map(|(place, paint)| {
            let compute = compute.clone();
            tokio::spawn(async move { compute.paint(paint, watch(), place).await })
        });
        for run in runs.collect::<Vec<_>>() {
            assert!(run.await.unwrap().is_ok());
        }
        assert_eq!(seen.try_iter().map(|(.., steps)| steps).collect::<Vec<_>>(), [4, 5, 6]);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_job_and_the_model() {
        let (compute, seen) = start();
        let results = together(&compute, vec![paint("a", 4), paint("panic", 4), paint("b", 4)]).await;
        assert!(results[0].is_ok() && results[2].is_ok());
        assert!(matches!(&results[1], Err(Failure::Failed(why)) if why.contains("broke off")));
        let seen: Vec<_> = seen.try_iter().collect();
        assert_eq!(seen.iter().filter(|(_, what, _)| *what == "forget").count(), 2, "{seen:?}");
        assert_eq!(seen.iter().filter(|run| **run == (1, "run", 4)).count(), 3, "{seen:?}");
        assert!(compute.paint(paint("c", 4), watch(), compute.place(true)).await.is_ok());
    }

    #[tokio::test]
    async fn a_failure_is_told_and_the_next_job_runs() {
        let (compute, _seen) = start();
        let failed = compute.paint(paint("fail", 4), watch(), compute.place(true)).await;
        assert_eq!(failed.err(), Some(Failure::Failed("asked to".to_owned())));
        assert!(compute.paint(paint("a", 4), watch(), compute.place(true)).await.is_ok());
    }

    #[tokio::test]
    async fn a_batch_stops_when_nobody_wants_any_of_it() {
        let (compute, seen) = start();
        let (first, second) = (watch(), watch());
        let run = |watch: &Arc<Watch>| {
            let (compute, watch, place) = (compute.clone(), Arc::clone(watch), compute.place(true));
            tokio::spawn(async move { compute.paint(paint("endless", 4), watch, place).await })
        };
        let tasks = [run(&first), run(&second)];
        let mut listen = first.listen();
        listen.changed().await.unwrap();
        first.cancel.cancel();
        second.cancel.cancel();
        for task in tasks {
            assert_eq!(task.await.unwrap().err(), Some(Failure::Cancelled));
        }
        assert_eq!(seen.try_recv(), Ok((2, "run", 4)));
    }

    #[test]
    fn pictures_to_start_from_are_never_joined() {
        let plain = paint("a", 4);
        let picture = Picture { width: 1, height: 1, rgb: vec![0; 3] };
        assert!(plain.joins(&paint("b", 4)));
        let other = Paint { init: Some(picture), ..plain.clone() };
        assert!(!plain.joins(&other) && !other.joins(&other));
        let mut guided = paint("a", 4);
        guided.spec.guidance = spec::Guidance::new(2.0).unwrap();
        assert!(!plain.joins(&guided));
    }
}
