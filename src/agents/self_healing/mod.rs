//! `self_healing`: looks for faults, tells when one comes and goes, and tries what may mend it.
//!
//! Detectors look at what is true, in cheap slices, every few seconds and when an event hints at a change; events carry no
//! state here. An issue is told once when it opens and once when it closes. A fix is bounded in attempts, stands in the
//! store before it is carried out, is verified by the detector that found the fault, and is told when it is known whether
//! it helped. self_healing asks the supervisor, the edge and the index; it does nothing to them itself.
//!
//! An issue's key is `<detector>:<subject>`; the subject of its events is the thing itself: `agent/<name>@<instance>`,
//! `index@<instance>`, `redis@<instance>`, `store`, a collection, `disk`, `dead`.

mod detectors;
mod drift;
mod facts;
mod fixes;
mod gather;
mod issues;
mod keeper;
mod probe;
mod redis;
mod remedy;
mod requests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{AgentName, Event, EventType};
use crate::index::Searcher;
use crate::runtime::{
    Agent, Board, Boxed, Compute, Duty, Ending, Handling, ScanDesk, Source, SupervisorHandle,
};
use crate::store::{Effect, Outcome, Store};

pub(crate) use redis::{RedisFacts, RedisLook, RedisStanding, StreamFacts};

use keeper::Keeper;

use probe::{Parts, Probe};
use remedy::{LiveHands, Remedy};
use requests::Requests;

/// What is too much.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The age of an event that an agent owes.
    pub oldest_owed: Duration,
    /// Free space where the data are, in bytes, below which there is an issue.
    pub free_space: u64,
    /// How long Redis may be away while work goes on without it.
    pub redis_away: Duration,
    /// How long an entry of another program may wait to be published.
    pub ingress_waits: Duration,
    /// New connections to Redis,
    pub redis_reconnects: usize,
    /// or restarts of one agent,
    pub restarts: usize,
    pub restarts_window: Duration,
    /// How long an agent that was parked must run to count as well again.
    pub steady: Duration,
    /// How long opening or rebuilding the index may take.
    pub index_unready: Duration,
    /// How long a change may be in the store and not in the index.
    pub index_behind: Duration,
    /// The age of a collection's last scan: twice the timer of scans is sensible.
    pub scan_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            oldest_owed: Duration::from_secs(5 * 60),
            free_space: 256 << 20,
            redis_away: Duration::from_secs(60),
            ingress_waits: Duration::from_secs(60),
            redis_reconnects: 3,
            restarts: 3,
            restarts_window: Duration::from_secs(10 * 60),
            steady: Duration::from_secs(30),
            index_unready: Duration::from_secs(10 * 60),
            index_behind: Duration::from_secs(60),
            scan_age: Duration::from_secs(2 * 3600),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// This process, for subjects and sources.
    pub instance: String,
    /// Where the data are.
    pub data_dir: PathBuf,
    /// The collections that are configured.
    pub collections: Vec<String>,
    pub probe: Duration,
    /// Files that one round compares with their documents and chunks.
    pub slice: usize,
    /// Attempts at fixing one issue.
    pub fix_attempts: u32,
    /// The pause before a fix is tried again, doubling; a parked agent is restarted after it for the first time.
    pub fix_backoff: Duration,
    /// How long what is removed or closed is kept: versions of removed documents, audit records, closed issues.
    pub retention: Duration,
    /// What is too much.
    pub limits: Limits,
}

impl Options {
    fn source(&self) -> String {
        format!("agent/{}@{}", AgentName::SelfHealing, self.instance)
    }
}

/// What self_healing looks at and asks.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub store: Store,
    /// The way into it.
    pub source: Source,
    /// What can be seen of the agents.
    pub board: Board,
    pub supervisor: SupervisorHandle,
    /// Where scans are asked for.
    pub desk: ScanDesk,
    pub searcher: Searcher,
    pub redis: RedisLook,
    /// Threads that may block.
    pub compute: Compute,
}

/// One life of self_healing.
pub(crate) struct SelfHealing {
    options: Options,
    surroundings: Surroundings,
    requests: Arc<Requests>,
}

impl SelfHealing {
    /// A new life: its state stands in the store.
    pub(crate) fn new(options: Options, surroundings: Surroundings) -> Self {
        for fix in Remedy::NAMES {
            surroundings.store.figures().knows_fix(fix);
        }
        SelfHealing {
            options,
            surroundings,
            requests: Arc::default(),
        }
    }

    fn probe(&self) -> Probe {
        let Surroundings {
            store,
            source,
            board,
            supervisor,
            desk,
            searcher,
            redis,
            compute,
        } = self.surroundings.clone();
        Probe::new(Parts {
            options: self.options.clone(),
            store: store.clone(),
            source,
            board,
            scans: desk.progress(),
            index: searcher.state(),
            redis,
            compute,
            requests: self.requests.clone(),
            hands: Arc::new(LiveHands {
                supervisor,
                desk,
                searcher,
                store,
                source: self.options.source(),
            }),
        })
    }
}

/// Passes on what an event asks for. The work is the duties': an outcome carries effects, and pruning or a check of the
/// whole store is none; it is cut into slices and takes long. All other events only hint that something may have changed:
/// the probe looks at what is true.
fn pass_on(kind: EventType, requests: &Requests) {
    match kind {
        EventType::HealthCheckRequested => requests.want_whole(),
        EventType::MaintenanceRequested => requests.want_maintenance(),
        _ => {}
    }
    requests.probe.notify_one();
}

/// That maintenance is wanted is an effect: it is done after the next start if this process ends before it.
fn outcome(event: &Event) -> Outcome {
    match event.kind {
        EventType::MaintenanceRequested => Outcome::nothing().effect(Effect::Remember {
            name: keeper::WANTED.to_owned(),
            value: event.id.to_string(),
        }),
        _ => Outcome::nothing(),
    }
}

impl Agent for SelfHealing {
    fn name(&self) -> AgentName {
        AgentName::SelfHealing
    }

    fn handle<'a>(&'a self, event: &'a Event, _: &'a Handling) -> Boxed<'a, Ending> {
        pass_on(event.kind, &self.requests);
        Box::pin(std::future::ready(Ending::Outcome(outcome(event))))
    }

    fn duties(self: Arc<Self>) -> Vec<Duty> {
        let probe = self.probe();
        let keeper = Keeper {
            store: self.surroundings.store.clone(),
            requests: self.requests.clone(),
            retention: self.options.retention,
        };
        vec![
            Duty::new("probe", move |context| probe.run(context)),
            Duty::new("keeper", move |context| keeper.run(context)),
        ]
    }
}

#[cfg(test)]
mod tests;
