//! The real daemon with its store in a real PostgreSQL.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::corpus::{QUERIES, fill};
use crate::helper::World;
use crate::load::{Client, Files, Over, pause, same, seed};
use crate::postgres_server::{PASSWORD, PostgresServer};
use crate::redis_server::RedisServer;
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
        code == 75 && said.contains("works on this store; give each host a different instance"),
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
    for (set, fsync) in [("SET fsync = off", "off"), ("RESET fsync", "on")] {
        server.psql(&format!("ALTER SYSTEM {set}"));
        server.reload();
        world.until("the setting is in effect", || {
            server.psql("SHOW fsync").trim() == fsync
        });
        if fsync == "off" {
            let (code, said) = world.refused();
            assert!(
                code == 78
                    && said.contains("fsync is off, so a crash of its machine loses commits"),
                "{code} {said}"
            );
        }
    }
    // Room for the session that writes, and not for those that read.
    server.psql("CREATE ROLE limited LOGIN CONNECTION LIMIT 3");
    server.psql("CREATE DATABASE limited OWNER limited");
    let url = server
        .url_of("limited")
        .replace("postgres://docent@", "postgres://limited@");
    store(&world, &format!("url = \"{url}\""));
    let (code, said) = world.refused();
    assert!(
        code == 69 && said.contains("too many connections") && !said.contains("damaged"),
        "{code} {said}"
    );
    store(&world, &format!("url = \"{}\"", server.url()));
    server.query("UPDATE meta SET value = '99' WHERE name = 'schema'");
    let (code, said) = world.refused();
    assert!(
        code == 65 && said.contains("has schema 99, but this docent knows only up to"),
        "{code} {said}"
    );
    for ignores in [false, true] {
        let (_pooler, url) = server.pooler(ignores);
        store(&world, &format!("url = \"{url}\""));
        let (code, said) = world.refused();
        assert!(
            code == 78 && said.contains("it is behind a connection pooler"),
            "{code} {said}"
        );
    }
    store(&world, &format!("url = \"{}\"", server.url()));
    drop(server);
    let (code, said) = world.refused();
    assert!(
        code == 69 && said.contains("cannot use the store postgres://"),
        "{code} {said}"
    );
}

/// Puts `[store]` at the end of the config, in the place of one that is there.
fn store(world: &World, keys: &str) {
    let config = fs::read_to_string(world.config()).expect("the config");
    let before = config.split("[store]").next().unwrap_or_default();
    fs::write(world.config(), format!("{before}[store]\n{keys}\n")).expect("the config");
}

#[test]
fn a_store_is_moved_to_a_database_and_back_with_all_that_it_knows_and_owes() {
    let (server, redis) = (PostgresServer::start(), RedisServer::start());
    let world = World::on_redis(&redis, "redis", QUICK);
    fill(&world, &mut Rng::with_seed(11), FILES);
    let daemon = world.start();
    world.wait();
    world.settled();
    let dead = world.work("dead", json!({"end": "permanent"}));
    world.until("it is dead", || world.status()["bus"]["dead"] == 1);
    let known = world.knowledge(QUERIES);
    let audit = world.audit();
    let url = server.url();
    let copy = ["store", "copy", "--to", url.as_str()];
    let in_use = world.cli(copy);
    assert_eq!(in_use.code(), 75, "{}", in_use.stderr());
    let owed = world.work("owed", json!({"sleep_ms": 1500}));
    let reached = |event: &str, start: bool| {
        let lines = world.lines();
        lines
            .iter()
            .any(|line| line.event == event && line.start == start)
    };
    world.until("it is in flight", || reached(&owed, true));
    daemon.kill();

    let copied = world.cli(copy);
    assert_eq!(copied.code(), 0, "{}", copied.stderr());
    assert!(
        copied.stdout().contains("All rows are equal"),
        "{}",
        copied.stdout()
    );
    let (code, said) = world.refused();
    assert!(
        code == 65 && said.contains("was moved to postgres://"),
        "{code} {said}"
    );
    let check = world.cli(["check"]);
    assert!(
        check.stdout().contains("was moved to postgres://"),
        "{}",
        check.stdout()
    );

    let lives_on = |began: &str| {
        let daemon = world.start();
        world.until_carried_by("redis");
        world.wait();
        same(&known, &world.knowledge(QUERIES));
        let now = world.audit();
        assert!(
            now.starts_with(&audit),
            "the audit log goes on where it was"
        );
        assert_eq!(world.status()["bus"]["dead"], 1);
        world.until("what was in flight is done", || reached(&owed, false));
        let done = world.work("new", json!({}));
        world.until("new work is done", || reached(&done, false));
        assert!(world.log().contains(began), "{}", world.log());
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    };
    store(&world, &format!("url = \"{url}\""));
    lives_on("takes over the namespace of the store that it was copied from");
    assert!(
        world
            .lines()
            .iter()
            .filter(|line| line.event == dead)
            .count()
            == 2
    );

    let home = world.path().join("home");
    let copied = world.cli([
        "store",
        "copy",
        "--to",
        home.to_str().expect("a plain path"),
    ]);
    assert_eq!(copied.code(), 0, "{}", copied.stderr());
    let (code, said) = world.refused();
    assert!(
        code == 65 && said.contains("home/store.db"),
        "{code} {said}"
    );
    let config = fs::read_to_string(world.config()).expect("the config");
    let config = config.replace("data_dir = \"data\"", "data_dir = \"home\"");
    fs::write(world.config(), config).expect("the config");
    store(&world, "");
    lives_on("home");
}

