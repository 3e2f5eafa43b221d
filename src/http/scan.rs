//! A scan that is asked for, and its end.

use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::State;
use super::access::Caller;
use super::acted::acted;
use super::elsewhere::scanned;
use super::lines::Json;
use super::openapi::About;
use super::params::Params;
use super::problem::{missing, stopping};
use super::status::{absent, unlisted};
use super::wait::{GivenUp, settled};
use super::wire::{Problem, ProblemKind, ScanAnswer, ScannedCollection};
use crate::event::codec::SubmissionError;
use crate::event::{AgentName, EventType, NewEvent, Seq, Subject};
use crate::runtime::{ACCEPT_REMOVALS, AgentState};

/// The query of `POST /api/v1/scan`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanQuery {
    /// The answer is about this one only.
    collection: Option<String>,
    /// The root is taken as it is: absent, or another directory than before (of this collection, or wherever one is held).
    #[serde(default)]
    accept_removals: bool,
}

pub(super) const SCAN: About = About::new("Scan, and wait for its end").or(&[
    ProblemKind::NotFound,
    ProblemKind::AgentMissing,
    ProblemKind::DeadLetter,
    ProblemKind::Refused,
]);

/// `POST /api/v1/scan`: joins a scan of everything that begins after this request, and answers when every file that it
/// saw is captured or reported.
pub(super) async fn scan(
    Shared(state): Shared<State>,
    Params(query): Params<ScanQuery>,
    caller: Caller,
) -> Result<Json<ScanAnswer>, Problem> {
    if let Some(collection) = &query.collection {
        let found = state.known().collection(collection);
        found.map_err(SubmissionError::from)?;
    }
    tracing::info!(
        uid = caller.uid(),
        token = caller.token(),
        "scan requested by an operator"
    );
    let began = Instant::now();
    if query.accept_removals {
        accept_removals(&state, query.collection.as_deref(), &caller).await?;
    }
    joined(&state).await?;
    let progress = state.scans.progress().borrow().clone();
    let wanted = |name: &str| query.collection.as_deref().is_none_or(|c| c == name);
    let scans = state.store.scans().await?;
    let known = state.known();
    let collections = scans
        .into_iter()
        .filter(|scan| known.collection(&scan.collection).is_ok() && wanted(&scan.collection))
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
        absent: absent(&progress),
        unlisted: unlisted(&progress),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Accepts held removals: the act is recorded, and the next scan takes the roots as they are.
async fn accept_removals(
    state: &State,
    collection: Option<&str>,
    caller: &Caller,
) -> Result<(), Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    // Files of a root that is only away go by the collection's name alone: it may be back in a moment.
    let progress = state.scans.progress().borrow().clone();
    let held = match collection {
        Some(_) => progress.to_let_go(),
        None => progress.removals_held(),
    };
    let mut events = Vec::new();
    for (name, cause) in held {
        if collection.is_none_or(|wanted| wanted == name) {
            let subject = Subject::collection(&name);
            let arguments = json!({"collection": name, "cause": cause});
            let record = acted(
                state,
                "scan --accept-removals",
                subject.clone(),
                caller,
                arguments,
            );
            let data = json!({"reason": ACCEPT_REMOVALS});
            events.push(record);
            events.push(NewEvent::root(
                EventType::ScanRequested,
                caller.source(),
                subject,
                data,
            ));
        }
    }
    if events.is_empty() {
        let of = collection.map_or_else(String::new, |name| format!(" in {name}"));
        return Err(
            Problem::new(ProblemKind::NotFound, format!("no removals are held{of}"))
                .hint("`docent status` shows the state of each root; to accept that one is missing, name its collection"),
        );
    }
    let published = state
        .store
        .submit(Vec::new(), events)
        .await?
        .committed()
        .await?;
    let last = published.last().map_or(Seq(0), |event| event.seq);
    tokio::select! {
        noted = settled(state, AgentName::ChangeDetection, last, GivenUp::Fails) => noted,
        gone = nobody_scans(state) => Err(gone),
        () = state.stopping() => Err(stopping()),
    }
}

/// Asks for a scan and waits for its end, as long as there is somebody to do it.
async fn joined(state: &State) -> Result<(), Problem> {
    tokio::select! {
        ended = scanned(state) => ended,
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
