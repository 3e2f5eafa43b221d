//! The supervisor: the only place that begins the runs of agents. It joins every one, decides what follows, and tells.

mod drain;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::agent_run::{AgentPlan, Around, FOR_RESTART, RunEnd, run_agent};
use super::isolation::Isolation;
use super::restart::{RestartDecision, RestartPolicy, decide};
use super::restart_request::{RequestError, RestartRequest};
use super::runner::panic_text;
use super::shutdown::{Stop, StopSwitch, stop_pair};
use super::status::{AgentState, Board, Phase};
use super::watched::Watched;
use crate::event::{AgentName, EventType, Heartbeat, NewEvent, Subject};
use crate::store::{FlightRecorder, Store};

/// Threads lost to handlers that block, after which the process gives up: a restart gets them back.
const LEAKED_MAX: usize = 2;

/// How often the supervisor looks around when nothing happens.
const LOOK: Duration = Duration::from_secs(1);

/// How long the supervisor may stand still, as it does while it records what happened to an agent.
const STILL: Duration = Duration::from_secs(20);

/// How a supervisor works.
#[derive(Debug, Clone)]
pub struct SupervisorOptions {
    /// When an agent is started again, and when no more.
    pub restarts: RestartPolicy,
    /// This process, stable across restarts.
    pub instance: String,
    /// Where it stands what is being handled, in case docent crashes.
    pub recorder: Option<FlightRecorder>,
}

/// How the supervisor ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SupervisorEnd {
    /// What was not finished when the time was over, by agent.
    pub stragglers: Vec<String>,
    /// It gave up: too many threads are lost.
    pub gave_up: bool,
}

/// One agent, as the supervisor sees it.
struct Ward {
    plan: Arc<AgentPlan>,
    runs: u64,
    began: Instant,
    /// The ends that led to a restart, since the supervisor began.
    ends: Vec<Duration>,
    switch: Option<StopSwitch>,
    again_at: Option<Instant>,
    /// A run after a restart has not yet lasted long enough to call the agent well.
    unwell: bool,
    /// A restart was asked for: its end is no failure.
    asked: Option<String>,
}

/// Starts agents, watches them, restarts what fails, parks what fails too often, and drains them all.
pub struct Supervisor {
    store: Store,
    board: Board,
    policy: RestartPolicy,
    instance: String,
    recorder: Option<FlightRecorder>,
    isolation: Isolation,
    requests: mpsc::Receiver<RestartRequest>,
    wards: HashMap<AgentName, Ward>,
    runs: JoinSet<(AgentName, RunEnd)>,
    tasks: HashMap<Id, AgentName>,
    began: Instant,
    leaked: usize,
    heartbeat: Heartbeat,
}

impl Supervisor {
    /// A supervisor of these agents.
    pub fn new(
        store: Store,
        board: Board,
        options: SupervisorOptions,
        requests: mpsc::Receiver<RestartRequest>,
        plans: Vec<AgentPlan>,
    ) -> Self {
        let now = Instant::now();
        let ward = |plan: AgentPlan| {
            (
                plan.name,
                Ward {
                    plan: Arc::new(plan),
                    runs: 0,
                    began: now,
                    ends: Vec::new(),
                    switch: None,
                    again_at: Some(now),
                    unwell: false,
                    asked: None,
                },
            )
        };
        Supervisor {
            store,
            board,
            policy: options.restarts,
            instance: options.instance,
            recorder: options.recorder,
            isolation: Isolation::default(),
            requests,
            wards: plans.into_iter().map(ward).collect(),
            runs: JoinSet::new(),
            tasks: HashMap::new(),
            began: now,
            leaked: 0,
            heartbeat: Heartbeat::default(),
        }
    }