#[test]
fn a_copy_that_is_killed_leaves_its_source_or_is_complete() {
    let server = PostgresServer::start();
    let world = World::new("");
    fill(&world, &mut Rng::with_seed(12), 4 * FILES);
    let daemon = world.start();
    world.wait();
    world.settled();
    let known = world.knowledge(QUERIES);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let url = server.url();
    let copy = ["store", "copy", "--to", url.as_str()];
    let mut moved = false;
    for millis in [0, 20, 60, 120, 250, 500] {
        let mut child = world.command(copy).spawn().expect("the command line runs");
        pause(Duration::from_millis(millis));
        child.kill().expect("it is ours");
        child.wait().expect("it is gone");
        let found = world.cli(["check"]).stdout();
        moved = found.contains("was moved to postgres://");
        if moved {
            break;
        }
        let daemon = world.start();
        same(&known, &world.knowledge(QUERIES));
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
    let copied = world.cli(copy);
    let was_finished = moved && copied.stderr().contains("was moved to postgres://");
    assert_eq!(
        copied.code(),
        if was_finished { 65 } else { 0 },
        "{}",
        copied.stderr()
    );
    store(&world, &format!("url = \"{url}\""));
    let daemon = world.start();
    world.wait();
    same(&known, &world.knowledge(QUERIES));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn over_a_network_the_server_proves_who_it_is_and_the_password_is_told_to_nobody() {
    let server = PostgresServer::secured("DNS:localhost");
    let world = World::new("");
    let secret = world.path().join("password");
    fs::write(&secret, format!("{PASSWORD}\n")).expect("the password");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("a mode");
    let url = server.network_url();
    let authority = server.authority();
    let keys = |more: &str| format!("url = \"{url}\"\npassword_file = \"password\"\n{more}");
    let trusted = format!("ca_file = {authority:?}");
    store(&world, &keys(&trusted));
    let check = world.cli(["check"]);
    assert_eq!(check.code(), 0, "{}{}", check.stdout(), check.stderr());
    let daemon = world.start();
    world.wait();
    let encrypted = "SELECT COUNT(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'docent' AND application_name = 'docent'";
    assert_eq!(server.query(encrypted).trim(), "t");
    let shown = world.cli(["config", "show"]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let told = format!(
        "{}{}{}{}",
        shown.stdout(),
        check.stdout(),
        check.stderr(),
        world.log()
    );
    assert!(!told.contains(PASSWORD), "{told}");

    // An authority that nobody knows, no TLS at all, a password that is wrong.
    for (keys, why) in [
        (keys(""), "certificate"),
        (keys("tls = \"disable\""), "no encryption"),
        (
            keys(&trusted).replace("\"password\"", "\"wrong\""),
            "password authentication failed",
        ),
    ] {
        fs::write(world.path().join("wrong"), "another").expect("a file");
        fs::set_permissions(
            world.path().join("wrong"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .expect("a mode");
        store(&world, &keys);
        let (code, said) = world.refused();
        assert!(code == 69 && said.contains(why), "{keys}: {code} {said}");
        assert!(
            !said.contains(PASSWORD) && !said.contains("another "),
            "{said}"
        );
    }

    let elsewhere = PostgresServer::secured("DNS:elsewhere");
    let keys = format!(
        "url = \"{}\"\npassword_file = \"password\"\nca_file = {:?}",
        elsewhere.network_url(),
        elsewhere.authority()
    );
    store(&world, &keys);
    let (code, said) = world.refused();
    assert!(
        code == 69 && said.contains("not valid for name"),
        "{code} {said}"
    );
    let copied = World::new("");
    copied.start().stop();
    let run = copied.cli([
        "store".as_ref(),
        "copy".as_ref(),
        "--to".as_ref(),
        url.as_ref(),
        "--password-file".as_ref(),
        secret.as_os_str(),
        "--ca-file".as_ref(),
        authority.as_os_str(),
    ]);
    assert!(
        run.code() == 65 && run.stderr().contains("there is a store in"),
        "{}",
        run.stderr()
    );
}

#[test]
fn a_database_that_is_away_ends_no_agent() {
    let mut server = PostgresServer::start();
    let world = world_on(&server, QUICK);
    fill(&world, &mut Rng::with_seed(13), FILES);
    let daemon = world.start();
    world.wait();
    server.crash();
    world.write(
        "while-away.md",
        "# A page\n\nIt was written while nobody could store it.\n",
    );
    world.until("it is noticed", || {
        world.log().contains("captures begin again when it is back")
    });
    // From the index, with its age.
    let search = world.cli(["search", QUERIES[0]]);
    let found = search.stdout();
    assert_eq!(search.code(), 0, "{found}{}", search.stderr());
    assert!(found.contains("pending, complete as of"), "{found}");
    let read = world.cli(["read", "docs/while-away.md"]);
    assert_eq!(read.code(), 69, "{}", read.stdout());
    server.appear();
    world.until("it is searchable", || {
        let found = world.cli(["search", "written while nobody could store it", "--json"]);
        found.stdout().contains("while-away.md")
    });
    assert!(!world.log().contains("an agent ended"), "{}", world.log());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
