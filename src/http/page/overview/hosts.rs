//! The hosts that share the store.

use super::super::super::wire::{HostView, Overview};
use super::tone::Tone;
use crate::amounts::{duration, number};

/// A host.
pub(super) struct HostRow {
    pub(super) instance: String,
    /// It is the one whose page this is.
    pub(super) is_this: bool,
    pub(super) version: String,
    pub(super) renewed: String,
    pub(super) tone: Tone,
    pub(super) slots: String,
    pub(super) in_flight: String,
    pub(super) watches: String,
    pub(super) tasks: String,
}

/// None where the store is a file.
pub(super) fn hosts(overview: &Overview) -> Vec<HostRow> {
    overview.status.hosts.iter().map(row).collect()
}

fn row(host: &HostView) -> HostRow {
    HostRow {
        instance: host.instance.clone(),
        is_this: host.this,
        version: host.version.clone(),
        renewed: format!("{} ago", duration(host.renewed_ago())),
        tone: match host.is_late() {
            true => Tone::Doubt,
            false => Tone::Good,
        },
        slots: number(host.slots),
        in_flight: host.flights(),
        watches: host.collections.join(", "),
        tasks: host.tasks.join(", "),
    }
}
