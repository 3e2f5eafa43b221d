//! Logging in with the address that `docent dashboard` prints, and logging out.
//!
//! The login stands behind the `#` of the address: a browser sends that to nobody, so no log and no proxy has it. A script
//! puts it into the form; without scripts it is pasted there. Only sending the form uses it up: whoever merely follows
//! links to see what they are does not.

use askama::Template;
use axum::body::Body;
use axum::extract::{Extension, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::access::{Caller, Door};
use super::super::params::{field, whole};
use super::super::wire::{Problem, ProblemKind};
use super::super::{Peer, State};
use super::{Html, PageFrame};

/// Where one logs in.
pub(super) const PATH: &str = "/login";

/// Bytes of the form.
const FORM_MAX: u64 = 4096;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: PageFrame,
}

/// `GET /login`: a button, and nothing else happens.
pub(super) async fn form(Shared(state): Shared<State>) -> Response {
    let page = PageFrame::new(state.info.clone(), PATH, None);
    Html(LoginPage { page }).into_response()
}

/// `POST /login`: uses the login up, and leads to the first page.
pub(super) async fn log_in(
    Shared(state): Shared<State>,
    Extension(door): Extension<Door>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let ends = peer.ends.ok_or_else(no_address)?;
    let body = whole(body, FORM_MAX, state.info.timeouts.body).await?;
    let pasted = field(&body, "login").unwrap_or_default();
    // Who pastes may paste all of the address.
    let login = pasted.rsplit('#').next().unwrap_or_default().trim();
    let cookie = door.log_in(login, &headers, ends).await?;
    Ok(led_to("/", Some(cookie)))
}

/// `POST /logout`: ends the session.
pub(super) async fn log_out(
    Extension(door): Extension<Door>,
    Extension(peer): Extension<Peer>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ends = peer.ends.ok_or_else(no_address)?;
    let Some(session) = caller.session() else {
        let detail = "a token has no session, so it cannot log out";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    };
    Ok(led_to("/", door.log_out(session, &headers, ends)))
}

/// Leads a browser to a page.
fn led_to(path: &'static str, cookie: Option<HeaderValue>) -> Response {
    let location = [(header::LOCATION, HeaderValue::from_static(path))];
    let mut response = (StatusCode::SEE_OTHER, location).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn no_address() -> Problem {
    Problem::new(ProblemKind::Internal, "the connection has no address")
}
