//! What an operator does to deliveries: replay and drop. Each act is recorded as `operator.acted` with the uid of who asked.

use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::access::Caller;
use super::acted::acted;
use super::dead::{agent_name, event_named, unknown_event};
use super::lines::Json;
use super::openapi::About;
use super::params::{Named, Params};
use super::problem::{missing, stopping};
use super::wire::{self, Dropped, Problem, ProblemKind, Replayed};
use super::{State, ingress};
use crate::event::{AgentName, EventId};
use crate::runtime::AgentState;
use crate::store::{Act, DeliveryState, DeliveryView, Operation};

/// The query of what is done to an event's deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct OfAgent {
    /// Only what this agent owes.
    #[param(schema_with = wire::agent_name)]
    pub(super) agent: Option<String>,
}

impl OfAgent {
    /// Of the agent with this name, or of all.
    pub(super) fn named(agent: Option<String>) -> Self {
        OfAgent { agent }
    }
}

/// What an act on dead letters can end with.
const ACTED: &[ProblemKind] = &[
    ProblemKind::NotFound,
    ProblemKind::AgentMissing,
    ProblemKind::Refused,
];

pub(super) const REPLAY_DEAD: About =
    About::new("Retry the dead deliveries of an event, or publish an entry").or(ACTED);

/// `POST /api/v1/dead/{id}/replay`: the dead deliveries of an event are owed again; an entry of another program is published.
pub(super) async fn replay_dead(
    Shared(state): Shared<State>,
    Named(id): Named,
    Params(query): Params<OfAgent>,
    caller: Caller,
) -> Result<Json<Replayed>, Problem> {
    if let Some(row) = ingress::kept(&state, &caller, &id).await? {
        return ingress::replay(&state, row, &caller).await;
    }
    let operated = operate(&state, Act::ReplayDead, &id, query, &caller).await?;
    Ok(operated.replayed())
}

pub(super) const REPLAY_EVENT: About = About::new("Deliver an event again").or(ACTED);

/// `POST /api/v1/events/{id}/replay`: what is done or dead of an event is owed again.
pub(super) async fn replay_event(
    Shared(state): Shared<State>,
    Named(id): Named,
    Params(query): Params<OfAgent>,
    caller: Caller,
) -> Result<Json<Replayed>, Problem> {
    let operated = operate(&state, Act::ReplaySettled, &id, query, &caller).await?;
    Ok(operated.replayed())
}

pub(super) const DROP_DEAD: About =
    About::new("Drop the dead deliveries of an event, or an entry").or(ACTED);

/// `POST /api/v1/dead/{id}/drop`: the dead deliveries of an event, or an entry of another program, are done with.
pub(super) async fn drop_dead(
    Shared(state): Shared<State>,
    Named(id): Named,
    Params(query): Params<OfAgent>,
    caller: Caller,
) -> Result<Json<Dropped>, Problem> {
    if let Some(row) = ingress::kept(&state, &caller, &id).await? {
        return ingress::forget(&state, row, &caller).await;
    }
    let operated = operate(&state, Act::Drop, &id, query, &caller).await?;
    Ok(Json(Dropped {
        event: operated.event.to_string(),
        dropped: operated.deliveries,
    }))
}

/// An act that was done, and to how many deliveries of its event.
struct Operated {
    event: EventId,
    deliveries: u64,
}

impl Operated {
    fn replayed(&self) -> Json<Replayed> {
        Json(Replayed {
            event: self.event.to_string(),
            replayed: self.deliveries,
        })
    }
}

/// The verb of the command line that does this, as it is recorded.
fn verb(act: Act) -> &'static str {
    match act {
        Act::ReplayDead => "dead replay",
        Act::ReplaySettled => "events replay",
        Act::Drop => "dead drop",
    }
}

async fn operate(
    state: &State,
    act: Act,
    id: &str,
    query: OfAgent,
    caller: &Caller,
) -> Result<Operated, Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let id = event_named(state, caller, id).await?;
    let agent = query.agent.as_deref().map(agent_name).transpose()?;
    let found = state.store.event(id).await?;
    let Some((event, deliveries, _)) = found.filter(|(e, _, _)| caller.sees(e.subject.as_str()))
    else {
        return Err(unknown_event(id));
    };
    let arguments = json!({"event": id.to_string(), "agent": agent.map(AgentName::as_str)});
    let verb = verb(act);
    let changed = state
        .store
        .operate(Operation {
            act,
            event: id,
            agent,
            record: acted(state, verb, event.subject, caller, arguments),
        })
        .await?;
    if changed == 0 {
        return Err(nothing_to_do(state, act, id, agent, &deliveries));
    }
    tracing::info!(event = %id, verb, changed, uid = caller.uid(), token = caller.token(), "an operator acted");
    Ok(Operated {
        event: id,
        deliveries: changed as u64,
    })
}

/// Why an act found nothing that it could be done to.
fn nothing_to_do(
    state: &State,
    act: Act,
    id: EventId,
    agent: Option<AgentName>,
    deliveries: &[DeliveryView],
) -> Problem {
    let off = |name: AgentName| state.board.agent(name).state == AgentState::Off;
    let kind = match act {
        Act::ReplaySettled => "delivery that is done or dead",
        Act::ReplayDead | Act::Drop => "dead delivery",
    };
    let mut wanted = deliveries
        .iter()
        .filter(|d| agent.is_none_or(|a| a == d.agent));
    match agent {
        Some(agent) if act != Act::Drop && off(agent) => missing(agent, AgentState::Off),
        Some(agent) => {
            let found = match wanted.next() {
                Some(delivery) => format!("it is {}", delivery.state.as_str()),
                None => format!("{agent} does not take events of its type"),
            };
            let detail = format!("the event {id} has no {kind} of {agent}: {found}");
            Problem::new(ProblemKind::NotFound, detail)
        }
        None => match wanted
            .find(|d| d.state == DeliveryState::Dead && act != Act::Drop && off(d.agent))
        {
            Some(delivery) => missing(delivery.agent, AgentState::Off),
            None => {
                let detail = format!("the event {id} has no {kind}");
                Problem::new(ProblemKind::NotFound, detail)
            }
        },
    }
    .hint(format!("`docent events show {id}` shows its deliveries"))
}
