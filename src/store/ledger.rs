//! The ledger: events, and what each agent owes them. The outbox, the retry queue, the dead letters and the embedded bus.

use std::sync::Arc;
use std::time::Duration;

use super::sql::{self, Connection, Optional, Row, params};
use serde_json::{Value, json};

use super::batch::{Batch, Pruned};
use super::decode::stored_as_text;
use super::due::DueBy;
use super::leases::HoldToken;
use super::{WriteError, decode};
use crate::backoff::{Backoff, full_jitter};
use crate::event::{AgentName, Data, Event, EventId, EventType, Millis, NewEvent, Seq, Subject};

/// The longest text kept of one failed attempt, in bytes, and how many attempts are remembered.
const ERROR_BYTES_MAX: usize = 2048;
const ERRORS_MAX: usize = 10;

/// Which delivery, and what caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryKey {
    pub seq: Seq,
    pub agent: AgentName,
    pub event: EventId,
    /// The first event of its chain.
    pub correlation: EventId,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is still to be handled.
    Owed,
    /// It was handled, or dropped.
    Done,
    /// It failed for good.
    Dead,
}

stored_as_text! { DeliveryState, "delivery state":
    Owed = "owed",
    Done = "done",
    Dead = "dead",
}

/// How often a failed delivery is tried again, and when.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Attempts after the first; then the delivery is dead.
    pub max_retries: u32,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
}

impl RetryPolicy {
    /// How long to wait after failed attempt number `attempts` (from 1): exponential with full jitter;
    /// `jitter` is a random number from 0 to 1.
    fn backoff(&self, attempts: u32, jitter: f64) -> Duration {
        let backoff = Backoff::new(self.backoff_min, self.backoff_max);
        full_jitter(backoff.after(attempts), jitter)
    }
}

/// What became of an event that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedEvent {
    pub id: EventId,
    pub seq: Seq,
    /// False: it was known already, with the same content; nothing was written.
    pub fresh: bool,
}

/// What became of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Its outcome is applied.
    Done,
    /// It failed and is due again then.
    Retry(Millis),
    /// It failed for good.
    Dead,
}

/// The longest subject on PostgreSQL, in bytes: an entry of its indexes holds no more than 2,704.
pub(crate) const DATABASE_SUBJECT_MAX: usize = 2600;

/// Writes one event and its deliveries; a known id with the same content writes nothing.
pub(super) fn publish(
    connection: &Connection,
    event: &NewEvent,
    batch: &mut Batch,
    now: Millis,
) -> Result<PublishedEvent, WriteError> {
    let data = event.data.text();
    let bytes = data.len() + event.subject.as_str().len() + event.source.len() + 256;
    if bytes > batch.options().event_size {
        return Err(WriteError::TooLarge {
            bytes,
            max: batch.options().event_size,
        });
    }
    let subject = event.subject.as_str().len();
    if matches!(connection, Connection::Postgres(_)) && subject > DATABASE_SUBJECT_MAX {
        return Err(WriteError::Invalid(format!(
            "the subject has {subject} bytes, more than {DATABASE_SUBJECT_MAX}, which a store in PostgreSQL takes"
        )));
    }
    if !batch.ahead.takes_unpublished(event.id)
        && let Some(known) = known_already(connection, event)?
    {
        return Ok(known);
    }
    let seq = batch.next_seq();
    let mut insert = connection.prepare_cached(
        "INSERT INTO event (seq, id, type, source, subject, time, data, causation, correlation)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.defer(params![
        seq,
        event.id,
        event.kind,
        event.source,
        event.subject,
        now,
        data,
        event.causation,
        event.correlation.unwrap_or(event.id),
    ])?;
    let mut owe = connection.prepare_cached(
        "INSERT INTO delivery (event, agent, subject, state, due_at) VALUES (?1, ?2, ?3, 'owed', 0)",
    )?;
    for agent in event.kind.subscribers() {
        if batch.options().agents.contains(agent) {
            owe.defer(params![seq, agent, event.subject])?;
            let delta = batch.delta(*agent);
            delta.owed += 1;
            delta.fresh = true;
        }
    }
    let fix = match event.kind {
        EventType::FixApplied | EventType::FixFailed => event.data.get("fix"),
        _ => None,
    };
    let fix = fix.and_then(|fix| fix.as_str()).map(str::to_owned);
    batch.published.push((event.kind, fix));
    Ok(PublishedEvent {
        id: event.id,
        seq,
        fresh: true,
    })
}

