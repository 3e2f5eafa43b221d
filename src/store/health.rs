//! Health issues: what is wrong, since when, what was tried.

use super::sql::{self, Connection, Optional, Row, params};
use serde::{Deserialize, Serialize};

use super::decode::stored_as_text;
use super::documents::DocumentState;
use super::manifest::FileState;
use super::{ReadError, Store, WriteError, decode, postgres, sqlite};
use crate::event::{Millis, Subject};
use crate::word::Word;

/// How bad an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Unexpected; docent goes on.
    Warning,
    /// Something does not work, or soon will not.
    Error,
}

stored_as_text! { Severity, "severity":
    Warning = "warning",
    Error = "error",
}

/// What finds an issue: each looks for one kind. The order is that in which `status` tells what they found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Detector {
    AgentParked,
    AgentUnavailable,
    StoreReplaced,
    StoreUnwritable,
    Integrity,
    AuditBroken,
    CommitsLost,
    IndexDrift,
    IndexStopped,
    IndexUnready,
    Disk,
    CapturesHeld,
    RootAbsent,
    RemovalsHeld,
    DeadLetters,
    RedisAway,
    AgentRestarts,
    OldestOwed,
    LogHeld,
    IndexBehind,
    DirectoriesUnlisted,
    IgnoreRules,
    ScanOverdue,
    FileDrift,
    RedisReconnects,
    RedisStrangers,
    RedisStuck,
    RedisInbox,
    RedisIngress,
    AlertUndelivered,
}

stored_as_text! { Detector, "detector":
    AgentParked = "agent_parked",
    AgentUnavailable = "agent_unavailable",
    StoreReplaced = "store_replaced",
    StoreUnwritable = "store_unwritable",
    Integrity = "integrity",
    AuditBroken = "audit_broken",
    CommitsLost = "commits_lost",
    IndexDrift = "index_drift",
    IndexStopped = "index_stopped",
    IndexUnready = "index_unready",
    Disk = "disk",
    CapturesHeld = "captures_held",
    RootAbsent = "root_absent",
    RemovalsHeld = "removals_held",
    DeadLetters = "dead_letters",
    RedisAway = "redis_away",
    AgentRestarts = "agent_restarts",
    OldestOwed = "oldest_owed",
    LogHeld = "log_held",
    IndexBehind = "index_behind",
    DirectoriesUnlisted = "directories_unlisted",
    IgnoreRules = "ignore_rules",
    ScanOverdue = "scan_overdue",
    FileDrift = "file_drift",
    RedisReconnects = "redis_reconnects",
    RedisStrangers = "redis_strangers",
    RedisStuck = "redis_stuck",
    RedisInbox = "redis_inbox",
    RedisIngress = "redis_ingress",
    AlertUndelivered = "alert_undelivered",
}

impl Detector {
    /// The key of its issue about `subject`, unique among the open ones: `<detector>:<subject>`.
    pub fn key(self, subject: &Subject) -> String {
        format!("{}:{subject}", self.as_str())
    }
}

/// An issue begins. One that is open already with this subject is left as it is, its value brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueOpened {
    /// Its key.
    pub subject: String,
    pub detector: Detector,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, for a person.
    pub value: String,
    /// What would be right.
    pub limit: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueClosed {
    /// What it was about.
    pub subject: String,
}

/// A fix was tried for an open issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixAttempt {
    pub subject: String,
    pub fix: String,
    /// What came of it, for a person; `None`: it is under way.
    pub result: Option<String>,
}

/// An issue as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its key.
    pub subject: String,
    pub opened_at: Millis,
    /// Who found it; `None`: a detector that this version does not have. Its name stands in the key.
    pub detector: Option<Detector>,
    /// How bad it is.
    pub severity: Severity,
    pub value: String,
    /// What would be right.
    pub limit: String,
    /// Until when; `None`: it is open.
    pub closed_at: Option<Millis>,
    /// The last fix that was tried.
    pub fix: Option<String>,
    /// How many were tried.
    pub fix_attempts: u32,
    /// What came of the last one.
    pub fix_result: Option<String>,
}

impl Issue {
    /// What it is about: the rest of its key.
    pub fn about(&self) -> &str {
        let key = self.subject.split_once(':');
        key.map_or(self.subject.as_str(), |(_, about)| about)
    }

    /// The name of its detector, also of one that this version does not have.
    pub fn detector_name(&self) -> &str {
        let key = self.subject.split(':').next().unwrap_or_default();
        self.detector.map_or(key, |one| one.as_str())
    }
}

