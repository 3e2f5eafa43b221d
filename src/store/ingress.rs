//! What came in from other programs: how far their stream was read, and the entries that could not be published.

use super::sql::{self, Connection, Optional, params};
use serde::{Deserialize, Serialize};

use super::readers::page;
use super::{ReadError, Store, WriteError, decode};
use crate::event::Millis;

/// The name under which the store remembers how far the stream of other programs was read: the id of its newest entry that was
/// published.
pub(crate) const INGRESS_POSITION: &str = "ingress_position";

/// An entry of another program that cannot be published. It is kept with all that it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressDead {
    /// The entry's id in the stream.
    pub entry: String,
    /// Its type, as far as it had one.
    pub kind: String,
    /// Its subject, as far as it had one.
    pub subject: String,
    /// Why it cannot be published.
    pub reason: String,
    /// Its fields, in order; bytes that are not UTF-8 as `\\xNN`.
    pub fields: Vec<(String, String)>,
    /// So many are kept; the oldest give way.
    pub keep: u64,
}

/// An [`IngressDead`] as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressDeadRow {
    /// Its place among them.
    pub n: u64,
    /// The entry's id in the stream.
    pub entry: String,
    /// Its type, as far as it had one.
    pub kind: String,
    /// Its subject, as far as it had one.
    pub subject: String,
    /// Why it cannot be published.
    pub reason: String,
    /// Its fields, in order.
    pub fields: Vec<(String, String)>,
    pub at: Millis,
}

/// Stores an entry that cannot be published as a dead letter; one that is there already stays as it is.
pub(super) fn bury(
    connection: &Connection,
    dead: &IngressDead,
    now: Millis,
) -> Result<(), WriteError> {
    let fields = serde_json::to_string(&dead.fields)
        .map_err(|e| WriteError::Invalid(format!("the fields of entry {}: {e}", dead.entry)))?;
    connection
        .prepare_cached(
            "INSERT INTO ingress_dead (entry, type, subject, reason, fields, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (entry) DO NOTHING",
        )?
        .execute(params![
            dead.entry,
            dead.kind,
            dead.subject,
            dead.reason,
            fields,
            now
        ])?;
    let mut cap = connection.prepare_cached(
        "DELETE FROM ingress_dead WHERE n <= (SELECT n FROM ingress_dead ORDER BY n DESC LIMIT 1 OFFSET ?1)",
    )?;
    let dropped = cap.execute([dead.keep])?;
    if dropped > 0 {
        tracing::warn!(
            dropped,
            keep = dead.keep,
            "more entries of other programs could not be published than are kept; the oldest are gone"
        );
    }
    Ok(())
}

/// Forgets an entry that is kept; refused if it is not.
pub(super) fn drop_one(connection: &Connection, entry: &str) -> Result<(), WriteError> {
    let mut delete = connection.prepare_cached("DELETE FROM ingress_dead WHERE entry = ?1")?;
    match delete.execute([entry])? {
        0 => Err(WriteError::Refused),
        _ => Ok(()),
    }
}

fn dead_row(row: &sql::Row<'_>) -> sql::Result<IngressDeadRow> {
    let fields: String = row.get(4)?;
    Ok(IngressDeadRow {
        n: row.get(6)?,
        entry: row.get(0)?,
        kind: row.get(1)?,
        subject: row.get(2)?,
        reason: row.get(3)?,
        fields: serde_json::from_str(&fields).map_err(|e| decode::unreadable(row, 4, e))?,
        at: row.get(5)?,
    })
}

impl Store {
    /// A page of entries of other programs that could not be published, oldest first, from the one after `after` on.
    pub async fn ingress_dead(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<IngressDeadRow>, ReadError> {
        self.read("the dead letters of the ingress", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT entry, type, subject, reason, fields, at, n FROM ingress_dead WHERE n > ?1 ORDER BY n LIMIT ?2",
            )?;
            page(select.query(params![after, limit])?, decode::of("ingress_dead", dead_row))
        })
        .await
    }

    /// The newest of them, newest first.
    pub(crate) async fn newest_ingress_dead(
        &self,
        limit: usize,
    ) -> Result<Vec<IngressDeadRow>, ReadError> {
        self.read("the dead letters of the ingress", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT entry, type, subject, reason, fields, at, n FROM ingress_dead ORDER BY n DESC LIMIT ?1",
            )?;
            page(select.query([limit])?, decode::of("ingress_dead", dead_row))
        })
        .await
    }

    /// The entry of this id, if it is kept.
    pub async fn ingress_dead_entry(
        &self,
        entry: String,
    ) -> Result<Option<IngressDeadRow>, ReadError> {
        self.read("a dead letter of the ingress", move |connection| {
            connection
                .prepare_cached(
                    "SELECT entry, type, subject, reason, fields, at, n FROM ingress_dead WHERE entry = ?1",
                )?
                .query_row([entry], decode::of("ingress_dead", dead_row))
                .optional()
        })
        .await
    }

    /// How many entries of other programs are kept because they could not be published.
    pub async fn ingress_dead_count(&self) -> Result<u64, ReadError> {
        self.read("the dead letters of the ingress", |connection| {
            connection.query_row("SELECT COUNT(*) FROM ingress_dead", [], |row| row.get(0))
        })
        .await
    }
}
