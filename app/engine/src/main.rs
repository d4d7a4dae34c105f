//! The engine: a dedicated Web Worker that owns the GPU, so that a lost device kills a worker and not the page.
//!
//! It answers the messages of the crate `protocol`: chooses a device by a short measurement, fetches a model by ranges into
//! the origin's private file system, puts it on the device tensor by tensor, and runs the pipeline. One run at a time; the page
//! queues. A panic cannot be caught on this target, so the hook tells the page before the worker dies, and the page starts
//! another.

#[cfg(target_arch = "wasm32")]
mod worker;

#[cfg(target_arch = "wasm32")]
fn main() {
    construct();
    worker::start();
}

/// Runs what the linker collected of registrations before `main`, once.
///
/// A module that does not name this function gets the call at the head of each of its exports instead: the thousands of
/// registrations of the shader compiler then ran anew whenever JavaScript called in, three quarters of a step's time.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "the linker's own function has no other declaration")]
fn construct() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker makes it, without arguments, and it is called once, before anything else.
    unsafe { __wasm_call_ctors() };
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("the engine runs in a browser; start it with `cargo xtask up`");
}
