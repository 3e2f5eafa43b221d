//! What a round finds lost, and what it must not.

use std::time::Duration;

use tokio::time::Instant;

use super::{Bench, DEMAND, FULL, INBOX, PATIENCE, read_as};
use crate::bus::Carrier;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_carried_while_the_last_id_is_asked_for_is_not_judged_by_that_round() {
    let mut bench = Bench::new().await;
    let seq = bench.ledger.publish("a").await;
    // In step: what is under way is heard to its end before it is asked again. So at the end of the first round the last
    // id is asked for and the first XADD is sent at once, and both replies are there together.
    let deadline = Instant::now() + PATIENCE;
    while bench.copies(seq).is_empty() {
        assert!(Instant::now() < deadline, "it is not offered");
        bench.ask(DEMAND).await;
        let heard = bench.inbox.woken(FULL);
        tokio::time::timeout(Duration::from_millis(100), heard)
            .await
            .ok();
    }
    bench.rounds(2).await;
    assert_eq!(bench.lost(), 0);
    assert_eq!(bench.added(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_came_unseen_is_found_among_what_is_pending_in_the_next_round() {
    let mut bench = Bench::new().await;
    bench.rounds(3).await;
    let (seq, entry) = bench.carry("a").await;
    // A read whose reply was lost: Redis has delivered it, and nobody saw it.
    bench.server.cli(&read_as("test@lab"));
    bench.until_offered(seq, 1).await;
    bench.rounds(2).await;
    assert_eq!(bench.copies(seq), [entry]);
    assert_eq!((bench.lost(), bench.added()), (0, 1));
    bench.handled(seq).await;
    let none = |bench: &Bench| bench.pending().is_empty();
    bench.until(DEMAND, "it is acknowledged", none).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_was_lost_by_redis_and_is_counted_and_carried_again() {
    let mut bench = Bench::new().await;
    let (deleted, entry) = bench.carry("a").await;
    bench.server.cli(&["XDEL", INBOX, &entry]);
    bench.until_offered(deleted, 1).await;
    assert_eq!((bench.lost(), bench.added()), (1, 2));
    let (acknowledged, entry) = bench.carry("b").await;
    bench.server.cli(&read_as("test@lab"));
    bench.server.cli(&["XACK", INBOX, "docent", &entry]);
    bench.until_offered(acknowledged, 1).await;
    assert_eq!((bench.lost(), bench.added()), (2, 4));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_flush_outstanding_entries_stay_and_are_counted_and_carried_again() {
    let mut bench = Bench::new().await;
    let (seq, _) = bench.carry("a").await;
    bench.server.cli(&["FLUSHALL"]);
    bench.until_offered(seq, 1).await;
    assert_eq!(bench.lost(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_gone_is_made_anew_from_the_beginning_of_the_stream() {
    let mut bench = Bench::new().await;
    let (seq, entry) = bench.carry("a").await;
    bench.server.cli(&["XGROUP", "DESTROY", INBOX, "docent"]);
    bench.until_offered(seq, 1).await;
    bench.rounds(2).await;
    assert_eq!(bench.copies(seq), [entry]);
    assert_eq!((bench.lost(), bench.added()), (0, 1));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docent_cannot_read_is_acknowledged_and_what_was_deleted_too() {
    let mut bench = Bench::new().await;
    bench.stand_still().await;
    let entry = bench.server.cli(&["XADD", INBOX, "*", "nobody", "knows"]);
    bench.server.cli(&read_as("test@lab"));
    bench.server.cli(&["XDEL", INBOX, entry.trim()]);
    bench
        .server
        .cli(&["XADD", INBOX, "*", "id", "no id at all"]);
    assert_eq!((bench.pending().len(), bench.entries().len()), (1, 1));
    bench.rounds(3).await;
    assert_eq!((bench.pending().len(), bench.entries().len()), (0, 0));
    assert!(bench.offered.is_empty());
    bench.end().await;
}
