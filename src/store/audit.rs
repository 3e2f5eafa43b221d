//! The audit log: a chain of hashes that anybody can check with `sha256sum`.
//!
//! The hash of a record is SHA-256 over the hash of the one before (hexadecimal; 64 zeros for the first), a line feed and the
//! record's bytes as stored, one line of JSON. The writer assigns number and hash at commit.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::readers::page;
use super::writer::Batch;
use super::{ReadError, Store, WriteError, decode};
use crate::event::Millis;
use crate::hex;
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

/// A row of the table: a record, and the event that its row names.
#[derive(Clone)]
struct Stored {
    record: AuditLine,
    event: Option<u64>,
}

/// What a line says of itself.
#[derive(Deserialize)]
struct Named {
    n: u64,
    #[serde(rename = "type")]
    kind: Option<String>,
    seq: Option<u64>,
    removed_to: Option<u64>,
    removed_hash: Option<String>,
}

/// The type of the record that tells what retention removed.
const PRUNED: &str = "audit.pruned";

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
    hex::encode(&hasher.finalize())
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
        .execute(params![n, event, line, hash, now])?;
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
            |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?)),
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
    ///
    /// # Errors
    /// The store cannot be read.
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

    /// Rows after number `after` for a check: one that does not hold what the writer writes is a broken record.
    async fn audit_rows(
        &self,
        after: i64,
    ) -> Result<Vec<(i64, Result<Stored, AuditBreak>)>, ReadError> {
        self.read("the audit log", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT n, event, line, hash, at FROM audit WHERE n > ?1 ORDER BY n LIMIT 2000",
            )?;
            page(select.query([after])?, |row| {
                let n: i64 = row.get(0)?;
                Ok((n, stored(row).map_err(|error| broken_row(n, &error))))
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
        let (mut checked, mut after) = (0, i64::MIN);
        loop {
            let rows = self.audit_rows(after).await?;
            if rows.is_empty() {
                break;
            }
            for (n, row) in rows {
                after = n;
                let stored = match row {
                    Ok(stored) => stored,
                    Err(broken) => return Ok(Err(broken)),
                };
                let n = stored.record.n;
                if chain.is_none() && n > 1 {
                    // What came before was removed by retention; a later record must say up to where, and its hash.
                    let Some(hash) = self.pruned_hash(n - 1).await? else {
                        let why = format!(
                            "records before {n} are missing and no record of their removal says so"
                        );
                        return Ok(Err(AuditBreak { n, why }));
                    };
                    chain = Some((n - 1, hash));
                }
                if let Err(broken) = check(&mut chain, &stored) {
                    return Ok(Err(broken));
                }
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
        if newest > counted {
            let why = format!("there are {newest} records, but {counted} were written");
            return Ok(Err(AuditBreak {
                n: counted + 1,
                why,
            }));
        }
        Ok(Ok(checked))
    }

    async fn pruned_hash(&self, removed_to: u64) -> Result<Option<String>, ReadError> {
        self.read("the audit log", move |connection| {
            let mut select =
                connection.prepare("SELECT line FROM audit WHERE event IS NULL ORDER BY n")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                // One that cannot be read is found when its turn in the chain comes.
                let line = row.get_ref(0)?.as_str().unwrap_or_default();
                let Ok(record) = serde_json::from_str::<Named>(line) else {
                    continue;
                };
                if record.kind.as_deref() == Some(PRUNED) && record.removed_to == Some(removed_to) {
                    return Ok(record.removed_hash);
                }
            }
            Ok(None)
        })
        .await
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let stored = |row: &Row<'_>| {
        row.get::<_, i64>(4)?;
        Ok(Stored {
            record: AuditLine {
                n: row.get(0)?,
                line: row.get(2)?,
                hash: row.get(3)?,
            },
            event: row.get(1)?,
        })
    };
    decode::of("audit", stored)(row)
}

fn broken_row(n: i64, error: &rusqlite::Error) -> AuditBreak {
    let why = decode::what(error);
    let n = u64::try_from(n).unwrap_or_default();
    AuditBreak { n, why }
}

/// Checks one record against the chain so far, and makes it the end of it.
fn check(chain: &mut Option<(u64, String)>, stored: &Stored) -> Result<(), AuditBreak> {
    let Stored {
        record: line,
        event,
    } = stored;
    let (n, previous) = chain.take().unwrap_or_else(|| (0, NO_HASH.to_owned()));
    let broken = |why: String| AuditBreak { n: line.n, why };
    if line.n != n + 1 {
        return Err(broken(format!("record {} is missing", n + 1)));
    }
    if hash(&previous, &line.line) != line.hash {
        return Err(broken(
            "the hash does not fit the record and the one before it".to_owned(),
        ));
    }
    let named: Named = serde_json::from_str(&line.line).map_err(|error| {
        broken(format!(
            "the record is not JSON as docent writes it: {error}"
        ))
    })?;
    if named.n != line.n {
        return Err(broken("the record names another number".to_owned()));
    }
    if named.seq.is_some_and(|seq| *event != Some(seq))
        || (named.kind.as_deref() == Some(PRUNED) && event.is_some())
    {
        return Err(broken(
            "its row names another event than the record".to_owned(),
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
            lines.push(Stored {
                record: AuditLine { n, line, hash },
                event: None,
            });
        }
        let run = |lines: &[&Stored]| {
            let mut chain = None;
            lines
                .iter()
                .try_for_each(|l| check(&mut chain, l))
                .map_err(|b| b.n)
        };
        let change = |at: usize, change: fn(&mut Stored)| {
            let mut changed = lines[at].clone();
            change(&mut changed);
            changed
        };
        let [first, second, third] = &lines[..] else {
            panic!("three were made");
        };
        assert_eq!(run(&[first, second, third]), Ok(()));
        let changed = change(1, |s| s.record.line = s.record.line.replace('x', "y"));
        assert_eq!(run(&[first, &changed, third]), Err(2));
        assert_eq!(run(&[first, third]), Err(3));
        let renumbered = change(2, |s| s.record.n = 2);
        assert_eq!(run(&[first, second, &renumbered]), Err(2));
        let moved = change(1, |s| {
            s.record.line = r#"{"n":2,"type":"x","seq":5}"#.to_owned();
            s.event = Some(6);
        });
        let mut moved = moved;
        moved.record.hash = hash(&first.record.hash, &moved.record.line);
        assert_eq!(run(&[first, &moved]), Err(2));
        moved.event = Some(5);
        assert_eq!(run(&[first, &moved]), Ok(()));
    }
}
