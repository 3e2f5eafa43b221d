//! From the errors of the parts to problems, and from a problem to a response.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::lines::Json;
use super::wire::{Problem, ProblemKind};
use crate::event::AgentName;
use crate::event::codec::SubmissionError;
use crate::index::SearchError;
use crate::runtime::AgentState;
use crate::store::{ReadError, WriteError};

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        // For whoever tells it in another form.
        response.extensions_mut().insert(self);
        response
    }
}

/// An agent that is needed does not work.
pub(super) fn missing(agent: AgentName, state: AgentState) -> Problem {
    let problem = Problem::new(
        ProblemKind::AgentMissing,
        format!("the agent {agent} is {}", state.as_str()),
    );
    match state {
        AgentState::Off => problem.hint(format!(
            "set enabled = true in [agents.{agent}] and restart docent"
        )),
        _ => problem.hint("`docent status` says why"),
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let problem = Problem::new(ProblemKind::StoreUnavailable, error.to_string());
        problem.hint(match error.is_away {
            true => "docent continues by itself once the server of [store] url answers; check that it runs and can be reached from here",
            false => "look at the disk of data_dir, or at the server of [store] url, and at the daemon's log",
        })
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Unavailable(_) => ProblemKind::StoreUnavailable,
            WriteError::Conflict(_) => ProblemKind::Conflict,
            WriteError::TooLarge { .. } => ProblemKind::TooLarge,
            WriteError::Closed => ProblemKind::Stopping,
            WriteError::Refused | WriteError::Invalid(_) => ProblemKind::Internal,
        };
        Problem::new(kind, error.to_string())
    }
}

impl From<SubmissionError> for Problem {
    fn from(error: SubmissionError) -> Self {
        Problem::new(ProblemKind::Refused, error.to_string())
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        let told = error.to_string();
        match error {
            SearchError::Store(error) => error.into(),
            SearchError::NotReady => Problem::new(ProblemKind::IndexNotReady, told),
            SearchError::Failed(_) => Problem::new(ProblemKind::Internal, told),
        }
    }
}

/// What draining answers to everything that would begin something new.
pub(super) fn stopping() -> Problem {
    Problem::new(
        ProblemKind::Stopping,
        "docent is stopping and accepts nothing new",
    )
    .hint("try again when it is back")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_is_told_as_such_also_by_a_search() {
        let away = ReadError {
            what: "chunks",
            cause: "gone".to_owned(),
            is_away: false,
        };
        let told = Problem::from(SearchError::Store(away));
        assert_eq!(told.kind, ProblemKind::StoreUnavailable.urn());
        assert!(told.hint.is_some());
    }
}
