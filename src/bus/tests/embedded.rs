//! The order in which owed deliveries come, and that nothing which was passed over is forgotten.

use std::time::Duration;

use super::{Ledger, Table, subject};
use crate::bus::{Carrier, Demand, Embedded, Left};
use crate::event::{AgentName, Seq};
use crate::store::Settlement;

struct Bench {
    ledger: Ledger,
    table: Table,
    carrier: Embedded,
}

impl Bench {
    fn new() -> Self {
        let ledger = Ledger::open();
        let carrier = carrier(&ledger);
        Bench {
            ledger,
            table: Table::default(),
            carrier,
        }
    }

    /// What is offered to a runner with so many permits; the table takes it.
    async fn offered(&mut self, permits: usize) -> Vec<Seq> {
        let demand = Demand {
            permits,
            capacity: 9,
        };
        let offers = self.carrier.offer(&self.table, demand).await.unwrap();
        for offer in &offers {
            let subject = offer.subject.clone().unwrap();
            self.table.take(offer.seq, &subject, None);
        }
        offers.into_iter().map(|offer| offer.seq).collect()
    }

    /// The carrier hears that there may be something new.
    async fn hears(&mut self) {
        let demand = Demand {
            permits: 9,
            capacity: 9,
        };
        let heard = tokio::time::timeout(Duration::from_secs(20), self.carrier.woken(demand));
        heard.await.expect("it is woken");
    }

    /// A delivery leaves the table, whatever the ledger says of it.
    fn leaves(&mut self, seq: Seq, name: &str) {
        self.table.leave(seq);
        self.carrier.left(seq, Some(&subject(name)), Left::Settled);
    }

    async fn done(&mut self, seq: Seq, name: &str) {
        self.ledger.done(seq).await;
        self.leaves(seq, name);
    }
}

fn carrier(ledger: &Ledger) -> Embedded {
    let backoff = Duration::from_millis(4);
    Embedded::new(ledger.store.clone(), AgentName::Test, backoff)
}

#[tokio::test]
async fn the_next_of_a_subject_is_offered_when_the_one_before_it_has_left_and_so_on_to_the_last() {
    let mut bench = Bench::new();
    let mut seqs = Vec::new();
    for _ in 0..3 {
        seqs.push(bench.ledger.publish("a").await);
    }
    let other = bench.ledger.publish("b").await;
    assert_eq!(bench.offered(9).await, [seqs[0], other]);
    assert_eq!(bench.offered(9).await, [], "the subject is busy");
    bench.done(seqs[0], "a").await;
    assert_eq!(bench.offered(9).await, [seqs[1]]);
    bench.done(seqs[1], "a").await;
    assert_eq!(bench.offered(9).await, [seqs[2]]);
    bench.done(seqs[2], "a").await;
    assert_eq!(bench.offered(9).await, []);
}

#[tokio::test]
async fn the_next_of_a_subject_is_not_forgotten_where_no_permit_was_free_when_its_turn_came() {
    let mut bench = Bench::new();
    let (one, two) = (
        bench.ledger.publish("a").await,
        bench.ledger.publish("a").await,
    );
    assert_eq!(bench.offered(9).await, [one]);
    bench.done(one, "a").await;
    assert_eq!(bench.offered(0).await, []);
    assert_eq!(bench.offered(1).await, [two]);
}

#[tokio::test]
async fn of_subjects_that_became_free_together_none_is_forgotten_for_want_of_a_permit() {
    let mut bench = Bench::new();
    let mut seqs = Vec::new();
    for name in ["a", "b", "a", "b"] {
        seqs.push(bench.ledger.publish(name).await);
    }
    assert_eq!(bench.offered(9).await, seqs[..2]);
    assert_eq!(bench.offered(9).await, []);
    bench.done(seqs[0], "a").await;
    bench.done(seqs[1], "b").await;
    let mut offered = bench.offered(1).await;
    offered.extend(bench.offered(1).await);
    offered.sort_unstable();
    assert_eq!(offered, seqs[2..]);
}

#[tokio::test]
async fn what_there_was_no_permit_for_is_offered_later_in_ledger_order() {
    let mut bench = Bench::new();
    let mut seqs = Vec::new();
    for n in 0..5 {
        seqs.push(bench.ledger.publish(&format!("s{n}")).await);
    }
    assert_eq!(bench.offered(2).await, seqs[..2]);
    assert_eq!(bench.offered(2).await, seqs[2..4]);
    assert_eq!(bench.offered(2).await, seqs[4..]);
}

