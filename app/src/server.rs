//! Runs on the server: what they would cost, and their way from the form to the stage.

use crate::{
    account::{self, edge},
    error::PageError,
    plate::Plate,
    recovery, run,
    session::native_size,
    start_picture,
    state::{
        AccountStoreFields as _, EngineStoreFields as _, Notice, Page, PageStoreFields as _, PictureRecord, Place,
        Quote, Remote, RunStoreFields as _, ServerStoreFields as _, StartPicture,
    },
    task,
};
use client::{
    Browser, Client, ClientError, Delivery, ImageRequest, ImageSource, Job, JobEvent, JobStatus, Model, PictureLink,
    Task, file_of, inline_image, parameters,
};
use futures_util::future::{AbortHandle, abortable};
use js_sys::Uint8Array;
use leptos::prelude::*;
use protocol::ImageInfo;
use reactive_stores::Store;
use spec::{BatchSize, GenerateSpec, ImageSize, ModelId, Seed};
use std::{collections::BTreeSet, time::Duration};
use web_sys::Blob;

/// How long the form must rest before its price is asked.
const REST: Duration = Duration::from_millis(400);

/// The edge behind the page, as the session holds it.
#[derive(Clone, Copy)]
pub struct ServerHandle {
    page: Store<Page>,
    plate: Plate,
    size: Signal<Option<ImageSize>>,
    order: StoredValue<Option<Order>>,
}

/// The run that goes on there.
#[derive(Debug)]
struct Order {
    // Ends the task that listens to it.
    work: AbortHandle,
    // Its job, once the server has it.
    job: Option<String>,
}

impl ServerHandle {
    /// Looks whether there is an edge behind the page, and asks it for prices from then on.
    pub fn connect(page: Store<Page>, plate: Plate) -> Self {
        account::restore(page);
        let size = Memo::new(move |_| {
            let own = page.engine().model().read().as_ref().and_then(native_size);
            own.or_else(|| model(page).and_then(|model| ImageSize::new(model.side, model.side).ok()))
        });
        let this = Self { page, plate, size: size.into(), order: StoredValue::new(None) };
        task::spawn(page, async move {
            let models = edge(page).models().await;
            let is_reachable = match &models {
                Ok(_) => true,
                // Only an edge has problem codes; a host of files answers with a page of its own.
                Err(error) => error.code().is_some(),
            };
            page.server().models().set(models.unwrap_or_default());
            page.server().is_reachable().set(is_reachable);
            if is_reachable {
                account::refresh_usage(page);
            }
            Ok(())
        });
        this.quote();
        this
    }

    /// The size of a picture for which the form names none.
    pub const fn size(self) -> Signal<Option<ImageSize>> {
        self.size
    }

    /// Makes pictures there.
    pub fn begin(self, spec: GenerateSpec, start: Option<StartPicture>) {
        let page = self.page;
        let id = run::begin(page, self.plate, spec.batch.get(), 0, spec.size);
        page.run().remote().set(Some(Remote::Sending));
        let (work, handle) = abortable(self.make(id, spec, start));
        self.order.set_value(Some(Order { work: handle, job: None }));
        task::spawn(page, async move {
            let started = js_sys::Date::now();
            let Ok(outcome) = work.await else { return Ok(()) };
            if self.is_current(id) {
                self.end(id, Some((js_sys::Date::now() - started) / 1000.0));
                if let Err(error) = outcome {
                    page.notice().set(Some(recovery::run_notice(&error.to_string())));
                }
            }
            Ok(())
        });
    }

    /// Asks the server to stop; asked a second time, does not wait for its answer.
    pub fn cancel(self) {
        let page = self.page;
        let id = page.run().id().get_untracked();
        let job = self.order.with_value(|order| order.as_ref().and_then(|order| order.job.clone()));
        if page.run().cancelling().get_untracked() {
            self.give_up(id);
            return;
        }
        page.run().cancelling().set(true);
        if let Some(job) = job {
            task::spawn(page, async move {
                // A job that was done meanwhile is not cancelled, and its pictures come.
                if edge(page).cancel_job(&job).await?.status == JobStatus::Cancelled && self.is_current(id) {
                    self.give_up(id);
                }
                Ok(())
            });
        }
    }

