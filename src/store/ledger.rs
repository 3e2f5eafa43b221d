//! The ledger: events, and what each agent owes them. The outbox, the retry queue, the dead letters and the embedded bus.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::writer::Batch;
use super::{WriteError, decode};
use crate::event::{AgentName, Data, Event, EventId, EventType, Millis, NewEvent, Seq, Subject};

/// The longest text kept of one failed attempt, in bytes, and how many attempts are remembered.
const ERROR_BYTES_MAX: usize = 2048;
const ERRORS_MAX: usize = 10;

/// Which delivery, and what caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryKey {
    /// The event's place.
    pub seq: Seq,
    /// Who owes it.
    pub agent: AgentName,
    /// The event's id.
    pub event: EventId,
    /// The first event of its chain.
    pub correlation: EventId,
}

/// How often a failed delivery is tried again, and when.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Attempts after the first; then the delivery is dead.
    pub max_retries: u32,
    /// The first backoff.
    pub backoff_min: Duration,
    /// The longest backoff.
    pub backoff_max: Duration,
}

impl RetryPolicy {
    /// How long to wait after failed attempt number `attempts` (from 1): exponential with full jitter;
    /// `jitter` is a random number from 0 to 1.
    fn backoff(&self, attempts: u32, jitter: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(30);
        let ceiling = self
            .backoff_min
            .saturating_mul(1 << doublings)
            .min(self.backoff_max);
        ceiling.mul_f64(jitter)
    }
}

/// What became of an event that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: EventId,
    /// Its place.
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

/// Writes one event and its deliveries; a known id with the same content writes nothing.
pub(super) fn publish(
    connection: &Connection,
    event: &NewEvent,
    batch: &mut Batch,
    now: Millis,
) -> Result<Published, WriteError> {
    let data = event.data.text();
    let bytes = data.len() + event.subject.as_str().len() + event.source.len() + 256;
    if bytes > batch.options().event_size {
        return Err(WriteError::TooLarge {
            bytes,
            max: batch.options().event_size,
        });
    }
    if let Some(known) = known_already(connection, event)? {
        return Ok(known);
    }
    let seq = batch.next_seq();
    let mut insert = connection.prepare_cached(
        "INSERT INTO event (seq, id, type, source, subject, time, data, causation, correlation)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.execute(params![
        seq.0,
        event.id.to_string(),
        event.kind.as_str(),
        event.source,
        event.subject.as_str(),
        now.0,
        data,
        event.causation.map(|id| id.to_string()),
        event.correlation.unwrap_or(event.id).to_string(),
    ])?;
    let mut owe = connection.prepare_cached(
        "INSERT INTO delivery (event, agent, subject, state, due_at) VALUES (?1, ?2, ?3, 'owed', 0)",
    )?;
    for agent in event.kind.subscribers() {
        if batch.options().agents.contains(agent) {
            owe.execute(params![seq.0, agent.as_str(), event.subject.as_str()])?;
            let delta = batch.delta(*agent);
            delta.owed += 1;
            delta.fresh = true;
        }
    }
    Ok(Published {
        id: event.id,
        seq,
        fresh: true,
    })
}

/// The event of this id, if it stands in the ledger with the same content.
fn known_already(
    connection: &Connection,
    event: &NewEvent,
) -> Result<Option<Published>, WriteError> {
    let mut select =
        connection.prepare_cached("SELECT seq, type, subject, data FROM event WHERE id = ?1")?;
    let stored = decode::of("event", |row| {
        let kind: EventType = row.get(1)?;
        Ok((row.get(0)?, kind, row.get(2)?, row.get(3)?))
    });
    let known: Option<(Seq, EventType, Subject, Data)> = select
        .query_row([event.id.to_string()], stored)
        .optional()?;
    let Some((seq, kind, subject, data)) = known else {
        return Ok(None);
    };
    let same = kind == event.kind && subject == event.subject && data == event.data;
    if same {
        Ok(Some(Published {
            id: event.id,
            seq,
            fresh: false,
        }))
    } else {
        Err(WriteError::Conflict(event.id))
    }
}

/// `owed → done`; refused if the delivery is not owed.
pub(super) fn done(
    connection: &Connection,
    key: &DeliveryKey,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let mut update = connection.prepare_cached(
        "UPDATE delivery SET state = 'done', settled_at = ?3
         WHERE event = ?1 AND agent = ?2 AND state = 'owed' RETURNING attempts",
    )?;
    let attempts: Option<u32> = update
        .query_row(
            params![key.seq.0, key.agent.as_str(), now.0],
            decode::of("delivery", |row| row.get(0)),
        )
        .optional()?;
    let Some(attempts) = attempts else {
        return Err(WriteError::Refused);
    };
    let delta = batch.delta(key.agent);
    delta.owed -= 1;
    delta.handled += 1;
    delta.retrying -= i64::from(attempts > 0);
    Ok(())
}

