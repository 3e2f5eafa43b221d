//! On a real Redis: what it carries, and that nothing is lost whatever it does.

use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

use crate::corpus::fill;
use crate::helper::World;
use crate::load::pause;
use crate::redis_server::{AGENTS, RedisServer, inbox};
use crate::under_load::under_load;
use crate::work::QUICK;

/// How long a condition of the design may take here: five times as long as there.
const SOON: Duration = Duration::from_secs(25);

#[test]
fn one_group_one_consumer_an_agent_and_a_journal_of_everything() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    fill(&world, &mut Rng::with_seed(7), 20);
    let daemon = world.start();
    world.until_carried_by("redis");
    let dead = world.work("work/a", json!({"end": "permanent"}));
    let done = world.work("work/b", json!({"end": "transient", "times": 1}));
    world.wait();
    world.until_work(&dead, "dead");
    world.until_work(&done, "done");
    world.settled();
    for agent in AGENTS {
        let groups = redis.lines(&["XINFO", "GROUPS", &inbox(agent)]);
        assert_eq!(groups.iter().filter(|l| *l == "name").count(), 1);
        assert_eq!(groups[1], "docent", "{agent}");
        let consumers = redis.lines(&["XINFO", "CONSUMERS", &inbox(agent), "docent"]);
        assert_eq!(consumers.iter().filter(|l| *l == "name").count(), 1);
        assert_eq!(consumers[1], format!("{agent}@lab"));
        world.until("everything is acknowledged", || redis.pending(agent) == 0);
        if *agent != "logging_audit" {
            let left = redis.number(&["XLEN", &inbox(agent)]);
            assert_eq!(left, 0, "{agent}'s inbox holds what is settled");
        }
    }
    // An event is audited when it has come through the journal: one that comes meanwhile is in what is read after it.
    let audit = world.audit();
    let journal = redis.cli(&["XRANGE", &inbox("logging_audit"), "-", "+"]);
    for record in audit {
        let id = record["event"].as_str().expect("an id");
        assert!(journal.contains(id), "{record} is not in the journal");
    }
    assert!(journal.contains("docent_seq") && journal.contains("correlation"));
    let letters = redis.cli(&["XRANGE", "docent:{test}:dead", "-", "+"]);
    assert!(letters.contains(&dead), "{letters}");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    for agent in AGENTS {
        assert_eq!(redis.pending(agent), 0, "{agent} after a drain");
    }
}

