//! From templates and problems to answers.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::Info;
use super::super::access::Caller;
use super::super::wire::{Problem, ProblemKind};
use super::{Html, PageFrame};

/// What a page may do in a browser: it is docent's alone, loads nothing from elsewhere, and leaves nothing behind.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// A problem as a page.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    page: PageFrame,
    problem: &'a Problem,
}

/// Whoever is not logged in is told how to.
#[derive(Template)]
#[template(path = "stranger.html")]
struct StrangerPage<'a> {
    page: PageFrame,
    /// Why the login that was tried does not count.
    problem: Option<&'a Problem>,
}

/// Gives pages their headers, and tells a problem to a browser as a page. The API's answers stay as they are.
pub(in crate::http) async fn as_pages(
    Shared(info): Shared<Arc<Info>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    if is_for_programs(&path) {
        return next.run(request).await;
    }
    let reads_html = accepts_html(request.headers());
    let mut response = next.run(request).await;
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = problem.filter(|_| reads_html) {
        response = told(info, &path, &problem, response);
    }
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// The paths that no browser shows.
fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || ["/metrics", "/livez", "/readyz", "/mcp"].contains(&path)
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|text| text.to_str().ok())
        .any(|text| text.contains("text/html"))
}

/// The same answer with its problem as a page.
fn told(info: Arc<Info>, path: &str, problem: &Problem, answer: Response) -> Response {
    let (answer, _) = answer.into_parts();
    let caller = answer.extensions.get::<Caller>().cloned();
    let page = PageFrame::new(info, path, caller);
    let mut response = match problem.is(ProblemKind::Unauthorized) {
        true => Html(StrangerPage {
            page,
            problem: Some(problem).filter(|_| path == super::login::PATH),
        })
        .into_response(),
        false => Html(ProblemPage { page, problem }).into_response(),
    };
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for name in [header::CONNECTION, header::WWW_AUTHENTICATE] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    *response.extensions_mut() = answer.extensions;
    response
}
