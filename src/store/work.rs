//! What the writer is asked to do, and what it gives.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::ahead::Questions;
use super::batch::Pruned;
use super::leases::{HoldToken, LeaseTerm};
use super::ledger::{DeliveryKey, PublishedEvent, Settled};
use super::operate::Operation;
use super::outcome::{self, Effect, Settlement};
use super::{Fence, WriteError};
use crate::event::{Millis, NewEvent, Seq, Subject};

/// What the writer is asked to do.
pub(super) enum Work {
    /// A source's transaction: effects and the events that go with them.
    Publish {
        effects: Vec<Effect>,
        events: Vec<NewEvent>,
        /// The lease that it was made under, if it needs one.
        lease: Option<LeaseTerm>,
    },
    /// A delivery is to be this incarnation's alone to handle.
    Take {
        key: DeliveryKey,
        subject: Subject,
        incarnation: Arc<str>,
    },
    /// The end of a flight. `source` is who publishes the derived events.
    Settle {
        key: DeliveryKey,
        fence: Fence,
        settlement: Settlement,
        source: String,
    },
    /// What an operator does to deliveries.
    Operate(Box<Operation>),
    /// One slice of what has outlived its use.
    Prune(Prune),
    /// Nothing: its reply says that all that was queued before is committed or refused.
    Barrier,
}

impl Work {
    /// Takes the flight whose end this is; false if it was taken before or its runner was replaced. Other work is always taken.
    pub(super) fn take(&self) -> bool {
        match self {
            Work::Settle { fence, .. } => fence.take(),
            _ => true,
        }
    }

    /// Adds what it will ask of the store.
    pub(super) fn ask(&self, questions: &mut Questions) {
        let effects = match self {
            Work::Publish {
                effects, events, ..
            } => {
                events
                    .iter()
                    .for_each(|event| questions.publishes(event.id));
                effects
            }
            Work::Settle {
                key,
                settlement: Settlement::Done(outcome),
                ..
            } => {
                questions.settles(key.seq, key.agent);
                for ordinal in 0..outcome.events.len() {
                    questions.publishes(outcome::derived_id(key.event, key.agent, ordinal));
                }
                &outcome.effects
            }
            Work::Take { key, .. } => return questions.takes(key.seq, key.agent),
            Work::Settle { .. } | Work::Operate(_) | Work::Prune(_) | Work::Barrier => return,
        };
        for effect in effects {
            if let Effect::Audit(record) = effect {
                questions.audits(record.event);
            }
        }
    }
}

/// Removal of what has outlived its use, a slice at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prune {
    /// Events from this place on that are done.
    Ledger(Seq),
    /// Chunks that were replaced at or before this change, which the follower has passed.
    Chunks(u64),
    /// Bytes that no manifest row and no version names.
    Content,
    /// Embeddings that no chunk uses, whichever model they are of.
    Embeddings,
    /// Versions of documents removed before then, closed issues, and scans of collections that left the config.
    Documents(Millis),
    /// Audit records from before then.
    Audit(Millis),
}

/// What a transaction gave.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Published(Vec<PublishedEvent>),
    Settled(Settled),
    /// `None`: it is another host's, or not to be handled now.
    Taken(Option<HoldToken>),
    Operated(usize),
    Pruned(Pruned),
    Passed,
}

/// One transaction with the way back.
pub(super) struct Command {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<Done, WriteError>>,
}

impl Command {
    pub(super) fn weight(&self) -> usize {
        match &self.work {
            Work::Publish { effects, .. } => outcome::effects_weight(effects),
            Work::Settle { settlement, .. } => settlement.weight(),
            _ => 0,
        }
    }
}
