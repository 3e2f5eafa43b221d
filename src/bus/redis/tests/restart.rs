//! A new connection begins with what is still there, and knows no id of an earlier one.

use tokio::time::Instant;

use super::{Bench, DEMAND, FULL, INBOX, PATIENCE, read_as};
use crate::bus::redis::testing::TestRedis;
use crate::bus::tests::Ledger;
use crate::bus::{Carrier, Demand, Left};

/// A Redis where an entry is pending on this consumer since an earlier run.
async fn pending_on(consumer: &str) -> (Bench, crate::event::Seq, String) {
    let (server, mut ledger) = (TestRedis::start(), Ledger::open());
    let seq = ledger.publish("a").await;
    let id = ledger.id(seq).to_string();
    server.cli(&["XGROUP", "CREATE", INBOX, "docent", "0", "MKSTREAM"]);
    let entry = server.cli(&["XADD", INBOX, "*", "id", &id, "docent_seq", "1"]);
    server.cli(&read_as(consumer));
    let bench = Bench::over(server, ledger).await;
    (bench, seq, entry.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_since_an_earlier_run_is_offered_and_not_carried_twice() {
    let (mut bench, seq, entry) = pending_on("test@lab").await;
    bench.until_offered(seq, 1).await;
    bench.rounds(3).await;
    assert_eq!(bench.copies(seq), [entry]);
    assert_eq!((bench.added(), bench.lost()), (1, 0));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_under_another_name_is_claimed_before_the_first_round() {
    let (mut bench, seq, entry) = pending_on("test@old").await;
    bench.until_offered(seq, 1).await;
    bench.rounds(3).await;
    assert_eq!(bench.copies(seq), [entry]);
    assert_eq!((bench.added(), bench.lost()), (1, 0));
    let consumers = bench.server.cli(&["XINFO", "CONSUMERS", INBOX, "docent"]);
    assert!(!consumers.contains("test@old"), "{consumers}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_delivered_before_the_connection_broke_is_offered_and_not_carried_twice() {
    let mut bench = Bench::new().await;
    let (seq, entry) = bench.carry("a").await;
    bench.cut().await;
    bench.until_offered(seq, 1).await;
    bench.rounds(3).await;
    assert_eq!(bench.copies(seq), [entry]);
    assert_eq!((bench.added(), bench.lost()), (1, 0));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_came_by_an_earlier_connection_is_not_acknowledged_on_this_one() {
    let mut bench = Bench::new().await;
    let (seq, _) = bench.carry("a").await;
    bench.until_offered(seq, 1).await;
    let earlier = bench.offered[0].1.clone();
    bench.cut().await;
    bench.until_offered(seq, 2).await;
    bench.inbox.acknowledge(vec![earlier]);
    bench.rounds(2).await;
    assert_eq!(bench.pending().len(), 1);
    bench.handled(seq).await;
    let none = |bench: &Bench| bench.pending().is_empty();
    bench.until(DEMAND, "it is acknowledged", none).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_but_not_handed_over_is_carried_again_though_redis_lost_it_with_the_connection()
 {
    let (server, mut ledger) = (TestRedis::start(), Ledger::open());
    let (one, two) = (ledger.publish("a").await, ledger.publish("b").await);
    server.cli(&["XGROUP", "CREATE", INBOX, "docent", "0", "MKSTREAM"]);
    for seq in [one, two] {
        let id = ledger.id(seq).to_string();
        server.cli(&["XADD", INBOX, "*", "id", &id]);
    }
    let mut bench = Bench::over(server, ledger).await;
    let both = |bench: &Bench| bench.pending().len() == 2;
    bench.until(DEMAND, "both are read", both).await;
    // By now there is capacity for one of them alone; rounds go on, and the relay sees that the other was read.
    let one_more = Demand {
        permits: 9,
        capacity: 1,
    };
    let first = |bench: &Bench| !bench.offered.is_empty();
    bench.until(one_more, "one is offered", first).await;
    let pages = bench.pages();
    let deadline = Instant::now() + PATIENCE;
    while bench.pages() <= pages + 2 {
        assert!(Instant::now() < deadline, "no round ends");
        bench.ask(FULL).await;
        bench.hear(FULL).await;
    }
    assert!(bench.copies(two).is_empty());
    bench.server.cli(&["FLUSHALL"]);
    bench.cut().await;
    bench.until_offered(two, 1).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_answered_is_carried_again_though_redis_lost_it() {
    let (server, mut ledger) = (TestRedis::start(), Ledger::open());
    let one = ledger.publish("a").await;
    server.cli(&["XGROUP", "CREATE", INBOX, "docent", "0", "MKSTREAM"]);
    let id = ledger.id(one).to_string();
    server.cli(&["XADD", INBOX, "*", "id", &id]);
    let mut bench = Bench::over(server, ledger).await;
    bench.until_offered(one, 1).await;
    // The relay sees that it is in hand, and passes it over.
    bench.rounds(2).await;
    bench.table.leave(one);
    bench.inbox.left(one, None, Left::Unanswered);
    bench.server.cli(&["FLUSHALL"]);
    bench.until_offered(one, 2).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_leaves_nothing_pending_though_its_connection_was_cut_just_before() {
    let mut bench = Bench::new().await;
    let one = bench.ledger.publish("a").await;
    bench.until_offered(one, 1).await;
    bench.handled(one).await;
    assert_eq!(bench.pending().len(), 1, "nothing was acknowledged yet");
    bench.server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    bench.inbox.close().await;
    assert_eq!(bench.pending(), Vec::<String>::new());
    bench.end().await;
}
