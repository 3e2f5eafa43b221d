//! Every route is walked with each kind of token: none that forgets what it needs can be registered, and none lets out what
//! is not for its caller.

use hyper::header::WWW_AUTHENTICATE;

use super::super::access::{Need, fresh_token};
use super::super::openapi::Registered;
use super::super::router::registered;
use super::super::wire::DATA_DIR_HEADER;
use super::*;
use crate::runtime::{RootReport, RootState};
use crate::store::{TokenRole, TokenRow};

/// The API as it is served over TCP, called without a connection.
pub(super) struct Network {
    router: axum::Router,
    calls: std::cell::Cell<u16>,
}

impl Network {
    pub(super) fn of(daemon: &Daemon) -> Self {
        Network::with_metrics(daemon, MetricsReaders::Everybody)
    }

    fn with_metrics(daemon: &Daemon, readers: MetricsReaders) -> Self {
        Network {
            router: tcp_router(daemon.state.clone(), "", readers),
            calls: std::cell::Cell::new(0),
        }
    }

    /// Sends a request, each from an address of its own, so that none waits for another's failures.
    async fn call(&self, method: Method, path: &str, token: Option<&str>) -> Response<Body> {
        self.call_for("*/*", method, path, token).await
    }

    /// What a browser gets for a path, and how.
    pub(super) async fn page(&self, path: &str, token: &str) -> (u16, String) {
        let answer = self.call_for("text/html", Method::GET, path, Some(token));
        let answer = answer.await;
        (answer.status().as_u16(), text(answer).await)
    }

    async fn call_for(
        &self,
        accepted: &str,
        method: Method,
        path: &str,
        token: Option<&str>,
    ) -> Response<Body> {
        let [a, b] = self.calls.replace(self.calls.get() + 1).to_be_bytes();
        let mut headers = vec![("accept", accepted)];
        let bearer = token.map(|token| format!("Bearer {token}"));
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        ask(&self.router, [10, 0, a, b], (method, path), &headers, "").await
    }

    async fn walk(&self, route: &Registered, token: Option<&str>) -> Response<Body> {
        self.call(route.method.clone(), &path_of(route, ID), token)
            .await
    }
}

/// An id that no event has.
const ID: &str = "01890000-0000-7000-8000-000000000000";

/// Where a route is called.
fn path_of(route: &Registered, id: &str) -> String {
    let path = route.path.replace("{id}", id).replace("{name}", "rag");
    let query = match route.path {
        "/search" => "?q=walrus",
        "/read" => "?ref=docs/walrus.md",
        "/documents/history" => "?of=docs/walrus.md",
        _ => "",
    };
    format!("/api/v1{path}{query}")
}

pub(super) fn token(daemon: &Daemon, role: TokenRole, collections: Option<&[&str]>) -> String {
    let (token, hash) = fresh_token().unwrap();
    daemon.state.tokens.add(TokenRow {
        name: format!("token {}", &hash[..8]),
        hash,
        role,
        collections: collections.map(|c| c.iter().map(|c| (*c).to_owned()).collect()),
        created_at: 0,
        expires_at: None,
    });
    token
}

#[tokio::test]
async fn metrics_are_read_by_everybody_by_who_has_a_token_or_by_nobody() {
    let daemon = Daemon::new();
    let tokens = [
        None,
        Some("wrong".to_owned()),
        Some(token(&daemon, TokenRole::Read, None)),
        Some(token(&daemon, TokenRole::Operate, Some(&["docs"]))),
    ];
    for (readers, expected) in [
        (MetricsReaders::Everybody, [200, 200, 200, 200]),
        (MetricsReaders::TokenHolders, [401, 401, 200, 404]),
        (MetricsReaders::Nobody, [401, 401, 404, 404]),
    ] {
        let network = Network::with_metrics(&daemon, readers);
        for (token, expected) in tokens.iter().zip(expected) {
            let answer = network.call(Method::GET, "/metrics", token.as_deref());
            assert_eq!(answer.await.status(), expected, "{readers:?} {token:?}");
        }
    }
}

#[tokio::test]
async fn no_route_answers_to_nobody_to_a_wrong_token_or_to_one_that_may_less() {
    let daemon = Daemon::new();
    let network = Network::of(&daemon);
    let read = token(&daemon, TokenRole::Read, None);
    let limited = token(&daemon, TokenRole::Operate, Some(&["other"]));
    let routes = registered();
    assert!(routes.len() > 25, "{}", routes.len());
    for route in &routes {
        let (most, last) = read.split_at(read.len() - 1);
        let wrong = format!("{most}{}", if last == "0" { "1" } else { "0" });
        for token in [None, Some(""), Some("x"), Some(&*wrong)] {
            let answer = network.walk(route, token).await;
            assert_eq!(answer.status(), 401, "{route:?} {token:?}");
            let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            assert!(!answer.headers().contains_key(DATA_DIR_HEADER));
        }
        let (low, other) = match route.need {
            Need::Read => (None, None),
            Need::ReadAll => (None, Some(404)),
            Need::Operate => (Some(403), None),
            Need::OperateAll => (Some(403), Some(404)),
            Need::Control => (Some(403), Some(403)),
        };
        for (token, refused) in [(&read, low), (&limited, other)] {
            if let Some(status) = refused {
                let answer = network.walk(route, Some(token)).await;
                assert_eq!(answer.status(), status, "{route:?}");
            }
        }
    }
    // What is not there is no exception, and neither is a method that is not served.
    for (method, path) in [
        (Method::GET, "/api/v1/nothing"),
        (Method::GET, "/"),
        (Method::DELETE, "/api/v1/status"),
        (Method::OPTIONS, "/api/v1/status"),
    ] {
        let answer = network.call(method, path, None).await;
        assert_eq!(answer.status(), 401, "{path}");
    }
    let probe = network.call(Method::GET, "/readyz", None).await;
    assert_eq!(probe.status(), 200);
}

