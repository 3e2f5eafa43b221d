//! What is owed: which deliveries come next, and what the ledger says of those that were offered.

use std::collections::HashMap;

use super::sql::{self, Connection, Optional, params};

use super::batch::Counters;
use super::due::DueBy;
use super::ledger::{DeliveryKey, DeliveryState, EVENT_COLUMNS, event_row};
use super::readers::column;
use super::suspects::{self, Suspicion};
use super::{ReadError, Store, StoreShared, decode};
use crate::event::{AgentName, Event, EventType, Millis, Seq, Subject};

/// A delivery that may be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedRow {
    pub seq: Seq,
    /// What the event is about.
    pub subject: Subject,
    /// When it is due; 0 for a first attempt.
    pub due_at: Millis,
    /// A host has taken something of its subject.
    pub is_held: bool,
}

/// What the ledger says of a delivery that was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarriedState {
    /// It is settled, or is due again later.
    Ended,
    /// A host has taken it, or something of its subject.
    Held,
    /// It is owed and due, and nobody has it.
    Free,
}

/// Whether a host has taken something of the subject of a row of `delivery`.
const IS_HELD: &str = "EXISTS (SELECT 1 FROM delivery h WHERE h.agent = d.agent AND h.subject = d.subject AND h.holder IS NOT NULL)";

/// How far the retries of an agent were looked at, in the order of their moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryCursor {
    /// The moment of the last one.
    pub due_at: Millis,
    pub seq: Seq,
}

impl RetryCursor {
    /// Before the first retry.
    pub const START: RetryCursor = RetryCursor {
        due_at: Millis(i64::MIN),
        seq: Seq(0),
    };
}

/// What the ledger says of a delivery that was offered.
#[derive(Debug, Clone, PartialEq)]
pub enum OfferClass {
    /// Unknown, done or dead: nothing is owed.
    Settled,
    /// Owed, but due later.
    NotDue,
    /// Its row, or that of the oldest of its subject, cannot be read: nobody can handle it. With its subject, if that can.
    Damaged(Option<Subject>),
    /// The oldest of its subject is of a type that this docent does not know: it waits for one that does.
    Unknown,
    /// Owed and due. The oldest delivery of its subject that is owed and due is the one to handle.
    Due {
        /// The event of the oldest.
        oldest: Box<Event>,
        /// Failed attempts of the oldest.
        attempts: u32,
        /// What is held against the oldest.
        suspicion: Suspicion,
    },
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

impl Store {
    /// First attempts that `agent` owes, from the one after `cursor` upwards, in ledger order.
    pub async fn first_attempts(
        &self,
        agent: AgentName,
        cursor: Seq,
        limit: usize,
    ) -> Result<Vec<OwedRow>, ReadError> {
        let shared = self.shared.clone();
        let is_held = self.held_column();
        self.read("what is owed", move |connection| {
            let mut select = connection.prepare_cached(&format!(
                "SELECT event, subject, 0, {is_held} FROM delivery d
                 WHERE agent = ?1 AND state = 'owed' AND attempts = 0 AND event > ?2 ORDER BY event LIMIT ?3"
            ))?;
            let rows =
                select.query_map(params![agent, cursor, limit], owed_row)?;
            sound(rows, &shared)
        })
        .await
    }

    /// Retries that are due, from the one after `cursor` upwards in the order of their moments.
    pub async fn ripe_retries(
        &self,
        agent: AgentName,
        cursor: RetryCursor,
        due: DueBy,
        limit: usize,
    ) -> Result<Vec<OwedRow>, ReadError> {
        let shared = self.shared.clone();
        let is_held = self.held_column();
        self.read("retries", move |connection| {
            let mut select = connection.prepare_cached(&format!(
                "SELECT event, subject, due_at, {is_held} FROM delivery d WHERE agent = ?1 AND state = 'owed' AND attempts > 0
                   AND (due_at > ?2 OR (due_at = ?2 AND event > ?3)) AND (due_at <= ?4 OR due_at > ?5)
                 ORDER BY due_at, event LIMIT ?6"
            ))?;
            let of = params![agent, cursor.due_at, cursor.seq, due.now, due.far, limit];
            sound(select.query_map(of, owed_row)?, &shared)
        })
        .await
    }

