//! A scan that is asked for, and its end.

use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use tokio::time::Instant;

use super::State;
use super::params::{Params, Peer};
use super::problem::stopping;
use super::status::absent;
use super::wire::{Problem, ProblemKind, ScanAnswer, ScannedCollection};
use crate::event::AgentName;
use crate::runtime::AgentState;

/// The query of `POST /api/v1/scan`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanQuery {
    /// Only this one is told of.
    collection: Option<String>,
}

/// `POST /api/v1/scan`: joins a scan of everything that begins after this request, and answers when every file that it
/// saw is captured or reported.
pub(super) async fn scan(
    Shared(state): Shared<State>,
    Params(query): Params<ScanQuery>,
    peer: Peer,
) -> Result<Json<ScanAnswer>, Problem> {
    if let Some(collection) = &query.collection {
        state.known_collection(collection)?;
    }
    tracing::info!(uid = peer.uid, "scan asked for by an operator");
    let began = Instant::now();
    joined(&state).await?;
    let progress = state.scans.progress().borrow().clone();
    let wanted = |name: &str| query.collection.as_deref().is_none_or(|c| c == name);
    let scans = state.store.scans().await?;
    let configured = |name: &str| state.info.collections.iter().any(|c| c == name);
    let collections = scans
        .into_iter()
        .filter(|scan| configured(&scan.collection) && wanted(&scan.collection))
        .map(|scan| ScannedCollection {
            collection: scan.collection,
            files: scan.files,
            began_at: scan.began_at.to_string(),
            ended_at: scan.ended_at.to_string(),
        });
    Ok(Json(ScanAnswer {
        seen: progress.seen,
        changed: progress.changed,
        collections: collections.collect(),
        absent: absent(progress.absent),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Asks for a scan and waits for its end, as long as there is somebody to do it.
async fn joined(state: &State) -> Result<(), Problem> {
    let number = state.scans.ask();
    tokio::select! {
        () = state.scans.ended(number) => Ok(()),
        gone = nobody_scans(state) => Err(gone),
        () = state.stopping() => Err(stopping()),
    }
}

/// Waits until `change_detection` is off or parked.
async fn nobody_scans(state: &State) -> Problem {
    let mut agents = state.board.agents();
    let gone = |state: AgentState| {
        matches!(
            state,
            AgentState::Off | AgentState::Parked | AgentState::Stopped
        )
    };
    let index = AgentName::ChangeDetection.index();
    match agents.wait_for(|agents| gone(agents[index].state)).await {
        Ok(agents) => missing(AgentName::ChangeDetection, agents[index].state),
        Err(_) => stopping(),
    }
}

/// That an agent which is needed does not work.
pub(super) fn missing(agent: AgentName, state: AgentState) -> Problem {
    let problem = Problem::new(
        ProblemKind::AgentMissing,
        format!("the agent {agent} is {}", state.as_str()),
    );
    match state {
        AgentState::Off => problem.hint(format!(
            "set enabled = true in [agents.{agent}] and restart docent"
        )),
        _ => problem.hint("`docent status` says why"),
    }
}
