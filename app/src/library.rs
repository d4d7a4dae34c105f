//! What the page does with models: lists, adds, fetches, pauses, verifies and deletes them. Views call it; it changes the state.
//!
//! It has an engine's worker of its own, started when it is first needed, so that a download goes on while pictures are made,
//! and a failure of either leaves the other alone.

use crate::{
    engine_handle::{EngineHandle, Fault, Incoming, Watch},
    library_storage as kept, query, room,
    session::Session,
    state::{EngineStoreFields as _, LibraryModel, LibraryStoreFields as _, Page, PageStoreFields as _, Phase, Status},
    view::{self, View},
    words::full_stop,
};
use leptos::prelude::*;
use protocol::{Checked, ErrorCode, Event, Fetching, ModelDetails, Offer, PartProgress, Request, StoredModel};
use reactive_stores::Store;

/// The models at hand.
#[derive(Clone, Copy)]
pub struct Library {
    page: Store<Page>,
    session: Session,
    engine: EngineHandle,
    is_awake: StoredValue<bool>,
    // A device that cannot be measured must not keep anyone from a model.
    is_unmeasurable: StoredValue<bool>,
}

/// Puts a library into the context; it goes on with what an earlier visit was fetching.
pub fn provide_library(page: Store<Page>, session: Session) -> Library {
    let slot: StoredValue<Option<Library>> = StoredValue::new(None);
    let engine = EngineHandle::new(move |incoming| {
        if let Some(library) = slot.get_value() {
            library.receive(incoming);
        }
    });
    let (is_awake, is_unmeasurable) = (StoredValue::new(false), StoredValue::new(false));
    let library = Library { page, session, engine, is_awake, is_unmeasurable };
    slot.set_value(Some(library));
    provide_context(library);
    library.begin();
    library
}

/// The page's library.
pub fn expect_library() -> Library {
    expect_context()
}

impl Library {
    fn begin(self) {
        let known = kept::known();
        let has_wanted = known.iter().any(|known| known.is_wanted);
        let mut urls = vec![query::MANIFEST_URL.to_owned(), self.page.engine().manifest_url().get_untracked()];
        urls.extend(known.into_iter().map(|known| known.url));
        let mut models: Vec<LibraryModel> = Vec::new();
        for url in urls {
            if models.iter().all(|model| model.url != url) {
                models.push(LibraryModel::new(url));
            }
        }
        self.page.library().models().set(models);
        self.page.library().probe().set(kept::probe());
        // What the picture view has fetched is stored from then on.
        let engine = self.page.engine();
        Effect::new(move |_| {
            if engine.status().get() == Status::Ready && self.is_awake.get_value() {
                self.refresh();
            }
        });
        let online = window_event_listener(leptos::ev::online, move |_| self.resume());
        on_cleanup(move || online.remove());
        if has_wanted {
            self.wake();
        }
    }

    /// Starts the worker, if it does not run, and looks at what is stored.
    pub fn wake(self) {
        if !self.is_awake.get_value() {
            self.is_awake.set_value(true);
            self.engine.replace();
            self.engine.watch(Watch::Off);
        }
        self.refresh();
    }

    fn refresh(self) {
        self.engine.post(&Request::Models, None);
        room::look(self.page);
    }

    /// Looks for what the visitor wrote.
    pub fn look_for(self, text: &str) {
        let library = self.page.library();
        let wanted = query::of_this_page(text.trim());
        library.offers().set(Vec::new());
        library.add_error().set(None);
        library.said().set(None);
        library.looks_for().set(Some(wanted.clone()));
        self.engine.post(&Request::Find { wanted, hub: query::hub() }, None);
    }

    /// Adds a model to the list.
    pub fn add(self, offer: &Offer) {
        let url = &offer.manifest_url;
        let library = self.page.library();
        library.offers().set(Vec::new());
        let is_new = library.models().read_untracked().iter().all(|model| model.url != *url);
        if is_new {
            let of = offer.size_bytes.unwrap_or(0.0);
            library.models().write().push(LibraryModel { of, ..LibraryModel::new(url.clone()) });
            kept::remember(url, false);
        }
        library.said().set(Some(if is_new {
            format!("Added {}", offer.file)
        } else {
            format!("{} is in the list already", offer.file)
        }));
        self.inspect(url);
        if library.probe().read_untracked().is_none() {
            self.probe();
        }
    }

