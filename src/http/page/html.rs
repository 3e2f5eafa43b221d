//! From a template to an answer.

use askama::Template;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::super::wire::{Problem, ProblemKind};

/// A template as the body of an answer.
pub(in crate::http) struct Html<T>(pub(in crate::http) T);

impl<T: Template> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => {
                ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
            }
            Err(error) => Problem::new(
                ProblemKind::Internal,
                format!("cannot make the page: {error}"),
            )
            .into_response(),
        }
    }
}
