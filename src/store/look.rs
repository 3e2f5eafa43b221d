//! What the runner and the operator ask the ledger.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::ledger::{DeliveryKey, EVENT_COLUMNS, event_row};
use super::readers::page;
use super::{ReadError, Shared, Store, decode};
use crate::event::{AgentName, Event, EventId, EventType, Millis, Seq, Subject};

/// A delivery that may be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedRow {
    /// The event's place.
    pub seq: Seq,
    /// What the event is about.
    pub subject: Subject,
    /// When it is due; 0 for a first attempt.
    pub due_at: Millis,
}

/// What the ledger says of a delivery that was offered.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Unknown, done or dead: nothing is owed.
    Settled,
    /// Owed, but due later.
    NotDue,
    /// Its row, or that of the oldest of its subject, cannot be read: nobody can handle it. With its subject, if that can.
    Damaged(Option<Subject>),
    /// Owed and due. The oldest delivery of its subject that is owed and due is the one to handle.
    Due {
        /// The event of the oldest.
        oldest: Box<Event>,
        /// Failed attempts of the oldest.
        attempts: u32,
    },
}

/// The answer to one offer.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The delivery that was offered.
    pub seq: Seq,
    /// What is true of it.
    pub verdict: Verdict,
}

impl Event {
    /// The key of the delivery that `agent` owes this event.
    pub fn key(&self, agent: AgentName) -> DeliveryKey {
        DeliveryKey {
            seq: self.seq,
            agent,
            event: self.id,
            correlation: self.correlation,
        }
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The event's place.
    pub seq: Seq,
    /// The event.
    pub event: EventId,
    /// Who could not handle it.
    pub agent: AgentName,
    /// Its type.
    pub kind: EventType,
    /// Its subject.
    pub subject: Subject,
    /// Attempts that failed.
    pub attempts: u32,
    /// The error chain, oldest first.
    pub errors: Value,
    /// When it died.
    pub at: Millis,
}

/// One delivery of an event, for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryView {
    /// Who owes it.
    pub agent: AgentName,
    /// `owed`, `done` or `dead`.
    pub state: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// The error chain.
    pub errors: Value,
    /// When it was settled.
    pub settled_at: Option<Millis>,
}

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this subject.
    pub subject: Option<String>,
    /// Only of this type.
    pub kind: Option<EventType>,
    /// Only of this chain.
    pub correlation: Option<EventId>,
    /// Only from then on.
    pub since: Option<Millis>,
    /// Only those before this place: where the next page goes on.
    pub before: Option<Seq>,
    /// At most so many.
    pub limit: usize,
}

