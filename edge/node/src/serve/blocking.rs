//! Work that would hold up every other job's reports.

use tokio::task::spawn_blocking;

/// Does `work` beside the threads that speak to the edge.
///
/// # Errors
/// A sentence for the job's owner where it panicked, which is a failure of that job alone.
pub async fn blocking<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    spawn_blocking(work).await.map_err(|_| format!("{what} broke off on this node"))
}