#[tokio::test]
async fn a_limited_token_finds_nothing_of_other_collections_anywhere() {
    let daemon = Daemon::new();
    let network = Network::of(&daemon);
    let event = daemon
        .publish(EventType::FileChanged, "docs/walrus.md")
        .await;
    let agent = AgentName::DocumentManagement;
    daemon.fails(&event, agent, "the walrus bit").await;
    let limited = token(&daemon, TokenRole::Operate, Some(&["other"]));
    let all = token(&daemon, TokenRole::Read, None);
    let id = event.id.to_string();
    let mut found = 0;
    for route in registered() {
        let lasts = [
            "/tail",
            "/stream",
            "/overview/stream",
            "/wait",
            "/scan",
            "/search",
        ]
        .contains(&route.path);
        if lasts || route.path == "/events/stream" {
            continue;
        }
        for id in [&id, &id[..8]] {
            let path = path_of(&route, id);
            let answer = network
                .call(route.method.clone(), &path, Some(&limited))
                .await;
            let status = answer.status();
            let body = text(answer).await;
            assert!(!body.contains("walrus"), "{route:?} {status}: {body}");
            assert!(!body.contains("docs/"), "{route:?} {status}: {body}");
            if route.path.contains("{id}") {
                assert_eq!(status, 404, "{route:?}: {body}");
            }
            if route.method == Method::GET {
                let answer = network.call(Method::GET, &path, Some(&all)).await;
                found += usize::from(text(answer).await.contains("walrus"));
            }
        }
    }
    assert!(found >= 8, "whoever may see it does: {found}");
}

#[tokio::test]
async fn a_search_of_a_limited_token_is_limited() {
    let daemon = Daemon::new();
    let network = Network::of(&daemon);
    let limited = token(&daemon, TokenRole::Read, Some(&["other"]));
    let path = "/api/v1/search?q=walrus";
    network.call(Method::GET, path, Some(&limited)).await;
    let asked = daemon.search.asked.lock().unwrap().pop().unwrap();
    let only = crate::index::Within::default().only_of(Some(vec!["other".to_owned()]));
    assert_eq!(asked.within, only);
    let path = "/api/v1/search?q=walrus&collection=docs";
    let answer = network.call(Method::GET, path, Some(&limited)).await;
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn a_search_that_waits_does_not_tell_a_limited_token_of_other_collections() {
    let daemon = Daemon::new();
    let network = Network::of(&daemon);
    let empty = answer(Vec::new());
    daemon.state.scans.report(|progress| {
        progress.roots = vec![RootReport {
            collection: "docs".to_owned(),
            path: "/docs".into(),
            state: RootState::There,
            polled: Some("it is on a network".to_owned()),
            walked_at: Some(Millis(0)),
            unlisted: Vec::new(),
            shut: Vec::new(),
        }];
    });
    let markers = daemon.state.scans.markers();
    let missing = async |token: &str| {
        *daemon.search.answer.lock().unwrap() = Ok(empty.clone());
        let search = network.call(Method::GET, "/api/v1/search?q=walrus&wait=9s", Some(token));
        let marker = async {
            markers.asked().await;
            markers.end(markers.begin());
        };
        let (answer, ()) = tokio::join!(search, marker);
        let answer: Value = serde_json::from_str(&text(answer).await).unwrap();
        answer["missing"].clone()
    };
    let all = token(&daemon, TokenRole::Read, None);
    let limited = token(&daemon, TokenRole::Read, Some(&["other"]));
    let told = missing(&all).await.to_string();
    assert!(told.contains("docs"), "{told}");
    assert_eq!(missing(&limited).await, Value::Null);

    // What an agent gave up on is told to those who may know of it, and nobody stops waiting for the rest because of it.
    daemon
        .state
        .scans
        .report(|progress| progress.roots = Vec::new());
    let event = daemon
        .publish(EventType::DocumentStored, "docs/walrus.md")
        .await;
    let why = Settlement::Permanent("the walrus bit".to_owned());
    daemon.settle(&event, AgentName::Rag, why).await;
    let of_docs = token(&daemon, TokenRole::Read, Some(&["docs"]));
    for token in [&all, &of_docs] {
        let told = missing(token).await.to_string();
        assert!(told.contains("docs/walrus.md cannot become"), "{told}");
    }
    assert_eq!(missing(&limited).await, Value::Null);
}