impl Store {
    /// First attempts that `agent` owes, from the one after `cursor` upwards, in ledger order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn first_attempts(
        &self,
        agent: AgentName,
        cursor: Seq,
        limit: usize,
    ) -> Result<Vec<OwedRow>, ReadError> {
        let shared = self.shared.clone();
        self.read("what is owed", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT event, subject, 0 FROM delivery
                 WHERE agent = ?1 AND state = 'owed' AND attempts = 0 AND event > ?2 ORDER BY event LIMIT ?3",
            )?;
            let rows =
                select.query_map(params![agent.as_str(), cursor.0, limit], owed_row)?;
            sound(rows, &shared)
        })
        .await
    }

    /// Retries that are due at `now`, from the one after `from` upwards in the order of their moments. One that is due
    /// further off than `backoff_max` is due now: the clock jumped back.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn ripe_retries(
        &self,
        agent: AgentName,
        from: (Millis, Seq),
        (now, backoff_max): (Millis, std::time::Duration),
        limit: usize,
    ) -> Result<Vec<OwedRow>, ReadError> {
        let far = now.plus(backoff_max);
        let shared = self.shared.clone();
        self.read("retries", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT event, subject, due_at FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0
                   AND (due_at > ?2 OR (due_at = ?2 AND event > ?3)) AND (due_at <= ?4 OR due_at > ?5)
                 ORDER BY due_at, event LIMIT ?6",
            )?;
            let of = params![agent.as_str(), from.0.0, from.1.0, now.0, far.0, limit];
            sound(select.query_map(of, owed_row)?, &shared)
        })
        .await
    }

    /// When the next retry of `agent` after `now` is due.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next_retry(
        &self,
        agent: AgentName,
        now: Millis,
    ) -> Result<Option<Millis>, ReadError> {
        self.read("the next retry", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT MIN(due_at) FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0 AND due_at > ?2",
            )?;
            let due: Option<i64> = select.query_row(params![agent.as_str(), now.0], |row| row.get(0))?;
            Ok(due.map(Millis))
        })
        .await
    }

    /// Of each subject the oldest deliveries that are owed to `agent` and due, at most `each` of them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next_of_subjects(
        &self,
        agent: AgentName,
        (subjects, each): (Vec<Subject>, usize),
        (now, backoff_max): (Millis, std::time::Duration),
    ) -> Result<Vec<OwedRow>, ReadError> {
        let far = now.plus(backoff_max);
        self.read("what is owed of a subject", move |connection| {
            let mut rows = Vec::new();
            for subject in subjects {
                let seqs = oldest_due(connection, agent, (&subject, each), (now, far))?;
                rows.extend(seqs.into_iter().map(|seq| OwedRow {
                    seq,
                    subject: subject.clone(),
                    due_at: Millis(0),
                }));
            }
            Ok(rows)
        })
        .await
    }

    /// Answers offers: what the ledger says of each delivery, in one read transaction. Of one that is
    /// damaged [`Store::standing`] tells.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn look(
        &self,
        agent: AgentName,
        offered: Vec<Seq>,
        (now, backoff_max): (Millis, std::time::Duration),
    ) -> Result<Vec<Look>, ReadError> {
        let far = now.plus(backoff_max);
        let shared = self.shared.clone();
        self.read("deliveries that were offered", move |connection| {
            let look = |seq| {
                let verdict = match look_at(connection, agent, seq, (now, far)) {
                    Ok(verdict) => verdict,
                    Err(error) => {
                        let damage = decode::damage(&error).ok_or(error)?;
                        shared.set_damage(&damage);
                        Verdict::Damaged(subject_of(connection, agent, seq))
                    }
                };
                Ok(Look { seq, verdict })
            };
            offered.into_iter().map(look).collect()
        })
        .await
    }

    /// When the oldest event that `agent` owes was published.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn oldest_owed(&self, agent: AgentName) -> Result<Option<Millis>, ReadError> {
        self.read("the oldest that is owed", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT MIN(time) FROM event WHERE seq IN (
                   SELECT MIN(event) FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts = 0
                   UNION ALL SELECT MIN(event) FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0)",
            )?;
            let time: Option<i64> = select.query_row([agent.as_str()], |row| row.get(0))?;
            Ok(time.map(Millis))
        })
        .await
    }

    /// Whether `agent` owes anything up to `seq`, and which delivery up to it is dead with no later done one of its
    /// subject that has made up for it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn owes_up_to(
        &self,
        agent: AgentName,
        seq: Seq,
    ) -> Result<(bool, Option<DeadLetter>), ReadError> {
        self.read("what is owed up to an event", move |connection| {
            let owes: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts = 0 AND event <= ?2)
                     OR EXISTS (SELECT 1 FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0 AND event <= ?2)",
                params![agent.as_str(), seq.0],
                |row| row.get(0),
            )?;
            let sql = format!(
                "{DEAD_SELECT} WHERE d.agent = ?1 AND d.state = 'dead' AND d.event <= ?2
                   AND NOT EXISTS (SELECT 1 FROM delivery later JOIN event le ON le.seq = later.event
                                   WHERE later.agent = d.agent AND later.subject = d.subject
                                     AND later.event > d.event AND later.state = 'done')
                 ORDER BY d.event LIMIT 1"
            );
            let dead = connection
                .query_row(&sql, params![agent.as_str(), seq.0], dead_row)
                .optional()?;
            Ok((owes, dead))
        })
        .await
    }

    /// A page of dead letters, oldest first, at most `limit` from the one after `after` on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn dead_letters(
        &self,
        after: Option<(Seq, AgentName)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        self.read("dead letters", move |connection| {
            let sql = format!(
                "{DEAD_SELECT} WHERE d.state = 'dead' AND (d.event, d.agent) > (?1, ?2) ORDER BY d.event, d.agent LIMIT ?3"
            );
            let (seq, agent) = after.map_or((0, ""), |(seq, agent)| (seq.0, agent.as_str()));
            let mut select = connection.prepare_cached(&sql)?;
            page(select.query(params![seq, agent, limit])?, dead_row)
        })
        .await
    }

    /// A page of events, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<Event>, ReadError> {
        self.read("events", move |connection| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e
                 WHERE (?1 IS NULL OR e.subject = ?1) AND (?2 IS NULL OR e.type = ?2)
                   AND (?3 IS NULL OR e.correlation = ?3) AND (?4 IS NULL OR e.time >= ?4)
                   AND (?5 IS NULL OR e.seq < ?5)
                 ORDER BY e.seq DESC LIMIT ?6"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let rows = select.query(params![
                filter.subject,
                filter.kind.map(EventType::as_str),
                filter.correlation.map(|id| id.to_string()),
                filter.since.map(|m| m.0),
                filter.before.map(|seq| seq.0),
                filter.limit
            ])?;
            page(rows, event_row)
        })
        .await
    }

    /// A page of events after `cursor` in ledger order: what `tail` follows.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_after(&self, cursor: Seq, limit: usize) -> Result<Vec<Event>, ReadError> {
        self.read("events", move |connection| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2"
            );
            let mut select = connection.prepare_cached(&sql)?;
            page(select.query(params![cursor.0, limit])?, event_row)
        })
        .await
    }

    /// The effects that the agent `test` has left: (event, attempt).
    ///
    /// # Errors
    /// The store cannot be read.
    #[cfg(feature = "testing")]
    pub async fn test_effects(&self) -> Result<Vec<(u64, u32)>, ReadError> {
        self.read("what the agent test has done", move |connection| {
            connection
                .prepare("SELECT event, attempt FROM test_effect ORDER BY event, attempt")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .await
    }

    /// The events whose ids begin or end with `part`, the newest first, at most so many.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_named(&self, part: String, limit: usize) -> Result<Vec<Event>, ReadError> {
        self.read("events by a part of their ids", move |connection| {
            // Digits of ids and dashes come before `g`; the beginning is looked up in the index, the end is not.
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e
                 WHERE (e.id >= ?1 AND e.id < ?1 || 'g') OR substr(e.id, -length(?1)) = ?1
                 ORDER BY e.seq DESC LIMIT ?2"
            );
            connection
                .prepare_cached(&sql)?
                .query_map(params![part, limit], event_row)?
                .collect()
        })
        .await
    }

    /// One event with its deliveries and a page of what it caused.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn event(
        &self,
        id: EventId,
    ) -> Result<Option<(Event, Vec<DeliveryView>, Vec<Event>)>, ReadError> {
        self.read("an event", move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.id = ?1");
            let Some(event) = connection
                .query_row(&sql, [id.to_string()], event_row)
                .optional()?
            else {
                return Ok(None);
            };
            let deliveries = deliveries_of(connection, event.seq)?;
            let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.causation = ?1 ORDER BY e.seq LIMIT 1000");
            let mut select = connection.prepare(&sql)?;
            let caused = page(select.query([id.to_string()])?, event_row)?;
            Ok(Some((event, deliveries, caused)))
        })
        .await
    }
}

