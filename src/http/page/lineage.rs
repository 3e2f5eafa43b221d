//! The chain of an event as a list of rows with their depths: what led to it, the event, and what it caused.

use std::collections::HashMap;

use crate::event::codec::Envelope;
use crate::event::{Event, EventId};
use crate::http::State;
use crate::http::access::Caller;
use crate::http::wire::Problem;

/// Events that led to one, at most.
const CAUSES: usize = 50;

/// Events that one caused, at most, and how many steps away they are.
const CAUSED: usize = 200;
const DEPTH: usize = 8;

/// A row of the chain.
pub(super) struct ChainLink {
    pub(super) event: Envelope,
    /// Whether it is the event whose chain this is.
    pub(super) is_here: bool,
    /// Lists that begin with it, or end behind it: it is the first of what the row before it caused, and so many end.
    pub(super) opens: bool,
    pub(super) closes: usize,
}

/// The chain of an event.
#[derive(Default)]
pub(super) struct Lineage {
    pub(super) links: Vec<ChainLink>,
    /// The id of what caused the first row, which is not there.
    pub(super) missing: Option<String>,
    /// Whether the events that are shown caused more.
    pub(super) cut_off: bool,
}

impl Lineage {
    /// Whether the event has no chain but itself.
    pub(super) fn is_alone(&self) -> bool {
        self.links.len() == 1 && self.missing.is_none()
    }
}

/// The chain of an event as this caller sees it.
pub(super) async fn lineage(
    state: &State,
    caller: &Caller,
    event: &Envelope,
) -> Result<Lineage, Problem> {
    let cause = event.causation.as_deref().and_then(|id| id.parse().ok());
    let mut causes = state.store.causes_of(cause, CAUSES).await?;
    let is_hidden = |event: &Event| !caller.sees(event.subject.as_str());
    if let Some(hidden) = causes.iter().position(is_hidden) {
        causes.truncate(hidden);
    }
    let missing = match causes.last() {
        Some(first) => first.causation.map(|id| id.to_string()),
        None => event.causation.clone(),
    };
    let (caused, cut_off) = caused(state, caller, event).await?;
    let mut links = Vec::new();
    for (place, cause) in causes.iter().rev().enumerate() {
        links.push(ChainLink {
            event: Envelope::from(cause),
            is_here: false,
            opens: place > 0,
            closes: 0,
        });
    }
    let opens = !links.is_empty();
    let above = links.len().saturating_sub(1);
    links.push(ChainLink {
        event: event.clone(),
        is_here: true,
        opens,
        closes: 0,
    });
    below(&event.id, &caused, &mut links);
    if let Some(last) = links.last_mut() {
        last.closes += above + usize::from(opens);
    }
    Ok(Lineage {
        links,
        missing,
        cut_off,
    })
}

type Caused = HashMap<String, Vec<Envelope>>;

/// What an event caused, by what caused it, step by step; and whether there is more.
async fn caused(
    state: &State,
    caller: &Caller,
    event: &Envelope,
) -> Result<(Caused, bool), Problem> {
    let mut caused = Caused::new();
    let mut step: Vec<EventId> = event.id.parse().into_iter().collect();
    let mut left = CAUSED;
    for _ in 0..DEPTH {
        // One more than there is room for tells that there is more.
        let mut found = state
            .store
            .caused_by(step, left + 1, caller.limit())
            .await?;
        let is_cut = found.len() > left;
        found.truncate(left);
        step = found.iter().map(|event| event.id).collect();
        left -= found.len();
        for event in &found {
            let envelope = Envelope::from(event);
            let of = envelope.causation.clone().unwrap_or_default();
            caused.entry(of).or_default().push(envelope);
        }
        if is_cut || step.is_empty() {
            return Ok((caused, is_cut));
        }
    }
    let more = state.store.caused_by(step, 1, caller.limit()).await?;
    let more = !more.is_empty();
    Ok((caused, more))
}

/// Adds what an event caused, each followed by what that caused. No deeper than the steps that were read.
fn below(id: &str, caused: &Caused, links: &mut Vec<ChainLink>) {
    let children = caused.get(id).map_or(&[][..], Vec::as_slice);
    for (place, child) in children.iter().enumerate() {
        links.push(ChainLink {
            event: child.clone(),
            is_here: false,
            opens: place == 0,
            closes: 0,
        });
        below(&child.id, caused, links);
    }
    if let Some(last) = links.last_mut().filter(|_| !children.is_empty()) {
        last.closes += 1;
    }
}
