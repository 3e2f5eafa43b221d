//! What is held against deliveries that were being handled when docent ended.

use super::*;
use crate::store::FlightRecorder;
use crate::store::recorder::{ABORTED, leave_mark};

on_both_engines!(
    what_was_in_flight_in_a_crash_is_suspect_once_for_each_run,
    what_was_in_flight_when_docent_was_killed_is_suspect_the_second_time,
    the_third_crash_decides_and_a_replay_begins_anew,
    what_is_settled_is_no_suspect,
);

/// Ends docent while these are handled, and starts it again.
async fn ends_while(opened: Opened, seqs: &[Seq], is_crash: bool) -> Opened {
    let data_dir = opened.place.dir.path().to_owned();
    let recorder = FlightRecorder::begin(&data_dir).unwrap();
    let mut records = Vec::new();
    for seq in seqs {
        let before = Seq(seq.0 - 1);
        let events = opened.store.events_after(before, 1).await.unwrap();
        records.push(recorder.record(AUDIT, &events[0]));
    }
    let text = std::fs::read(data_dir.join("in-flight")).unwrap();
    drop(records);
    recorder.end().unwrap();
    std::fs::write(data_dir.join("in-flight"), text).unwrap();
    if is_crash {
        leave_mark(&data_dir, ABORTED);
    }
    opened.again(options()).await
}

async fn suspicion(opened: &Opened, seq: Seq) -> Suspicion {
    let due = DueBy::new(Millis::now(), Duration::from_secs(60));
    let classes = opened.store.classify(AUDIT, vec![seq], due).await.unwrap();
    match &classes[0] {
        OfferClass::Due { suspicion, .. } => *suspicion,
        other => panic!("{other:?}"),
    }
}

async fn what_was_in_flight_in_a_crash_is_suspect_once_for_each_run(on: Engine) {
    let opened = open_on(on).await;
    let one = opened.store.publish(report("a")).await.unwrap().seq;
    let two = opened.store.publish(report("b")).await.unwrap().seq;
    let three = opened.store.publish(report("c")).await.unwrap().seq;
    let opened = ends_while(opened, &[one, two], true).await;
    assert_eq!(opened.store.last_crash().unwrap().flights.len(), 2);
    // The next start ends before it has a file of its own.
    let opened = opened.again(options()).await;
    for (seq, crashes) in [(one, 1), (two, 1), (three, 0)] {
        let found = suspicion(&opened, seq).await;
        assert_eq!((found.crashes, found.kills), (crashes, 0));
        assert_eq!(found.is_alone(), crashes > 0);
        assert_eq!(found.verdict(), None);
    }
    let opened = ends_while(opened, &[two], true).await;
    assert_eq!(suspicion(&opened, one).await.crashes, 1);
    assert_eq!(suspicion(&opened, two).await.crashes, 2);
}

async fn what_was_in_flight_when_docent_was_killed_is_suspect_the_second_time(on: Engine) {
    let mut opened = open_on(on).await;
    let seq = opened.store.publish(report("a")).await.unwrap().seq;
    for kills in 1..=10 {
        opened = ends_while(opened, &[seq], false).await;
        let found = suspicion(&opened, seq).await;
        assert_eq!((found.crashes, found.kills), (0, kills));
        assert_eq!(found.is_alone(), (2..10).contains(&kills), "{kills}");
        assert_eq!(found.verdict().is_some(), kills == 10);
    }
}

async fn the_third_crash_decides_and_a_replay_begins_anew(on: Engine) {
    let mut opened = open_on(on).await;
    let published = opened.store.publish(report("a")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(suspicion(&opened, published.seq).await.verdict(), None);
        opened = ends_while(opened, &[published.seq], true).await;
    }
    let found = suspicion(&opened, published.seq).await;
    assert!(!found.is_alone());
    let verdict = Settlement::Permanent(found.verdict().unwrap());
    let settled = settle(&opened.store, published.seq, verdict).await;
    assert_eq!(settled, Ok(Settled::Dead));
    assert_eq!(opened.store.replay(published.id, None).await, Ok(1));
    let found = suspicion(&opened, published.seq).await;
    assert_eq!(found, Suspicion::default());
}

async fn what_is_settled_is_no_suspect(on: Engine) {
    let opened = open_on(on).await;
    let published = opened.store.publish(report("a")).await.unwrap();
    let done = settle(&opened.store, published.seq, done()).await;
    assert_eq!(done, Ok(Settled::Done));
    let opened = ends_while(opened, &[published.seq], true).await;
    let again = Operation {
        act: Act::ReplaySettled,
        event: published.id,
        agent: Some(AUDIT),
        record: report("record"),
    };
    assert_eq!(opened.store.operate(again).await, Ok(1));
    let found = suspicion(&opened, published.seq).await;
    assert_eq!(found, Suspicion::default());
}