    /// Asks what a model is, once.
    fn inspect(self, url: &str) {
        let mut is_due = false;
        self.edit(url, |model| is_due = model.details.is_none() && !std::mem::replace(&mut model.is_asked, true));
        if is_due {
            self.engine.post(&Request::Inspect { manifest_url: url.to_owned() }, None);
        }
    }

    /// Takes a model off the list that the visitor had added, and of which nothing is stored.
    pub fn remove(self, url: &str) {
        kept::forget(url);
        self.page.library().models().write().retain(|model| model.url != url);
    }

    /// Whether a model can be taken off the list.
    pub fn is_added(self, url: &str) -> bool {
        url != query::MANIFEST_URL && url != self.page.engine().manifest_url().get()
    }

    /// Fetches a model, once it is known what this device can do.
    pub fn fetch(self, url: &str) {
        kept::remember(url, true);
        let is_measured = self.page.library().probe().read_untracked().is_some() || self.is_unmeasurable.get_value();
        self.edit(url, |model| {
            model.problem = None;
            model.said = None;
            model.download = None;
            model.phase = if is_measured { Phase::Fetching } else { Phase::Waiting };
        });
        if is_measured {
            self.engine.post(&Request::Fetch { manifest_url: url.to_owned() }, None);
        } else {
            self.probe();
        }
    }

    /// Stops fetching a model; what is verified stays.
    pub fn pause(self, url: &str) {
        kept::remember(url, false);
        self.edit(url, |model| {
            model.phase = if model.phase == Phase::Waiting { Phase::Resting } else { Phase::Pausing };
        });
        self.engine.post(&Request::Pause { manifest_url: url.to_owned() }, None);
    }

    /// Hashes everything that is stored of a model.
    pub fn verify(self, url: &str) {
        self.edit(url, |model| {
            model.problem = None;
            model.said = None;
            model.phase = Phase::Checking(0.0);
        });
        self.engine.post(&Request::Verify { manifest_url: url.to_owned() }, None);
    }

    /// Deletes what is stored of a model.
    pub fn delete(self, url: &str) {
        kept::remember(url, false);
        if kept::chosen().as_deref() == Some(url) {
            kept::choose(None);
        }
        self.edit(url, |model| {
            model.problem = None;
            model.said = None;
            model.phase = Phase::Deleting;
        });
        self.engine.post(&Request::Forget { manifest_url: url.to_owned() }, None);
    }

    /// Loads a model in the picture view, now and on later visits.
    pub fn draw_with(self, url: &str) {
        kept::choose((url != query::MANIFEST_URL).then_some(url));
        self.session.choose_model(url);
        view::show(View::Pictures);
    }

    /// Measures this device.
    pub fn probe(self) {
        let is_probing = self.page.library().is_probing();
        if !is_probing.get_untracked() {
            is_probing.set(true);
            self.engine.post(&Request::Probe, None);
            self.engine.watch(Watch::Run);
        }
    }

    /// Goes on with what was being fetched when the page, its worker or the network went away.
    fn resume(self) {
        if !self.is_awake.get_value() {
            return;
        }
        for known in kept::known().into_iter().filter(|known| known.is_wanted) {
            let is_due = self
                .page
                .library()
                .models()
                .read_untracked()
                .iter()
                .any(|model| model.url == known.url && model.phase == Phase::Resting && !model.is_whole());
            if is_due && !self.is_loading(&known.url) {
                self.fetch(&known.url);
            }
        }
    }

    /// Whether the picture view is fetching or loading a model just now.
    fn is_loading(self, url: &str) -> bool {
        untrack(|| is_loading(self.page, url))
    }

