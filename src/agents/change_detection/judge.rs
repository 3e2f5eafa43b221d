//! From what stands at a path and what the manifest says to the transaction that makes them agree.

use serde_json::{Value, json};

use super::look::{Bytes, Sight};
use super::scope::Out;
use crate::event::{EventType, NewEvent, Subject};
use crate::store::{Capture, Effect, FileStat, FileState, ManifestEntry, ManifestRow};

/// One transaction: the manifest row and, where others must know, the event.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Change {
    pub(super) effects: Vec<Effect>,
    pub(super) events: Vec<NewEvent>,
}

/// Whose path it is, and who speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<'a> {
    pub(super) collection: &'a str,
    pub(super) path: &'a [u8],
    /// The source of the events.
    pub(super) source: &'a str,
    pub(super) row: Option<&'a ManifestRow>,
}

impl Here<'_> {
    /// The transaction that a sight asks for; `None`: the manifest says so already, or the sight asks for something
    /// else than a transaction.
    pub(super) fn judge(&self, sight: Sight) -> Option<Change> {
        match sight {
            Sight::Gone | Sight::Directory => self.unlist("absent"),
            Sight::Out(Out::Ignored) => self.unlist("ignored"),
            Sight::Out(Out::Excluded) => self.unlist("excluded"),
            Sight::CollectionGone => self.unlist("collection removed"),
            Sight::Listed(state, stat, reason) => self.list(state, stat, reason),
            Sight::Unreadable(stat, error) => self.unreadable(stat, error),
            Sight::Denied(error) => self.denied(error),
            Sight::Failed(stat, error) => self.failed(stat, error),
            Sight::Read(bytes) => self.capture(bytes),
            Sight::Rootless(_)
            | Sight::Unreachable(_)
            | Sight::Same
            | Sight::Young(..)
            | Sight::Held
            | Sight::Again => None,
        }
    }

    /// The row goes. Nothing to do where there is none.
    fn unlist(&self, reason: &str) -> Option<Change> {
        self.row?;
        let effect = Effect::Unlist {
            collection: self.collection.to_owned(),
            path: self.path.to_owned(),
        };
        Some(Change {
            effects: vec![effect],
            events: self.removed(reason),
        })
    }

    /// A row without bytes.
    fn list(&self, state: FileState, stat: FileStat, reason: String) -> Option<Change> {
        let entry = self.entry(state, stat, Some(reason));
        (self.row != Some(&entry)).then(|| Change {
            effects: vec![Effect::List(entry)],
            events: self.removed(state.as_str()),
        })
    }

    fn unreadable(&self, stat: FileStat, error: String) -> Option<Change> {
        let known = self
            .row
            .is_some_and(|r| r.state == FileState::Unreadable && r.reason.as_ref() == Some(&error));
        if known {
            return None;
        }
        let data = json!({"digest": Value::Null, "error": error});
        Some(Change {
            effects: vec![Effect::List(self.entry(
                FileState::Unreadable,
                stat,
                Some(error),
            ))],
            events: self.event(EventType::FileChanged, data),
        })
    }

    /// A directory above it is closed: what is known of the file is not shown any more.
    fn denied(&self, error: String) -> Option<Change> {
        let told =
            |row: &&ManifestRow| matches!(row.state, FileState::Captured | FileState::Unreadable);
        let row = self.row.filter(told)?;
        self.unreadable(row.stat, error)
    }

    /// Reading failed, but not because docent may not: what is known stays as it is.
    fn failed(&self, stat: FileStat, error: String) -> Option<Change> {
        match self.row {
            Some(row) if row.state == FileState::Captured => None,
            _ => self.unreadable(stat, error),
        }
    }

    fn capture(&self, bytes: Bytes) -> Option<Change> {
        let previous = self.row.and_then(|r| r.digest.clone());
        if previous.as_ref() == Some(&bytes.digest) {
            let mut entry = self.entry(FileState::Captured, bytes.stat, None);
            entry.digest = previous;
            return (self.row != Some(&entry)).then(|| Change {
                effects: vec![Effect::List(entry)],
                events: Vec::new(),
            });
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
        Some(Change {
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

    /// `file.removed`, if anybody was ever told of the file: what is too large, withheld or of no known type is
    /// a row only.
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

    /// The event, if the path can be a subject; one that is too long cannot, and nobody was ever told of it.
    fn event(&self, kind: EventType, data: Value) -> Vec<NewEvent> {
        Subject::file(self.collection, self.path)
            .map(|subject| NewEvent::root(kind, self.source, subject, data))
            .into_iter()
            .collect()
    }
}

/// Nanoseconds as seconds with their fraction.
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

    fn read(text: &str, size: u64) -> Sight {
        Sight::Read(Bytes {
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

    fn judged(row: Option<&ManifestRow>, sight: Sight) -> Option<(usize, Vec<(EventType, Value)>)> {
        let here = Here {
            collection: "docs",
            path: b"a.md",
            source: "agent/change_detection@test",
            row,
        };
        let change = here.judge(sight)?;
        let events = change
            .events
            .into_iter()
            .map(|e| (e.kind, (*e.data).clone()))
            .collect();
        Some((change.effects.len(), events))
    }

    #[test]
    fn new_bytes_are_told_with_the_digest_before_and_the_same_bytes_are_not() {
        let standing = row(FileState::Captured, Some("old"), None);
        let (_, events) = judged(Some(&standing), read("new", 3)).unwrap();
        let expected = json!({"digest": Digest::of(b"new").as_str(), "size": 3, "mtime": 1.5,
                              "previous": Digest::of(b"old").as_str()});
        assert_eq!(events, [(EventType::FileChanged, expected)]);
        // Touched: only the row follows. Not even that: nothing.
        assert_eq!(judged(Some(&standing), read("old", 3)), Some((1, vec![])));
        let mut same = standing.clone();
        same.stat.mtime_ns = 1_500_000_000;
        assert_eq!(judged(Some(&same), read("old", 0)), None);
    }

    #[test]
    fn an_error_is_told_once() {
        let sight = || Sight::Unreadable(FileStat::default(), "no".to_owned());
        let (_, events) = judged(None, sight()).unwrap();
        assert_eq!(
            events,
            [(
                EventType::FileChanged,
                json!({"digest": null, "error": "no"})
            )]
        );
        assert_eq!(
            judged(Some(&row(FileState::Unreadable, None, Some("no"))), sight()),
            None
        );
        let other = row(FileState::Unreadable, None, Some("other"));
        assert_eq!(judged(Some(&other), sight()).unwrap().1.len(), 1);
    }

    #[test]
    fn what_nobody_was_told_of_leaves_without_an_event() {
        let gone = |state| judged(Some(&row(state, None, None)), Sight::Gone).unwrap();
        let removed = (EventType::FileRemoved, json!({"reason": "absent"}));
        assert_eq!(gone(FileState::Captured), (1, vec![removed.clone()]));
        assert_eq!(gone(FileState::Unreadable), (1, vec![removed]));
        assert_eq!(gone(FileState::Unsupported), (1, vec![]));
        assert_eq!(gone(FileState::TooLarge), (1, vec![]));
        assert_eq!(gone(FileState::Withheld), (1, vec![]));
        assert_eq!(judged(None, Sight::Gone), None);
    }

    #[test]
    fn a_document_that_grows_too_large_leaves_and_stays_listed() {
        let sight = || Sight::Listed(FileState::TooLarge, FileStat::default(), "big".to_owned());
        let standing = row(FileState::Captured, Some("x"), None);
        let removed = (EventType::FileRemoved, json!({"reason": "too large"}));
        assert_eq!(judged(Some(&standing), sight()), Some((1, vec![removed])));
        assert_eq!(
            judged(Some(&row(FileState::TooLarge, None, Some("big"))), sight()),
            None
        );
    }

    #[test]
    fn a_document_that_holds_a_secret_leaves_and_stays_listed() {
        let why = || "it holds a private key".to_owned();
        let sight = || Sight::Listed(FileState::Withheld, FileStat::default(), why());
        let standing = row(FileState::Captured, Some("x"), None);
        let removed = (EventType::FileRemoved, json!({"reason": "withheld"}));
        assert_eq!(judged(Some(&standing), sight()), Some((1, vec![removed])));
        assert_eq!(judged(None, sight()), Some((1, vec![])));
        let listed = row(FileState::Withheld, None, Some("it holds a private key"));
        assert_eq!(judged(Some(&listed), sight()), None);
    }

    #[test]
    fn what_docent_may_not_read_leaves_and_any_other_error_leaves_it_as_it_is() {
        let told = |sight: Sight, state| judged(Some(&row(state, Some("x"), None)), sight);
        let denied = || Sight::Denied("no".to_owned());
        let error = (
            EventType::FileChanged,
            json!({"digest": null, "error": "no"}),
        );
        assert_eq!(
            told(denied(), FileState::Captured),
            Some((1, vec![error.clone()]))
        );
        assert_eq!(told(denied(), FileState::Withheld), None);
        assert_eq!(judged(None, denied()), None);
        let failed = || Sight::Failed(FileStat::default(), "no".to_owned());
        assert_eq!(told(failed(), FileState::Captured), None);
        assert_eq!(judged(None, failed()), Some((1, vec![error])));
    }
}
