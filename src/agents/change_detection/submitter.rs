//! Submits transactions to the store: holds the paths whose transaction is in flight, and pauses while the store cannot be
//! written. Two transactions of one path are never in flight at once.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::changed_paths::{TakenPath, TreePath};
use super::decision::CaptureTransaction;
use super::paths;
use super::pulse::{BEAT, Halt, Pulse};
use crate::runtime::{Boxed, DutyError, Source};
use crate::store::{LeaseTerm, PublishedEvent, WriteError};

/// The pause after the store could not be written: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a transaction in flight is about.
#[derive(Debug)]
pub(super) enum InFlight {
    Path {
        taken: TakenPath,
        /// The file is to be read again when it has come to rest.
        young: bool,
    },
    /// What a root is known to be.
    Root { tree: usize },
    /// The end of a scan; `number`: see [`crate::runtime::ScanDesk`].
    ScanEnd { number: Option<u64> },
}

/// A transaction that has ended.
#[derive(Debug)]
pub(super) struct CommitResult {
    pub(super) in_flight: InFlight,
    pub(super) outcome: CommitOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitOutcome {
    Written,
    /// The store refused it.
    Refused,
    /// The store could not be written: submissions pause.
    Unavailable,
}

/// Why and how long nothing is submitted.
#[derive(Debug)]
struct SubmitPause {
    until: Instant,
    length: Duration,
    cause: String,
}

/// The paths whose transaction is in flight.
#[derive(Debug, Default)]
pub(super) struct PathsInFlight(HashSet<TreePath>);

impl PathsInFlight {
    pub(super) fn contains(&self, path: &TreePath) -> bool {
        self.0.contains(path)
    }

    /// Those below a directory.
    pub(super) fn below(&self, tree: usize, directory: &[u8]) -> impl Iterator<Item = &TreePath> {
        let prefix = paths::below(directory);
        let paths = self.0.iter();
        paths.filter(move |p| p.tree == tree && p.path.starts_with(&prefix))
    }
}

type Written = Result<Vec<PublishedEvent>, WriteError>;

pub(super) struct Submitter {
    source: Source,
    pulse: Pulse,
    paths_in_flight: PathsInFlight,
    commits: FuturesUnordered<Boxed<'static, (InFlight, Written)>>,
    ended: VecDeque<CommitResult>,
    /// Stays after its end until something could be written.
    pause: Option<SubmitPause>,
}

impl Submitter {
    pub(super) fn new(source: Source, pulse: Pulse) -> Self {
        Submitter {
            source,
            pulse,
            paths_in_flight: PathsInFlight::default(),
            commits: FuturesUnordered::new(),
            ended: VecDeque::new(),
            pause: None,
        }
    }

    /// Hands a transaction to the source, under the lease that it was made under, and notes the ends of others while it waits
    /// for room.
    pub(super) async fn submit(
        &mut self,
        in_flight: InFlight,
        transaction: CaptureTransaction,
        lease: Option<LeaseTerm>,
    ) -> Result<(), Halt> {
        if let InFlight::Path { taken, .. } = &in_flight {
            self.paths_in_flight.0.insert(taken.path().clone());
        }
        let (source, pulse) = (self.source.clone(), self.pulse.clone());
        let submit = source.submit_under(lease, transaction.effects, transaction.events);
        tokio::pin!(submit);
        let submitted = loop {
            tokio::select! {
                biased;
                submitted = &mut submit => break submitted.map_err(|e| Halt::Failed(e.into()))?,
                () = pulse.stopped() => return Err(Halt::Stop),
                ended = self.wait() => ended?,
                () = tokio::time::sleep(BEAT) => pulse.beat(),
            }
        };
        self.commits.push(Box::pin(async move {
            let written = submitted.committed().await;
            (in_flight, written)
        }));
        Ok(())
    }

    /// Waits until a transaction has ended; for ever if none is in flight. May be dropped at any moment.
    pub(super) async fn wait(&mut self) -> Result<(), Halt> {
        match self.commits.next().await {
            Some((in_flight, written)) => self.note_end(in_flight, written),
            None => std::future::pending().await,
        }
    }

    /// A transaction that has ended, without waiting for one.
    pub(super) fn next_ended(&mut self) -> Result<Option<CommitResult>, Halt> {
        if self.ended.is_empty()
            && let Some(Some((in_flight, written))) = self.commits.next().now_or_never()
        {
            self.note_end(in_flight, written)?;
        }
        Ok(self.ended.pop_front())
    }

    pub(super) fn note_end(&mut self, in_flight: InFlight, written: Written) -> Result<(), Halt> {
        if let InFlight::Path { taken, .. } = &in_flight {
            self.paths_in_flight.0.remove(taken.path());
        }
        let outcome = match written {
            Ok(_) => {
                if self.pause.take().is_some() {
                    tracing::info!("the store can be written again");
                }
                CommitOutcome::Written
            }
            Err(WriteError::Closed) => {
                return Err(Halt::Failed(DutyError::Write(WriteError::Closed)));
            }
            Err(WriteError::Unavailable(cause)) => {
                self.pause_for(&cause);
                CommitOutcome::Unavailable
            }
            Err(error) => {
                tracing::debug!(%error, "the store refused a transaction");
                match (&self.pause, &in_flight) {
                    (None, InFlight::Path { .. }) => CommitOutcome::Refused,
                    (None, _) => {
                        self.pause_for(&error.to_string());
                        CommitOutcome::Refused
                    }
                    (Some(_), _) => CommitOutcome::Unavailable,
                }
            }
        };
        self.ended.push_back(CommitResult { in_flight, outcome });
        Ok(())
    }

    pub(super) fn paths_in_flight(&self) -> &PathsInFlight {
        &self.paths_in_flight
    }

    pub(super) fn is_paused(&self) -> bool {
        let pause = self.pause.as_ref();
        pause.is_some_and(|pause| pause.until > Instant::now())
    }

    /// Why the store could not be written last, if it could not.
    pub(super) fn pause_cause(&self) -> Option<&str> {
        self.pause.as_ref().map(|pause| pause.cause.as_str())
    }

    /// There is nothing left to submit: what could not be written no longer has to be.
    pub(super) fn nothing_left(&mut self) {
        if !self.is_paused() {
            self.pause = None;
        }
    }

    fn pause_for(&mut self, cause: &str) {
        let now = Instant::now();
        let length = match &self.pause {
            // Others of the same commit: one pause for all of them.
            Some(pause) if pause.until > now => return,
            Some(pause) => (pause.length * 2).min(PAUSE_MAX),
            None => {
                tracing::warn!(cause, "the store cannot be written; captures wait");
                PAUSE_MIN
            }
        };
        self.pause = Some(SubmitPause {
            until: now + length,
            length,
            cause: cause.to_owned(),
        });
    }
}

#[cfg(test)]
impl Submitter {
    pub(super) fn commits_in_flight(&self) -> usize {
        self.commits.len()
    }

    /// Ends the pause now; gives how long it was to last.
    pub(super) fn end_pause(&mut self) -> Duration {
        let pause = self.pause.as_mut().expect("a pause");
        pause.until = Instant::now();
        pause.length
    }
}
