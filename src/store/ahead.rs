//! What the members of a batch would ask the store one by one, read for all of them in one question. A database answers each
//! question over a network, and one for every member takes most of the time of a commit.
//!
//! It is read under the lock that makes batches serial, so until the commit only the batch itself changes it. Whoever uses an
//! answer takes it out: what is asked again, of what the batch has changed, is asked of the store.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use super::due::DueBy;
use super::leases::HoldToken;
use super::sql::{self, Connection, params};
use crate::event::{AgentName, EventId, Seq, Subject};

/// What a batch will ask.
#[derive(Debug, Default)]
pub(super) struct Questions {
    published: HashSet<EventId>,
    settled: HashSet<(Seq, AgentName)>,
    taken: HashSet<(Seq, AgentName)>,
    audited: HashSet<u64>,
}

impl Questions {
    /// An event of this id is to be published.
    pub(super) fn publishes(&mut self, id: EventId) {
        self.published.insert(id);
    }

    /// A delivery is to be done.
    pub(super) fn settles(&mut self, seq: Seq, agent: AgentName) {
        self.settled.insert((seq, agent));
    }

    /// A delivery is to be taken.
    pub(super) fn takes(&mut self, seq: Seq, agent: AgentName) {
        self.taken.insert((seq, agent));
    }

    fn are_none(&self) -> bool {
        self.published.is_empty()
            && self.settled.is_empty()
            && self.taken.is_empty()
            && self.audited.is_empty()
    }

    /// The event in this place is to have an audit record.
    pub(super) fn audits(&mut self, event: u64) {
        self.audited.insert(event);
    }
}

/// A delivery that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwedDelivery {
    event: EventId,
    pub(super) attempts: u32,
    holder: Option<String>,
    token: i64,
}

impl OwedDelivery {
    /// Whether this hold of it is current.
    pub(super) fn is_held_by(&self, hold: &HoldToken) -> bool {
        self.holder.as_deref() == Some(&*hold.incarnation) && self.token == hold.token
    }
}

/// The answers that nobody has used yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Ids of no event in the ledger.
    unpublished: HashSet<EventId>,
    owed: HashMap<(Seq, AgentName), OwedDelivery>,
    /// The tokens of the last takes of deliveries that may be taken, each for itself.
    takable: HashMap<(Seq, AgentName), i64>,
    /// Of these subjects something was taken in this batch.
    held: HashSet<(AgentName, Subject)>,
    /// Places of events that have no audit record.
    unaudited: HashSet<u64>,
}

/// The events that are published, or are in the audit log, and the deliveries that are owed, or may be taken, among those that are
/// named.
const SELECT: &str =
    "SELECT 'published' AS what, 0 AS event, id AS name, 0 AS attempts, NULL AS holder, 0 AS token, id
     FROM event WHERE id = ANY (string_to_array(?1, ' '))
     UNION ALL
     SELECT 'owed', d.event, d.agent, d.attempts, d.holder, d.token, e.id
     FROM unnest(CAST(string_to_array(?2, ' ') AS BIGINT[]), string_to_array(?3, ' ')) AS named (event, agent)
     JOIN delivery d ON d.event = named.event AND d.agent = named.agent JOIN event e ON e.seq = d.event
     WHERE d.state = 'owed'
     UNION ALL
     SELECT 'audited', event, '', 0, NULL, 0, '' FROM audit WHERE event = ANY (CAST(string_to_array(?4, ' ') AS BIGINT[]))
     UNION ALL
     SELECT 'takable', d.event, d.agent, 0, NULL, d.token, ''
     FROM unnest(CAST(string_to_array(?5, ' ') AS BIGINT[]), string_to_array(?6, ' ')) AS named (event, agent)
     JOIN delivery d ON d.event = named.event AND d.agent = named.agent
     WHERE d.state = 'owed' AND d.holder IS NULL AND (d.due_at <= ?8 OR d.due_at > ?9)
       AND EXISTS (SELECT 1 FROM host WHERE incarnation = ?7 AND ended_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM delivery h WHERE h.agent = d.agent AND h.subject = d.subject AND h.holder IS NOT NULL)
       AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.agent = d.agent AND o.subject = d.subject AND o.state = 'owed'
                       AND o.attempts = 0 AND o.event < d.event)";

