//! Hosts that cannot reach their database for a while, and a database that cannot do its work for a while: what can be done is done,
//! what cannot waits, and all goes on by itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::checker::Verdict;
use crate::cluster::{Cluster, Fault, Outcome, Servers, host, now};
use crate::helper::World;
use crate::postgres_server::PostgresServer;
use crate::wire;

/// Judges a run in which no agent may have ended.
fn judge(outcome: &Outcome) {
    outcome.no_agent_ended();
    assert_eq!(outcome.verdict, Verdict::default());
}

#[test]
fn a_host_that_is_cut_off_stops_and_joins_again_and_one_that_stands_still_at_a_commit_blocks_nobody()
 {
    let cluster = Cluster::start(Servers::with_wire(false), 2);
    let outcome = cluster.under_load(&[Fault::CutOff, Fault::StandsAtCommit]);
    outcome.print("two hosts, one was cut off, and stood still at a commit");
    judge(&outcome);
}

/// `docs/scaling.md` names the command that runs it.
#[test]
#[ignore = "it takes two minutes; in the short form a fail-over leaves the network of a host dark"]
fn a_host_whose_network_goes_dark_stops_and_joins_again() {
    let cluster = Cluster::start(Servers::with_wire(true), 2);
    let outcome = cluster.under_load(&[Fault::Dark]);
    outcome.print("two hosts with Redis, and the network of one went dark");
    judge(&outcome);
}

#[test]
fn a_database_that_is_read_only_or_has_no_connection_left_makes_all_wait() {
    let servers = Servers::of(PostgresServer::limited(), false);
    let cluster = Cluster::start(servers, 2);
    let faults = [Fault::DatabaseReadOnly, Fault::DatabaseWithoutConnections];
    judge(&cluster.under_load(&faults));
}

#[test]
fn a_database_that_fails_over_to_a_standby_with_every_commit_loses_nothing() {
    let cluster = Cluster::start(Servers::with_standby(), 2);
    judge(&cluster.under_load(&[Fault::FailsOver]));
}

#[test]
fn a_standby_that_was_behind_is_noticed_and_all_goes_on_from_what_it_has() {
    let cluster = Cluster::start(Servers::with_standby(), 2);
    let mut outcome = cluster.under_load(&[Fault::LosesCommits]);
    assert!(
        !outcome.verdict.lost.is_empty(),
        "the standby was not behind"
    );
    outcome.verdict.lost.clear();
    for log in &outcome.logs {
        assert!(log.contains("the database has lost commits"), "{log}");
    }
    judge(&outcome);
}

/// The answer to a search, and up to when it says that it is complete, in milliseconds.
fn searched(world: &World, query: &str) -> (Value, u128) {
    let run = world.cli(["search", query, "--json"]);
    let answer = run.json();
    let answer = answer.unwrap_or_else(|| panic!("{}\n{}", run.stderr(), world.log()));
    let complete = answer["freshness"]["complete_to"].as_str();
    let complete = complete.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let complete = complete.unwrap_or_else(|| panic!("no freshness: {answer}"));
    let complete = u128::try_from(complete.as_millisecond()).expect("after 1970");
    (answer["hits"].clone(), complete)
}

fn clock() -> u128 {
    let since = std::time::UNIX_EPOCH.elapsed();
    since.expect("after 1970").as_millis()
}

#[test]
fn a_search_answers_while_the_database_is_away_or_silent_and_says_how_old_its_answer_is() {
    let servers = Servers::with_wire(false);
    let world = host(&servers, "one", None);
    world.write(
        "pump.md",
        "# The pump\n\nIt is red, and its valve is blue.\n",
    );
    world.write("lamp.md", "# The lamp\n\nIt is green.\n");
    let daemon = world.start();
    world.wait();
    let queries = ["valve of the pump", "green lamp", "\"its valve is blue\""];
    let known = queries.map(|query| searched(&world, query).0);
    let wire = servers.wire.as_ref().expect("a wire");
    for fault in [wire::Fault::Away, wire::Fault::Dark] {
        let before = clock();
        wire.set(fault);
        let hits = queries.map(|query| searched(&world, query));
        let after = clock();
        assert_eq!(hits.clone().map(|(hits, _)| hits), known, "{fault:?}");
        world.until("an answer says how old it is", || {
            searched(&world, queries[0]).1 < after
        });
        if matches!(fault, wire::Fault::Away) {
            world.until("it still does when the host trusts its row no more", || {
                searched(&world, queries[0]).1 < after && clock() > before + 12_000
            });
        }
        let search = world.cli(["search", queries[0]]).stdout();
        assert!(search.contains("the database does not answer"), "{search}");
        let status = world.cli(["status"]);
        assert_ne!(status.code(), 0, "{fault:?}: {}", status.stdout());
        wire.set(wire::Fault::None);
        world.until("the database is there again", || {
            searched(&world, queries[0]).1 > before.max(after)
        });
        world.wait();
    }
    let read = world.cli(["read", "docs/pump.md"]);
    assert_eq!(read.code(), 0, "{}", read.stderr());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_handler_stops_when_its_host_cannot_renew_though_everything_that_is_read_waits() {
    let servers = Servers::new(false);
    let world = host(&servers, "one", None);
    let daemon = world.start();
    let id = world.work("long", json!({"sleep_ms": 30_000, "progress": true}));
    world.until("it is handled", || world.starts(&id) == 1);
    let began = now();
    let lock = "BEGIN; LOCK TABLE host, delivery; SELECT pg_sleep(13); COMMIT";
    servers.postgres.query(lock);
    let stopped = world.flights().into_iter().find(|line| line.left);
    let stopped = stopped.expect("it was stopped meanwhile").nanos - began;
    assert!(
        stopped < Duration::from_secs(12).as_nanos(),
        "after {stopped} ns"
    );
    world.until("it is handled again", || world.starts(&id) == 2);
    assert!(!world.log().contains("an agent ended"), "{}", world.log());
    daemon.kill();
}
