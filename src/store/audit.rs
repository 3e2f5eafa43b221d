//! The audit log: a chain of hashes that anybody can check with `sha256sum`.
//!
//! The hash of a record is SHA-256 over the hash of the one before (hexadecimal; 64 zeros for the first), a line feed and the
//! record's bytes as stored, one line of JSON. The writer assigns number and hash at commit.

mod verify;

#[cfg(test)]
pub(crate) use verify::AuditBreak;
pub(crate) use verify::AuditChain;

use super::sql::{self, Connection, Optional, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::batch::{Batch, Counters, NO_HASH};
use super::readers::page;
use super::{ReadError, Store, WriteError, decode};
use crate::event::Millis;
use crate::hex;
use crate::json;

/// A record without its number and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The place of the event that it is about: there is one record of each.
    pub event: u64,
    /// A JSON object on one line, without `n` and `hash`.
    pub body: String,
}

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number, without gaps.
    pub n: u64,
    /// One line of JSON, its first key `n`.
    pub line: String,
    pub hash: String,
}

impl AuditLine {
    /// The line with `hash` added as its last key.
    pub fn printed(&self) -> String {
        match self.line.strip_suffix('}') {
            Some(open) => format!("{open},\"hash\":\"{}\"}}", self.hash),
            None => self.line.clone(),
        }
    }
}

/// The type of the record that tells what retention removed.
const PRUNED: &str = "audit.pruned";

/// The hash of a record that follows one with hash `previous`.
fn hash(previous: &str, line: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hasher.update(b"\n");
    hasher.update(line.as_bytes());
    hex::encode(&hasher.finalize())
}

/// The counters of the store, with the head of the audit log.
pub(super) fn counters(connection: &Connection) -> sql::Result<Counters> {
    Ok(Counters {
        audit_hash: head_hash(connection)?,
        ..Counters::read(connection)?
    })
}

/// The hash of the newest record.
fn head_hash(connection: &Connection) -> sql::Result<String> {
    let head = connection
        .query_row(
            "SELECT hash FROM audit ORDER BY n DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(head.unwrap_or_else(|| NO_HASH.to_owned()))
}

/// Whether the record `n` has this hash, unless retention has removed it; 0: none was there.
pub(super) fn has_record(connection: &Connection, n: u64, hash: &str) -> sql::Result<bool> {
    if n == 0 {
        return Ok(true);
    }
    let found: Option<String> = connection
        .query_row("SELECT hash FROM audit WHERE n = ?1", [n], |row| row.get(0))
        .optional()?;
    match found {
        Some(found) => Ok(found == hash),
        None => connection.query_row(
            "SELECT COALESCE(MIN(n) > ?1, FALSE) FROM audit",
            [n],
            |row| row.get(0),
        ),
    }
}

/// Appends the record of an event, unless it stands there: a delivery that was done may be replayed.
pub(super) fn append(
    connection: &Connection,
    record: &AuditRecord,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let known = !batch.ahead.takes_unaudited(record.event)
        && connection
            .prepare_cached("SELECT 1 FROM audit WHERE event = ?1")?
            .exists([record.event])?;
    if known {
        return Ok(());
    }
    write(connection, Some(record.event), &record.body, batch, now)
}

fn write(
    connection: &Connection,
    event: Option<u64>,
    body: &str,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    // What is printed later is just these bytes, by which the hash is checked.
    let body = json::escaped(body);
    let Some(rest) = body
        .strip_prefix('{')
        .filter(|r| r.len() > 1 && !r.contains('\n'))
    else {
        return Err(WriteError::Invalid(
            "an audit record is one line, a JSON object".to_owned(),
        ));
    };
    let n = batch.counters.audit_n + 1;
    let line = format!("{{\"n\":{n},{rest}");
    let hash = hash(&batch.counters.audit_hash, &line);
    connection
        .prepare_cached("INSERT INTO audit (n, event, line, hash, at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .defer(params![n, event, line, hash, now])?;
    batch.counters.audit_n = n;
    batch.counters.audit_hash = hash;
    Ok(())
}

/// How many records one slice of retention removes.
const PRUNE_SLICE: u64 = 5000;

/// Removes the oldest records, those from before `before`, and appends one that names the last removed and its hash.
pub(super) fn prune(
    connection: &Connection,
    before: Millis,
    batch: &mut Batch,
    now: Millis,
) -> Result<usize, WriteError> {
    let oldest: Option<u64> =
        connection.query_row("SELECT MIN(n) FROM audit", [], |row| row.get(0))?;
    let Some(oldest) = oldest else { return Ok(0) };
    // The newest record always stays: the chain must have a head.
    let last = connection
        .query_row(
            "SELECT n, hash FROM audit WHERE n < ?1 AND n < ?2 AND at < ?3 ORDER BY n DESC LIMIT 1",
            params![oldest + PRUNE_SLICE, batch.counters.audit_n, before],
            |row| Ok((row.get::<u64>(0)?, row.get::<String>(1)?)),
        )
        .optional()?;
    let Some((last, last_hash)) = last else {
        return Ok(0);
    };
    let gone = connection.execute("DELETE FROM audit WHERE n <= ?1", [last])?;
    let body = serde_json::json!({
        "type": PRUNED, "subject": "store", "time": now.to_string(),
        "removed_to": last, "removed_hash": last_hash
    });
    write(connection, None, &body.to_string(), batch, now)?;
    Ok(gone)
}

impl Store {
    /// A page of audit records, oldest first, from the one after `after` on.
    pub async fn audit_lines(&self, after: u64, limit: usize) -> Result<Vec<AuditLine>, ReadError> {
        self.read("the audit log", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT n, line, hash FROM audit WHERE n > ?1 ORDER BY n LIMIT ?2",
            )?;
            let line = decode::of("audit", |row| {
                Ok(AuditLine {
                    n: row.get(0)?,
                    line: row.get(1)?,
                    hash: row.get(2)?,
                })
            });
            page(select.query(params![after, limit])?, line)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_sha256sum_prints() {
        // printf '%064d\n{"n":1,"type":"x"}' 0 | sha256sum
        assert_eq!(hash(NO_HASH, r#"{"n":1,"type":"x"}"#).len(), 64);
        let line = AuditLine {
            n: 1,
            line: r#"{"n":1,"type":"x"}"#.to_owned(),
            hash: "ab".to_owned(),
        };
        assert_eq!(line.printed(), r#"{"n":1,"type":"x","hash":"ab"}"#);
    }
}
