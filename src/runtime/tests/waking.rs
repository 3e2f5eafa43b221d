//! What is queued is answered again whenever a permit or a place is freed or anything has left the table.

use super::bench::{Bench, Setup};
use crate::runtime::Ending;
use crate::store::gate::Point;

#[tokio::test]
async fn a_permit_that_is_freed_at_submit_starts_what_is_queued_for_another_subject() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("b").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    bench.store.gate().close(Point::Taken);
    bench.call().await.succeeds();
    bench.until_held().await;
    let call = bench.call().await;
    assert_eq!(call.seq, two, "while the first is not committed");
    bench.store.gate().open();
    call.succeeds();
    bench.until_settled().await;
}

#[tokio::test]
async fn the_next_of_a_subject_starts_when_the_commit_is_reported_and_not_before() {
    let mut bench = Bench::new(Setup::default());
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    bench.store.gate().close(Point::Taken);
    bench.call().await.succeeds();
    bench.until_held().await;
    assert_eq!(
        bench.table(),
        (1, 1),
        "the subject is held until the commit"
    );
    bench.store.gate().open();
    bench.handles(&[two]).await;
    bench.until_settled().await;
}

#[tokio::test]
async fn a_place_that_a_commit_frees_starts_what_is_queued_for_another_subject() {
    let setup = Setup {
        unsettled: 1,
        ..Setup::default()
    };
    let mut bench = Bench::new(setup);
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("b").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    bench.store.gate().close(Point::Taken);
    bench.call().await.succeeds();
    bench.until_held().await;
    assert_eq!(bench.table(), (1, 1), "the only place is taken");
    bench.store.gate().open();
    bench.handles(&[two]).await;
    bench.until_settled().await;
}

#[tokio::test]
async fn whatever_leaves_the_table_makes_the_carrier_look_at_the_next_of_its_subject() {
    let setup = Setup {
        embedded: true,
        concurrency: 2,
        ..Setup::default()
    };
    let mut bench = Bench::new(setup);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    let _run = bench.run(1);
    let call = bench.call().await;
    assert_eq!(call.seq, one);
    call.ends(Ending::Unavailable("gone".to_owned()));
    bench.until_paused().await;
    // While it is paused its delivery is settled: after the pause it leaves the table, and no flight has ended.
    bench.ledger.done(one).await;
    bench.handles(&[two]).await;
    bench.until_settled().await;
}
