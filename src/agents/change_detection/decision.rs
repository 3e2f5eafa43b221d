//! From the snapshot of a path and its manifest row to what is to be done. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::changed_paths::SOON;
use super::classifier::Unread;
use super::scope::OutOfScope;
use super::snapshot::{FileBytes, FileSnapshot};
use crate::event::{EventType, NewEvent, Subject};
use crate::store::{Capture, Effect, FileStat, FileState, ManifestEntry, ManifestRow};

/// How soon a path is read again while captures are stopped.
const WHILE_STOPPED: Duration = Duration::from_secs(1);

/// What is to be done about a path.
#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// Nothing: the manifest says so already.
    Settle,
    /// Read it again after a time; `seen`: the stat of a file that was too young.
    ReadAgain {
        after: Duration,
        seen: Option<FileStat>,
    },
    /// Read it again ever later: it could not be reached.
    Retry,
    Commit(CaptureTransaction),
    /// Its root is away, with the cause.
    RootAbsent(String),
    /// Its root has to be walked first.
    RootUnknown,
}

/// The manifest row and, where others must know, the event.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CaptureTransaction {
    pub(super) effects: Vec<Effect>,
    pub(super) events: Vec<NewEvent>,
}

impl CaptureTransaction {
    pub(super) fn of(effects: Vec<Effect>) -> Self {
        let events = Vec::new();
        CaptureTransaction { effects, events }
    }
}

/// A path with its manifest row.
#[derive(Debug, Clone, Copy)]
pub(super) struct ManifestedPath<'a> {
    pub(super) collection: &'a str,
    pub(super) path: &'a [u8],
    /// The source of the events.
    pub(super) source: &'a str,
    /// The longest subject that the store takes, in bytes.
    pub(super) subject_max: usize,
    pub(super) row: Option<&'a ManifestRow>,
}