impl Ahead {
    /// What a database answers to this incarnation, by what is due.
    pub(super) fn read(
        connection: &Connection,
        questions: Questions,
        incarnation: &str,
        due: DueBy,
    ) -> sql::Result<Self> {
        if questions.are_none() {
            return Ok(Ahead::default());
        }
        let Questions {
            published: unpublished,
            settled,
            taken,
            audited: unaudited,
        } = questions;
        let mut ahead = Ahead {
            unpublished,
            unaudited,
            ..Ahead::default()
        };
        let mut select = connection.prepare_cached(SELECT)?;
        let mut rows = select.query(params![
            listed(&ahead.unpublished),
            listed(settled.iter().map(|(seq, _)| seq.0)),
            listed(settled.iter().map(|(_, agent)| agent)),
            listed(&ahead.unaudited),
            listed(taken.iter().map(|(seq, _)| seq.0)),
            listed(taken.iter().map(|(_, agent)| agent)),
            incarnation,
            due.now,
            due.far
        ])?;
        while let Some(row) = rows.next()? {
            let (what, seq): (String, Seq) = (row.get(0)?, row.get(1)?);
            let name: String = row.get(2)?;
            match what.as_str() {
                "published" => {
                    if let Ok(id) = name.parse() {
                        ahead.unpublished.remove(&id);
                    }
                }
                "takable" => {
                    if let Ok(agent) = name.parse() {
                        ahead.takable.insert((seq, agent), row.get(5)?);
                    }
                }
                "audited" => {
                    ahead.unaudited.remove(&seq.0);
                }
                _ => {
                    let id: String = row.get(6)?;
                    let (Ok(agent), Ok(event)) = (name.parse(), id.parse()) else {
                        continue;
                    };
                    let owed = OwedDelivery {
                        event,
                        attempts: row.get(3)?,
                        holder: row.get(4)?,
                        token: row.get(5)?,
                    };
                    ahead.owed.insert((seq, agent), owed);
                }
            }
        }
        Ok(ahead)
    }

    /// Whether no event has this id, as far as it is known; asked once.
    pub(super) fn takes_unpublished(&mut self, id: EventId) -> bool {
        self.unpublished.remove(&id)
    }

    /// Whether an event has no audit record, as far as it is known; asked once.
    pub(super) fn takes_unaudited(&mut self, event: u64) -> bool {
        self.unaudited.remove(&event)
    }

    /// A delivery that is owed, of this event, if that is known; asked once.
    pub(super) fn take_owed(
        &mut self,
        delivery: (Seq, AgentName),
        event: EventId,
    ) -> Option<OwedDelivery> {
        let owed = self.owed.remove(&delivery);
        owed.filter(|owed| owed.event == event)
    }

    /// The token with which a delivery is taken now, if it is known that it may be; asked once.
    pub(super) fn take_token(
        &mut self,
        delivery: (Seq, AgentName),
        subject: &Subject,
    ) -> Option<i64> {
        let last = self.takable.remove(&delivery)?;
        self.holds(delivery.1, subject).then_some(last + 1)
    }

    /// Something of a subject is taken. False: another one of it was taken before in this batch.
    pub(super) fn holds(&mut self, agent: AgentName, subject: &Subject) -> bool {
        self.held.insert((agent, subject.clone()))
    }

    /// Something changes the store that asks nothing here.
    pub(super) fn forget(&mut self) {
        *self = Ahead::default();
    }
}

/// Values none of which has a space in it, as the statement takes them.
fn listed(values: impl IntoIterator<Item = impl Display>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(" ")
}