/// One failed attempt: due again later, or dead, and then `event.dead_lettered` is published with it.
pub(super) fn fail(
    connection: &Connection,
    key: &DeliveryKey,
    (error, permanent): (&str, bool),
    batch: &mut Batch,
    now: Millis,
) -> Result<Settled, WriteError> {
    let mut select = connection.prepare_cached(
        "SELECT event, attempts, deaths, errors, subject FROM delivery WHERE event = ?1 AND agent = ?2 AND state = 'owed'",
    )?;
    let row = decode::of("delivery", |row| {
        Ok((
            row.get::<_, u32>(1)?,
            row.get::<_, u32>(2)?,
            row.get::<_, Option<String>>(3)?,
            row.get::<_, String>(4)?,
        ))
    });
    let found = select
        .query_row(params![key.seq.0, key.agent.as_str()], row)
        .optional()?;
    let Some((attempts, deaths, errors, subject)) = found else {
        return Err(WriteError::Refused);
    };
    let tried = attempts + 1;
    let errors = with_note(errors.as_deref(), (tried, error), now);
    let retry = batch.options().retry;
    let dead = permanent || tried > retry.max_retries;
    let due_at = now.plus(retry.backoff(tried, fastrand::f64()));
    let mut update = connection.prepare_cached(
        "UPDATE delivery SET state = ?3, attempts = ?4, due_at = ?5, errors = ?6, deaths = ?7, settled_at = ?8
         WHERE event = ?1 AND agent = ?2",
    )?;
    update.execute(params![
        key.seq.0,
        key.agent.as_str(),
        if dead { "dead" } else { "owed" },
        tried,
        due_at.0,
        errors.to_string(),
        deaths + u32::from(dead),
        dead.then_some(now.0),
    ])?;
    let delta = batch.delta(key.agent);
    delta.failed += 1;
    if !dead {
        delta.retrying += i64::from(attempts == 0);
        return Ok(Settled::Retry(due_at));
    }
    delta.owed -= 1;
    delta.dead += 1;
    delta.retrying -= i64::from(attempts > 0);
    tell_death(connection, key, (&subject, deaths + 1, &errors), batch, now)?;
    Ok(Settled::Dead)
}

/// Publishes `event.dead_lettered`, except for a delivery of such an event: no loops.
fn tell_death(
    connection: &Connection,
    key: &DeliveryKey,
    (subject, deaths, errors): (&str, u32, &Value),
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let kind: String = connection.query_row(
        "SELECT type FROM event WHERE seq = ?1",
        [key.seq.0],
        |row| row.get(0),
    )?;
    if kind == EventType::EventDeadLettered.as_str() {
        return Ok(());
    }
    let event = NewEvent {
        id: EventId::derived(&[
            &key.event.to_string(),
            key.agent.as_str(),
            "dead",
            &deaths.to_string(),
        ]),
        kind: EventType::EventDeadLettered,
        source: "store".to_owned(),
        subject: Subject::parse(subject).map_err(|e| WriteError::Invalid(e.to_string()))?,
        data: json!({"event": key.event.to_string(), "agent": key.agent.as_str(), "type": kind,
                     "deaths": deaths, "errors": errors})
        .into(),
        causation: Some(key.event),
        correlation: Some(key.correlation),
    };
    publish(connection, &event, batch, now).map(|_| ())
}

/// The error chain with one more entry; the oldest beyond [`ERRORS_MAX`] are dropped.
pub(super) fn with_note(chain: Option<&str>, (attempt, error): (u32, &str), now: Millis) -> Value {
    let mut chain: Vec<Value> = match chain.map(serde_json::from_str) {
        None => Vec::new(),
        Some(Ok(entries)) => entries,
        Some(Err(error)) => {
            vec![json!({"error": format!("earlier notes cannot be read: {error}")})]
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
/// `before` or below `floor`. Gives how many are gone and where to go on (`None`: nothing more is prunable now).
pub(super) fn prune(
    connection: &Connection,
    from: Seq,
    (before, floor): (Millis, Seq),
    slice: usize,
) -> Result<(usize, Option<Seq>), WriteError> {
    // Bounded whatever the ledger holds: the slice ends at the first event that is still to be kept. Where a clock that
    // jumped back has put an older one behind it, that one goes when its predecessor does.
    let mut select = connection.prepare_cached(
        "SELECT seq, time < ?2 OR seq < ?3,
                EXISTS (SELECT 1 FROM delivery d WHERE d.event = event.seq AND d.state <> 'done')
         FROM event WHERE seq >= ?1 ORDER BY seq LIMIT ?4",
    )?;
    let mut rows: Vec<(u64, bool)> = Vec::new();
    let mut found = select.query(params![from.0, before.0, floor.0, slice])?;
    while let Some(row) = found.next()? {
        if !row.get::<_, bool>(1)? {
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
    Ok((gone, next.map(|(seq, _)| Seq(seq + 1))))
}

/// An event from a row of the nine columns in the order of the table.
pub(super) fn event_row(row: &Row<'_>) -> rusqlite::Result<Event> {
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
            let next = with_note(chain.as_deref(), (attempt, &"ä".repeat(3000)), Millis(0));
            chain = Some(next.to_string());
        }
        let entries: Vec<Value> = serde_json::from_str(&chain.unwrap()).unwrap();
        assert_eq!(entries.len(), ERRORS_MAX);
        assert_eq!(entries[0]["attempt"], 3);
        assert_eq!(entries[0]["error"].as_str().unwrap().len(), ERROR_BYTES_MAX);
    }
}
