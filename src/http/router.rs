//! Which path is served by what, and what all have in common.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, Request, State as Shared};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::access::{Bearer, Door, Need, Site, at_home, authenticated, guarded, welcomed};
use super::metrics::metrics_router;
use super::openapi::Document;
#[cfg(test)]
use super::openapi::Registered;
use super::params::whole;
use super::routes::Routes;
use super::server::TooMany;
use super::wire::{DATA_DIR_HEADER, Problem, ProblemKind};
use super::{
    Info, Peer, State, agents, audit, cite, dashboard, dead, documents, events, follow, health,
    mcp, openapi, operate, overview, page, percent, probes, publish, read, report, restarts, scan,
    search, status, stream, token, wait,
};
use crate::runtime::Board;

/// Everything, for the control socket: whoever may open that may do everything.
pub(crate) fn router(state: State) -> Router {
    let metrics = state.info.metrics.then(|| metrics_router(state.clone()));
    let data_dir = percent::encode(state.info.data_dir.as_os_str().as_bytes());
    let board = state.board.clone();
    api(state, Router::new())
        // A probe answers however many requests there are.
        .merge(probes_router(board))
        .merge(metrics.unwrap_or_default())
        .layer(map_response_with_state(data_dir, name_data_dir))
        .layer(from_fn(logged))
}

/// Who may read `/metrics` over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsReaders {
    Nobody,
    /// Whoever has a token that is not limited to collections: the metrics name all of them.
    TokenHolders,
    Everybody,
}

/// The same for TCP: whoever has a token may do what that was made for. `public_url` is the name that clients know it by,
/// if that is not its address.
pub(crate) fn tcp_router(state: State, public_url: &str, readers: MetricsReaders) -> Router {
    let metrics = metrics_router(state.clone());
    let (open_metrics, guarded_metrics) = match readers {
        MetricsReaders::Nobody => (Router::new(), Router::new()),
        MetricsReaders::TokenHolders => {
            let guard = |request: Request, next: Next| guarded(Need::ReadAll, request, next);
            (Router::new(), metrics.route_layer(from_fn(guard)))
        }
        MetricsReaders::Everybody => (metrics, Router::new()),
    };
    let board = state.board.clone();
    let site = Site::new(public_url);
    let door = Door::new(state.tokens.clone(), state.sessions.clone(), site.clone());
    let open = probes_router(board).merge(open_metrics);
    let open = open.layer(from_fn_with_state(Arc::new(site), at_home));
    let welcome = page::open().with_state(state.clone());
    let welcome = welcome.layer(from_fn_with_state(door.clone(), welcomed));
    let info = state.info.clone();
    api(state, page::pages().finished().0)
        .merge(guarded_metrics)
        .layer(from_fn_with_state(door, authenticated))
        .merge(open)
        .merge(welcome)
        .layer(from_fn_with_state(info, page::as_pages))
        .layer(from_fn(logged))
}