    /// When the next retry of `agent` after `now` is due.
    pub async fn next_retry(
        &self,
        agent: AgentName,
        now: Millis,
    ) -> Result<Option<Millis>, ReadError> {
        self.read("the next retry", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT MIN(due_at) FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0 AND due_at > ?2",
            )?;
            select.query_row(params![agent, now], |row| row.get(0))
        })
        .await
    }

    /// Of each subject the oldest deliveries that are owed to `agent` and due, at most `each` of them.
    pub async fn next_of_subjects(
        &self,
        agent: AgentName,
        subjects: Vec<Subject>,
        each: usize,
        due: DueBy,
    ) -> Result<Vec<OwedRow>, ReadError> {
        let takes = self.leases().take_deliveries();
        self.read("what is owed of a subject", move |connection| {
            let mut rows = Vec::new();
            for subject in subjects {
                let seqs = oldest_due(connection, agent, &subject, each, due)?;
                let is_held = takes && is_held(connection, agent, &subject)?;
                rows.extend(seqs.into_iter().map(|seq| OwedRow {
                    seq,
                    subject: subject.clone(),
                    due_at: Millis(0),
                    is_held,
                }));
            }
            Ok(rows)
        })
        .await
    }

    /// How deliveries stand that were carried, on a store that hosts share.
    pub(crate) async fn carried(
        &self,
        agent: AgentName,
        seqs: Vec<Seq>,
        due: DueBy,
    ) -> Result<HashMap<Seq, CarriedState>, ReadError> {
        self.read("deliveries that were carried", move |connection| {
            let listed: Vec<String> = seqs.iter().map(|seq| seq.0.to_string()).collect();
            let mut states: HashMap<Seq, CarriedState> = seqs
                .into_iter()
                .map(|seq| (seq, CarriedState::Ended))
                .collect();
            let mut select = connection.prepare_cached(&format!(
                "SELECT d.event, d.due_at, {IS_HELD} FROM delivery d
                 JOIN unnest(CAST(string_to_array(?1, ' ') AS BIGINT[])) AS carried ON d.event = carried
                 WHERE d.agent = ?2 AND d.state = 'owed'"
            ))?;
            let mut rows = select.query(params![listed.join(" "), agent])?;
            while let Some(row) = rows.next()? {
                let due_at: Millis = row.get(1)?;
                let state = match row.get(2)? {
                    true => CarriedState::Held,
                    false if due.includes(due_at) => CarriedState::Free,
                    false => CarriedState::Ended,
                };
                states.insert(row.get(0)?, state);
            }
            Ok(states)
        })
        .await
    }

    /// What tells in a query whether something of a subject is held.
    fn held_column(&self) -> &'static str {
        match self.leases().take_deliveries() {
            true => IS_HELD,
            false => "0 = 1",
        }
    }

    /// Classifies deliveries that were offered, in one read transaction and in their order. Of one that is damaged
    /// [`Store::standing`] tells.
    pub async fn classify(
        &self,
        agent: AgentName,
        offered: Vec<Seq>,
        due: DueBy,
    ) -> Result<Vec<OfferClass>, ReadError> {
        if self.leases().is_in_doubt() {
            // What is read now may be from before a commit of an earlier session. The next batch comes after it.
            self.barrier().await.map_err(|error| ReadError {
                what: "deliveries that were offered",
                cause: error.to_string(),
                is_away: true,
            })?;
        }
        let shared = self.shared.clone();
        self.read("deliveries that were offered", move |connection| {
            let classify = |seq| {
                classify(connection, agent, seq, due).or_else(|error| {
                    let damage = decode::damage(&error).ok_or(error)?;
                    shared.set_damage(&damage);
                    Ok(OfferClass::Damaged(subject_of(connection, agent, seq)))
                })
            };
            offered.into_iter().map(classify).collect()
        })
        .await
    }

    /// The newest change of the index's feed, of whatever host.
    pub(crate) async fn newest_change(&self) -> Result<u64, ReadError> {
        self.read("the newest change", |connection| {
            Ok(Counters::read(connection)?.change)
        })
        .await
    }

    /// When the oldest event that `agent` owes was published.
    pub async fn oldest_owed(&self, agent: AgentName) -> Result<Option<Millis>, ReadError> {
        self.read("the oldest that is owed", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT MIN(time) FROM event WHERE seq IN (
                   SELECT MIN(event) FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts = 0
                   UNION ALL SELECT MIN(event) FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0)",
            )?;
            select.query_row([agent], |row| row.get(0))
        })
        .await
    }
}