impl ManifestedPath<'_> {
    pub(super) fn decide(&self, snapshot: FileSnapshot) -> Decision {
        let again = |after, seen| Decision::ReadAgain { after, seen };
        let transaction = match snapshot {
            FileSnapshot::RootAbsent(cause) => return Decision::RootAbsent(cause),
            FileSnapshot::RootUnknown => return Decision::RootUnknown,
            FileSnapshot::Young(stat, rest) => return again(rest, Some(stat)),
            FileSnapshot::Interrupted => return again(SOON, None),
            FileSnapshot::Stopped => return again(WHILE_STOPPED, None),
            FileSnapshot::Unreachable(_) => return Decision::Retry,
            FileSnapshot::Unchanged => None,
            FileSnapshot::Gone | FileSnapshot::Directory => self.unlist("absent"),
            FileSnapshot::OutOfScope(OutOfScope::Ignored) => self.unlist("ignored"),
            FileSnapshot::OutOfScope(OutOfScope::Excluded) => self.unlist("excluded"),
            FileSnapshot::CollectionGone => self.unlist("collection removed"),
            FileSnapshot::Listed(stat, unread) => self.list(stat, unread),
            FileSnapshot::Unreadable(stat, error) => self.unreadable(stat, error),
            FileSnapshot::Denied(error) => self.denied(error),
            FileSnapshot::Failed(stat, error) => self.failed(stat, error),
            FileSnapshot::Read(bytes) => self.capture(bytes),
        };
        transaction.map_or(Decision::Settle, Decision::Commit)
    }

    /// Removes the row, if there is one.
    fn unlist(&self, reason: &str) -> Option<CaptureTransaction> {
        self.row?;
        let effect = Effect::Unlist {
            collection: self.collection.to_owned(),
            path: self.path.to_owned(),
        };
        Some(CaptureTransaction {
            effects: vec![effect],
            events: self.removed(reason),
        })
    }

    /// Writes a row without bytes.
    fn list(&self, stat: FileStat, unread: Unread) -> Option<CaptureTransaction> {
        let entry = self.entry(unread.state, stat, Some(unread.reason));
        (self.row != Some(&entry)).then(|| CaptureTransaction {
            effects: vec![Effect::List(entry)],
            events: self.removed(unread.state.as_str()),
        })
    }

    fn unreadable(&self, stat: FileStat, error: String) -> Option<CaptureTransaction> {
        let known = self
            .row
            .is_some_and(|r| r.state == FileState::Unreadable && r.reason.as_ref() == Some(&error));
        if known {
            return None;
        }
        let data = json!({"digest": Value::Null, "error": error});
        let entry = self.entry(FileState::Unreadable, stat, Some(error));
        Some(CaptureTransaction {
            effects: vec![Effect::List(entry)],
            events: self.event(EventType::FileChanged, data),
        })
    }

    /// docent may not read a directory above the file: it leaves search.
    fn denied(&self, error: String) -> Option<CaptureTransaction> {
        let published =
            |row: &&ManifestRow| matches!(row.state, FileState::Captured | FileState::Unreadable);
        let row = self.row.filter(published)?;
        self.unreadable(row.stat, error)
    }

    /// Reading failed, but not because docent may not read the file: its document is kept.
    fn failed(&self, stat: FileStat, error: String) -> Option<CaptureTransaction> {
        match self.row {
            Some(row) if row.state == FileState::Captured => None,
            _ => self.unreadable(stat, error),
        }
    }

    fn capture(&self, bytes: FileBytes) -> Option<CaptureTransaction> {
        let previous = self.row.and_then(|r| r.digest.clone());
        if previous.as_ref() == Some(&bytes.digest) {
            let mut entry = self.entry(FileState::Captured, bytes.stat, None);
            entry.digest = previous;
            let changed = self.row != Some(&entry);
            return changed.then(|| CaptureTransaction::of(vec![Effect::List(entry)]));
        }
        let data = json!({
            "digest": bytes.digest.as_str(),
            "size": bytes.stat.size,
            "mtime": seconds(bytes.stat.mtime_ns),
            "previous": previous.as_ref().map(|d| d.as_str()),
        });
        let capture = Capture {
            collection: self.collection.to_owned(),
            path: self.path.to_owned(),
            digest: bytes.digest,
            stat: bytes.stat,
            packed: Some(bytes.packed),
            previous,
        };
        Some(CaptureTransaction {
            effects: vec![Effect::Capture(capture)],
            events: self.event(EventType::FileChanged, data),
        })
    }

    fn entry(&self, state: FileState, stat: FileStat, reason: Option<String>) -> ManifestEntry {
        ManifestEntry {
            collection: self.collection.to_owned(),
            path: self.path.to_owned(),
            state,
            digest: None,
            stat,
            reason,
        }
    }

    /// `file.removed`, if the file was ever published: one that is too large, withheld or of no known type was not.
    fn removed(&self, reason: &str) -> Vec<NewEvent> {
        match self.row.map(|r| r.state) {
            Some(FileState::Captured | FileState::Unreadable) => {
                self.event(EventType::FileRemoved, json!({"reason": reason}))
            }
            Some(FileState::TooLarge | FileState::Unsupported | FileState::Withheld) | None => {
                Vec::new()
            }
        }
    }

    /// The event, if the path can be a subject. One that is too long cannot, and was never published.
    fn event(&self, kind: EventType, data: Value) -> Vec<NewEvent> {
        Subject::file(self.collection, self.path)
            .ok()
            .filter(|subject| subject.as_str().len() <= self.subject_max)
            .map(|subject| NewEvent::root(kind, self.source, subject, data))
            .into_iter()
            .collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a tenth of a microsecond is precise enough for a reader"
)]
fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;

    fn row(state: FileState, digest: Option<&str>, reason: Option<&str>) -> ManifestRow {
        ManifestEntry {
            collection: "docs".to_owned(),
            path: b"a.md".to_vec(),
            state,
            digest: digest.map(|d| Digest::of(d.as_bytes())),
            stat: FileStat::default(),
            reason: reason.map(str::to_owned),
        }
    }

    fn read(text: &str, size: u64) -> FileSnapshot {
        FileSnapshot::Read(FileBytes {
            stat: FileStat {
                size,
                mtime_ns: 1_500_000_000,
                ..FileStat::default()
            },
            digest: Digest::of(text.as_bytes()),
            packed: Vec::new(),
            young: false,
        })
    }

    fn listed(state: FileState, reason: &str) -> FileSnapshot {
        let reason = reason.to_owned();
        FileSnapshot::Listed(FileStat::default(), Unread { state, reason })
    }

    fn decided(
        row: Option<&ManifestRow>,
        snapshot: FileSnapshot,
    ) -> Option<(usize, Vec<(EventType, Value)>)> {
        let path = ManifestedPath {
            collection: "docs",
            path: b"a.md",
            source: "agent/change_detection@test",
            subject_max: Subject::BYTES_MAX,
            row,
        };
        let transaction = match path.decide(snapshot) {
            Decision::Settle => return None,
            Decision::Commit(transaction) => transaction,
            other => panic!("{other:?}"),
        };
        let events = transaction
            .events
            .into_iter()
            .map(|e| (e.kind, (*e.data).clone()))
            .collect();
        Some((transaction.effects.len(), events))
    }

    #[test]
    fn new_bytes_are_told_with_the_digest_before_and_the_same_bytes_are_not() {
        let known = row(FileState::Captured, Some("old"), None);
        let (_, events) = decided(Some(&known), read("new", 3)).unwrap();
        let expected = json!({"digest": Digest::of(b"new").as_str(), "size": 3, "mtime": 1.5,
                              "previous": Digest::of(b"old").as_str()});
        assert_eq!(events, [(EventType::FileChanged, expected)]);
        // Touched: only the row follows. Not even that: nothing.
        assert_eq!(decided(Some(&known), read("old", 3)), Some((1, vec![])));
        let mut same = known.clone();
        same.stat.mtime_ns = 1_500_000_000;
        assert_eq!(decided(Some(&same), read("old", 0)), None);
    }

    #[test]
    fn an_error_is_told_once() {
        let snapshot = || FileSnapshot::Unreadable(FileStat::default(), "no".to_owned());
        let (_, events) = decided(None, snapshot()).unwrap();
        assert_eq!(
            events,
            [(
                EventType::FileChanged,
                json!({"digest": null, "error": "no"})
            )]
        );
        assert_eq!(
            decided(
                Some(&row(FileState::Unreadable, None, Some("no"))),
                snapshot()
            ),
            None
        );
        let other = row(FileState::Unreadable, None, Some("other"));
        assert_eq!(decided(Some(&other), snapshot()).unwrap().1.len(), 1);
    }

    #[test]
    fn what_nobody_was_told_of_leaves_without_an_event() {
        let gone = |state| decided(Some(&row(state, None, None)), FileSnapshot::Gone).unwrap();
        let removed = (EventType::FileRemoved, json!({"reason": "absent"}));
        assert_eq!(gone(FileState::Captured), (1, vec![removed.clone()]));
        assert_eq!(gone(FileState::Unreadable), (1, vec![removed]));
        assert_eq!(gone(FileState::Unsupported), (1, vec![]));
        assert_eq!(gone(FileState::TooLarge), (1, vec![]));
        assert_eq!(gone(FileState::Withheld), (1, vec![]));
        assert_eq!(decided(None, FileSnapshot::Gone), None);
    }

    #[test]
    fn a_document_that_grows_too_large_leaves_and_stays_listed() {
        let snapshot = || listed(FileState::TooLarge, "big");
        let known = row(FileState::Captured, Some("x"), None);
        let removed = (EventType::FileRemoved, json!({"reason": "too large"}));
        assert_eq!(decided(Some(&known), snapshot()), Some((1, vec![removed])));
        assert_eq!(
            decided(
                Some(&row(FileState::TooLarge, None, Some("big"))),
                snapshot()
            ),
            None
        );
    }

    #[test]
    fn a_document_that_holds_a_secret_leaves_and_stays_listed() {
        let snapshot = || listed(FileState::Withheld, "it holds a private key");
        let known = row(FileState::Captured, Some("x"), None);
        let removed = (EventType::FileRemoved, json!({"reason": "withheld"}));
        assert_eq!(decided(Some(&known), snapshot()), Some((1, vec![removed])));
        assert_eq!(decided(None, snapshot()), Some((1, vec![])));
        let listed = row(FileState::Withheld, None, Some("it holds a private key"));
        assert_eq!(decided(Some(&listed), snapshot()), None);
    }

    #[test]
    fn what_docent_may_not_read_leaves_and_any_other_error_leaves_it_as_it_is() {
        let published =
            |snapshot: FileSnapshot, state| decided(Some(&row(state, Some("x"), None)), snapshot);
        let denied = || FileSnapshot::Denied("no".to_owned());
        let error = (
            EventType::FileChanged,
            json!({"digest": null, "error": "no"}),
        );
        assert_eq!(
            published(denied(), FileState::Captured),
            Some((1, vec![error.clone()]))
        );
        assert_eq!(published(denied(), FileState::Withheld), None);
        assert_eq!(decided(None, denied()), None);
        let failed = || FileSnapshot::Failed(FileStat::default(), "no".to_owned());
        assert_eq!(published(failed(), FileState::Captured), None);
        assert_eq!(decided(None, failed()), Some((1, vec![error])));
    }
}