fn deliveries_of(connection: &Connection, seq: Seq) -> rusqlite::Result<Vec<DeliveryView>> {
    let mut select = connection.prepare(
        "SELECT event, agent, state, attempts, errors, settled_at FROM delivery WHERE event = ?1 ORDER BY agent",
    )?;
    let delivery = decode::of("delivery", |row| {
        Ok(DeliveryView {
            agent: row.get(1)?,
            state: row.get(2)?,
            attempts: row.get(3)?,
            errors: errors_column(row, 4)?,
            settled_at: row.get(5)?,
        })
    });
    select.query_map([seq.0], delivery)?.collect()
}

/// The subject of a delivery, if it can be read.
fn subject_of(connection: &Connection, agent: AgentName, seq: Seq) -> Option<Subject> {
    let select = "SELECT subject FROM delivery WHERE event = ?1 AND agent = ?2";
    connection
        .query_row(select, params![seq.0, agent.as_str()], |row| row.get(0))
        .ok()
}

fn look_at(
    connection: &Connection,
    agent: AgentName,
    seq: Seq,
    (now, far): (Millis, Millis),
) -> rusqlite::Result<Verdict> {
    let mut select = connection.prepare_cached(
        "SELECT event, state, due_at, subject FROM delivery WHERE event = ?1 AND agent = ?2",
    )?;
    let delivery = decode::of("delivery", |row| {
        Ok((row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let found: Option<(String, Millis, Subject)> = select
        .query_row(params![seq.0, agent.as_str()], delivery)
        .optional()?;
    let Some((state, due_at, subject)) = found else {
        return Ok(Verdict::Settled);
    };
    if state != "owed" {
        return Ok(Verdict::Settled);
    }
    if due_at > now && due_at <= far {
        return Ok(Verdict::NotDue);
    }
    let oldest = oldest_due(connection, agent, (&subject, 1), (now, far))?;
    let oldest = oldest.first().copied().unwrap_or(seq);
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, d.attempts FROM event e JOIN delivery d ON d.event = e.seq AND d.agent = ?2 WHERE e.seq = ?1"
    );
    let mut select = connection.prepare_cached(&sql)?;
    select.query_row(params![oldest.0, agent.as_str()], |row| {
        Ok(Verdict::Due {
            oldest: Box::new(event_row(row)?),
            attempts: row.get(9)?,
        })
    })
}

/// The oldest deliveries of a subject that are owed and due, at most `most` of them.
fn oldest_due(
    connection: &Connection,
    agent: AgentName,
    (subject, most): (&Subject, usize),
    (now, far): (Millis, Millis),
) -> rusqlite::Result<Vec<Seq>> {
    let mut select = connection.prepare_cached(
        "SELECT event FROM delivery WHERE agent = ?1 AND subject = ?2 AND state = 'owed' AND (due_at <= ?3 OR due_at > ?4)
         ORDER BY event LIMIT ?5",
    )?;
    let of = params![agent.as_str(), subject.as_str(), now.0, far.0, most];
    select.query_map(of, |row| row.get(0).map(Seq))?.collect()
}

fn owed_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<OwedRow> {
    let owed = |row: &rusqlite::Row<'_>| {
        Ok(OwedRow {
            seq: row.get(0)?,
            subject: row.get(1)?,
            due_at: row.get(2)?,
        })
    };
    decode::of("delivery", owed)(row)
}

/// The rows that can be decoded: one that is damaged holds up nothing but itself.
fn sound<T>(
    rows: impl Iterator<Item = rusqlite::Result<T>>,
    shared: &Shared,
) -> rusqlite::Result<Vec<T>> {
    let mut sound = Vec::new();
    for row in rows {
        match row {
            Ok(row) => sound.push(row),
            Err(error) => shared.set_damage(&decode::damage(&error).ok_or(error)?),
        }
    }
    Ok(sound)
}

pub(super) const DEAD_SELECT: &str =
    "SELECT e.id, d.agent, e.type, e.subject, d.attempts, d.errors, d.settled_at, d.event
    FROM delivery d JOIN event e ON e.seq = d.event";

pub(super) fn dead_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeadLetter> {
    let dead = |row: &rusqlite::Row<'_>| {
        Ok(DeadLetter {
            event: row.get(0)?,
            agent: row.get(1)?,
            kind: row.get(2)?,
            subject: row.get(3)?,
            attempts: row.get(4)?,
            errors: errors_column(row, 5)?,
            at: row.get(6)?,
            seq: row.get(7)?,
        })
    };
    decode::of("delivery", dead)(row)
}

/// The error chain; an empty list where nothing failed yet.
fn errors_column(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Value> {
    match row.get::<_, Option<String>>(column)? {
        None => Ok(Value::Array(Vec::new())),
        Some(text) => serde_json::from_str(&text).map_err(|e| decode::unreadable(column, e)),
    }
}
