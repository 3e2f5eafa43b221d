//! What happened in a span of time, as the audit log and the ledger have it. In slices, so that no read lasts long.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::{ReadError, Store};
use crate::event::{Millis, Seq};

/// Records, or events, that one slice looks at.
const SLICE: u64 = 5000;

/// The type of the event that a record is of, in SQL. A line that somebody altered may be no JSON, and then SQLite fails the whole
/// statement: such a record has the type `''`, and the others are told. (`audit verify` names it.)
const TYPE: &str = "CASE WHEN typeof(line) = 'text' AND json_valid(line)
    THEN COALESCE(CAST(json_extract(line, '$.type') AS TEXT), '') ELSE '' END";

/// Why the last attempt of a delivery failed, in SQL; NULL where what stands there cannot be read.
const ERROR: &str = "CASE WHEN typeof(d.errors) = 'text' AND json_valid(d.errors)
    THEN CAST(json_extract(d.errors, '$[#-1].error') AS TEXT) END";

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
fn before(connection: &Connection, from: Millis) -> rusqlite::Result<u64> {
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

/// The text in the first column, as far as it is one: an altered line may be no UTF-8.
fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    let bytes = row.get_ref(0)?.as_bytes()?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
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
    /// `wanted`, names with a space before and behind each.
    pub async fn audit_slice(
        &self,
        from: Millis,
        to: Millis,
        after: Option<u64>,
        wanted: &'static str,
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
            let types = connection
                .prepare_cached(&format!(
                    "SELECT {TYPE}, COUNT(*) FROM audit WHERE n > ?1 AND n <= ?2 GROUP BY 1 ORDER BY 1",
                ))?
                .query_map([after, last], |row| Ok((text(row)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let lines: Vec<String> = connection
                .prepare_cached(&format!(
                    "SELECT line FROM audit WHERE n > ?1 AND n <= ?2
                       AND instr(?3, ' ' || {TYPE} || ' ') > 0 ORDER BY n",
                ))?
                .query_map(params![after, last, wanted], text)?
                .collect::<Result<_, _>>()?;
            let parsed = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
            Ok(AuditSlice {
                last: Some(last),
                types,
                records: parsed.collect(),
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
                    "SELECT d.agent, COUNT(*), SUM(MAX(d.settled_at - e.time, 0)), MAX(MAX(d.settled_at - e.time, 0))
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
            let failed = connection
                .prepare_cached(&format!(
                    "SELECT d.agent, substr(COALESCE({ERROR}, 'no reason known'), 1, 200), COUNT(*)
                     FROM event e JOIN delivery d ON d.event = e.seq
                     WHERE e.seq >= ?1 AND e.seq <= ?2 AND e.time >= ?3 AND e.time < ?4 AND d.errors IS NOT NULL
                     GROUP BY 1, 2 ORDER BY 1, 2",
                ))?
                .query_map(place, |row| {
                    Ok(FailedBy {
                        agent: row.get(0)?,
                        error: row.get(1)?,
                        deliveries: row.get(2)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let fresh_ms = connection
                .prepare_cached(
                    "SELECT MAX(e.time - c.time, 0) FROM event e JOIN event c ON c.id = e.correlation
                     WHERE e.seq >= ?1 AND e.seq <= ?2 AND e.time >= ?3 AND e.time < ?4
                       AND e.type = 'index.updated' AND c.type = 'file.changed'",
                )?
                .query_map(place, |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            Ok(LedgerSlice {
                last: Some(last),
                times,
                failed,
                fresh_ms,
            })
        })
        .await
    }
}
