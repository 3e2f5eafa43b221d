//! Work that keeps a processor busy or blocks on the file system, away from the threads that carry events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::disk::free_space;

/// How long a disk may take to say what is free. One that hangs must hold up nothing else.
const ASKING: Duration = Duration::from_secs(5);

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

    /// Runs `work` like [`Compute::run`] and waits for it no longer than this, the time until a thread is free included.
    /// Work that has begun keeps its thread to its end, so work that hangs takes no more threads than there are.
    ///
    /// # Errors
    /// As [`Compute::run`] has them, or it took too long.
    pub(crate) async fn run_within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let late = |_| Err(format!("it did not end within {limit:?}"));
        timeout(limit, self.run(work)).await.unwrap_or_else(late)
    }

    /// Bytes that this process may still write on the file system of `folder`; `None`: the disk does not say, or not in time.
    pub(crate) async fn free_space(&self, folder: PathBuf) -> Option<u64> {
        let free = self.run_within(ASKING, move || free_space(&folder)).await;
        let free = free.and_then(|free| free.map_err(|error| error.to_string()));
        free.inspect_err(|error| tracing::debug!(error, "cannot read the free space"))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_is_not_waited_for_longer_than_its_limit() {
        let compute = Compute::new(1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let limit = Duration::from_millis(20);
        let late = Err("it did not end within 20ms".to_owned());
        let hangs = compute.run_within(limit, move || held.recv().is_ok());
        assert_eq!(hangs.await, late);
        // Its thread is taken still: what comes next waits for that, and no longer either.
        assert_eq!(compute.run_within(limit, || true).await, late);
        drop(release);
        assert_eq!(compute.run(|| true).await, Ok(true));
    }
}
