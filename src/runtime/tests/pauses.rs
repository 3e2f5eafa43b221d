//! What is unavailable is no attempt; it pauses the runner and holds its subject.

use std::time::Duration;

use super::bench::{Bench, Setup};
use crate::event::AgentName;
use crate::runtime::Ending;

fn unavailable() -> Ending {
    Ending::Unavailable("gone".to_owned())
}

#[tokio::test]
async fn what_is_unavailable_is_no_attempt_and_is_answered_anew_after_the_pause() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    for _ in 0..2 {
        let call = bench.call().await;
        assert_eq!((call.seq, call.attempt), (one, 1), "nothing was an attempt");
        call.ends(unavailable());
    }
    let call = bench.call().await;
    assert_eq!(call.seq, one);
    assert_eq!(bench.script.told(), [], "its copy stays with it");
    call.succeeds();
    bench.handles(&[two]).await;
    bench.until_settled().await;
    assert_eq!(bench.store.counts(AgentName::Test).failed, 0);
}

#[tokio::test]
async fn an_offer_does_not_end_a_pause() {
    let setup = Setup {
        concurrency: 3,
        ..Setup::default()
    };
    let mut bench = Bench::new(setup);
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    let other = bench.publish("b").await;
    bench.offer(&[(one, "1-0")]).await;
    let first = bench.call().await;
    let began = first.at;
    first.ends(unavailable());
    bench.until_paused().await;
    bench.offer(&[(two, "2-0"), (other, "3-0")]).await;
    let (next, another) = (bench.call().await, bench.call().await);
    for call in [&next, &another] {
        assert!(call.at - began >= setup.pause_min, "{call:?} did not wait");
    }
    let mut seqs = [next.seq, another.seq];
    seqs.sort_unstable();
    assert_eq!(
        seqs,
        [one, other],
        "what was paused goes before its subject"
    );
    next.succeeds();
    another.succeeds();
    bench.handles(&[two]).await;
    bench.until_settled().await;
}

#[tokio::test]
async fn a_flight_that_the_store_could_not_settle_is_handled_again_before_others_of_its_subject() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    bench.store.gate().disk_full(true);
    bench.call().await.succeeds();
    bench.until_paused().await;
    bench.store.gate().disk_full(false);
    for seq in [one, two] {
        let call = bench.call().await;
        assert_eq!((call.seq, call.attempt), (seq, 1));
        call.succeeds();
    }
    bench.until_settled().await;
    let counts = bench.store.counts(AgentName::Test);
    assert_eq!((counts.handled, counts.failed), (2, 0));
}

#[tokio::test]
async fn a_read_that_fails_does_not_shorten_a_pause() {
    let setup = Setup {
        pause_min: Duration::from_millis(50),
        pause_max: Duration::from_millis(400),
        ..Setup::default()
    };
    let mut bench = Bench::new(setup);
    let _run = bench.run(1);
    let one = bench.publish("a").await;
    bench.offer(&[(one, "1-0")]).await;
    // Each pause is twice as long as the one before, up to the longest.
    for _ in 0..3 {
        bench.call().await.ends(unavailable());
    }
    let call = bench.call().await;
    let began = call.at;
    call.ends(unavailable());
    let paused = || bench.table() == (0, 1);
    bench.until("the longest pause has begun", paused).await;
    bench.script.fails(true);
    let failed = bench.script.failed();
    let again = || bench.script.failed() > failed;
    bench.until("a read has failed in the pause", again).await;
    bench.script.fails(false);
    let call = bench.call().await;
    assert!(call.at - began >= setup.pause_max, "it did not wait");
    call.succeeds();
    bench.until_settled().await;
}

#[tokio::test]
async fn what_is_damaged_holds_its_subject_and_nothing_else() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    let other = bench.publish("b").await;
    let damage = format!("UPDATE event SET data = x'00' WHERE seq = {}", one.0);
    crate::store::tests::change(&bench.store, &damage);
    bench
        .offer(&[(one, "1-0"), (two, "2-0"), (other, "3-0")])
        .await;
    bench.handles(&[other]).await;
    bench
        .until("the others wait", || bench.table() == (0, 2))
        .await;
    let told = bench.store.standing().damage.unwrap();
    assert!(told.contains("table event, the row with seq"), "{told}");
}
