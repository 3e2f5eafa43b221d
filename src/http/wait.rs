//! Read your writes: waiting until every change that is on disk now is searchable.
//!
//! No trust in notifications, which may be late or lost (searches that wait trust them more, see `fresh`): it joins a scan that begins after the call. Then it follows the
//! changes down: what `document_management` owed at the scan's end, what `rag` owed when that was done, and the change of
//! the index's feed that was the newest when that was done.

use std::time::Duration;

use axum::extract::State as Shared;
use serde::Deserialize;
use tokio::time::{Instant, interval, sleep};
use utoipa::IntoParams;

use super::access::Caller;
use super::elsewhere::scanned;
use super::freshness::behind;
use super::lines::Json;
use super::openapi::About;
use super::params::{Params, duration};
use super::problem::{missing, stopping};
use super::status::unlisted;
use super::wire::{Problem, ProblemKind, WaitAnswer, last_error};
use super::{State, count};
use crate::amounts::counted;
use crate::config::format_duration;
use crate::event::{AgentName, Millis, Seq};
use crate::runtime::AgentState;
use crate::store::{DeadLetter, WriteError};

const TIMEOUT: Duration = Duration::from_secs(60);
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the ledger is asked what is still owed; settling a delivery moves no watched number.
const POLL: Duration = Duration::from_millis(20);

/// Who must be on for a change to become searchable.
pub(super) const NEEDED: [AgentName; 3] = [
    AgentName::ChangeDetection,
    AgentName::DocumentManagement,
    AgentName::Rag,
];

/// The query of `POST /api/v1/wait`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    /// A duration with a unit, at most 24h; 60s without it.
    #[param(pattern = "^[0-9]+(ms|s|min|h|d)$")]
    timeout: Option<String>,
}

/// `POST /api/v1/wait`
pub(super) const WAIT: About = About::new("Wait until everything that is on disk is searchable")
    .or(&[
        ProblemKind::AgentMissing,
        ProblemKind::DeadLetter,
        ProblemKind::Timeout,
    ]);

pub(super) async fn wait(
    Shared(state): Shared<State>,
    Params(query): Params<WaitQuery>,
    caller: Caller,
) -> Result<Json<WaitAnswer>, Problem> {
    let timeout = match &query.timeout {
        Some(text) => duration("timeout", text, TIMEOUT_MAX)?,
        None => TIMEOUT,
    };
    for agent in NEEDED {
        if state.board.agent(agent).state == AgentState::Off {
            return Err(missing(agent, AgentState::Off));
        }
    }
    tracing::debug!(uid = caller.uid(), token = caller.token(), "wait requested");
    let began = Instant::now();
    let seq = tokio::select! {
        passed = all_searchable(&state) => passed?,
        () = sleep(timeout) => return Err(late(&state, timeout)),
        () = state.stopping() => return Err(stopping()),
    };
    Ok(Json(WaitAnswer {
        waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        seq: seq.0,
        unlisted: unlisted(&state.scans.progress().borrow()),
    }))
}

/// Waits until all that is on disk now is searchable; gives the newest event at the scan's end.
async fn all_searchable(state: &State) -> Result<Seq, Problem> {
    let began = Millis::now();
    scanned(state).await?;
    state.memory.scanned(began);
    let newest = searchable(state, GivenUp::Fails).await?;
    state.memory.settled(began);
    Ok(newest)
}

/// What whoever waits makes of a change that an agent gave up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// It cannot become searchable: waiting ends at once.
    Fails,
    /// The others are waited for; [`given_up`] tells of it.
    IsPassed,
}

/// Waits until all that is captured now is searchable; gives the newest event at the call.
pub(super) async fn searchable(state: &State, on: GivenUp) -> Result<Seq, Problem> {
    let head = || *state.store.head().borrow();
    while state.memory.is_behind(state) {
        tokio::time::sleep(POLL).await;
    }
    let captured = head().seq;
    settled(state, AgentName::DocumentManagement, captured, on).await?;
    let stored = head().seq;
    settled(state, AgentName::Rag, stored, on).await?;
    let change = head().change;
    let mut follower = state.searcher.state();
    match follower.wait_for(|f| f.ready && f.position >= change).await {
        Ok(_) => Ok(captured),
        Err(_) => Err(Problem::new(
            ProblemKind::Internal,
            "the index's follower has ended",
        )),
    }
}