/// The subject of a delivery, if it can be read.
fn subject_of(connection: &Connection, agent: AgentName, seq: Seq) -> Option<Subject> {
    let select = "SELECT subject FROM delivery WHERE event = ?1 AND agent = ?2";
    connection
        .query_row(select, params![seq, agent], |row| row.get(0))
        .ok()
}

fn classify(
    connection: &Connection,
    agent: AgentName,
    seq: Seq,
    due: DueBy,
) -> sql::Result<OfferClass> {
    let mut select = connection.prepare_cached(
        "SELECT event, state, due_at, subject FROM delivery WHERE event = ?1 AND agent = ?2",
    )?;
    let delivery = decode::of("delivery", |row| {
        Ok((row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let found: Option<(DeliveryState, Millis, Subject)> =
        select.query_row(params![seq, agent], delivery).optional()?;
    let Some((DeliveryState::Owed, due_at, subject)) = found else {
        return Ok(OfferClass::Settled);
    };
    if !due.includes(due_at) {
        return Ok(OfferClass::NotDue);
    }
    let oldest = oldest_due(connection, agent, &subject, 1, due)?;
    let oldest = oldest.first().copied().unwrap_or(seq);
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, d.attempts, s.crashes, s.kills
         FROM event e JOIN delivery d ON d.event = e.seq AND d.agent = ?2
         LEFT JOIN suspect s ON s.event = e.id AND s.agent = d.agent WHERE e.seq = ?1"
    );
    let mut select = connection.prepare_cached(&sql)?;
    select.query_row(params![oldest, agent], |row| {
        let event = event_row(row)?;
        Ok(match event.kind {
            EventType::Unknown => OfferClass::Unknown,
            _ => OfferClass::Due {
                oldest: Box::new(event),
                attempts: row.get(9)?,
                suspicion: suspects::suspicion(row, 10)?,
            },
        })
    })
}

fn is_held(connection: &Connection, agent: AgentName, subject: &Subject) -> sql::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM delivery WHERE agent = ?1 AND subject = ?2 AND holder IS NOT NULL",
        )?
        .exists(params![agent, subject])
}

/// The oldest deliveries of a subject that are owed and due.
fn oldest_due(
    connection: &Connection,
    agent: AgentName,
    subject: &Subject,
    limit: usize,
    due: DueBy,
) -> sql::Result<Vec<Seq>> {
    column(
        connection,
        "SELECT event FROM delivery WHERE agent = ?1 AND subject = ?2 AND state = 'owed' AND (due_at <= ?3 OR due_at > ?4)
         ORDER BY event LIMIT ?5",
        params![agent, subject, due.now, due.far, limit],
    )
}

fn owed_row(row: &sql::Row<'_>) -> sql::Result<OwedRow> {
    let owed = |row: &sql::Row<'_>| {
        Ok(OwedRow {
            seq: row.get(0)?,
            subject: row.get(1)?,
            due_at: row.get(2)?,
            is_held: row.get(3)?,
        })
    };
    decode::of("delivery", owed)(row)
}

/// The rows that can be decoded: one that is damaged holds up nothing but itself.
fn sound<T>(
    rows: impl Iterator<Item = sql::Result<T>>,
    shared: &StoreShared,
) -> sql::Result<Vec<T>> {
    let mut sound = Vec::new();
    for row in rows {
        match row {
            Ok(row) => sound.push(row),
            Err(error) => shared.set_damage(&decode::damage(&error).ok_or(error)?),
        }
    }
    Ok(sound)
}
