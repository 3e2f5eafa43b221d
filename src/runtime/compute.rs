//! Work that keeps a processor busy or blocks on the file system, away from the threads that carry events.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Threads for such work, a bounded number at once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Compute(Arc<Semaphore>);

impl Compute {
    /// At most `threads` at once.
    pub fn new(threads: usize) -> Self {
        Compute(Arc::new(Semaphore::new(threads.max(1))))
    }

    /// Runs `work` on a thread that may block. The work must end by itself: nobody can stop it.
    ///
    /// # Errors
    /// The text says that the work panicked, or that the process ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by the semaphore; the one place besides store and index"
    )]
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let permit = self
            .0
            .clone()
            .acquire_owned()
            .await
            .map_err(|e| e.to_string())?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.map_err(|e| e.to_string())
    }
}
