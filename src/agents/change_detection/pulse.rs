//! A sign of life and the order to stop, for work that blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::event::Heartbeat;
use crate::runtime::{Compute, DutyContext, DutyError};
use crate::store::ReadError;

/// How often something that waits shows that it is alive.
pub(super) const BEAT: Duration = Duration::from_millis(500);

/// What blocking work carries with it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse {
    heartbeat: Heartbeat,
    stop: CancellationToken,
}

impl From<DutyContext> for Pulse {
    fn from(context: DutyContext) -> Self {
        Pulse {
            heartbeat: context.heartbeat,
            stop: context.stop,
        }
    }
}

impl Pulse {
    /// A pulse with the same heart, which stops earlier if `stop` says so.
    pub(super) fn stopped_by(self, stop: CancellationToken) -> Self {
        Pulse { stop, ..self }
    }

    /// Shows that the work makes progress.
    pub(super) fn beat(&self) {
        self.heartbeat.beat();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits for the order to stop.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

/// Why the capture loop ends.
#[derive(Debug)]
pub(super) enum Halt {
    /// It was told to.
    Stop,
    /// It cannot go on.
    Failed(DutyError),
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        Halt::Failed(error.into())
    }
}

/// Runs blocking work. Shows life until the work has begun; from then on the work does that itself.
pub(super) async fn blocking<T: Send + 'static>(
    compute: &Compute,
    pulse: &Pulse,
    work: impl FnOnce(&Pulse) -> T + Send + 'static,
) -> Result<T, Halt> {
    let begun = Arc::new(AtomicBool::new(false));
    let (flag, own) = (begun.clone(), pulse.clone());
    let run = compute.run(move || {
        flag.store(true, Ordering::SeqCst);
        own.beat();
        work(&own)
    });
    tokio::pin!(run);
    loop {
        tokio::select! {
            result = &mut run => return result.map_err(|e| Halt::Failed(DutyError::Failed(e))),
            () = pulse.stopped() => return Err(Halt::Stop),
            () = tokio::time::sleep(BEAT) => {
                if !begun.load(Ordering::SeqCst) {
                    pulse.beat();
                }
            }
        }
    }
}
