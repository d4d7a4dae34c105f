//! What the page does: loads a model, makes pictures, and gets over failures. Views call it; it changes the state.

use crate::{
    account,
    engine_handle::{EngineHandle, Incoming, Watch},
    error::PageError,
    pace::Pace,
    plate::Plate,
    query,
    recovery::{self, Cause, Next, NextRun, Plan, RunState, Situation},
    run,
    server::ServerHandle,
    start_picture,
    state::{
        AccountStoreFields as _, Action, EngineStoreFields as _, FormStoreFields as _, Page, PageStoreFields as _,
        PictureRecord, Place, RunStoreFields as _, StartPicture, Status, status, status_untracked,
    },
    task,
};
use js_sys::ArrayBuffer;
use leptos::prelude::*;
use protocol::{DeviceChoice, ErrorCode, Event, ImageInfo, ModelInfo, Request};
use reactive_stores::Store;
use spec::{BatchSize, ClipSkip, GenerateSpec, ImageSize, Phase, Progress, Seed};
use std::time::Duration;

/// The page at work.
#[derive(Clone, Copy)]
pub struct Session {
    /// Where pictures develop.
    pub plate: Plate,
    /// Runs on the server.
    pub server: ServerHandle,
    page: Store<Page>,
    engine: EngineHandle,
    memory: StoredValue<Memory>,
}

/// What only the session needs to remember.
#[derive(Debug, Default)]
struct Memory {
    job: Option<Job>,
    // Workers that failed since the last run or load that went well.
    faults: u32,
    // Time of a step of the run that goes on, once one was taken.
    step_seconds: Option<f64>,
    has_marked_first_picture: bool,
}

/// A run as it was asked for, kept until it is over so that it can be begun again.
#[derive(Debug, Clone)]
struct Job {
    spec: GenerateSpec,
    start: Option<StartPicture>,
    // Pictures that an earlier worker finished.
    offset: u32,
    // Pictures that are finished in all.
    finished: u32,
    is_posted: bool,
    was_begun_again: bool,
}

/// Puts a new session into the context and starts loading the model.
pub fn provide_session(page: Store<Page>) -> Session {
    let plate = Plate::new();
    let memory = StoredValue::new(Memory::default());
    let slot: StoredValue<Option<Session>> = StoredValue::new(None);
    let engine = EngineHandle::new(move |incoming| {
        if let Some(session) = slot.get_value() {
            session.receive(incoming);
        }
    });
    let server = ServerHandle::connect(page, plate);
    let session = Session { plate, server, page, engine, memory };
    slot.set_value(Some(session));
    provide_context(session);
    page.engine().choice().set(query::device());
    page.engine().manifest_url().set(query::manifest_url());
    session.start();
    session
}

/// The page's session.
pub fn expect_session() -> Session {
    expect_context()
}

impl Session {
    /// Whether pictures are being made, here or on the server.
    pub fn is_running(self) -> bool {
        status(self.page) == Status::Running
    }

    /// Makes pictures from the form as it is, now or as soon as the model is loaded.
    pub fn run(self) {
        self.page.form().was_submitted().set(true);
        match status_untracked(self.page) {
            Status::Running => {}
            Status::Starting | Status::Loading => {
                self.page.engine().run_when_ready().set(true);
                self.expect();
            }
            Status::Error => {
                self.page.engine().run_when_ready().set(true);
                self.retry();
            }
            Status::Ready => self.run_now(),
        }
    }

    /// Tells the engine what will be drawn as soon as the model is loaded.
    fn expect(self) {
        let engine = self.page.engine();
        if !engine.run_when_ready().get_untracked() {
            return;
        }
        let (prompt, negative_prompt) = {
            let form = self.page.form().read_untracked();
            (form.prompt.trim().to_owned(), form.negative_prompt.trim().to_owned())
        };
        self.engine.post(&Request::Expect { prompt, negative_prompt, clip_skip: ClipSkip::default() }, None);
    }

    /// Makes the same pictures on the server, whatever the engine does.
    pub fn run_on_server(self) {
        self.page.form().was_submitted().set(true);
        if status_untracked(self.page) == Status::Running {
            return;
        }
        if self.page.account().key().read_untracked().is_none() {
            account::open(self.page);
            return;
        }
        // What waited for the engine, or was interrupted by its failure, is asked for anew by this.
        self.page.engine().run_when_ready().set(false);
        self.memory.update_value(|memory| memory.job = None);
        let Some(spec) = self.server.size().get_untracked().and_then(|size| self.next_spec(size)) else {
            run::focus_first_error();
            return;
        };
        self.page.notice().set(None);
        self.server.begin(spec, self.page.form().start().get_untracked());
    }

