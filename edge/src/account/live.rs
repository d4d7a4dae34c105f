//! Jobs that somebody looks at or waits for: events as they happen, kept in memory for those who come back.
//!
//! Nothing here has to survive: a job's end is in its row, and is told from there to whoever asks again.

use super::{
    Inner,
    op::{JobRecord, JobRef},
    store::Result,
};
use crate::{config, render};
use api::{
    node::Preview,
    v1::{Image, JobEvent},
};
use futures_channel::{mpsc, oneshot};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{Either, select},
    stream,
};
use spec::Progress;
use std::{collections::VecDeque, time::Duration};
use worker::Delay;

/// Events that are kept for those who come back.
const KEPT: usize = 128;
/// Silence after which a comment keeps proxies from closing the stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event, and its number, which only grows.
#[derive(Debug, Clone)]
pub struct Event {
    id: u64,
    event: JobEvent,
}

impl Event {
    fn text(&self) -> Vec<u8> {
        self.event.message(self.id).into_bytes()
    }
}

/// A job that is looked at.
#[derive(Debug, Default)]
pub struct Live {
    last: u64,
    events: VecDeque<Event>,
    watchers: Vec<mpsc::UnboundedSender<Event>>,
    waiters: Vec<oneshot::Sender<()>>,
    progress: Option<Progress>,
    is_over: bool,
}

impl Live {
    fn tell(&mut self, event: JobEvent) {
        // Numbers go on growing after a restart, since time does.
        self.last = (self.last + 1).max(config::now().0);
        // Only the newest preview is worth keeping.
        if matches!(event, JobEvent::Preview(_)) {
            self.events.retain(|kept| !matches!(kept.event, JobEvent::Preview(_)));
        }
        let event = Event { id: self.last, event };
        self.events.push_back(event.clone());
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
        self.watchers.retain(|watcher| watcher.unbounded_send(event.clone()).is_ok());
    }
}

impl Inner {
    pub(super) fn progress(&self, job: u64) -> Option<Progress> {
        self.live.borrow().get(&job).and_then(|live| live.progress)
    }

    /// Whether memory knows more of any job than its row.
    pub(super) fn has_progress(&self) -> bool {
        self.live.borrow().values().any(|live| live.progress.is_some())
    }

    /// Whether somebody looks at previews.
    pub(super) fn has_watchers(&self, job: u64) -> bool {
        let live = self.live.borrow();
        live.get(&job).is_some_and(|live| live.watchers.iter().any(|watcher| !watcher.is_closed()))
    }

    pub(super) fn tell_progress(&self, job: u64, progress: Option<Progress>, preview: Option<Preview>) {
        let mut jobs = self.live.borrow_mut();
        let live = jobs.entry(job).or_default();
        if let Some(progress) = progress {
            live.progress = Some(progress);
            live.tell(JobEvent::Progress(progress));
        }
        if let Some(preview) = preview {
            live.tell(JobEvent::Preview(preview));
        }
    }

    /// Tells everyone that a job is over.
    pub(super) fn tell_end(&self, record: &JobRecord) {
        let events = self.end_events(record);
        let mut jobs = self.live.borrow_mut();
        let live = jobs.entry(record.number).or_default();
        live.progress = None;
        live.is_over = true;
        for event in events {
            live.tell(event);
        }
        live.watchers.clear();
        for waiter in live.waiters.drain(..) {
            // Whoever waited may have gone.
            waiter.send(()).ok();
        }
        // A few ended ones stay for those who come back; the rest can be told from the rows.
        let ended: Vec<u64> = jobs.iter().filter(|(_, live)| live.is_over).map(|(&number, _)| number).collect();
        if ended.len() > 32
            && let Some(oldest) = ended.into_iter().min()
        {
            jobs.remove(&oldest);
        }
    }

    fn end_events(&self, record: &JobRecord) -> Vec<JobEvent> {
        let Ok(config) = self.config() else { return Vec::new() };
        let job = render::job(&config, record, None);
        let pictures = (0..).zip(&job.pictures);
        let mut events: Vec<JobEvent> =
            pictures.map(|(index, picture)| JobEvent::Image(Image { index, picture: picture.clone() })).collect();
        events.extend(job.error.clone().map(JobEvent::Error));
        events.push(JobEvent::Done(Box::new(job)));
        events
    }

    /// One job, once it is over or this long has passed.
    pub(super) async fn wait(&self, job: &JobRef, seconds: f64) -> Result<JobRecord> {
        let record = self.record(job)?;
        if record.state.is_over() {
            return Ok(record);
        }
        let (sender, receiver) = oneshot::channel();
        self.live.borrow_mut().entry(record.number).or_default().waiters.push(sender);
        let patience = Delay::from(Duration::from_secs_f64(seconds.clamp(0.0, 60.0)));
        select(receiver, Box::pin(patience)).await;
        self.record(job)
    }

    /// A job's events after `last`, as they happen; the stream ends with the job.
    pub(super) fn stream(
        &self,
        job: &JobRef,
        last: Option<u64>,
    ) -> Result<impl stream::Stream<Item = worker::Result<Vec<u8>>> + use<>> {
        let record = self.record(job)?;
        let last = last.unwrap_or(0);
        let mut jobs = self.live.borrow_mut();
        if record.state.is_over() && !jobs.entry(record.number).or_default().is_over {
            drop(jobs);
            self.tell_end(&record);
            jobs = self.live.borrow_mut();
        }
        let live = jobs.entry(record.number).or_default();
        let missed: Vec<Event> = live.events.iter().filter(|event| event.id > last).cloned().collect();
        let (sender, receiver) = mpsc::unbounded();
        if !live.is_over {
            live.watchers.push(sender);
        }
        drop(jobs);
        // Something comes at once, so that a client knows that it is connected.
        let hello = stream::iter([b": connected\n\nretry: 1000\n\n".to_vec()]);
        let missed = stream::iter(missed.into_iter().map(|event| event.text()).collect::<Vec<_>>());
        Ok(hello.chain(missed).chain(with_comments(receiver)).map(Ok))
    }
}

/// Events as text, with a comment now and then while nothing happens.
fn with_comments(receiver: mpsc::UnboundedReceiver<Event>) -> impl stream::Stream<Item = Vec<u8>> {
    stream::unfold(receiver, |mut receiver| async move {
        let silence = Delay::from(KEEP_ALIVE);
        let item = match select(receiver.next().boxed_local(), Box::pin(silence)).await {
            Either::Left((event, _)) => event.map(|event| event.text()),
            Either::Right(((), _)) => Some(b": still here\n\n".to_vec()),
        };
        item.map(|item| (item, receiver))
    })
}
