//! The document itself, and the route that serves it.

use axum::extract::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::ToSchema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths};

use super::description::Schemas;
use super::{About, Description, Gives};

/// What the document says about itself.
const ABOUT: &str = "Everything that the docent command does. On the control socket no token is needed. \
    Fields may be added to answers, but are never renamed; closed sets of words may grow.";

/// `GET /api/v1/openapi.json`
pub(in crate::http) const DOCUMENT: About = About::new("Show this document");

/// An OpenAPI document as it is sent.
#[derive(Clone, ToSchema)]
#[schema(value_type = Object)]
pub(in crate::http) struct Document(Bytes);

impl Document {
    /// The document of these operations.
    pub(in crate::http) fn of(operations: Vec<Description>) -> Self {
        let text = serde_json::to_vec(&open_api(operations));
        // Text and numbers can always be written.
        Document(text.unwrap_or_default().into())
    }
}

#[cfg(test)]
impl Document {
    pub(in crate::http) fn parsed(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0).unwrap()
    }
}

fn open_api(operations: Vec<Description>) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas = Schemas::new();
    for operation in operations {
        operation.put_into(&mut paths, &mut schemas);
    }
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new()
        .security_scheme("token", token)
        .schemas_from_iter(schemas);
    let info = InfoBuilder::new()
        .title("docent")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .security(Some([SecurityRequirement::new("token", [""; 0])]))
        .build()
}

pub(in crate::http) async fn document(Extension(document): Extension<Document>) -> Document {
    document
}

impl Gives for Document {
    fn describe(to: &mut Description) {
        to.answer::<Document>(StatusCode::OK, "application/json", "The document");
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