/// The event of this id, if it stands in the ledger with the same content.
fn known_already(
    connection: &Connection,
    event: &NewEvent,
) -> Result<Option<PublishedEvent>, WriteError> {
    let mut select =
        connection.prepare_cached("SELECT seq, type, subject, data FROM event WHERE id = ?1")?;
    let stored = decode::of("event", |row| {
        let kind: EventType = row.get(1)?;
        Ok((row.get(0)?, kind, row.get(2)?, row.get(3)?))
    });
    let known: Option<(Seq, EventType, Subject, Data)> =
        select.query_row([event.id], stored).optional()?;
    let Some((seq, kind, subject, data)) = known else {
        return Ok(None);
    };
    let same = kind == event.kind && subject == event.subject && data == event.data;
    if same {
        Ok(Some(PublishedEvent {
            id: event.id,
            seq,
            fresh: false,
        }))
    } else {
        Err(WriteError::Conflict(event.id))
    }
}

/// Makes an incarnation the holder of a delivery, if it is owed and due, nobody has it or anything of its subject, and no older one
/// of its subject was never attempted. Gives the token.
pub(super) fn take(
    connection: &Connection,
    key: &DeliveryKey,
    subject: &Subject,
    incarnation: &Arc<str>,
    batch: &mut Batch,
) -> Result<Option<HoldToken>, WriteError> {
    let held = |token| HoldToken {
        incarnation: incarnation.clone(),
        token,
    };
    if let Some(token) = batch.ahead.take_token((key.seq, key.agent), subject) {
        connection
            .prepare_cached(
                "UPDATE delivery SET holder = ?3, token = ?4 WHERE event = ?1 AND agent = ?2",
            )?
            .defer(params![key.seq, key.agent, &**incarnation, token])?;
        return Ok(Some(held(token)));
    }
    let due = DueBy::new(batch.now, batch.options().retry.backoff_max);
    let mut update = connection.prepare_cached(
        "UPDATE delivery SET holder = ?4, token = token + 1
         WHERE event = ?1 AND agent = ?2 AND state = 'owed' AND holder IS NULL AND (due_at <= ?5 OR due_at > ?6)
           AND EXISTS (SELECT 1 FROM host WHERE incarnation = ?4 AND ended_at IS NULL)
           AND NOT EXISTS (SELECT 1 FROM delivery h WHERE h.agent = ?2 AND h.subject = ?3 AND h.holder IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.agent = ?2 AND o.subject = ?3 AND o.state = 'owed'
                           AND o.attempts = 0 AND o.event < ?1)
         RETURNING token",
    )?;
    let token = update
        .query_row(
            params![
                key.seq,
                key.agent,
                subject,
                &**incarnation,
                due.now,
                due.far
            ],
            |row| row.get(0),
        )
        .optional()?;
    if token.is_some() {
        batch.ahead.holds(key.agent, subject);
    }
    Ok(token.map(held))
}

/// Ends the hold of a flight, before anything else of its settlement.
///
/// # Errors
/// The flight was taken, and its hold is not current any more.
fn let_go(
    connection: &Connection,
    key: &DeliveryKey,
    hold: Option<&HoldToken>,
) -> Result<(), WriteError> {
    let Some(hold) = hold else { return Ok(()) };
    let let_go = connection
        .prepare_cached(
            "UPDATE delivery SET holder = NULL WHERE event = ?1 AND agent = ?2 AND holder = ?3 AND token = ?4",
        )?
        .execute(params![key.seq, key.agent, &*hold.incarnation, hold.token])?;
    match let_go {
        0 => Err(WriteError::Refused),
        _ => Ok(()),
    }
}

/// `owed → done`, and the end of its hold.
///
/// # Errors
/// The delivery is not owed, or its place is another event's after lost commits, or its flight was taken and its hold is not current any more.
pub(super) fn done(
    connection: &Connection,
    key: &DeliveryKey,
    hold: Option<&HoldToken>,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let attempts = match batch.ahead.take_owed((key.seq, key.agent), key.event) {
        Some(owed) => {
            if hold.is_some_and(|hold| !owed.is_held_by(hold)) {
                return Err(WriteError::Refused);
            }
            // It is owed until the commit, so nobody waits for the answer.
            let mut update = connection.prepare_cached(match hold {
                None => "UPDATE delivery SET state = 'done', settled_at = ?3 WHERE event = ?1 AND agent = ?2",
                Some(_) => {
                    "UPDATE delivery SET state = 'done', settled_at = ?3, holder = NULL WHERE event = ?1 AND agent = ?2"
                }
            })?;
            update.defer(params![key.seq, key.agent, now])?;
            owed.attempts
        }
        None => {
            let_go(connection, key, hold)?;
            let mut update = connection.prepare_cached(
                "UPDATE delivery SET state = 'done', settled_at = ?3
                 WHERE event = ?1 AND agent = ?2 AND state = 'owed'
                   AND EXISTS (SELECT 1 FROM event WHERE seq = ?1 AND id = ?4) RETURNING attempts",
            )?;
            let attempts: Option<u32> = update
                .query_row(
                    params![key.seq, key.agent, now, key.event],
                    decode::of("delivery", |row| row.get(0)),
                )
                .optional()?;
            attempts.ok_or(WriteError::Refused)?
        }
    };
    let delta = batch.delta(key.agent);
    delta.owed -= 1;
    delta.handled += 1;
    delta.retrying -= i64::from(attempts > 0);
    Ok(())
}

