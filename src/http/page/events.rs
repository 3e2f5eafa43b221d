//! `/events`: the events of the ledger, newest first.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};

use super::asked::{self, Asked};
use super::listed::{Listed, read_back_to};
use super::{PageFrame, show};
use crate::event::{Event, EventType, Seq};
use crate::http::State;
use crate::http::access::Caller;
use crate::http::dead::event_named;
use crate::http::wire::{Problem, ProblemKind, last_error};
use crate::store::{DeliveryState, DeliveryView, EventSearch, PastEvent, PastRow, Span};

/// Rows of a page.
const ROWS: usize = 50;

/// Rows that one slice gives where those of others are among them.
const ROWS_OF_ALL: usize = 1000;

/// Slices of the ledger that are read for a page.
const SLICES: usize = 10;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    page: PageFrame,
    asked: Asked,
    kinds: Vec<&'static str>,
    list: Listed<EventRow>,
    problem: Option<Problem>,
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
        Some(format!("{}: {}", worst.agent, last_error(&worst.errors)?))
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
    let (list, problem) = Listed::split(list);
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

async fn list(state: &State, caller: &Caller, asked: &Asked) -> Result<Listed<EventRow>, Problem> {
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
    let is_limited = caller.limit().is_some();
    let (rows, reached) = cut(rows, next);
    let before = match (reached, rows.last()) {
        (Reached::Slice(row), _) => Some(Seq(row.key)),
        (Reached::Page, Some(last)) => Some(last.event.seq),
        (Reached::Page, None) | (Reached::End, _) => None,
    };
    Ok(Listed {
        next: before.map(|seq| asked.link("/events", &[("before", &seq.to_string())])),
        read_to: match reached {
            // When others' events were published is not told.
            Reached::Slice(_) if is_limited => Some("Not all events were searched yet.".to_owned()),
            Reached::Slice(row) => Some(read_back_to(row.time)),
            Reached::Page | Reached::End => None,
        },
        rows,
    })
}

/// What ended the search for the rows of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// There is nothing older.
    End,
    /// The page is full, and the list goes on behind its last row.
    Page,
    /// Enough was read for one page, up to this row, and the page is not full.
    Slice(PastRow),
}

/// The rows that are on the page; `next`: where the next slice goes on.
fn cut(mut rows: Vec<EventRow>, next: Option<PastRow>) -> (Vec<EventRow>, Reached) {
    let is_more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let reached = match next {
        _ if is_more => Reached::Page,
        None => Reached::End,
        Some(_) if rows.len() == ROWS => Reached::Page,
        Some(row) => Reached::Slice(row),
    };
    (rows, reached)
}
