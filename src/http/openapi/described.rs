//! What the types of a handler say about its requests and answers.

use std::future::Future;

use axum::extract::{Extension, State as Shared};
use axum::http::StatusCode;
use utoipa::{IntoParams, ToSchema};

use super::super::State;
use super::super::access::Caller;
use super::super::lines::{EventStream, Json, Lines, ListOf};
use super::super::params::{LastEventId, LinesBody, Named, Params, Sent};
use super::super::wire::{Problem, ProblemKind};
use super::Description;

/// What a handler takes out of a request.
pub(in crate::http) trait Takes {
    fn describe(to: &mut Description);
}

/// What a handler answers with.
pub(in crate::http) trait Gives {
    fn describe(to: &mut Description);
}

/// A handler. `T` is what axum tells handlers apart by.
#[diagnostic::on_unimplemented(
    message = "the API's description cannot say what this handler takes or gives",
    note = "what it takes is to be `Takes`, what it gives `Gives`, and what they carry has a schema: derive `ToSchema`"
)]
pub(in crate::http) trait Described<T> {
    fn describe(to: &mut Description);
}

macro_rules! handlers {
    ($(($($part:ident),*))*) => {$(
        impl<F, W, R, M, $($part),*> Described<(M, $($part,)*)> for F
        where
            F: FnOnce($($part),*) -> W,
            W: Future<Output = R>,
            R: Gives,
            $($part: Takes),*
        {
            fn describe(to: &mut Description) {
                $($part::describe(to);)*
                R::describe(to);
            }
        }
    )*};
}

handlers! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) }

impl Takes for Shared<State> {
    fn describe(_: &mut Description) {}
}

impl Takes for Caller {
    fn describe(_: &mut Description) {}
}

impl<T> Takes for Extension<T> {
    fn describe(_: &mut Description) {}
}

impl<T: IntoParams> Takes for Params<T> {
    fn describe(to: &mut Description) {
        to.query::<T>();
    }
}

impl Takes for Named {
    fn describe(to: &mut Description) {
        to.path();
    }
}

impl Takes for LastEventId {
    fn describe(to: &mut Description) {
        to.header(
            "Last-Event-ID",
            "The event after which to continue; without it, events from now on",
        );
    }
}

impl<T: ToSchema> Takes for Sent<T> {
    fn describe(to: &mut Description) {
        to.body::<T>("application/json", "");
    }
}

impl<T: ToSchema> Takes for LinesBody<T> {
    fn describe(to: &mut Description) {
        to.body::<T>(
            "application/x-ndjson",
            "One JSON object a line: this is the schema of a line",
        );
    }
}

impl<T: ToSchema> Gives for Json<T> {
    fn describe(to: &mut Description) {
        to.answer::<T>(StatusCode::OK, "application/json", "Done");
    }
}

impl<T: ToSchema> Gives for (StatusCode, Json<T>) {
    fn describe(to: &mut Description) {
        to.answer::<T>(
            StatusCode::CREATED,
            "application/json",
            "Created, and durable",
        );
    }
}

impl<T: ToSchema> Gives for ListOf<T> {
    fn describe(to: &mut Description) {
        to.answer::<T>(StatusCode::OK, "application/json", "Done");
    }
}

impl<T: ToSchema> Gives for Lines<T> {
    fn describe(to: &mut Description) {
        let what = "One JSON object a line: the schema is that of a line";
        to.answer::<T>(StatusCode::OK, "application/x-ndjson", what);
    }
}

impl<T: ToSchema> Gives for EventStream<T> {
    fn describe(to: &mut Description) {
        let what = "Server-sent events: the schema is that of their `data`; `gap` and `end` have a `reason` instead";
        to.answer::<T>(StatusCode::OK, "text/event-stream", what);
    }
}

impl<T: Gives> Gives for Result<T, Problem> {
    fn describe(to: &mut Description) {
        T::describe(to);
        to.problem(ProblemKind::Internal);
    }
}
