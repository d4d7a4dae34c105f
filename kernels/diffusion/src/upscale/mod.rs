//! Enlarging finished pictures by Real-ESRGAN's two networks (Wang et al., 2021).
//!
//! A file is known by its tensors alone: widths, blocks and scale are read from their shapes. Pictures of any size go through in
//! overlapping tiles, so that memory is a tile's, a row of tiles', and the finished picture's.

mod network;
mod rrdb;
mod shuffle;
mod srvgg;
mod tiles;

pub use network::{LoadUpscalerError, UpscaleError, Upscaler};
pub use rrdb::{RrdbConfig, RrdbNet};
pub use srvgg::{SrvggConfig, SrvggNet};
pub use tiles::UpscaleTiles;
