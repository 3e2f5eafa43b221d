//! What a handler decides: effects, derived events, or a failure. Only the store applies it.
//!
//! An [`Effect`] is data, not code: closed and serialisable, so that a handler may run in another process.
//! Bytes are named by their digest; only a capture, which a source submits itself, carries them.

use super::sql::Connection;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alerts::AlertChange;
use super::audit::AuditRecord;
use super::batch::Batch;
use super::captures::Capture;
use super::chunks::ChunkSet;
use super::documents::DocumentVersion;
use super::health::{FixAttempt, IssueClosed, IssueOpened};
use super::ingress::IngressDead;
use super::jobs::JobChange;
use super::ledger::DeliveryKey;
use super::manifest::{KnownTree, ManifestEntry, ScanRow, TREE};
use super::reports::ReportRow;
use super::restarts::RestartChange;
use super::tokens::TokenRow;
use super::{
    WriteError, alerts, audit, captures, chunks, documents, health, ingress, jobs, manifest, meta,
    reports, restarts, tokens,
};
use crate::event::{AgentName, Data, EventId, EventType, Millis, NewEvent, Subject};

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// The bytes of a file and its manifest row.
    Capture(Capture),
    /// A manifest row without bytes: unsupported, too large, unreadable, or the same bytes with another stat.
    List(ManifestEntry),
    /// A file is no longer in the manifest.
    Unlist {
        collection: String,
        path: Vec<u8>,
    },
    /// A scan was requested.
    ScanRequested {
        collection: String,
        /// Of this path only.
        path: Option<Vec<u8>>,
        reason: String,
    },
    /// A scan that began when `up_to` was the newest request has ended.
    ScanEnded {
        collection: String,
        /// The requests that it fulfilled: those with this id or a lower one.
        up_to: u64,
        began_at: i64,
        /// How many files it saw.
        files: u64,
    },
    /// A version of a document, stored or rejected.
    Document(DocumentVersion),
    /// A document is gone; its versions stay for their retention.
    DocumentGone {
        document: String,
    },
    /// All chunks of a document, and the embeddings that were not there.
    Index(ChunkSet),
    /// A document has no chunks any more.
    Unindex {
        document: String,
        /// The identity of the embedder and of the chunking that it has none with.
        embedder: String,
    },
    /// An audit record without number and hash.
    Audit(AuditRecord),
    /// What a job did, or when it is due.
    Job(JobChange),
    IssueOpened(IssueOpened),
    /// It is right again.
    IssueClosed(IssueClosed),
    /// A fix was tried.
    FixAttempted(FixAttempt),
    /// What became of an alert, or of what is to be said of it.
    Alert(AlertChange),
    /// A report was written.
    Report(ReportRow),
    /// An entry of another program cannot be published.
    IngressDead(IngressDead),
    /// Such an entry is done with.
    IngressDropped {
        /// Its id in the stream.
        entry: String,
    },
    /// A token is there from now on.
    TokenCreated(TokenRow),
    /// A token is taken away.
    TokenRevoked {
        /// Its name.
        name: String,
    },
    /// A fact that has a name and no table of its own.
    Remember {
        name: String,
        /// What it is now.
        value: String,
    },
    /// Such a fact is gone, if it is still this.
    Forget {
        name: String,
        value: String,
    },
    /// What becomes of a restart that one host asks of another one.
    Restart(RestartChange),
    /// The agent `test` was here.
    #[cfg(feature = "testing")]
    Test {
        event: u64,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// The same, for `test.later`.
    #[cfg(all(feature = "testing", not(feature = "testing-older")))]
    TestLater {
        event: u64,
        attempt: u32,
    },
}

/// An event that an outcome causes; its id follows from its cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    pub kind: EventType,
    /// What it is about.
    pub subject: Subject,
    /// The rest of it.
    pub data: Data,
}

/// What a handler that succeeded wants applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Changes of the store.
    pub effects: Vec<Effect>,
    pub events: Vec<Derived>,
}

impl Effect {
    /// Remembers what the root of a collection is known to be.
    pub fn known_tree(collection: &str, tree: &KnownTree) -> Self {
        let value = json!({
            "path": tree.path, "device": tree.device, "inode": tree.inode, "born_ns": tree.born_ns,
            "judged_by": tree.judged_by,
        });
        Effect::Remember {
            name: format!("{TREE}{collection}"),
            value: value.to_string(),
        }
    }
}

impl Outcome {
    /// Nothing is to be done.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// With one more effect.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// With one more event.
    #[must_use]
    pub fn event(mut self, kind: EventType, subject: Subject, data: impl Into<Data>) -> Self {
        self.events.push(Derived {
            kind,
            subject,
            data: data.into(),
        });
        self
    }
}

/// How a flight ended, for the store: the third way, *unavailable*, writes nothing and does not come here.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// Apply this and call the delivery done.
    Done(Outcome),
    /// The attempt failed; another may succeed.
    Transient(String),
    /// No attempt can succeed.
    Permanent(String),
}

impl Settlement {
    /// About how many bytes wait in memory until this is committed.
    pub fn weight(&self) -> usize {
        match self {
            Settlement::Done(outcome) => effects_weight(&outcome.effects),
            Settlement::Transient(text) | Settlement::Permanent(text) => text.len(),
        }
    }
}

