//! What an agent is: a handler from an event to an [`Ending`], and duties that it does by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::event::{AgentName, Event, Heartbeat};
use crate::store::{Outcome, ReadError, Store, WriteError};

/// How often a duty that waits for something beats.
const BEAT: Duration = Duration::from_millis(500);

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

/// What a handler is given besides the event.
#[derive(Debug, Clone)]
pub struct Handling {
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Which run of the agent handles it, from 1.
    pub run: u64,
    /// Beaten by a handler that takes long; one that does not for `stall_timeout` is stopped.
    pub heartbeat: Heartbeat,
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
    #[error("{0}")]
    Failed(String),
}

/// What a duty is given.
#[derive(Debug, Clone)]
pub struct DutyContext {
    /// Told to stop: the duty returns soon.
    pub stop: CancellationToken,
    /// Beaten at least every second: a duty that does not for `stall_timeout` is replaced.
    pub heartbeat: Heartbeat,
}

impl DutyContext {
    /// Waits for `work` while its heart beats; `None`: told to stop meanwhile, the work is dropped.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            self.heartbeat.beat();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                done = &mut work => return Some(done),
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }

    /// Waits until what was handed to the store before is committed or refused: what is read then is what an earlier run left
    /// behind. It takes as long as the store cannot be written, which is not the agent's fault. `None`: told to stop meanwhile.
    pub(crate) async fn after_earlier_writes(
        &self,
        store: &Store,
    ) -> Option<Result<(), WriteError>> {
        loop {
            match self.during(store.barrier()).await? {
                Err(WriteError::Unavailable(_)) => self.during(tokio::time::sleep(BEAT)).await?,
                passed => return Some(passed),
            }
        }
    }
}

/// Something that an agent does by itself for as long as it runs: a source.
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

/// One run of an agent. Its state goes with it; what must stay stands in the store.
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

/// Makes a new run of an agent.
pub(crate) type Factory = Arc<dyn Fn() -> Arc<dyn Agent> + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_duty_that_waits_beats_until_it_is_done_or_told_to_stop() {
        let context = DutyContext {
            stop: CancellationToken::new(),
            heartbeat: Heartbeat::default(),
        };
        let heartbeat = context.heartbeat.clone();
        let marked_again = async {
            while heartbeat.idle() < BEAT / 5 {
                tokio::task::yield_now().await;
            }
            while heartbeat.idle() > BEAT / 10 {
                tokio::task::yield_now().await;
            }
        };
        let waiting = tokio::time::timeout(Duration::from_secs(10), context.during(marked_again));
        assert_eq!(waiting.await, Ok(Some(())));
        context.stop.cancel();
        assert_eq!(context.during(std::future::pending::<()>()).await, None);
    }
}