/// Waits until `agent` owes nothing up to `seq` and the store's head is past everything that came of it.
pub(super) async fn settled(
    state: &State,
    agent: AgentName,
    seq: Seq,
    on: GivenUp,
) -> Result<(), Problem> {
    let mut poll = interval(POLL);
    loop {
        poll.tick().await;
        let owes = state.store.owes_up_to(agent, seq).await?;
        if on == GivenUp::Fails
            && let Some(dead) = state.store.gave_up(agent, seq, None).await?
        {
            return Err(died(&dead));
        }
        // What the store shows as done, its head may not show yet: the head is written after the commit.
        if !owes && caught_up(state).await? {
            return Ok(());
        }
    }
}

/// What cannot become searchable because an agent gave up on it, `within` these collections or in any.
pub(super) async fn given_up(
    state: &State,
    within: Option<&[String]>,
) -> Result<Option<Problem>, Problem> {
    let head = state.store.head().borrow().seq;
    for agent in [AgentName::DocumentManagement, AgentName::Rag] {
        if let Some(dead) = state.store.gave_up(agent, head, within).await? {
            return Ok(Some(died(&dead)));
        }
    }
    Ok(None)
}

/// Whether the store's head shows all that was committed before this call; false: not now, ask again.
pub(super) async fn caught_up(state: &State) -> Result<bool, Problem> {
    match state.store.barrier().await {
        Ok(()) => Ok(true),
        Err(WriteError::Closed) => Err(stopping()),
        // A disk that is full, for example: it may pass while there is time.
        Err(_) => Ok(false),
    }
}

fn died(dead: &DeadLetter) -> Problem {
    let why = last_error(&dead.errors).unwrap_or("no reason is recorded");
    let detail = format!(
        "{} cannot become searchable: {} gave up on {} {}: {why}",
        dead.subject, dead.agent, dead.kind, dead.event
    );
    Problem::new(ProblemKind::DeadLetter, detail).hint(format!(
        "fix the cause, then run `docent dead replay {}`",
        dead.event
    ))
}

/// That it took too long, and what is still on its way.
fn late(state: &State, timeout: Duration) -> Problem {
    let mut pending = Vec::new();
    let progress = state.scans.progress().borrow().clone();
    if let Some(collection) = &progress.scanning {
        pending.push(format!(
            "the scan of {collection} is running ({} files seen)",
            progress.seen
        ));
    }
    if progress.pending > 0 {
        let files = counted(progress.pending, "file waits", "files wait");
        pending.push(format!("{files} to be captured"));
    }
    if let Some(why) = &progress.held {
        pending.push(format!("captures are held: {why}"));
    }
    for agent in NEEDED {
        let status = state.board.agent(agent);
        let owed = count(state.store.counts(agent).owed);
        if let Some((why, _)) = &status.unavailable {
            pending.push(format!("{agent} waits: {why}"));
        }
        if owed > 0 {
            pending.push(format!("{agent} owes {owed}"));
        }
        if status.state != AgentState::Running {
            pending.push(format!("{agent} is {}", status.state.as_str()));
        }
    }
    let follower = state.follower();
    let behind = behind(&follower, state.store.head().borrow().change);
    match &follower.stopped {
        Some(why) => pending.push(format!("the index does not follow: {why}")),
        None if !follower.ready => pending.push("the index is being opened or rebuilt".to_owned()),
        None if behind > 0 => {
            let changes = counted(behind, "change", "changes");
            pending.push(format!("the index is {changes} behind"));
        }
        None => {}
    }
    if pending.is_empty() {
        pending.push("a scan that begins after the call has not ended".to_owned());
    }
    let detail = format!(
        "not everything is searchable after {}: {}",
        format_duration(timeout),
        pending.join("; ")
    );
    Problem::new(ProblemKind::Timeout, detail)
        .hint("give it longer with --timeout, or see `docent status`")
}
