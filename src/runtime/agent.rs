//! What an agent is: a handler from an event to an [`Ending`], and duties that it does by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::event::{AgentName, Event, awake};
use crate::store::{Outcome, ReadError, WriteError};

/// How often a duty that waits for something marks its progress.
const PROGRESS: Duration = Duration::from_millis(500);

/// A future on the heap.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a handler ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Apply this; the delivery is done.
    Outcome(Outcome),
    /// This attempt failed, another may succeed.
    Transient(String),
    /// No attempt can succeed.
    Permanent(String),
    /// What the handler works with is not there: no attempt, nothing is written, the runner pauses.
    Unavailable(String),
}

impl From<ReadError> for Ending {
    /// A store that cannot be read is not the event's fault.
    fn from(error: ReadError) -> Self {
        Ending::Unavailable(error.to_string())
    }
}

/// When something last got on, on the clock that stands still while the process does. Marked by what works, read by who
/// watches it.
#[derive(Debug, Clone)]
pub struct Progress {
    epoch: Instant,
    last: Arc<AtomicU64>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            epoch: awake::now(),
            last: Arc::default(),
        }
    }
}

impl Progress {
    /// It got on just now.
    pub fn mark(&self) {
        let since = u64::try_from(awake::since(self.epoch).as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(since, Ordering::SeqCst);
    }

    /// How long ago that was.
    pub fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::SeqCst));
        awake::since(self.epoch).saturating_sub(last)
    }
}

/// What a handler is given besides the event.
#[derive(Debug, Clone)]
pub struct Handling {
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Which life of the agent handles it, from 1.
    pub incarnation: u64,
    /// To be marked by a handler that takes long; one that does not for `stall_timeout` is stopped.
    pub progress: Progress,
}

/// Why a duty ended before it was told to.
#[derive(Debug, Error)]
pub enum DutyError {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// What a duty is given.
#[derive(Debug, Clone)]
pub struct DutyContext {
    /// Told to stop: the duty returns soon.
    pub stop: CancellationToken,
    /// To be marked at least every second: a duty that does not for `stall_timeout` is replaced.
    pub progress: Progress,
}

impl DutyContext {
    /// Waits for `work` while marking progress; `None`: told to stop meanwhile, the work is dropped.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            self.progress.mark();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                done = &mut work => return Some(done),
                () = tokio::time::sleep(PROGRESS) => {}
            }
        }
    }
}

/// Something that an agent does by itself for as long as it lives: a source.
pub struct Duty {
    /// Its name, for a log line.
    pub name: &'static str,
    /// Runs until told to stop; an end before that restarts the agent.
    pub run: Box<dyn FnOnce(DutyContext) -> Boxed<'static, Result<(), DutyError>> + Send>,
}

impl Duty {
    /// A duty of this name.
    pub fn new<F, R>(name: &'static str, run: F) -> Self
    where
        F: FnOnce(DutyContext) -> R + Send + 'static,
        R: Future<Output = Result<(), DutyError>> + Send + 'static,
    {
        Duty {
            name,
            run: Box::new(move |context| Box::pin(run(context))),
        }
    }
}

/// One life of an agent. Its state goes with it; what must stay stands in the store.
pub trait Agent: Send + Sync + 'static {
    /// Which agent it is.
    fn name(&self) -> AgentName;

    /// Handles one event. Called for one event of a subject at a time, for several subjects at once.
    /// Decides by what is true now, not by the event's data alone, and does nothing if that is already so.
    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending>;

    /// What it does by itself.
    fn duties(self: Arc<Self>) -> Vec<Duty> {
        Vec::new()
    }
}

/// Makes a new life of an agent.
pub type Factory = Arc<dyn Fn() -> Arc<dyn Agent> + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_measured_from_the_last_mark() {
        let long_ago = Instant::now()
            .checked_sub(Duration::from_secs(60))
            .expect("the machine runs for longer than a minute");
        let progress = Progress {
            epoch: long_ago,
            last: Arc::default(),
        };
        assert!(progress.idle() >= Duration::from_secs(60));
        progress.mark();
        assert!(progress.idle() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_duty_that_waits_marks_progress_until_it_is_done_or_told_to_stop() {
        let context = DutyContext {
            stop: CancellationToken::new(),
            progress: Progress::default(),
        };
        let progress = context.progress.clone();
        let marked_again = async {
            while progress.idle() < PROGRESS / 5 {
                tokio::task::yield_now().await;
            }
            while progress.idle() > PROGRESS / 10 {
                tokio::task::yield_now().await;
            }
        };
        let waiting = tokio::time::timeout(Duration::from_secs(10), context.during(marked_again));
        assert_eq!(waiting.await, Ok(Some(())));
        context.stop.cancel();
        assert_eq!(context.during(std::future::pending::<()>()).await, None);
    }
}
