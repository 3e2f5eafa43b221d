//! The files in scope, as they are listed and counted: from the manifest and, where they are captured, from their documents.

use std::collections::BTreeMap;

use super::sql::{self, Connection, FromSql, Row, params};

use super::digest::Digest;
use super::documents::DocumentState;
use super::manifest::FileState;
use super::readers::page;
use super::{ReadError, Store, decode};
use crate::word::words;

/// How a file in scope is listed: by its document, or by why it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListedState {
    Stored,
    Rejected,
    Unsupported,
    Unreadable,
    /// It holds a secret.
    Withheld,
    /// It waits for its handler.
    Captured,
}

words! { ListedState:
    Stored = "stored",
    Rejected = "rejected",
    Unsupported = "unsupported",
    Unreadable = "unreadable",
    Withheld = "withheld",
    Captured = "captured",
}

impl ListedState {
    /// What was captured is what its document is, once there is one.
    fn of(file: FileState, document: Option<DocumentState>) -> Self {
        match (file, document) {
            (FileState::Captured, Some(DocumentState::Stored)) => ListedState::Stored,
            (FileState::Captured, Some(DocumentState::Rejected)) => ListedState::Rejected,
            (FileState::Captured, Some(DocumentState::Removed) | None) => ListedState::Captured,
            (FileState::TooLarge, _) => ListedState::Rejected,
            (FileState::Unsupported, _) => ListedState::Unsupported,
            (FileState::Unreadable, _) => ListedState::Unreadable,
            (FileState::Withheld, _) => ListedState::Withheld,
        }
    }
}

/// A file in scope, for a list: from the manifest and, if it is captured, from its document.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedDocument {
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    /// The present version; 0 if nothing was read.
    pub version: u32,
    /// The digest of the present version.
    pub digest: Option<Digest>,
    pub state: ListedState,
    /// Why, unless stored; of a stored one, what is wrong in it.
    pub reason: Option<String>,
    pub title: Option<String>,
}

/// What there is in a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CollectionCounts {
    /// Documents that are stored.
    pub(crate) documents: u64,
    /// Files in scope.
    pub(crate) files: u64,
    /// Chunks that belong into the index.
    pub(crate) chunks: u64,
    /// How many files are in each state.
    pub(crate) states: BTreeMap<ListedState, u64>,
}

/// Why files of a collection are rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectionCount {
    pub(crate) collection: String,
    pub(crate) reason: String,
    pub(crate) files: u64,
}

/// Files by the state of the manifest become files by the state of their documents, where there are documents.
fn merged(
    files: Vec<(FileState, u64)>,
    documents: Vec<(DocumentState, u64)>,
) -> BTreeMap<ListedState, u64> {
    let (mut states, mut captured) = (BTreeMap::new(), 0);
    for (file, count) in files {
        match file {
            FileState::Captured => captured = count,
            _ => *states.entry(ListedState::of(file, None)).or_default() += count,
        }
    }
    for (document, count) in documents {
        let count = captured.min(count);
        captured -= count;
        let state = ListedState::of(FileState::Captured, Some(document));
        *states.entry(state).or_default() += count;
    }
    if captured > 0 {
        states.insert(ListedState::Captured, captured);
    }
    states
}

/// How many files are in each state, of one collection or of all.
fn states_in(
    connection: &Connection,
    collection: Option<&str>,
) -> sql::Result<BTreeMap<ListedState, u64>> {
    let files = "SELECT state, COUNT(*) FROM manifest WHERE CAST(?1 AS TEXT) IS NULL OR collection = ?1 GROUP BY state";
    let documents = "SELECT state, COUNT(*) FROM document WHERE state <> 'removed' AND (CAST(?1 AS TEXT) IS NULL OR collection = ?1) GROUP BY state";
    Ok(merged(
        counts(connection, files, collection)?,
        counts(connection, documents, collection)?,
    ))
}

