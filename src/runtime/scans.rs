//! The desk where a scan is asked for and its end awaited: `change_detection` serves it, the control socket asks.
//!
//! A scan that was asked for is one that *begins* after the asking. One runs, one is queued, and everybody who asks
//! meanwhile shares the queued one. The same holds for markers, which cost less: everything that was notified before one
//! is captured when it has ended.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::event::Millis;
use crate::metrics::{LabelledGauges, label};

/// The reason in a `scan.requested` that takes a root as it is: absent, or another directory than before.
pub(crate) const ACCEPT_REMOVALS: &str = "accept-removals";

/// Files that were handed in and not taken yet, at most.
const FOUND_MAX: usize = 4096;

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
    /// When the first of them was noticed; `None`: there is none, or how old one of the changes is is not known.
    pub pending_since: Option<Millis>,
    /// Everything that changed before was noticed: a full scan has ended, and no notification was lost since.
    pub caught_up: bool,
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
    /// When the last walk of all of it began that has ended.
    pub walked_at: Option<Millis>,
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

/// Turns of one piece of work, such as a scan. One runs, one is queued, and everybody who asks meanwhile shares the queued
/// one.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    wanted: AtomicU64,
    begun: AtomicU64,
    asked: Notify,
    ended: watch::Sender<u64>,
}

impl Turns {
    /// Asks for a turn that begins after this call; gives its number.
    pub(crate) fn ask(&self) -> u64 {
        let number = self.next();
        self.wanted.fetch_max(number, Ordering::SeqCst);
        self.asked.notify_one();
        number
    }

    /// The number of the turn that begins next.
    pub(crate) fn next(&self) -> u64 {
        self.begun.load(Ordering::SeqCst) + 1
    }

    /// Waits until turn `number` or a later one has ended.
    pub(crate) async fn ended(&self, number: u64) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as this call, so waiting cannot fail.
        ended.wait_for(|e| *e >= number).await.ok();
    }

    /// For who does the work: waits until a turn is asked for that has not begun.
    pub(crate) async fn asked(&self) {
        while !self.is_asked() {
            self.asked.notified().await;
        }
    }

    /// For who does the work: whether a turn is asked for that has not begun.
    pub(crate) fn is_asked(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) > self.begun.load(Ordering::SeqCst)
    }

    /// For who does the work: a turn begins now; gives its number.
    pub(crate) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// For who does the work: turn `number` has ended, and with it all before.
    pub(crate) fn end(&self, number: u64) {
        self.ended.send_if_modified(|e| {
            let later = number > *e;
            *e = number.max(*e);
            later
        });
    }
}

/// Files by collection and path.
type FoundFiles = BTreeSet<(String, Vec<u8>)>;

/// Where scans are asked for and awaited. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScanDesk {
    scans: Arc<Turns>,
    markers: Arc<Turns>,
    /// Files that somebody found changed and nobody has noticed.
    found: Arc<Mutex<FoundFiles>>,
    progress: Arc<watch::Sender<ScanProgress>>,
    figures: Arc<ScanFigures>,
}

/// The last scan of each collection that was scanned whole since the start.
#[derive(Debug, Default)]
pub(crate) struct ScanFigures {
    pub(crate) seconds: LabelledGauges,
    /// When it ended, in seconds since 1970.
    pub(crate) ended_at: LabelledGauges,
}

impl ScanDesk {
    /// Scans of everything. One has ended when every file that it saw is captured or reported.
    pub(crate) fn scans(&self) -> &Turns {
        &self.scans
    }

    /// Markers among the notifications. One has ended when every change that was notified before it is captured or
    /// reported.
    pub(crate) fn markers(&self) -> &Turns {
        &self.markers
    }

    /// Hands in files that were found changed. The next marker waits for them. What there is no room for waits for its
    /// notification, or for a scan.
    pub(crate) fn hand_in(&self, found: Vec<(String, Vec<u8>)>) {
        let mut waiting = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let room = FOUND_MAX.saturating_sub(waiting.len());
        waiting.extend(found.into_iter().take(room));
    }

    /// For the capture loop: the files that were handed in.
    pub(crate) fn take_found(&self) -> FoundFiles {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn progress(&self) -> watch::Receiver<ScanProgress> {
        self.progress.subscribe()
    }

    /// For the scanner: a whole collection was scanned, and this is how long it took.
    pub(crate) fn scanned(&self, collection: &str, took: Duration) {
        let labels = label("collection", collection);
        let figures = &self.figures;
        let seconds = took.as_secs_f64();
        figures.seconds.get_or_create(&labels).set(seconds);
        let now = Millis::now().0 as f64 / 1000.0;
        figures.ended_at.get_or_create(&labels).set(now);
    }

    /// For the scanner: another host scans this collection now.
    pub(crate) fn forget(&self, collection: &str) {
        let labels = label("collection", collection);
        self.figures.seconds.remove(&labels);
        self.figures.ended_at.remove(&labels);
    }

    pub(crate) fn figures(&self) -> &ScanFigures {
        &self.figures
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
        let scans = Turns::default();
        let first = scans.ask();
        assert_eq!(scans.begin(), first);
        let second = scans.ask();
        assert_eq!(second, scans.ask());
        assert_eq!(second, first + 1);
        scans.end(first);
        scans.ended(first).await;
        assert!(scans.is_asked());
        assert_eq!(scans.begin(), second);
        assert!(!scans.is_asked());
        scans.end(second);
        scans.ended(second).await;
    }
}
