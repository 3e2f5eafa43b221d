//! `POST /mcp`: one message of the protocol a request, without sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Extensions, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use super::super::access::Caller;
use super::super::client::{ClientError, LINE_BYTES_MAX, Target};
use super::super::lines::{Line, LineSplitter};
use super::super::params::whole;
use super::super::server::TooMany;
use super::super::wire::{Problem, ProblemKind};
use super::{Ask, Server};

/// What stands beside `/mcp`, to be asked from inside.
#[derive(Clone)]
pub(in crate::http) struct Inside {
    api: Router,
    /// Bytes of a body, and how long it may take.
    body_max: u64,
    patience: Duration,
    stop: CancellationToken,
}

impl Inside {
    pub(in crate::http) fn new(
        api: Router,
        body_max: u64,
        patience: Duration,
        stop: CancellationToken,
    ) -> Self {
        Inside {
            api,
            body_max,
            patience,
            stop,
        }
    }
}

/// Answers a message as the caller of the request: what the API would not tell it, a tool does not.
pub(in crate::http) async fn serve(
    Shared(inside): Shared<Inside>,
    _: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if parts.extensions.get::<TooMany>().is_some() {
        let detail = "there are as many connections as docent takes";
        return Err(Problem::new(ProblemKind::Busy, detail).hint("try again in a moment"));
    }
    let body = whole(body, inside.body_max, inside.patience).await?;
    let way = FromInside {
        caller: parts.extensions.clone(),
        inside,
    };
    // Whom the request is meant for was asked at the door.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(way.body_max())
        .with_cancellation_token(way.inside.stop.clone())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let service = StreamableHttpService::new(
        move || Ok(Server::new(way.clone())),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let request = Request::from_parts(parts, Body::from(body));
    Ok(told(service.handle(request).await.into_response()).await)
}

/// Bytes of a refusal in words.
const REFUSAL_MAX: usize = 4096;

/// An answer, with what the library refuses in plain words told as every other problem is. What is an error of the protocol stays.
async fn told(answer: Response) -> Response {
    let status = answer.status();
    let is_json = answer.headers().contains_key(CONTENT_TYPE);
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let words = axum::body::to_bytes(body, REFUSAL_MAX)
        .await
        .unwrap_or_default();
    let kind = match status {
        StatusCode::METHOD_NOT_ALLOWED => ProblemKind::MethodNotAllowed,
        StatusCode::NOT_FOUND => ProblemKind::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::TooLarge,
        _ if status.is_client_error() => ProblemKind::BadRequest,
        _ => ProblemKind::Internal,
    };
    let mut problem = Problem::new(kind, String::from_utf8_lossy(&words));
    problem.status = status.as_u16();
    let mut response = problem.into_response();
    response.headers_mut().extend(
        parts
            .headers
            .into_iter()
            .filter(|(name, _)| *name == Some(ALLOW)),
    );
    response
}

/// The API as a caller sees it from inside.
#[derive(Clone)]
struct FromInside {
    inside: Inside,
    /// Who asks, and over which connection.
    caller: Extensions,
}

impl FromInside {
    /// The answer, if it is none of a problem.
    async fn asked(&self, target: &Target, body: Option<Bytes>) -> Result<Body, ClientError> {
        let method = if body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let request = Request::builder().method(method).uri(target.as_str());
        let body = Body::from(body.unwrap_or_default());
        let mut request = request.body(body).map_err(|_| ClientError::TooLong)?;
        *request.extensions_mut() = self.caller.clone();
        let api = TowerToHyperService::new(self.inside.api.clone());
        let Ok(answer) = api.call(request).await;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let problem = collected(answer.into_body()).await?;
        let problem = serde_json::from_slice(&problem);
        Err(problem.map_or_else(
            |e| ClientError::Unexpected(e.to_string()),
            ClientError::Problem,
        ))
    }
}

/// All of an answer. Each is bounded by what it is about.
async fn collected(body: Body) -> Result<Vec<u8>, ClientError> {
    let whole = body.collect().await.map_err(broken_off)?;
    Ok(whole.to_bytes().to_vec())
}

fn broken_off(error: axum::Error) -> ClientError {
    ClientError::Unexpected(format!("it ended early: {error}"))
}

impl Ask for FromInside {
    async fn whole(&self, target: &Target, body: Option<Bytes>) -> Result<Vec<u8>, ClientError> {
        collected(self.asked(target, body).await?).await
    }

    async fn lines(&self, target: &Target, most: usize) -> Result<Vec<Vec<u8>>, ClientError> {
        let mut parts = self.asked(target, None).await?.into_data_stream();
        let mut splitter = LineSplitter::new(LINE_BYTES_MAX);
        let mut lines = Vec::new();
        while lines.len() < most {
            match splitter.next() {
                Some(Line::Whole(line)) => lines.push(line),
                Some(Line::TooLong) => {
                    return Err(ClientError::Unexpected("a line is too long".to_owned()));
                }
                None => match parts.next().await {
                    Some(part) => splitter.push(&part.map_err(broken_off)?),
                    // Each line ends with a line feed.
                    None => break,
                },
            }
        }
        Ok(lines)
    }

    fn sentence(&self, error: ClientError) -> String {
        match error {
            ClientError::Problem(problem) if problem.is(ProblemKind::IndexNotReady) => {
                format!("{}; try again in a moment", problem.detail)
            }
            ClientError::Problem(Problem {
                detail,
                hint: Some(hint),
                ..
            }) => format!("{detail}; {hint}"),
            error => error.to_string(),
        }
    }

    fn body_max(&self) -> usize {
        usize::try_from(self.inside.body_max).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_library_refuses_in_words_is_a_problem_with_the_same_status() {
        let refused = (
            StatusCode::NOT_ACCEPTABLE,
            Body::from("Not Acceptable: both"),
        )
            .into_response();
        let mut bare = refused;
        bare.headers_mut().remove(CONTENT_TYPE);
        let answer = told(bare).await;
        assert_eq!(answer.status(), StatusCode::NOT_ACCEPTABLE);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        let body = collected(answer.into_body()).await.unwrap();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (problem.status, problem.detail.as_str()),
            (406, "Not Acceptable: both")
        );
    }

    #[tokio::test]
    async fn an_error_of_the_protocol_and_an_answer_stay_as_they_are() {
        for status in [StatusCode::BAD_REQUEST, StatusCode::OK] {
            let json = [(CONTENT_TYPE, "application/json")];
            let answer = told((status, json, "{}").into_response()).await;
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        }
    }
}
