//! What becomes of a picture and its mask before a run, and of the run's picture after it, as web UIs do it.
//!
//! A mask is white where it is repainted. It may be blurred; then the run's picture goes over into the old one, and every pixel
//! whose mask is black is the old one's, byte for byte.

mod blur;
mod fill;
mod mask;
mod outpaint;
mod region;

pub use fill::fill;
pub use mask::Mask;
pub use outpaint::{Outpaint, outpaint};
pub use region::Region;