/// One path as the manifest, the documents and their chunks have it, for comparing the three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileView {
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    /// Whether the manifest lists it.
    pub listed: bool,
    /// The digest of its captured bytes, if they are captured.
    pub captured: Option<String>,
    /// Its document, if it has one that is not removed: whether it is stored (else rejected), and its digest.
    pub document: Option<(bool, String)>,
    /// What was chunked of its document: the digest of the bytes, and how many chunks there are.
    pub indexed: Option<(String, u64)>,
}

impl FileView {
    /// Whether its document is not the one that its captured bytes make.
    pub fn document_differs(&self) -> bool {
        match (&self.captured, &self.document) {
            (Some(captured), Some((_, digest))) => captured != digest,
            (captured, document) => captured.is_some() != document.is_some(),
        }
    }
}

const FILE_VIEW: &str =
    "SELECT k.collection, k.path, m.state, m.digest, d.state, d.digest, i.digest, i.chunks";
const FILE_JOINS: &str = "LEFT JOIN manifest m ON m.collection = k.collection AND m.path = k.path
    LEFT JOIN document d ON d.collection = k.collection AND d.path = k.path AND d.state <> 'removed'
    LEFT JOIN indexed i ON i.document = d.id";

fn file_view(row: &Row<'_>) -> sql::Result<FileView> {
    let listed: Option<FileState> = row.get(2)?;
    let state: Option<DocumentState> = row.get(4)?;
    let captured = listed == Some(FileState::Captured);
    Ok(FileView {
        collection: row.get(0)?,
        path: row.get(1)?,
        listed: listed.is_some(),
        captured: if captured { row.get(3)? } else { None },
        document: match state {
            Some(state) => Some((state == DocumentState::Stored, row.get(5)?)),
            None => None,
        },
        indexed: match row.get::<Option<String>>(6)? {
            Some(digest) => Some((digest, row.get(7)?)),
            None => None,
        },
    })
}

pub(super) fn open(
    connection: &Connection,
    issue: &IssueOpened,
    now: Millis,
) -> Result<(), WriteError> {
    let standing = connection.execute(
        "UPDATE issue SET severity = ?2, value = ?3, bound = ?4 WHERE subject = ?1 AND closed_at IS NULL",
        params![issue.subject, issue.severity, issue.value, issue.limit],
    )?;
    if standing == 0 {
        connection.execute(
            "INSERT INTO issue (subject, opened_at, detector, severity, value, bound) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (subject, opened_at) DO UPDATE SET closed_at = NULL, value = excluded.value",
            params![issue.subject, now, issue.detector, issue.severity, issue.value, issue.limit],
        )?;
    }
    Ok(())
}

pub(super) fn close(
    connection: &Connection,
    issue: &IssueClosed,
    now: Millis,
) -> Result<(), WriteError> {
    connection.execute(
        "UPDATE issue SET closed_at = ?2 WHERE subject = ?1 AND closed_at IS NULL",
        params![issue.subject, now],
    )?;
    Ok(())
}

pub(super) fn fix(connection: &Connection, fix: &FixAttempt) -> Result<(), WriteError> {
    connection.execute(
        "UPDATE issue SET fix = ?2, fix_result = ?3, fix_attempts = fix_attempts + CASE WHEN CAST(?3 AS TEXT) IS NULL THEN 1 ELSE 0 END
         WHERE subject = ?1 AND closed_at IS NULL",
        params![fix.subject, fix.fix, fix.result],
    )?;
    Ok(())
}

/// Forgets issues that ended before `before`.
pub(super) fn prune(
    connection: &Connection,
    before: Millis,
    slice: usize,
) -> Result<usize, WriteError> {
    let keys: Vec<(String, i64)> = connection
        .prepare_cached("SELECT subject, opened_at FROM issue WHERE closed_at < ?1 LIMIT ?2")?
        .query_map(params![before, slice], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (subject, opened_at) in &keys {
        connection.execute(
            "DELETE FROM issue WHERE subject = ?1 AND opened_at = ?2",
            params![subject, opened_at],
        )?;
    }
    Ok(keys.len())
}

const ISSUES: &str =
    "SELECT subject, opened_at, detector, severity, value, bound, closed_at, fix, fix_attempts, fix_result
     FROM issue WHERE ?1 OR closed_at IS NULL
     ORDER BY closed_at IS NOT NULL, opened_at DESC, subject LIMIT ?2";

fn issue_row(row: &Row<'_>) -> sql::Result<Issue> {
    let issue = |row: &Row<'_>| {
        Ok(Issue {
            subject: row.get(0)?,
            opened_at: row.get(1)?,
            // Another version may have written it, and that is no damage.
            detector: Detector::parse(&row.get::<String>(2)?),
            severity: row.get(3)?,
            value: row.get(4)?,
            limit: row.get(5)?,
            closed_at: row.get(6)?,
            fix: row.get(7)?,
            fix_attempts: row.get(8)?,
            fix_result: row.get(9)?,
        })
    };
    decode::of("issue", issue)(row)
}

