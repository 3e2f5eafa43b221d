//! On a real Redis that answers and does not do its work, and on one whose keys hold what docent did not write.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backlog::peak;
use crate::certificate;
use crate::helper::World;
use crate::load::pause;
use crate::redis_server::{RedisServer, inbox};
use crate::work::QUICK;

/// How long docent may go on with a Redis that refuses the work; the design says 5 s, on a machine that is not busy.
const NOTICED: Duration = Duration::from_secs(10);

/// How Redis is kept from its work, what is said of that, and how it is mended.
type Refusal = (
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
);

const REFUSALS: &[Refusal] = &[
    (
        &["REPLICAOF", "127.0.0.1", "1"],
        "READONLY",
        &["REPLICAOF", "NO", "ONE"],
    ),
    (
        &["CLIENT", "PAUSE", "600000", "WRITE"],
        "no answer to a write",
        &["CLIENT", "UNPAUSE"],
    ),
    (
        &["CONFIG", "SET", "min-replicas-to-write", "3"],
        "NOREPLICAS",
        &["CONFIG", "SET", "min-replicas-to-write", "0"],
    ),
    (
        &["CONFIG", "SET", "maxmemory", "1"],
        "OOM",
        &["CONFIG", "SET", "maxmemory", "0"],
    ),
    (
        &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
        "noeviction",
        &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
    ),
    (
        &["ACL", "SETUSER", "default", "-xreadgroup"],
        "ACL",
        &["ACL", "SETUSER", "default", "+xreadgroup"],
    ),
    (
        &[
            "ACL",
            "SETUSER",
            "default",
            "resetkeys",
            "~docent:store",
            "~docent:{probe}:*",
            "%R~*",
        ],
        "ACL",
        &["ACL", "SETUSER", "default", "allkeys"],
    ),
];

fn open_issue(world: &World, detector: &str) -> Option<Value> {
    let run = world.cli(["health", "--json"]);
    let issues = run.json().expect("issues")["issues"].clone();
    let mut issues = issues.as_array().expect("a list").iter();
    issues.find(|i| i["detector"] == detector).cloned()
}

/// Waits until what carries is the ledger itself, and says why.
fn left(world: &World, began: Instant, told: &str) {
    world.until_carried_by("embedded");
    assert!(
        began.elapsed() < NOTICED,
        "noticed after {:?}: {told}",
        began.elapsed()
    );
    println!("{told}: noticed after {:?}", began.elapsed());
    world.until(&format!("the status says {told}"), || {
        world.status()["bus"]["why"].to_string().contains(told)
    });
    world.until("an issue is open", || {
        open_issue(world, "redis_away").is_some()
    });
}

