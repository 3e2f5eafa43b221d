//! What a request carries: its query, its body and who sent it.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::State;
use super::wire::{Problem, ProblemKind};
use crate::config::{format_duration, format_size};
use crate::event::Millis;

/// Bytes of a body that is too large which are read all the same.
const THROWN_AWAY_MAX: u64 = 16 * 1024 * 1024;

/// How fast a body must come, beyond the patience for its first bytes.
const BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Peer {
    /// The user id that the kernel tells; none over TCP.
    pub(crate) uid: Option<u32>,
    /// The two ends of a connection over TCP.
    pub(crate) ends: Option<Ends>,
}

/// The ends of a connection over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client's.
    pub(crate) remote: SocketAddr,
    /// Ours.
    pub(crate) local: SocketAddr,
    /// Whether what is between them is encrypted.
    pub(crate) tls: bool,
}

impl Peer {
    /// Whether it is the daemon's own user or root, whom nobody else shuts out.
    pub(super) fn is_own(self) -> bool {
        let us = rustix::process::geteuid().as_raw();
        self.uid.is_some_and(|uid| uid == 0 || uid == us)
    }

    /// As it stands in an event's source: `control/<uid>`.
    pub(super) fn source(self) -> String {
        match self.uid {
            Some(uid) => format!("control/{uid}"),
            None => "control".to_owned(),
        }
    }
}

/// The query of a request. An unknown or missing parameter is a problem, not a default.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(params)| Params(params))
            .map_err(|e| Problem::new(ProblemKind::BadRequest, e.body_text()))
    }
}

/// What a path names.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = Path::from_request_parts(parts, state).await;
        name.map(|Path(name)| Named(name))
            .map_err(|e| Problem::new(ProblemKind::BadRequest, e.body_text()))
    }
}

/// The id of the last event that a client of a stream had.
pub(super) struct LastEventId(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = parts.headers.get("last-event-id");
        let id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        Ok(LastEventId(id.filter(|id| !id.is_empty())))
    }
}

/// A whole body, which is to be a `T` as JSON.
pub(super) struct Sent<T> {
    bytes: Bytes,
    of: PhantomData<fn() -> T>,
}

impl<T> Sent<T> {
    /// A body that is made here.
    pub(super) fn of(bytes: impl Into<Bytes>) -> Self {
        Sent {
            bytes: bytes.into(),
            of: PhantomData,
        }
    }

    /// As it came.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it is; or a problem, which says what it is to be.
    pub(super) fn parsed(&self, wanted: &str) -> Result<T, Problem>
    where
        T: DeserializeOwned,
    {
        serde_json::from_slice(&self.bytes).map_err(|e| {
            let detail = format!("the body is not {wanted}: {e}");
            Problem::new(ProblemKind::BadRequest, detail)
        })
    }
}

impl<T> FromRequest<State> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let body = request.into_body();
        let bytes = whole(body, state.info.body, state.info.timeouts.body).await?;
        Ok(Sent::of(bytes))
    }
}

/// A body of lines, each to be a `T` as JSON, that comes as long as the client likes.
pub(super) struct LinesBody<T> {
    pub(super) body: Body,
    of: PhantomData<fn() -> T>,
}

impl<S: Send + Sync, T> FromRequest<S> for LinesBody<T> {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(LinesBody {
            body: request.into_body(),
            of: PhantomData,
        })
    }
}

/// The whole body, if it has at most `max` bytes.
///
/// One that is larger is read on and thrown away, up to a bound: a client that cannot send cannot read why either.
/// One that comes too slowly is given up: a request that nobody sends must not hold the place of another.
pub(super) async fn whole(mut body: Body, max: u64, patience: Duration) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    let mut seen: u64 = 0;
    let began = Instant::now();
    loop {
        let owed = Duration::from_secs(seen / BYTES_PER_SECOND_MIN);
        let Ok(frame) = timeout_at(began + patience + owed, body.frame()).await else {
            return Err(too_slow());
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|e| {
            Problem::new(
                ProblemKind::BadRequest,
                format!("the body ended early: {e}"),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen += data.len() as u64;
        if seen <= max {
            bytes.extend_from_slice(&data);
        } else if seen > max.saturating_add(THROWN_AWAY_MAX) {
            break;
        }
    }
    if seen > max {
        let detail = format!("the body is larger than {}", format_size(max));
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    Ok(Bytes::from(bytes))
}

/// A field of a form.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(form);
    let (_, value) = fields.find(|(found, _)| found == name)?;
    Some(value.into_owned())
}

/// That a request did not arrive in time.
pub(super) fn too_slow() -> Problem {
    let detail = "the rest of the request did not arrive in time";
    Problem::new(ProblemKind::TooSlow, detail).hint("send it without pauses")
}

/// A moment in a query.
pub(super) fn moment(name: &str, text: &str) -> Result<Millis, Problem> {
    Millis::parse(text).ok_or_else(|| {
        let detail =
            format!("{name} `{text}` is not a time; write for example 2026-01-31T12:00:00Z");
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

/// The number `name` in a query, which must be from 1 to `max`.
pub(super) fn limited(
    name: &str,
    number: Option<usize>,
    default: usize,
    max: usize,
) -> Result<usize, Problem> {
    match number.unwrap_or(default) {
        n if (1..=max).contains(&n) => Ok(n),
        n => {
            let detail = format!("{name} {n} is not from 1 to {max}");
            Err(Problem::new(ProblemKind::BadRequest, detail))
        }
    }
}

/// A duration with a unit in a query, at most `max`.
pub(super) fn duration(name: &str, text: &str, max: Duration) -> Result<Duration, Problem> {
    let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    match crate::config::parse_duration(text) {
        Ok(duration) if duration <= max => Ok(duration),
        Ok(_) => Err(bad(format!(
            "{name} {text} is more than {}",
            format_duration(max)
        ))),
        Err(error) => Err(bad(format!("{name} `{text}`: {error}"))),
    }
}
