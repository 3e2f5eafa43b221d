//! Several hosts on one PostgreSQL: they share the work, and what one does not finish another one does, once.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::corpus::{QUERIES, fill};
use crate::helper::{Daemon, World};
use crate::load::{Client, Files, Over, pause, same, seed};
use crate::metrics::{page, samples};
use crate::postgres_server::PostgresServer;
use crate::work::QUICK;

const FILES: usize = 60;

/// A host of this name on the store of a server. It has the documents of `first`, which is the first one otherwise.
fn host(server: &PostgresServer, instance: &str, first: Option<&World>) -> World {
    let world = World::new(&format!("[store]\nurl = \"{}\"\n{QUICK}", server.url()));
    let config = fs::read_to_string(world.config()).expect("the config");
    let docs = first.unwrap_or(&world).docs();
    let config = config.replace("path = \"docs\"", &format!("path = \"{}\"", docs.display()));
    let config = format!("instance = \"{instance}\"\n{config}");
    fs::write(world.config(), config).expect("the config");
    world
}

/// How many slots each host has, by its name.
fn slots(world: &World) -> HashMap<String, u64> {
    let status = world.status();
    let hosts = status["hosts"].as_array().cloned().unwrap_or_default();
    let slots = |host: &Value| {
        Some((
            host["instance"].as_str()?.to_owned(),
            host["slots"].as_u64()?,
        ))
    };
    hosts.iter().filter_map(slots).collect()
}

/// Waits until these hosts share all slots evenly.
fn until_shared(world: &World, hosts: &[&str]) {
    let even = 256 / hosts.len() as u64;
    world.until("the slots are shared evenly", || {
        let slots = slots(world);
        slots.len() == hosts.len()
            && slots.values().sum::<u64>() == 256
            && slots.values().all(|count| *count >= even)
    });
}

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

/// What the handlers of all hosts have logged must not overlap in one subject, but where a host was killed or had lost its slots.
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
    let server = PostgresServer::start();
    let one = host(&server, "one", None);
    let two = host(&server, "two", Some(&one));
    fill(&one, &mut Rng::with_seed(5), FILES);
    let first = one.start();
    one.wait();
    let second = two.start();
    until_shared(&two, &["one", "two"]);
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
        ids.iter().all(|id| handled(&[&one, &two]).contains_key(id))
    });
    let shares = [&one, &two].map(|world| handled(&[world]).len());
    assert!(shares.iter().all(|share| *share > 40), "{shares:?}");
    // One starts to leave; what it had goes to the other one at once.
    assert_eq!(first.stop(), Some(0), "{}", one.log());
    until_shared(&two, &["two"]);
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
    once(&server);
}

/// The effect of each event is in the store once.
fn once(server: &PostgresServer) {
    let effects = server.effects().into_iter();
    let wrong: Vec<_> = effects.filter(|(_, count)| *count != 1).collect();
    assert!(wrong.is_empty(), "work done not once: {wrong:?}");
}

/// Stops a process for a while, its sessions with it.
fn paused(daemon: &Daemon, time: Duration) {
    daemon.signal("STOP");
    pause(time);
    daemon.signal("CONT");
}

#[test]
fn hosts_that_are_killed_and_paused_and_a_database_that_crashes_lose_nothing_and_double_nothing() {
    let seed = seed();
    println!("seed {seed} (DOCENT_TEST_SEED={seed} repeats its files, edits and events)");
    let mut rng = Rng::with_seed(seed);
    let mut server = PostgresServer::start();
    let one = host(&server, "one", None);
    let two = host(&server, "two", Some(&one));
    let mut files = Files {
        paths: fill(&one, &mut rng, FILES),
        made: 0,
    };
    let mut first = Some(one.start());
    let mut second = Some(two.start());
    until_shared(&one, &["one", "two"]);
    let clients = [Client::default(), Client::default()];
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publishers = [
            (&one, &clients[0], rng.fork()),
            (&two, &clients[1], rng.fork()),
        ]
        .map(|(world, client, rng)| {
            let over = &over;
            scope.spawn(move || client.publish(world, over, rng))
        });
        let (edited, over, files, mut edits) = (&one, &over, &mut files, rng.fork());
        let editor = scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                files.edit(edited, &mut edits);
                pause(Duration::from_millis(60));
            }
        });
        let ends = Over(over);
        let published = |at: usize| clients[at].ids().len();
        let flows = |at: usize| {
            let before = published(at);
            [&one, &two][at].until("events flow", || published(at) > before + 30);
        };
        flows(0);
        // Gone for good, for as long as the other one needs to notice.
        first.take().expect("it runs").kill();
        let began = Instant::now();
        two.until_within(Duration::from_secs(40), "its work has passed on", || {
            slots(&two).get("two") == Some(&256)
        });
        println!("taken over after {:?}", began.elapsed());
        flows(1);
        first = Some(one.spawn());
        flows(0);
        until_shared(&two, &["one", "two"]);
        paused(second.as_ref().expect("it runs"), Duration::from_secs(20));
        flows(1);
        until_shared(&two, &["one", "two"]);
        server.crash();
        pause(Duration::from_secs(2));
        server.appear();
        flows(0);
        // Back on its data_dir at once.
        second.take().expect("it runs").kill();
        second = Some(two.spawn());
        flows(1);
        drop(ends);
        for publisher in publishers {
            publisher.join().expect("the publisher ends");
        }
        editor.join().expect("the editor ends");
    });
    one.wait();
    two.wait();
    one.settled();
    let audit = one.audit();
    for client in &clients {
        client.compare_with(&audit);
    }
    assert_eq!(one.status()["bus"]["dead"], 0, "{}", one.status());
    let verified = one.cli(["audit", "verify"]);
    assert_eq!(verified.code(), 0, "{}", verified.stderr());
    let known = one.knowledge(QUERIES);
    same(&known, &two.knowledge(QUERIES));
    for (daemon, world) in [(first, &one), (second, &two)] {
        assert_eq!(daemon.expect("it runs").stop(), Some(0), "{}", world.log());
    }
    once(&server);
    same(&known, &one.clean_build(QUERIES));
}

#[test]
fn a_host_with_another_name_or_other_settings_of_the_store_is_refused() {
    let server = PostgresServer::start();
    let one = host(&server, "one", None);
    let two = host(&server, "two", Some(&one));
    let daemon = one.start();
    two.top("redis.max_retries = 9");
    let (code, said) = two.refused();
    assert!(
        code == 78 && said.contains("redis.max_retries is 9 here, and 3 on the hosts"),
        "{code} {said}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", one.log());
}
