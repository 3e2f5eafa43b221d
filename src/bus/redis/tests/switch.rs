//! A switch of carrier: nothing is copied, and nothing that was carried is forgotten.

use std::time::Duration;

use tokio::time::Instant;

use super::{DEMAND, INBOX, Linked, PATIENCE};
use crate::bus::redis::testing::TestRedis;
use crate::bus::tests::{Ledger, Table};
use crate::bus::{Carrier, CarrierChoice, Offer, Switch};
use crate::event::AgentName;

async fn next(switch: &mut Switch, table: &Table) -> Option<Offer> {
    let offers = switch.offer(table, DEMAND).await.unwrap();
    let moment = Duration::from_millis(20);
    if offers.is_empty() {
        tokio::time::timeout(moment, switch.woken(DEMAND))
            .await
            .ok();
    }
    offers.into_iter().next()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_carried_is_offered_by_the_embedded_carrier_when_redis_is_gone_for_good() {
    let (server, mut ledger) = (TestRedis::start(), Ledger::open());
    let linked = Linked::to(&server, &ledger).await;
    let backoff = Duration::from_millis(4);
    let (link, store) = (Some(linked.link.clone()), ledger.store.clone());
    let mut switch = Switch::new(CarrierChoice::Auto, link, store, AgentName::Test, backoff);
    let table = Table::default();
    let seq = ledger.publish("a").await;
    let deadline = Instant::now() + PATIENCE;
    // It comes by Redis, and its runner is not told: it stays owed.
    let carried = loop {
        assert!(Instant::now() < deadline, "it is not carried");
        if let Some(offer) = next(&mut switch, &table).await {
            break offer;
        }
    };
    assert!(carried.seq == seq && carried.copy.is_some());
    assert_eq!(server.cli(&["XLEN", INBOX]).trim(), "1");
    drop(server);
    let embedded = loop {
        assert!(Instant::now() < deadline, "it is not offered");
        match next(&mut switch, &table).await {
            Some(offer) if offer.copy.is_none() => break offer,
            _ => {}
        }
    };
    assert_eq!(embedded.seq, seq);
    linked.end().await;
}