#[test]
fn a_drain_in_the_middle_leaves_nothing_pending_and_loses_nothing() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", QUICK);
    let daemon = world.start();
    let events: Vec<_> = (0..400)
        .map(|n| (format!("work/{}", n % 100), json!({"sleep_ms": 20})))
        .collect();
    let ids = world.works(&events);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    for agent in AGENTS {
        assert_eq!(redis.pending(agent), 0, "{agent} after a drain");
    }
    let daemon = world.start();
    world.settled();
    for id in &ids {
        assert_eq!(world.starts(id), 1, "{id}");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// A Redis that keeps nothing.
const MEMORY: &[&str] = &["--save", "", "--appendonly", "no"];

#[test]
fn killed_and_restarted_empty() {
    under_load(MEMORY, |redis, _| {
        redis.kill();
        pause(Duration::from_secs(1));
        redis.appear();
    });
}

#[test]
fn killed_and_restarted_with_its_log() {
    under_load(&["--save", "", "--appendonly", "yes"], |redis, _| {
        for _ in 0..3 {
            redis.kill();
            redis.appear();
            pause(Duration::from_secs(1));
        }
    });
}

#[test]
fn frozen() {
    under_load(MEMORY, |redis, world| {
        redis.freeze();
        let began = Instant::now();
        world.until_carried_by("embedded");
        println!(
            "the embedded carrier took over {:?} after the freeze",
            began.elapsed()
        );
        pause(Duration::from_secs(5).saturating_sub(began.elapsed()));
        redis.thaw();
        let began = Instant::now();
        world.until_carried_by("redis");
        println!("back on Redis after {:?}", began.elapsed());
    });
}

#[test]
fn flushed() {
    under_load(MEMORY, |redis, world| {
        for _ in 0..5 {
            redis.cli(&["FLUSHALL"]);
            pause(Duration::from_millis(300));
        }
        let claims = || world.log().matches("Redis had no data of docent").count();
        // One is of the start.
        world.until("that it was emptied is told", || claims() >= 2);
    });
}

#[test]
fn its_groups_destroyed_and_its_streams_deleted() {
    under_load(MEMORY, |redis, _| {
        for agent in AGENTS {
            redis.cli(&["XGROUP", "DESTROY", &inbox(agent), "docent"]);
        }
        pause(Duration::from_millis(500));
        for agent in AGENTS {
            redis.cli(&["DEL", &inbox(agent)]);
        }
    });
}

#[test]
fn entries_deleted_acknowledged_and_read_by_a_stranger() {
    under_load(MEMORY, |redis, world| {
        let until = Instant::now() + Duration::from_secs(4);
        let redis = &*redis;
        std::thread::scope(|scope| {
            for agent in ["test", "rag", "logging_audit"] {
                scope.spawn(move || steal(redis, agent, until));
            }
            while Instant::now() < until {
                for agent in AGENTS {
                    meddle(redis, agent);
                }
            }
        });
        world.until("what was taken away is missed", || {
            world.status()["bus"]["lost_by_redis"] != 0
        });
    });
}

/// A stranger reads in our group, again and again, and acknowledges nothing.
fn steal(redis: &RedisServer, agent: &str, until: Instant) {
    let inbox = inbox(agent);
    while Instant::now() < until {
        redis.cli(&[
            "XREADGROUP",
            "GROUP",
            "docent",
            "stranger",
            "COUNT",
            "3",
            "BLOCK",
            "400",
            "STREAMS",
            &inbox,
            ">",
        ]);
    }
}

/// Deletes and acknowledges entries that are not ours.
fn meddle(redis: &RedisServer, agent: &str) {
    let inbox = inbox(agent);
    let is_id = |line: &String| line.contains('-') && !line.contains(' ') && line.len() < 20;
    let entries = redis.lines(&["XRANGE", &inbox, "-", "+", "COUNT", "4"]);
    for (n, id) in entries.into_iter().filter(is_id).enumerate() {
        match n % 2 {
            0 => redis.cli(&["XDEL", &inbox, &id]),
            _ => redis.cli(&["XACK", &inbox, "docent", &id]),
        };
    }
}

#[test]
fn absent_at_the_start_then_there_then_gone_then_back() {
    let mut redis = RedisServer::absent(MEMORY);
    let world = World::on_redis(&redis, "auto", QUICK);
    world.write("a.md", "# A\n\nalpha\n");
    let daemon = world.start();
    world.wait();
    let bus = world.status()["bus"].clone();
    assert_eq!(bus["active"], "embedded", "{bus}");
    assert!(
        bus["why"].as_str().is_some_and(|why| why.contains("Redis")),
        "{bus}"
    );
    assert_eq!(
        world.cli(["status"]).code(),
        0,
        "auto without Redis is no fault"
    );
    for round in 0..2 {
        redis.appear();
        let began = Instant::now();
        world.until_carried_by("redis");
        println!(
            "round {round}: Redis carries {:?} after it appeared",
            began.elapsed()
        );
        assert!(began.elapsed() < SOON);
        let id = world.work("work/x", json!({}));
        world.until_work(&id, "done");
        let lines = world.log().lines().count();
        redis.kill();
        let began = Instant::now();
        world.until_carried_by("embedded");
        println!(
            "round {round}: the embedded carrier took over {:?} after it was gone",
            began.elapsed()
        );
        assert!(began.elapsed() < SOON);
        let id = world.work("work/x", json!({}));
        world.until_work(&id, "done");
        pause(Duration::from_secs(2));
        let said = world.log().lines().count() - lines;
        println!("round {round}: {said} log lines");
        assert!(said <= 20, "{}", world.log());
    }
    let told: Vec<_> = world
        .events("redis.changed")
        .iter()
        .rev()
        .map(|event| event["data"]["carrier"].clone())
        .collect();
    assert_eq!(
        told,
        ["embedded", "redis", "embedded", "redis", "embedded"],
        "every change is told"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn redis_mode_without_redis_ends_with_69_at_its_deadline() {
    let redis = RedisServer::absent(MEMORY);
    let world = World::on_redis(&redis, "redis", QUICK);
    let began = Instant::now();
    // The deadline is 60 s; the helper's own would end the wait too early.
    let mut daemon = world.spawn();
    world.until("it answers and says that it waits", || {
        world
            .cli(["status", "--json"])
            .json()
            .is_some_and(|s| s["state"] == "starting")
    });
    while daemon.runs() && began.elapsed() < Duration::from_secs(120) {
        pause(Duration::from_millis(200));
    }
    assert_eq!(daemon.ended(), Some(69), "{}", world.log());
    assert!(
        began.elapsed() > Duration::from_secs(55),
        "{:?}",
        began.elapsed()
    );
    assert!(world.log().contains("[bus] mode"), "{}", world.log());
}

#[test]
fn redis_mode_publishes_while_redis_is_gone_and_handles_when_it_is_back() {
    let mut redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", QUICK);
    let daemon = world.start();
    redis.kill();
    world.until("the status says so", || world.cli(["status"]).code() == 1);
    let ids: Vec<_> = (0..20)
        .map(|n| world.work(&format!("work/{n}"), json!({})))
        .collect();
    let bus = world.status()["bus"].clone();
    assert_eq!(bus["active"], "redis", "{bus}");
    assert!(bus["owed"].as_u64() >= Some(20), "{bus}");
    assert_eq!(world.starts(&ids[0]), 0, "handled without Redis");
    redis.appear();
    world.settled();
    for id in &ids {
        assert_eq!(world.delivery(id, "test")["state"], "done");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn one_agent_on_redis_and_the_others_not() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "embedded", "[agents.rag]\ncarrier = \"redis\"");
    world.write("a.md", "# A\n\nalpha\n");
    let daemon = world.start();
    world.wait();
    assert_eq!(world.search("alpha"), ["a.md"]);
    assert_eq!(world.agent("rag")["carrier"], "redis");
    assert_eq!(world.agent("logging_audit")["carrier"], "embedded");
    assert_eq!(redis.cli(&["EXISTS", &inbox("rag")]).trim(), "1");
    assert_eq!(redis.cli(&["EXISTS", &inbox("logging_audit")]).trim(), "0");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn another_store_on_the_same_namespace_leaves_redis_alone_and_the_first_one_goes_on() {
    let redis = RedisServer::start();
    let first = World::on_redis(&redis, "auto", QUICK);
    let daemon = first.start();
    first.until_carried_by("redis");
    let owner = redis.cli(&["GET", "docent:store"]);
    let second = World::on_redis(&redis, "redis", QUICK);
    let (code, said) = second.refused();
    assert_eq!(code, 78, "{said}");
    assert!(said.contains(owner.trim()), "{said}");
    assert!(said.contains("DEL docent:store"), "{said}");
    // Where Redis is not needed, whoever can write one key must not keep docent down.
    let third = World::on_redis(&redis, "auto", QUICK);
    let degraded = third.start();
    let bus = third.status()["bus"].clone();
    assert_eq!(bus["active"], "embedded", "{bus}");
    assert_eq!(third.cli(["status"]).code(), 1, "it is degraded");
    for said in [bus["why"].to_string(), third.log()] {
        assert!(said.contains(owner.trim()), "{said}");
        assert!(said.contains("DEL docent:store"), "{said}");
    }
    let id = third.work("work/a", json!({}));
    third.until_work(&id, "done");
    assert_eq!(degraded.stop(), Some(0), "{}", third.log());
    let id = first.work("work/a", json!({}));
    first.until_work(&id, "done");
    first.until_carried_by("redis");
    // Somebody takes the name: the daemon leaves Redis alone and says so.
    redis.cli(&["SET", "docent:store", "another"]);
    first.until_carried_by("embedded");
    let why = first.status()["bus"]["why"].to_string();
    assert!(why.contains("another"), "{why}");
    assert_eq!(first.cli(["status"]).code(), 1);
    let id = first.work("work/a", json!({}));
    first.until_work(&id, "done");
    redis.cli(&["DEL", "docent:store"]);
    first.until_carried_by("redis");
    assert_eq!(daemon.stop(), Some(0), "{}", first.log());
}

#[test]
fn an_acl_that_denies_one_command_is_said_and_work_goes_on() {
    let redis = RedisServer::start_with(&[
        "--save",
        "",
        "--user",
        "default",
        "on",
        "nopass",
        "~*",
        "&*",
        "+@all",
        "-xautoclaim",
    ]);
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    let id = world.work("work/a", json!({}));
    world.until_work(&id, "done");
    world.until("the cause is in the status", || {
        let why = world.status()["bus"]["why"].to_string();
        why.contains("XAUTOCLAIM") && why.contains("ACL")
    });
    world.until("the issue is told", || world.log().contains("redis_away"));
    let said = world.log().matches("XAUTOCLAIM").count();
    pause(Duration::from_secs(3));
    assert_eq!(
        world.log().matches("XAUTOCLAIM").count(),
        said,
        "said again and again"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_redis_that_evicts_streams_is_refused() {
    let redis = RedisServer::start_with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]);
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    let bus = world.status()["bus"].clone();
    assert_eq!(bus["active"], "embedded", "{bus}");
    assert!(bus["why"].to_string().contains("noeviction"), "{bus}");
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    world.until_carried_by("redis");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_redis_out_of_memory_is_left_and_taken_up_again() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let ids: Vec<_> = (0..50)
        .map(|n| world.work(&format!("work/{n}"), json!({})))
        .collect();
    for id in &ids {
        world.until_work(id, "done");
    }
    world.until("the cause is in the status", || {
        world.status()["bus"]["why"].to_string().contains("OOM")
    });
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    world.until_carried_by("redis");
    let id = world.work("work/a", json!({}));
    world.until_work(&id, "done");
    for agent in AGENTS {
        world.until("nothing is pending", || redis.pending(agent) == 0);
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn what_is_pending_under_an_earlier_name_is_taken_over() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", QUICK);
    let daemon = world.start();
    let id = world.work("work/a", json!({"sleep_ms": 60000, "progress": true}));
    world.until("it is being handled", || world.starts(&id) == 1);
    daemon.kill();
    assert_eq!(redis.pending("test"), 1);
    let config = std::fs::read_to_string(world.config()).expect("the config");
    std::fs::write(world.config(), config.replace("\"lab\"", "\"renamed\"")).expect("the config");
    let daemon = world.start();
    world.until("it is being handled again", || world.starts(&id) == 2);
    let consumers = redis.cli(&["XINFO", "CONSUMERS", &inbox("test"), "docent"]);
    assert!(
        consumers.contains("test@renamed") && !consumers.contains("test@lab"),
        "{consumers}"
    );
    daemon.kill();
}

#[test]
fn other_programs_publish_through_the_ingress() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    let id = "0190f0f0-0000-7000-8000-000000000001";
    let add = |fields: &[&str]| {
        let mut arguments = vec!["XADD", "docent:ingress", "*"];
        arguments.extend(fields);
        redis.cli(&arguments);
    };
    let good = [
        "id",
        id,
        "source",
        "ci",
        "type",
        "test.work",
        "subject",
        "work/a",
        "time",
        "x",
        "data",
        "{}",
    ];
    add(&good);
    add(&good);
    world.until("it is published", || world.starts(id) == 1);
    world.until_work(id, "done");
    add(&["type", "test.work", "subject", "work/a"]);
    add(&["id", "1", "subject", "work/a"]);
    add(&[
        "id",
        "2",
        "type",
        "test.work",
        "subject",
        "work/a",
        "data",
        "{",
    ]);
    add(&["id", "3", "type", "no.such", "subject", "work/a"]);
    add(&["id", "4", "type", "file.changed", "subject", "docs/a"]);
    add(&["id", id, "type", "test.work", "subject", "work/other"]);
    world.until("six dead letters", || world.status()["bus"]["dead"] == 6);
    world.until("the ingress is empty", || {
        redis.number(&["XLEN", "docent:ingress"]) == 0
    });
    assert_eq!(world.audited("test.work").len(), 1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_dead_entry_of_the_ingress_is_listed_and_dropped() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    let entry = redis.cli(&["XADD", "docent:ingress", "*", "id", "1", "data", "{}"]);
    let entry = entry.trim();
    let listed = || {
        world
            .cli(["dead", "list", "--json"])
            .json()
            .expect("a list")["dead"]
            .clone()
    };
    world.until("it is a dead letter", || listed()[0]["event"] == entry);
    assert_eq!(listed()[0]["agent"], "ingress");
    assert!(listed().to_string().contains("`type`"), "{}", listed());
    assert_eq!(world.cli(["status"]).code(), 1, "a dead letter degrades");
    let dropped = world.cli(["dead", "drop", entry]);
    assert_eq!(dropped.code(), 0, "{}", dropped.stderr());
    assert_eq!(listed(), json!([]));
    assert_eq!(world.until_audited("operator.acted", 1).len(), 1);
    assert_eq!(world.cli(["dead", "drop", entry]).code(), 65);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn check_tells_whose_the_namespace_is() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let check = |world: &World| {
        let run = world.cli(["check"]);
        (run.code(), format!("{}{}", run.stdout(), run.stderr()))
    };
    let (code, said) = check(&world);
    assert_eq!(code, 0, "nobody has it: {said}");
    let daemon = world.start();
    world.until_carried_by("redis");
    let owner = redis.cli(&["GET", "docent:store"]).trim().to_owned();
    let (code, said) = check(&world);
    assert_eq!(code, 0, "its own store has it, and runs: {said}");
    // A store that is not there yet would be another one.
    let second = World::on_redis(&redis, "auto", QUICK);
    let refused = |world: &World, owner: &str| {
        let (code, said) = check(world);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains(&format!("another store, {owner}")) && said.contains("DEL docent:store"),
            "{said}"
        );
    };
    refused(&second, &owner);
    assert!(!second.data().exists(), "a check makes nothing");
    // The daemon runs, and somebody else takes the name.
    redis.cli(&["SET", "docent:store", "somebody"]);
    refused(&world, "somebody");
    let id = world.work("work/a", json!({}));
    world.until_work(&id, "done");
    redis.cli(&["SET", "docent:store", &owner]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let (code, said) = check(&world);
    assert_eq!(code, 0, "its own store has it, and does not run: {said}");
    let left: Vec<_> = std::fs::read_dir(world.data()).expect("data_dir").collect();
    assert!(
        left.iter()
            .flatten()
            .all(|e| !e.file_name().to_string_lossy().contains("-wal")),
        "{left:?}"
    );
}

#[test]
fn check_tells_how_redis_is() {
    let mut redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", QUICK);
    let run = world.cli(["check"]);
    assert_eq!(run.code(), 0, "{}{}", run.stdout(), run.stderr());
    let said = format!("{}{}", run.stdout(), run.stderr());
    assert!(said.contains("durability none"), "{said}");
    assert!(said.contains("docent loses nothing"), "{said}");
    redis.kill();
    let run = world.cli(["check"]);
    assert_eq!(run.code(), 1, "{}{}", run.stdout(), run.stderr());
}

#[test]
fn a_key_of_another_type_is_named_with_the_way_out_and_work_goes_on() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    let key = inbox("test");
    redis.cli(&["DEL", &key]);
    redis.cli(&["SET", &key, "not a stream"]);
    let id = world.work("work/a", json!({}));
    world.until_work(&id, "done");
    world.until("the status names the key and the command", || {
        let why = world.status()["bus"]["why"].to_string();
        why.contains(&key) && why.contains(&format!("DEL '{key}'"))
    });
    let lines = world.log().lines().count();
    pause(Duration::from_secs(5));
    let said = world.log().lines().count() - lines;
    assert!(said <= 2, "{said} lines in 5 s:\n{}", world.log());
    redis.cli(&["DEL", &key]);
    world.until_carried_by("redis");
    let id = world.work("work/a", json!({}));
    world.until_work(&id, "done");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
