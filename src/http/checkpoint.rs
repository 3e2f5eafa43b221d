//! Follows, while changes keep coming, up to when all of them are searchable.
//!
//! When nothing is pending, everything is. Where something always is, a *checkpoint* tells: all that was noticed before it is
//! captured, and what came of that is followed through the agents to the index.

use super::State;
use super::freshness::{Elsewhere, unscanned};
use super::wait::caught_up;
use super::wire::Problem;
use crate::event::{AgentName, Millis, Seq};

/// A moment before which everything that was noticed is captured, and how far that has come.
#[derive(Debug)]
pub(super) struct Checkpoint {
    at: Millis,
    stage: Stage,
    /// How often the store had lost commits.
    losses: u64,
}

/// What is still to come of it.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// What was captured, up to this event, is to be stored as documents.
    Captured(Seq),
    /// What was stored, up to this event, is to be chunked.
    Stored(Seq),
    /// What was chunked, up to this change, is to be in the index.
    Chunked(u64),
}

/// Takes a checkpoint, or follows the one that was taken; at its end what is known to be searchable is noted.
pub(super) async fn follow(
    state: &State,
    checkpoint: &mut Option<Checkpoint>,
) -> Result<(), Problem> {
    // It stays in its place also where this is dropped half-way.
    let current = match checkpoint {
        Some(current) => current,
        None => match take(state).await? {
            Some(taken) => checkpoint.insert(taken),
            None => return Ok(()),
        },
    };
    if current.losses != state.store.head().borrow().losses {
        *checkpoint = None;
        return Ok(());
    }
    loop {
        let follower = state.follower();
        let is_over = match current.stage {
            Stage::Captured(seq) => !owes(state, AgentName::DocumentManagement, seq).await?,
            Stage::Stored(seq) => !owes(state, AgentName::Rag, seq).await?,
            Stage::Chunked(change) => follower.ready && follower.position >= change,
        };
        if !is_over || !caught_up(state).await? {
            return Ok(());
        }
        let head = *state.store.head().borrow();
        current.stage = match current.stage {
            Stage::Captured(_) => Stage::Stored(head.seq),
            Stage::Stored(_) => Stage::Chunked(head.change),
            Stage::Chunked(_) => {
                state.memory.settled(current.at);
                *checkpoint = None;
                return Ok(());
            }
        };
    }
}

/// A checkpoint at the newest moment that there can be one for, if that tells something new.
async fn take(state: &State) -> Result<Option<Checkpoint>, Problem> {
    let now = Millis::now();
    let elsewhere = Elsewhere::read(state).await?;
    let noticed = {
        let progress = state.scans.progress();
        let progress = progress.borrow();
        let since = match progress.pending {
            0 => Some(now),
            _ => progress.pending_since,
        };
        since.filter(|_| progress.caught_up)
    };
    let captured = elsewhere.captured_to(state).unwrap_or(Some(now));
    let (Some(noticed), Some(captured)) = (noticed, captured) else {
        return Ok(None);
    };
    let at = now.min(noticed).min(captured);
    let is_new = Some(at) > state.memory.settled_at();
    if !is_new || state.memory.is_behind(state) || unscanned(state, &elsewhere).await?.is_some() {
        return Ok(None);
    }
    if !caught_up(state).await? {
        return Ok(None);
    }
    let head = *state.store.head().borrow();
    Ok(Some(Checkpoint {
        at,
        stage: Stage::Captured(head.seq),
        losses: head.losses,
    }))
}

/// What failed for good is owed no more.
async fn owes(state: &State, agent: AgentName, seq: Seq) -> Result<bool, Problem> {
    Ok(state.store.owes_up_to(agent, seq).await?)
}
