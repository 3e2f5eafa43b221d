//! Documents, events, dead letters and the audit log.

use super::*;
use crate::http::wire::{
    AuditVerdict, DeadList, EventView, HealthList, History, JobList, ProblemKind,
};
use crate::store::{AuditRecord, DocumentState, DocumentVersion, FileState, ManifestEntry};

fn entry(path: String, state: FileState) -> ManifestEntry {
    ManifestEntry {
        collection: "docs".to_owned(),
        path: path.into_bytes(),
        state,
        digest: None,
        stat: FileStat::default(),
        reason: Some("no".to_owned()),
    }
}

#[tokio::test]
async fn documents_are_listed_over_many_pages_and_by_state() {
    let daemon = Daemon::new();
    let entries = (0..2500).map(|n| {
        let state = if n == 2400 {
            FileState::Unreadable
        } else {
            FileState::Unsupported
        };
        Effect::List(entry(format!("{n:04}"), state))
    });
    daemon.write(entries.collect(), Vec::new()).await;
    daemon
        .serving(async {
            let all = daemon.all(&Target::new("/documents")).await;
            let paths: Vec<String> = all
                .iter()
                .map(|d| d["path"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(
                paths,
                (0..2500).map(|n| format!("{n:04}")).collect::<Vec<_>>()
            );
            let target = Target::new("/documents").with("state", Some("unreadable"));
            let one = daemon.all(&target).await;
            assert_eq!(one.len(), 1);
            assert_eq!(
                (&one[0]["path"], &one[0]["digest"]),
                (&json!("2400"), &Value::Null)
            );
            let none = Target::new("/documents").with("state", Some("stored"));
            assert!(daemon.all(&none).await.is_empty());
        })
        .await;
}

fn version(digest: &Digest, number: u32) -> Effect {
    Effect::Document(DocumentVersion {
        document: "id".to_owned(),
        collection: "docs".to_owned(),
        path: b"a.md".to_vec(),
        version: number,
        digest: digest.clone(),
        size: 4,
        state: DocumentState::Stored,
        reason: None,
        title: Some("A".to_owned()),
        kind: "markdown".to_owned(),
    })
}

#[tokio::test]
async fn history_tells_versions_and_why_there_are_none() {
    let daemon = Daemon::new();
    let digest = Digest::of(b"text");
    let effects = vec![
        captured(b"a.md", b"text"),
        version(&digest, 1),
        version(&digest, 2),
        Effect::List(entry("b.bin".to_owned(), FileState::Unsupported)),
    ];
    daemon.write(effects, Vec::new()).await;
    daemon
        .serving(async {
            let of = |of| Target::new("/documents/history").with("of", Some(of));
            let history: History = daemon.client.get(&of("docs/a.md")).await.unwrap();
            assert_eq!(
                history
                    .versions
                    .iter()
                    .map(|v| v.version)
                    .collect::<Vec<_>>(),
                [2, 1]
            );
            assert_eq!(
                (
                    history.state.to_string().as_str(),
                    history.versions[0].digest.as_str()
                ),
                ("stored", digest.as_str())
            );
            let none = daemon.refused(&of("docs/b.bin")).await;
            assert_eq!(none.detail, "docs/b.bin is not a document: no");
            let never = daemon.refused(&of("docs/c.md")).await;
            assert!(never.is(ProblemKind::NotFound));
        })
        .await;
}

#[tokio::test]
async fn events_are_listed_newest_first_over_many_pages_and_shown() {
    let daemon = Daemon::new();
    let events = (0..1500).map(|n| {
        NewEvent::root(
            EventType::ScanRequested,
            "test",
            Subject::parse(&format!("docs/{n}")).unwrap(),
            json!({}),
        )
    });
    daemon.write(Vec::new(), events.collect()).await;
    let other = daemon.publish(EventType::JobRequested, "job/health").await;
    daemon
        .serving(async {
            let all = daemon.all(&Target::new("/events")).await;
            let seqs: Vec<u64> = all.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
            assert_eq!(seqs.len(), 1501);
            assert!(seqs.windows(2).all(|two| two[0] > two[1]));
            let some = Target::new("/events")
                .with("type", Some("scan.requested"))
                .with("limit", Some("1200"));
            let some = daemon.all(&some).await;
            assert_eq!(
                (some.len(), &some[1199]["subject"]),
                (1200, &json!("docs/300"))
            );

            let shown: EventView = daemon.get(&format!("/events/{}", other.id)).await;
            let agents: Vec<&str> = shown.deliveries.iter().map(|d| d.agent.as_str()).collect();
            assert_eq!(agents, ["logging_audit", "scheduler"]);
            assert_eq!(shown.event.subject, "job/health");
        })
        .await;
}

#[tokio::test]
async fn tail_gives_what_comes_and_ends_with_the_server() {
    let daemon = Daemon::new();
    daemon.publish(EventType::ScanRequested, "before").await;
    daemon
        .serving(async {
            let mut tail = daemon.client.lines(&Target::new("/tail")).await.unwrap();
            for n in 0..3 {
                daemon
                    .publish(EventType::ScanRequested, &format!("docs/{n}"))
                    .await;
                let line = tail.next().await.unwrap().unwrap();
                let event: Value = serde_json::from_slice(&line).unwrap();
                assert_eq!(event["subject"], format!("docs/{n}"));
            }
        })
        .await;
    // Told to stop while a tail waits, the server ends within its grace.
    let server = daemon.server().await;
    let client = async {
        let mut tail = daemon.client.lines(&Target::new("/tail")).await.unwrap();
        daemon.state.stop.cancel();
        tail.next().await.unwrap()
    };
    let both = timeout(Duration::from_secs(10), async {
        tokio::join!(server, client)
    })
    .await
    .unwrap();
    assert_eq!(both.1, None);
}

#[tokio::test]
async fn a_replay_is_recorded_before_it_is_done() {
    let daemon = Daemon::new();
    let event = daemon.publish(EventType::ScanRequested, "docs").await;
    daemon
        .serving(async {
            let replay = Target::new("/dead")
                .segment(&event.id.to_string())
                .segment("replay");
            let refused = async |target: &Target| {
                problem(daemon.client.post::<Value>(target).await.unwrap_err())
            };
            let early = refused(&replay).await;
            assert!(early.is(ProblemKind::NotFound), "{early:?}");
            assert_eq!(
                head(&daemon),
                event.seq,
                "nothing was done, nothing is recorded"
            );

            daemon
                .fails(&event, AgentName::ChangeDetection, "it broke")
                .await;
            let list: DeadList = daemon.get("/dead").await;
            assert_eq!(
                (list.dead.len(), list.total, list.dead[0].attempts),
                (1, 1, 1)
            );
            assert_eq!(list.dead[0].errors[0]["error"], "it broke");

            let wrong = replay.clone().with("agent", Some("rag"));
            assert!(refused(&wrong).await.is(ProblemKind::NotFound));
            let done: wire::Replayed = daemon
                .client
                .post(&replay.with("agent", Some("change_detection")))
                .await
                .unwrap();
            assert_eq!(done.replayed, 1);
            let acted = daemon
                .all(&Target::new("/events").with("type", Some("operator.acted")))
                .await;
            assert_eq!(acted.len(), 1);
            assert_eq!(acted[0]["data"]["uid"], rustix::process::getuid().as_raw());
            assert_eq!(
                (&acted[0]["source"], &acted[0]["subject"]),
                (&json!("control"), &json!("docs"))
            );
            let list: DeadList = daemon.get("/dead").await;
            assert_eq!((list.dead.len(), list.total), (0, 0));
        })
        .await;
}

#[tokio::test]
async fn the_audit_log_is_printed_with_hashes_and_verified() {
    let daemon = Daemon::new();
    let records = (1..=1200).map(|n| {
        Effect::Audit(AuditRecord {
            event: n,
            body: format!("{{\"event\":\"{n}\"}}"),
        })
    });
    daemon.write(records.collect(), Vec::new()).await;
    daemon
        .serving(async {
            let all = daemon.all(&Target::new("/audit")).await;
            assert_eq!(
                all.iter()
                    .map(|r| r["n"].as_u64().unwrap())
                    .collect::<Vec<_>>(),
                (1..=1200).collect::<Vec<_>>()
            );
            assert_eq!(all[0]["hash"].as_str().unwrap().len(), 64);
            let verdict: AuditVerdict = daemon.get("/audit/verify").await;
            assert_eq!((verdict.intact, verdict.records), (true, Some(1200)));
            let jobs: JobList = daemon.get("/jobs").await;
            assert!(jobs.jobs.is_empty());
            let health: HealthList = daemon.get("/health?all=true").await;
            assert!(health.issues.is_empty());
        })
        .await;
}