    /// Stops the run within a step; asked a second time, without waiting for the engine.
    pub fn cancel(self) {
        self.page.engine().run_when_ready().set(false);
        if self.page.run().remote().read_untracked().is_some() {
            self.server.cancel();
            return;
        }
        if !self.is_running_untracked() {
            return;
        }
        let is_posted = self.memory.with_value(|memory| memory.job.as_ref().is_some_and(|job| job.is_posted));
        if !is_posted {
            self.end_run(None);
        } else if self.page.run().cancelling().get_untracked() {
            self.end_run(None);
            self.start();
        } else {
            self.page.run().cancelling().set(true);
            self.engine.post(&Request::Cancel { run: self.page.run().id().get_untracked() }, None);
        }
    }

    /// Computes on another device; a run that goes on ends.
    pub fn choose_device(self, device: DeviceChoice) {
        self.page.engine().choice().set(device);
        self.page.notice().set(None);
        self.memory.update_value(|memory| memory.faults = 0);
        self.end_run(None);
        self.start();
    }

    /// Draws with another model; a run that goes on ends.
    pub fn choose_model(self, manifest_url: &str) {
        let engine = self.page.engine();
        if *engine.manifest_url().read_untracked() == manifest_url && status_untracked(self.page) != Status::Error {
            return;
        }
        engine.manifest_url().set(manifest_url.to_owned());
        // What it showed says nothing about the next one.
        engine.pace().set(None);
        self.page.notice().set(None);
        self.memory.update_value(|memory| memory.faults = 0);
        self.end_run(None);
        self.start();
    }

    /// Loads the model again after something went wrong.
    pub fn retry(self) {
        self.page.notice().set(None);
        self.memory.update_value(|memory| memory.faults = 0);
        self.start();
    }

    /// Loads again if that failed for want of a network.
    pub fn network_is_back(self) {
        if self.page.engine().waits_for_network().get_untracked() {
            self.retry();
        }
    }

    fn start(self) {
        let engine = self.page.engine();
        engine.status().set(Status::Starting);
        engine.waits_for_network().set(false);
        engine.device().set(None);
        engine.download().set(None);
        self.engine.replace();
        let load = Request::Load {
            manifest_url: engine.manifest_url().get_untracked(),
            device: engine.choice().get_untracked(),
        };
        self.engine.post(&load, None);
        self.expect();
        self.engine.watch(Watch::Load);
    }

    fn native_size(self) -> Option<ImageSize> {
        self.page.engine().model().read_untracked().as_ref().and_then(native_size)
    }

    /// The form as the spec of a run, with a seed; `None` when a field is wrong.
    fn next_spec(self, native: ImageSize) -> Option<GenerateSpec> {
        let form = self.page.form();
        if !form.is_seed_locked().get_untracked() {
            // 32 bits, as the web UIs draw them, so that a seed is quick to type elsewhere.
            let seed = (js_sys::Math::random() * 4_294_967_296.0) as u64;
            form.seed().set(seed.to_string());
        }
        form.read_untracked().spec(native)
    }

    fn run_now(self) {
        let Some(spec) = self.native_size().and_then(|native| self.next_spec(native)) else {
            run::focus_first_error();
            return;
        };
        let start = self.page.form().start().get_untracked();
        self.page.notice().set(None);
        self.begin(Job { spec, start, offset: 0, finished: 0, is_posted: false, was_begun_again: false });
    }

    fn begin(self, job: Job) {
        let pictures = job.offset + job.spec.batch.get();
        let id = run::begin(self.page, self.plate, pictures, job.finished, job.spec.size);
        self.page.engine().status().set(Status::Running);
        self.memory.update_value(|memory| {
            memory.job = Some(job.clone());
            memory.step_seconds = None;
        });
        task::spawn(self.page, async move {
            let pixels = match &job.start {
                Some(start) => start_picture::pixels(start, job.spec.size).await.map(Some),
                None => Ok(None),
            };
            if self.page.run().id().get_untracked() != id || !self.is_running_untracked() {
                return Ok(());
            }
            let pixels = match pixels {
                Ok(pixels) => pixels,
                Err(error) => {
                    self.end_run(None);
                    return Err(error);
                }
            };
            self.memory.update_value(|memory| {
                if let Some(job) = &mut memory.job {
                    job.is_posted = true;
                }
            });
            let info = ImageInfo { width: job.spec.size.width(), height: job.spec.size.height() };
            let init_image = pixels.as_ref().map(|_| info);
            self.engine.post(&Request::Generate { run: id, spec: job.spec, init_image }, pixels.as_ref());
            self.engine.watch(Watch::Run);
            Ok(())
        });
    }

    fn is_running_untracked(self) -> bool {
        self.page.engine().status().get_untracked() == Status::Running
    }

