//! Parameters that are on a device already, so that a model whose adapters change reads anew what those touch and nothing else.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// A parameter as a layer takes it, which copies share.
#[derive(Clone)]
struct Entry {
    /// [`weights::TensorSource::version`] of what it was made of.
    version: u64,
    value: Arc<dyn Any + Send + Sync>,
    /// What it takes on the device.
    bytes: u64,
}

type Entries = HashMap<String, Entry>;

/// The parameters of a model by their parts and names.
#[derive(Default)]
pub struct Kept {
    before: Mutex<Entries>,
    now: Mutex<Entries>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("parameters", &lock(&self.now).len()).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves a map as whole as it was.
fn lock(entries: &Mutex<Entries>) -> std::sync::MutexGuard<'_, Entries> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// For the same model built once more: what is still the same is taken over.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { before: Mutex::new(lock(&self.now).clone()), now: Mutex::default() }
    }

    /// Lets go of what was not taken over.
    pub fn settle(&self) {
        lock(&self.before).clear();
    }

    /// A parameter of this version, if it is there, and its bytes.
    pub(super) fn take<T: Clone + 'static>(&self, name: &str, version: u64) -> Option<(T, u64)> {
        let entry = lock(&self.before).get(name).filter(|entry| entry.version == version)?.clone();
        let value = entry.value.downcast_ref::<T>()?.clone();
        let bytes = entry.bytes;
        lock(&self.now).insert(name.to_owned(), entry);
        Some((value, bytes))
    }

    /// Keeps one that was read.
    pub(super) fn put<T: Send + Sync + 'static>(&self, name: String, version: u64, value: T, bytes: u64) {
        lock(&self.now).insert(name, Entry { version, value: Arc::new(value), bytes });
    }
}
