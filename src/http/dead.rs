//! Dead letters.

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;
use serde_json::json;

use super::params::{Params, Peer, limited};
use super::problem::stopping;
use super::wire::{Dead, DeadList, Problem, ProblemKind, Replayed};
use super::{State, count};
use crate::event::{AgentName, EventId, EventType, NewEvent, Subject};

/// Dead letters in one answer.
const LIST_MAX: usize = 10_000;
const LIST: usize = 1000;

/// The query of `GET /api/v1/dead`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
}

/// `GET /api/v1/dead`
pub(super) async fn list(
    Shared(state): Shared<State>,
    Params(query): Params<ListQuery>,
) -> Result<Json<DeadList>, Problem> {
    let limit = limited(query.limit, LIST, LIST_MAX)?;
    let letters = state.store.dead_letters(limit).await?;
    let total: u64 = AgentName::ALL
        .iter()
        .map(|agent| count(state.store.counts(*agent).dead))
        .sum();
    let dead: Vec<Dead> = letters
        .into_iter()
        .map(|letter| Dead {
            event: letter.event.to_string(),
            agent: letter.agent.to_string(),
            kind: letter.kind.to_string(),
            subject: letter.subject.to_string(),
            attempts: letter.attempts,
            errors: letter.errors,
            at: letter.at.to_string(),
        })
        .collect();
    Ok(Json(DeadList {
        // Letters may be gone or come between the two looks.
        total: total.max(dead.len() as u64),
        dead,
    }))
}

/// The query of `POST /api/v1/dead/{id}/replay`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayQuery {
    /// Only what this agent owes.
    agent: Option<String>,
}

/// `POST /api/v1/dead/{id}/replay`: the dead deliveries of an event are owed again.
///
/// `operator.acted` is durable before anything is replayed, so no act is without its record.
pub(super) async fn replay(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Params(query): Params<ReplayQuery>,
    peer: Peer,
) -> Result<Json<Replayed>, Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let id = event_id(&id)?;
    let agent = query.agent.as_deref().map(agent_name).transpose()?;
    let subject = subject_of_dead(&state, id, agent).await?;
    let data = json!({"verb": "dead replay", "uid": peer.uid,
                      "arguments": {"event": id.to_string(), "agent": agent.map(AgentName::as_str)}});
    let acted = NewEvent::root(EventType::OperatorActed, "control", subject, data);
    state.store.publish(acted).await?;
    let replayed = state.store.replay(id, agent).await?;
    tracing::info!(event = %id, replayed, uid = peer.uid, "dead letters replayed by an operator");
    Ok(Json(Replayed {
        event: id.to_string(),
        replayed: replayed as u64,
    }))
}

/// The subject of an event that has a dead delivery (of `agent`).
async fn subject_of_dead(
    state: &State,
    id: EventId,
    agent: Option<AgentName>,
) -> Result<Subject, Problem> {
    let missing = |detail| Err(Problem::new(ProblemKind::NotFound, detail));
    let Some((event, deliveries, _)) = state.store.event(id).await? else {
        return missing(format!("there is no event {id}"));
    };
    let wanted = |name: AgentName| agent.is_none_or(|agent| agent == name);
    if deliveries
        .iter()
        .any(|d| d.state == "dead" && wanted(d.agent))
    {
        return Ok(event.subject);
    }
    match agent {
        Some(agent) => missing(format!("the event {id} has no dead delivery of {agent}")),
        None => missing(format!("the event {id} has no dead delivery")),
    }
}

/// An event's id in a path.
pub(super) fn event_id(text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|_| {
        Problem::new(
            ProblemKind::BadRequest,
            format!("`{text}` is not an event's id, which is a UUID"),
        )
    })
}

fn agent_name(text: &str) -> Result<AgentName, Problem> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = AgentName::ALL.iter().map(|a| a.as_str()).collect();
        let detail = format!(
            "there is no agent `{text}`; there are: {}",
            names.join(", ")
        );
        Problem::new(ProblemKind::BadRequest, detail)
    })
}
