//! Looking through the past slice by slice.

use super::super::past::{AuditSearch, EventSearch, Span};
use super::*;

/// A store with 25,000 events, one a second, of which each 7,000th is about the walrus, and with an audit record of each.
async fn long_past() -> Opened {
    let opened = open();
    change(
        &opened.store,
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 25000)
         INSERT INTO event (seq, id, type, source, subject, time, data, correlation)
         SELECT n, printf('00000000-0000-0000-0000-%012x', n), 'file.changed', 'test',
                iif(n % 7000 = 0, 'docs/walrus.md', 'docs/a.md'), n * 1000, '{}', printf('00000000-0000-0000-0000-%012x', n) FROM n;
         INSERT INTO audit (n, event, line, hash, at)
         SELECT seq, seq, json_object('n', seq, 'event', id, 'type', type, 'subject', subject), 'h', time FROM event;",
    );
    opened
}

/// The keys of all that is found, and how many slices that took.
async fn found(store: &Store, wanted: &EventSearch, mut span: Span) -> (Vec<u64>, usize) {
    let (mut keys, mut slices) = (Vec::new(), 0);
    loop {
        let slice = store.search_events(wanted.clone(), span, 2).await.unwrap();
        slices += 1;
        keys.extend(slice.rows.iter().map(|row| row.event.seq.0));
        let Some(next) = slice.next else {
            return (keys, slices);
        };
        assert_eq!(next.time, Millis(i64::try_from(next.key).unwrap() * 1000));
        span.before = Some(next.key);
    }
}

#[tokio::test]
async fn what_is_looked_for_is_found_once_however_many_slices_it_takes() {
    let opened = long_past().await;
    let walrus = EventSearch {
        subject: Some("walrus".to_owned()),
        ..EventSearch::default()
    };
    let (keys, slices) = found(&opened.store, &walrus, Span::default()).await;
    assert_eq!(keys, [21_000, 14_000, 7000]);
    assert!(slices > 3, "a slice is bounded: {slices}");
    let none = EventSearch {
        kind: Some(EventType::JobRequested),
        ..EventSearch::default()
    };
    assert_eq!(
        found(&opened.store, &none, Span::default()).await,
        (Vec::new(), 3)
    );
    let within = |since, until| Span {
        since: Some(Millis(since)),
        until: Some(Millis(until)),
        before: None,
    };
    let all = EventSearch::default();
    let (keys, _) = found(&opened.store, &all, within(11_999_001, 12_003_500)).await;
    assert_eq!(keys, [12_003, 12_002, 12_001, 12_000]);
    assert_eq!(found(&opened.store, &all, within(0, 999)).await.0, [0; 0]);
    assert_eq!(
        found(&opened.store, &all, within(25_000_000, i64::MAX))
            .await
            .0,
        [25_000]
    );
}

#[tokio::test]
async fn audit_records_are_found_by_what_they_say() {
    let opened = long_past().await;
    let search = async |wanted: AuditSearch, before| {
        let span = Span {
            before,
            ..Span::default()
        };
        opened.store.search_audit(wanted, span, 9).await.unwrap()
    };
    let walrus = AuditSearch {
        subject: Some("docs/walrus".to_owned()),
        kind: Some("file.changed".to_owned()),
        ..AuditSearch::default()
    };
    let slice = search(walrus.clone(), None).await;
    let keys: Vec<u64> = slice.rows.iter().map(|row| row.line.n).collect();
    assert_eq!((keys, slice.next.unwrap().key), (vec![21_000], 21_000));
    let other = AuditSearch {
        kind: Some("file.change".to_owned()),
        ..walrus
    };
    assert!(search(other, Some(21_001)).await.rows.is_empty());
    // One that is in the ledger is found without looking.
    let of = |id: &str| AuditSearch {
        event: Some(id.to_owned()),
        ..AuditSearch::default()
    };
    let one = search(of("00000000-0000-0000-0000-000000000001"), None).await;
    assert_eq!((one.rows[0].line.n, one.next), (1, None));
    change(&opened.store, "DELETE FROM event");
    let part = search(of("0000000061a8"), None).await;
    assert_eq!(part.rows[0].line.n, 25_000);
}

async fn an_error_is_found_by_a_part_of_it_as_it_was_written(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let seq = store.publish(report("a")).await.unwrap().seq;
    let why = Settlement::Permanent("Cannot open \"Walrus\": é".to_owned());
    settle(store, seq, why).await.unwrap();
    let by = async |text: &str| {
        let wanted = EventSearch {
            error: Some(text.to_owned()),
            kind: Some(EventType::ReportWritten),
            ..EventSearch::default()
        };
        let slice = store
            .search_events(wanted, Span::default(), 9)
            .await
            .unwrap();
        slice.rows.len()
    };
    assert_eq!(by("cannot OPEN \"walrus\": é").await, 1);
    assert_eq!(by("seal").await, 0);
}

async fn an_audit_record_is_found_by_a_part_of_its_data_as_it_was_written(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let seq = store.publish(report("seal")).await.unwrap().seq;
    let data = json!({"errors": [{"attempt": 1, "error": "Cannot open \"Walrus\": é"}]});
    let record = AuditRecord {
        event: seq.0,
        body: json!({"type": "event.dead_lettered", "subject": "seal", "data": data}).to_string(),
    };
    let audited = Outcome::nothing().effect(Effect::Audit(record));
    settle(store, seq, Settlement::Done(audited)).await.unwrap();
    let by = async |text: &str| {
        let wanted = AuditSearch {
            data: Some(text.to_owned()),
            ..AuditSearch::default()
        };
        let slice = store.search_audit(wanted, Span::default(), 9).await;
        slice.unwrap().rows.len()
    };
    assert_eq!(by("cannot OPEN \"walrus\": é").await, 1);
    assert_eq!(by("seal").await, 0, "only its subject says that");
}

on_both_engines! {
    an_error_is_found_by_a_part_of_it_as_it_was_written,
    an_audit_record_is_found_by_a_part_of_its_data_as_it_was_written,
}
