//! Acts on all dead letters of a group, by what the API does with one of them.

use axum::extract::State as Shared;

use super::super::State;
use super::super::access::Caller;
use super::super::operate::{OfAgent, drop_dead, replay_dead};
use super::super::overview::of_group;
use super::super::params::{Named, Params};
use super::super::wire::{Dead, Problem, ProblemKind};
use crate::amounts::counted;

/// What is done with each.
#[derive(Debug, Clone, Copy)]
pub(super) enum GroupVerb {
    Replay,
    Drop,
}

impl GroupVerb {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "replay" => Ok(GroupVerb::Replay),
            "drop" => Ok(GroupVerb::Drop),
            _ => {
                let detail = format!("`{text}` is not an act on dead letters");
                Err(Problem::new(ProblemKind::NotFound, detail))
            }
        }
    }
}

/// Does it with all that are in the group now, and says what came of it.
pub(super) async fn act(
    state: &State,
    id: &str,
    verb: GroupVerb,
    caller: &Caller,
) -> Result<String, Problem> {
    let letters = of_group(state, id).await?;
    if letters.is_empty() {
        let detail = "this group no longer has a dead letter";
        return Err(Problem::new(ProblemKind::NotFound, detail)
            .hint("somebody may have replayed or dropped them meanwhile"));
    }
    let mut done = 0;
    for letter in letters {
        match one(state, letter, verb, caller).await {
            Ok(()) => done += 1,
            // Somebody was quicker.
            Err(problem) if problem.is(ProblemKind::NotFound) => {}
            Err(problem) => {
                let detail = format!("{}; then: {}", said(verb, done), problem.detail);
                return Err(Problem { detail, ..problem });
            }
        }
    }
    Ok(said(verb, done))
}

async fn one(state: &State, letter: Dead, verb: GroupVerb, caller: &Caller) -> Result<(), Problem> {
    // An entry of another program is of no agent.
    let agent = Some(letter.agent).filter(|agent| agent != "ingress");
    let (state, id) = (Shared(state.clone()), Named(letter.event));
    let (agent, caller) = (Params(OfAgent::named(agent)), caller.clone());
    match verb {
        GroupVerb::Replay => replay_dead(state, id, agent, caller).await.map(drop),
        GroupVerb::Drop => drop_dead(state, id, agent, caller).await.map(drop),
    }
}

fn said(verb: GroupVerb, done: u64) -> String {
    match verb {
        GroupVerb::Replay => format!(
            "Replayed: {} owed again",
            counted(done, "delivery is", "deliveries are")
        ),
        GroupVerb::Drop => format!(
            "Dropped: {} done with",
            counted(done, "dead letter is", "dead letters are")
        ),
    }
}
