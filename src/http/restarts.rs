//! Restarts of agents: on this host, and on another one of the same store. Those are asked for in the store, where every host looks
//! for what it is asked.

use std::time::Duration;

use axum::extract::State as Shared;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::State;
use super::access::Caller;
use super::acted::acted;
use super::dead::agent_name;
use super::lines::Json;
use super::openapi::About;
use super::params::Named;
use super::problem::{missing, stopping};
use super::wire::{Problem, ProblemKind, Restarted};
use crate::config::format_duration;
use crate::event::{AgentName, EventId, NewEvent, Subject};
use crate::runtime::{AgentState, AgentStatus, Phase, RequestError};
use crate::store::{
    Effect, HostRow, RESTART_EXPIRES, ReadError, RestartAsked, RestartChange, RestartRow,
    RestartStage, Store, WriteError,
};

/// How long a restart is waited for before its answer says how far it is.
const RESTART_PATIENCE: Duration = Duration::from_secs(10);

/// How often a host looks whether it is asked for a restart.
const LOOK: Duration = Duration::from_millis(500);

/// How often it is looked whether a host has answered.
const POLL: Duration = Duration::from_millis(200);

/// How long a host is waited for that has begun a restart: as long as it waits itself, and a little for the way.
const ANSWER_PATIENCE: Duration = RESTART_PATIENCE.saturating_add(Duration::from_secs(2));

/// Restarts for others at once, at most.
const AT_ONCE: usize = 16;

/// The verb of the command line that restarts an agent, as it is recorded.
const RESTART_VERB: &str = "agent restart";

pub(super) const RESTART: About = About::new(
    "Restart an agent: NAME on the host that is asked, NAME@INSTANCE on that host",
)
.or(&[
    ProblemKind::NotFound,
    ProblemKind::AgentMissing,
    ProblemKind::Timeout,
]);

/// `POST /api/v1/agents/{name}/restart`: restarts an agent; a parked one is brought back.
///
/// `operator.acted` is durable before a supervisor is asked.
pub(super) async fn restart(
    Shared(state): Shared<State>,
    Named(name): Named,
    caller: Caller,
) -> Result<Json<Restarted>, Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let (name, instance) = match name.split_once('@') {
        Some((name, instance)) => (name, Some(instance)),
        None => (name.as_str(), None),
    };
    let agent = agent_name(name)?;
    let before = state.board.agent(agent);
    // All hosts have the same agents on.
    if before.state == AgentState::Off {
        return Err(missing(agent, AgentState::Off));
    }
    if let Some(instance) = instance
        && let Some(host) = other_host(&state, instance).await?
    {
        let restarted = restart_elsewhere(&state, agent, &host, &caller).await;
        return restarted.map(Json);
    }
    let subject = Subject::agent(agent, &state.info.instance);
    let arguments = json!({"agent": agent.as_str(), "state": before.state.as_str()});
    let record = acted(&state, RESTART_VERB, subject, &caller, arguments);
    state.store.publish(record).await?;
    let now = restart_here(&state, agent, "requested by an operator")
        .await
        .map_err(|error| match error {
            RequestError::Off(agent) => missing(agent, AgentState::Off),
            RequestError::Stopping => stopping(),
        })?;
    Ok(Json(Restarted {
        agent: agent.to_string(),
        instance: instance.map(str::to_owned),
        state: now.state.into(),
        restarts: now.restarts,
    }))
}

/// Restarts an agent of this host, and gives how it stands when it runs again, or after some time.
async fn restart_here(
    state: &State,
    agent: AgentName,
    reason: &str,
) -> Result<AgentStatus, RequestError> {
    let before = state.board.agent(agent).restarts;
    let mut board = state.board.agents();
    state.supervisor.restart(agent, reason).await?;
    let begun = board.wait_for(|agents| {
        let now = &agents[agent.index()];
        now.restarts > before && now.state == AgentState::Running
    });
    // In time or not: the answer says how the agent stands.
    timeout(RESTART_PATIENCE, begun).await.ok();
    Ok(state.board.agent(agent))
}

/// The host of this name, unless it is this one.
///
/// # Errors
/// No such host works on the store, or the store cannot be read.
async fn other_host(state: &State, instance: &str) -> Result<Option<HostRow>, Problem> {
    if instance == state.info.instance {
        return Ok(None);
    }
    let hosts = state.store.hosts().await?;
    match hosts.iter().rfind(|host| host.instance == instance) {
        Some(host) => Ok(Some(host.clone())),
        None => {
            let detail = format!("no host `{instance}` works on the store");
            Err(missing_host(state, detail, &hosts))
        }
    }
}

/// That a host is not there, and which are.
fn missing_host(state: &State, detail: String, hosts: &[HostRow]) -> Problem {
    let mut names: Vec<&str> = hosts.iter().map(|host| host.instance.as_str()).collect();
    if names.is_empty() {
        names.push(&state.info.instance);
    }
    names.dedup();
    let detail = format!("{detail}; there are: {}", names.join(", "));
    Problem::new(ProblemKind::NotFound, detail)
        .hint("`docent status` lists the hosts; one that was killed is ended by the others after 10 seconds")
}

