//! The description of the API: an OpenAPI document, made of the routes as they are registered and of the types of their handlers.
//!
//! - **DOC-1** No route is served that the document does not describe: [`Routes`](super::routes::Routes) takes both together.
//! - **DOC-2** Parameters, bodies and answers are described by the very types that handlers take and give ([`Takes`], [`Gives`]).
//! - **DOC-3** A build with debug assertions holds the status of every answer against the document.

mod described;
mod description;
mod document;

pub(super) use described::{Described, Gives, Takes};
pub(super) use description::{Description, Registered};
pub(super) use document::{DOCUMENT, Document, document};

use super::wire::ProblemKind;

/// What is said of a route beside its types.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    summary: &'static str,
    problems: &'static [ProblemKind],
}

impl About {
    /// An operation that does what `summary` says.
    pub(super) const fn new(summary: &'static str) -> Self {
        About {
            summary,
            problems: &[],
        }
    }

    /// The same, with the problems that its handler answers with beside those of every handler with such parameters.
    pub(super) const fn or(self, problems: &'static [ProblemKind]) -> Self {
        About { problems, ..self }
    }
}
