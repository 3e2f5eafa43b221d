//! Free space: below the floor nothing is captured.

use super::context::AgentContext;
use super::pulse::Halt;
use crate::config::format_size;
use crate::disk;

/// Watches the free space under the store.
#[derive(Debug, Default)]
pub(super) struct FreeSpaceFloor {
    /// The free bytes, while they are below the floor.
    low: Option<u64>,
}

impl FreeSpaceFloor {
    pub(super) fn is_low(&self) -> bool {
        self.low.is_some()
    }

    pub(super) async fn check(&mut self, context: &AgentContext) -> Result<(), Halt> {
        let options = context.options.clone();
        let free = context.blocking(move |_| disk::free_space(&options.data_dir));
        let floor = context.options.free_space_floor;
        match (free.await?, self.low) {
            (Ok(free), None) if free < floor => {
                tracing::warn!(free, floor, "free space is below the floor: captures stop");
                self.low = Some(free);
            }
            (Ok(free), Some(_)) if free >= floor => {
                tracing::info!(free, floor, "enough space is free again: captures continue");
                self.low = None;
            }
            (Ok(_), _) => {}
            // The store itself reports when it cannot be written.
            (Err(error), _) => tracing::debug!(%error, "the free space is unknown"),
        }
        Ok(())
    }

    /// Why captures are stopped, if they are.
    pub(super) fn reason(&self, context: &AgentContext) -> Option<String> {
        let floor = format_size(context.options.free_space_floor);
        self.low
            .map(|free| format!("{} free, less than {floor}", format_size(free)))
    }
}
