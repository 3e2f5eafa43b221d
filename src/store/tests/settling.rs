//! That a flight is settled once, and which delivery of a subject comes next.

use super::*;

async fn a_late_outcome_is_refused_though_a_replay_has_set_the_attempts_back(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let published = store.publish(report("a")).await.unwrap();
    let key = key(store, published.seq).await;
    let fence = Incarnation::begin().flight(crate::store::FlightRight::Free);
    let failure = Settlement::Permanent("blocked".to_owned());
    let failed = store.settle(key, fence.clone(), failure, "s").await;
    assert_eq!(failed.unwrap().committed().await, Ok(Settled::Dead));
    assert_eq!(store.replay(published.id, None).await, Ok(1));
    // It is owed again with as many attempts as when the flight began.
    let late = store.settle(key, fence, done(), "s").await.unwrap();
    assert_eq!(late.committed().await, Err(WriteError::Refused));
    assert_eq!(store.counts(AUDIT).handled, 0);
}

async fn one_that_is_due_further_off_than_any_backoff_goes_before_younger_ones_of_its_subject(
    on: Engine,
) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let one = store.publish(report("a")).await.unwrap().seq;
    let two = store.publish(report("a")).await.unwrap().seq;
    let failure = Settlement::Transient("no".to_owned());
    settle(store, one, failure).await.unwrap();
    // The clock has jumped back by a day since.
    let long_before = Millis::now().minus(Duration::from_secs(24 * 3600));
    let due = DueBy::new(long_before, Duration::from_secs(60));
    let classes = store.classify(AUDIT, vec![two], due).await.unwrap();
    let OfferClass::Due {
        oldest, attempts, ..
    } = &classes[0]
    else {
        panic!("{classes:?}");
    };
    assert_eq!((oldest.seq, *attempts), (one, 1));
    let subject = Subject::parse("a").unwrap();
    let next = store.next_of_subjects(AUDIT, vec![subject], 9, due);
    let next: Vec<Seq> = next.await.unwrap().iter().map(|row| row.seq).collect();
    assert_eq!(next, [one, two]);
}

#[cfg(feature = "testing")]
async fn what_a_full_disk_undid_is_owed_and_is_settled_by_another_flight(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let seq = store.publish(report("a")).await.unwrap().seq;
    store.gate().disk_full(true);
    let unavailable = settle(store, seq, done()).await;
    assert!(matches!(unavailable, Err(WriteError::Unavailable(_))));
    store.gate().disk_full(false);
    assert_eq!(first(store).await, [seq]);
    assert_eq!(settle(store, seq, done()).await, Ok(Settled::Done));
    let counts = store.counts(AUDIT);
    assert_eq!((counts.owed, counts.handled), (0, 1));
}

#[cfg(feature = "testing")]
fn audited(event: Seq, says: &str) -> Settlement {
    let record = AuditRecord {
        event: event.0,
        body: format!("{{\"say\":\"{says}\"}}"),
    };
    Settlement::Done(Outcome::nothing().effect(Effect::Audit(record)))
}

/// Publishes the same event twice and ends flights, all in one batch. Gives what became of the event, and of each flight.
#[cfg(feature = "testing")]
async fn published_twice_and_settled(
    store: &Store,
    event: &NewEvent,
    ends: Vec<(DeliveryKey, Settlement)>,
) -> (Vec<PublishedEvent>, Vec<Result<Settled, WriteError>>) {
    let sent = async {
        let mut publishing = Vec::new();
        for _ in 0..2 {
            publishing.push(store.submit(Vec::new(), vec![event.clone()]).await.unwrap());
        }
        let mut settling = Vec::new();
        for (key, settlement) in ends {
            let fence = Incarnation::begin().flight(crate::store::FlightRight::Free);
            settling.push(store.settle(key, fence, settlement, "s").await.unwrap());
        }
        (publishing, settling)
    };
    let (publishing, settling) = in_one_batch(store, sent).await;
    let (mut published, mut settled) = (Vec::new(), Vec::new());
    for publishing in publishing {
        published.extend(publishing.committed().await.unwrap());
    }
    for settling in settling {
        settled.push(settling.committed().await);
    }
    (published, settled)
}

#[cfg(feature = "testing")]
async fn what_a_batch_says_twice_counts_once(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let mut keys = Vec::new();
    for subject in ["a", "b", "c"] {
        let seq = store.publish(report(subject)).await.unwrap().seq;
        keys.push(key(store, seq).await);
    }
    let [first, second, third] = keys[..] else {
        panic!("{keys:?}");
    };
    let event = report("d");
    let of_event = |published: &[PublishedEvent]| -> Vec<(Seq, bool)> {
        published.iter().map(|one| (one.seq, one.fresh)).collect()
    };
    let (fourth, no) = (Seq(third.seq.0 + 1), || {
        Settlement::Transient("no".to_owned())
    });
    let ends = vec![
        (first, audited(first.seq, "one")),
        (second, audited(first.seq, "again")),
        (third, no()),
    ];
    let (published, settled) = published_twice_and_settled(store, &event, ends).await;
    assert_eq!(of_event(&published), [(fourth, true), (fourth, false)]);
    assert_eq!(settled[..2], [Ok(Settled::Done), Ok(Settled::Done)]);
    assert!(matches!(settled[2], Ok(Settled::Retry(_))), "{settled:?}");
    // A member that is refused takes no other one along.
    let ends = vec![
        (first, done()),
        (third, audited(third.seq, "three")),
        (third, done()),
    ];
    let (published, settled) = published_twice_and_settled(store, &event, ends).await;
    assert_eq!(of_event(&published), [(fourth, false), (fourth, false)]);
    let refused = Err(WriteError::Refused);
    assert_eq!(settled, [refused.clone(), Ok(Settled::Done), refused]);
    let counts = store.counts(AUDIT);
    assert_eq!((counts.owed, counts.handled), (1, 3));
    assert_eq!((counts.failed, counts.retrying), (1, 0));
    let lines = store.audit_lines(0, 10).await.unwrap();
    assert_eq!(lines.len(), 2, "one record of an event: {lines:?}");
}

on_both_engines! {
    a_late_outcome_is_refused_though_a_replay_has_set_the_attempts_back,
    one_that_is_due_further_off_than_any_backoff_goes_before_younger_ones_of_its_subject,
    what_a_full_disk_undid_is_owed_and_is_settled_by_another_flight,
    what_a_batch_says_twice_counts_once,
}