    fn edit(self, url: &str, change: impl FnOnce(&mut LibraryModel)) {
        let models = self.page.library().models();
        let mut models = models.write();
        if let Some(model) = models.iter_mut().find(|model| model.url == url) {
            change(model);
        }
    }

    fn receive(self, incoming: Incoming) {
        match incoming {
            Incoming::Started => {}
            Incoming::Event(event, _) => self.receive_event(*event),
            Incoming::Fault(fault) => self.recover(&fault_words(&fault)),
        }
    }

    fn receive_event(self, event: Event) {
        match event {
            Event::Models { models } => self.list(models),
            Event::Found { wanted, offers } => self.found(&wanted, offers),
            Event::Inspected(details) => self.describe(*details),
            Event::Fetching(fetching) => self.progress(fetching),
            Event::Fetched { manifest_url } => {
                kept::remember(&manifest_url, false);
                self.rest(&manifest_url, Some("All of it is stored in this browser, and verified".to_owned()));
            }
            Event::Paused { manifest_url } => self.rest(&manifest_url, None),
            Event::Checking { manifest_url, bytes, of } => self.edit(&manifest_url, |model| {
                model.phase = Phase::Checking(if of > 0.0 { bytes / of } else { 1.0 });
            }),
            Event::Checked(checked) => self.rest(&checked.manifest_url, Some(checked_words(&checked))),
            Event::Forgotten { manifest_url } => {
                self.rest(&manifest_url, Some("Nothing of it is stored any more".to_owned()));
            }
            Event::Probed(probe) => {
                kept::keep_probe(&probe);
                self.page.library().probe().set(Some(probe));
                self.end_probe();
            }
            Event::ModelFailed { manifest_url, code, message } => self.fail(manifest_url, code, &message),
            Event::Error { message, fatal: true, .. } => self.recover(&message),
            // What only a loaded model says.
            _ => {}
        }
    }

    fn list(self, stored: Vec<StoredModel>) {
        let library = self.page.library();
        let undescribed: Vec<String> = {
            let models = library.models();
            let mut models = models.write();
            for model in models.iter_mut() {
                let found = stored.iter().find(|stored| stored.manifest_url == model.url);
                if found.is_none() {
                    model.bytes = 0.0;
                    model.parts = model.details.as_ref().map(nothing_of).unwrap_or_default();
                }
            }
            for stored in stored {
                if models.iter().all(|model| model.url != stored.manifest_url) {
                    models.push(LibraryModel::new(&stored.manifest_url));
                }
                let Some(model) = models.iter_mut().find(|model| model.url == stored.manifest_url) else { continue };
                model.bytes = stored.bytes;
                model.of = stored.of;
                if !stored.parts.is_empty() {
                    model.parts = stored.parts;
                }
                model.details = stored.details.map(|details| *details).or(model.details.take());
            }
            let is_undescribed = |model: &&LibraryModel| model.details.is_none() && model.problem.is_none();
            models.iter().filter(is_undescribed).map(|model| model.url.clone()).collect()
        };
        for url in undescribed {
            self.inspect(&url);
        }
        if !library.is_listed().get_untracked() {
            library.is_listed().set(true);
            self.resume();
        }
    }

    fn found(self, wanted: &str, offers: Vec<Offer>) {
        let library = self.page.library();
        if library.looks_for().get_untracked().as_deref() != Some(wanted) {
            return;
        }
        library.looks_for().set(None);
        match offers.as_slice() {
            [offer] => self.add(offer),
            _ => library.offers().set(offers),
        }
    }

    fn describe(self, details: ModelDetails) {
        let mut is_stored = false;
        self.edit(&details.manifest_url.clone(), |model| {
            model.of = details.size_bytes;
            model.parts = nothing_of(&details);
            model.details = Some(details);
            is_stored = model.bytes > 0.0;
        });
        if is_stored {
            // Now it is known where the parts lie.
            self.refresh();
        }
    }