    /// Asks for the price whenever it may have changed.
    fn quote(self) {
        let page = self.page;
        let measure = Memo::new(move |_| {
            // Another key is another account, with a queue and rules of its own.
            let key = page.account().key().get().filter(|_| page.server().is_reachable().get())?;
            let size = self.size.get()?;
            let model = model(page);
            let spec = page.form().read().measure(size)?;
            Some((spec, model, key))
        });
        let asked = StoredValue::new(0_u32);
        Effect::new(move |before: Option<Option<(GenerateSpec, Option<Model>, String)>>| {
            let is_running = page.run().remote().read().is_some();
            let measure = measure.get();
            asked.update_value(|asked| *asked += 1);
            let number = asked.get_value();
            if before.as_ref() != Some(&measure) {
                page.server().quote().set(None);
            }
            // After a run the queue is another, so the same form is asked about again.
            let Some((spec, model, _)) = measure.clone().filter(|_| !is_running) else { return measure };
            let ask = async move {
                let quote = offer(page, spec, model).await;
                if asked.try_get_value() == Some(number) {
                    page.server().quote().set(quote);
                }
                Ok(())
            };
            set_timeout(
                move || {
                    if asked.try_get_value() == Some(number) {
                        task::spawn(page, ask);
                    }
                },
                REST,
            );
            measure
        });
    }

    /// From the request to the last picture.
    async fn make(self, id: u32, spec: GenerateSpec, start: Option<StartPicture>) -> Result<(), PageError> {
        let page = self.page;
        let image = match &start {
            Some(start) => Some(inline_image(&start_picture::png(start, spec.size).await?)),
            None => None,
        };
        let edge = edge(page);
        let job = edge.create_images(&request(spec.clone(), image, untrack(|| model(page))), &once()).await?;
        if !self.is_current(id) || page.run().cancelling().get_untracked() {
            let stopped = edge.cancel_job(&job.id).await?;
            if stopped.status == JobStatus::Cancelled {
                return Ok(());
            }
        }
        if !self.is_current(id) {
            return Ok(());
        }
        self.order.update_value(|order| {
            if let Some(order) = order {
                order.job = Some(job.id.clone());
            }
        });
        page.run().remote().set(Some(waiting(&job)));
        let mut watched = Watched { handle: self, edge: &edge, spec, taken: BTreeSet::new(), flagged: 0 };
        let mut events = edge.job_events(&job.id);
        while let Some(event) = events.next().await? {
            watched.take(event).await?;
        }
        Ok(())
    }

    fn is_current(self, id: u32) -> bool {
        let run = self.page.run();
        run.id().get_untracked() == id && run.remote().read_untracked().is_some()
    }

    /// Ends the run without waiting for the server.
    fn give_up(self, id: u32) {
        self.order.update_value(|order| {
            // Before the server has the job, the task lives on to cancel it.
            if let Some(order) = order.take_if(|order| order.job.is_some()) {
                order.work.abort();
            }
        });
        self.end(id, None);
    }

    fn end(self, id: u32, seconds: Option<f64>) {
        if !self.is_current(id) {
            return;
        }
        self.order.set_value(None);
        {
            let run = self.page.run();
            let mut run = run.write();
            run.remote = None;
            run.progress = None;
            run.cancelling = false;
            run.seconds = seconds.or(run.seconds);
        }
        account::refresh_usage(self.page);
    }
}

/// A job whose events arrive.
struct Watched<'a> {
    handle: ServerHandle,
    edge: &'a Client<Browser>,
    spec: GenerateSpec,
    taken: BTreeSet<u32>,
    flagged: usize,
}

