//! What an offer is answered with.

use super::bench::{Bench, NEVER, Setup, acknowledged};
use super::carrier::Told;
use crate::bus::Left;
use crate::event::AgentName;
use crate::runtime::Ending;
use crate::store::gate::Point;
use crate::store::tests::change;

#[tokio::test]
async fn an_older_one_of_its_subject_that_was_never_offered_goes_first() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    bench.offer(&[(two, "2-0")]).await;
    bench.handles(&[one, two]).await;
    bench.until_settled().await;
}

#[tokio::test]
async fn a_copy_of_what_is_settled_is_acknowledged_and_nothing_else() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let one = bench.publish("a").await;
    bench.offer(&[(one, "1-0")]).await;
    bench.call().await.succeeds();
    let settled = [Told::Left(one, Left::Settled), acknowledged(&["1-0"])];
    bench.until_told(&settled).await;
    bench.offer(&[(one, "2-0")]).await;
    assert_eq!(bench.table(), (0, 0));
    let again = [Told::Left(one, Left::Answered), acknowledged(&["2-0"])];
    bench.until_told(&[settled, again].concat()).await;
}

#[tokio::test]
async fn a_copy_of_what_is_not_due_yet_is_acknowledged_and_not_queued() {
    let setup = Setup {
        backoff: NEVER,
        ..Setup::default()
    };
    let mut bench = Bench::new(setup);
    let _run = bench.run(1);
    let one = bench.publish("a").await;
    bench.offer(&[(one, "1-0")]).await;
    bench.call().await.ends(Ending::Transient("no".to_owned()));
    let failed = [Told::Left(one, Left::Settled), acknowledged(&["1-0"])];
    bench.until_told(&failed).await;
    bench.offer(&[(one, "2-0")]).await;
    assert_eq!(bench.table(), (0, 0));
    let later = [Told::Left(one, Left::Answered), acknowledged(&["2-0"])];
    bench.until_told(&[failed, later].concat()).await;
}

#[tokio::test]
async fn copies_are_acknowledged_together_after_the_commit_and_after_leaving_the_table() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let one = bench.publish("a").await;
    bench.offer(&[(one, "1-0")]).await;
    let call = bench.call().await;
    bench.offer(&[(one, "2-0")]).await;
    bench.store.gate().close(Point::Taken);
    call.succeeds();
    bench.until_held().await;
    bench.offer(&[(one, "3-0")]).await;
    assert_eq!(bench.script.told(), [], "before the commit is reported");
    bench.store.gate().open();
    let copies = acknowledged(&["1-0", "2-0", "3-0"]);
    bench
        .until_told(&[Told::Left(one, Left::Settled), copies])
        .await;
    assert_eq!(bench.store.counts(AgentName::Test).handled, 1);
}

#[tokio::test]
async fn what_there_is_no_permit_for_is_queued_and_handled_without_another_offer() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("b").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    assert_eq!(bench.table(), (1, 1));
    bench.call().await.succeeds();
    bench.handles(&[two]).await;
    bench.until_settled().await;
}

#[tokio::test]
async fn an_offer_that_meets_a_commit_under_way_is_answered_by_the_table_not_by_the_ledger() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let one = bench.publish("a").await;
    bench.offer(&[(one, "1-0")]).await;
    let call = bench.call().await;
    bench.store.gate().close(Point::Taken);
    call.succeeds();
    bench.until_held().await;
    // The ledger still says that it is owed. Who asked it before the table would handle it again.
    let number = bench.script.write(&[(one, "2-0")]);
    let taken = || bench.script.taken() == number;
    bench.until("the offer is taken", taken).await;
    bench.store.oldest_owed(AgentName::Test).await.unwrap();
    bench.store.gate().open();
    let copies = acknowledged(&["1-0", "2-0"]);
    bench
        .until_told(&[Told::Left(one, Left::Settled), copies])
        .await;
    assert_eq!(bench.table(), (0, 0), "it was handled a second time");
}

/// As it is after a database has lost commits, and has given their places in the ledger to other events.
#[tokio::test]
async fn a_place_that_is_another_events_by_now_is_answered_under_the_subject_of_that_one() {
    let setup = Setup {
        concurrency: 2,
        ..Setup::default()
    };
    let mut bench = Bench::new(setup);
    let _run = bench.run(1);
    let mut places = Vec::new();
    for subject in ["b", "a", "a"] {
        places.push(bench.publish(subject).await);
    }
    let [held, first, queued] = places[..] else {
        panic!("{places:?}");
    };
    bench
        .offer(&[(held, "1-0"), (first, "2-0"), (queued, "3-0")])
        .await;
    let (one, two) = (bench.call().await, bench.call().await);
    let (of_b, of_a) = if one.seq == held {
        (one, two)
    } else {
        (two, one)
    };
    let becomes_b = format!(
        "UPDATE event SET subject = 'b' WHERE seq = {0}; UPDATE delivery SET subject = 'b' WHERE event = {0}",
        queued.0
    );
    change(&bench.store, &becomes_b);
    of_a.succeeds();
    bench
        .until("only the other one runs", || {
            bench.store.counts(AgentName::Test).owed == 2 && bench.table().0 == 1
        })
        .await;
    of_b.succeeds();
    bench.handles(&[queued]).await;
    bench.until_settled().await;
}
