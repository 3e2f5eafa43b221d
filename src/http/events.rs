//! Events: the past, one of them, and what comes.

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;

use super::State;
use super::access::Caller;
use super::dead::event_named;
use super::dead::unknown_event;
use super::lines::{Json, PAGE, broken_off, paged, push_line, response};
use super::params::{Params, moment};
use super::wire::{Delivery, Envelope, EventView, Problem, ProblemKind};
use crate::event::Seq;
use crate::store::EventFilter;

/// The query of `GET /api/v1/events`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    subject: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    correlation: Option<String>,
    since: Option<String>,
    /// At most so many; without it all that the ledger still has.
    limit: Option<usize>,
}

/// `GET /api/v1/events`: events, newest first, one a line.
pub(super) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<EventsQuery>,
) -> Result<Response, Problem> {
    let bad = |e: crate::event::routing::UnknownName| {
        Problem::new(ProblemKind::BadRequest, e.to_string())
    };
    let filter = EventFilter {
        subject: query.subject,
        kind: query
            .kind
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(bad)?,
        correlation: match &query.correlation {
            Some(text) => Some(event_named(&state, &caller, text).await?),
            None => None,
        },
        since: query
            .since
            .as_deref()
            .map(|text| moment("since", text))
            .transpose()?,
        before: None,
        limit: 0,
    };
    let wanted = query.limit.unwrap_or(usize::MAX);
    paged((None, wanted), move |(before, wanted)| {
        let (state, caller, filter) = (state.clone(), caller.clone(), filter.clone());
        async move { page(&state, &caller, filter, before, wanted).await }
    })
    .await
}

type Cursor = (Option<Seq>, usize);

/// The next page that has something for this caller.
async fn page(
    state: &State,
    caller: &Caller,
    filter: EventFilter,
    mut before: Option<Seq>,
    wanted: usize,
) -> Result<Option<(Vec<u8>, Cursor)>, Problem> {
    let limit = wanted.min(PAGE);
    loop {
        let wanted_now = EventFilter {
            before,
            limit,
            ..filter.clone()
        };
        let events = state.store.events(wanted_now).await?;
        let Some(last) = events.last().map(|event| event.seq) else {
            return Ok(None);
        };
        before = Some(last);
        let mut page = Vec::new();
        let mut shown = 0;
        for event in events.iter().filter(|e| caller.sees(e.subject.as_str())) {
            push_line(&mut page, &Envelope::from(event))?;
            shown += 1;
        }
        if shown > 0 {
            return Ok(Some((page, (before, wanted - shown))));
        }
    }
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EventView>, Problem> {
    let id = event_named(&state, &caller, &id).await?;
    let found = state.store.event(id).await?;
    let Some((event, deliveries, mut caused)) =
        found.filter(|(e, _, _)| caller.sees(e.subject.as_str()))
    else {
        return Err(unknown_event(id));
    };
    caused.retain(|event| caller.sees(event.subject.as_str()));
    let deliveries = deliveries.into_iter().map(|delivery| Delivery {
        agent: delivery.agent.to_string(),
        state: delivery.state.into(),
        attempts: delivery.attempts,
        errors: delivery.errors,
        settled_at: delivery.settled_at.map(|at| at.to_string()),
    });
    Ok(Json(EventView {
        deliveries: deliveries.collect(),
        caused: caused.iter().map(Envelope::from).collect(),
        event: Envelope::from(&event),
    }))
}

/// `GET /api/v1/tail`: events from now on, one a line, in the order of the ledger, until the client has enough.
pub(super) async fn tail(Shared(state): Shared<State>, caller: Caller) -> Response {
    let head = state.store.head();
    let cursor = head.borrow().seq;
    response(stream::try_unfold(
        ((state, caller), head, cursor),
        |((state, caller), mut head, mut cursor)| async move {
            loop {
                // Seen before the look: a commit during it wakes the wait below.
                head.borrow_and_update();
                let events = state
                    .store
                    .events_after(cursor, PAGE)
                    .await
                    .map_err(|e| broken_off(e.into()))?;
                if let Some(last) = events.last().map(|event| event.seq) {
                    cursor = last;
                    let mut page = Vec::new();
                    for event in events.iter().filter(|e| caller.sees(e.subject.as_str())) {
                        push_line(&mut page, &Envelope::from(event)).map_err(broken_off)?;
                    }
                    if page.is_empty() {
                        continue;
                    }
                    return Ok(Some((Bytes::from(page), ((state, caller), head, cursor))));
                }
                tokio::select! {
                    changed = head.changed() => if changed.is_err() { return Ok(None) },
                    () = state.stop.cancelled() => return Ok(None),
                }
            }
        },
    ))
}
