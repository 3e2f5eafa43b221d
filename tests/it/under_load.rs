//! A fault of Redis under load, and what must be true afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::corpus::{QUERIES, fill};
use crate::helper::World;
use crate::load::{Client, Files, Over, pause, same, seed};
use crate::redis_server::{AGENTS, RedisServer};
use crate::work::QUICK;

const FILES: usize = 60;

/// Edits and events go on while `fault` happens; afterwards nothing is lost, nothing doubled, and nothing is left behind.
pub(crate) fn under_load(options: &[&str], fault: impl Fn(&mut RedisServer, &World)) {
    let redis = RedisServer::start_with(options);
    let url = redis.url();
    under_load_at(redis, (&url, "auto"), seed(), fault);
}

/// The same for a daemon that reaches this Redis at `url`, in this mode.
pub(crate) fn under_load_at(
    mut redis: RedisServer,
    (url, mode): (&str, &str),
    seed: u64,
    fault: impl Fn(&mut RedisServer, &World),
) {
    println!("seed {seed} (DOCENT_TEST_SEED={seed} repeats its files, edits and events)");
    let mut rng = Rng::with_seed(seed);
    let world = World::on_redis_at(url, mode, QUICK);
    let mut files = Files {
        paths: fill(&world, &mut rng, FILES),
        made: 0,
    };
    let daemon = world.start();
    world.until_carried_by("redis");
    let client = Client::default();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (events, mut edits) = (rng.fork(), rng.fork());
        let publisher = scope.spawn(|| client.publish(&world, &over, events));
        let (world, over, files) = (&world, &over, &mut files);
        let editor = scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                files.edit(world, &mut edits);
                pause(Duration::from_millis(40));
            }
        });
        let ends = Over(over);
        let busy = || client.ids().len();
        world.until("events flow before the fault", || busy() > 50);
        fault(&mut redis, world);
        let before = busy();
        world.until("events flow after the fault", || busy() > before + 100);
        drop(ends);
        publisher.join().expect("the publisher ends");
        editor.join().expect("the editor ends");
    });
    world.until_carried_by("redis");
    world.wait();
    world.settled();
    client.compare_with(&world.audit());
    assert_eq!(world.status()["bus"]["dead"], 0, "{}", world.status());
    for agent in AGENTS {
        let what = format!("nothing is pending for {agent}");
        world.until(&what, || redis.pending(agent) == 0);
    }
    let known = world.knowledge(QUERIES);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let wrong: Vec<_> = world
        .copy()
        .effects()
        .into_iter()
        .filter(|(_, count)| *count != 1)
        .collect();
    assert!(wrong.is_empty(), "work done not once: {wrong:?}");
    same(&known, &world.clean_build(QUERIES));
}
