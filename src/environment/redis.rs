//! Whether Redis can be reached, what it can, and how durable it is: the place for it. It is not tried yet, and that is said.

use super::Findings;
use crate::config::{BusMode, Config};

/// Says who tells how Redis is, where it may carry events.
pub(super) fn reachable(config: &Config, findings: &mut Findings) {
    if config.bus.mode != BusMode::Embedded {
        findings.notes.push(
            "Redis was not tried: `docent status` tells what carries events, and why".to_owned(),
        );
    }
}
