//! Whether Redis can carry, checked all the time.
//!
//! A separate health connection asks Redis every 500 ms with a deadline of 1 s, in turn whether it answers (PING) and whether it
//! still does what is needed (it accepts a write to the owner's key, its policy evicts nothing). After two misses, or one error that
//! Redis answers, it cannot carry. A new connection is checked (owner, preflight) before anybody hears of it, and so is one on which
//! a carrier has reported a failure.

mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::sync::{mpsc, watch};

pub(crate) use task::LinkTask;

use super::RedisSettings;
use super::client::RedisError;
use super::preflight::PreflightFacts;
use crate::event::{AgentName, EventType, Millis, NewEvent, Subject};
use crate::store::Store;

/// The number that the ingress works by while Redis is full; no connection has it.
pub(super) const FULL: u64 = 0;

/// Whether Redis can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// It is being found out for the first time.
    Connecting,
    /// It can. Each connection has its number.
    Up {
        /// The number of the connection.
        epoch: u64,
        /// What the preflight found.
        facts: PreflightFacts,
    },
    Down {
        /// Why, and what to do.
        why: String,
        since: Millis,
        /// It answers, and does not do what it is asked for.
        answers: bool,
        /// It takes nothing more for want of memory, and what is in it can be read.
        full: bool,
    },
    /// Another store owns the namespace: docent leaves Redis alone.
    Foreign {
        /// Who, and what to do.
        why: String,
    },
}

/// A carrier cannot work though Redis answers.
struct FailureReport {
    epoch: u64,
    error: RedisError,
}

struct LinkShared {
    settings: RedisSettings,
    store: Store,
    state: watch::Sender<LinkState>,
    reports: mpsc::Sender<FailureReport>,
    lost: AtomicU64,
    reconnects: AtomicU64,
}

/// What everybody knows of Redis. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    shared: Arc<LinkShared>,
}

impl Link {
    /// A link that has found out nothing yet, and the task that does.
    pub fn new(settings: RedisSettings, store: Store) -> (Self, LinkTask) {
        let (reports, receiver) = mpsc::channel(16);
        let shared = LinkShared {
            settings,
            store,
            state: watch::Sender::new(LinkState::Connecting),
            reports,
            lost: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        };
        let link = Link {
            shared: Arc::new(shared),
        };
        let task = LinkTask::new(link.clone(), receiver);
        (link, task)
    }

    /// How Redis is used.
    pub fn settings(&self) -> &RedisSettings {
        &self.shared.settings
    }

    /// The store that it carries for.
    pub(super) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Whether Redis can carry, to read or to watch.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.shared.state.subscribe()
    }

    /// The number of the present connection, while Redis can carry.
    pub(super) fn epoch(&self) -> Option<u64> {
        match &*self.shared.state.borrow() {
            LinkState::Up { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }

    /// What the ingress works by: a number of its own for each connection, and 0 while Redis is full. What other programs wrote may
    /// be what fills it.
    pub(super) fn ingress_epoch(&self) -> Option<u64> {
        match &*self.shared.state.borrow() {
            LinkState::Up { epoch, .. } => Some(*epoch),
            LinkState::Down { full: true, .. } => Some(FULL),
            _ => None,
        }
    }

    /// Copies that Redis has lost since the start.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Connections after the first one since the start.
    pub(crate) fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Ordering::Relaxed)
    }

    /// Waits for the first verdict.
    pub async fn first_verdict(&self) -> LinkState {
        let mut state = self.state();
        match state.wait_for(|s| *s != LinkState::Connecting).await {
            Ok(state) => state.clone(),
            Err(_) => LinkState::Connecting,
        }
    }

    /// A carrier cannot work with this connection though Redis answers.
    pub(super) fn report(&self, epoch: u64, error: RedisError) {
        // More reports than fit are about the same thing.
        self.shared
            .reports
            .try_send(FailureReport { epoch, error })
            .ok();
    }

    /// Redis has lost copies: counted, logged, and published.
    pub(super) async fn tell_lost(self, agent: AgentName, count: usize) {
        let all = count as u64;
        self.shared.lost.fetch_add(all, Ordering::Relaxed);
        tracing::warn!(agent = %agent, count, "Redis lost entries; no event is lost, because docent sends them again");
        self.publish(
            EventType::RedisLost,
            json!({"agent": agent.as_str(), "count": count}),
        )
        .await;
    }

    async fn publish(&self, kind: EventType, data: serde_json::Value) {
        let subject = Subject::redis(&self.shared.settings.instance);
        let event = NewEvent::root(kind, "bus", subject, data);
        if let Err(error) = self.shared.store.publish(event).await {
            tracing::warn!(event_type = %kind, %error, "cannot record what happened to Redis");
        }
    }
}
