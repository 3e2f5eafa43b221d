//! The real daemon with its store in a real PostgreSQL.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::corpus::{QUERIES, fill};
use crate::helper::World;
use crate::load::{Client, Files, Over, pause, same, seed};
use crate::postgres_server::PostgresServer;
use crate::work::QUICK;

const FILES: usize = 60;

fn world_on(server: &PostgresServer, extra: &str) -> World {
    World::new(&format!("[store]\nurl = \"{}\"\n{extra}", server.url()))
}

#[test]
fn what_a_store_in_a_file_knows_one_in_a_database_knows_too_and_keeps() {
    let server = PostgresServer::start();
    let world = world_on(&server, "");
    fill(&world, &mut Rng::with_seed(7), FILES);
    let check = world.cli(["check"]);
    assert_eq!(check.code(), 0, "{}", check.stderr());
    let daemon = world.start();
    world.wait();
    world.settled();
    let known = world.knowledge(QUERIES);
    same(&known, &world.clean_build(QUERIES));
    assert!(!world.audit().is_empty());
    for verb in [
        &["documents", "--json"][..],
        &["health", "--all"],
        &["jobs"],
        &["dead", "list"],
        &["events", "list"],
        &["audit", "list"],
        &["report"],
        &["status"],
        &["agent", "list"],
    ] {
        let run = world.cli(verb);
        assert_eq!(run.code(), 0, "{verb:?}: {}", run.stderr());
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(!world.data().join("store.db").exists());
    let daemon = world.start();
    world.wait();
    same(&known, &world.knowledge(QUERIES));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(!world.log().contains("ERROR"), "{}", world.log());
}

#[test]
fn a_database_that_crashes_and_a_daemon_that_is_killed_lose_nothing_and_double_nothing() {
    let seed = seed();
    println!("seed {seed} (DOCENT_TEST_SEED={seed} repeats its files, edits and events)");
    let mut rng = Rng::with_seed(seed);
    let mut server = PostgresServer::start();
    let world = world_on(&server, QUICK);
    let mut files = Files {
        paths: fill(&world, &mut rng, FILES),
        made: 0,
    };
    let mut daemon = Some(world.start());
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
        for fault in 0..4 {
            let before = busy();
            world.until("events flow", || busy() > before + 50);
            match fault {
                // A crash, with some time before it is there again.
                0 => {
                    server.crash();
                    pause(Duration::from_secs(2));
                    server.appear();
                }
                1 => {
                    daemon.take().expect("it runs").kill();
                    daemon = Some(world.spawn());
                }
                // Its sessions are ended, as by an operator.
                2 => drop(server.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'docent'",
                )),
                // It is away when docent starts: a service manager starts it again.
                _ => {
                    server.crash();
                    daemon.take().expect("it runs").kill();
                    assert_eq!(world.spawn().ended(), Some(69), "{}", world.log());
                    server.appear();
                    daemon = Some(world.spawn());
                }
            }
        }
        let before = busy();
        world.until("events flow after the faults", || busy() > before + 50);
        drop(ends);
        publisher.join().expect("the publisher ends");
        editor.join().expect("the editor ends");
    });
    world.wait();
    world.settled();
    client.compare_with(&world.audit());
    assert_eq!(world.status()["bus"]["dead"], 0, "{}", world.status());
    let known = world.knowledge(QUERIES);
    let daemon = daemon.expect("it runs");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let wrong: Vec<_> = server
        .effects()
        .into_iter()
        .filter(|(_, count)| *count != 1)
        .collect();
    assert!(wrong.is_empty(), "work done not once: {wrong:?}");
    same(&known, &world.clean_build(QUERIES));
}

#[test]
fn a_database_in_use_one_that_is_away_and_one_that_is_unfit_are_refused_with_a_way_out() {
    let server = PostgresServer::start();
    let world = world_on(&server, "");
    let daemon = world.start();
    let other = world_on(&server, "");
    let (code, said) = other.refused();
    assert!(
        code == 75 && said.contains("another docent writes into the store"),
        "{code} {said}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    server.psql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let unfit = World::new(&format!("[store]\nurl = \"{}\"\n", server.url_of("latin")));
    let (code, said) = unfit.refused();
    assert!(
        code == 78 && said.contains("its encoding is not UTF8"),
        "{code} {said}"
    );
    drop(server);
    let (code, said) = world.refused();
    assert!(
        code == 69 && said.contains("cannot use the store postgres://"),
        "{code} {said}"
    );
}
