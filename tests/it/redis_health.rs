//! On a real Redis: what self_healing and the service manager are told of it.

use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::helper::World;
use crate::load::{Over, pause};
use crate::redis_server::{RedisServer, inbox};
use crate::work::QUICK;

/// The open issue of a detector.
fn issue(world: &World, detector: &str) -> Option<Value> {
    let run = world.cli(["health", "--json"]);
    let issues = run.json().expect("issues")["issues"].clone();
    issues
        .as_array()
        .expect("a list")
        .iter()
        .find(|i| i["detector"] == detector)
        .cloned()
}

fn until_issue(world: &World, detector: &str) -> Value {
    let mut found = None;
    world.until(&format!("{detector} is an issue"), || {
        found = issue(world, detector);
        found.is_some()
    });
    found.expect("it was found")
}

#[test]
fn a_redis_that_is_waited_for_is_an_issue_until_it_is_back() {
    let mut redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    assert_eq!(issue(&world, "redis_away"), None);
    redis.kill();
    let open = until_issue(&world, "redis_away");
    assert_eq!(open["severity"], "error", "{open}");
    assert_eq!(open["subject"], "redis_away:redis@lab", "{open}");
    assert_eq!(world.cli(["status"]).code(), 1, "it degrades");
    // `health` tells it at once; self_healing opens the issue a moment later, and the audit hears of it when Redis is back.
    world.until("self_healing has opened the issue", || {
        world.log().contains("\"detector\":\"redis_away\"")
    });
    let told = world.cli(["health"]).stdout();
    assert!(told.contains("away since"), "{told}");
    assert!(told.contains("start or repair it"), "{told}");
    redis.appear();
    world.until("the issue is closed", || {
        issue(&world, "redis_away").is_none()
    });
    assert_eq!(world.cli(["status"]).code(), 0, "{}", world.status());
    let of_redis = |kind: &str| {
        let records = world.until_audited(kind, 1);
        records
            .iter()
            .filter(|r| r["subject"] == "redis@lab")
            .count()
    };
    assert_eq!(of_redis("health.issue"), 1);
    assert_eq!(of_redis("health.recovered"), 1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_redis_that_comes_and_goes_and_a_stranger_in_the_group_are_issues() {
    let mut redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    for _ in 0..3 {
        redis.kill();
        world.until_carried_by("embedded");
        redis.appear();
        world.until_carried_by("redis");
    }
    let open = until_issue(&world, "redis_reconnects");
    assert_eq!(open["severity"], "warning", "{open}");
    assert_eq!(
        issue(&world, "redis_away"),
        None,
        "auto works without it, and it was not away for long"
    );
    let over = AtomicBool::new(false);
    let open = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let key = inbox("test");
            let read = ["XREADGROUP", "GROUP", "docent", "stranger", "BLOCK", "400"];
            while !over.load(Ordering::SeqCst) {
                redis.cli(&[&read[..], &["STREAMS", &key, ">"]].concat());
            }
        });
        let ends = Over(&over);
        let mut open = None;
        world.until("the stranger is an issue", || {
            world.work("work/a", json!({}));
            open = issue(&world, "redis_strangers");
            open.is_some()
        });
        drop(ends);
        reading.join().expect("the stranger ends");
        open.expect("it was found")
    });
    assert_eq!(open["value"], "stranger in docent:{test}:inbox", "{open}");
    world.settled();
    assert_eq!(
        world.cli(["status"]).code(),
        0,
        "none of it stops the work: {}",
        world.status()
    );
    redis.cli(&["XADD", "docent:ingress", "*", "id", "1", "data", "{}"]);
    let open = until_issue(&world, "dead_letters");
    assert_eq!(open["value"], "1 delivery is dead: ingress 1", "{open}");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// How long the service manager waits for a ping: more than the limit of a task that stands still, which is 2 s and 5 s here.
const WATCHDOG: Duration = Duration::from_secs(10);

#[test]
fn a_frozen_redis_does_not_stop_the_pings_to_the_service_manager() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", QUICK);
    let path = world.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("the service manager's socket");
    manager.set_nonblocking(true).expect("it does not wait");
    let mut command = world.command(["run"]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let daemon = world.spawn_as(command);
    let mut last = Instant::now();
    let mut pinged = || {
        let mut buffer = [0; 4096];
        while let Ok(n) = manager.recv(&mut buffer) {
            if &buffer[..n] == b"WATCHDOG=1" {
                last = Instant::now();
            }
        }
        assert!(
            last.elapsed() < WATCHDOG,
            "the service manager would end it: {}",
            world.log()
        );
    };
    world.until("Redis carries", || {
        pinged();
        let status = world.cli(["status", "--json"]).json();
        status.is_some_and(|s| s["state"] == "running" && s["bus"]["active"] == "redis")
    });
    redis.freeze();
    let frozen = Instant::now();
    let id = world.work("work/frozen", json!({}));
    while frozen.elapsed() < WATCHDOG * 2 {
        pinged();
        pause(Duration::from_millis(100));
    }
    redis.thaw();
    world.until("what was published meanwhile is handled", || {
        pinged();
        world.starts(&id) == 1
    });
    let agents = world.status()["agents"].clone();
    for (name, agent) in agents.as_object().expect("agents") {
        assert_eq!(agent["restarts"], 0, "{name} was replaced: {}", world.log());
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
