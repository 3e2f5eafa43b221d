//! Whether the chain of the audit log holds.

use crate::store::sql::{self, Row};
use serde::Deserialize;

use super::{AuditLine, PRUNED, hash};
use crate::store::batch::{Counters, NO_HASH};
use crate::store::readers::page;
use crate::store::{ReadError, Store, decode};

/// A row of the table: a record, and the event that its row names.
#[derive(Clone)]
struct Stored {
    record: AuditLine,
    event: Option<u64>,
}

/// What a line says of itself.
#[derive(Deserialize)]
struct NamedRecord {
    n: u64,
    #[serde(rename = "type")]
    kind: Option<String>,
    seq: Option<u64>,
    removed_to: Option<u64>,
    removed_hash: Option<String>,
}

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditChain {
    /// How many records it has.
    pub records: u64,
    /// The number and the hash of the newest one.
    pub head: Option<(u64, String)>,
}

/// The first record that does not fit the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBreak {
    /// The number at which it broke.
    pub n: u64,
    pub why: String,
}

impl Store {
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

    /// Checks the chain from its oldest record on: the chain, or the first record that does not fit.
    pub async fn verify_audit(&self) -> Result<Result<AuditChain, AuditBreak>, ReadError> {
        let checked = self.check_chain().await?;
        let broken = checked.as_ref().err();
        let broken = broken.map(|broken| format!("record {}: {}", broken.n, broken.why));
        self.figures().audit_checked(broken);
        Ok(checked)
    }

    async fn check_chain(&self) -> Result<Result<AuditChain, AuditBreak>, ReadError> {
        let mut chain: Option<(u64, String)> = None;
        let (mut checked, mut after) = (0, i64::MIN);
        loop {
            let mut rows = self.audit_rows(after).await?;
            if rows.is_empty() {
                let newest = chain.as_ref().map_or(0, |(n, _)| *n);
                let counted = self.audit_counted().await?;
                if newest < counted {
                    // They may have been written since they were looked for.
                    rows = self.audit_rows(after).await?;
                }
                if rows.is_empty() {
                    return Ok(judge_head(newest, counted).map(|()| AuditChain {
                        records: checked,
                        head: chain,
                    }));
                }
            }
            for (n, row) in rows {
                after = n;
                let stored = match row {
                    Ok(stored) => stored,
                    Err(broken) => return Ok(Err(broken)),
                };
                let n = stored.record.n;
                if chain.as_ref().map_or(1, |(known, _)| known + 1) < n {
                    match self.over_gap(chain.is_some(), n).await? {
                        Ok(end) => chain = end.or(chain),
                        Err(broken) => return Ok(Err(broken)),
                    }
                }
                if let Err(broken) = check(&mut chain, &stored) {
                    return Ok(Err(broken));
                }
                checked += 1;
            }
        }
    }

    /// The end of the chain before record `n`, if retention has removed all that came before: a later record says up to where, and its
    /// hash. It may do so while the chain is checked, when some of it `is_known` already.
    pub(in crate::store) async fn over_gap(
        &self,
        is_known: bool,
        n: u64,
    ) -> Result<Result<Option<(u64, String)>, AuditBreak>, ReadError> {
        // It may have gone further since.
        let oldest = self.oldest_record().await?;
        if is_known && oldest.is_none_or(|oldest| oldest < n) {
            return Ok(Ok(None));
        }
        let hash = self.pruned_hash(n - 1).await?;
        if hash.is_none() && !is_known {
            let why =
                format!("records before {n} are missing and no record of their removal says so");
            return Ok(Err(AuditBreak { n, why }));
        }
        Ok(Ok(hash.map(|hash| (n - 1, hash))))
    }

    /// How many records were written so far.
    async fn audit_counted(&self) -> Result<u64, ReadError> {
        self.read("the audit log", |connection| {
            Ok(Counters::read(connection)?.audit_n)
        })
        .await
    }

    async fn oldest_record(&self) -> Result<Option<u64>, ReadError> {
        self.read("the audit log", |connection| {
            connection.query_row("SELECT MIN(n) FROM audit", [], |row| row.get(0))
        })
        .await
    }

    async fn pruned_hash(&self, removed_to: u64) -> Result<Option<String>, ReadError> {
        self.read("the audit log", move |connection| {
            let mut select = connection
                .prepare_cached("SELECT line FROM audit WHERE event IS NULL ORDER BY n")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                // One that cannot be read is found when its turn in the chain comes.
                let line = row.get_ref(0)?.as_str().unwrap_or_default();
                let Ok(record) = serde_json::from_str::<NamedRecord>(line) else {
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

fn stored(row: &Row<'_>) -> sql::Result<Stored> {
    let stored = |row: &Row<'_>| {
        row.get::<i64>(4)?;
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

/// The newest record must be the one that was counted last.
fn judge_head(newest: u64, counted: u64) -> Result<(), AuditBreak> {
    if newest < counted {
        let why = format!("the newest record is {newest}, but {counted} were written");
        return Err(AuditBreak { n: newest + 1, why });
    }
    if newest > counted {
        let why = format!("there are {newest} records, but {counted} were written");
        return Err(AuditBreak {
            n: counted + 1,
            why,
        });
    }
    Ok(())
}

fn broken_row(n: i64, error: &sql::Error) -> AuditBreak {
    let why = error.to_string();
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
    let named: NamedRecord = serde_json::from_str(&line.line).map_err(|error| {
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
