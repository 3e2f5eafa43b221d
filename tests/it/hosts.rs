//! Several hosts on one PostgreSQL, with and without Redis: they share the work, and what one does not finish another one does, once.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::checker::Verdict;
use crate::cluster::{Cluster, FILES, Fault, Servers, host, until_shared};
use crate::corpus::{QUERIES, fill};
use crate::helper::World;
use crate::load::same;
use crate::metrics::{page, samples};

/// A figure of each host, by its name, as this one tells it to Prometheus.
fn figure(world: &World, metric: &str) -> BTreeMap<String, f64> {
    let samples = samples(&page(world)).into_iter();
    let of_a_host = |(sample, value): (String, f64)| {
        let host = sample
            .strip_prefix(&format!("docent_host_{metric}{{instance=\""))?
            .strip_suffix("\"}")?;
        Some((host.to_owned(), value))
    };
    samples.filter_map(of_a_host).collect()
}

/// These figures of the hosts `one` and `two`.
fn of_two(one: f64, two: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([("one".to_owned(), one), ("two".to_owned(), two)])
}

/// How often a handler has ended for each event, on any of these hosts.
fn handled(worlds: &[&World]) -> HashMap<String, usize> {
    let mut ends = HashMap::new();
    for line in worlds.iter().flat_map(|world| world.lines()) {
        if !line.start {
            *ends.entry(line.event).or_default() += 1;
        }
    }
    ends
}

#[test]
fn two_hosts_share_the_work_and_each_finds_all_of_it() {
    share(&Servers::new(false));
}

#[test]
fn two_hosts_share_the_work_of_one_consumer_group() {
    share(&Servers::new(true));
}

fn share(servers: &Servers) {
    let one = host(servers, "one", None);
    let two = host(servers, "two", Some(&one));
    fill(&one, &mut Rng::with_seed(5), FILES);
    let first = one.start();
    one.wait();
    let second = two.start();
    until_shared(&two, 2);
    for world in [&one, &two] {
        assert_eq!(figure(world, "up"), of_two(1.0, 1.0));
        assert_eq!(figure(world, "slots"), of_two(128.0, 128.0));
        assert_eq!(figure(world, "collections"), of_two(1.0, 0.0));
        let renewed = figure(world, "renewed_seconds");
        assert!(renewed.len() == 2 && renewed.values().all(|ago| *ago < 10.0));
    }
    let top = one.cli(["top", "--once"]).stdout();
    assert!(top.contains("2 hosts work on the store"), "{top}");
    let events: Vec<(String, Value)> = (0..200)
        .map(|n| (format!("work/{n}"), json!({"sleep_ms": 1})))
        .collect();
    let ids = one.works(&events);
    one.write("late.md", "# A page of the second day\n");
    one.wait();
    two.wait();
    same(&one.knowledge(QUERIES), &two.knowledge(QUERIES));
    assert!(!two.search("second day").is_empty());
    one.until("all is handled", || {
        let handled = handled(&[&one, &two]);
        ids.iter().all(|id| handled.contains_key(id))
    });
    let shares = [&one, &two].map(|world| handled(&[world]).len());
    assert!(shares.iter().all(|share| *share > 20), "{shares:?}");
    // One leaves: what it had goes to the other one at once.
    assert_eq!(first.stop(), Some(0), "{}", one.log());
    until_shared(&two, 1);
    let alone = BTreeMap::from([("two".to_owned(), 256.0)]);
    assert_eq!(figure(&two, "slots"), alone, "one that has ended is gone");
    one.write("later.md", "# A page of the third day\n");
    two.until("it is noticed by the other host", || {
        two.wait();
        !two.search("third day").is_empty()
    });
    let known = two.knowledge(QUERIES);
    assert_eq!(second.stop(), Some(0), "{}", two.log());
    same(&known, &one.clean_build(QUERIES));
    let wrong: Vec<_> = servers
        .postgres
        .effects()
        .into_iter()
        .filter(|(_, count)| *count != 1)
        .collect();
    assert!(wrong.is_empty(), "work done not once: {wrong:?}");
}

#[test]
fn hosts_that_are_killed_and_paused_and_a_database_that_crashes_lose_nothing_and_double_nothing() {
    let faults = [
        Fault::Killed,
        Fault::Paused,
        Fault::DatabaseCrashes,
        Fault::Restarted,
    ];
    let outcome = Cluster::start(Servers::new(false), 2).under_load(&faults);
    assert_eq!(outcome.verdict, Verdict::default());
}

#[test]
fn hosts_on_a_redis_that_is_flushed_and_stopped_lose_nothing_and_double_nothing() {
    let faults = [
        Fault::Killed,
        Fault::RedisFlushed,
        Fault::RedisAway,
        Fault::Restarted,
    ];
    let outcome = Cluster::start(Servers::new(true), 2).under_load(&faults);
    assert_eq!(outcome.verdict, Verdict::default());
}

/// `docs/scaling.md` names the command that runs it.
#[test]
#[ignore = "a demonstration of some minutes; the tests above are its short form"]
fn demonstration() {
    let faults = [
        Fault::Killed,
        Fault::Paused,
        Fault::DatabaseCrashes,
        Fault::Restarted,
    ];
    let with_redis = [Fault::RedisFlushed, Fault::RedisAway];
    let on_redis: Vec<Fault> = faults.into_iter().chain(with_redis).collect();
    let cluster = Cluster::start(Servers::new(true), 3);
    let redis = cluster.under_load(&on_redis);
    let alone = Cluster::start(Servers::new(false), 3).under_load(&faults);
    redis.print("three hosts, PostgreSQL and Redis");
    alone.print("three hosts and PostgreSQL");
    assert_eq!(redis.verdict, Verdict::default());
    assert_eq!(alone.verdict, Verdict::default());
}

#[test]
fn a_host_with_other_settings_of_the_store_is_refused() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let daemon = one.start();
    two.top("redis.max_retries = 9");
    let (code, said) = two.refused();
    assert!(
        code == 78 && said.contains("redis.max_retries is 9 here, and 3 on the hosts"),
        "{code} {said}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", one.log());
}

#[test]
fn a_host_of_the_same_name_is_refused_and_one_on_the_same_data_dir_takes_over_at_once() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let same = host(&servers, "one", Some(&one));
    let daemon = one.start();
    let (code, said) = same.refused();
    assert!(
        code == 75 && said.contains("another host called one works on this store"),
        "{code} {said}"
    );
    daemon.kill();
    let killed = Instant::now();
    let daemon = one.start();
    let id = one.work("first", json!({}));
    one.until("it is handled", || one.starts(&id) > 0);
    println!(
        "a successor handles events {:?} after the kill",
        killed.elapsed()
    );
    let waited = "SELECT MAX(ended_at - renewed_at) FROM host WHERE ended_at IS NOT NULL";
    let waited = servers.postgres.query(waited);
    let waited: u64 = waited.trim().parse().expect("milliseconds");
    assert!(waited < 10_000, "it waited {waited} ms");
    assert_eq!(daemon.stop(), Some(0), "{}", one.log());
}