    fn progress(self, fetching: Fetching) {
        let Fetching { manifest_url, download, arriving, parts } = fetching;
        self.edit(&manifest_url, |model| {
            model.bytes = download.bytes;
            model.of = download.of;
            model.parts = parts;
            model.arriving = arriving;
            model.download = Some(download);
        });
    }

    fn rest(self, url: &str, said: Option<String>) {
        self.edit(url, |model| {
            model.phase = Phase::Resting;
            model.download = None;
            model.arriving = 0.0;
            model.said = said;
        });
        self.refresh();
    }

    /// The device is measured, or cannot be: what waited for it goes on.
    fn end_probe(self) {
        self.page.library().is_probing().set(false);
        self.engine.watch(Watch::Off);
        let is_waiting = |model: &&LibraryModel| model.phase == Phase::Waiting;
        let urls: Vec<String> = self
            .page
            .library()
            .models()
            .read_untracked()
            .iter()
            .filter(is_waiting)
            .map(|model| model.url.clone())
            .collect();
        for manifest_url in urls {
            self.edit(&manifest_url, |model| model.phase = Phase::Fetching);
            self.engine.post(&Request::Fetch { manifest_url }, None);
        }
    }

    fn fail(self, about: Option<String>, code: ErrorCode, message: &str) {
        let library = self.page.library();
        let message = full_stop(message);
        let Some(about) = about else {
            library.said().set(Some(message));
            self.is_unmeasurable.set_value(true);
            self.end_probe();
            return;
        };
        if library.looks_for().get_untracked().as_ref() == Some(&about) {
            library.looks_for().set(None);
            library.add_error().set(Some(message));
            return;
        }
        if code != ErrorCode::Network && kept::known().iter().any(|known| known.url == about) {
            kept::remember(&about, false);
        }
        self.edit(&about, |model| {
            model.is_asked = false;
            model.problem = Some(message);
        });
        self.rest(&about, None);
    }

    /// A worker that failed is replaced; nothing that was verified is lost.
    fn recover(self, what: &str) {
        let library = self.page.library();
        library.looks_for().set(None);
        let was_probing = library.is_probing().get_untracked();
        if was_probing {
            self.is_unmeasurable.set_value(true);
            library.said().set(Some(format!("This device could not be measured. {}", full_stop(what))));
        }
        let problem = format!("{} What has arrived is kept, so you can go on from there.", full_stop(what));
        for model in library.models().write().iter_mut() {
            model.is_asked = false;
            if !matches!(model.phase, Phase::Resting | Phase::Waiting) {
                model.phase = Phase::Resting;
                model.download = None;
                model.arriving = 0.0;
                model.problem = Some(problem.clone());
            }
        }
        self.engine.replace();
        self.end_probe();
        self.refresh();
    }
}

/// Whether the picture view is fetching or loading a model.
pub fn is_loading(page: Store<Page>, url: &str) -> bool {
    let engine = page.engine();
    *engine.manifest_url().read() == url && matches!(engine.status().get(), Status::Starting | Status::Loading)
}

/// The parts of a model of which nothing is stored.
fn nothing_of(details: &ModelDetails) -> Vec<PartProgress> {
    details.parts.iter().map(|part| part.progress(&[])).collect()
}

fn fault_words(fault: &Fault) -> String {
    match fault {
        Fault::Crashed(reason) => format!("The engine stopped: {reason}"),
        Fault::Unreadable => "The engine said something that this page does not understand".to_owned(),
        Fault::Silent(seconds) => format!("The engine gave no sign of life for {seconds} s"),
    }
}

fn checked_words(checked: &Checked) -> String {
    let Checked { ranges, damaged, .. } = checked;
    match (ranges, damaged) {
        (0, _) => "Nothing of it is stored yet".to_owned(),
        (1, 0) => "The one range that is stored is as it should be".to_owned(),
        (ranges, 0) => format!("All {ranges} stored ranges are as they should be"),
        (ranges, 1) => format!("1 of {ranges} stored ranges is damaged and will be fetched again when you resume"),
        (ranges, damaged) => {
            format!("{damaged} of {ranges} stored ranges are damaged and will be fetched again when you resume")
        }
    }
}
