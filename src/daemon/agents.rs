//! The agents of this config: what each is made of, and how it is run.

use std::sync::Arc;

use super::carriers::Carriers;
use super::{COMPUTE_MIN, options, size};
use crate::agents::change_detection::ChangeDetection;
use crate::agents::document_management::DocumentManagement;
use crate::agents::logging_audit::{self, LoggingAudit};
use crate::agents::rag::Rag;
use crate::agents::scheduler::{Scheduler, Timetable};
use crate::agents::self_healing::{HealingContext, SelfHealing};
use crate::bus::Monitor;
use crate::config::{Config, ShownSetting};
use crate::error::{Exit, Fatal};
use crate::event::AgentName;
use crate::health::RedisLook;
use crate::index::Searcher;
use crate::runtime::{
    Agent, AgentPlan, Board, Compute, Factory, Notifier, RunnerOptions, ScanDesk, Source,
    SupervisorHandle,
};
use crate::store::{FlightRecorder, Store};

/// Everything that agents are made of.
pub(super) struct AgentParts {
    pub(super) config: Config,
    /// The same, as it is shown.
    pub(super) settings: Vec<ShownSetting>,
    pub(super) on: Vec<AgentName>,
    pub(super) store: Store,
    pub(super) board: Board,
    pub(super) searcher: Searcher,
    pub(super) desk: ScanDesk,
    pub(super) compute: Compute,
    /// How many threads may compute at once.
    pub(super) threads: usize,
    pub(super) supervisor: SupervisorHandle,
    pub(super) monitor: Monitor,
    pub(super) notifier: Notifier,
    pub(super) redis: RedisLook,
    pub(super) recorder: Option<FlightRecorder>,
}

/// A plan for every agent that is on.
pub(super) fn plans(parts: &AgentParts, carriers: &Carriers) -> Result<Vec<AgentPlan>, Fatal> {
    let mut plans = Vec::new();
    for name in &parts.on {
        let agent = factory(parts, *name)?;
        let backoff_max = parts.config.delivery.backoff_max;
        plans.push(AgentPlan {
            name: *name,
            agent,
            carrier: carriers.factory(*name, &parts.store, backoff_max),
            options: runner_options(&parts.config, *name),
        });
    }
    Ok(plans)
}

fn runner_options(config: &Config, name: AgentName) -> RunnerOptions {
    let delivery = &config.delivery;
    let own = config
        .agents
        .all()
        .into_iter()
        .find(|(n, _)| *n == name.as_str());
    RunnerOptions {
        concurrency: own.map_or(delivery.concurrency, |(_, agent)| {
            config.concurrency_of(agent)
        }),
        unsettled: delivery.unsettled,
        unsettled_bytes: size(delivery.unsettled_size),
        capacity: delivery.capacity,
        stall_timeout: delivery.stall_timeout,
        backoff_max: delivery.backoff_max,
        pause_min: delivery.unavailable_min,
        pause_max: delivery.unavailable_max,
    }
}

fn source(parts: &AgentParts) -> Source {
    let delivery = &parts.config.delivery;
    Source::new(
        parts.store.clone(),
        delivery.unsettled,
        size(delivery.unsettled_size),
    )
}

/// What makes a new run of an agent.
fn factory(parts: &AgentParts, name: AgentName) -> Result<Factory, Fatal> {
    let (store, compute, source) = (parts.store.clone(), parts.compute.clone(), source(parts));
    Ok(match name {
        AgentName::ChangeDetection => {
            let (options, desk) = (options::edge(&parts.config), parts.desk.clone());
            // Of its own: a disk that hangs must not take the threads of the other agents.
            let compute = Compute::new(parts.threads.max(COMPUTE_MIN));
            options.check().map_err(|e| Fatal::new(Exit::Config, e))?;
            Arc::new(move || {
                agent(ChangeDetection::new(
                    options.clone(),
                    store.clone(),
                    source.clone(),
                    desk.clone(),
                    compute.clone(),
                ))
            })
        }
        AgentName::DocumentManagement => {
            Arc::new(move || agent(DocumentManagement::new(store.clone(), compute.clone())))
        }
        AgentName::Rag => {
            let (options, searcher) = (options::rag(&parts.config, &store), parts.searcher.clone());
            Arc::new(move || {
                agent(Rag::new(
                    options.clone(),
                    store.clone(),
                    searcher.clone(),
                    compute.clone(),
                ))
            })
        }
        AgentName::LoggingAudit => audit(parts, source),
        AgentName::Scheduler => {
            let timetable = Timetable::new(options::scheduler(&parts.config))
                .map_err(|e| Fatal::new(Exit::Config, e))?;
            let timetable = Arc::new(timetable);
            Arc::new(move || {
                agent(Scheduler::new(
                    timetable.clone(),
                    store.clone(),
                    source.clone(),
                ))
            })
        }
        AgentName::SelfHealing => {
            let options = options::healing(&parts.config);
            let context = HealingContext {
                store,
                source,
                board: parts.board.clone(),
                supervisor: parts.supervisor.clone(),
                desk: parts.desk.clone(),
                searcher: parts.searcher.clone(),
                redis: parts.redis.clone(),
                compute,
            };
            Arc::new(move || agent(SelfHealing::new(options.clone(), context.clone())))
        }
        #[cfg(feature = "testing")]
        AgentName::Test => {
            let log = std::env::var_os("DOCENT_TEST_LOG").map(std::path::PathBuf::from);
            Arc::new(move || agent(crate::agents::test::Test::new(log.clone())))
        }
    })
}

fn audit(parts: &AgentParts, source: Source) -> Factory {
    let options = Arc::new(options::audit(&parts.config));
    let context = logging_audit::AuditContext {
        store: parts.store.clone(),
        source,
        board: parts.board.clone(),
        redis: parts.redis.clone(),
        // Of its own, for all its runs: an alert must not wait for the work whose trouble it tells of.
        compute: Compute::new(COMPUTE_MIN),
    };
    Arc::new(move || agent(LoggingAudit::new(options.clone(), context.clone())))
}

fn agent(agent: impl Agent) -> Arc<dyn Agent> {
    Arc::new(agent)
}
