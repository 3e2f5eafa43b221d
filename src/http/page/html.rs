//! From a template to an answer.

use askama::Template;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::super::wire::{Problem, ProblemKind};

/// A template as the body of an answer.
pub(in crate::http) struct Html<T>(pub(in crate::http) T);

impl<T: Template> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        match rendered(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, HTML)], text).into_response(),
            Err(problem) => problem.into_response(),
        }
    }
}

const HTML: &str = "text/html; charset=utf-8";

/// What was made of a template before.
pub(super) struct HtmlPart(pub(super) Bytes);

impl IntoResponse for HtmlPart {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, HTML)], self.0).into_response()
    }
}

/// The text of a template.
pub(super) fn rendered(template: &impl Template) -> Result<String, Problem> {
    template.render().map_err(|error| {
        let detail = format!("cannot make the page: {error}");
        Problem::new(ProblemKind::Internal, detail)
    })
}
