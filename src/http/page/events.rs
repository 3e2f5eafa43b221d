//! `/events`: the events of the ledger, newest first.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};

use super::asked::{self, Asked};
use super::{PageFrame, show};
use crate::event::{Event, EventType, Seq};
use crate::http::State;
use crate::http::access::Caller;
use crate::http::dead::event_named;
use crate::http::wire::{Problem, ProblemKind};
use crate::store::{DeliveryState, DeliveryView, EventSearch, PastEvent, PastRow, Span};

/// Rows of a page.
const ROWS: usize = 50;

/// Rows that one slice gives where those of others are among them.
const ROWS_OF_ALL: usize = 1000;

/// Slices of the ledger that a page looks through.
const SLICES: usize = 10;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    page: PageFrame,
    asked: Asked,
    kinds: Vec<&'static str>,
    list: EventList,
    problem: Option<Problem>,
}

/// The rows of a page.
#[derive(Default)]
struct EventList {
    rows: Vec<EventRow>,
    /// Where the list goes on.
    next: Option<String>,
    /// Up to when was looked, where that did not fill the page.
    looked_to: Option<String>,
}

struct EventRow {
    event: Event,
    deliveries: Vec<DeliveryView>,
}

impl EventRow {
    fn time(&self) -> String {
        self.event.time.to_string()
    }

    fn link(&self) -> String {
        show::event_link(&self.event.id.to_string())
    }

    fn short_id(&self) -> String {
        show::tail(&self.event.id.to_string())
    }

    /// How many deliveries are in each state that one of them is in, with its colour.
    fn states(&self) -> Vec<(usize, &'static str, &'static str)> {
        let states = [
            (DeliveryState::Dead, "bad"),
            (DeliveryState::Owed, "doubt"),
            (DeliveryState::Done, "good"),
        ];
        let counted = states.map(|(state, colour)| {
            let count = self.deliveries.iter().filter(|d| d.state == state).count();
            (count, state.as_str(), colour)
        });
        counted
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .collect()
    }

    /// The last error of the delivery that stands worst.
    fn error(&self) -> Option<String> {
        let failed = self.deliveries.iter().filter(|d| d.attempts > 0);
        let worst = failed.max_by_key(|d| match d.state {
            DeliveryState::Dead => 2,
            DeliveryState::Owed => 1,
            DeliveryState::Done => 0,
        })?;
        let last = worst.errors.as_array()?.last()?;
        let text = last["error"].as_str()?;
        Some(format!("{}: {text}", worst.agent))
    }
}

const PARAMETERS: &[&str] = &["id", "type", "subject", "error", "since", "until", "before"];

pub(super) async fn page(
    Shared(state): Shared<State>,
    caller: Caller,
    page: PageFrame,
    uri: Uri,
) -> Response {
    let (asked, list) = match Asked::only(&uri, PARAMETERS) {
        Ok(asked) => {
            let list = match asked.given("id") {
                Some(id) => match event_named(&state, &caller, &id).await {
                    Ok(id) => {
                        let link = show::event_link(&id.to_string());
                        return Redirect::to(&link).into_response();
                    }
                    Err(problem) => Err(problem),
                },
                None => list(&state, &caller, &asked).await,
            };
            (asked, list)
        }
        Err(problem) => (Asked::default(), Err(problem)),
    };
    let (list, problem) = match list {
        Ok(list) => (list, None),
        Err(problem) => (EventList::default(), Some(problem)),
    };
    let status = problem.as_ref().map(|problem| problem.status);
    let page = EventsPage {
        page,
        asked,
        kinds: EventType::ALL.iter().map(|kind| kind.as_str()).collect(),
        list,
        problem,
    };
    asked::answer(status, page)
}

async fn list(state: &State, caller: &Caller, asked: &Asked) -> Result<EventList, Problem> {
    let kind = asked.given("type").as_deref().map(str::parse).transpose();
    let wanted = EventSearch {
        kind: kind.map_err(|e: crate::event::routing::UnknownName| {
            Problem::new(ProblemKind::BadRequest, e.to_string())
        })?,
        subject: asked.given("subject"),
        error: asked.given("error"),
    };
    let mut span = asked::span(asked)?;
    let limit = match caller.limit() {
        None => ROWS,
        Some(_) => ROWS_OF_ALL,
    };
    let (mut rows, mut next) = (Vec::new(), None);
    for _ in 0..SLICES {
        let found = state
            .store
            .search_events(wanted.clone(), span, limit)
            .await?;
        let seen = |row: &PastEvent| caller.sees(row.event.subject.as_str());
        rows.extend(found.rows.into_iter().filter(seen).map(|row| EventRow {
            event: row.event,
            deliveries: row.deliveries,
        }));
        next = found.next;
        let Some(reached) = found.next else { break };
        span = Span {
            before: Some(reached.key),
            ..span
        };
        if rows.len() >= ROWS {
            break;
        }
    }
    Ok(cut(rows, next, caller))
}

/// What of the rows is on the page.
fn cut(mut rows: Vec<EventRow>, next: Option<PastRow>, caller: &Caller) -> EventList {
    let is_full = rows.len() >= ROWS && (next.is_some() || rows.len() > ROWS);
    if rows.len() > ROWS {
        rows.truncate(ROWS);
    }
    let last = rows.last().filter(|_| is_full).map(|row| row.event.seq);
    let reached = next.filter(|_| !is_full);
    EventList {
        next: last
            .or(reached.map(|row| Seq(row.key)))
            .map(|seq| seq.to_string()),
        // When others' events were published is not told.
        looked_to: reached
            .filter(|_| caller.limit().is_none())
            .map(|row| row.time.to_string()),
        rows,
    }
}
