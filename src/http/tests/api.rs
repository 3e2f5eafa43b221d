//! What is asked and answered at once.

use super::*;
use crate::http::wire::DATA_DIR_HEADER;
use crate::http::wire::{Condition, Freshness, ProblemKind};
use crate::index::{Boost, HitPlace, IndexHit, Within};

#[tokio::test]
async fn every_answer_names_the_daemon_and_every_error_is_a_problem() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            for (method, path, status) in [
                (Method::GET, "/api/v1/status", 200),
                (Method::GET, "/api/v1/nothing", 404),
                (Method::GET, "/elsewhere", 404),
                (Method::DELETE, "/api/v1/status", 405),
                (Method::GET, "/api/v1/search", 400),
                (Method::GET, "/api/v1/search?q=x&limitt=3", 400),
                (Method::GET, "/api/v1/search?q=x&limit=0", 400),
                (Method::GET, "/api/v1/search?q=x&collection=other", 404),
                (Method::GET, "/api/v1/events?type=no.such", 400),
                (Method::GET, "/api/v1/events?since=yesterday", 400),
                (Method::GET, "/api/v1/events/7", 400),
                (Method::GET, "/api/v1/documents?state=lost", 400),
                (Method::GET, "/api/v1/documents/history?of=docs", 400),
                (Method::POST, "/api/v1/wait?timeout=5", 400),
                (Method::GET, "/livez", 200),
                (Method::GET, "/readyz", 200),
            ] {
                let response = daemon.raw(method, path, Bytes::new()).await;
                assert_eq!(response.status().as_u16(), status, "{path}");
                let header = response.headers()[DATA_DIR_HEADER].to_str().unwrap();
                assert!(header.ends_with("/a%20data%20dir"), "{header}");
                if status >= 400 {
                    assert_eq!(
                        response.headers()["content-type"],
                        "application/problem+json",
                        "{path}"
                    );
                    let problem: wire::Problem = serde_json::from_slice(response.body()).unwrap();
                    assert_eq!(problem.status, status);
                    assert!(!problem.detail.is_empty());
                }
            }
        })
        .await;
}

