//! Dead letters.

use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::{Map, json};
use utoipa::IntoParams;

use super::access::Caller;
use super::lines::{Json, ListOf, PAGE, Page, paged_object};
use super::openapi::About;
use super::params::{Named, Params, limited};
use super::wire::{self, Dead, DeadList, DeadView, Envelope, Problem, ProblemKind};
use super::{State, count, ingress};
use crate::event::{AgentName, EventId, Seq};
use crate::store::{DeadLetter, DeliveryState};

/// Dead letters in one answer.
const LIST_MAX: usize = 10_000;
const LISTED: usize = 1000;

/// The query of `GET /api/v1/dead`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadQuery {
    /// At most so many.
    #[param(minimum = 1, maximum = 10_000, default = 1000)]
    limit: Option<usize>,
}

pub(super) const LIST: About = About::new("List dead letters");

/// `GET /api/v1/dead`: the dead deliveries, oldest first, then the entries of other programs.
pub(super) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<DeadQuery>,
) -> Result<ListOf<DeadList>, Problem> {
    let limit = limited("limit", query.limit, LISTED, LIST_MAX)?;
    let total = total(&state, &caller).await?;
    let rest = Map::from_iter([("total".to_owned(), json!(total))]);
    paged_object(
        "dead",
        rest,
        (ListPosition::Start, limit),
        move |(place, limit)| {
            let (state, caller) = (state.clone(), caller.clone());
            async move { page(&state, &caller, place, limit).await }
        },
    )
    .await
}

/// How many there are for this caller.
async fn total(state: &State, caller: &Caller) -> Result<u64, Problem> {
    if caller.limit().is_none() {
        let of_agents = AgentName::ALL.iter();
        let of_agents: u64 = of_agents.map(|a| count(state.store.counts(*a).dead)).sum();
        return Ok(of_agents + state.store.ingress_dead_count().await?);
    }
    let (mut total, mut after) = (0, None);
    loop {
        let letters = state
            .store
            .dead_letters(after, PAGE, caller.limit())
            .await?;
        let Some(last) = letters.last() else {
            return Ok(total);
        };
        after = Some((last.seq, last.agent));
        total += letters.len() as u64;
    }
}

/// Up to where the list has come.
enum ListPosition {
    Start,
    Letter(Seq, AgentName),
    /// An entry of another program.
    Entry(u64),
}

/// The next page of at most `limit`, and what is left of that.
async fn page(
    state: &State,
    caller: &Caller,
    place: ListPosition,
    limit: usize,
) -> Result<Option<(Page<Dead>, (ListPosition, usize))>, Problem> {
    let most = limit.min(PAGE);
    let (mut page, mut left) = (Page::default(), limit);
    let mut next = None;
    let after = match &place {
        ListPosition::Start => Some(None),
        ListPosition::Letter(seq, agent) => Some(Some((*seq, *agent))),
        ListPosition::Entry(_) => None,
    };
    if let Some(after) = after {
        let letters = state.store.dead_letters(after, most, caller.limit());
        for letter in letters.await? {
            next = Some(ListPosition::Letter(letter.seq, letter.agent));
            page.push(&dead(letter))?;
            left -= 1;
        }
    }
    if next.is_none() && caller.limit().is_none() {
        let after = match place {
            ListPosition::Entry(n) => n,
            ListPosition::Start | ListPosition::Letter(..) => 0,
        };
        for row in state.store.ingress_dead(after, most).await? {
            next = Some(ListPosition::Entry(row.n));
            page.push(&ingress::dead(row))?;
            left -= 1;
        }
    }
    Ok(next.map(|place| (page, (place, left))))
}

/// A dead letter as it is told.
pub(super) fn dead(letter: DeadLetter) -> Dead {
    Dead {
        event: letter.event.to_string(),
        agent: letter.agent.to_string(),
        kind: letter.kind.to_string(),
        subject: letter.subject.to_string(),
        attempts: letter.attempts,
        errors: letter.errors,
        at: letter.at.to_string(),
    }
}

/// The query of `GET /api/v1/dead/{id}`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowQuery {
    /// Only what this agent owes.
    #[param(schema_with = wire::agent_name)]
    agent: Option<String>,
}

pub(super) const SHOW: About = About::new("Show a dead letter").or(&[ProblemKind::NotFound]);

