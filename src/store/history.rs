//! What happened in a span of time, as the audit log and the ledger have it. In slices, so that no read lasts long.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::sql::{self, Connection, Optional, Row, params};
use super::{ReadError, Store};
use crate::event::{Millis, Seq};

/// Records, or events, that one slice looks at.
const SLICE: u64 = 5000;

/// A slice of the audit log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditSlice {
    /// The last record that it looked at; `None`: there is none further on.
    pub last: Option<u64>,
    /// How many records there are of each type; `""`: of those that cannot be read.
    pub types: Vec<(String, u64)>,
    /// The records of the types that were asked for, oldest first.
    pub records: Vec<Value>,
}

/// How the deliveries of one agent ended, in a slice of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTimes {
    pub agent: String,
    pub done: u64,
    /// From publishing to the end, in milliseconds: of all together, and the longest.
    pub sum_ms: u64,
    pub max_ms: u64,
}

/// Attempts of one agent that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedBy {
    pub agent: String,
    /// The last error, its beginning.
    pub error: String,
    pub deliveries: u64,
}

/// A slice of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerSlice {
    /// The last event that it looked at; `None`: there is none further on.
    pub last: Option<Seq>,
    pub times: Vec<AgentTimes>,
    pub failed: Vec<FailedBy>,
    /// From capturing a change to its chunks being in the store, in milliseconds.
    pub fresh_ms: Vec<u64>,
}

