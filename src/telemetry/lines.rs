//! The lines that an operator matches: they keep their names and their ids for good. `journalctl MESSAGE_ID=…` finds them.

use tracing::{Level, Metadata};

/// A line with a name. Its name is that of the event that it tells of, where there is one.
pub(super) struct NamedLine {
    /// What the code calls it: `tracing::info!(name: "docent.ready", …)`.
    pub(super) name: &'static str,
    /// 128 random bits, made once.
    pub(super) id: &'static str,
}

/// All of them. docs/operating.md lists them too.
pub(super) const LINES: &[NamedLine] = &[
    line("docent.started", "2c2b1163c7da4c78a863d7cdae6448a5"),
    line("docent.ready", "4474ee75c08a49b88f638b5044c97b81"),
    line("docent.stopping", "7fab5fb8f0074a5abe6998c81eb1f4e9"),
    line("docent.stopped", "0a7c236592054ee8bef7acbdfd541c2a"),
    line("docent.stands_still", "6e058a73922c417388519c0c60a68b0c"),
    line("docent.was_stopped", "eda35a3d8e3c4316b87beeaf70f6b739"),
    line("docent.clock_set", "2ca363ad96bf49a982792cd0c410217d"),
    line("control.bound_again", "42c77a01dccb499f88b8e775e777f3b7"),
    line("agent.restarted", "7702a71414c340479906efa1c9b14a30"),
    line("agent.parked", "d1667425dd7c46b7923fb9d70acfafce"),
    line("agent.recovered", "6f78b8ff9f164679beae5a2596fade6e"),
    line("event.dead_lettered", "1ca2ac75c5ff4e8da46032f8ae20d9dd"),
    line("docent.suppressed", "4a59b22d34864a149d96a9d3b83eb4da"),
];

const fn line(name: &'static str, id: &'static str) -> NamedLine {
    NamedLine { name, id }
}

/// The severity of a line, as syslog and the journal count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    /// The life of the process: normal, and worth seeing.
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// The severity of a line by its level and its name.
pub(super) fn priority(metadata: &Metadata<'_>) -> Priority {
    match *metadata.level() {
        Level::ERROR => Priority::Error,
        Level::WARN => Priority::Warning,
        Level::INFO if notice(metadata.name()) => Priority::Notice,
        Level::INFO => Priority::Info,
        Level::DEBUG | Level::TRACE => Priority::Debug,
    }
}

/// Whether a line at the level info is one of the process's life.
fn notice(name: &str) -> bool {
    LINES.iter().any(|line| line.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_128_bits_and_no_two_lines_share_one() {
        let hex =
            |id: &str| id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        assert!(LINES.iter().all(|line| hex(line.id)));
        let ids: BTreeSet<_> = LINES.iter().map(|line| line.id).collect();
        assert_eq!(ids.len(), LINES.len());
    }
}
