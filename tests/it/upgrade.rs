//! A docent that meets what a newer one has published, on the same store.

use serde_json::{Value, json};

use crate::helper::{DOCENT, World, lines};
use crate::hosts::older;
use crate::redis_server::RedisServer;
use crate::work::QUICK;

#[test]
fn what_a_newer_docent_has_published_waits_until_one_runs_that_knows_it() {
    wait_for_a_newer(&World::new(QUICK), "embedded");
}

#[test]
fn what_a_newer_docent_has_published_waits_on_a_redis_too() {
    let redis = RedisServer::start();
    let world = World::new(&format!("[redis]\nurl = {:?}\n{QUICK}", redis.url()));
    world.mode("redis");
    wait_for_a_newer(&world, "redis");
}

fn wait_for_a_newer(world: &World, carrier: &str) {
    let newer = world.start();
    world.until_carried_by(carrier);
    let publish = ["publish", "test.later", "--subject", "work/1"];
    let published = world.cli(
        publish
            .into_iter()
            .chain(["--data", "{\"sleep_ms\": 1500}"]),
    );
    let later = published.stdout().trim().to_owned();
    world.until("it is handled", || world.starts(&later) == 1);
    newer.kill();
    // It was not applied, and somebody goes back to the older version.
    world.install(&older());
    let daemon = world.start();
    let behind = world.work("work/1", json!({"sleep_ms": 1}));
    let other = world.work("work/2", json!({"sleep_ms": 1}));
    world.until_work(&other, "done");
    world.until("it says so", || {
        world
            .log()
            .contains("of a type that this version does not know")
    });
    let listed = lines(
        &world
            .cli(["events", "list", "--json", "--limit", "1000"])
            .stdout(),
    );
    let kind = |id: &str| {
        let event = listed.iter().find(|event| event["id"] == id);
        event.map(|event| event["type"].clone())
    };
    assert_eq!(kind(&later), Some(json!("unknown")));
    assert_eq!(kind(&behind), Some(json!("test.work")));
    for waiting in [&later, &behind] {
        assert_eq!(world.delivery(waiting, "test")["state"], "owed");
    }
    let status = world.status();
    assert_eq!(status["bus"]["dead"], 0, "{status}");
    assert_eq!(status["issues"], 0, "{status}");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    world.install(DOCENT.as_ref());
    let daemon = world.start();
    world.until_work(&later, "done");
    world.until_work(&behind, "done");
    world.settled();
    let audited: Vec<Value> = world.audit();
    let records = |id: &str| {
        audited
            .iter()
            .filter(|record| record["event"] == id)
            .count()
    };
    assert_eq!((records(&later), records(&behind)), (1, 1));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(world.copy().effects().values().all(|count| *count == 1));
}