/// What the ledger has of a delivery that failed.
struct FailedRow {
    attempts: u32,
    deaths: u32,
    errors: Option<String>,
    subject: Subject,
}

/// Why an attempt failed.
pub(super) struct Failure<'a> {
    pub(super) error: &'a str,
    /// Another attempt would fail as well.
    pub(super) permanent: bool,
}

/// One failed attempt, and the end of its hold: due again later, or dead, and then `event.dead_lettered` is published with it.
pub(super) fn fail(
    connection: &Connection,
    key: &DeliveryKey,
    hold: Option<&HoldToken>,
    failure: Failure<'_>,
    batch: &mut Batch,
) -> Result<Settled, WriteError> {
    // What was read of it does not count any more.
    batch.ahead.take_owed((key.seq, key.agent), key.event);
    let_go(connection, key, hold)?;
    let Failure { error, permanent } = failure;
    let now = batch.now;
    let before = failed_row(connection, key)?.ok_or(WriteError::Refused)?;
    let attempt = before.attempts + 1;
    let errors = with_error(before.errors.as_deref(), attempt, error, now);
    let retry = batch.options().retry;
    let dead = permanent || attempt > retry.max_retries;
    let due_at = now.plus(retry.backoff(attempt, fastrand::f64()));
    let deaths = before.deaths + u32::from(dead);
    let state = match dead {
        true => DeliveryState::Dead,
        false => DeliveryState::Owed,
    };
    connection
        .prepare_cached(
            "UPDATE delivery SET state = ?3, attempts = ?4, due_at = ?5, errors = ?6, deaths = ?7, settled_at = ?8
             WHERE event = ?1 AND agent = ?2",
        )?
        .execute(params![
            key.seq,
            key.agent,
            state,
            attempt,
            due_at,
            errors.to_string(),
            deaths,
            dead.then_some(now),
        ])?;
    let delta = batch.delta(key.agent);
    delta.failed += 1;
    if !dead {
        delta.retrying += i64::from(before.attempts == 0);
        return Ok(Settled::Retry(due_at));
    }
    delta.owed -= 1;
    delta.dead += 1;
    delta.retrying -= i64::from(before.attempts > 0);
    let kind: EventType =
        connection.query_row("SELECT type FROM event WHERE seq = ?1", [key.seq], |row| {
            row.get(0)
        })?;
    connection.execute(
        "DELETE FROM suspect WHERE event = ?1 AND agent = ?2",
        params![key.event, key.agent],
    )?;
    // None for a delivery of such an event: no loops.
    if kind != EventType::EventDeadLettered {
        let death = death(key, kind, before.subject, deaths, &errors);
        publish(connection, &death, batch, now)?;
    }
    Ok(Settled::Dead)
}

/// The delivery that has failed, if it is owed.
fn failed_row(connection: &Connection, key: &DeliveryKey) -> sql::Result<Option<FailedRow>> {
    let mut select = connection.prepare_cached(
        "SELECT event, attempts, deaths, errors, subject FROM delivery WHERE event = ?1 AND agent = ?2 AND state = 'owed'
         AND EXISTS (SELECT 1 FROM event WHERE seq = ?1 AND id = ?3)",
    )?;
    let row = decode::of("delivery", |row| {
        Ok(FailedRow {
            attempts: row.get(1)?,
            deaths: row.get(2)?,
            errors: row.get(3)?,
            subject: row.get(4)?,
        })
    });
    select
        .query_row(params![key.seq, key.agent, key.event], row)
        .optional()
}

/// The event that tells of a delivery's death number `deaths`.
fn death(
    key: &DeliveryKey,
    kind: EventType,
    subject: Subject,
    deaths: u32,
    errors: &Value,
) -> NewEvent {
    let (event, agent) = (key.event.to_string(), key.agent.as_str());
    NewEvent {
        id: EventId::derived(&[&event, agent, "dead", &deaths.to_string()]),
        kind: EventType::EventDeadLettered,
        source: "store".to_owned(),
        subject,
        data: json!({"event": event, "agent": agent, "type": kind.as_str(),
                     "deaths": deaths, "errors": errors})
        .into(),
        causation: Some(key.event),
        correlation: Some(key.correlation),
    }
}