#[test]
fn a_redis_that_answers_and_refuses_the_work_is_left_at_once_and_taken_up_again() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    let said = |what: &str| world.log().matches(what).count();
    for (n, (refuse, told, mend)) in REFUSALS.iter().enumerate() {
        // After a complaint of a carrier it is told when it has carried for a while.
        world.until("it is told that Redis carries", || {
            said("Redis carries events") == n + 1
        });
        world.until_carried_by("redis");
        let began = Instant::now();
        redis.cli(refuse);
        left(&world, began, told);
        let id = world.work("work/a", json!({}));
        world.until_work(&id, "done");
        redis.cli(mend);
    }
    world.until_carried_by("redis");
    assert_eq!(
        said("Redis cannot carry events"),
        REFUSALS.len(),
        "{}",
        world.log()
    );
    world.until("no issue is open", || {
        open_issue(&world, "redis_away").is_none()
    });
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_redis_whose_script_hangs_is_left_and_taken_up_again() {
    let redis = RedisServer::start_with(&["--save", "", "--busy-reply-threshold", "100"]);
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    let began = Instant::now();
    let mut script = Command::new("redis-cli")
        .arg("-s")
        .arg(redis.socket())
        .args(["EVAL", "while true do end", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-cli runs");
    left(&world, began, "BUSY");
    let why = world.status()["bus"]["why"].to_string();
    assert!(why.contains("SCRIPT KILL"), "{why}");
    redis.cli(&["SCRIPT", "KILL"]);
    script.wait().expect("the script ends");
    world.until_carried_by("redis");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn where_redis_alone_carries_a_refusal_degrades_until_it_is_mended() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    for (refuse, told, mend) in [REFUSALS[0], REFUSALS[3]] {
        redis.cli(refuse);
        let id = world.work("work/a", json!({}));
        world.until_within(NOTICED, "it is degraded", || {
            world.cli(["status"]).code() == 1
        });
        let why = world.status()["bus"]["why"].to_string();
        assert!(why.contains(told), "{why}");
        redis.cli(mend);
        world.until_work(&id, "done");
        world.until("it is degraded no more", || {
            world.cli(["status"]).code() == 0
        });
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn what_is_larger_than_an_event_stays_on_redis_and_costs_no_memory() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    world.settled();
    let before = peak(&daemon);
    // 30 entries of 8 MiB; an id of 8 MiB; 200,000 fields; consumers with names of 8 MiB.
    let fill = "local big = string.rep('x', 8388608)
        for i = 1, 30 do redis.call('XADD', KEYS[1], '*', 'id', 'big-' .. i, 'data', big) end
        redis.call('XADD', KEYS[1], '*', 'id', big)
        redis.call('XADD', KEYS[1], '*', big, 'x')
        local fields = {}
        for i = 1, 7000 do fields[i] = '' end
        redis.call('XADD', KEYS[1], '*', unpack(fields))
        for i = 1, 3 do redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], 'docent', i .. big) end
        for i = 1, 3 do redis.call('XREADGROUP', 'GROUP', 'docent', i .. big, 'COUNT', 1, 'STREAMS', KEYS[1], '>') end";
    let keys = [
        "docent:ingress".to_owned(),
        inbox("test"),
        inbox("logging_audit"),
    ];
    for key in &keys {
        redis.cli(&["EVAL", fill, "1", key]);
    }
    redis.cli(&[
        "EVAL",
        "redis.call('SETRANGE', KEYS[1], 67108864, 'x')",
        "1",
        "docent:store",
    ]);
    world.until("whose the namespace is cannot be read", || {
        let why = world.status()["bus"]["why"].to_string();
        why.contains("another store") && why.len() < 1000
    });
    redis.cli(&["DEL", "docent:store"]);
    world.until_carried_by("redis");
    let id = world.work("work/a", json!({}));
    world.until_work(&id, "done");
    world.until("every entry of the ingress is a dead letter", || {
        world.status()["bus"]["dead"] == 33
    });
    for key in &keys[..2] {
        world.until("the streams are empty", || {
            redis.number(&["XLEN", key]) == 0
        });
    }
    let list = world
        .cli(["dead", "list", "--json"])
        .json()
        .expect("a list");
    let errors = list["dead"][0]["errors"].to_string();
    assert!(
        errors.contains("8388") && errors.contains("was not read"),
        "{errors}"
    );
    let grown = peak(&daemon).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more than before");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn an_ingress_that_fills_redis_is_emptied_all_the_same() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    let fill = "for i = 1, 40 do redis.call('XADD', KEYS[1], '*', 'id', i, 'data', string.rep('x', 1048576)) end";
    redis.cli(&["CONFIG", "SET", "maxmemory", "24mb"]);
    redis.cli(&["EVAL", fill, "1", "docent:ingress"]);
    world.until("all of them are dead letters", || {
        world.status()["bus"]["dead"] == 40
    });
    world.until_carried_by("redis");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn dead_entries_of_the_ingress_are_shown_replayed_and_dropped_several_at_once() {
    let redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", QUICK);
    let daemon = world.start();
    world.until_carried_by("redis");
    let add = |fields: &[&str]| {
        let id = redis.cli(&[&["XADD", "docent:ingress", "*"], fields].concat());
        id.trim().to_owned()
    };
    let event = "0190f0f0-0000-7000-8000-000000000001";
    let work = [
        "id",
        event,
        "type",
        "test.work",
        "subject",
        "work/a",
        "data",
    ];
    let good = add(&[&work[..], &["{}"]].concat());
    world.until("it is published", || world.starts(event) == 1);
    world.until_work(event, "done");
    // The same one again, with other content: refused as long as the first one is known.
    let taken = add(&[&work[..], &["{\"sleep_ms\":1}"]].concat());
    let unknown = add(&[
        "id",
        "7",
        "type",
        "no.such",
        "subject",
        "t",
        "data",
        "{\"a\":\"quokka\"}",
    ]);
    let broken = add(&[
        "id",
        "8",
        "type",
        "test.work",
        "subject",
        "work/a",
        "data",
        "{",
    ]);
    world.until("three dead letters", || world.status()["bus"]["dead"] == 3);
    let shown = world.cli(["dead", "show", &unknown]);
    assert_eq!(shown.code(), 0, "{}", shown.stderr());
    assert!(shown.stdout().contains("quokka"), "{}", shown.stdout());
    let both = world.cli(["dead", "show", "--json", &unknown, &broken]);
    assert_eq!(both.stdout().lines().count(), 2, "{}", both.stdout());
    let again = world.cli(["dead", "replay", &unknown, &broken]);
    assert_eq!(again.code(), 65);
    for told in ["no.such", "not JSON", "docent publish", "docent dead drop"] {
        assert!(again.stderr().contains(told), "{told}: {}", again.stderr());
    }
    let conflict = world.cli(["dead", "replay", &taken]);
    assert_eq!(conflict.code(), 65, "{}", conflict.stderr());
    let dropped = world.cli(["dead", "drop", &unknown, &good, &broken, &taken]);
    assert_eq!(dropped.code(), 65, "one of them is no dead letter");
    assert!(dropped.stderr().contains(&good), "{}", dropped.stderr());
    assert_eq!(world.status()["bus"]["dead"], 0);
    // One that an older Redis gave back is published when it is replayed.
    let before = ["XADD", "docent:ingress", "1-1"];
    let old = ["id", "9", "type", "test.work", "subject", "work/old"];
    redis.cli(&["XTRIM", "docent:ingress", "MAXLEN", "0"]);
    redis.cli(&["DEL", "docent:ingress"]);
    redis.cli(&[&before[..], &old].concat());
    world.until("it is a dead letter", || world.status()["bus"]["dead"] == 1);
    let run = world.cli(["dead", "replay", "--json", "1-1"]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    let id = run.json().expect("the event")["event"].clone();
    world.until_work(id.as_str().expect("an id"), "done");
    assert_eq!(world.status()["bus"]["dead"], 0);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// A Redis that speaks TLS alone, with a certificate of an authority made for it.
struct Tls {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Tls {
    fn start(name: &str) -> Tls {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let at = dir.path();
        certificate::issue(at, name);
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--tls-auth-clients", "no"])
            .args(["--bind", "127.0.0.1", "--tls-port", &port.to_string()])
            .args([
                "--tls-cert-file",
                "server.pem",
                "--tls-key-file",
                "server.key",
            ])
            .args(["--tls-ca-cert-file", "ca.pem"])
            .current_dir(at)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        Tls { dir, port, child }
    }

    /// What `check` says of it.
    fn check(&self, scheme: &str, trust: bool) -> String {
        let url = format!("{scheme}://localhost:{}", self.port);
        let world = World::on_redis_at(&url, "redis", QUICK);
        let mut command = world.command(["check"]);
        if trust {
            command.env("SSL_CERT_FILE", self.dir.path().join("ca.pem"));
        }
        let run = crate::helper::Run::of(&mut command);
        format!("{}{}", run.stdout(), run.stderr())
    }

    fn until(&self, (scheme, trust): (&str, bool), told: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let said = self.check(scheme, trust);
            if said.contains(told) {
                return;
            }
            assert!(Instant::now() < deadline, "{told}: {said}");
            pause(Duration::from_millis(200));
        }
    }
}

#[test]
fn a_redis_with_tls_and_an_authority_of_its_own_is_trusted_by_a_variable() {
    let redis = Tls::start("DNS:localhost");
    redis.until(("rediss", false), "SSL_CERT_FILE");
    redis.until(("rediss", true), "can carry events");
    let other = Tls::start("DNS:elsewhere");
    other.until(("rediss", true), "not for the name");
}
