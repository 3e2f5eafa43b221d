//! A delivery on which docent may have crashed is handled with nothing else in flight, and no more after the third crash.

use super::bench::{Bench, Setup};
use crate::event::{AgentName, Seq};
use crate::store::tests::change;

/// Four at once.
fn setup() -> Setup {
    Setup {
        concurrency: 4,
        unsettled: 4,
        embedded: true,
        ..Setup::default()
    }
}

/// Docent has crashed so often while it handled this.
fn suspect(bench: &Bench, seq: Seq, crashes: u32) {
    let event = bench.ledger.key(seq).event;
    let row = format!("INSERT INTO suspect VALUES ('{event}', 'test', {crashes}, 0, 'a run')");
    change(&bench.store, &row);
}

#[tokio::test]
async fn a_suspect_begins_when_nothing_else_is_in_flight_and_nothing_else_begins_meanwhile() {
    let mut bench = Bench::new(setup());
    let (one, two) = (bench.publish("a").await, bench.publish("b").await);
    let three = bench.publish("c").await;
    suspect(&bench, two, 1);
    let _run = bench.run(1);
    let (first, second) = (bench.call().await, bench.call().await);
    assert_eq!((first.seq, second.seq), (one, three));
    let four = bench.publish("d").await;
    first.succeeds();
    assert!(bench.is_quiet().await, "one is still in flight");
    second.succeeds();
    let alone = bench.call().await;
    assert_eq!(alone.seq, two);
    assert!(bench.is_quiet().await, "it is to be alone");
    alone.succeeds();
    bench.handles(&[four]).await;
    bench.until_settled().await;
}

#[tokio::test]
async fn of_a_suspects_subject_the_older_one_goes_first() {
    let mut bench = Bench::new(setup());
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    suspect(&bench, two, 2);
    let _run = bench.run(1);
    bench.handles(&[one, two]).await;
    bench.until_settled().await;
}

#[tokio::test]
async fn what_docent_has_crashed_on_three_times_is_dead_and_its_handler_is_not_called() {
    let mut bench = Bench::new(setup());
    let (one, two) = (bench.publish("a").await, bench.publish("b").await);
    suspect(&bench, one, 3);
    let _run = bench.run(1);
    bench.handles(&[two]).await;
    bench.until_settled().await;
    let dead = bench.store.dead_letters(None, 9, None).await.unwrap();
    let [letter] = &dead[..] else {
        panic!("{dead:?}");
    };
    assert_eq!((letter.seq, letter.agent), (one, AgentName::Test));
    let why = letter.errors[0]["error"].as_str().unwrap();
    assert!(
        why.starts_with("docent ended 3 times while this was handled"),
        "{why}"
    );
}
