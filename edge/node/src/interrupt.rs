//! Ctrl-C.

use anyhow::{Context as _, Result};
use diffusion::pipeline::CancelToken;
use signal_hook::{consts::SIGINT, flag};
use std::sync::{Arc, atomic::AtomicBool};

/// What a shell calls a program that Ctrl-C ended.
pub const EXIT_CODE: u8 = 130;

/// A token that Ctrl-C cancels; pressed again, it ends the program at once.
///
/// Until this is called Ctrl-C ends the program, which is right while there is nothing to tidy up.
pub fn token() -> Result<CancelToken> {
    let pressed = Arc::new(AtomicBool::new(false));
    // In this order, so that the first press is not already the second.
    flag::register_conditional_shutdown(SIGINT, EXIT_CODE.into(), Arc::clone(&pressed))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&pressed)))
        .context("could not listen for Ctrl-C")?;
    Ok(pressed.into())
}
