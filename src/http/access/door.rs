//! What stands before everything that is served over TCP: is the request meant for docent, and does its token or its session
//! count?

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
use super::cookie::Cookie;
use super::forgery::{own_act, own_page};
use super::{Caller, Session, Sessions, Site, Tokens};
use crate::event::Millis;
use crate::store::TokenRow;

/// What is asked at the door.
#[derive(Debug, Clone)]
pub(in crate::http) struct Door {
    tokens: Arc<Tokens>,
    sessions: Arc<Sessions>,
    site: Arc<Site>,
    attempts: Arc<Attempts>,
}

impl Door {
    /// The door of a site to which these tokens and sessions let in.
    pub(in crate::http) fn new(tokens: Arc<Tokens>, sessions: Arc<Sessions>, site: Site) -> Self {
        Door {
            tokens,
            sessions,
            site: Arc::new(site),
            attempts: Arc::default(),
        }
    }

    /// The cookie of the address that a request came to.
    fn cookie(&self, headers: &HeaderMap, ends: Ends) -> Cookie {
        Cookie::new(ends.local.port(), self.site.is_encrypted(headers, ends))
    }

    /// The session whose cookie a request has.
    fn session(&self, headers: &HeaderMap, ends: Ends) -> Option<Arc<Session>> {
        let cookie = self.cookie(headers, ends);
        self.sessions.find(cookie.of(headers)?, Millis::now())
    }

    /// What makes a browser be logged in: its cookie, for a login, which is used up by that.
    pub(in crate::http) async fn log_in(
        &self,
        login: &str,
        headers: &HeaderMap,
        ends: Ends,
    ) -> Result<HeaderValue, Problem> {
        own_page(headers)?;
        let secret = self.sessions.redeem(login, Millis::now());
        let secret = secret.map_err(|detail| Problem::new(ProblemKind::Internal, detail))?;
        let cookie = secret.and_then(|secret| self.cookie(headers, ends).set(&secret));
        match cookie {
            Some(cookie) => Ok(cookie),
            None if self.attempts.failed(ends.remote.ip()).await => {
                let detail = "this login is not valid: it was used, it is over a minute old, or it is incomplete";
                Err(Problem::new(ProblemKind::Unauthorized, detail)
                    .hint("get another one with `docent dashboard`"))
            }
            None => Err(too_many_attempts()),
        }
    }

    /// What makes a browser be logged out.
    pub(in crate::http) fn log_out(
        &self,
        session: &Session,
        headers: &HeaderMap,
        ends: Ends,
    ) -> Option<HeaderValue> {
        self.sessions.end(session);
        self.cookie(headers, ends).unset()
    }
}

/// What somebody is let in by.
enum Credential {
    Token(Arc<TokenRow>),
    Session(Arc<Session>),
}

impl Credential {
    fn caller(&self, peer: Peer) -> Caller {
        match self {
            Credential::Token(row) => Caller::bearer(peer, row.clone()),
            Credential::Session(session) => Caller::in_session(peer, session.clone()),
        }
    }

    fn name(&self) -> String {
        match self {
            Credential::Token(row) => row.name.clone(),
            Credential::Session(session) => format!("dashboard/{}", session.owner().uid),
        }
    }

    /// Waits until it counts no more.
    fn ended(self, tokens: &Arc<Tokens>) -> Ended {
        match self {
            Credential::Token(row) => Box::pin(tokens.clone().ended(row)),
            Credential::Session(session) => Box::pin(session.ended()),
        }
    }
}

/// The name of the token, or of the session's owner, that a request was served for.
#[derive(Debug, Clone)]
pub(in crate::http) struct Bearer(pub(in crate::http) String);

/// Lets in who has a token or a session that counts, and turns out for whom it stops to count meanwhile.
pub(in crate::http) async fn authenticated(
    Shared(door): Shared<Door>,
    mut request: Request,
    next: Next,
) -> Response {
    let (peer, ends) = match ends_of(&request) {
        Ok(ends) => ends,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = door.site.check(request.uri(), request.headers(), ends) {
        return last(problem);
    }
    let entry = match token_of(request.headers()) {
        Some(token) => match door.tokens.find(token) {
            Some(row) => Credential::Token(row),
            None => return door.refuse(ends).await,
        },
        None => match door.session(request.headers(), ends) {
            Some(session) => Credential::Session(session),
            None => return missing(),
        },
    };
    if let Credential::Session(session) = &entry {
        request = match own_act(request, session).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
    }
    let (name, caller) = (entry.name(), entry.caller(peer));
    request.extensions_mut().insert(caller.clone());
    request.extensions_mut().insert(door.clone());
    let mut ended = entry.ended(&door.tokens);
    let response = tokio::select! {
        response = next.run(request) => response,
        () = &mut ended => return unauthorized("the token or the login is no longer valid", INVALID),
    };
    let mut response = response.map(|body| Body::new(Revocable { body, ended }));
    response.extensions_mut().insert(Bearer(name));
    response.extensions_mut().insert(caller);
    response
}

/// Lets anybody in whose request is meant for docent, with what is known of them.
pub(in crate::http) async fn welcomed(
    Shared(door): Shared<Door>,
    mut request: Request,
    next: Next,
) -> Response {
    let (peer, ends) = match ends_of(&request) {
        Ok(ends) => ends,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = door.site.check(request.uri(), request.headers(), ends) {
        return last(problem);
    }
    let session = door.session(request.headers(), ends);
    request.extensions_mut().insert(door);
    match session {
        Some(session) => {
            let caller = Caller::in_session(peer, session);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => last(next.run(request).await),
    }
}

fn ends_of(request: &Request) -> Result<(Peer, Ends), Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.unwrap_or_default();
    let missing = || Problem::new(ProblemKind::Internal, "the connection has no address");
    Ok((peer, peer.ends.ok_or_else(missing)?))
}

impl Door {
    /// Turns an unknown token away, the more slowly the more often.
    async fn refuse(&self, ends: Ends) -> Response {
        if self.attempts.failed(ends.remote.ip()).await {
            return unauthorized("the token is unknown, expired or revoked", INVALID);
        }
        too_many_attempts().into_response()
    }
}

fn too_many_attempts() -> Problem {
    let detail = "there are too many attempts with invalid tokens and logins";
    Problem::new(ProblemKind::Busy, detail).hint("try again in a moment")
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
        "send the header Authorization: Bearer TOKEN; on docent's machine, docent token create NAME --role read creates a token",
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

/// An answer that breaks off when the token or session it is for counts no more.
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
            let why = io::Error::other("the token or the login is no longer valid");
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