#[tokio::test]
async fn a_client_refuses_the_answer_of_another_daemon() {
    let daemon = Daemon::new();
    let other = Client::new(&daemon.socket, std::path::Path::new("/srv/other"));
    let answer = daemon
        .serving(other.get::<wire::Status>(&Target::new("/status")))
        .await;
    assert!(
        matches!(answer, Err(ClientError::Foreign { found, .. }) if found.ends_with("/a data dir"))
    );
    let nobody = Client::new(
        std::path::Path::new("/nowhere/docent.sock"),
        std::path::Path::new("/nowhere"),
    );
    let answer = nobody.get::<wire::Status>(&Target::new("/status")).await;
    assert!(matches!(answer, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn status_counts_what_is_owed_and_says_what_is_wrong() {
    let daemon = Daemon::new();
    let event = daemon.publish(EventType::ScanRequested, "docs").await;
    daemon
        .serving(async {
            let status: wire::Status = daemon.get("/status").await;
            assert_eq!(
                (status.state, status.bus.owed, status.bus.active.as_str()),
                (Condition::Running, 2, "embedded")
            );
            assert_eq!(status.agents["change_detection"].owed, 1);
            assert!(status.agents["change_detection"].oldest_owed_s.is_some());
            assert_eq!(status.agents["rag"].oldest_owed_s, None);

            daemon.fails(&event, AgentName::ChangeDetection, "no").await;
            daemon.agent_is(AgentName::Rag, AgentState::Parked);
            let status: wire::Status = daemon.get("/status").await;
            assert_eq!(status.state, Condition::Degraded);
            assert_eq!(status.wrong.len(), 2, "{:?}", status.wrong);
            assert_eq!(daemon.status_of(Method::GET, "/readyz").await, 503);
            assert_eq!(daemon.status_of(Method::GET, "/livez").await, 200);
            let agents: wire::AgentList = daemon.get("/agents").await;
            assert_eq!(agents.agents.len(), AgentName::ALL.len());
        })
        .await;
}

#[tokio::test]
async fn freshness_is_now_only_while_nothing_is_pending_after_a_first_scan() {
    let daemon = Daemon::new();
    let fresh = || async {
        let status: wire::Status = daemon.get("/status").await;
        status.freshness
    };
    daemon
        .serving(async {
            assert_eq!(fresh().await.complete_to, None, "nothing was scanned yet");
            let began_at = Millis::now().0;
            let ended = Effect::ScanEnded {
                collection: "docs".to_owned(),
                up_to: 0,
                began_at,
                files: 0,
            };
            daemon.write(vec![ended], Vec::new()).await;
            let unnoticed = fresh().await.complete_to.unwrap();
            assert!(Millis::parse(&unnoticed).unwrap() <= Millis(began_at));
            daemon.state.scans.report(|p| p.caught_up = true);
            let before = Millis::now();
            let Freshness {
                complete_to,
                pending,
                failed,
            } = fresh().await;
            assert!(Millis::parse(complete_to.as_ref().unwrap()).unwrap() >= before);
            assert_eq!((pending, failed), (0, 0));

            let event = daemon
                .publish(EventType::DocumentCheckRequested, "docs")
                .await;
            let found = fresh().await;
            assert_eq!((found.complete_to, found.pending), (complete_to, 1));
            daemon
                .fails(&event, AgentName::DocumentManagement, "no")
                .await;
            let found = fresh().await;
            assert_eq!((found.pending, found.failed), (0, 1));

            daemon.state.scans.report(|p| p.pending = 3);
            let marked = fresh().await;
            assert_eq!(marked.pending, 3);
            assert!(marked.complete_to.unwrap() <= Millis::now().to_string());
        })
        .await;
}

#[tokio::test]
async fn search_gives_marks_places_and_freshness() {
    let daemon = Daemon::new();
    let place = |path: &[u8], digest: &str| HitPlace {
        collection: "docs".to_owned(),
        path: path.to_vec(),
        first_line: 3,
        last_line: 4,
        digest: digest.to_owned(),
    };
    let hit = IndexHit {
        place: place(b"a\xff.md", "d1"),
        heading: "Title".to_owned(),
        text: "two words".to_owned(),
        score: 0.5,
        keyword: 1.25,
        vector: 0.25,
        marks: std::iter::once(4..9).collect(),
        also: vec![place(b"b.md", "d2")],
        boosts: vec![Boost {
            name: "path",
            factor: 1.5,
        }],
        more: 2,
    };
    daemon
        .serving(async {
            let target = Target::new("/search")
                .with("q", Some("words & more"))
                .with("limit", Some("3"));
            let refused = daemon.refused(&target).await;
            assert!(refused.is(ProblemKind::IndexNotReady));
            *daemon.search.answer.lock().unwrap() = Ok(Answer {
                nearest: vec![hit.clone()],
                legs: vec!["keyword", "vector"],
                took: Duration::from_micros(1500),
                ..answer(vec![hit])
            });
            let answer: wire::SearchAnswer = daemon.client.get(&target).await.unwrap();
            assert_eq!((answer.took_ms, answer.legs.len()), (1.5, 2));
            let found = &answer.hits[0];
            assert_eq!(
                (found.path.as_str(), found.lines, &found.marks[..]),
                ("a\\xFF.md", [3, 4], &[[4, 9]][..])
            );
            assert_eq!(found.also[0].digest, "d2");
            assert!(answer.about && answer.nearest == answer.hits);
            let asked = daemon.search.asked.lock().unwrap().pop().unwrap();
            assert_eq!((asked.query.as_str(), asked.limit), ("words & more", 3));
            assert_eq!((found.more, &found.explain), (2, &None));

            let narrowed = Target::new("/search")
                .with("q", Some("x"))
                .with("path", Some("docs/**"))
                .with("path", Some("!docs/old"))
                .with("kind", Some("markdown"))
                .with("language", Some("rust"))
                .with("since", Some("2026-01-31"))
                .with("exact", Some("true"))
                .with("explain", Some("true"));
            let answer: wire::SearchAnswer = daemon.client.get(&narrowed).await.unwrap();
            let explain = answer.hits[0].explain.as_ref().unwrap();
            assert_eq!(
                (explain.vector, explain.boosts[0].name.as_str()),
                (0.25, "path")
            );
            let asked = daemon.search.asked.lock().unwrap().pop().unwrap();
            let paths = vec!["docs/**".to_owned(), "!docs/old".to_owned()];
            let language = Some("rust".to_owned());
            let within = Within::new(paths, Some("markdown"), language);
            assert_eq!(asked.within, within.unwrap());
            assert_eq!(asked.since, Millis::parse("2026-01-31T00:00:00Z"));
            assert!(asked.exact);
            for (name, value) in [
                ("kind", "prose"),
                ("language", "Rust"),
                ("since", "yesterday"),
                ("exact", "perhaps"),
                ("path", "!"),
                ("limit", "0"),
                ("wait", "2"),
                ("colour", "red"),
            ] {
                let wrong = Target::new("/search")
                    .with("q", Some("x"))
                    .with(name, Some(value));
                let refused = daemon.refused(&wrong).await;
                assert!(refused.is(ProblemKind::BadRequest), "{name} {value}");
            }
        })
        .await;
}

#[tokio::test]
async fn one_request_too_many_is_told_so_and_what_is_over_soon_is_still_served() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let mut tails = Vec::new();
            for _ in 0..3 {
                tails.push(daemon.client.lines(&Target::new("/tail")).await.unwrap());
            }
            let one_more = daemon.client.lines(&Target::new("/tail")).await;
            let busy = problem(one_more.err().unwrap());
            assert!(busy.is(ProblemKind::Busy));
            daemon.get::<wire::Status>("/status").await;
            assert_eq!(daemon.status_of(Method::GET, "/livez").await, 200);
            drop(tails);
            // The permits come back when the server sees that the clients are gone.
            loop {
                if daemon.client.lines(&Target::new("/tail")).await.is_ok() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
}

#[tokio::test]
async fn over_tcp_there_are_probes_and_nothing_else_without_a_token() {
    let daemon = Daemon::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = NetworkListener::bind(any, None).await.unwrap();
    let address = listener.address().unwrap();
    let server = serve(
        listener,
        tcp_router(daemon.state.clone(), "", MetricsReaders::Everybody),
        daemon.state.stop.clone(),
        ClientTimeouts::default(),
    );
    let ask = |path: &'static str| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let test = async {
        assert!(ask("/livez").await.starts_with("HTTP/1.1 200"));
        let ready = ask("/readyz?verbose").await;
        assert!(
            ready.starts_with("HTTP/1.1 200") && ready.contains("\"name\":\"agent/rag\""),
            "{ready}"
        );
        let status = ask("/api/v1/status").await;
        assert!(
            status.starts_with("HTTP/1.1 401") && !status.contains(DATA_DIR_HEADER),
            "{status}"
        );
    };
    tokio::select! {
        () = server => panic!("the server ended before the test"),
        done = timeout(Duration::from_secs(10), test) => done.unwrap(),
    }
}

/// Bytes as they come from the socket, to the end of the connection.
async fn exchange(daemon: &Daemon, request: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_that_does_not_arrive_loses_its_connection_and_its_permit() {
    let mut daemon = Daemon::new();
    let info = Info {
        requests: 1,
        timeouts: ClientTimeouts {
            head: Duration::from_millis(100),
            body: Duration::from_millis(100),
            ..ClientTimeouts::default()
        },
        ..(*daemon.state.info).clone()
    };
    daemon.state.info = Arc::new(info);
    let begun = "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    let stream =
        "POST /api/v1/events/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{\"type\"";
    daemon
        .serving(async {
            assert_eq!(exchange(&daemon, b"GET /api").await, "");
            for request in [begun, begun] {
                let answer = exchange(&daemon, request.as_bytes()).await;
                assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
                assert!(answer.contains("urn:docent:too-slow"), "{answer}");
            }
            let answer = exchange(&daemon, stream.as_bytes()).await;
            assert!(answer.contains("urn:docent:too-slow"), "{answer}");
            // A body that nobody asked for holds nothing up either.
            let status = begun.replace("POST /api/v1/events", "GET /api/v1/status");
            let answer = exchange(&daemon, status.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        })
        .await;
}
