//! Convolutions whose edges go on at the opposite ones, so that a picture can be laid beside itself.
//!
//! Every convolution of a pass does so, whatever network it is in; what says it is the pass, not the layer, and a pass is
//! computed on one thread. So it stands in that thread's own memory while the pass is asked for.

use burn::tensor::Tensor;
use serde::Deserialize;
use std::cell::Cell;

/// Axes along which pictures go on at the opposite edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Seamless {
    /// Whether the right edge goes on at the left one.
    pub x: bool,
    /// Whether the lower edge goes on at the upper one.
    pub y: bool,
}

thread_local! {
    static CURRENT: Cell<Seamless> = const { Cell::new(Seamless::NONE) };
}

/// Puts back what was there before, however a pass ends.
struct Restored(Seamless);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl Seamless {
    /// Along neither: zeros stand around every input.
    pub const NONE: Self = Self { x: false, y: false };
    /// Along both.
    pub const BOTH: Self = Self { x: true, y: true };

    /// What holds for the pass that is being computed.
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Computes a pass so.
    pub fn within<T>(self, pass: impl FnOnce() -> T) -> T {
        let _restored = Restored(CURRENT.replace(self));
        pass()
    }

    /// Whether it is along any axis.
    pub const fn is_any(self) -> bool {
        self.x || self.y
    }

    /// The input with as many rows and columns of the opposite edge beside each edge, where it goes on there; no more than there
    /// are.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, channels, height, width]`
    pub(crate) fn surround(self, input: Tensor<4>, beside: usize) -> Tensor<4> {
        let around = |input: Tensor<4>, axis: usize| {
            let length = input.dims()[axis];
            let beside = beside.min(length);
            let (first, last) =
                (input.clone().narrow(axis, 0, beside), input.clone().narrow(axis, length - beside, beside));
            Tensor::cat(vec![last, input, first], axis)
        };
        let input = if self.y { around(input, 2) } else { input };
        if self.x { around(input, 3) } else { input }
    }

    /// The part of what was made of a surrounded input that belongs to the input: `size` from `start` on, where it was surrounded.
    pub(crate) fn middle(self, output: Tensor<4>, start: [usize; 2], size: [usize; 2]) -> Tensor<4> {
        let output = if self.y { output.narrow(2, start[0], size[0]) } else { output };
        if self.x { output.narrow(3, start[1], size[1]) } else { output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_within_a_pass_and_no_longer() {
        assert_eq!(Seamless::current(), Seamless::NONE);
        Seamless::BOTH.within(|| {
            assert_eq!(Seamless::current(), Seamless::BOTH);
            Seamless::NONE.within(|| assert!(!Seamless::current().is_any()));
            assert_eq!(Seamless::current(), Seamless::BOTH);
        });
        std::panic::catch_unwind(|| Seamless::BOTH.within(|| panic!("a pass that ends early"))).unwrap_err();
        assert_eq!(Seamless::current(), Seamless::NONE);
    }
}
