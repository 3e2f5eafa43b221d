//! Why a request was not served: RFC 9457.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The kinds of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A parameter is unknown, missing or malformed.
    BadRequest,
    /// There is no token, or it is not valid.
    Unauthorized,
    /// The token may not do this, or the request is not meant for docent.
    Forbidden,
    /// The requested thing does not exist.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The id exists, with different content.
    Conflict,
    /// The body or the event is too large.
    TooLarge,
    /// The request did not arrive in time.
    TooSlow,
    /// The event is refused.
    Refused,
    /// An agent that is needed is turned off or parked.
    AgentMissing,
    /// A change cannot become searchable: its delivery is dead.
    DeadLetter,
    /// It did not happen in time.
    Timeout,
    /// Too many requests at once.
    Busy,
    Stopping,
    /// The store cannot be read or written at the moment.
    StoreUnavailable,
    /// The index is being opened or rebuilt.
    IndexNotReady,
    /// A fault of docent.
    Internal,
}

impl ProblemKind {
    /// The name for programs.
    pub const fn urn(self) -> &'static str {
        match self {
            ProblemKind::BadRequest => "urn:docent:bad-request",
            ProblemKind::Unauthorized => "urn:docent:unauthorized",
            ProblemKind::Forbidden => "urn:docent:forbidden",
            ProblemKind::NotFound => "urn:docent:not-found",
            ProblemKind::MethodNotAllowed => "urn:docent:method-not-allowed",
            ProblemKind::Conflict => "urn:docent:conflict",
            ProblemKind::TooLarge => "urn:docent:too-large",
            ProblemKind::TooSlow => "urn:docent:too-slow",
            ProblemKind::Refused => "urn:docent:refused",
            ProblemKind::AgentMissing => "urn:docent:agent-missing",
            ProblemKind::DeadLetter => "urn:docent:dead-letter",
            ProblemKind::Timeout => "urn:docent:timeout",
            ProblemKind::Busy => "urn:docent:busy",
            ProblemKind::Stopping => "urn:docent:stopping",
            ProblemKind::StoreUnavailable => "urn:docent:store-unavailable",
            ProblemKind::IndexNotReady => "urn:docent:index-not-ready",
            ProblemKind::Internal => "urn:docent:internal",
        }
    }

    pub const fn status(self) -> u16 {
        match self {
            ProblemKind::BadRequest => 400,
            ProblemKind::Unauthorized => 401,
            ProblemKind::Forbidden => 403,
            ProblemKind::NotFound => 404,
            ProblemKind::MethodNotAllowed => 405,
            ProblemKind::TooSlow => 408,
            ProblemKind::Conflict | ProblemKind::AgentMissing | ProblemKind::DeadLetter => 409,
            ProblemKind::TooLarge => 413,
            ProblemKind::Refused => 422,
            ProblemKind::Internal => 500,
            ProblemKind::Busy
            | ProblemKind::Stopping
            | ProblemKind::StoreUnavailable
            | ProblemKind::IndexNotReady => 503,
            ProblemKind::Timeout => 504,
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            ProblemKind::BadRequest => "a parameter is wrong",
            ProblemKind::Unauthorized => "a token is needed",
            ProblemKind::Forbidden => "this is not allowed",
            ProblemKind::NotFound => "there is no such thing",
            ProblemKind::MethodNotAllowed => "the method is wrong",
            ProblemKind::Conflict => "the id is taken",
            ProblemKind::TooLarge => "too large",
            ProblemKind::TooSlow => "too slow",
            ProblemKind::Refused => "the event is refused",
            ProblemKind::AgentMissing => "an agent is off or parked",
            ProblemKind::DeadLetter => "a change failed for good",
            ProblemKind::Timeout => "not in time",
            ProblemKind::Busy => "too many requests at once",
            ProblemKind::Stopping => "docent is stopping",
            ProblemKind::StoreUnavailable => "the store is not available",
            ProblemKind::IndexNotReady => "the index is not ready",
            ProblemKind::Internal => "a fault of docent",
        }
    }
}

/// The body of every answer that is an error, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The kind's name, `urn:docent:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    pub status: u16,
    /// What is wrong in this case.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Problem {
            kind: kind.urn().to_owned(),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            hint: None,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: ProblemKind) -> bool {
        self.kind == kind.urn()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