/// About how many bytes `effects` hold.
pub(crate) fn effects_weight(effects: &[Effect]) -> usize {
    let bytes = |effect: &Effect| match effect {
        Effect::Capture(capture) => capture.packed.as_ref().map_or(0, Vec::len),
        Effect::Index(set) => {
            set.chunks.iter().map(|c| c.text.len() + 200).sum::<usize>()
                + set.embeddings.len() * 300
        }
        Effect::Audit(record) => record.body.len(),
        Effect::Report(report) => report.markdown.len() + report.json.len(),
        _ => 0,
    };
    effects.iter().map(|e| 256 + bytes(e)).sum()
}

/// Whether what is listed, stored or indexed may be something else after this effect.
const fn changes_files(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Capture(_)
            | Effect::List(_)
            | Effect::Unlist { .. }
            | Effect::Document(_)
            | Effect::DocumentGone { .. }
            | Effect::Index(_)
            | Effect::Unindex { .. }
    )
}

/// Applies one effect inside the transaction that is open on `connection`.
pub(super) fn apply(
    connection: &Connection,
    effect: &Effect,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    batch.changes_files |= changes_files(effect);
    match effect {
        Effect::Capture(capture) => captures::apply(connection, capture),
        Effect::List(entry) => manifest::put(connection, entry),
        Effect::Unlist { collection, path } => manifest::remove(connection, collection, path),
        Effect::ScanRequested {
            collection,
            path,
            reason,
        } => manifest::request_scan(connection, collection, path.as_deref(), reason, now),
        Effect::ScanEnded {
            collection,
            up_to,
            began_at,
            files,
        } => {
            let scan = ScanRow {
                collection: collection.clone(),
                began_at: Millis(*began_at),
                ended_at: now,
                files: *files,
            };
            manifest::end_scan(connection, *up_to, &scan)
        }
        Effect::Document(version) => {
            documents::put(connection, version, batch.versions_kept(), now)
        }
        Effect::DocumentGone { document } => documents::remove(connection, document, now),
        Effect::Index(set) => chunks::put(connection, set, batch, now),
        Effect::Unindex { document, embedder } => {
            chunks::remove(connection, document, embedder, batch, now)
        }
        Effect::Audit(record) => audit::append(connection, record, batch, now),
        Effect::Job(change) => jobs::apply(connection, change),
        Effect::IssueOpened(issue) => health::open(connection, issue, now),
        Effect::IssueClosed(issue) => health::close(connection, issue, now),
        Effect::FixAttempted(fix) => health::fix(connection, fix),
        Effect::Alert(change) => alerts::apply(connection, change, batch),
        Effect::Report(report) => reports::put(connection, report),
        Effect::IngressDead(dead) => ingress::bury(connection, dead, now),
        Effect::IngressDropped { entry } => ingress::drop_one(connection, entry),
        Effect::TokenCreated(token) => tokens::put(connection, token),
        Effect::TokenRevoked { name } => tokens::remove(connection, name),
        Effect::Remember { name, value } => meta::remember(connection, name, value),
        Effect::Forget { name, value } => meta::forget(connection, name, value),
        Effect::Restart(change) => restarts::apply(connection, change),
        #[cfg(feature = "testing")]
        Effect::Test { event, attempt } => put_test(connection, *event, *attempt),
        #[cfg(all(feature = "testing", not(feature = "testing-older")))]
        Effect::TestLater { event, attempt } => put_test(connection, *event, *attempt),
    }
}

#[cfg(feature = "testing")]
fn put_test(connection: &Connection, event: u64, attempt: u32) -> Result<(), WriteError> {
    let mut insert =
        connection.prepare_cached("INSERT INTO test_effect (event, attempt) VALUES (?1, ?2)")?;
    insert.defer(super::sql::params![event, attempt])?;
    Ok(())
}

/// The id that event number `ordinal` (from 0) of the outcome of `agent` for the event `cause` gets.
pub(crate) fn derived_id(cause: EventId, agent: AgentName, ordinal: usize) -> EventId {
    EventId::derived(&[&cause.to_string(), agent.as_str(), &ordinal.to_string()])
}

/// The id of that event after the delivery was done before and was replayed, for the `replay`th time.
pub(super) fn derived_again_id(key: &DeliveryKey, ordinal: usize, replay: u64) -> EventId {
    EventId::derived(&[
        &key.event.to_string(),
        key.agent.as_str(),
        &ordinal.to_string(),
        "replay",
        &replay.to_string(),
    ])
}

/// The events of an outcome as they are published: ids derived from cause, agent and ordinal.
pub(super) fn derived(
    events: &[Derived],
    key: &DeliveryKey,
    source: &str,
) -> impl Iterator<Item = NewEvent> {
    events
        .iter()
        .enumerate()
        .map(move |(ordinal, event)| NewEvent {
            id: derived_id(key.event, key.agent, ordinal),
            kind: event.kind,
            source: source.to_owned(),
            subject: event.subject.clone(),
            data: event.data.clone(),
            causation: Some(key.event),
            correlation: Some(key.correlation),
        })
}
