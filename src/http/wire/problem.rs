//! Why a request was not served: RFC 9457.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Kinds of problem, each with its status, its name for programs and its title.
macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident = $status:literal $urn:literal $title:literal;)*) => {
        /// The kinds of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemKind {
            $($(#[$about])* $kind),*
        }

        impl ProblemKind {
            /// The name for programs.
            pub const fn urn(self) -> &'static str {
                match self {
                    $(ProblemKind::$kind => $urn),*
                }
            }

            pub const fn status(self) -> u16 {
                match self {
                    $(ProblemKind::$kind => $status),*
                }
            }

            pub(crate) const fn title(self) -> &'static str {
                match self {
                    $(ProblemKind::$kind => $title),*
                }
            }
        }
    };
}

kinds! {
    /// A parameter is unknown, missing or malformed.
    BadRequest = 400 "urn:docent:bad-request" "a parameter is wrong";
    /// There is no token, or it is not valid.
    Unauthorized = 401 "urn:docent:unauthorized" "a token is needed";
    /// The token may not do this, or the request is not meant for docent.
    Forbidden = 403 "urn:docent:forbidden" "this is not allowed";
    /// The requested thing does not exist.
    NotFound = 404 "urn:docent:not-found" "there is no such thing";
    /// The path exists, but not with this method.
    MethodNotAllowed = 405 "urn:docent:method-not-allowed" "the method is wrong";
    /// The id exists, with different content.
    Conflict = 409 "urn:docent:conflict" "the id is taken";
    /// The body or the event is too large.
    TooLarge = 413 "urn:docent:too-large" "too large";
    /// The request did not arrive in time.
    TooSlow = 408 "urn:docent:too-slow" "too slow";
    /// The event is refused.
    Refused = 422 "urn:docent:refused" "the event is refused";
    /// An agent that is needed is turned off or parked.
    AgentMissing = 409 "urn:docent:agent-missing" "an agent is off or parked";
    /// A change cannot become searchable: its delivery is dead.
    DeadLetter = 409 "urn:docent:dead-letter" "a change failed for good";
    /// It did not happen in time.
    Timeout = 504 "urn:docent:timeout" "not in time";
    /// Too many requests at once.
    Busy = 503 "urn:docent:busy" "too many requests at once";
    Stopping = 503 "urn:docent:stopping" "docent is stopping";
    /// The store cannot be read or written at the moment.
    StoreUnavailable = 503 "urn:docent:store-unavailable" "the store is not available";
    /// The index is being opened or rebuilt.
    IndexNotReady = 503 "urn:docent:index-not-ready" "the index is not ready";
    /// A fault of docent.
    Internal = 500 "urn:docent:internal" "a fault of docent";
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
