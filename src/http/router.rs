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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::server::TooMany;
use super::wire::{Problem, ProblemKind};
use super::{
    Peer, State, agents, audit, cite, dead, documents, events, health, operate, percent, probes,
    publish, read, scan, search, status, stream, wait,
};
use crate::runtime::Board;

/// The header of every answer that names the daemon's `data_dir`, percent-encoded.
pub(crate) const DATA_DIR_HEADER: &str = "docent-data-dir";

/// Everything: for the control socket.
pub(crate) fn router(state: State) -> Router {
    let permits = Permits::new(state.info.requests);
    let data_dir = percent::encode(state.info.data_dir.as_os_str().as_bytes());
    let board = state.board.clone();
    let bounded_by = |permits| from_fn_with_state(permits, bounded);
    let brief = Router::new()
        .route("/status", get(status::status))
        .route("/agents", get(agents::list))
        .route("/agents/{name}/restart", post(operate::restart))
        .route("/search", get(search::search))
        .route("/read", get(read::read))
        .route("/cite", post(cite::cite))
        .route("/documents", get(documents::list))
        .route("/documents/history", get(documents::history))
        .route("/events", get(events::list).post(publish::publish))
        .route("/events/{id}", get(events::show))
        .route("/events/{id}/replay", post(operate::replay_event))
        .route("/dead", get(dead::list))
        .route("/dead/{id}", get(dead::show))
        .route("/dead/{id}/replay", post(operate::replay_dead))
        .route("/dead/{id}/drop", post(operate::drop_dead))
        .route("/jobs", get(health::jobs))
        .route("/health", get(health::issues))
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(audit::verify))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(bounded_by(permits.clone()));
    let lasting = Router::new()
        .route("/scan", post(scan::scan))
        .route("/wait", post(wait::wait))
        .route("/events/stream", post(stream::publish))
        .route("/tail", get(events::tail))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(bounded_by(permits.lasting()));
    let api = brief.merge(lasting).with_state(state);
    Router::new()
        .nest("/api/v1", api)
        // A probe answers however many requests there are.
        .merge(probes_router(board))
        .layer(map_response_with_state(data_dir, name_data_dir))
}

/// `/livez` and `/readyz` alone: for TCP.
pub(crate) fn probes_router(board: Board) -> Router {
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

/// Places that only the daemon's own user and root may take, when all others are taken.
const RESERVE: usize = 16;

/// How many requests are served at once.
#[derive(Clone)]
struct Permits {
    all: Arc<Semaphore>,
    /// Of these, those that may last as long as the client likes: the rest is always there for what is over soon.
    lasting: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    lasts: bool,
    requests: usize,
}

impl Permits {
    /// Permits for requests that are over soon.
    fn new(requests: usize) -> Self {
        let requests = requests.max(1);
        Permits {
            all: Arc::new(Semaphore::new(requests)),
            lasting: Arc::new(Semaphore::new((requests - requests / 4).max(1))),
            reserve: Arc::new(Semaphore::new(RESERVE)),
            lasts: false,
            requests,
        }
    }

    /// The same permits, for requests that may last.
    fn lasting(&self) -> Self {
        Permits {
            lasts: true,
            ..self.clone()
        }
    }

    /// What a request of `peer` holds while it is served.
    fn take(&self, peer: Peer) -> Option<Vec<OwnedSemaphorePermit>> {
        let one = |of: &Arc<Semaphore>| of.clone().try_acquire_owned().ok();
        if self.lasts {
            return Some(vec![one(&self.lasting)?, one(&self.all)?]);
        }
        let reserved = || peer.is_own().then(|| one(&self.reserve)).flatten();
        one(&self.all).or_else(reserved).map(|permit| vec![permit])
    }
}

/// Serves a request if there is a permit; the permit is given back when the answer is sent to its end.
async fn bounded(Shared(permits): Shared<Permits>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.copied().unwrap_or_default();
    let too_many = request.extensions().get::<TooMany>().is_some();
    let Some(held) = permits.take(peer).filter(|_| !too_many) else {
        let detail = format!(
            "docent is busy: it serves as many requests as [control] requests allows ({})",
            permits.requests
        );
        return Problem::new(ProblemKind::Busy, detail)
            .hint("try again in a moment; the daemon's own user and root have places of their own")
            .into_response();
    };
    next.run(request).await.map(|body| {
        Body::new(body.map_frame(move |frame| {
            // Held by this closure, which lives as long as the body.
            let _held = &held;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_cannot_take_the_places_of_the_daemons_own_user_nor_lasting_requests_all() {
        let own = Peer {
            uid: Some(rustix::process::geteuid().as_raw()),
        };
        let root = Peer { uid: Some(0) };
        let other = Peer { uid: Some(4711) };
        let permits = Permits::new(8);
        let lasting: Vec<_> = std::iter::from_fn(|| permits.lasting().take(other)).collect();
        assert_eq!(lasting.len(), 6);
        let brief: Vec<_> = std::iter::from_fn(|| permits.take(other)).collect();
        assert_eq!(brief.len(), 2);
        assert!(permits.lasting().take(own).is_none());
        let reserve: Vec<_> = std::iter::from_fn(|| permits.take(own)).collect();
        assert_eq!(reserve.len(), RESERVE);
        assert!(permits.take(root).is_none());
        drop(lasting);
        assert!(permits.take(other).is_some());
        assert!(permits.lasting().take(own).is_some());
    }
}
