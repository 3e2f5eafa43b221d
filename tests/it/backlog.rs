//! A hundred thousand owed deliveries at a start, on each carrier, while new events arrive.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use docent::internals::event::{AgentName, EventType, NewEvent, Subject};
use docent::internals::runtime::Source;
use docent::internals::store::{RetryPolicy, Store, StoreOptions};
use serde_json::json;

use crate::helper::{Daemon, World};
use crate::redis_server::{RedisServer, inbox};
use crate::work::QUICK;

const MANY: usize = 100_000;
/// A backlog beside which the many are compared.
const FEW: usize = 1_000;
const SUBJECTS: usize = 500;

/// What a start may take: five times what the design says.
const START: Duration = Duration::from_secs(25);
/// Longer than any machine needs to drain the many: then something hangs.
const DRAIN: Duration = Duration::from_secs(400);
/// How much more memory the many may need than the few. Their rows alone are several times as much.
const MEMORY_MORE_KIB: u64 = 32 * 1024;

/// What draining a backlog took.
struct Drained {
    start: Duration,
    drain: Duration,
    /// The most memory that the daemon ever had, in KiB.
    peak: u64,
}

#[test]
fn a_hundred_thousand_owed_deliveries_drain_in_order_and_in_little_memory_directly() {
    let few = drain(&World::new(QUICK), FEW, None);
    let many = drain(&World::new(QUICK), MANY, None);
    judge("direct", &few, &many);
}

#[test]
fn a_hundred_thousand_owed_deliveries_drain_in_order_and_in_little_memory_on_redis() {
    let redis = RedisServer::start();
    let few = drain(&World::on_redis(&redis, "redis", QUICK), FEW, Some(&redis));
    // Another store may not work on the first one's namespace.
    redis.cli(&["FLUSHALL"]);
    let many = drain(&World::on_redis(&redis, "redis", QUICK), MANY, Some(&redis));
    judge("redis", &few, &many);
}

fn judge(carrier: &str, few: &Drained, many: &Drained) {
    println!(
        "{carrier}: {MANY} owed: ready after {:?}, drained after {:?}; at most {} KiB of memory, with {FEW} owed {} KiB",
        many.start, many.drain, many.peak, few.peak
    );
    assert!(many.start < START, "ready only after {:?}", many.start);
    let more = many.peak.saturating_sub(few.peak);
    assert!(more < MEMORY_MORE_KIB, "{more} KiB more with {MANY} owed");
}

/// Starts a daemon on a store that owes `count` deliveries, publishes more meanwhile, and checks what became of all.
fn drain(world: &World, count: usize, redis: Option<&RedisServer>) -> Drained {
    let mut published = owe(world, count);
    let began = Instant::now();
    let daemon = world.start();
    let start = began.elapsed();
    let late: Vec<_> = (0..200)
        .map(|n| (subject(n), json!({"end": "ok"})))
        .collect();
    published.extend(world.works(&late));
    let began = Instant::now();
    while world.status()["bus"]["owed"] != 0 {
        assert!(
            began.elapsed() < DRAIN,
            "{}\n{}",
            world.status(),
            world.log()
        );
        if let Some(redis) = redis {
            let carried = redis.number(&["XLEN", &inbox("test")]);
            // The window, and what is settled and being acknowledged.
            assert!(carried <= 512, "{carried} entries in the inbox");
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let drain = began.elapsed();
    let peak = peak(&daemon);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    in_order(world, &published);
    let effects = world.copy().effects();
    assert_eq!(effects.len(), published.len());
    assert!(effects.values().all(|count| *count == 1));
    Drained { start, drain, peak }
}

/// Publishes into the world's store, before there is a daemon; the ids in ledger order.
fn owe(world: &World, count: usize) -> Vec<String> {
    let options = StoreOptions {
        retry: RetryPolicy {
            max_retries: 3,
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_millis(100),
        },
        event_size: 64 * 1024,
        ledger_keep: Duration::from_secs(3600),
        ledger_keep_events: 1_000_000,
        versions: 20,
        agents: vec![AgentName::Test],
    };
    fs::create_dir_all(world.data()).expect("the data folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let (store, closer) = Store::open(&world.data(), options).expect("a store");
    let source = Source::new(store.clone(), 1_000, 32 << 20);
    let ids = runtime.block_on(async {
        let (mut ids, mut submitted) = (Vec::new(), Vec::new());
        for n in 0..count {
            let subject = Subject::parse(&subject(n)).expect("a subject");
            let event = NewEvent::root(
                EventType::TestWork,
                "backlog",
                subject,
                json!({"end": "ok"}),
            );
            ids.push(event.id.to_string());
            submitted.push(source.submit(Vec::new(), vec![event]).await.expect("room"));
            if submitted.len() == 1_000 {
                for one in submitted.drain(..) {
                    one.committed().await.expect("a commit");
                }
            }
        }
        for one in submitted {
            one.committed().await.expect("a commit");
        }
        ids
    });
    drop((source, store));
    assert!(closer.close());
    ids
}

fn subject(n: usize) -> String {
    format!("work/{}", n % SUBJECTS)
}

/// Every event was begun exactly once, those of a subject in the order in which they were published.
fn in_order(world: &World, published: &[String]) {
    let place: HashMap<&str, usize> = published.iter().map(String::as_str).zip(0..).collect();
    let lines = world.lines();
    let mut last: HashMap<&str, usize> = HashMap::new();
    let mut starts = 0;
    for line in lines.iter().filter(|line| line.start) {
        let place = place[line.event.as_str()];
        let before = last.insert(&line.subject, place);
        assert!(before < Some(place), "{} overtook {before:?}", line.event);
        starts += 1;
    }
    assert_eq!(starts, published.len());
}

/// The most memory that a daemon has had so far, in KiB.
pub(crate) fn peak(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.expect("a peak").split_whitespace().nth(1);
    words.expect("a number").parse().expect("a number")
}
