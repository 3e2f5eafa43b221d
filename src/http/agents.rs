//! The agents, as a list.

use axum::extract::State as Shared;
use futures_util::future::try_join_all;

use super::lines::Json;
use super::openapi::About;
use super::wire::{AgentList, AgentView, NamedAgent, Problem, Unavailable};
use super::{State, count};
use crate::event::Millis;
use crate::store::ReadError;

/// `GET /api/v1/agents`
pub(super) const LIST: About = About::new("List the agents");

pub(super) async fn list(Shared(state): Shared<State>) -> Result<Json<AgentList>, Problem> {
    let agents = all(&state, Millis::now()).await?;
    Ok(Json(AgentList { agents }))
}

/// Every agent, in the order of the data flow.
pub(super) async fn all(state: &State, now: Millis) -> Result<Vec<NamedAgent>, ReadError> {
    let statuses = state.board.agents().borrow().clone();
    let agents = statuses.into_iter().map(|status| async move {
        let counts = state.store.counts(status.name);
        let oldest = if counts.owed > 0 {
            state.store.oldest_owed(status.name).await?
        } else {
            None
        };
        let agent = AgentView {
            state: status.state.into(),
            carrier: state.carriers.active_of(status.name).as_str().to_owned(),
            restarts: status.restarts,
            reason: status.reason,
            handled: count(counts.handled),
            failed: count(counts.failed),
            owed: count(counts.owed),
            oldest_owed_s: oldest.map(|at| now.since(at).as_secs_f64()),
            in_flight: status.in_flight as u64,
            queued: status.queued as u64,
            kept: status.queued as u64,
            retrying: count(counts.retrying),
            dead: count(counts.dead),
            unavailable: status.unavailable.map(|(why, since)| Unavailable {
                why,
                since: since.to_string(),
            }),
        };
        Ok(NamedAgent {
            name: status.name.to_string(),
            agent,
        })
    });
    try_join_all(agents).await
}
