//! How the daemon stops: what is pending is finished, what is not is named and still owed.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

use crate::corpus::{QUERIES, fill};
use crate::helper::World;
use crate::load::same;
use crate::work::QUICK;

/// Within this a stop that does not wait for work must have come about.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_stop_in_the_middle_of_work_finishes_what_runs_and_loses_nothing() {
    let world = World::new("");
    let daemon = world.start();
    let work: Vec<_> = (0..160)
        .map(|n| (format!("work/{n}"), json!({"sleep_ms": 800})))
        .collect();
    let works = world.works(&work);
    let files = 400;
    fill(&world, &mut Rng::with_seed(7), files);
    world.until("work runs and documents are stored", || {
        !world.lines().is_empty() && world.status()["documents"] != 0
    });
    let told = Instant::now();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let took = told.elapsed();
    println!("stopped in {took:?} in the middle of an ingest and of work");
    // The default shutdown timeout.
    assert!(took < Duration::from_secs(45), "{took:?}");
    assert_eq!(world.cli(["status"]).code(), 3);
    let store = world.copy();
    let stored = store.count("SELECT COUNT(*) FROM document");
    let undone =
        store.count("SELECT COUNT(*) FROM delivery WHERE state = 'owed' AND agent = 'test'");
    println!(
        "{stored} of {files} documents stored and {undone} of {} works left when it stopped",
        works.len()
    );
    assert!(stored < files as u64, "the ingest was over already");
    assert!(undone > 0, "the work was over already");
    let began = world.lines().iter().filter(|line| line.start).count();
    assert_eq!(began, world.lines().len() - began, "a handler was cut off");

    let daemon = world.start();
    world.wait();
    world.settled();
    let known = world.knowledge(QUERIES);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let mut attempts: HashMap<String, u32> = HashMap::new();
    for line in world.lines().iter().filter(|line| line.start) {
        *attempts.entry(line.event.clone()).or_default() += 1;
    }
    let effects = world.copy().effects();
    for id in &works {
        assert_eq!(
            (attempts.get(id), effects.get(id)),
            (Some(&1), Some(&1)),
            "{id}"
        );
    }
    same(&known, &world.clean_build(QUERIES));
}

#[test]
fn a_second_signal_stops_at_once_and_the_work_is_done_after_the_next_start() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let id = world.work("work/long", json!({"sleep_ms": 12_000, "progress": true}));
    world.until("the work runs", || world.starts(&id) == 1);
    daemon.signal("TERM");
    world.until("it drains", || world.status()["state"] == "draining");
    let (status, text) = world.get("/readyz");
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("draining"), "{text}");
    daemon.signal("TERM");
    let told = Instant::now();
    assert_eq!(daemon.ended(), Some(75), "{}", world.log());
    println!("ended {:?} after a second signal", told.elapsed());
    assert!(told.elapsed() < SOON);
    assert!(world.log().contains("a second signal"), "{}", world.log());
    assert!(
        world.log().contains("work/long"),
        "the straggler is not named: {}",
        world.log()
    );
    assert_eq!(world.lines().len(), 1, "the work ended after all");

    let daemon = world.start();
    let delivery = world.until_work(&id, "done");
    assert_eq!(delivery["attempts"], 0, "{delivery}");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert_eq!(world.copy().effects()[&id], 1);
}

#[test]
fn a_hang_up_ends_nothing() {
    let world = World::new("");
    world.write("a.md", "# Lanterns\n\nA lantern in the window.\n");
    let mut daemon = world.start();
    daemon.signal("HUP");
    world.until("it says that it does not reload", || {
        world.log().contains("SIGHUP has no effect")
    });
    world.wait();
    assert_eq!(world.search("lantern"), ["a.md"]);
    assert!(daemon.runs());
    // Not while it drains either.
    let id = world.work("work/a", json!({"sleep_ms": 1500}));
    world.until("the work runs", || world.starts(&id) == 1);
    daemon.signal("TERM");
    world.until("it drains", || world.log().contains("stopping: finishing"));
    daemon.signal("HUP");
    assert_eq!(daemon.ended(), Some(0), "{}", world.log());
    assert_eq!(world.copy().effects()[&id], 1);
}

#[test]
fn stragglers_at_the_deadline_are_named_and_still_owed() {
    let world = World::new(QUICK);
    world.top("shutdown_timeout = \"2s\"");
    let daemon = world.start();
    let id = world.work(
        "work/endless",
        json!({"sleep_ms": 600_000, "progress": true}),
    );
    let short = world.work("work/short", json!({"sleep_ms": 300}));
    world.until("the work runs", || {
        world.starts(&id) + world.starts(&short) == 2
    });
    let told = Instant::now();
    assert_eq!(daemon.stop(), Some(75), "{}", world.log());
    println!(
        "ended {:?} after a signal, with a shutdown_timeout of 2 s and a straggler",
        told.elapsed()
    );
    assert!(told.elapsed() >= Duration::from_secs(2));
    assert!(told.elapsed() < SOON);
    let log = world.log();
    let named = log
        .lines()
        .find(|line| line.contains("stopped before all work was finished"));
    assert!(
        named.is_some_and(|line| line.contains("test: work/endless")),
        "{log}"
    );
    let effects = world.copy().effects();
    assert_eq!((effects[&id], effects[&short]), (0, 1));

    let daemon = world.start();
    let delivery = world.delivery(&id, "test");
    assert_eq!(
        (&delivery["state"], &delivery["attempts"]),
        (&json!("owed"), &json!(0))
    );
    world.until("it is tried again", || world.starts(&id) == 2);
    daemon.kill();
}