/// Has an agent restarted by another host, and waits for what it says.
///
/// # Errors
/// The host has ended, or does not answer in time, or the store cannot be read or written.
async fn restart_elsewhere(
    state: &State,
    agent: AgentName,
    host: &HostRow,
    caller: &Caller,
) -> Result<Restarted, Problem> {
    let subject = Subject::agent(agent, &host.instance);
    let arguments = json!({"agent": agent.as_str(), "host": host.instance});
    let record = acted(state, RESTART_VERB, subject, caller, arguments);
    let id = record.id;
    let asked = RestartChange::asked(id, &host.incarnation, agent);
    write(&state.store, asked, vec![record]).await?;
    tracing::info!(%agent, host = host.instance, "another host is asked to restart the agent");
    let stopped = tokio::select! {
        waited = waited(&state.store, id) => waited.map(|()| false)?,
        () = state.stopping() => true,
    };
    // What is not begun by now never is.
    write(&state.store, RestartChange::withdrawn(id), Vec::new()).await?;
    let row = state.store.restart(id).await?;
    if let Some(RestartStage::Ended { state, restarts }) = row.as_ref().map(|row| &row.stage) {
        return Ok(Restarted {
            agent: agent.to_string(),
            instance: Some(host.instance.clone()),
            state: state.as_str().into(),
            restarts: *restarts,
        });
    }
    if stopped {
        return Err(stopping());
    }
    Err(unanswered(state, agent, host, row.is_some()).await?)
}

async fn write(
    store: &Store,
    change: RestartChange,
    events: Vec<NewEvent>,
) -> Result<(), WriteError> {
    let submitted = store.submit(vec![Effect::Restart(change)], events).await?;
    submitted.committed().await.map(drop)
}

/// Waits until a host has answered or ended, or the time for that is over.
async fn waited(store: &Store, id: EventId) -> Result<(), ReadError> {
    let mut until = Instant::now() + RESTART_EXPIRES;
    let mut begun = false;
    while let Some(RestartRow { stage, host_works }) = store.restart(id).await? {
        if stage == RestartStage::Begun && !begun {
            begun = true;
            until = Instant::now() + ANSWER_PATIENCE;
        }
        let ended = matches!(stage, RestartStage::Ended { .. });
        if ended || !host_works || Instant::now() >= until {
            break;
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Why there is no answer of a host. `begun`: it has begun the restart.
async fn unanswered(
    state: &State,
    agent: AgentName,
    host: &HostRow,
    begun: bool,
) -> Result<Problem, ReadError> {
    let name = &host.instance;
    let hosts = state.store.hosts().await?;
    let works = hosts
        .iter()
        .any(|other| other.incarnation == host.incarnation);
    Ok(match (works, begun) {
        (false, _) => {
            let detail = format!("the host {name} has ended before it said what became of {agent}");
            missing_host(state, detail, &hosts)
        }
        (true, false) => {
            let patience = format_duration(RESTART_EXPIRES);
            let detail = format!(
                "the host {name} did not answer within {patience}; the request is withdrawn, and {agent} is not restarted there"
            );
            Problem::new(ProblemKind::Timeout, detail)
                .hint("`docent status` says when the host renewed its row; try again, or ask it on its own machine")
        }
        (true, true) => {
            let detail = format!(
                "the host {name} has begun to restart {agent}, and did not say how it ended"
            );
            Problem::new(ProblemKind::Timeout, detail).hint(format!(
                "`docent agent list` on {name} says how {agent} stands"
            ))
        }
    })
}

/// Restarts agents for other hosts of the store, until told to stop.
pub(crate) async fn answer_restarts(state: State, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = answering(&state) => {}
    }
}

async fn answering(state: &State) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = FuturesUnordered::new();
    while state.store.leases().are_shared() {
        tokio::select! {
            Some(()) = under_way.next() => continue,
            _ = looks.tick() => {}
        }
        // A host that drains begins nothing: whoever asks is told when it has ended.
        if *state.board.phase().borrow() != Phase::Running {
            continue;
        }
        let room = AT_ONCE.saturating_sub(under_way.len());
        // What cannot be read or written now is asked for until it expires.
        let asked = state.store.restarts_asked(room).await.unwrap_or_default();
        for asked in asked {
            if begin(&state.store, asked.id).await {
                under_way.push(carry_out(state, asked));
            }
        }
    }
}

/// Begins what is asked; false: it was withdrawn, or whether it was is not known.
async fn begin(store: &Store, id: EventId) -> bool {
    if write(store, RestartChange::begun(id), Vec::new())
        .await
        .is_err()
    {
        return false;
    }
    let row = store.restart(id).await;
    matches!(row, Ok(Some(row)) if row.stage == RestartStage::Begun)
}

/// Restarts an agent, and says how it stands.
async fn carry_out(state: &State, RestartAsked { id, agent }: RestartAsked) {
    let reason = "requested by an operator on another host";
    let ended = match restart_here(state, agent, reason).await {
        // Whoever asks is told when this host has ended.
        Err(RequestError::Stopping) => return,
        Err(RequestError::Off(_)) => state.board.agent(agent),
        Ok(status) => status,
    };
    let said = RestartChange::ended(id, ended.state.as_str(), ended.restarts);
    if let Err(error) = write(&state.store, said, Vec::new()).await {
        tracing::warn!(%agent, %error, "cannot tell another host that the agent was restarted");
    }
}
