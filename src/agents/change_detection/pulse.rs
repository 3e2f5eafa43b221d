//! A sign of life, and the order to stop, for work that blocks.

use tokio_util::sync::CancellationToken;

use crate::event::Heartbeat;
use crate::runtime::DutyContext;

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
    /// It got on.
    pub(super) fn beat(&self) {
        self.heartbeat.beat();
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
