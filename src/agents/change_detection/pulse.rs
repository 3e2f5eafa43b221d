//! A sign of life, and the order to stop, for work that blocks.

use tokio_util::sync::CancellationToken;

use crate::runtime::{DutyContext, Progress};

/// What blocking work carries with it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse {
    progress: Progress,
    stop: CancellationToken,
}

impl From<DutyContext> for Pulse {
    fn from(context: DutyContext) -> Self {
        Pulse {
            progress: context.progress,
            stop: context.stop,
        }
    }
}

impl Pulse {
    /// It got on.
    pub(super) fn beat(&self) {
        self.progress.mark();
    }

    /// Whether it is to stop.
    pub(super) fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until it is to stop.
    pub(super) async fn stop(&self) {
        self.stop.cancelled().await;
    }
}
