//! What the store counts and measures, for monitoring.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::measured::{MeasuredChange, MeasuredChanges};
use crate::event::{EventType, Millis};
use crate::metrics::{Counter, Histogram, LabelledCounts, Labels, label};

/// Changes that are remembered until they are searchable.
const NOTICED_MAX: usize = 10_000;

/// What was not searchable by then never will be: it was rejected, say.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

// Measured with a debug build on two busy cores, 300 files taken in and 30 edits: a commit took 1 to 250 ms, half of them under
// 7 ms; 7 of 10 had one transaction, the largest 256; a change was searchable after 0.4 to 1.5 s, the debounce of 0.5 s
// included.
const COMMIT_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
const FRESHNESS_BUCKETS: [f64; 12] = [
    0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
];

/// Counters and histograms since the start.
#[derive(Debug)]
pub(crate) struct StoreFigures {
    /// Events by their type.
    pub(crate) published: LabelledCounts,
    pub(crate) fixes: LabelledCounts,
    /// Commits since the start.
    pub(crate) commits: Counter,
    /// Those among them after which files, documents or their chunks may be others.
    pub(crate) file_commits: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) batch_size: Histogram,
    /// Records of the audit log, those of earlier starts among them.
    pub(crate) audited: Counter,
    /// Notifications of alerts that there was no room for.
    pub(crate) notifications_dropped: Counter,
    /// Where the chain of the audit log was broken when it was checked last, the inner `None`: nowhere; `None`: it was not yet.
    audit_break: Mutex<Option<Option<String>>>,
    /// When it was found that commits are gone from the store, in milliseconds; 0: never.
    commits_lost: AtomicI64,
    /// From a change's being noticed to its being searchable.
    pub(crate) freshness: Histogram,
    noticed: Mutex<HashMap<(String, Vec<u8>), Instant>>,
    measured: Mutex<MeasuredChanges>,
}

impl Default for StoreFigures {
    fn default() -> Self {
        let published = LabelledCounts::default();
        for kind in EventType::ALL {
            drop(published.get_or_create(&label("type", kind)));
        }
        StoreFigures {
            published,
            fixes: LabelledCounts::default(),
            commits: Counter::default(),
            file_commits: Counter::default(),
            commit_seconds: Histogram::new(COMMIT_BUCKETS),
            batch_size: Histogram::new(BATCH_BUCKETS),
            audited: Counter::default(),
            notifications_dropped: Counter::default(),
            audit_break: Mutex::default(),
            commits_lost: AtomicI64::new(0),
            freshness: Histogram::new(FRESHNESS_BUCKETS),
            noticed: Mutex::default(),
            measured: Mutex::default(),
        }
    }
}

pub(super) fn fix_labels(fix: &str, result: &str) -> Labels {
    vec![("fix", fix.to_owned()), ("result", result.to_owned())]
}

impl StoreFigures {
    /// There is a fix of this name, so its counters are there before it is tried.
    pub(crate) fn knows_fix(&self, fix: &str) {
        for result in ["applied", "failed"] {
            drop(self.fixes.get_or_create(&fix_labels(fix, result)));
        }
    }

    /// A change of a file was noticed at that moment, and its bytes are in the store now.
    pub(crate) fn noticed(&self, collection: &str, path: &[u8], at: Instant) {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.len() >= NOTICED_MAX {
            noticed.retain(|_, at| at.elapsed() < FORGOTTEN_AFTER);
        }
        if noticed.len() < NOTICED_MAX {
            noticed.insert((collection.to_owned(), path.to_owned()), at);
        }
    }

    /// What the store has of this file is searchable now.
    pub(crate) fn searchable(&self, collection: &str, path: &[u8]) {
        let key = (collection.to_owned(), path.to_owned());
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(noticed_at) = noticed.remove(&key) {
            let took = noticed_at.elapsed();
            self.freshness.observe(took.as_secs_f64());
            let at = Millis::now();
            let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
            measured.push(MeasuredChange { at, took });
        }
    }

    /// It was found that commits are gone from the store.
    pub(crate) fn miss_commits(&self) {
        self.commits_lost.store(Millis::now().0, Ordering::Relaxed);
    }

    /// When it was found that commits are gone from the store.
    pub(crate) fn commits_lost(&self) -> Option<Millis> {
        let at = Millis(self.commits_lost.load(Ordering::Relaxed));
        (at.0 != 0).then_some(at)
    }

    /// The chain of the audit log was checked: where it is broken, if it is.
    pub(super) fn audit_checked(&self, broken: Option<String>) {
        *self.locked_audit_break() = Some(broken);
    }

    /// Where the chain of the audit log was broken when it was checked last, the inner `None`: nowhere; `None`: it was not yet.
    pub(crate) fn audit_break(&self) -> Option<Option<String>> {
        self.locked_audit_break().clone()
    }

    fn locked_audit_break(&self) -> MutexGuard<'_, Option<Option<String>>> {
        self.audit_break
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The last changes that were measured.
    pub(crate) fn measured(&self) -> MeasuredChanges {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        measured.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{MetricsPage, PageFormat};

    /// How many changes were measured.
    fn measured(figures: &StoreFigures) -> String {
        let mut page = MetricsPage::default();
        page.add("freshness", "Freshness", figures.freshness.clone());
        let text = page.text(PageFormat::Text).unwrap();
        let count = text
            .lines()
            .find_map(|l| l.strip_prefix("docent_freshness_count "));
        count.unwrap().to_owned()
    }

    #[test]
    fn a_change_is_measured_once_and_what_nobody_noticed_is_not() {
        let figures = StoreFigures::default();
        figures.noticed("docs", b"a.md", Instant::now());
        figures.searchable("docs", b"b.md");
        assert_eq!(measured(&figures), "0");
        figures.searchable("docs", b"a.md");
        figures.searchable("docs", b"a.md");
        assert_eq!(measured(&figures), "1");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let figures = StoreFigures::default();
        for n in 0..=NOTICED_MAX {
            figures.noticed("docs", n.to_string().as_bytes(), Instant::now());
        }
        assert_eq!(figures.noticed.lock().unwrap().len(), NOTICED_MAX);
    }
}