fn counts<T: FromSql>(
    connection: &Connection,
    sql: &str,
    collection: Option<&str>,
) -> sql::Result<Vec<(T, u64)>> {
    connection
        .prepare_cached(sql)?
        .query_map([collection], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The same, of each collection.
fn counts_of_each<T: FromSql>(
    connection: &Connection,
    sql: &str,
) -> sql::Result<BTreeMap<String, Vec<(T, u64)>>> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut counts = BTreeMap::<String, Vec<(T, u64)>>::new();
    while let Some(row) = rows.next()? {
        let states = counts.entry(row.get(0)?).or_default();
        states.push((row.get(1)?, row.get(2)?));
    }
    Ok(counts)
}

impl Store {
    /// How many documents are stored, and how many files are in scope.
    pub async fn document_counts(&self) -> Result<(u64, u64), ReadError> {
        self.read("documents", move |connection| {
            let stored = connection.query_row(
                "SELECT COUNT(*) FROM document WHERE state = 'stored'",
                [],
                |row| row.get(0),
            )?;
            let files =
                connection.query_row("SELECT COUNT(*) FROM manifest", [], |row| row.get(0))?;
            Ok((stored, files))
        })
        .await
    }

    /// How many files in scope are in each state, as [`Store::listed_documents`] names them.
    pub async fn file_states(&self) -> Result<BTreeMap<ListedState, u64>, ReadError> {
        self.read("files by state", |connection| states_in(connection, None))
            .await
    }

    /// The same of each collection that has files.
    pub(crate) async fn file_states_by_collection(
        &self,
    ) -> Result<BTreeMap<String, BTreeMap<ListedState, u64>>, ReadError> {
        self.read("files by collection and state", |connection| {
            let files = counts_of_each(
                connection,
                "SELECT collection, state, COUNT(*) FROM manifest GROUP BY collection, state",
            )?;
            let mut documents = counts_of_each(
                connection,
                "SELECT collection, state, COUNT(*) FROM document WHERE state <> 'removed' GROUP BY collection, state",
            )?;
            let states = files.into_iter().map(|(collection, files)| {
                let documents = documents.remove(&collection).unwrap_or_default();
                (collection, merged(files, documents))
            });
            Ok(states.collect())
        })
        .await
    }

    /// Why files are rejected: the most frequent reasons of each collection, at most `most` of each. Looks at all rows.
    pub(crate) async fn rejections(&self, most: usize) -> Result<Vec<RejectionCount>, ReadError> {
        self.read("why files are rejected", move |connection| {
            connection
                .prepare_cached(
                    "SELECT collection, reason, files FROM (
                       SELECT collection, reason, COUNT(*) AS files,
                              ROW_NUMBER() OVER (PARTITION BY collection ORDER BY COUNT(*) DESC, reason) AS place
                       FROM (SELECT m.collection, COALESCE(CASE m.state WHEN 'captured' THEN d.reason ELSE m.reason END, '') AS reason
                             FROM manifest m LEFT JOIN document d ON d.collection = m.collection AND d.path = m.path
                             WHERE m.state = 'too large' OR (m.state = 'captured' AND d.state = 'rejected')) rejected
                       GROUP BY collection, reason) ranked
                     WHERE place <= ?1 ORDER BY collection, place",
                )?
                .query_map([most], |row| {
                    Ok(RejectionCount {
                        collection: row.get(0)?,
                        reason: row.get(1)?,
                        files: row.get(2)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// The same and more of one collection.
    pub(crate) async fn counts_in(
        &self,
        collection: String,
    ) -> Result<CollectionCounts, ReadError> {
        self.read("documents of a collection", move |connection| {
            let count = |sql: &str| -> sql::Result<u64> {
                connection
                    .prepare_cached(sql)?
                    .query_row([&collection], |row| row.get(0))
            };
            Ok(CollectionCounts {
                documents: count("SELECT COUNT(*) FROM document WHERE state = 'stored' AND collection = ?1")?,
                files: count("SELECT COUNT(*) FROM manifest WHERE collection = ?1")?,
                chunks: count(
                    "SELECT CAST(COALESCE(SUM(i.chunks), 0) AS BIGINT) FROM indexed i JOIN document d ON d.id = i.document
                     WHERE d.collection = ?1",
                )?,
                states: states_in(connection, Some(&collection))?,
            })
        })
        .await
    }

    /// A page of the files in scope, by collection and path, from the one after `after` on.
    pub async fn listed_documents(
        &self,
        collection: Option<String>,
        after: (String, Vec<u8>),
        limit: usize,
    ) -> Result<Vec<ListedDocument>, ReadError> {
        self.read("documents", move |connection| {
            let mut select = connection.prepare_cached(
                    "SELECT m.collection, m.path, COALESCE(d.version, 0), m.digest, m.state, m.reason, d.state, d.reason, d.title, d.digest
                     FROM manifest m LEFT JOIN document d
                       ON d.collection = m.collection AND d.path = m.path AND d.state <> 'removed'
                     WHERE (CAST(?1 AS TEXT) IS NULL OR m.collection = ?1) AND (m.collection > ?2 OR (m.collection = ?2 AND m.path > ?3))
                     ORDER BY m.collection, m.path LIMIT ?4",
                )?;
            let rows = select.query(params![collection, after.0, after.1, limit])?;
            page(rows, decode::of("manifest", listed))
        })
        .await
    }
}

fn listed(row: &Row<'_>) -> sql::Result<ListedDocument> {
    let file: FileState = row.get(4)?;
    let document: Option<DocumentState> = row.get(6)?;
    let captured = file == FileState::Captured;
    let reason = if captured && document.is_some() {
        row.get(7)?
    } else {
        row.get(5)?
    };
    Ok(ListedDocument {
        collection: row.get(0)?,
        path: row.get(1)?,
        version: if captured { row.get(2)? } else { 0 },
        digest: if captured {
            row.get::<Option<Digest>>(9)?.or(row.get(3)?)
        } else {
            None
        },
        state: ListedState::of(file, document),
        reason,
        title: row.get(8)?,
    })
}
