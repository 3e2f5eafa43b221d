//! What an operator does to deliveries: replay and drop. The record of the act is part of its transaction, so there is no
//! act without its record and no record without its act.

use super::sql::{Connection, params};

#[cfg(test)]
use super::Store;
use super::batch::Batch;
use super::ledger::{DeliveryState, publish, with_error};
use super::{WriteError, decode};
use crate::event::{AgentName, EventId, Millis, NewEvent, Seq};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// `dead → owed`: attempts from 0, due at once; the error chain stays.
    ReplayDead,
    /// The same, for what is done too: handlers are level-triggered.
    ReplaySettled,
    /// `dead → done`: nobody tries it again.
    Drop,
}

impl Act {
    fn takes(self, state: DeliveryState) -> bool {
        match state {
            DeliveryState::Dead => true,
            DeliveryState::Done => self == Act::ReplaySettled,
            DeliveryState::Owed => false,
        }
    }
}

/// An act on the deliveries of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub act: Act,
    pub event: EventId,
    /// what this agent owes it; `None`: what each owes it.
    pub agent: Option<AgentName>,
    /// The event that records it.
    pub record: NewEvent,
}

struct SettledDelivery {
    seq: Seq,
    agent: AgentName,
    state: DeliveryState,
    attempts: u32,
    errors: Option<String>,
}

/// Carries an operation out and records it. Gives how many deliveries it changed; with none nothing is recorded.
pub(super) fn apply(
    connection: &Connection,
    operation: &Operation,
    batch: &mut Batch,
    now: Millis,
) -> Result<usize, WriteError> {
    let mut changed = 0;
    for delivery in settled(connection, operation)? {
        match operation.act {
            Act::Drop => drop_one(connection, &delivery, batch, now)?,
            // What is replayed to an agent that is off would be owed for as long as it is off.
            _ if !batch.options().agents.contains(&delivery.agent) => continue,
            Act::ReplayDead | Act::ReplaySettled => replay_one(connection, &delivery, batch)?,
        }
        changed += 1;
    }
    if changed > 0 {
        publish(connection, &operation.record, batch, now)?;
    }
    Ok(changed)
}

/// The deliveries that the operation takes.
fn settled(
    connection: &Connection,
    operation: &Operation,
) -> Result<Vec<SettledDelivery>, WriteError> {
    let mut select = connection.prepare_cached(
        "SELECT d.event, d.agent, d.state, d.attempts, d.errors FROM delivery d JOIN event e ON e.seq = d.event
         WHERE e.id = ?1 AND d.state <> 'owed' AND (CAST(?2 AS TEXT) IS NULL OR d.agent = ?2)",
    )?;
    let wanted = params![operation.event, operation.agent];
    let settled = decode::of("delivery", |row| {
        Ok(SettledDelivery {
            seq: row.get(0)?,
            agent: row.get(1)?,
            state: row.get(2)?,
            attempts: row.get(3)?,
            errors: row.get(4)?,
        })
    });
    let rows = select.query_map(wanted, settled)?;
    let mut found: Vec<SettledDelivery> = rows.collect::<Result<_, _>>()?;
    found.retain(|delivery| operation.act.takes(delivery.state));
    Ok(found)
}

fn replay_one(
    connection: &Connection,
    delivery: &SettledDelivery,
    batch: &mut Batch,
) -> Result<(), WriteError> {
    let SettledDelivery { seq, agent, .. } = delivery;
    connection
        .prepare_cached(
            "UPDATE delivery SET state = 'owed', attempts = 0, due_at = 0, settled_at = NULL
             WHERE event = ?1 AND agent = ?2",
        )?
        .execute(params![seq, agent])?;
    // What an earlier attempt of that number left is no second effect of one attempt.
    #[cfg(feature = "testing")]
    if *agent == AgentName::Test {
        connection.execute("DELETE FROM test_effect WHERE event = ?1", [seq])?;
    }
    let delta = batch.delta(*agent);
    delta.owed += 1;
    delta.dead -= i64::from(delivery.state == DeliveryState::Dead);
    delta.rewind = Some(delta.rewind.map_or(*seq, |lowest: Seq| lowest.min(*seq)));
    Ok(())
}

/// The last error of a delivery that an operator has dropped.
pub(crate) const DROPPED: &str = "dropped";

fn drop_one(
    connection: &Connection,
    delivery: &SettledDelivery,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let SettledDelivery { seq, agent, .. } = delivery;
    let chain = delivery.errors.as_deref();
    let errors = with_error(chain, delivery.attempts, DROPPED, now);
    connection
        .prepare_cached(
            "UPDATE delivery SET state = 'done', settled_at = ?3, errors = ?4 WHERE event = ?1 AND agent = ?2",
        )?
        .execute(params![seq, agent, now, errors.to_string()])?;
    batch.delta(*agent).dead -= 1;
    Ok(())
}

#[cfg(test)]
impl Store {
    /// Makes the dead deliveries of an event owed again (one agent's, or all); gives how many there were.
    pub async fn replay(
        &self,
        event: EventId,
        agent: Option<AgentName>,
    ) -> Result<usize, WriteError> {
        use crate::event::{EventType, Subject};
        let record = NewEvent::root(
            EventType::OperatorActed,
            "test",
            Subject::store(),
            serde_json::json!({"verb": "dead replay"}),
        );
        self.operate(Operation {
            act: Act::ReplayDead,
            event,
            agent,
            record,
        })
        .await
    }
}
