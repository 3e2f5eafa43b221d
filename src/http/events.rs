//! Events: the past, one of them, and what comes.

use axum::extract::State as Shared;
use futures_util::stream;
use serde::Deserialize;
use utoipa::IntoParams;

use super::State;
use super::access::Caller;
use super::dead::event_named;
use super::dead::unknown_event;
use super::follow::LOST;
use super::lines::{Json, Lines, PAGE, Page, broken_off, paged};
use super::openapi::About;
use super::params::{Named, Params, moment};
use super::wire::{Delivery, Envelope, EventView, Problem, ProblemKind, event_type};
use crate::event::Seq;
use crate::store::{EventFilter, Head};

/// The query of `GET /api/v1/events`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only events about this.
    subject: Option<String>,
    #[serde(rename = "type")]
    #[param(schema_with = event_type)]
    kind: Option<String>,
    /// Only events of this chain: the id of its first one.
    correlation: Option<String>,
    #[param(format = DateTime)]
    since: Option<String>,
    /// At most so many; without it all that the ledger still has.
    #[param(minimum = 0)]
    limit: Option<usize>,
}

pub(super) const LIST: About =
    About::new("List past events, newest first").or(&[ProblemKind::NotFound]);

/// `GET /api/v1/events`: events, newest first, one a line.
pub(super) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<EventsQuery>,
) -> Result<Lines<Envelope>, Problem> {
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
        within: caller.limit().map(<[String]>::to_vec),
        before: None,
        limit: 0,
    };
    let wanted = query.limit.unwrap_or(usize::MAX);
    paged((None, wanted), move |(before, wanted)| {
        let (state, filter) = (state.clone(), filter.clone());
        async move { page(&state, filter, before, wanted).await }
    })
    .await
}

type Cursor = (Option<Seq>, usize);

/// The next page of at most `wanted` events.
async fn page(
    state: &State,
    filter: EventFilter,
    before: Option<Seq>,
    wanted: usize,
) -> Result<Option<(Page<Envelope>, Cursor)>, Problem> {
    let limit = wanted.min(PAGE);
    let filter = EventFilter {
        before,
        limit,
        ..filter
    };
    let events = state.store.events(filter).await?;
    let Some(last) = events.last().map(|event| event.seq) else {
        return Ok(None);
    };
    let mut page = Page::default();
    for event in &events {
        page.push(&Envelope::from(event))?;
    }
    Ok(Some((page, (Some(last), wanted - events.len()))))
}

/// `GET /api/v1/events/{id}`
pub(super) const SHOW: About =
    About::new("Show an event and what it caused").or(&[ProblemKind::NotFound]);

pub(super) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    Named(id): Named,
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

pub(super) const TAIL: About = About::new("Follow events, one a line");

/// `GET /api/v1/tail`: events from now on, one a line, in the order of the ledger, until the client has enough.
pub(super) async fn tail(Shared(state): Shared<State>, caller: Caller) -> Lines<Envelope> {
    let head = state.store.head();
    let Head { seq, losses, .. } = *head.borrow();
    Lines::new(stream::try_unfold(
        ((state, caller), head, seq),
        move |((state, caller), mut head, mut cursor)| async move {
            loop {
                // Seen before the look: a commit during it wakes the wait below.
                if head.borrow_and_update().losses != losses {
                    let lost = Problem::new(ProblemKind::StoreUnavailable, LOST);
                    return Err(broken_off(lost));
                }
                let events = state
                    .store
                    .events_after(cursor, PAGE)
                    .await
                    .map_err(|e| broken_off(e.into()))?;
                if let Some(last) = events.last().map(|event| event.seq) {
                    cursor = last;
                    let mut page = Page::default();
                    for event in events.iter().filter(|e| caller.sees(e.subject.as_str())) {
                        page.push(&Envelope::from(event)).map_err(broken_off)?;
                    }
                    if page.is_empty() {
                        continue;
                    }
                    return Ok(Some((page.into(), ((state, caller), head, cursor))));
                }
                tokio::select! {
                    changed = head.changed() => if changed.is_err() { return Ok(None) },
                    () = state.stop.cancelled() => return Ok(None),
                }
            }
        },
    ))
}