impl Store {
    /// Issues, the open ones first, then the newest; without `closed` only the open ones.
    pub async fn issues(&self, closed: bool, limit: usize) -> Result<Vec<Issue>, ReadError> {
        self.read("health issues", move |connection| {
            let mut select = connection.prepare_cached(ISSUES)?;
            select
                .query_map(params![closed, limit], issue_row)?
                .collect()
        })
        .await
    }

    /// Issues that are over, those that ended last first, from the one after `after` on (when it ended, and its key and start).
    pub async fn closed_issues(
        &self,
        after: Option<(Millis, String, Millis)>,
        limit: usize,
    ) -> Result<Vec<Issue>, ReadError> {
        self.read("health issues", move |connection| {
            let (ended, subject, opened) = after.unwrap_or((Millis(i64::MAX), String::new(), Millis(0)));
            let mut select = connection.prepare_cached(
                "SELECT subject, opened_at, detector, severity, value, bound, closed_at, fix, fix_attempts, fix_result
                 FROM issue WHERE closed_at IS NOT NULL AND (closed_at, subject, opened_at) < (?1, ?2, ?3)
                 ORDER BY closed_at DESC, subject DESC, opened_at DESC LIMIT ?4",
            )?;
            let of = params![ended, subject, opened, limit];
            select.query_map(of, issue_row)?.collect()
        })
        .await
    }

    /// The next paths, by collection and path, from the one after `after` on, that the manifest lists or that have a document.
    pub async fn file_views(
        &self,
        after: (String, Vec<u8>),
        limit: usize,
    ) -> Result<Vec<FileView>, ReadError> {
        self.read("files to compare", move |connection| {
            let sql = format!(
                "{FILE_VIEW} FROM (
                   SELECT * FROM (SELECT collection, path FROM manifest WHERE (collection, path) > (?1, ?2)
                                  ORDER BY collection, path LIMIT ?3) m
                   UNION
                   SELECT * FROM (SELECT collection, path FROM document WHERE (collection, path) > (?1, ?2) AND state <> 'removed'
                                  ORDER BY collection, path LIMIT ?3) d
                   ORDER BY 1, 2 LIMIT ?3) k {FILE_JOINS} ORDER BY k.collection, k.path"
            );
            connection
                .prepare_cached(&sql)?
                .query_map(params![after.0, after.1, limit], file_view)?
                .collect()
        })
        .await
    }

    /// These paths (collection, path) as they are now, in one read; one that is gone everywhere has nothing in it.
    pub async fn file_views_of(
        &self,
        places: Vec<(String, Vec<u8>)>,
    ) -> Result<Vec<FileView>, ReadError> {
        self.read("files to compare", move |connection| {
            // The second half is empty, and says of which types the parameters are.
            let sql = format!(
                "{FILE_VIEW} FROM (SELECT ?1 AS collection, ?2 AS path
                   UNION ALL SELECT collection, path FROM manifest WHERE 1 = 0) k {FILE_JOINS}"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let mut views = Vec::with_capacity(places.len());
            for (collection, path) in &places {
                views.extend(
                    select
                        .query_row(params![collection, path], file_view)
                        .optional()?,
                );
            }
            Ok(views)
        })
        .await
    }

    /// Whether the store's pages are intact, as SQLite's quick check or the checksums of PostgreSQL see them; the first fault
    /// otherwise. Reads the whole file: for a slow job, not for a request.
    pub async fn quick_check(&self) -> Result<Option<String>, ReadError> {
        self.read("the store's integrity", |connection| match connection {
            Connection::Sqlite(file) => Ok(sqlite::fault(file)?),
            Connection::Postgres(_) => postgres::fault(connection),
        })
        .await
    }
}
