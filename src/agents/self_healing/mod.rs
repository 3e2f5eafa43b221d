//! `self_healing`: looks for issues, tells when one comes and goes, and tries what may mend it.
//!
//! It gathers facts, in cheap slices, every few seconds and when an event hints at a change, and has [`crate::health`] judge
//! them; events carry no state here. An issue is told once when it opens and once when it closes. A fix is bounded in attempts, stands in the
//! store before it is carried out, is verified by the detector that found it, and is told when it is known whether
//! it helped. self_healing asks the supervisor, the edge and the index; it does nothing to them itself.
//!
//! An issue's key is `<detector>:<subject>`; the subject of its events is the thing itself: `agent/<name>@<instance>`,
//! `index@<instance>`, `redis@<instance>`, `store`, a collection, `disk`, `dead`.

mod drift;
mod fixes;
mod gather;
mod hands;
mod issues;
mod keeper;
mod memory;
mod probe;
mod redis;
mod requests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{AgentName, Event, EventType};
use crate::health::{Fix, Limits, RedisLook};
use crate::index::Searcher;
use crate::runtime::{
    Agent, Board, Boxed, Compute, Duty, Ending, Handling, ScanDesk, Source, SupervisorHandle,
};
use crate::store::{Effect, Outcome, Store};

use hands::LiveHands;
use keeper::Keeper;

use probe::{Parts, Probe};
use requests::Requests;

#[derive(Debug, Clone)]
pub(crate) struct HealingOptions {
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

impl HealingOptions {
    fn source(&self) -> String {
        format!("agent/{}@{}", AgentName::SelfHealing, self.instance)
    }
}

/// What self_healing looks at and asks.
#[derive(Clone)]
pub(crate) struct HealingContext {
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

/// One run of self_healing.
pub(crate) struct SelfHealing {
    options: HealingOptions,
    context: HealingContext,
    requests: Arc<Requests>,
}

impl SelfHealing {
    /// A new run: its state stands in the store.
    pub(crate) fn new(options: HealingOptions, context: HealingContext) -> Self {
        for fix in Fix::NAMES {
            context.store.figures().knows_fix(fix);
        }
        SelfHealing {
            options,
            context,
            requests: Arc::default(),
        }
    }

    fn probe(&self) -> Probe {
        let HealingContext {
            store,
            source,
            board,
            supervisor,
            desk,
            searcher,
            redis,
            compute,
        } = self.context.clone();
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
            store: self.context.store.clone(),
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
