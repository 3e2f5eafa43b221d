//! What must be one step on Redis: trimming and removing consumers, next to what is pending.

use std::time::Duration;

use super::ids;
use crate::bus::redis::session::InboxSession;
use crate::bus::redis::testing::TestRedis;
use crate::event::AgentName;
use crate::store::StoreIdentity;

const JOURNAL: &str = "docent:{logging_audit}:inbox";

async fn session(server: &TestRedis) -> InboxSession {
    let agent = AgentName::LoggingAudit;
    let store = StoreIdentity::new("a store");
    let opened = InboxSession::open(&server.settings(), &store, agent, false).await;
    opened.unwrap()
}

/// Reads one entry as this consumer; gives its id.
fn read(server: &TestRedis, consumer: &str) -> String {
    let group = ["XREADGROUP", "GROUP", "docent", consumer, "COUNT", "1"];
    let read = [&group[..], &["STREAMS", JOURNAL, ">"]].concat();
    ids(&server.cli(&read)).remove(0)
}

fn add(server: &TestRedis, count: usize) -> Vec<String> {
    let one = |_| server.cli(&["XADD", JOURNAL, "*", "a", "b"]);
    let added = (0..count).map(one);
    added.map(|id| id.trim().to_owned()).collect()
}

#[tokio::test]
async fn trimming_leaves_what_is_pending_and_what_was_not_delivered() {
    let server = TestRedis::start();
    let session = session(&server).await;
    let added = add(&server, 6);
    let left = || ids(&server.cli(&["XRANGE", JOURNAL, "-", "+"]));
    for id in &added[..4] {
        assert_eq!(read(&server, "logging_audit@lab"), *id);
    }
    // The second is still pending; the last two were never delivered.
    for id in [&added[0], &added[2], &added[3]] {
        server.cli(&["XACK", JOURNAL, "docent", id]);
    }
    session.trim(0, u64::MAX >> 12).await.unwrap();
    assert_eq!(left(), added[1..]);
    server.cli(&["XACK", JOURNAL, "docent", &added[1]]);
    session.trim(0, u64::MAX >> 12).await.unwrap();
    assert!(left().ends_with(&added[4..]), "{:?}", left());
    assert!(!left().contains(&added[2]), "{:?}", left());
}

#[tokio::test]
async fn a_consumer_is_removed_when_nothing_is_pending_on_it_and_not_before() {
    let server = TestRedis::start();
    let session = session(&server).await;
    add(&server, 1);
    let id = read(&server, "stranger");
    let there = || {
        let consumers = server.cli(&["XINFO", "CONSUMERS", JOURNAL, "docent"]);
        consumers.contains("stranger")
    };
    let long = Duration::from_secs(3600);
    session.claim(long).await.unwrap();
    assert!(there(), "what was pending on it would be gone");
    server.cli(&["XACK", JOURNAL, "docent", &id]);
    session.claim(long).await.unwrap();
    assert!(!there());
}