#[tokio::test]
async fn what_left_the_table_unsettled_is_offered_again() {
    let mut bench = Bench::new();
    let one = bench.ledger.publish("a").await;
    assert_eq!(bench.offered(9).await, [one]);
    // It is owed again while it is still in the table: dead and replayed before the report of its death.
    bench
        .ledger
        .settle(one, Settlement::Permanent("no".to_owned()))
        .await;
    let id = bench.ledger.id(one);
    assert_eq!(bench.ledger.store.replay(id, None).await, Ok(1));
    bench.hears().await;
    assert_eq!(bench.offered(9).await, [], "it is in the table");
    bench.leaves(one, "a");
    assert_eq!(bench.offered(9).await, [one]);
}

#[tokio::test]
async fn a_dead_delivery_that_is_replayed_is_offered_again_though_younger_ones_were_passed() {
    let mut bench = Bench::new();
    let (one, two) = (
        bench.ledger.publish("a").await,
        bench.ledger.publish("b").await,
    );
    assert_eq!(bench.offered(9).await, [one, two]);
    bench
        .ledger
        .settle(one, Settlement::Permanent("no".to_owned()))
        .await;
    bench.leaves(one, "a");
    bench.done(two, "b").await;
    assert_eq!(bench.offered(9).await, []);
    let id = bench.ledger.id(one);
    assert_eq!(bench.ledger.store.replay(id, None).await, Ok(1));
    bench.hears().await;
    assert_eq!(bench.offered(9).await, [one]);
}

#[tokio::test]
async fn what_is_replayed_in_the_midst_of_what_was_read_ahead_is_offered_in_its_place() {
    let mut bench = Bench::new();
    let mut seqs = Vec::new();
    for name in ["a", "b", "c", "d"] {
        seqs.push(bench.ledger.publish(name).await);
    }
    bench
        .ledger
        .settle(seqs[1], Settlement::Permanent("no".to_owned()))
        .await;
    assert_eq!(bench.offered(1).await, seqs[..1]);
    let id = bench.ledger.id(seqs[1]);
    assert_eq!(bench.ledger.store.replay(id, None).await, Ok(1));
    bench.hears().await;
    assert_eq!(bench.offered(9).await, seqs[1..]);
}

#[tokio::test]
async fn the_carrier_of_a_new_run_begins_with_the_lowest_that_is_owed() {
    let mut bench = Bench::new();
    let (one, two) = (
        bench.ledger.publish("a").await,
        bench.ledger.publish("b").await,
    );
    assert_eq!(bench.offered(9).await, [one, two]);
    bench.carrier = carrier(&bench.ledger);
    bench.table = Table::default();
    assert_eq!(bench.offered(9).await, [one, two]);
}

#[tokio::test]
async fn a_retry_that_was_passed_while_its_subject_was_busy_is_offered_when_it_is_free() {
    let mut bench = Bench::new();
    let one = bench.ledger.publish("a").await;
    assert_eq!(bench.offered(9).await, [one]);
    bench
        .ledger
        .settle(one, Settlement::Transient("no".to_owned()))
        .await;
    bench.leaves(one, "a");
    // The next of its subject is taken while it waits; it becomes due meanwhile.
    let two = bench.ledger.publish("a").await;
    bench.table.take(two, &subject("a"), None);
    tokio::time::sleep(Duration::from_millis(150)).await; // long past its backoff, and past what is looked at again
    assert_eq!(bench.offered(9).await, [], "the subject is busy");
    bench.done(two, "a").await;
    assert_eq!(bench.offered(9).await, [one]);
}

#[tokio::test]
async fn what_another_host_was_quicker_to_take_is_offered_again() {
    let mut bench = Bench::new();
    let one = bench.ledger.publish("a").await;
    assert_eq!(bench.offered(9).await, [one]);
    bench.table.leave(one);
    bench.carrier.left(one, Some(&subject("a")), Left::Refused);
    bench.hears().await;
    assert_eq!(bench.offered(9).await, [one]);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_left_alone_for_a_while() {
    let mut bench = Bench::new();
    let seq = bench.ledger.publish("docs/a").await;
    bench.ledger.break_it(true);
    let demand = Demand {
        permits: 1,
        capacity: 9,
    };
    let failed = bench.carrier.offer(&bench.table, demand).await;
    assert!(failed.is_err());
    let began = tokio::time::Instant::now();
    assert!(bench.offered(1).await.is_empty(), "it asks nothing");
    bench.ledger.break_it(false);
    bench.hears().await;
    assert!(began.elapsed() > Duration::from_millis(400));
    assert_eq!(bench.offered(1).await, [seq]);
}
