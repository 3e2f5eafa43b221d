//! Looking for events and audit records of the past: newest first, a bounded slice in each call, over the keys alone.
//!
//! Whoever goes through all of a large ledger sees after each slice how far that has come, and decides whether it goes on.

use super::sql::{self, Connection, Optional, params};
use serde_json::Value;

use super::audit::AuditLine;
use super::events::{DeliveryView, deliveries_of};
use super::ledger::{EVENT_COLUMNS, event_row};
use super::{ReadError, Store, decode};
use crate::event::{Event, EventId, EventType, Millis};
use crate::json;

/// Rows that one slice looks at.
const SLICE: u64 = 10_000;

/// Above every key.
const TOP: u64 = i64::MAX.unsigned_abs();

/// The part of the past that is looked through, from its newest end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// Only what is from then on.
    pub since: Option<Millis>,
    /// Only what is not after it.
    pub until: Option<Millis>,
    /// Only what stands before this key: where the next slice goes on.
    pub before: Option<u64>,
}

/// Which events are looked for. A text is a part of what it is compared with.
#[derive(Debug, Clone, Default)]
pub struct EventSearch {
    pub kind: Option<EventType>,
    pub subject: Option<String>,
    /// A part of an error of a delivery, in letters of either case.
    pub error: Option<String>,
}

/// Which audit records are looked for. A text is a part of what it is compared with.
#[derive(Debug, Clone, Default)]
pub struct AuditSearch {
    /// The id of the event.
    pub event: Option<String>,
    /// The whole type.
    pub kind: Option<String>,
    pub subject: Option<String>,
    /// A part of the data, such as an error, in letters of either case.
    pub data: Option<String>,
}

/// What a slice has.
#[derive(Debug)]
pub struct PastSlice<T> {
    pub rows: Vec<T>,
    /// Up to which row was looked; `None`: there is nothing before it.
    pub next: Option<PastRow>,
}

/// A row of the past by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastRow {
    pub key: u64,
    pub time: Millis,
}

/// An event with what each agent owes it.
#[derive(Debug)]
pub struct PastEvent {
    pub event: Event,
    pub deliveries: Vec<DeliveryView>,
}

/// An audit record, and when it was written.
#[derive(Debug)]
pub struct PastRecord {
    pub line: AuditLine,
    pub at: Millis,
}

/// A table whose rows get rising keys in the course of time.
#[derive(Debug, Clone, Copy)]
enum Log {
    Events,
    Audit,
}

impl Log {
    /// The newest row whose key is at most `key`.
    fn at(self, connection: &Connection, key: u64) -> sql::Result<Option<PastRow>> {
        let sql = match self {
            Log::Events => "SELECT seq, time FROM event WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1",
            Log::Audit => "SELECT n, at FROM audit WHERE n <= ?1 ORDER BY n DESC LIMIT 1",
        };
        let row = |row: &sql::Row<'_>| {
            Ok(PastRow {
                key: row.get(0)?,
                time: row.get(1)?,
            })
        };
        connection
            .prepare_cached(sql)?
            .query_row([key], row)
            .optional()
    }

    /// The key of the newest row that is from `moment` or before it; 0: there is none. By halving, as times rise with keys:
    /// where the clock was set back it is a key near by.
    fn key_at(self, connection: &Connection, moment: Millis) -> sql::Result<u64> {
        let (mut low, mut high) = (0, self.at(connection, TOP)?.map_or(0, |newest| newest.key));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.at(connection, middle)? {
                Some(row) if row.time > moment => high = row.key.saturating_sub(1).max(low),
                _ => low = middle,
            }
        }
        Ok(low)
    }

    /// The rows of a span that are looked at next, from the oldest to the newest; `None`: there are none left.
    fn slice(self, connection: &Connection, span: Span) -> sql::Result<Option<KeySlice>> {
        let mut before = span.before.unwrap_or(TOP);
        if let Some(until) = span.until {
            before = before.min(self.key_at(connection, until)? + 1);
        }
        let after = match span.since {
            Some(since) => self.key_at(connection, Millis(since.0.saturating_sub(1)))?,
            None => 0,
        };
        let sql = match self {
            Log::Events => {
                "SELECT MIN(seq), COUNT(*) FROM (SELECT seq FROM event WHERE seq < ?1 AND seq > ?2 ORDER BY seq DESC LIMIT ?3) slice"
            }
            Log::Audit => {
                "SELECT MIN(n), COUNT(*) FROM (SELECT n FROM audit WHERE n < ?1 AND n > ?2 ORDER BY n DESC LIMIT ?3) slice"
            }
        };
        let found = |row: &sql::Row<'_>| Ok((row.get::<Option<u64>>(0)?, row.get(1)?));
        let (oldest, count): (Option<u64>, u64) = connection
            .prepare_cached(sql)?
            .query_row(params![before, after, SLICE], found)?;
        Ok(oldest.map(|oldest| KeySlice {
            oldest,
            before,
            is_last: count < SLICE,
        }))
    }
}

/// The keys of a slice.
#[derive(Debug, Clone, Copy)]
struct KeySlice {
    oldest: u64,
    /// They are below it.
    before: u64,
    is_last: bool,
}

impl KeySlice {
    /// Where it goes on after this slice gave rows of which `last` is the oldest.
    fn next(
        self,
        connection: &Connection,
        log: Log,
        last: Option<u64>,
    ) -> sql::Result<Option<PastRow>> {
        match last {
            Some(last) => log.at(connection, last),
            None if self.is_last => Ok(None),
            None => log.at(connection, self.oldest),
        }
    }
}