/// `GET /api/v1/dead/{id}`: an event with its dead deliveries, or an entry of another program.
pub(super) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    Named(id): Named,
    Params(query): Params<ShowQuery>,
) -> Result<Json<DeadView>, Problem> {
    if let Some(row) = ingress::kept(&state, &caller, &id).await? {
        return Ok(ingress::view(row));
    }
    let id = event_named(&state, &caller, &id).await?;
    let agent = query.agent.as_deref().map(agent_name).transpose()?;
    let found = state.store.event(id).await?;
    let Some((event, deliveries, _)) = found.filter(|(e, _, _)| caller.sees(e.subject.as_str()))
    else {
        return Err(unknown_event(id));
    };
    let dead: Vec<Dead> = deliveries
        .into_iter()
        .filter(|d| d.state == DeliveryState::Dead && agent.is_none_or(|a| a == d.agent))
        .map(|d| Dead {
            event: id.to_string(),
            agent: d.agent.to_string(),
            kind: event.kind.to_string(),
            subject: event.subject.to_string(),
            attempts: d.attempts,
            errors: d.errors,
            at: d.settled_at.unwrap_or_default().to_string(),
        })
        .collect();
    if dead.is_empty() {
        let of = agent.map_or_else(String::new, |agent| format!(" of {agent}"));
        let detail = format!("the event {id} has no dead delivery{of}");
        return Err(Problem::new(ProblemKind::NotFound, detail)
            .hint(format!("`docent events show {id}` shows its deliveries")));
    }
    Ok(Json(DeadView {
        event: Some(Envelope::from(&event)),
        dead,
    }))
}

/// Digits of an id that name an event, at least.
const DIGITS_MIN: usize = 4;

/// Events that an ambiguous part of an id lists.
const CANDIDATES: usize = 10;

/// The event that a text names: its id, or the beginning or the end of it, where no other event has that. None: no event
/// has it, and it is no id.
pub(super) async fn named_event(
    state: &State,
    caller: &Caller,
    text: &str,
) -> Result<Option<EventId>, Problem> {
    if let Ok(id) = text.parse() {
        return Ok(Some(id));
    }
    let part = text.to_ascii_lowercase();
    let digits = part.bytes().filter(u8::is_ascii_hexdigit).count();
    if digits < DIGITS_MIN || digits + part.matches('-').count() < part.len() {
        return Ok(None);
    }
    let named = state
        .store
        .events_named(part, CANDIDATES + 1, caller.limit());
    let mut found = named.await?;
    if found.len() < 2 {
        return Ok(found.pop().map(|event| event.id));
    }
    let shown = found.iter().take(CANDIDATES);
    let shown: Vec<String> = shown
        .map(|event| format!("{} ({} {})", event.id, event.kind, event.subject))
        .collect();
    let more = if found.len() > CANDIDATES {
        ", and more"
    } else {
        ""
    };
    let detail = format!(
        "`{text}` is in the ids of several events: {}{more}",
        shown.join(", ")
    );
    Err(Problem::new(ProblemKind::BadRequest, detail).hint("write more of the id"))
}

/// The event that a text in a path names.
pub(super) async fn event_named(
    state: &State,
    caller: &Caller,
    text: &str,
) -> Result<EventId, Problem> {
    let found = named_event(state, caller, text).await?;
    found.ok_or_else(|| {
        let is_part =
            text.len() >= DIGITS_MIN && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
        if !is_part {
            let detail = format!("`{text}` is not an event's id, which is a UUID");
            let hint = "write the id, or at least four digits of its beginning or end";
            return Problem::new(ProblemKind::BadRequest, detail).hint(hint);
        }
        let detail = format!("no event in the ledger has an id that begins or ends with `{text}`");
        Problem::new(ProblemKind::NotFound, detail)
            .hint("`docent events list` and `docent dead list` show the ids")
    })
}

/// An event that is not in the ledger: never was, or not any more.
pub(super) fn unknown_event(id: EventId) -> Problem {
    let detail = format!("there is no event {id} in the ledger");
    Problem::new(ProblemKind::NotFound, detail).hint(
        "if it existed, it was handled and removed after [delivery] ledger_keep; `docent audit list` keeps it longer, \
         and `docent scan` looks again at the file that it was about",
    )
}

/// An agent's name in a path or a query.
pub(super) fn agent_name(text: &str) -> Result<AgentName, Problem> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = AgentName::ALL.iter().map(|a| a.as_str()).collect();
        let detail = format!(
            "there is no agent `{text}`; there are: {}",
            names.join(", ")
        );
        Problem::new(ProblemKind::BadRequest, detail)
    })
}
