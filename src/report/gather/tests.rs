//! A report of a store with known contents.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::event::{AgentName, EventId, EventType, NewEvent, Subject};
use crate::store::tests::{change, options, write};
use crate::store::{AuditRecord, Effect, StoreOptions};

/// A store with events of each kind that a report tells of, and their records.
async fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        agents: vec![AgentName::LoggingAudit],
        ..options()
    };
    let (store, _closer) = Store::open(dir.path(), options).unwrap();
    let errors = json!([{"error": "first"}, {"error": "disk | full"}]);
    let fix = json!({"fix": "restart", "attempt": 1, "verified": true, "detector": "agent_parked"});
    let issue = json!({"detector": "agent_parked", "severity": "error"});
    for (kind, data) in [
        (
            EventType::EventDeadLettered,
            json!({"agent": "rag", "errors": errors}),
        ),
        (EventType::FixApplied, fix.clone()),
        (EventType::HealthIssue, issue.clone()),
        (EventType::HealthIssue, issue),
        (EventType::FixFailed, fix),
    ] {
        let event = NewEvent::root(kind, "test", Subject::store(), data.clone());
        let published = store.publish(event).await.unwrap();
        let body = json!({"type": kind.as_str(), "subject": "store", "data": data}).to_string();
        let record = AuditRecord {
            event: published.seq.0,
            body,
        };
        write(&store, vec![Effect::Audit(record)], Vec::new()).await;
    }
    (dir, store)
}

