//! Why there is a ledger: what a real Redis loses of what it has acknowledged when it is killed. docs/redis.md names these figures.

use crate::redis_server::RedisServer;

const ENTRIES: u64 = 10_000;

/// Adds entries, each of which Redis has acknowledged when this returns.
const ADD: &str = "for n = 1, 10000 do redis.call('XADD', 'stream', '*', 'n', n) end return 'OK'";

/// How many of the acknowledged entries, and whether the consumer group, are gone after `kill -9` and a restart.
fn lost(options: &[&str]) -> (u64, bool) {
    let mut redis = RedisServer::start_with(options);
    redis.cli(&["XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM"]);
    assert_eq!(redis.cli(&["EVAL", ADD, "0"]).trim(), "OK");
    assert_eq!(redis.number(&["XLEN", "stream"]), ENTRIES);
    redis.kill();
    redis.appear();
    let left = redis.number(&["XLEN", "stream"]);
    let groups = redis.cli(&["EXISTS", "stream"]).trim() == "1"
        && redis.cli(&["XINFO", "GROUPS", "stream"]).contains("group");
    (ENTRIES - left, !groups)
}

#[test]
fn what_redis_loses_of_what_it_acknowledged() {
    let snapshots = ["--save", "3600 1 300 100 60 10000", "--appendonly", "no"];
    let everysec = [
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
    ];
    let cases: [(&str, &[&str], bool); 3] = [
        ("keeps nothing", &["--save", "", "--appendonly", "no"], true),
        ("snapshots, as Redis does by default", &snapshots, true),
        ("append-only file, everysec", &everysec, false),
    ];
    for (name, options, loses) in cases {
        let (entries, group) = lost(options);
        println!(
            "{name}: {entries} of {ENTRIES} acknowledged entries lost by kill -9, group lost: {group}"
        );
        // Nothing is asked of the append-only file: a slow disk may hold its last writes back.
        if loses {
            assert_eq!((entries, group), (ENTRIES, true), "{name}");
        }
    }
}