/// The record before the first one from `from` on. Numbers have no gaps, and times follow them.
fn before(connection: &Connection, from: Millis) -> sql::Result<u64> {
    let bounds: (Option<u64>, Option<u64>) =
        connection.query_row("SELECT MIN(n), MAX(n) FROM audit", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let (Some(mut low), Some(last)) = bounds else {
        return Ok(0);
    };
    let mut high = last + 1;
    let mut at = connection.prepare_cached("SELECT at FROM audit WHERE n = ?1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let moment: Option<Millis> = at.query_row([middle], |row| row.get(0)).optional()?;
        if moment.is_some_and(|moment| moment < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low.saturating_sub(1))
}

/// A line of the audit log, as far as it is text: an altered one may be anything.
fn line(row: &Row<'_>) -> sql::Result<String> {
    let bytes = row.get_ref(0)?.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The type that a line of the audit log names; `""`: it cannot be read, and `audit verify` names it.
fn type_of(line: &str) -> String {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    let typed = serde_json::from_str::<Typed>(line);
    typed.map_or_else(|_| String::new(), |line| line.r#type)
}

/// The longest beginning of an error by which attempts are put together, in characters.
const ERROR_MAX: usize = 200;

/// Why the last attempt of a delivery failed, from its error chain.
fn last_error(errors: &str) -> String {
    let chain: Vec<Value> = serde_json::from_str(errors).unwrap_or_default();
    let error = chain.last().and_then(|last| last["error"].as_str());
    let error = error.unwrap_or("no reason known");
    error.chars().take(ERROR_MAX).collect()
}

impl Store {
    /// When the oldest record of the audit log that is kept was written, and the number and hash of the newest.
    pub async fn audit_ends(&self) -> Result<Option<(Millis, u64, String)>, ReadError> {
        self.read("the audit log", |connection| {
            connection
                .prepare_cached(
                    "SELECT (SELECT at FROM audit ORDER BY n LIMIT 1), n, hash FROM audit ORDER BY n DESC LIMIT 1",
                )?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()
        })
        .await
    }

    /// The slice of the audit log from `span`'s beginning, or behind the record `after`. Given are the records of the types in
    /// `wanted`.
    pub async fn audit_slice(
        &self,
        from: Millis,
        to: Millis,
        after: Option<u64>,
        wanted: &'static [&'static str],
    ) -> Result<AuditSlice, ReadError> {
        self.read("the audit log", move |connection| {
            let after = match after {
                Some(after) => after,
                None => before(connection, from)?,
            };
            let last: Option<u64> = connection
                .prepare_cached("SELECT MAX(n) FROM audit WHERE n > ?1 AND n <= ?2 AND at < ?3")?
                .query_row(params![after, after + SLICE, to], |row| row.get(0))?;
            let Some(last) = last else {
                return Ok(AuditSlice::default());
            };
            let mut types = BTreeMap::<String, u64>::new();
            let mut records = Vec::new();
            let mut select = connection
                .prepare_cached("SELECT line FROM audit WHERE n > ?1 AND n <= ?2 ORDER BY n")?;
            for line in select.query_map([after, last], line)? {
                let line = line?;
                let kind = type_of(&line);
                if wanted.contains(&kind.as_str()) {
                    records.extend(serde_json::from_str(&line));
                }
                *types.entry(kind).or_default() += 1;
            }
            Ok(AuditSlice {
                last: Some(last),
                types: types.into_iter().collect(),
                records,
            })
        })
        .await
    }

    /// Since when every event is in the ledger: before that, what is done was removed. `None`: there is nothing that is done.
    pub async fn ledger_since(&self) -> Result<Option<Millis>, ReadError> {
        self.read("the ledger", |connection| {
            connection
                .prepare_cached(
                    "SELECT e.time FROM event e WHERE NOT EXISTS
                       (SELECT 1 FROM delivery d WHERE d.event = e.seq AND d.state <> 'done') ORDER BY e.seq LIMIT 1",
                )?
                .query_row([], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// The slice of the ledger behind the event `after`: what was published from `from` on and before `to`.
    pub async fn ledger_slice(
        &self,
        from: Millis,
        to: Millis,
        after: Seq,
    ) -> Result<LedgerSlice, ReadError> {
        self.read("the ledger", move |connection| {
            let first: Option<Seq> = connection
                .prepare_cached("SELECT MIN(seq) FROM event WHERE seq > ?1")?
                .query_row([after], |row| row.get(0))?;
            let Some(first) = first else {
                return Ok(LedgerSlice::default());
            };
            let last = Seq(first.0 + SLICE);
            let place = params![first, last, from, to];
            let times = connection
                .prepare_cached(
                    "SELECT d.agent, COUNT(*), CAST(SUM(CASE WHEN d.settled_at > e.time THEN d.settled_at - e.time ELSE 0 END) AS BIGINT),
                       MAX(CASE WHEN d.settled_at > e.time THEN d.settled_at - e.time ELSE 0 END)
                     FROM event e JOIN delivery d ON d.event = e.seq
                     WHERE e.seq >= ?1 AND e.seq <= ?2 AND e.time >= ?3 AND e.time < ?4 AND d.state = 'done' AND d.settled_at IS NOT NULL
                     GROUP BY d.agent ORDER BY d.agent",
                )?
                .query_map(place, |row| {
                    Ok(AgentTimes {
                        agent: row.get(0)?,
                        done: row.get(1)?,
                        sum_ms: row.get(2)?,
                        max_ms: row.get(3)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let mut select = connection.prepare_cached(
                "SELECT d.agent, d.errors FROM event e JOIN delivery d ON d.event = e.seq
                 WHERE e.seq >= ?1 AND e.seq <= ?2 AND e.time >= ?3 AND e.time < ?4 AND d.errors IS NOT NULL",
            )?;
            let mut failed = BTreeMap::<(String, String), u64>::new();
            let chains = select.query_map(place, |row| {
                let errors: String = row.get(1)?;
                Ok((row.get(0)?, last_error(&errors)))
            })?;
            for key in chains {
                *failed.entry(key?).or_default() += 1;
            }
            let failed = failed.into_iter();
            let failed = failed.map(|((agent, error), deliveries)| FailedBy {
                agent,
                error,
                deliveries,
            });
            let fresh_ms = connection
                .prepare_cached(
                    "SELECT CASE WHEN e.time > c.time THEN e.time - c.time ELSE 0 END FROM event e JOIN event c ON c.id = e.correlation
                     WHERE e.seq >= ?1 AND e.seq <= ?2 AND e.time >= ?3 AND e.time < ?4
                       AND e.type = 'index.updated' AND c.type = 'file.changed'",
                )?
                .query_map(place, |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            Ok(LedgerSlice {
                last: Some(last),
                times,
                failed: failed.collect(),
                fresh_ms,
            })
        })
        .await
    }
}
