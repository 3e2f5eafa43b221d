//! Scan and wait, with the agents played.

use super::*;
use crate::http::wire::{ProblemKind, ScanAnswer, WaitAnswer};
use crate::store::Derived;

async fn wait(daemon: &Daemon, timeout: &str) -> Result<WaitAnswer, ClientError> {
    daemon
        .client
        .post(&Target::new("/wait").with("timeout", Some(timeout)))
        .await
}

async fn scan(daemon: &Daemon, collection: Option<&str>) -> Result<ScanAnswer, ClientError> {
    daemon
        .client
        .post(&Target::new("/scan").with("collection", collection))
        .await
}

/// Plays `change_detection`: one scan that finds one file.
async fn scan_that_finds(daemon: &Daemon, path: &str) -> Event {
    daemon.state.scans.scans().asked().await;
    let number = daemon.state.scans.scans().begin();
    let event = daemon.publish(EventType::FileChanged, path).await;
    daemon.state.scans.scans().end(number);
    event
}

#[tokio::test]
async fn wait_follows_a_change_from_the_scan_to_the_index() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let waiting = wait(&daemon, "20s");
            let agents = async {
                let changed = scan_that_finds(&daemon, "docs/a.md").await;
                // Stored and told to rag in one transaction.
                let stored = Outcome {
                    effects: Vec::new(),
                    events: vec![Derived {
                        kind: EventType::DocumentStored,
                        subject: changed.subject.clone(),
                        data: json!({}).into(),
                    }],
                };
                let (agent, done) = (AgentName::DocumentManagement, Settlement::Done(stored));
                daemon.settle(&changed, agent, done).await;
                let stored = daemon
                    .state
                    .store
                    .events_after(changed.seq, 1)
                    .await
                    .unwrap()
                    .remove(0);
                index_something(&daemon, &stored).await;
                let change = daemon.state.store.head().borrow().change;
                assert!(change > 0);
                change
            };
            let mut waiting = std::pin::pin!(waiting);
            let change = tokio::select! {
                early = &mut waiting => panic!("{early:?}"),
                change = agents => change,
            };
            // Everything is done, the index has not followed: still nothing.
            let still = timeout(Duration::from_millis(200), &mut waiting).await;
            assert!(still.is_err(), "{still:?}");
            daemon.search.state.send_modify(|f| f.position = change);
            waiting.await.unwrap();
        })
        .await;
}

/// Puts a document's chunks into the store, so that the feed has a change, and settles rag's delivery.
async fn index_something(daemon: &Daemon, stored: &Event) {
    let capture = captured(b"a.md", b"text");
    daemon.write(vec![capture], Vec::new()).await;
    let set = crate::store::ChunkSet {
        document: "x".to_owned(),
        version: 1,
        digest: Digest::of(b"text"),
        embedder: "table".to_owned(),
        chunks: Vec::new(),
        embeddings: Vec::new(),
    };
    let outcome = Outcome::nothing().effect(Effect::Index(set));
    daemon
        .settle(stored, AgentName::Rag, Settlement::Done(outcome))
        .await;
}

#[tokio::test]
async fn wait_says_what_is_pending_when_time_is_up() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let agents = async {
                scan_that_finds(&daemon, "docs/a.md").await;
                std::future::pending::<()>().await;
            };
            let late = tokio::select! {
                () = agents => unreachable!("it never ends"),
                answer = wait(&daemon, "300ms") => problem(answer.unwrap_err()),
            };
            assert!(late.is(ProblemKind::Timeout));
            assert!(
                late.detail
                    .contains("after 300ms: document_management owes 1"),
                "{}",
                late.detail
            );
            let no_scan = problem(wait(&daemon, "10ms").await.unwrap_err());
            assert!(no_scan.is(ProblemKind::Timeout));
        })
        .await;
}

#[tokio::test]
async fn wait_gives_up_at_once_on_what_cannot_come() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let agents = async {
                let changed = scan_that_finds(&daemon, "docs/a.md").await;
                daemon
                    .fails(&changed, AgentName::DocumentManagement, "it broke")
                    .await;
            };
            let (answer, ()) = tokio::join!(wait(&daemon, "20s"), agents);
            let dead = problem(answer.unwrap_err());
            assert!(dead.is(ProblemKind::DeadLetter));
            assert!(
                dead.detail.contains("docs/a.md") && dead.detail.ends_with("it broke"),
                "{}",
                dead.detail
            );

            daemon.agent_is(AgentName::Rag, AgentState::Off);
            let off = problem(wait(&daemon, "20s").await.unwrap_err());
            assert_eq!(
                (off.is(ProblemKind::AgentMissing), off.detail.as_str()),
                (true, "the agent rag is off")
            );
        })
        .await;
}

#[tokio::test]
async fn wait_and_scan_end_when_the_daemon_drains() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let drain = async {
                until(|| daemon.state.scans.scans().is_asked()).await;
                daemon.state.board.enter(Phase::Draining);
            };
            let (waited, scanned, ()) =
                tokio::join!(wait(&daemon, "20s"), scan(&daemon, None), drain);
            assert!(problem(waited.unwrap_err()).is(ProblemKind::Stopping));
            assert!(problem(scanned.unwrap_err()).is(ProblemKind::Stopping));
        })
        .await;
}

#[tokio::test]
async fn a_scan_is_answered_at_its_end_with_its_counts() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let agents = async {
                daemon.state.scans.scans().asked().await;
                let number = daemon.state.scans.scans().begin();
                daemon.state.scans.report(|p| (p.seen, p.changed) = (7, 2));
                let ended = Effect::ScanEnded {
                    collection: "docs".to_owned(),
                    up_to: 0,
                    began_at: 5,
                    files: 7,
                };
                daemon.write(vec![ended], Vec::new()).await;
                daemon.state.scans.scans().end(number);
            };
            let (answer, ()) = tokio::join!(scan(&daemon, Some("docs")), agents);
            let answer = answer.unwrap();
            assert_eq!(
                (answer.seen, answer.changed, answer.collections.len()),
                (7, 2, 1)
            );
            assert_eq!(
                (
                    answer.collections[0].collection.as_str(),
                    answer.collections[0].files
                ),
                ("docs", 7)
            );

            assert!(
                problem(scan(&daemon, Some("other")).await.unwrap_err()).is(ProblemKind::Refused)
            );
            daemon.agent_is(AgentName::ChangeDetection, AgentState::Parked);
            let parked = problem(scan(&daemon, Some("docs")).await.unwrap_err());
            assert!(parked.is(ProblemKind::AgentMissing));
        })
        .await;
}
