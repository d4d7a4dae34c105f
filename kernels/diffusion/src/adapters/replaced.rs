//! Tensors that are another file's.

use std::{
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};
use weights::{RawTensor, TensorInfo, TensorSource, WeightsError};

/// A number that no other change of a tensor has.
pub(super) fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What stands in the place of a model's own part.
pub(super) struct Replaced {
    source: Rc<dyn TensorSource>,
    version: u64,
}

impl Replaced {
    pub(super) fn new(source: Rc<dyn TensorSource>) -> Self {
        Self { source, version: next_version() }
    }
}

impl TensorSource for Replaced {
    fn tensors(&self) -> &[TensorInfo] {
        self.source.tensors()
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        self.source.read(name)
    }

    fn version(&self, _name: &str) -> u64 {
        self.version
    }

    fn mapped(&self, name: &str) -> Option<&[u8]> {
        self.source.mapped(name)
    }

    fn release(&self, name: &str) {
        self.source.release(name);
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.source.metadata(key)
    }
}
