//! What is carried, and that it is carried again when that did not work.

use super::{Bench, DEMAND};
use crate::bus::{Carrier, Left};

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_window_is_carried_and_the_next_one_when_one_has_left() {
    let mut bench = Bench::new().await;
    for n in 0..10 {
        bench.ledger.publish(&format!("s{n}")).await;
    }
    let window = bench.server.settings().window as u64;
    let full = |bench: &Bench| bench.added() >= window;
    bench.until(DEMAND, "the window is full", full).await;
    bench.rounds(3).await;
    assert_eq!(bench.added(), window);
    let first = bench.offered[0].0;
    bench.handled(first).await;
    let next = |bench: &Bench| bench.added() > window;
    bench.until(DEMAND, "the next one is carried", next).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_outstanding_when_it_is_sent_and_a_late_reply_does_not_revive_an_entry_that_has_ended()
 {
    let mut bench = Bench::new().await;
    bench.stand_still().await;
    let seq = bench.ledger.publish("a").await;
    let subject = bench.ledger.subject(seq).clone();
    bench.until_sent().await;
    // Its commit is reported before the reply is heard: another copy of it was handled.
    bench.inbox.left(seq, Some(&subject), Left::Settled);
    assert_eq!(bench.inbox.carried(), 0);
    bench.ledger.done(seq).await;
    bench.until_offered(seq, 1).await;
    assert_eq!(bench.inbox.carried(), 0, "the reply has revived it");
    let copies = bench.table.leave(seq);
    bench.inbox.acknowledge(copies);
    bench.rounds(3).await;
    assert_eq!(bench.lost(), 0, "nothing was carried any more");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_limit_of_a_subject_holds_back_is_carried_when_one_of_it_has_left() {
    let mut bench = Bench::new().await;
    let mut seqs = Vec::new();
    for name in ["a", "a", "a", "b"] {
        seqs.push(bench.ledger.publish(name).await);
    }
    let three = |bench: &Bench| bench.added() >= 3;
    bench
        .until(DEMAND, "two of one and one of the other", three)
        .await;
    bench.rounds(2).await;
    assert_eq!(bench.added(), 3);
    assert!(bench.copies(seqs[2]).is_empty() && !bench.copies(seqs[3]).is_empty());
    bench.handled(seqs[0]).await;
    bench.until_offered(seqs[2], 1).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_refused_to_take_is_carried_again() {
    let mut bench = Bench::new().await;
    bench.rounds(1).await;
    bench.server.cli(&["ACL", "SETUSER", "default", "-xadd"]);
    let seq = bench.ledger.publish("a").await;
    let refused = |bench: &Bench| {
        let stats = bench.server.cli(&["INFO", "commandstats"]);
        let line = stats.lines().find(|l| l.starts_with("cmdstat_xadd:"));
        line.is_some_and(|line| !line.contains("rejected_calls=0"))
    };
    bench.until(DEMAND, "it was refused", refused).await;
    bench.hear(DEMAND).await;
    bench.server.cli(&["ACL", "SETUSER", "default", "+xadd"]);
    bench.until_offered(seq, 1).await;
    assert_eq!(bench.lost(), 0, "Redis never had it");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_on_a_connection_that_broke_before_the_reply_is_carried_again() {
    let mut bench = Bench::new().await;
    bench.stand_still().await;
    let seq = bench.ledger.publish("a").await;
    bench.until_sent().await;
    // It does not come to hear the reply.
    bench.cut().await;
    bench.until_offered(seq, 1).await;
    bench.end().await;
}
