//! An event on which docent crashes is a dead letter after three crashes, and nothing that was in flight beside it is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Servers, host, until_shared};
use crate::helper::{DEADLINE, Daemon, World};
use crate::load::pause;
use crate::work::QUICK;

const EVENTS: usize = 500;

/// On which of them docent crashes: on one machine, and on hosts.
const POISON: &[usize] = &[40, 41, 300];
const POISON_OF_HOSTS: &[usize] = &[40];

/// How long that takes: by then all are published.
const CRASHES_AFTER: Duration = Duration::from_secs(3);

/// Publishes events, of which docent crashes on these; all ids, and theirs.
fn publish(world: &World, poison: &[usize]) -> (Vec<String>, Vec<String>) {
    let crash = json!({"end": "abort", "sleep_ms": CRASHES_AFTER.as_millis(), "progress": true});
    let data = |n| match poison.contains(&n) {
        true => crash.clone(),
        false => json!({"sleep_ms": 100}),
    };
    let events: Vec<(String, Value)> = (0..EVENTS)
        .map(|n| (format!("work/{n}"), data(n)))
        .collect();
    let ids = world.works(&events);
    let poison = poison.iter().map(|n| ids[*n].clone()).collect();
    (ids, poison)
}

/// Starts each daemon again that has ended, until all the poison is dead; gives how many have ended.
fn keep_up(worlds: &[&World], daemons: &mut [Daemon], poison: &[String]) -> usize {
    let deadline = Instant::now() + 3 * DEADLINE;
    let mut crashes = 0;
    loop {
        for (world, daemon) in worlds.iter().zip(daemons.iter_mut()) {
            if !daemon.runs() {
                crashes += 1;
                *daemon = world.spawn();
            }
            let shown = world.cli(["dead", "list", "--json"]);
            let listed = shown.stdout();
            if shown.code() == 0 && poison.iter().all(|id| listed.contains(id)) {
                return crashes;
            }
        }
        assert!(
            Instant::now() < deadline,
            "after {crashes} crashes: {}",
            worlds[0].log()
        );
        pause(Duration::from_millis(100));
    }
}

/// That the poison was handled three times, and all but the first time alone on its host.
fn was_isolated(worlds: &[&World], poison: &str) {
    let mut beside: Vec<(u128, usize)> = Vec::new();
    for world in worlds {
        let lines = world.flights();
        for poisoned in lines.iter().filter(|l| l.start && l.event == poison) {
            let from = poisoned.nanos;
            let during = from + 1..from + CRASHES_AFTER.as_nanos();
            let count = lines.iter().filter(|l| during.contains(&l.nanos)).count();
            beside.push((from, count));
        }
    }
    beside.sort_unstable();
    let counts: Vec<usize> = beside.iter().map(|(_, count)| *count).collect();
    assert!(
        matches!(counts[..], [first, 0, 0] if first > 0),
        "{counts:?}"
    );
}

/// That each of these was done once, and the poison never.
fn were_done_once(effects: impl Fn(&str) -> u64, ids: &[String], poison: &[String]) {
    for id in ids {
        assert_eq!(effects(id), u64::from(!poison.contains(id)), "{id}");
    }
}

/// That the poison is dead, with what is said of it, and nothing else.
fn are_dead(world: &World, poison: &[String]) {
    let status = world.status();
    assert_eq!(status["bus"]["dead"], poison.len(), "{status}");
    for id in poison {
        let delivery = world.delivery(id, "test");
        let why = delivery["errors"][0]["error"].as_str().expect("a reason");
        let crashes = "docent ended 3 times while this was handled, 3 of them by a crash";
        assert!(why.starts_with(crashes), "{why}");
    }
}

#[test]
fn an_event_that_docent_crashes_on_is_dead_after_three_crashes_and_its_bystanders_are_done() {
    let world = World::new(QUICK);
    let mut daemons = [world.start()];
    let (ids, poison) = publish(&world, POISON);
    let crashes = keep_up(&[&world], &mut daemons, &poison);
    // All but the first crash of each happened while it was alone.
    assert!((7..=9).contains(&crashes), "{crashes}");
    world.settled();
    are_dead(&world, &poison);
    let log = world.log();
    assert!(
        log.contains("docent may have crashed on something that was in flight"),
        "{log}"
    );
    let [daemon] = daemons;
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let effects = world.copy().effects();
    were_done_once(|id| effects.get(id).copied().unwrap_or(0), &ids, &poison);
    for id in &poison {
        was_isolated(&[&world], id);
    }
    // The last run came to its end.
    let unended = world
        .log()
        .matches("the last run did not end cleanly")
        .count();
    assert_eq!(world.start().stop(), Some(0));
    assert_eq!(
        world
            .log()
            .matches("the last run did not end cleanly")
            .count(),
        unended
    );
}

#[test]
fn an_event_that_hosts_crash_on_is_dead_after_three_crashes() {
    crash_hosts(&Servers::new(false));
}

#[test]
fn an_event_that_hosts_on_a_redis_crash_on_is_dead_after_three_crashes() {
    crash_hosts(&Servers::new(true));
}

fn crash_hosts(servers: &Servers) {
    let one = host(servers, "one", None);
    let two = host(servers, "two", Some(&one));
    let worlds = [&one, &two];
    let mut daemons = worlds.map(World::start);
    until_shared(&two, 2);
    let (ids, poison) = publish(&one, POISON_OF_HOSTS);
    assert_eq!(keep_up(&worlds, &mut daemons, &poison), 3);
    one.settled();
    are_dead(&one, &poison);
    for (world, daemon) in worlds.into_iter().zip(daemons) {
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
    let effects = servers.postgres.effects();
    let count = |id: &str| effects.get(id).map_or(0, |count| *count as u64);
    were_done_once(count, &ids, &poison);
    was_isolated(&worlds, &poison[0]);
}
