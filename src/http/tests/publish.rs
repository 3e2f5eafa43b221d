//! Publishing, one by one and as a stream.

use std::convert::Infallible;

use futures_util::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::*;
use crate::http::wire::{ProblemKind, PublishedId, PublishedLine};

type Sender = mpsc::Sender<Bytes>;

/// A stream that is open, with nothing sent.
async fn opened(daemon: &Daemon) -> (Sender, LineStream) {
    let (sender, receiver) = mpsc::channel::<Bytes>(4);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), receiver))
    });
    let target = Target::new("/events/stream");
    let body = StreamBody::new(frames.boxed());
    let answers = daemon.client.stream(&target, body).await.unwrap();
    (sender, answers)
}

fn line(subject: &str) -> String {
    format!("{{\"type\": \"scan.requested\", \"subject\": \"{subject}\"}}\n")
}

fn parsed(line: &[u8]) -> PublishedLine {
    serde_json::from_slice(line).unwrap()
}

#[tokio::test]
async fn an_event_is_created_once_and_refused_by_its_reason() {
    let daemon = Daemon::new();
    let id = "6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55";
    let with = |subject: &str| {
        format!("{{\"type\":\"scan.requested\",\"subject\":\"{subject}\",\"id\":\"{id}\"}}")
    };
    let large = format!(
        "{{\"type\":\"scan.requested\",\"subject\":\"docs\",\"data\":{{\"x\":\"{}\"}}}}",
        "x".repeat(70_000)
    );
    daemon
        .serving(async {
            for (text, status) in [
                (with("docs"), 201),
                (with("docs"), 201),
                (with("docs/other"), 409),
                (large, 413),
                ("x".repeat(2 * 1024 * 1024), 413),
                ("{".to_owned(), 422),
                (
                    r#"{"type":"file.changed","subject":"docs/a"}"#.to_owned(),
                    422,
                ),
            ] {
                let start = text.chars().take(60).collect::<String>();
                let response = daemon
                    .raw(Method::POST, "/api/v1/events", Bytes::from(text))
                    .await;
                assert_eq!(response.status().as_u16(), status, "{start}");
                if status == 201 {
                    let published: PublishedId = serde_json::from_slice(response.body()).unwrap();
                    assert_eq!(published.id, id);
                }
            }
            assert_eq!(head(&daemon), Seq(1));
            let event = daemon.event(id.parse().unwrap()).await;
            assert_eq!(
                event.source,
                format!("control/{}", rustix::process::getuid().as_raw())
            );

            daemon.state.board.enter(Phase::Draining);
            let response = daemon
                .raw(Method::POST, "/api/v1/events", Bytes::from(with("docs")))
                .await;
            assert_eq!(response.status(), 503);
        })
        .await;
}

#[tokio::test]
async fn a_stream_answers_each_line_while_the_rest_is_still_to_come() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let (sender, mut answers) = opened(&daemon).await;
            for n in 0..3 {
                sender
                    .send(Bytes::from(line(&format!("docs/{n}"))))
                    .await
                    .unwrap();
                // The body is open; the answer comes nevertheless, and the event is durable.
                let answer = parsed(&answers.next().await.unwrap().unwrap());
                let id = answer.id.unwrap().parse().unwrap();
                let event = daemon.event(id).await;
                assert_eq!(event.subject.as_str(), format!("docs/{n}"));
            }
            drop(sender);
            assert_eq!(answers.next().await.unwrap(), None);
        })
        .await;
}