    /// Ends what goes on, if anything does; `seconds` is the engine's time when it came to its end.
    fn end_run(self, seconds: Option<f64>) {
        self.engine.watch(Watch::Off);
        self.memory.update_value(|memory| memory.job = None);
        if let Some(seconds) = seconds {
            self.page.run().seconds().set(Some(seconds));
        }
        // Otherwise what goes on, if anything does, is a run on the server.
        if self.is_running_untracked() {
            self.page.engine().status().set(Status::Ready);
            self.page.run().cancelling().set(false);
            self.page.run().progress().set(None);
        }
    }

    fn receive(self, incoming: Incoming) {
        match incoming {
            Incoming::Started => self.page.engine().status().set(Status::Loading),
            Incoming::Event(event, bytes) => self.receive_event(*event, bytes),
            Incoming::Fault(fault) => self.recover(&Cause::Worker(fault)),
        }
    }

    fn receive_event(self, event: Event, bytes: Option<ArrayBuffer>) {
        let is_current = |run: u32| run == self.page.run().id().get_untracked() && self.is_running_untracked();
        match event {
            Event::Device(report) => self.page.engine().device().set(Some(report)),
            Event::Download(download) => {
                self.page.engine().download().set(Some(download));
                if self.page.engine().status().get_untracked() == Status::Error {
                    self.page.engine().status().set(Status::Loading);
                }
            }
            Event::Ready(model) => self.be_ready(model),
            Event::Progress { run, progress } if is_current(run) => self.progress(progress),
            Event::Preview { run, index, info } if is_current(run) => {
                let offset = self.offset();
                if let Some(bytes) = bytes {
                    let plate = self.plate;
                    self.page.run().has_plate().set(true);
                    task::spawn(self.page, async move { plate.preview(index + offset, info, &bytes) });
                }
            }
            Event::Image { run, index, seed, info, parameters } if is_current(run) => {
                if let Some(bytes) = bytes {
                    task::spawn(self.page, self.take_image(index, seed, info, parameters, bytes));
                }
            }
            Event::Done { run, seconds, wasm_memory_bytes, .. } if is_current(run) => {
                self.page.run().wasm_memory_bytes().set(Some(wasm_memory_bytes));
                self.memory.update_value(|memory| memory.faults = 0);
                self.measure(seconds);
                self.end_run(Some(seconds));
            }
            Event::Error { run, code, message, fatal } => {
                if run.is_some_and(|run| !is_current(run)) && !fatal {
                    return;
                }
                self.fail(run, code, message, fatal);
            }
            // Of a run that was given up meanwhile, or what only the library asks for, of a worker of its own.
            _ => {}
        }
    }

    fn be_ready(self, model: ModelInfo) {
        self.engine.watch(Watch::Off);
        let engine = self.page.engine();
        // Read before the write: a store has one lock for all its fields.
        let before = engine.model().get_untracked();
        self.page.form().write().take_defaults(before.as_ref(), &model);
        engine.model().set(Some(model));
        engine.status().set(Status::Ready);
        engine.waits_for_network().set(false);
        if self.page.notice().read_untracked().as_ref().is_some_and(|notice| notice.action == Action::Retry) {
            self.page.notice().set(None);
        }
        let interrupted = self.memory.try_update_value(|memory| memory.job.take()).flatten();
        let wanted = std::mem::take(&mut *engine.run_when_ready().write());
        if let Some(job) = interrupted {
            self.begin(job);
        } else if wanted {
            self.run_now();
        }
    }

    /// Remembers how fast the run was that comes to its end.
    fn measure(self, seconds: f64) {
        let measured = self.memory.with_value(|memory| {
            // A run that was cancelled, or begun again, says little about a whole one.
            let job = memory.job.as_ref().filter(|job| job.offset == 0 && job.finished == job.spec.batch.get())?;
            Some(Pace::measured(&job.spec, memory.step_seconds?, seconds))
        });
        if measured.is_some() {
            self.page.engine().pace().set(measured);
        }
    }

    fn progress(self, progress: Progress) {
        if progress.phase == Phase::Denoising && progress.seconds_per_step.is_some() {
            self.memory.update_value(|memory| memory.step_seconds = progress.seconds_per_step);
        }
        // The engine reports each step of each phase; a report of loading within a run is the model being made ready.
        self.page.run().progress().set(Some(progress));
        if progress.phase == Phase::Loading {
            self.engine.watch(Watch::Load);
        } else {
            self.engine.watch(Watch::Run);
        }
    }

    fn offset(self) -> u32 {
        self.memory.with_value(|memory| memory.job.as_ref().map_or(0, |job| job.offset))
    }

