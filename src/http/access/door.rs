//! What stands before everything that is served over TCP: is the request meant for docent, and does its token count?

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

use super::super::params::{Ends, Peer};
use super::super::wire::{Problem, ProblemKind};
use super::attempts::Attempts;
use super::{Caller, Site, Tokens};

/// What is asked at the door.
#[derive(Debug, Clone)]
pub(in crate::http) struct Door {
    tokens: Arc<Tokens>,
    site: Arc<Site>,
    attempts: Arc<Attempts>,
}

impl Door {
    /// The door of a site to which these tokens let in.
    pub(in crate::http) fn new(tokens: Arc<Tokens>, site: Site) -> Self {
        Door {
            tokens,
            site: Arc::new(site),
            attempts: Arc::default(),
        }
    }
}

/// The name of the token that a request was served for.
#[derive(Debug, Clone)]
pub(in crate::http) struct Bearer(pub(in crate::http) String);

/// Lets in who has a token that counts, and turns out whose token stops to count meanwhile.
pub(in crate::http) async fn authenticated(
    Shared(door): Shared<Door>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.unwrap_or_default();
    let Some(ends) = peer.ends else {
        let problem = Problem::new(ProblemKind::Internal, "the connection has no address");
        return problem.into_response();
    };
    if let Err(problem) = door.site.check(request.uri(), request.headers(), ends) {
        return last(problem);
    }
    let row = match token_of(request.headers()) {
        Some(token) => match door.tokens.find(token) {
            Some(row) => row,
            None => return door.refuse(ends).await,
        },
        None => return missing(),
    };
    let name = row.name.clone();
    request
        .extensions_mut()
        .insert(Caller::bearer(peer, row.clone()));
    let mut ended: Ended = Box::pin(door.tokens.clone().ended(row));
    let response = tokio::select! {
        response = next.run(request) => response,
        () = &mut ended => return unauthorized("the token does not count any more", INVALID),
    };
    let mut response = response.map(|body| Body::new(Revocable { body, ended }));
    response.extensions_mut().insert(Bearer(name));
    response
}

impl Door {
    /// Turns an unknown token away, the more slowly the more often.
    async fn refuse(&self, ends: Ends) -> Response {
        if self.attempts.failed(ends.remote.ip()).await {
            return unauthorized("the token is unknown, expired or revoked", INVALID);
        }
        let detail = "there are too many attempts with tokens that do not count";
        Problem::new(ProblemKind::Busy, detail)
            .hint("try again in a moment")
            .into_response()
    }
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// What a request without a token, and one with a token that does not count, are told to bring.
const MISSING: HeaderValue = HeaderValue::from_static("Bearer realm=\"docent\"");
const INVALID: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"docent\", error=\"invalid_token\"");

fn missing() -> Response {
    unauthorized("a token is needed here", MISSING)
}

fn unauthorized(detail: &str, challenge: HeaderValue) -> Response {
    let problem = Problem::new(ProblemKind::Unauthorized, detail).hint(
        "send the header Authorization: Bearer TOKEN; on docent's machine, docent token create NAME --role read makes a token",
    );
    let mut response = last(problem);
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// The last answer on its connection: who has no token holds no place.
fn last(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer that breaks off when the token it is for counts no more.
struct Revocable {
    body: Body,
    ended: Ended,
}

impl hyper::body::Body for Revocable {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended.as_mut().poll(context).is_ready() {
            let why = io::Error::other("the token does not count any more");
            return Poll::Ready(Some(Err(axum::Error::new(why))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Lets a request in that is meant for docent, without a token.
pub(in crate::http) async fn at_home(
    Shared(site): Shared<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let ends = request
        .extensions()
        .get::<Peer>()
        .and_then(|peer| peer.ends);
    let checked = ends.map(|ends| site.check(request.uri(), request.headers(), ends));
    match checked {
        Some(Err(problem)) => last(problem),
        _ => last(next.run(request).await),
    }
}
