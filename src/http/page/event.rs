//! `/events/{id}`: an event, its deliveries, and the chain that it belongs to.

use askama::Template;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};

use super::lineage::{Lineage, lineage};
use super::{Html, PageFrame, show};
use crate::event::codec::Envelope;
use crate::http::State;
use crate::http::access::Caller;
use crate::http::events::show as event_view;
use crate::http::params::Named;
use crate::http::wire::{Delivery, DeliveryState, EventView, Problem};

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    page: PageFrame,
    view: EventView,
    lineage: Lineage,
    /// The page of the document that the event is about.
    document: Option<String>,
}

impl EventPage {
    /// The data as it is indented for people.
    fn data(&self) -> String {
        let text = self.view.event.data.text();
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(text);
        let Ok(value) = parsed else {
            return text.to_owned();
        };
        let written = value.to_string();
        // Numbers that are none of ours stay as they were written.
        if written == text {
            format!("{value:#}")
        } else {
            text.to_owned()
        }
    }

    fn about(&self) -> String {
        show::link("/events", &[("subject", &self.view.event.subject)])
    }
}

struct Failure {
    attempt: String,
    at: String,
    error: String,
}

fn failures(delivery: &Delivery) -> Vec<Failure> {
    let each = delivery.errors.as_array().into_iter().flatten();
    let failure = |entry: &serde_json::Value| Failure {
        attempt: entry["attempt"].to_string(),
        at: entry["at"].as_str().unwrap_or_default().to_owned(),
        error: entry["error"].as_str().unwrap_or_default().to_owned(),
    };
    each.map(failure).collect()
}

fn colour(delivery: &Delivery) -> &'static str {
    match delivery.state.known() {
        Some(DeliveryState::Done) => "good",
        Some(DeliveryState::Dead) => "bad",
        _ => "doubt",
    }
}

/// Where it is asked whether this event is to be delivered again.
fn replay(event: &Envelope, agent: &str) -> String {
    let path = format!("/acts{}/replay", show::event_link(&event.id));
    show::link(&path, &[("agent", agent)])
}

fn link(event: &Envelope) -> String {
    show::event_link(&event.id)
}

pub(super) async fn page(
    Shared(state): Shared<State>,
    caller: Caller,
    page: PageFrame,
    id: Named,
) -> Result<Response, Problem> {
    let view = event_view(Shared(state.clone()), caller.clone(), id)
        .await?
        .0;
    let lineage = lineage(&state, &caller, &view.event).await?;
    let about = view.event.subject.split_once('/');
    let about = about.filter(|(name, _)| state.known_collection(&caller, name).is_ok());
    let page = EventPage {
        document: about.map(|(name, path)| show::document_link(name, path, None)),
        page,
        view,
        lineage,
    };
    Ok(Html(page).into_response())
}