    async fn take_image(
        self,
        index: u32,
        seed: Seed,
        info: ImageInfo,
        parameters: String,
        bytes: ArrayBuffer,
    ) -> Result<(), PageError> {
        let job = self.memory.try_update_value(|memory| {
            let job = memory.job.as_mut()?;
            job.finished += 1;
            Some(job.clone())
        });
        let Some(job) = job.flatten() else { return Ok(()) };
        let file = run::png(&bytes)?;
        // As one picture of its own, so that its settings make it again and nothing else.
        let spec = GenerateSpec { seed, batch: BatchSize::default(), ..job.spec };
        let record = PictureRecord { spec, info, parameters, place: Place::Here };
        run::finish_picture(self.page, self.plate, (index + job.offset, job.finished), file, record).await?;
        self.mark_first_picture();
        Ok(())
    }

    fn mark_first_picture(self) {
        let is_first =
            self.memory.try_update_value(|memory| !std::mem::replace(&mut memory.has_marked_first_picture, true));
        if is_first == Some(true)
            && let Some(performance) = window().performance()
        {
            performance.mark("first-picture").ok();
        }
    }

    fn fail(self, run: Option<u32>, code: ErrorCode, message: String, fatal: bool) {
        if fatal || code == ErrorCode::Device {
            self.recover(&Cause::Engine { code, message });
        } else if run.is_some() {
            self.page.notice().set(Some(recovery::run_notice(&message)));
            self.end_run(None);
        } else if self.is_running_untracked() {
            self.page.notice().set(Some(recovery::run_notice(&message)));
        } else {
            self.engine.watch(Watch::Off);
            self.page.engine().waits_for_network().set(code == ErrorCode::Network);
            self.page.engine().status().set(Status::Error);
            self.page.notice().set(Some(recovery::load_notice(code, &message)));
        }
    }

    /// Gets over a failure after which the worker is of no more use.
    fn recover(self, cause: &Cause) {
        let faults = self.memory.try_update_value(|memory| {
            memory.faults += 1;
            memory.faults
        });
        let faults = faults.unwrap_or(u32::MAX);
        let interrupted = self.memory.with_value(|memory| memory.job.clone());
        let cancelling = self.page.run().cancelling().get_untracked();
        let situation = Situation {
            choice: self.page.engine().choice().get_untracked(),
            used: self.page.engine().device().read_untracked().as_ref().map(|report| report.device),
            run: match &interrupted {
                Some(job) if job.was_begun_again => RunState::Again,
                Some(_) if !cancelling => RunState::First,
                _ => RunState::None,
            },
            faults,
        };
        let Plan { notice, next, run } = recovery::plan(cause, situation);
        self.end_run(None);
        let rest = interrupted.and_then(Job::rest).filter(|_| run == NextRun::Resume);
        self.memory.update_value(|memory| memory.job = rest);
        self.page.notice().set(Some(notice));
        match next {
            Next::Start(device) => {
                self.page.engine().choice().set(device);
                // The first replacement at once, later ones with a pause: what just broke may need a moment.
                let pause = Duration::from_secs(u64::from(faults.saturating_sub(1)));
                self.page.engine().status().set(Status::Starting);
                set_timeout(move || self.start(), pause);
            }
            Next::Wait => {
                self.engine.watch(Watch::Off);
                self.page.engine().run_when_ready().set(false);
                self.page.engine().status().set(Status::Error);
            }
        }
    }
}

impl Job {
    /// What is left to do of it, to be begun again: picture `k` of a run has its seed plus `k`.
    fn rest(self) -> Option<Self> {
        let done = self.finished - self.offset;
        let batch = BatchSize::new(self.spec.batch.get().checked_sub(done)?).ok()?;
        let seed = Seed(self.spec.seed.0.wrapping_add(u64::from(done)));
        let spec = GenerateSpec { seed, batch, ..self.spec };
        Some(Self { spec, offset: self.finished, is_posted: false, was_begun_again: true, ..self })
    }
}

/// The size a model draws best.
pub fn native_size(model: &ModelInfo) -> Option<ImageSize> {
    ImageSize::try_from(model.native_size).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{ClipSkip, Guidance, GuidanceRescale, NoiseKind, Steps};

    #[test]
    fn the_rest_of_an_interrupted_run_has_the_next_seeds() {
        let spec = GenerateSpec {
            prompt: String::new(),
            negative_prompt: String::new(),
            steps: Steps::default(),
            guidance: Guidance::default(),
            guidance_rescale: GuidanceRescale::default(),
            scheduler: None,
            seed: Seed(10),
            noise: NoiseKind::Philox,
            size: ImageSize::new(64, 64).unwrap(),
            clip_skip: ClipSkip::default(),
            batch: BatchSize::new(4).unwrap(),
            init: None,
        };
        let job = Job { spec, start: None, offset: 0, finished: 3, is_posted: true, was_begun_again: false };
        let rest = job.rest().unwrap();
        assert_eq!((rest.spec.seed, rest.spec.batch.get(), rest.offset), (Seed(13), 1, 3));
        assert!(Job { finished: 4, ..rest }.rest().is_none());
    }
}