/// A text as it stands within a string of the store's JSON.
fn within_json(text: &str) -> String {
    let quoted = json::to_string(&text).unwrap_or_default();
    let inner = quoted.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// The same for a text that is looked for in letters of either case.
fn folded(text: &str) -> String {
    within_json(text).to_ascii_lowercase()
}

impl Store {
    /// The next slice of the events of a span that are looked for, at most `limit` of them.
    pub async fn search_events(
        &self,
        wanted: EventSearch,
        span: Span,
        limit: usize,
    ) -> Result<PastSlice<PastEvent>, ReadError> {
        self.read("events that are looked for", move |connection| {
            let Some(slice) = Log::Events.slice(connection, span)? else {
                return Ok(PastSlice { rows: Vec::new(), next: None });
            };
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e WHERE e.seq >= ?1 AND e.seq < ?2
                   AND (CAST(?3 AS TEXT) IS NULL OR e.type = ?3) AND (CAST(?4 AS TEXT) IS NULL OR instr(e.subject, ?4) > 0)
                   AND (CAST(?5 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM delivery d WHERE d.event = e.seq AND instr(lower(d.errors), ?5) > 0))
                 ORDER BY e.seq DESC LIMIT ?6"
            );
            let error = wanted.error.as_deref().map(folded);
            let of = params![slice.oldest, slice.before, wanted.kind, wanted.subject, error, limit];
            let found = connection.prepare_cached(&sql)?.query_map(of, event_row)?.collect::<sql::Result<Vec<_>>>()?;
            let mut rows = Vec::with_capacity(found.len());
            for event in found {
                let deliveries = deliveries_of(connection, event.seq)?;
                rows.push(PastEvent { event, deliveries });
            }
            let last = rows.last().map(|row| row.event.seq.0);
            let next = slice.next(connection, Log::Events, last)?;
            Ok(PastSlice { rows, next })
        })
        .await
    }

    /// The next slice of the audit records of a span that are looked for, at most `limit` of them.
    pub async fn search_audit(
        &self,
        wanted: AuditSearch,
        span: Span,
        limit: usize,
    ) -> Result<PastSlice<PastRecord>, ReadError> {
        self.read("audit records that are looked for", move |connection| {
            if let Some(record) = record_of(connection, wanted.event.as_deref())? {
                let rows = Vec::from_iter(Some(record).filter(|r| matches(&r.line.line, &wanted)));
                return Ok(PastSlice { rows, next: None });
            }
            let Some(slice) = Log::Audit.slice(connection, span)? else {
                return Ok(PastSlice { rows: Vec::new(), next: None });
            };
            // What cannot be a match is left out before it is read as JSON.
            let kind = wanted.kind.as_deref().map(|kind| format!("\"type\":\"{}\"", within_json(kind)));
            let texts = [wanted.event.as_deref(), wanted.subject.as_deref()].map(|text| text.map(within_json));
            let data = wanted.data.as_deref().map(folded);
            let mut select = connection.prepare_cached(
                "SELECT n, line, hash, at FROM audit WHERE n >= ?1 AND n < ?2 AND (CAST(?3 AS TEXT) IS NULL OR instr(line, ?3) > 0)
                   AND (CAST(?4 AS TEXT) IS NULL OR instr(line, ?4) > 0) AND (CAST(?5 AS TEXT) IS NULL OR instr(line, ?5) > 0)
                   AND (CAST(?6 AS TEXT) IS NULL OR instr(lower(line), ?6) > 0) ORDER BY n DESC",
            )?;
            let found = select.query_map(params![slice.oldest, slice.before, kind, texts[0], texts[1], data], record)?;
            let mut rows = Vec::new();
            for found in found {
                let found = found?;
                if rows.len() < limit && matches(&found.line.line, &wanted) {
                    rows.push(found);
                }
                if rows.len() == limit {
                    break;
                }
            }
            let last = rows.last().map(|row| row.line.n);
            let next = slice.next(connection, Log::Audit, last)?;
            Ok(PastSlice { rows, next })
        })
        .await
    }
}

fn record(row: &sql::Row<'_>) -> sql::Result<PastRecord> {
    let record = |row: &sql::Row<'_>| {
        Ok(PastRecord {
            line: AuditLine {
                n: row.get(0)?,
                line: row.get(1)?,
                hash: row.get(2)?,
            },
            at: row.get(3)?,
        })
    };
    decode::of("audit", record)(row)
}

/// The record of an event that is still in the ledger, which is found without looking.
fn record_of(connection: &Connection, id: Option<&str>) -> sql::Result<Option<PastRecord>> {
    let Some(id) = id.and_then(|id| id.parse::<EventId>().ok()) else {
        return Ok(None);
    };
    connection
        .prepare_cached(
            "SELECT n, line, hash, at FROM audit WHERE event = (SELECT seq FROM event WHERE id = ?1)",
        )?
        .query_row([id], record)
        .optional()
}

fn matches(line: &str, wanted: &AuditSearch) -> bool {
    let Ok(record) = serde_json::from_str::<Value>(line) else {
        // A line that somebody has changed is shown: it is what an audit log is for.
        return true;
    };
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let has = |key: &str, part: &Option<String>| {
        part.as_deref().is_none_or(|part| text(key).contains(part))
    };
    has("event", &wanted.event)
        && has("subject", &wanted.subject)
        && wanted
            .kind
            .as_deref()
            .is_none_or(|kind| text("type") == kind)
        && wanted.data.as_deref().is_none_or(|part| {
            let data = record["data"].to_string().to_ascii_lowercase();
            data.contains(&folded(part))
        })
}
