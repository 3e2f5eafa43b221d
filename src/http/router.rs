//! Which path is served by what, and what all have in common.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::wire::{Problem, ProblemKind};
use super::{
    State, agents, audit, dead, documents, events, health, operate, percent, probes, publish, scan,
    search, status, stream, wait,
};
use crate::runtime::Board;

/// The header of every answer that names the daemon's `data_dir`, percent-encoded.
pub const DATA_DIR_HEADER: &str = "docent-data-dir";

/// Everything: for the control socket.
pub fn router(state: State) -> Router {
    let permits = Arc::new(Semaphore::new(state.info.requests.max(1)));
    let data_dir = percent::encode(state.info.data_dir.as_os_str().as_bytes());
    let board = state.board.clone();
    let api = Router::new()
        .route("/status", get(status::status))
        .route("/agents", get(agents::list))
        .route("/agents/{name}/restart", post(operate::restart))
        .route("/search", get(search::search))
        .route("/scan", post(scan::scan))
        .route("/wait", post(wait::wait))
        .route("/documents", get(documents::list))
        .route("/documents/history", get(documents::history))
        .route("/events", get(events::list).post(publish::publish))
        .route("/events/stream", post(stream::publish))
        .route("/events/{id}", get(events::show))
        .route("/events/{id}/replay", post(operate::replay_event))
        .route("/tail", get(events::tail))
        .route("/dead", get(dead::list))
        .route("/dead/{id}", get(dead::show))
        .route("/dead/{id}/replay", post(operate::replay_dead))
        .route("/dead/{id}/drop", post(operate::drop_dead))
        .route("/jobs", get(health::jobs))
        .route("/health", get(health::issues))
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(audit::verify))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(permits, bounded))
        .with_state(state);
    Router::new()
        .nest("/api/v1", api)
        // A probe answers however many requests there are.
        .merge(probes_router(board))
        .layer(map_response_with_state(data_dir, name_data_dir))
}

/// `/livez` and `/readyz` alone: for TCP.
pub fn probes_router(board: Board) -> Router {
    Router::new()
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(board)
}

async fn not_found(request: Request) -> Problem {
    let detail = format!("there is nothing at {}", request.uri().path());
    Problem::new(ProblemKind::NotFound, detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!(
        "{} is not served at {}",
        request.method(),
        request.uri().path()
    );
    Problem::new(ProblemKind::MethodNotAllowed, detail)
}

/// Serves a request if there is a permit; the permit is given back when the answer is sent to its end.
async fn bounded(
    Shared(permits): Shared<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(permit) = permits.try_acquire_owned() else {
        return Problem::new(
            ProblemKind::Busy,
            "as many requests as [control] requests allows are being served",
        )
        .hint("try again in a moment")
        .into_response();
    };
    next.run(request).await.map(|body| {
        Body::new(body.map_frame(move |frame| {
            // Held by this closure, which lives as long as the body.
            let _held = &permit;
            frame
        }))
    })
}

async fn name_data_dir(Shared(data_dir): Shared<String>, mut response: Response) -> Response {
    // Percent-encoded text is always a header's value.
    if let Ok(value) = HeaderValue::from_str(&data_dir) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(DATA_DIR_HEADER), value);
    }
    response
}
