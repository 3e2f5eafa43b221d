//! Publishing one event.

use axum::extract::State as Shared;
use axum::http::StatusCode;

use super::State;
use super::access::Caller;
use super::lines::Json;
use super::openapi::About;
use super::params::Sent;
use super::problem::stopping;
use super::wire::{Problem, ProblemKind, PublishedId, Submission};
use crate::event::NewEvent;
use crate::event::codec::SubmissionError;

pub(super) const PUBLISH: About = About::new("Publish an event").or(&[
    ProblemKind::NotFound,
    ProblemKind::Conflict,
    ProblemKind::Refused,
]);

/// `POST /api/v1/events`: 201 with the event's id once it is durable.
pub(super) async fn publish(
    Shared(state): Shared<State>,
    caller: Caller,
    body: Sent<Submission>,
) -> Result<(StatusCode, Json<PublishedId>), Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let event = event(&state, body.bytes(), &caller)?;
    let published = state.store.publish(event).await?;
    let id = published.id.to_string();
    Ok((StatusCode::CREATED, Json(PublishedId { id })))
}

/// The event that a text asks to publish.
pub(super) fn event(state: &State, text: &[u8], caller: &Caller) -> Result<NewEvent, Problem> {
    let text = std::str::from_utf8(text).map_err(|e| SubmissionError::Malformed(e.to_string()))?;
    let submission = Submission::from_json(text)?;
    caller.may_publish(&submission.kind, &submission.subject)?;
    let known = state.known();
    Ok(submission.into_event(&caller.source(), &caller.known(&known))?)
}
