//! The desk where a scan is asked for and its end awaited: `change_detection` serves it, the control socket asks.
//!
//! A scan that was asked for is one that *begins* after the asking. One runs, one is queued, and everybody who asks
//! meanwhile shares the queued one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// The reason in a `scan.requested` that takes a root as it is: absent, or another directory than before.
pub(crate) const ACCEPT_REMOVALS: &str = "accept-removals";

/// Directories that are named in a text; the rest is counted.
const NAMED: usize = 3;

/// How far scans and captures have come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ScanProgress {
    /// The collection that is being scanned, if one is.
    pub scanning: Option<String>,
    /// Files that the running scan (or the last one) has seen.
    pub seen: u64,
    /// Files that it found changed.
    pub changed: u64,
    /// Changed paths that are not captured or reported yet.
    pub pending: u64,
    /// Why captures are stopped, if they are.
    pub held: Option<String>,
    /// The root of each collection in the config.
    pub roots: Vec<RootReport>,
}

impl ScanProgress {
    /// Roots that cannot be reached, with the cause and what it means for their documents.
    pub(crate) fn absent(&self) -> Vec<(String, String)> {
        self.having(|root| {
            let (cause, then) = root.state.away()?;
            Some(format!("{cause}; {then}"))
        })
    }

    /// Collections whose files an operator may let go: the root is away or held.
    pub(crate) fn to_let_go(&self) -> Vec<(String, String)> {
        self.having(|root| match &root.state {
            RootState::Absent(cause)
            | RootState::Denied(cause)
            | RootState::RemovalsHeld(cause) => Some(cause.clone()),
            RootState::There | RootState::LetGo(_) => None,
        })
    }

    /// Collections with another directory at their root, which is left alone, with the cause.
    pub(crate) fn removals_held(&self) -> Vec<(String, String)> {
        self.having(|root| match &root.state {
            RootState::RemovalsHeld(cause) => Some(cause.clone()),
            _ => None,
        })
    }

    /// Collections with directories or files that could not be read, and which.
    pub(crate) fn unlisted(&self) -> Vec<(String, String)> {
        self.having(|root| {
            let names = root.unlisted.iter().map(|path| path.display().to_string());
            let names: Vec<String> = names.take(NAMED).collect();
            let more = root.unlisted.len().saturating_sub(NAMED);
            match (names.is_empty(), more) {
                (true, _) => None,
                (false, 0) => Some(names.join(", ")),
                (false, more) => Some(format!("{} and {more} more", names.join(", "))),
            }
        })
    }

    /// Collections with directories whose ignore rules cannot be used, and why.
    pub(crate) fn shut(&self) -> Vec<(String, String)> {
        self.having(|root| {
            let causes: Vec<&str> = root.shut.iter().map(String::as_str).take(NAMED).collect();
            let more = root.shut.len().saturating_sub(NAMED);
            match (causes.is_empty(), more) {
                (true, _) => None,
                (false, 0) => Some(causes.join(" | ")),
                (false, more) => Some(format!("{} | and {more} more", causes.join(" | "))),
            }
        })
    }

    fn having(&self, what: impl Fn(&RootReport) -> Option<String>) -> Vec<(String, String)> {
        let roots = self.roots.iter();
        roots
            .filter_map(|root| Some((root.collection.clone(), what(root)?)))
            .collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootReport {
    pub collection: String,
    /// Where the root is.
    pub path: PathBuf,
    pub state: RootState,
    /// Why it is scanned often instead of being notified of changes, if it is.
    pub polled: Option<String>,
    /// Directories and files that could not be read, a bounded number of them. Their documents are kept, unless docent may
    /// not read them.
    pub unlisted: Vec<PathBuf>,
    /// Files of ignore rules that cannot be used, each with the reason, a bounded number of them. Nothing below their
    /// directories is searchable.
    pub shut: Vec<String>,
}

/// The state of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootState {
    /// It can be reached, or nobody has tried yet.
    There,
    /// It cannot be reached: what is known of its files stays.
    Absent(String),
    /// docent may not read it: its files are not searchable.
    Denied(String),
    /// It cannot be reached, and no files of it are known: an operator let them go, or there never were any.
    LetGo(String),
    /// It is another directory than its files were in: it is not read, and no file counts as removed.
    RemovalsHeld(String),
}

impl RootState {
    /// Why the root cannot be reached, if it cannot, and what that means for its documents.
    pub(crate) fn away(&self) -> Option<(&str, &'static str)> {
        match self {
            RootState::Absent(cause) => Some((cause, "its documents are kept")),
            RootState::Denied(cause) => Some((
                cause,
                "its documents are not searchable until docent may read them",
            )),
            RootState::LetGo(cause) => Some((cause, "no documents of it are known")),
            RootState::There | RootState::RemovalsHeld(_) => None,
        }
    }
}

/// Where scans are asked for and awaited. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ScanDesk {
    wanted: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
    asked: Arc<Notify>,
    ended: Arc<watch::Sender<u64>>,
    progress: Arc<watch::Sender<ScanProgress>>,
}

impl Default for ScanDesk {
    fn default() -> Self {
        ScanDesk {
            wanted: Arc::default(),
            begun: Arc::default(),
            asked: Arc::default(),
            ended: Arc::new(watch::Sender::new(0)),
            progress: Arc::new(watch::Sender::new(ScanProgress::default())),
        }
    }
}

impl ScanDesk {
    /// Asks for a scan of everything that begins after this call; gives its number.
    pub(crate) fn ask(&self) -> u64 {
        let number = self.begun.load(Ordering::SeqCst) + 1;
        self.wanted.fetch_max(number, Ordering::SeqCst);
        self.asked.notify_one();
        number
    }

    /// Waits until scan `number` or a later one has ended: every file that it saw is captured or reported.
    pub(crate) async fn ended(&self, number: u64) {
        let mut ended = self.ended.subscribe();
        // The sender lives in this very desk, so waiting cannot fail.
        ended.wait_for(|e| *e >= number).await.ok();
    }

    pub(crate) fn progress(&self) -> watch::Receiver<ScanProgress> {
        self.progress.subscribe()
    }

    /// For the scanner: waits until a scan is asked for that has not begun.
    pub(crate) async fn asked(&self) {
        while !self.is_asked() {
            self.asked.notified().await;
        }
    }

    /// For the scanner: whether a scan is asked for that has not begun.
    pub(crate) fn is_asked(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) > self.begun.load(Ordering::SeqCst)
    }

    /// For the scanner: a scan of everything begins now; gives its number.
    pub(crate) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// For the scanner: scan `number` has ended.
    pub(crate) fn end(&self, number: u64) {
        self.ended.send_if_modified(|e| {
            let later = number > *e;
            *e = number.max(*e);
            later
        });
    }

    /// For the scanner: changes the progress.
    pub(crate) fn report(&self, change: impl FnOnce(&mut ScanProgress)) {
        self.progress.send_if_modified(|progress| {
            let before = progress.clone();
            change(progress);
            *progress != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_during_a_scan_waits_for_the_next_one() {
        let desk = ScanDesk::default();
        let first = desk.ask();
        assert_eq!(desk.begin(), first);
        let second = desk.ask();
        assert_eq!(second, desk.ask());
        assert_eq!(second, first + 1);
        desk.end(first);
        desk.ended(first).await;
        assert!(desk.is_asked());
        assert_eq!(desk.begin(), second);
        assert!(!desk.is_asked());
        desk.end(second);
        desk.ended(second).await;
    }
}