/// Routes that are over soon.
fn brief() -> Routes {
    use Need::{Operate, OperateAll, Read, ReadAll};
    of_access(Routes::default())
        .get(Read, "/status", status::STATUS, status::status)
        .get(ReadAll, "/overview", overview::SHOW, overview::show)
        .get(
            ReadAll,
            "/overview/history",
            overview::HISTORY,
            overview::history,
        )
        .get(ReadAll, "/agents", agents::LIST, agents::list)
        .post(
            OperateAll,
            "/agents/{name}/restart",
            restarts::RESTART,
            restarts::restart,
        )
        .get(Read, "/search", search::SEARCH, search::search)
        .get(Read, "/read", read::READ, read::read)
        .post(Read, "/cite", cite::CITE, cite::cite)
        .get(Read, "/documents", documents::LIST, documents::list)
        .get(
            Read,
            "/documents/history",
            documents::HISTORY,
            documents::history,
        )
        .get(Read, "/events", events::LIST, events::list)
        .post(Operate, "/events", publish::PUBLISH, publish::publish)
        .get(Read, "/events/{id}", events::SHOW, events::show)
        .post(
            Operate,
            "/events/{id}/replay",
            operate::REPLAY_EVENT,
            operate::replay_event,
        )
        .get(Read, "/dead", dead::LIST, dead::list)
        .get(Read, "/dead/{id}", dead::SHOW, dead::show)
        .post(
            Operate,
            "/dead/{id}/replay",
            operate::REPLAY_DEAD,
            operate::replay_dead,
        )
        .post(
            Operate,
            "/dead/{id}/drop",
            operate::DROP_DEAD,
            operate::drop_dead,
        )
        .get(ReadAll, "/jobs", health::JOBS, health::jobs)
        .get(ReadAll, "/health", health::ISSUES, health::issues)
        .get(ReadAll, "/reports", report::LIST, report::list)
        .get(ReadAll, "/reports/{name}", report::SHOW, report::show)
        .get(ReadAll, "/audit", audit::LIST, audit::list)
        .get(ReadAll, "/audit/verify", audit::VERIFY, audit::verify)
        .get(Read, "/openapi.json", openapi::DOCUMENT, openapi::document)
}

/// Routes by which others are let in.
fn of_access(routes: Routes) -> Routes {
    use Need::Control;
    routes
        .post(
            Control,
            "/dashboard/logins",
            dashboard::LOGIN_OFFERED,
            dashboard::login,
        )
        .get(Control, "/tokens", token::LIST, token::list)
        .post(Control, "/tokens", token::CREATE, token::create)
        .post(
            Control,
            "/tokens/{name}/revoke",
            token::REVOKE,
            token::revoke,
        )
}

/// Routes that may last long: as the client likes, or as there is much to read.
fn lasting() -> Routes {
    use Need::{Operate, OperateAll, Read, ReadAll};
    Routes::default()
        .post(OperateAll, "/scan", scan::SCAN, scan::scan)
        .post(ReadAll, "/wait", wait::WAIT, wait::wait)
        .get(ReadAll, "/report", report::NOW, report::now)
        .post(Operate, "/events/stream", stream::PUBLISH, stream::publish)
        .get(Read, "/tail", events::TAIL, events::tail)
        .get(Read, "/stream", follow::FOLLOW, follow::follow)
        .get(
            ReadAll,
            "/overview/stream",
            overview::FOLLOW,
            overview::follow,
        )
}

/// Everything that is served for somebody: the API, and `pages`.
fn api(state: State, pages: Router<State>) -> Router {
    let permits = Permits::new(&state.info);
    let bounded_by = |permits| from_fn_with_state(permits, bounded);
    let (brief, mut described) = brief().finished();
    let (lasting, more) = lasting().finished();
    described.extend(more);
    let document = Document::of(described);
    let brief = brief
        .method_not_allowed_fallback(method_not_allowed)
        .layer(bounded_by(permits.clone()));
    let pages = pages
        .method_not_allowed_fallback(method_not_allowed)
        .layer(bounded_by(permits.clone()));
    let lasting = lasting
        .method_not_allowed_fallback(method_not_allowed)
        .layer(bounded_by(permits.lasting()));
    let (body, patience) = (state.info.body, state.info.timeouts.body);
    let stop = state.stop.clone();
    let api = Router::new()
        .nest("/api/v1", brief.merge(lasting).with_state(state.clone()))
        .layer(Extension(document))
        .fallback(not_found);
    let mcp = Router::new()
        .route("/mcp", post(mcp::serve))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(mcp::Inside::new(api.clone(), body, patience, stop));
    api.merge(mcp).merge(pages.with_state(state))
}

/// Every operation of the API.
#[cfg(test)]
pub(super) fn described() -> Vec<super::openapi::Description> {
    [brief(), lasting()]
        .into_iter()
        .flat_map(|routes| routes.finished().1)
        .collect()
}