async fn report(store: &Store) -> Report {
    let period = Period::parse(
        "day",
        Millis::now().plus(std::time::Duration::from_secs(60)),
    )
    .unwrap();
    gather(store, "here", &period, &Heartbeat::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_report_tells_what_the_audit_log_has() {
    let (_dir, store) = store().await;
    let report = report(&store).await;
    let count = |kind: &str| {
        let found = report.events.iter().find(|(name, _)| name == kind);
        found.map_or(0, |(_, count)| *count)
    };
    assert_eq!(count("health.issue"), 2);
    assert_eq!(report.events.iter().map(|(_, n)| n).sum::<u64>(), 5);
    let dead = Cause {
        agent: "rag".to_owned(),
        error: "disk | full".to_owned(),
        count: 1,
    };
    assert_eq!(report.dead.causes, [dead]);
    let fixes = FixCount {
        fix: "restart".to_owned(),
        applied: 1,
        came_again: 1,
        failed: 1,
    };
    assert_eq!(report.fixes, [fixes]);
    assert_eq!(report.audit_head.as_ref().map(|(n, _)| *n), Some(5));
    // Every delivery is owed: nothing of the ledger is known to be whole.
    assert_eq!((report.ledger, &report.freshness), (None, &None));
    let text = report.markdown();
    assert!(text.contains("| rag | disk \\| full | 1 |"), "{text}");
    assert!(text.contains("| restart | 1 | 1 | 1 |"), "{text}");
    assert!(
        text.contains("Nothing from this period is left in the ledger"),
        "{text}"
    );
    let json = report.json();
    assert_eq!(json["events"]["health.issue"], 2);
    assert_eq!(json["audit"]["head"]["n"], 5);
    assert_eq!(report.announcement("x")["events"], 5);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_counted_and_hides_no_other() {
    for line in [
        "'no JSON'",
        "'{\"type\":'",
        "'{}'",
        "x'7b7d'",
        "CAST(x'7b22ff' AS TEXT)",
    ] {
        let (_dir, store) = store().await;
        change(
            &store,
            &format!("UPDATE audit SET line = {line} WHERE n = 2"),
        );
        let report = report(&store).await;
        let count = |kind: &str| {
            let found = report.events.iter().find(|(name, _)| name == kind);
            found.map(|(_, count)| *count)
        };
        assert_eq!(count("unreadable"), Some(1), "{line}");
        assert_eq!(count("fix.applied"), None, "{line}: it was the second");
        assert_eq!(count("health.issue"), Some(2), "{line}");
        assert_eq!(report.dead.causes.len(), 1, "{line}");
        assert!(report.markdown().contains("| unreadable | 1 |"), "{line}");
    }
    // Its type alone can be read.
    let (_dir, store) = store().await;
    let line = "CAST(x'7b2274797065223a226669782e6170706c696564222c2278223a22ff227d' AS TEXT)";
    change(
        &store,
        &format!("UPDATE audit SET line = {line} WHERE n = 2"),
    );
    let report = report(&store).await;
    assert!(report.events.contains(&("fix.applied".to_owned(), 1)));
}

#[tokio::test]
async fn errors_of_a_delivery_that_cannot_be_read_are_no_reason_known() {
    let (_dir, store) = store().await;
    change(
        &store,
        "UPDATE delivery SET errors = '[' WHERE event = (SELECT MIN(seq) FROM event)",
    );
    let report = report(&store).await;
    let failed = Cause {
        agent: "logging_audit".to_owned(),
        error: "no reason known".to_owned(),
        count: 1,
    };
    assert_eq!(report.failed.causes, [failed]);
}

#[tokio::test]
async fn what_grew_is_told_against_the_report_before() {
    let (_dir, store) = store().await;
    let first = report(&store).await;
    assert_eq!(first.previous, None);
    let event = EventId::fresh();
    for _ in 0..2 {
        write(&store, vec![Effect::Report(first.row(event))], Vec::new()).await;
    }
    let kept = store.report_of(event).await.unwrap().unwrap();
    assert_eq!(kept.markdown, first.markdown());
    assert_eq!(store.report_of(EventId::fresh()).await, Ok(None));
    let second = report(&store).await;
    let (name, _, sizes) = second.previous.clone().unwrap();
    assert_eq!((name, sizes), (first.name(), first.sizes));
    let text = second.markdown();
    assert!(text.contains("| documents | 0 | +0 |"), "{text}");
}

#[tokio::test]
async fn what_grew_is_told_against_the_report_nearest_to_the_beginning_of_the_period() {
    let (_dir, store) = store().await;
    let mut written = report(&store).await;
    let now = Millis::now();
    for (days, documents) in [(13, 1), (8, 2), (1, 3), (0, 4)] {
        written.written_at = now.minus(Duration::from_secs(days * 24 * 3600));
        written.sizes.documents = documents;
        let row = written.row(EventId::fresh());
        write(&store, vec![Effect::Report(row)], Vec::new()).await;
    }
    for (name, documents) in [("week", 2), ("day", 3)] {
        let period = Period::parse(name, now).unwrap();
        let heartbeat = Heartbeat::default();
        let report = gather(&store, "here", &period, &heartbeat).await.unwrap();
        let (_, _, sizes) = report.previous.unwrap();
        assert_eq!(sizes.documents, documents, "{name}");
    }
}

#[tokio::test]
async fn what_is_outside_the_period_is_not_told() {
    let (_dir, store) = store().await;
    let period = Period::parse("2020-01-01..2020-01-02", Millis::now()).unwrap();
    let report = gather(&store, "here", &period, &Heartbeat::default())
        .await
        .unwrap();
    assert_eq!((report.events.len(), report.audited), (0, None));
    assert!(
        report
            .markdown()
            .contains("Nothing from this period is left in the audit log")
    );
}

#[test]
fn a_share_of_changes_is_within_its_time() {
    let spread = |times: &[u64]| {
        let mut counts = BTreeMap::new();
        for took in times {
            *counts.entry(*took).or_default() += 1;
        }
        freshness(&counts)
    };
    let told = spread(&(1..=200).collect::<Vec<_>>()).unwrap();
    let times = (told.p50_ms, told.p90_ms, told.p99_ms, told.max_ms);
    assert_eq!((told.changes, times), (200, (100, 180, 198, 200)));
    assert_eq!(spread(&[]), None);
    assert_eq!(spread(&[7]).unwrap().p50_ms, 7);
    let told = spread(&[1, 1, 1, 9]).unwrap();
    assert_eq!((told.changes, told.p50_ms, told.p90_ms), (4, 1, 9));
    assert_eq!((rounded(59_999), rounded(61_234)), (59_999, 61_000));
}

#[test]
fn many_causes_are_told_in_part_and_counted_in_full() {
    let mut failures = Failures::default();
    for n in 0..APART_MAX + 10 {
        count(
            &mut failures,
            ("rag".to_owned(), format!("error {n:05}")),
            1,
        );
    }
    count(
        &mut failures,
        ("rag".to_owned(), "error 00007".to_owned()),
        5,
    );
    let told = causes(failures);
    assert_eq!(told.causes[0].count, 6);
    assert_eq!(told.causes.len(), NAMED_MAX);
    let named: u64 = told.causes.iter().map(|cause| cause.count).sum();
    assert_eq!(named + told.others, APART_MAX as u64 + 15);
}
