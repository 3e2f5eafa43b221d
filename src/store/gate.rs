//! A seam for tests: the writer can be held at two points of a commit, and be told that its disk is full.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::WriteError;

/// How long anybody waits here at most: a test that failed must not hold the writer for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the writer can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A batch was gathered, and nothing of it is taken yet.
    Gathered,
    /// All of a batch is taken, and nothing of it is durable yet.
    Taken,
}

/// The gate of one store's writer; open at first.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: Option<Point>,
    held: bool,
    full: bool,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the writer stops at this point.
    pub(crate) fn close(&self, at: Point) {
        self.state().closed = Some(at);
    }

    /// Lets the writer go on.
    pub(crate) fn open(&self) {
        self.state().closed = None;
        self.changed.notify_all();
    }

    /// Whether the writer stands here now.
    pub(crate) fn holds(&self) -> bool {
        self.state().held
    }

    /// From now on a commit ends as on a full disk, or does not any more.
    pub(crate) fn disk_full(&self, full: bool) {
        self.state().full = full;
    }

    /// The writer comes by.
    pub(super) fn pass(&self, at: Point) -> Result<(), WriteError> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while state.closed == Some(at) && Instant::now() < deadline {
            state.held = true;
            let waited = self.changed.wait_timeout(state, PATIENCE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.held = false;
        match at {
            Point::Taken if state.full => Err(WriteError::Unavailable("the disk is full".into())),
            _ => Ok(()),
        }
    }
}