impl Watched<'_> {
    async fn take(&mut self, event: JobEvent) -> Result<(), PageError> {
        let ServerHandle { page, plate, .. } = self.handle;
        match event {
            JobEvent::Progress(progress) => {
                page.run().remote().set(Some(Remote::Working));
                page.run().progress().set(Some(progress));
            }
            JobEvent::Preview(preview) => {
                if let Some(file) = file_of(&preview.png) {
                    let file = run::png(&Uint8Array::from(file.as_slice()).buffer())?;
                    // A preview that cannot be shown is no reason to lose the picture.
                    if let Err(error) = plate.preview_file(preview.index, &file).await {
                        leptos::logging::warn!("{error}");
                        return Ok(());
                    }
                    page.run().has_plate().set(true);
                }
            }
            JobEvent::Image(image) => self.fetch(image.index, &image.picture).await?,
            // The job that comes with `done` has the same error.
            JobEvent::Error(_) => {}
            JobEvent::Done(job) => self.close(*job).await?,
        }
        Ok(())
    }

    /// Takes a finished picture, unless it came before.
    async fn fetch(&mut self, index: u32, picture: &PictureLink) -> Result<(), PageError> {
        if !self.taken.insert(index) {
            return Ok(());
        }
        let ServerHandle { page, plate, .. } = self.handle;
        let bytes = self.edge.picture(picture).await?;
        let file: Blob = run::png(&Uint8Array::from(bytes.as_slice()).buffer())?;
        // As one picture of its own, so that its settings make it again, here or there.
        let spec = GenerateSpec { seed: Seed(picture.seed), batch: BatchSize::default(), ..self.spec.clone() };
        let info = ImageInfo { width: picture.width, height: picture.height };
        let parameters = parameters(&bytes).unwrap_or_default();
        let record = PictureRecord { spec, info, parameters, place: Place::Server };
        self.flagged += usize::from(picture.flagged);
        run::finish_picture(page, plate, (index, self.taken.len() as u32), file, record).await
    }

    async fn close(&mut self, job: Job) -> Result<(), PageError> {
        for (index, picture) in (0..).zip(&job.pictures) {
            self.fetch(index, picture).await?;
        }
        if self.flagged > 0 {
            let text = "The server's safety check replaced what it does not show.".to_owned();
            self.handle.page.notice().set(Some(Notice::warning(text)));
        }
        let is_wanted = !self.handle.page.run().cancelling().get_untracked();
        match job.status {
            JobStatus::Failed => {
                let detail = job.error.map(|error| error.detail);
                Err(PageError::Job(detail.unwrap_or_else(|| "the server gave the run up".to_owned())))
            }
            JobStatus::Cancelled if is_wanted => Err(PageError::Job("the run was cancelled elsewhere".to_owned())),
            _ => Ok(()),
        }
    }
}

/// The server's model that makes the pictures of the page's own one; while the page has none, one that a node has.
fn model(page: Store<Page>) -> Option<Model> {
    let own = page.engine().model().read().as_ref().map(|model| model.name.clone());
    let models = page.server().models().get();
    models.into_iter().find(|model| match &own {
        Some(name) => model.id == *name,
        None => model.available,
    })
}

fn request(spec: GenerateSpec, image: Option<ImageSource>, model: Option<Model>) -> ImageRequest {
    let task = match image {
        Some(image) => Task::Edit { spec, image },
        None => Task::Generate { spec },
    };
    let model = model.and_then(|model| ModelId::new(&model.id).ok());
    let delivery = Delivery { instant: true, ..Delivery::default() };
    ImageRequest { task, model, censor: None, upscale: 1, delivery }
}

/// What a run would cost; `None` when the server does not say.
async fn offer(page: Store<Page>, spec: GenerateSpec, model: Option<Model>) -> Option<Quote> {
    let image = match spec.init {
        Some(_) => Some(inline_image(&start_picture::blank_png(spec.size).await.ok()?)),
        None => None,
    };
    match edge(page).estimate(&request(spec, image, model)).await {
        Ok(estimate) => Some(Quote::Offer(estimate)),
        Err(ClientError::Problem(problem)) => Some(Quote::Refusal(problem.text())),
        Err(ClientError::Transport(_) | ClientError::Unreadable { .. }) => None,
    }
}

fn waiting(job: &Job) -> Remote {
    Remote::Waiting { position: job.position, eta_seconds: job.eta_seconds }
}

/// A name for one order, so that it is taken once however often it is sent.
fn once() -> String {
    let mut bytes = [0_u8; 16];
    if let Ok(crypto) = window().crypto() {
        crypto.get_random_values_with_u8_array(&mut bytes).ok();
    }
    format!("{:032x}", u128::from_be_bytes(bytes))
}
