//! Work that keeps a processor busy or blocks on the file system, away from the threads that carry events.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Threads for such work, a bounded number at once. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    permits: Arc<Semaphore>,
    /// Whose threads: the same for every agent. Each thread that allocates keeps memory for itself, so a few are to do
    /// the work of all.
    threads: Handle,
}

impl Compute {
    /// At most `threads` at once, of the runtime that this is called in.
    pub(crate) fn new(threads: usize) -> Self {
        Compute {
            permits: Arc::new(Semaphore::new(threads.max(1))),
            threads: Handle::current(),
        }
    }

    /// Runs `work` on a thread that may block. The work must end by itself: nobody can stop it.
    ///
    /// # Errors
    /// The text says that the work panicked, or that the process ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by the semaphore; the one place besides store and index"
    )]
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|e| e.to_string())?;
        let task = self.threads.spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.map_err(|e| e.to_string())
    }
}
