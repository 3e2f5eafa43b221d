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
    let OfferClass::Due { oldest, attempts } = &classes[0] else {
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

on_both_engines! {
    a_late_outcome_is_refused_though_a_replay_has_set_the_attempts_back,
    one_that_is_due_further_off_than_any_backoff_goes_before_younger_ones_of_its_subject,
    what_a_full_disk_undid_is_owed_and_is_settled_by_another_flight,
}