/// Every route of the API.
#[cfg(test)]
pub(super) fn registered() -> Vec<Registered> {
    let all = described().into_iter();
    all.map(|described| described.route().clone()).collect()
}

/// `/livez` and `/readyz`, which need no token.
fn probes_router(board: Board) -> Router {
    Router::new()
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .method_not_allowed_fallback(method_not_allowed)
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
    /// Bytes of a body, and how long it may take.
    body: u64,
    patience: Duration,
}

/// How many of so many requests may last.
fn lasting_of(requests: usize) -> usize {
    (requests - requests / 4).max(1)
}

impl Permits {
    /// Permits for requests that are over soon.
    fn new(info: &Info) -> Self {
        let requests = info.requests.max(1);
        Permits {
            all: Arc::new(Semaphore::new(requests)),
            lasting: Arc::new(Semaphore::new(lasting_of(requests))),
            reserve: Arc::new(Semaphore::new(RESERVE)),
            lasts: false,
            requests,
            body: info.body,
            patience: info.timeouts.body,
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

impl Permits {
    /// The request with all of its body, unless it may last: who sends slowly holds no permit meanwhile. Nobody looks at the
    /// body of what is only read.
    async fn received(&self, request: Request) -> Result<Request, Problem> {
        if self.lasts || request.method() != Method::POST {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let body = whole(body, self.body, self.patience).await?;
        Ok(Request::from_parts(parts, Body::from(body)))
    }
}

/// Logs what was asked and how it was answered; not what was looked for.
async fn logged(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.unwrap_or_default();
    let began = Instant::now();
    let response = next.run(request).await;
    let token = response
        .extensions()
        .get::<Bearer>()
        .map(|bearer| &*bearer.0);
    let address = peer.ends.map(|ends| ends.remote.to_string());
    tracing::debug!(%method, path, status = response.status().as_u16(), took = ?began.elapsed(), uid = peer.uid, address, token, "request answered");
    response
}

/// Serves a request if there is a permit; the permit is given back when the answer is sent to its end.
async fn bounded(Shared(permits): Shared<Permits>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.copied().unwrap_or_default();
    let too_many = request.extensions().get::<TooMany>().is_some();
    let request = match permits.received(request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let held = match waits(&request) {
        true => permits.lasting().take(peer),
        false => permits.take(peer),
    };
    let Some(held) = held.filter(|_| !too_many) else {
        let most = permits.requests;
        let lasting = lasting_of(most);
        let detail = format!(
            "docent is busy: it serves as many requests as [control] requests allows ({most}, of which {lasting} may last, such as wait and tail)"
        );
        return Problem::new(ProblemKind::Busy, detail)
            .hint("try again in a moment; places are reserved for the daemon's own user and root")
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

/// Whether a request that is over soon otherwise is to wait for what is on disk.
fn waits(request: &Request) -> bool {
    let query = Query::<HashMap<String, String>>::try_from_uri(request.uri());
    query.is_ok_and(|Query(query)| query.contains_key("wait"))
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
    fn a_search_that_waits_is_one_that_lasts() {
        let asked = |uri: &str| {
            let request = axum::http::Request::get(uri).body(Body::empty());
            waits(&request.unwrap())
        };
        for uri in [
            "/search?q=a&wait=2s",
            "/read?wait=2s&ref=a/b",
            "/search?path=a&path=b&w%61it=1",
        ] {
            assert!(asked(uri), "{uri}");
        }
        for uri in ["/search?q=wait", "/search?q=a%26wait=2s", "/search"] {
            assert!(!asked(uri), "{uri}");
        }
    }

    #[test]
    fn others_cannot_take_the_places_of_the_daemons_own_user_nor_lasting_requests_all() {
        let user = |uid| Peer {
            uid: Some(uid),
            ends: None,
        };
        let own = user(rustix::process::geteuid().as_raw());
        let (root, other) = (user(0), user(4711));
        let permits = Permits::new(&crate::http::tests::info(8));
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