#[tokio::test]
async fn every_line_has_its_answer_in_its_place() {
    let daemon = Daemon::new();
    let mut text = String::new();
    for n in 0..5000 {
        match n % 1000 {
            7 => text.push_str("not json\n"),
            8 => text.push('\n'),
            9 => text.push_str(&format!(
                "{{\"type\":\"scan.requested\",\"subject\":\"docs/x\",\"data\":{{\"x\":\"{}\"}}}}\n",
                "x".repeat(70_000)
            )),
            10 => text.push_str(&format!("{}\n", "x".repeat(300_000))),
            _ => text.push_str(&line(&format!("docs/{n}"))),
        }
    }
    text.pop(); // the last line needs no line feed
    daemon
        .serving(async {
            let (sender, mut answers) = opened(&daemon).await;
            let send = async move {
                for chunk in text.as_bytes().chunks(10_007) {
                    sender.send(Bytes::copy_from_slice(chunk)).await.unwrap();
                }
            };
            let receive = async {
                let mut all = Vec::new();
                while let Some(line) = answers.next().await.unwrap() {
                    all.push(parsed(&line));
                }
                all
            };
            let ((), all) = tokio::join!(send, receive);
            assert_eq!(all.len(), 5000);
            let mut seqs = Vec::new();
            for (n, answer) in all.into_iter().enumerate() {
                let kind = answer.problem.map(|p| p.kind);
                let expected = match n % 1000 {
                    7 | 8 => Some(ProblemKind::Refused.urn()),
                    9 | 10 => Some(ProblemKind::TooLarge.urn()),
                    _ => None,
                };
                assert_eq!(kind.as_deref(), expected, "line {n}");
                if let Some(id) = answer.id.filter(|_| n % 100 == 0) {
                    let event = daemon.event(id.parse().unwrap()).await;
                    assert_eq!(event.subject.as_str(), format!("docs/{n}"));
                    seqs.push(event.seq);
                }
            }
            assert!(seqs.is_sorted(), "the ledger has the lines in their order");
        })
        .await;
}

#[tokio::test]
async fn a_drain_ends_a_stream_after_the_line_that_met_it() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let (sender, mut answers) = opened(&daemon).await;
            sender.send(Bytes::from(line("docs/1"))).await.unwrap();
            assert!(parsed(&answers.next().await.unwrap().unwrap()).id.is_some());
            daemon.state.board.enter(Phase::Draining);
            sender.send(Bytes::from(line("docs/2"))).await.unwrap();
            let answer = parsed(&answers.next().await.unwrap().unwrap());
            assert!(answer.problem.unwrap().is(ProblemKind::Stopping));
            assert_eq!(
                answers.next().await.unwrap(),
                None,
                "though the body is open"
            );
            assert_eq!(head(&daemon), Seq(1));
        })
        .await;
}

#[tokio::test]
async fn a_drain_in_the_middle_of_a_flood_loses_no_answer() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let (sender, mut answers) = opened(&daemon).await;
            let flood = async {
                let many: String = (0..500).map(|n| line(&format!("docs/{n}"))).collect();
                // Until the connection takes no more.
                while sender.send(Bytes::from(many.clone())).await.is_ok() {}
            };
            let receive = async {
                let (mut ids, mut problems) = (0, 0);
                while let Some(line) = answers.next().await.unwrap() {
                    match parsed(&line) {
                        PublishedLine { id: Some(_), .. } => ids += 1,
                        PublishedLine { problem, .. } => {
                            assert!(problem.unwrap().is(ProblemKind::Stopping));
                            problems += 1;
                        }
                    }
                    if ids == 300 {
                        daemon.state.board.enter(Phase::Draining);
                    }
                }
                (ids, problems)
            };
            let (ids, problems) = tokio::select! {
                counts = receive => counts,
                () = flood => panic!("the body was closed before the answer had ended"),
            };
            assert!(problems > 0);
            assert_eq!(
                head(&daemon),
                Seq(ids),
                "each event that is durable was answered"
            );
        })
        .await;
}

#[tokio::test]
async fn a_daemon_that_dies_is_an_error_and_no_end() {
    let daemon = Daemon::new();
    // The sender lives on: that its body is still open is no reason for the end.
    let (_sender, mut answers) = daemon
        .serving(async {
            let (sender, mut answers) = opened(&daemon).await;
            sender.send(Bytes::from(line("docs/1"))).await.unwrap();
            let first: Value =
                serde_json::from_slice(&answers.next().await.unwrap().unwrap()).unwrap();
            assert!(first["id"].is_string());
            (sender, answers)
        })
        .await;
    // The server's future is gone, and its connections with it.
    let end = timeout(Duration::from_secs(10), answers.next())
        .await
        .unwrap();
    assert!(matches!(end, Err(ClientError::Lost(_))), "{end:?}");
}
