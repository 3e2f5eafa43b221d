//! `kill -9` at random moments of an ingest: what a clean start makes of it is what a daemon knows that was never killed.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::corpus::{QUERIES, fill};
use crate::helper::World;
use crate::load::{Client, Files, pause, same, seed};
use crate::work::QUICK;

const FILES: usize = 300;
const KILLS: usize = 10;

/// How long a daemon may live, in milliseconds: half of them are killed while they start or scan.
const SHORT: std::ops::Range<u64> = 20..500;
const LONG: std::ops::Range<u64> = 500..2000;

#[test]
fn ten_kills_lose_nothing_and_double_nothing() {
    let seed = seed();
    println!("seed {seed} (DOCENT_TEST_SEED={seed} repeats its files, edits and events)");
    let mut rng = Rng::with_seed(seed);
    let world = World::new(QUICK);
    let mut files = Files {
        paths: fill(&world, &mut rng, FILES),
        made: 0,
    };
    let client = Client::default();
    let mut interrupted = 0;
    for round in 1..=KILLS {
        let moment = rng.u64(if round % 2 == 0 { SHORT } else { LONG });
        let before = client.ids().len();
        let edits = live(&world, &client, &mut files, (moment, rng.fork()));
        let owed = world.copy().owed();
        let published = client.ids().len() - before;
        interrupted += u64::from(owed > 0 && published > 0);
        println!(
            "kill {round} after {moment} ms: {owed} deliveries owed, {edits} edits, {published} ids printed"
        );
    }
    assert!(interrupted >= 3, "the kills hit nothing that was under way");
    assert!(client.ids().len() > 100, "hardly anything was published");

    let daemon = world.start();
    world.wait();
    world.settled();
    client.compare_with(&world.audit());
    let status = world.status();
    assert_eq!(status["bus"]["dead"], 0, "{status}");
    assert_eq!(status["freshness"]["failed"], 0, "{status}");
    let known = world.knowledge(QUERIES);
    let intact = world.get("/readyz");
    assert_eq!(intact.0, 200, "{}", intact.1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let effects = world.copy().effects();
    let wrong: Vec<_> = effects.iter().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "work done not once: {wrong:?}");
    same(&known, &world.clean_build(QUERIES));
    println!(
        "{} ids printed, {} documents, {} chunks",
        client.ids().len(),
        known["documents"].as_array().map_or(0, Vec::len),
        known["chunks"]
    );
}

/// One run of a daemon, while files are edited and events published; ended by a kill at `moment`. Gives how many edits.
fn live(world: &World, client: &Client, files: &mut Files, (moment, mut rng): (u64, Rng)) -> u32 {
    let over = AtomicBool::new(false);
    let daemon = world.spawn();
    std::thread::scope(|scope| {
        let events = rng.fork();
        let publisher = scope.spawn(|| client.publish(world, &over, events));
        let editor = scope.spawn(|| {
            let mut edits = 0;
            while !over.load(Ordering::SeqCst) {
                files.edit(world, &mut rng);
                edits += 1;
                pause(Duration::from_millis(15));
            }
            edits
        });
        // The one moment that is left to chance: it is what is tried here.
        pause(Duration::from_millis(moment));
        daemon.kill();
        over.store(true, Ordering::SeqCst);
        publisher.join().expect("the publisher ends");
        editor.join().expect("the editor ends")
    })
}
