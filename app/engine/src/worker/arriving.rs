//! A model whose ranges come one after the other while what is here is used.

use super::{
    Result,
    download::Fetcher,
    error::EngineError,
    fetch::{Stop, sleep},
    record,
    source::Source,
    storage::Storage,
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// How often a waiting reader looks, in milliseconds.
const LOOK_EVERY: i32 = 5;

/// What fetching has come to.
#[derive(Default)]
struct State {
    is_over: Cell<bool>,
    error: RefCell<Option<EngineError>>,
}

/// A model on its way; fetching ends when this is dropped.
pub struct Arriving {
    /// Where its bytes are, as far as they are here.
    pub storage: Rc<Storage>,
    state: Rc<State>,
    stop: Rc<Stop>,
    size: u64,
    range_size: u64,
    is_hashed: bool,
}

impl Arriving {
    /// Begins to fetch what is not here yet.
    ///
    /// # Errors
    /// [`EngineError`] when the manifest cannot be had.
    #[expect(clippy::disallowed_methods, reason = "the failure is told by whoever waits for the model")]
    pub async fn begin(manifest_url: &str) -> Result<Self> {
        let source = Source::resolve(manifest_url).await?;
        // A browser that refuses to remember it loses only visits without a network.
        drop(record::keep(&source, None).await);
        let arriving = Self {
            storage: Rc::new(Storage::open(&source.manifest).await),
            state: Rc::default(),
            stop: Rc::new(Stop::new()),
            size: source.manifest.size,
            range_size: source.manifest.range_size,
            is_hashed: source.is_hashed(),
        };
        let (storage, state, stop) = (arriving.storage.clone(), arriving.state.clone(), arriving.stop.clone());
        wasm_bindgen_futures::spawn_local(async move {
            let outcome = Fetcher::of_wanted(source, storage, &stop).run().await;
            state.error.replace(outcome.err());
            state.is_over.set(true);
        });
        Ok(arriving)
    }

    /// Waits until the bytes from `start` to `end` are here and verified.
    ///
    /// # Errors
    /// What ended the fetching before they came.
    pub async fn until(&self, start: u64, end: u64) -> Result<()> {
        let end = end.min(self.size);
        let ranges = (start / self.range_size) as usize..end.div_ceil(self.range_size) as usize;
        // Of a file with one hash for all of it nothing is verified before everything is.
        let is_here = || self.is_hashed && ranges.clone().all(|range| self.storage.has(range));
        while !is_here() {
            if self.state.is_over.get() {
                return self.state.error.take().map_or(Ok(()), Err);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until everything is here.
    ///
    /// # Errors
    /// What ended the fetching before.
    pub async fn whole(&self) -> Result<()> {
        while !self.state.is_over.get() {
            sleep(LOOK_EVERY).await;
        }
        self.state.error.take().map_or(Ok(()), Err)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.stop.ask();
    }
}
