//! A tensor that several threads write to.

use std::marker::PhantomData;

/// Values of which threads take parts that do not overlap.
pub struct Shared<'a> {
    start: *mut f32,
    count: usize,
    values: PhantomData<&'a mut [f32]>,
}

// SAFETY: whoever takes parts says that no two overlap.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub fn new(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), count: values.len(), values: PhantomData }
    }

    /// `count` values from `at` on.
    ///
    /// # Safety
    ///
    /// No two parts that are held at once may overlap.
    ///
    /// # Panics
    ///
    /// When there are no such values.
    #[expect(clippy::mut_from_ref, reason = "that parts do not overlap is what the caller says")]
    pub unsafe fn part(&self, at: usize, count: usize) -> &mut [f32] {
        assert!(at <= self.count && count <= self.count - at, "values {at}.. of {}", self.count);
        // SAFETY: they are there, and nobody else holds them.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), count) }
    }
}
