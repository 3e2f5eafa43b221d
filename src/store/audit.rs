//! The audit log: a chain of hashes that anybody can check with `sha256sum`.
//!
//! The hash of a record is SHA-256 over the hash of the one before (hexadecimal; 64 zeros for the first), a line feed and the
//! record's bytes as stored, one line of JSON. The writer assigns number and hash at commit.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::readers::page;
use super::writer::Batch;
use super::{ReadError, Store, WriteError};
use crate::event::Millis;
use crate::json;

/// What the first record's hash is computed over.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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
    /// Its hash.
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

/// The first record that does not fit the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBreak {
    /// The number at which it broke.
    pub n: u64,
    /// How.
    pub why: String,
}

/// The hash of a record that follows one with hash `previous`.
fn hash(previous: &str, line: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hasher.update(b"\n");
    hasher.update(line.as_bytes());
    hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// The hash of the newest record.
pub(super) fn head_hash(connection: &Connection) -> rusqlite::Result<String> {
    let head = connection
        .query_row(
            "SELECT hash FROM audit ORDER BY n DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(head.unwrap_or_else(|| NO_HASH.to_owned()))
}

/// Appends the record of an event, unless it stands there: a delivery that was done may be replayed.
pub(super) fn append(
    connection: &Connection,
    record: &AuditRecord,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let known = connection
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
        .execute(params![n, event, line, hash, now.0])?;
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
            params![oldest + PRUNE_SLICE, batch.counters.audit_n, before.0],
            |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?)),
        )
        .optional()?;
    let Some((last, last_hash)) = last else {
        return Ok(0);
    };
    let gone = connection.execute("DELETE FROM audit WHERE n <= ?1", [last])?;
    let body = serde_json::json!({
        "type": "audit.pruned", "subject": "store", "time": now.to_string(),
        "removed_to": last, "removed_hash": last_hash
    });
    write(connection, None, &body.to_string(), batch, now)?;
    Ok(gone)
}

impl Store {
    /// A page of audit records, oldest first, from the one after `after` on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn audit_lines(&self, after: u64, limit: usize) -> Result<Vec<AuditLine>, ReadError> {
        self.read("the audit log", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT n, line, hash FROM audit WHERE n > ?1 ORDER BY n LIMIT ?2",
            )?;
            page(select.query(params![after, limit])?, |row| {
                Ok(AuditLine {
                    n: row.get(0)?,
                    line: row.get(1)?,
                    hash: row.get(2)?,
                })
            })
        })
        .await
    }

    /// Checks the chain from its oldest record on: how many records it has, or the first that does not fit.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn verify_audit(&self) -> Result<Result<u64, AuditBreak>, ReadError> {
        let mut chain: Option<(u64, String)> = None;
        let (mut checked, mut first) = (0, None);
        loop {
            let after = chain.as_ref().map_or(0, |(n, _)| *n);
            let lines = self.audit_lines(after, 2000).await?;
            if lines.is_empty() {
                break;
            }
            for line in lines {
                if chain.is_none() && line.n > 1 {
                    // What came before was removed by retention; a later record must say up to where, and its hash.
                    let Some(hash) = self.pruned_hash(line.n - 1).await? else {
                        let why = format!(
                            "records before {} are missing and no record of their removal says so",
                            line.n
                        );
                        return Ok(Err(AuditBreak { n: line.n, why }));
                    };
                    chain = Some((line.n - 1, hash));
                }
                if let Err(broken) = check(&mut chain, &line) {
                    return Ok(Err(broken));
                }
                first.get_or_insert(line.n);
                checked += 1;
            }
        }
        self.check_audit_head(chain, checked).await
    }

    /// The newest record must be the one that was counted last.
    async fn check_audit_head(
        &self,
        chain: Option<(u64, String)>,
        checked: u64,
    ) -> Result<Result<u64, AuditBreak>, ReadError> {
        let counted: u64 = self
            .read("the audit log", |connection| {
                connection
                    .query_row(
                        "SELECT value FROM counter WHERE name = 'audit'",
                        [],
                        |row| row.get(0),
                    )
                    .optional()
                    .map(|n| n.unwrap_or(0))
            })
            .await?;
        let newest = chain.map_or(0, |(n, _)| n);
        if newest < counted {
            let why = format!("the newest record is {newest}, but {counted} were written");
            return Ok(Err(AuditBreak { n: newest + 1, why }));
        }
        Ok(Ok(checked))
    }

    async fn pruned_hash(&self, removed_to: u64) -> Result<Option<String>, ReadError> {
        self.read("the audit log", move |connection| {
            let mut select =
                connection.prepare("SELECT line FROM audit WHERE event IS NULL ORDER BY n")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let line: String = row.get(0)?;
                let record: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if record["type"] == "audit.pruned" && record["removed_to"] == removed_to {
                    return Ok(record["removed_hash"].as_str().map(str::to_owned));
                }
            }
            Ok(None)
        })
        .await
    }
}

/// Checks one record against the chain so far, and makes it the end of it.
fn check(chain: &mut Option<(u64, String)>, line: &AuditLine) -> Result<(), AuditBreak> {
    let (n, previous) = chain.take().unwrap_or_else(|| (0, NO_HASH.to_owned()));
    let broken = |why: String| AuditBreak { n: line.n, why };
    if line.n != n + 1 {
        return Err(broken(format!("record {} is missing", n + 1)));
    }
    if !line.line.starts_with(&format!("{{\"n\":{},", line.n)) {
        return Err(broken("the record names another number".to_owned()));
    }
    if hash(&previous, &line.line) != line.hash {
        return Err(broken(
            "the hash does not fit the record and the one before it".to_owned(),
        ));
    }
    *chain = Some((line.n, line.hash.clone()));
    Ok(())
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

    #[test]
    fn a_changed_a_missing_and_a_renumbered_record_break_the_chain() {
        let mut lines = Vec::new();
        let mut previous = NO_HASH.to_owned();
        for n in 1..=3 {
            let line = format!("{{\"n\":{n},\"type\":\"x\"}}");
            let hash = hash(&previous, &line);
            previous.clone_from(&hash);
            lines.push(AuditLine { n, line, hash });
        }
        let run = |lines: &[AuditLine]| {
            let mut chain = None;
            lines
                .iter()
                .try_for_each(|l| check(&mut chain, l))
                .map_err(|b| b.n)
        };
        assert_eq!(run(&lines), Ok(()));
        let mut changed = lines.clone();
        changed[1].line = changed[1].line.replace('x', "y");
        assert_eq!(run(&changed), Err(2));
        assert_eq!(run(&[lines[0].clone(), lines[2].clone()]), Err(3));
        let mut renumbered = lines.clone();
        renumbered[2].n = 2;
        assert_eq!(run(&renumbered), Err(2));
    }
}
