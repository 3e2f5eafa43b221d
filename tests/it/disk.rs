//! A disk that is full. The file system is a tmpfs of its own, so these need root: `tests/run` runs them.

use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;

use crate::checker::Verdict;
use crate::cluster::{Cluster, Fault, Servers};
use crate::corpus::{QUERIES, fill as fill_tree};
use crate::helper::World;
use crate::load::{pause, same};
use crate::postgres_server::PostgresServer;
use crate::small::{Small, fill};
use crate::work::QUICK;

/// How long a disk is full.
const FULL: Duration = Duration::from_secs(60);

/// How long work may take to resume by itself: pauses and retries double, so the next one may be about as far off again.
const RESUMES: Duration = Duration::from_secs(180);

#[test]
#[ignore = "needs root to mount a file system of its own"]
fn a_full_disk_under_the_store_loses_nothing_and_work_goes_on_by_itself() {
    let world = World::new("[store]\nfree_space_floor = \"64KiB\"");
    let data = world.data();
    let _small = Small::mount(&data, "24m");
    let daemon = world.start();
    world.write("a.md", "# Before\n\nWritten while there was room.\n");
    world.wait();
    let ballast = data.join("ballast");
    fill(&ballast);
    let publish = |n: usize| {
        let data = format!("{{\"n\": {n}, \"text\": \"{}\"}}", "x".repeat(30_000));
        world.cli([
            "publish",
            "report.written",
            "--subject",
            "disk",
            "--data",
            &data,
        ])
    };
    // The log of the store may have a little room left; it is used up soon.
    let mut printed: Vec<String> = Vec::new();
    let mut n = 0;
    world.until("publishing answers with an error", || {
        n += 1;
        let run = publish(n);
        if run.code() == 0 {
            printed.push(run.stdout().trim().to_owned());
            return false;
        }
        assert!(
            run.stderr().contains("cannot be written"),
            "{}",
            run.stderr()
        );
        true
    });
    let full = Instant::now();
    world.write("b.md", "# During\n\nWritten while the disk was full.\n");
    let (mut refused, mut room) = (0, 0);
    while full.elapsed() < FULL {
        n += 1;
        let run = publish(n);
        if run.code() == 0 {
            // There was a little room left; what was printed is durable, and the room is taken.
            printed.push(run.stdout().trim().to_owned());
            room += 1;
            fill(&data.join(format!("ballast{room}")));
        } else {
            refused += 1;
        }
        pause(Duration::from_secs(1));
    }
    println!(
        "full for {:?}: {refused} refused, {room} found room",
        full.elapsed()
    );
    assert!(refused > room, "{refused} refused, {room} found room");
    assert_ne!(publish(0).code(), 0, "the disk is still full");
    assert_eq!(world.status()["bus"]["dead"], 0, "{}", world.status());
    fs::remove_file(&ballast).expect("the ballast goes");
    world.until("publishing works again", || {
        n += 1;
        let run = publish(n);
        let done = run.code() == 0;
        if done {
            printed.push(run.stdout().trim().to_owned());
        }
        done
    });
    world.until_within(RESUMES, "what was written meanwhile is searchable", || {
        world.cli(["wait", "--timeout", "10s"]).code() == 0
    });
    world.until_within(RESUMES, "nothing is owed", || {
        let bus = world.status()["bus"].clone();
        bus["owed"] == 0 && bus["in_flight"] == 0
    });
    assert_eq!(world.search("written while the disk was full")[0], "b.md");
    assert_eq!(world.status()["bus"]["dead"], 0);
    let audit = world.audit();
    for id in &printed {
        let count = audit
            .iter()
            .filter(|record| record["event"] == id.as_str())
            .count();
        assert_eq!(count, 1, "the event {id}");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
#[ignore = "needs root to mount a file system of its own"]
fn a_full_disk_under_the_index_stops_the_follower_alone_and_it_goes_on_by_itself() {
    let world = World::new(QUICK);
    let index = world.data().join("index");
    let _small = Small::mount(&index, "16m");
    fill_tree(&world, &mut Rng::with_seed(11), 20);
    world.write("a.md", "# Before\n\nWritten while there was room.\n");
    let daemon = world.start();
    world.wait();
    let ballast = index.join("ballast");
    fill(&ballast);
    let full = Instant::now();
    world.write(
        "b.md",
        "# During\n\nThe index had no place for the zeppelin.\n",
    );
    world.until("the follower has stopped", || {
        world.status()["index"]["stopped"].is_string()
    });
    let mut n = 0;
    while full.elapsed() < FULL {
        n += 1;
        world.write(&format!("more/{n}.md"), format!("# More\n\nNumber {n}.\n"));
        world.until("deliveries go on", || {
            let status = world.status();
            let known = status["documents"].as_u64() >= Some(22 + n);
            known && status["bus"]["owed"] == 0
        });
        pause(Duration::from_millis(300));
    }
    let status = world.status();
    assert_eq!(status["state"], "degraded", "{status}");
    assert_eq!(status["bus"]["dead"], 0, "{status}");
    assert_eq!(status["agents"]["rag"]["failed"], 0, "{status}");
    assert_eq!(status["agents"]["rag"]["restarts"], 0, "{status}");
    assert!(status.to_string().contains("No space left"), "{status}");
    let found = world.cli(["search", "written while there was room", "--json"]);
    let found = found.json().expect("search answers from what it has");
    assert_eq!(found["hits"][0]["path"], "a.md", "{found}");
    assert!(found["freshness"]["pending"].as_u64() > Some(0), "{found}");
    let issues = || -> Vec<Value> {
        let all = world.cli(["health", "--all", "--json"]).json();
        let issues = all.expect("issues")["issues"].clone();
        issues.as_array().expect("a list").clone()
    };
    assert_eq!(issues().len(), 1, "{:?}", issues());
    assert_eq!(issues()[0]["detector"], "index_stopped");
    let value = issues()[0]["value"].to_string();
    assert!(
        value.ends_with(": No space left on device (os error 28)\""),
        "{value}"
    );
    let loud = |line: &&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
    let log = world.log();
    let said: Vec<&str> = log.lines().filter(loud).collect();
    assert_eq!(
        said.len(),
        2,
        "one line of the follower, one of the issue: {said:#?}"
    );
    fs::remove_file(&ballast)
        .expect("the ballast goes; an index begun anew would have taken it away");
    world.until_within(RESUMES, "the follower goes on", || {
        world.status()["index"]["stopped"].is_null()
    });
    world.wait();
    assert_eq!(world.search("zeppelin")[0], "b.md");
    // What is no longer so is not shown as open; it is in the history once the next round has closed it.
    world.until(
        "the issue is closed",
        || matches!(&issues()[..], [issue] if issue["closed_at"].is_string()),
    );
    let status = world.status();
    assert_eq!(status["bus"]["dead"], 0, "{status}");
    assert_eq!(status["index"]["rebuilt"], "there was no index", "{status}");
    let known = world.knowledge(QUERIES);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    same(&known, &world.clean_build(QUERIES));
}

#[test]
#[ignore = "needs root to mount a file system of its own"]
fn a_full_disk_under_the_database_loses_nothing_and_work_goes_on_by_itself() {
    let servers = Servers::of(PostgresServer::small(), false);
    let cluster = Cluster::start(servers, 2);
    let outcome = cluster.under_load(&[Fault::DatabaseDiskFull]);
    outcome.print("two hosts, and the disk of the database was full");
    outcome.no_agent_ended();
    assert_eq!(outcome.verdict, Verdict::default());
}