/// The error chain with one more entry; the oldest beyond [`ERRORS_MAX`] are dropped.
pub(super) fn with_error(chain: Option<&str>, attempt: u32, error: &str, now: Millis) -> Value {
    let mut chain: Vec<Value> = match chain.map(serde_json::from_str) {
        None => Vec::new(),
        Some(Ok(entries)) => entries,
        Some(Err(error)) => {
            vec![json!({"error": format!("earlier errors cannot be read: {error}")})]
        }
    };
    let mut end = error.len().min(ERROR_BYTES_MAX);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    chain.push(json!({"attempt": attempt, "at": now.to_string(), "error": &error[..end]}));
    let surplus = chain.len().saturating_sub(ERRORS_MAX);
    chain.drain(..surplus);
    Value::Array(chain)
}

/// Removes up to `slice` of the oldest events from `from` upwards whose deliveries are all done and that are older than
/// `before` or below `floor`. Without a next slice nothing more can be pruned now.
pub(super) fn prune(
    connection: &Connection,
    from: Seq,
    before: Millis,
    floor: Seq,
    slice: usize,
) -> Result<Pruned, WriteError> {
    // Bounded whatever the ledger holds: the slice ends at the first event that is still to be kept. Where a clock that
    // jumped back has put an older one behind it, that one goes when its predecessor does.
    let mut select = connection.prepare_cached(
        "SELECT seq, time < ?2 OR seq < ?3,
                EXISTS (SELECT 1 FROM delivery d WHERE d.event = event.seq AND d.state <> 'done')
         FROM event WHERE seq >= ?1 ORDER BY seq LIMIT ?4",
    )?;
    let mut rows: Vec<(Seq, bool)> = Vec::new();
    let mut found = select.query(params![from, before, floor, slice])?;
    while let Some(row) = found.next()? {
        if !row.get::<bool>(1)? {
            break;
        }
        rows.push((row.get(0)?, row.get(2)?));
    }
    drop(found);
    let mut gone = 0;
    for (seq, open) in &rows {
        if !open {
            connection
                .prepare_cached("DELETE FROM delivery WHERE event = ?1")?
                .execute([seq])?;
            connection
                .prepare_cached("DELETE FROM event WHERE seq = ?1")?
                .execute([seq])?;
            gone += 1;
        }
    }
    let next = rows.last().filter(|_| rows.len() == slice);
    let next = next.map(|(seq, _)| Seq(seq.0 + 1));
    Ok(Pruned { gone, next })
}

/// An event from a row of the nine columns in the order of the table.
pub(super) fn event_row(row: &Row<'_>) -> sql::Result<Event> {
    let event = |row: &Row<'_>| {
        Ok(Event {
            seq: row.get(0)?,
            id: row.get(1)?,
            kind: row.get(2)?,
            source: row.get(3)?,
            subject: row.get(4)?,
            time: row.get(5)?,
            data: row.get(6)?,
            causation: row.get(7)?,
            correlation: row.get(8)?,
        })
    };
    decode::of("event", event)(row)
}

/// The columns of an event in the order that [`event_row`] reads.
pub(super) const EVENT_COLUMNS: &str =
    "e.seq, e.id, e.type, e.source, e.subject, e.time, e.data, e.causation, e.correlation";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_bound_and_jitter_only_shortens_it() {
        let policy = RetryPolicy {
            max_retries: 3,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(10),
        };
        let full: Vec<u64> = (1..7).map(|n| policy.backoff(n, 1.0).as_secs()).collect();
        assert_eq!(full, [1, 2, 4, 8, 10, 10]);
        assert_eq!(policy.backoff(5, 0.0), Duration::ZERO);
        assert_eq!(policy.backoff(u32::MAX, 1.0), Duration::from_secs(10));
    }

    #[test]
    fn the_error_chain_keeps_the_newest_and_cuts_long_texts() {
        let mut chain = None;
        for attempt in 1..=12 {
            let next = with_error(chain.as_deref(), attempt, &"ä".repeat(3000), Millis(0));
            chain = Some(next.to_string());
        }
        let entries: Vec<Value> = serde_json::from_str(&chain.unwrap()).unwrap();
        assert_eq!(entries.len(), ERRORS_MAX);
        assert_eq!(entries[0]["attempt"], 3);
        assert_eq!(entries[0]["error"].as_str().unwrap().len(), ERROR_BYTES_MAX);
    }
}