    /// Runs until every agent has ended after `stop` was raised, or until it gives up.
    pub async fn run(mut self, stop: Stop) -> SupervisorEnd {
        let heartbeat = self.heartbeat.clone();
        heartbeat.beat();
        let task = Watched::new("loop", STILL, move || heartbeat.idle());
        self.board.watch("supervisor", vec![task]);
        self.begin_due();
        self.board.enter(Phase::Running);
        tracing::info!(name: "docent.ready", agents = self.wards.len(), "ready");
        while !stop.draining() {
            self.heartbeat.beat();
            let look = Instant::now() + LOOK;
            let next = self.wards.values().filter_map(Ward::next_moment).min();
            let next = next.map_or(look, |moment| moment.min(look));
            tokio::select! {
                Some(joined) = self.runs.join_next_with_id(), if !self.runs.is_empty() => {
                    let (name, end) = self.who(joined);
                    if let Some(summary) = self.ended(name, end).await { return summary; }
                }
                Some(request) = self.requests.recv() => self.requested(request).await,
                () = stop.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            if !stop.draining() {
                self.begin_due();
                self.call_well().await;
            }
        }
        self.drain(stop).await
    }

    fn who(
        &mut self,
        joined: Result<(Id, (AgentName, RunEnd)), tokio::task::JoinError>,
    ) -> (AgentName, RunEnd) {
        match joined {
            Ok((id, end)) => {
                self.tasks.remove(&id);
                end
            }
            Err(error) => {
                let name = self
                    .tasks
                    .remove(&error.id())
                    .unwrap_or(AgentName::SelfHealing);
                (name, RunEnd::Panicked(panic_text(error)))
            }
        }
    }

    /// Begins the runs whose time has come.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that begins runs; joined in run and drain"
    )]
    fn begin_due(&mut self) {
        let now = Instant::now();
        for (name, ward) in &mut self.wards {
            if ward.again_at.is_none_or(|at| at > now) {
                continue;
            }
            ward.again_at = None;
            ward.runs += 1;
            ward.began = now;
            let (switch, stop) = stop_pair();
            ward.switch = Some(switch);
            let (name, plan, run) = (*name, ward.plan.clone(), ward.runs);
            let around = Around {
                store: self.store.clone(),
                board: self.board.clone(),
                stop,
                instance: self.instance.clone(),
                isolation: self.isolation.clone(),
                recorder: self.recorder.clone(),
            };
            let task = self
                .runs
                .spawn(async move { (name, run_agent(plan, run, around).await) });
            self.tasks.insert(task.id(), name);
            self.board.update(name, |status| {
                status.state = AgentState::Running;
                status.restarts = run - 1;
            });
        }
    }

    /// A run has ended: decides what follows.
    async fn ended(&mut self, name: AgentName, end: RunEnd) -> Option<SupervisorEnd> {
        let ward = self.wards.get_mut(&name)?;
        ward.switch = None;
        let asked = ward.asked.take();
        if let RunEnd::Blocked(why) = &end {
            self.leaked += 1;
            tracing::error!(agent = %name, leaked = self.leaked, why, "a thread is lost to a handler that blocks");
            if self.leaked >= LEAKED_MAX {
                let why = format!("{} threads are lost to handlers that block", self.leaked);
                tracing::error!(
                    "giving up: {why}; a restart gets them back, and unfinished work is still owed"
                );
                return Some(SupervisorEnd {
                    stragglers: vec![why],
                    gave_up: true,
                });
            }
        }
        let reason = match end {
            RunEnd::Stopped(_) => "it stopped without being told to".to_owned(),
            RunEnd::Failed(why) => format!("failed: {why}"),
            RunEnd::Panicked(why) => format!("panicked: {why}"),
            RunEnd::Stalled(why) => format!("stalled: {why}"),
            RunEnd::Blocked(why) => format!("blocked: {why}"),
        };
        let since = self.began.elapsed();
        match asked {
            Some(reason) => {
                let after = Duration::ZERO;
                self.follow(name, &reason, RestartDecision::Restart { after })
                    .await;
            }
            None => {
                let decision = decide(&self.policy, &ward.ends, since, fastrand::f64());
                ward.ends.push(since);
                self.follow(name, &reason, decision).await;
            }
        }
        None
    }

    /// Restart or park, and say so.
    async fn follow(&mut self, name: AgentName, reason: &str, decision: RestartDecision) {
        let since = self.began.elapsed();
        let Some(ward) = self.wards.get_mut(&name) else {
            return;
        };
        ward.ends
            .retain(|end| since.saturating_sub(*end) <= self.policy.window);
        ward.unwell = true;
        let (kind, state, restarts) = match decision {
            RestartDecision::Restart { after } => {
                ward.again_at = Some(Instant::now() + after);
                tracing::warn!(name: "agent.restarted", agent = %name, reason, after = ?after, "an agent ended and is restarted");
                (EventType::AgentRestarted, AgentState::Restarting, ward.runs)
            }
            RestartDecision::Park => {
                tracing::error!(name: "agent.parked", agent = %name, reason, restarts = self.policy.restarts, window = ?self.policy.window,
                    "an agent failed too often and is parked; the others continue; fix the cause, then run `docent agent restart {name}`, or wait for self_healing");
                // No new run follows.
                (EventType::AgentParked, AgentState::Parked, ward.runs - 1)
            }
        };
        self.board.watch(name.as_str(), Vec::new());
        self.store.leases().set_in_flight(name, 0);
        self.board.update(name, |status| {
            status.state = state;
            status.restarts = restarts;
            status.reason = Some(reason.to_owned());
            status.in_flight = 0;
            status.queued = 0;
            status.unavailable = None;
        });
        self.tell(kind, name, json!({"reason": reason, "restarts": restarts}))
            .await;
    }

    /// An agent that was restarted and has been well for a whole window.
    async fn call_well(&mut self) {
        let window = self.policy.window;
        let well: Vec<(AgentName, u64)> = self
            .wards
            .iter_mut()
            .filter(|(_, ward)| {
                ward.unwell && ward.switch.is_some() && ward.began.elapsed() >= window
            })
            .map(|(name, ward)| {
                ward.unwell = false;
                (*name, ward.runs - 1)
            })
            .collect();
        for (name, restarts) in well {
            tracing::info!(name: "agent.recovered", agent = %name, "a restarted agent works again");
            let data = json!({"reason": format!("well for {window:?}"), "restarts": restarts});
            self.tell(EventType::AgentRecovered, name, data).await;
        }
    }

    async fn requested(&mut self, request: RestartRequest) {
        let answer = match self.wards.get_mut(&request.agent) {
            None => Err(RequestError::Off(request.agent)),
            Some(ward) => {
                match &ward.switch {
                    Some(switch) => {
                        ward.asked = Some(request.reason.clone());
                        switch.raise(FOR_RESTART);
                    }
                    None => {
                        // Parked, or waiting for its backoff: a new run begins now, with a clean slate.
                        ward.ends.clear();
                        ward.again_at = Some(Instant::now());
                    }
                }
                Ok(())
            }
        };
        if answer.is_ok() {
            tracing::info!(agent = %request.agent, reason = request.reason, "a restart of the agent was requested");
        }
        // Whoever asked may have stopped waiting; the restart happens all the same.
        request.reply.send(answer).ok();
    }

    async fn tell(&self, kind: EventType, name: AgentName, data: serde_json::Value) {
        let subject = Subject::agent(name, &self.instance);
        let event = NewEvent::root(kind, "supervisor", subject, data);
        if let Err(error) = self.store.publish(event).await {
            tracing::error!(agent = %name, event_type = %kind, %error, "cannot record what happened to an agent");
        }
    }
}

impl Ward {
    /// When this ward needs the supervisor next.
    fn next_moment(&self) -> Option<Instant> {
        self.again_at
    }
}
