//! Several hosts on one PostgreSQL, with and without Redis: they share the work, and what one does not finish another one does, once.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::checker::Verdict;
use crate::cluster::{Cluster, FILES, Fault, Servers, host, until_shared};
use crate::corpus::{QUERIES, fill};
use crate::helper::{Daemon, World};
use crate::load::same;
use crate::metrics::{page, samples};

/// A figure of each host, by its name, as this one tells it to Prometheus.
fn figure(world: &World, metric: &str) -> BTreeMap<String, f64> {
    let samples = samples(&page(world)).into_iter();
    let of_a_host = |(sample, value): (String, f64)| {
        let host = sample
            .strip_prefix(&format!("docent_host_{metric}{{instance=\""))?
            .strip_suffix("\"}")?;
        Some((host.to_owned(), value))
    };
    samples.filter_map(of_a_host).collect()
}

/// These figures of the hosts `one` and `two`.
fn of_two(one: f64, two: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([("one".to_owned(), one), ("two".to_owned(), two)])
}

/// How often a handler has ended for each event, on any of these hosts.
fn handled(worlds: &[&World]) -> HashMap<String, usize> {
    let mut ends = HashMap::new();
    for line in worlds.iter().flat_map(|world| world.lines()) {
        if !line.start {
            *ends.entry(line.event).or_default() += 1;
        }
    }
    ends
}

#[test]
fn two_hosts_share_the_work_and_each_finds_all_of_it() {
    share(&Servers::new(false));
}

#[test]
fn two_hosts_share_the_work_of_one_consumer_group() {
    share(&Servers::new(true));
}

fn share(servers: &Servers) {
    let one = host(servers, "one", None);
    let two = host(servers, "two", Some(&one));
    fill(&one, &mut Rng::with_seed(5), FILES);
    let first = one.start();
    one.wait();
    let second = two.start();
    until_shared(&two, 2);
    for world in [&one, &two] {
        assert_eq!(figure(world, "up"), of_two(1.0, 1.0));
        assert_eq!(figure(world, "slots"), of_two(128.0, 128.0));
        assert_eq!(figure(world, "collections"), of_two(1.0, 0.0));
        let renewed = figure(world, "renewed_seconds");
        assert!(renewed.len() == 2 && renewed.values().all(|ago| *ago < 10.0));
    }
    let top = one.cli(["top", "--once"]).stdout();
    assert!(top.contains("2 hosts work on the store"), "{top}");
    let events: Vec<(String, Value)> = (0..200)
        .map(|n| (format!("work/{n}"), json!({"sleep_ms": 1})))
        .collect();
    let ids = one.works(&events);
    one.write("late.md", "# A page of the second day\n");
    one.wait();
    two.wait();
    same(&one.knowledge(QUERIES), &two.knowledge(QUERIES));
    assert!(!two.search("second day").is_empty());
    one.until("all is handled", || {
        let handled = handled(&[&one, &two]);
        ids.iter().all(|id| handled.contains_key(id))
    });
    let shares = [&one, &two].map(|world| handled(&[world]).len());
    assert!(shares.iter().all(|share| *share > 20), "{shares:?}");
    // One leaves: what it had goes to the other one at once.
    assert_eq!(first.stop(), Some(0), "{}", one.log());
    until_shared(&two, 1);
    let alone = BTreeMap::from([("two".to_owned(), 256.0)]);
    assert_eq!(figure(&two, "slots"), alone, "one that has ended is gone");
    one.write("later.md", "# A page of the third day\n");
    two.until("it is noticed by the other host", || {
        two.wait();
        !two.search("third day").is_empty()
    });
    let known = two.knowledge(QUERIES);
    assert_eq!(second.stop(), Some(0), "{}", two.log());
    same(&known, &one.clean_build(QUERIES));
    let wrong: Vec<_> = servers
        .postgres
        .effects()
        .into_iter()
        .filter(|(_, count)| *count != 1)
        .collect();
    assert!(wrong.is_empty(), "work done not once: {wrong:?}");
}

#[test]
fn a_search_on_a_host_that_does_not_watch_waits_for_the_one_that_does_and_claims_nothing_when_it_is_gone()
 {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let first = one.start();
    one.wait();
    let _second = two.start();
    until_shared(&two, 2);
    assert_eq!(figure(&two, "collections"), of_two(1.0, 0.0));
    let search = |wait: &[&str]| {
        let run = two.cli([&["search", "\"a zebra crossing\"", "--json"], wait].concat());
        run.json().unwrap_or_else(|| panic!("{}", run.stderr()))
    };
    one.write("street.md", "# Street\n\nIt has a zebra crossing.\n");
    let found = search(&["--wait", "30s"]);
    assert_eq!(found["hits"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["missing"], Value::Null, "{found}");
    let again = search(&["--wait", "30s"]);
    let missing = again["missing"]
        .as_str()
        .expect("the other host was asked a moment ago");
    assert!(
        missing.contains("another host watches docs, and it was scanned for a search"),
        "{missing}"
    );
    first.kill();
    // As docent writes it.
    let killed = format!("{:.3}", jiff::Timestamp::now());
    one.write("lane.md", "# Lane\n\nIt has a zebra crossing, too.\n");
    // Until the other host has taken over, no answer claims to know what is on disk.
    two.until("it is found", || {
        let answer = search(&[]);
        if answer["hits"].as_array().map(Vec::len) == Some(2) {
            return true;
        }
        let complete = answer["freshness"]["complete_to"]
            .as_str()
            .unwrap_or_default();
        assert!(
            complete <= &killed[..],
            "complete to {complete}, killed at {killed}: {answer}"
        );
        false
    });
}

#[test]
fn a_host_that_begins_anew_in_a_database_beside_a_store_of_its_own_says_so() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let shared = fs::read_to_string(one.config()).expect("the config");
    let is_of_store =
        |line: &&str| line.starts_with("url = \"postgres") || line.starts_with("tls = ");
    let alone: Vec<&str> = shared.lines().filter(|line| !is_of_store(line)).collect();
    for (config, says_so) in [
        (alone.join("\n"), false),
        (shared.clone(), true),
        (shared, true),
    ] {
        fs::write(one.config(), config).expect("the config");
        let daemon = one.start();
        one.wait();
        assert_eq!(daemon.stop(), Some(0), "{}", one.log());
        let said = one.log().matches("the database is empty").count();
        assert_eq!(said, usize::from(says_so), "{}", one.log());
    }
}

#[test]
fn a_host_that_does_not_watch_tells_what_the_one_that_does_has_not_captured() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let config = fs::read_to_string(one.config()).expect("the config");
    let slow = format!("{config}\n[watch]\ndebounce = \"30s\"\nstable_after = \"1min\"\n");
    fs::write(one.config(), slow).expect("the config");
    let first = one.start();
    one.wait();
    let second = two.start();
    until_shared(&two, 2);
    let freshness = || two.status()["freshness"].clone();
    let complete_to = || {
        let at = freshness()["complete_to"].as_str()?.parse().ok()?;
        Some::<jiff::Timestamp>(at)
    };
    let before = jiff::Timestamp::now();
    two.until("it is complete", || complete_to() > Some(before));
    one.write("late.md", "# A page that waits\n");
    two.until("it is pending", || freshness()["pending"] == 1);
    let noticed = jiff::Timestamp::now();
    two.until("the host that watches has renewed its row twice", || {
        jiff::Timestamp::now().duration_since(noticed).as_secs() >= 7
    });
    assert_eq!(freshness()["pending"], 1);
    let complete = complete_to().expect("it was known before");
    assert!(
        before < complete && complete <= noticed,
        "{complete}, noticed {noticed}"
    );
    second.kill();
    first.kill();
}

#[test]
fn a_collection_that_only_another_host_has_is_there_for_everybody_and_is_not_claimed_once_that_host_has_ended()
 {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let config = fs::read_to_string(two.config()).expect("the config");
    let notes = config.replace("name = \"docs\"", "name = \"notes\"");
    let docs = one.docs();
    let notes = notes.replace(
        docs.to_str().expect("a path"),
        two.docs().to_str().expect("a path"),
    );
    fs::write(two.config(), notes).expect("the config");
    two.write("bell.md", "# A bell\n\nIt rings at noon.\n");
    let first = one.start();
    let second = two.start();
    until_shared(&one, 2);
    one.wait();
    let asked = |arguments: &[&str]| {
        let run = one.cli(arguments);
        assert_eq!(run.code(), 0, "{arguments:?}: {}", run.stderr());
        run.json().unwrap_or_default()
    };
    // Each has its own collection, and the other's is not scanned while they run.
    let settled = jiff::Timestamp::now();
    for world in [&one, &two] {
        world.until("it is complete", || {
            let complete = world.status()["freshness"]["complete_to"].clone();
            let complete: Option<jiff::Timestamp> =
                complete.as_str().and_then(|at| at.parse().ok());
            complete > Some(settled)
        });
    }
    let found = asked(&["search", "bell", "--collection", "notes", "--json"]);
    assert_eq!(found["hits"][0]["path"], "bell.md", "{found}");
    let scanned = asked(&["scan", "notes", "--json"]);
    assert_eq!(
        scanned["collections"][0]["collection"], "notes",
        "{scanned}"
    );
    let read = asked(&["read", "notes/bell.md", "--json"]);
    assert_eq!(read["stale"], false, "{read}");
    let waited = asked(&[
        "search",
        "bell",
        "--collection",
        "notes",
        "--wait",
        "2s",
        "--json",
    ]);
    assert_eq!(waited["hits"][0]["path"], "bell.md", "{waited}");
    assert!(
        waited["hits"][0]["stale"] != true && waited["missing"].is_null(),
        "{waited}"
    );
    asked(&[
        "publish",
        "document.check_requested",
        "--subject",
        "notes/bell.md",
    ]);
    assert_eq!(
        one.cli(["search", "bell", "--collection", "nope"]).code(),
        65
    );
    one.wait();
    assert_eq!(second.stop(), Some(0), "{}", two.log());
    let ended = jiff::Timestamp::now();
    two.write("bell.md", "# A bell\n\nIt is silent.\n");
    one.until("the collection is nobody's", || {
        let of_nobody = one.cli(["wait"]);
        of_nobody.code() == 75
            && of_nobody
                .stderr()
                .contains("no running host watches the collection notes")
    });
    let freshness = one.status()["freshness"].clone();
    let complete = freshness["complete_to"]
        .as_str()
        .expect("it was known before");
    let complete: jiff::Timestamp = complete.parse().expect("a time");
    assert!(
        complete <= ended,
        "complete to {complete}, ended at {ended}"
    );
    assert_eq!(first.stop(), Some(0), "{}", one.log());

    // The way to let the documents go, as the hint tells it.
    let before = fs::read_to_string(one.config()).expect("the config");
    let empty = one.path().join("empty");
    fs::create_dir(&empty).expect("an empty folder");
    let notes = format!("{before}\n[[collection]]\nname = \"notes\"\npath = {empty:?}\n");
    fs::write(one.config(), notes).expect("the config");
    let first = one.start();
    one.until("another directory is held", || {
        let status = one.cli(["status", "--json"]).stdout();
        status.contains("removals held")
    });
    asked(&["scan", "notes", "--accept-removals"]);
    asked(&["wait"]);
    assert_eq!(one.cli(["read", "notes/bell.md"]).code(), 65);
    assert_eq!(first.stop(), Some(0), "{}", one.log());
    fs::write(one.config(), before).expect("the config");
    let first = one.start();
    one.until("nobody has it", || one.cli(["wait"]).code() == 0);
    let gone = one.cli(["search", "bell", "--collection", "notes"]);
    assert_eq!(gone.code(), 65, "{}", gone.stdout());
    assert_eq!(first.stop(), Some(0), "{}", one.log());
}

#[test]
fn what_a_host_has_no_permit_for_after_all_another_one_handles() {
    let servers = Servers::new(true);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    for world in [&one, &two] {
        let config = fs::read_to_string(world.config()).expect("the config");
        let config = config.replace("[delivery]\n", "[delivery]\nconcurrency = 1\n");
        fs::write(world.config(), config).expect("the config");
    }
    let first = one.start();
    // Handlers are short, so the host takes some more than it has a permit for.
    let quick: Vec<(String, Value)> = (0..100)
        .map(|n| (format!("quick/{n}"), json!({})))
        .collect();
    one.works(&quick);
    one.settled();
    let long = one.work("long", json!({"sleep_ms": 40_000, "progress": true}));
    one.until("the long one runs", || one.starts(&long) == 1);
    let later = one.works(&quick[..20]);
    let second = two.start();
    two.until("the other host has handled the rest", || {
        let handled = handled(&[&two]);
        later.iter().all(|id| handled.contains_key(id))
    });
    assert_eq!(
        handled(&[&one]).get(&long),
        None,
        "too late to prove anything"
    );
    second.kill();
    first.kill();
}

/// How many deliveries the agent `test` of each host has in flight, as this host shows it.
fn in_flight(world: &World) -> BTreeMap<String, u64> {
    let hosts = world.status()["hosts"].clone();
    let of_host = |host: &Value| {
        let name = host["instance"].as_str()?.to_owned();
        Some((name, host["in_flight"]["test"].as_u64()?))
    };
    let hosts = hosts.as_array().expect("hosts").iter();
    hosts.filter_map(of_host).collect()
}

#[test]
fn two_hosts_show_what_each_has_in_flight() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let daemons = [one.start(), two.start()];
    until_shared(&two, 2);
    let agents = one.status()["agents"].as_object().expect("agents").len();
    let series = || {
        let samples = samples(&page(&one)).into_iter();
        samples
            .filter(|(sample, _)| sample.starts_with("docent_host_in_flight{"))
            .collect::<BTreeMap<String, f64>>()
    };
    one.until("every agent of each host is counted", || {
        series().len() == 2 * agents
    });
    assert!(
        series().values().all(|count| *count == 0.0),
        "{:?}",
        series()
    );
    let events: Vec<(String, Value)> = (0..200)
        .map(|n| (format!("work/{n}"), json!({"sleep_ms": 1500})))
        .collect();
    one.works(&events);
    for world in [&one, &two] {
        world.until("both hosts have something in flight", || {
            let in_flight = in_flight(world);
            in_flight.len() == 2 && in_flight.values().all(|count| *count > 0)
        });
    }
    let of_test = |host: &str| {
        let sample = format!("docent_host_in_flight{{instance=\"{host}\",agent=\"test\"}}");
        series()[&sample]
    };
    assert!(
        of_test("one") > 0.0 && of_test("two") > 0.0,
        "{:?}",
        series()
    );
    let table = one.cli(["status"]).stdout();
    assert!(table.contains("IN FLIGHT"), "{table}");
    let busy = |host: &&str| host.contains("test ") && host.contains("0.1.0");
    assert_eq!(table.lines().filter(busy).count(), 2, "{table}");
    one.until("nothing is in flight", || {
        in_flight(&one).values().all(|count| *count == 0)
    });
    for (daemon, world) in daemons.into_iter().zip([&one, &two]) {
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
}

/// How often the agent `rag` of a host was restarted.
fn restarts(world: &World) -> Value {
    world.status()["agents"]["rag"]["restarts"].clone()
}

#[test]
fn two_hosts_restart_the_agents_of_each_other() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let daemons = [one.start(), two.start()];
    until_shared(&one, 2);
    let run = one.cli(["agent", "restart", "rag@two", "--json"]);
    let answer = json!({"agent": "rag", "instance": "two", "state": "running", "restarts": 1});
    assert_eq!(run.json(), Some(answer), "{}", run.stderr());
    assert_eq!((restarts(&one), restarts(&two)), (json!(0), json!(1)));
    // Its own name, and none: the host that is asked.
    for (name, said) in [
        ("rag@one", "rag on one is running, 1 restart\n"),
        ("rag", "rag is running, 2 restarts\n"),
    ] {
        let run = one.cli(["agent", "restart", name]);
        assert_eq!(
            (run.code(), run.stdout().as_str()),
            (0, said),
            "{}",
            run.stderr()
        );
    }
    assert_eq!((restarts(&one), restarts(&two)), (json!(2), json!(1)));
    let run = one.cli(["agent", "restart", "rag@three"]);
    assert_eq!(run.code(), 65);
    let said = "no host `three` works on the store; there are: one, two";
    assert!(run.stderr().contains(said), "{}", run.stderr());
    // Each is recorded once, about the host whose agent it is.
    one.settled();
    let mut acts = one.audit();
    acts.retain(|record| record["type"] == "operator.acted");
    let subjects: Vec<&Value> = acts.iter().map(|act| &act["subject"]).collect();
    assert_eq!(
        subjects,
        ["agent/rag@two", "agent/rag@one", "agent/rag@one"]
    );
    assert_eq!(acts[0]["data"]["verb"], "agent restart");
    assert_eq!(
        acts[0]["data"]["arguments"],
        json!({"agent": "rag", "host": "two"})
    );
    for (daemon, world) in daemons.into_iter().zip([&one, &two]) {
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
}

#[test]
fn two_hosts_of_which_one_does_not_answer_and_nothing_is_restarted_later() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let daemons = [one.start(), two.start()];
    until_shared(&one, 2);
    // One that renews its row and does nothing else.
    servers.postgres.query(
        "INSERT INTO host (incarnation, instance, data_dir, version, joined_at, renewed_at, change)
         SELECT 'deaf', 'deaf', 'deaf', version, 0, renewed_at, change FROM host WHERE instance = 'one'",
    );
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also if something below panics.
        let _over = SetAtEnd(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                servers.postgres.query(
                    "UPDATE host SET renewed_at = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)
                     WHERE instance = 'deaf'",
                );
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        ask_who_does_not_answer(&servers, &one, &two, &daemons);
    });
    for (daemon, world) in daemons.into_iter().zip([&one, &two]) {
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
}

/// Sets it when it is dropped.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn ask_who_does_not_answer(servers: &Servers, one: &World, two: &World, daemons: &[Daemon; 2]) {
    let run = one.cli(["agent", "restart", "rag@deaf"]);
    let said = "the host deaf did not answer within 15s; the request is withdrawn";
    assert!(
        run.code() == 75 && run.stderr().contains(said),
        "{}",
        run.stderr()
    );
    let asked = "SELECT COUNT(*) FROM restart_wanted WHERE begun_at IS NULL";
    assert_eq!(servers.postgres.query(asked).trim(), "0");
    // One that stands still is ended by the others. It comes back as another one, which is asked nothing.
    daemons[1].signal("STOP");
    let run = one.cli(["agent", "restart", "rag@two"]);
    daemons[1].signal("CONT");
    let said = "the host two has ended before it said what became of rag; there are: deaf, one";
    assert!(
        run.code() == 65 && run.stderr().contains(said),
        "{}",
        run.stderr()
    );
    two.until("it is there again", || {
        let run = one.cli(["agent", "restart", "rag@two", "--json"]);
        run.json().is_some_and(|answer| answer["restarts"] == 1)
    });
    assert_eq!(restarts(two), 1);
}

#[test]
fn hosts_that_are_killed_and_paused_and_a_database_that_crashes_lose_nothing_and_double_nothing() {
    let faults = [
        Fault::Killed,
        Fault::Paused,
        Fault::DatabaseCrashes,
        Fault::Restarted,
    ];
    let outcome = Cluster::start(Servers::new(false), 2).under_load(&faults);
    assert_eq!(outcome.verdict, Verdict::default());
}

#[test]
fn hosts_on_a_redis_that_is_flushed_and_stopped_lose_nothing_and_double_nothing() {
    let faults = [
        Fault::Killed,
        Fault::RedisFlushed,
        Fault::RedisAway,
        Fault::Restarted,
    ];
    let outcome = Cluster::start(Servers::new(true), 2).under_load(&faults);
    assert_eq!(outcome.verdict, Verdict::default());
}

/// A build that lacks an event type and an effect of the docent under test.
pub(crate) fn older() -> PathBuf {
    let older = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/older/docent");
    assert!(
        older.is_file(),
        "there is no older build at {}; make it with: tests/older",
        older.display()
    );
    older
}

/// The first host is upgraded, the second one is killed, the first one is killed, so that older ones have to do without it, and the
/// others are upgraded.
const UPGRADE: [Fault; 4] = [
    Fault::Upgraded,
    Fault::Restarted,
    Fault::Killed,
    Fault::Upgraded,
];

#[test]
fn hosts_on_a_redis_that_are_upgraded_one_after_the_other_lose_nothing_and_double_nothing() {
    let cluster = Cluster::of(Servers::new(true), 2, &older());
    let outcome = cluster.under_load(&UPGRADE);
    assert_eq!(outcome.verdict, Verdict::default());
}

/// `docs/scaling.md` names the command that runs it.
#[test]
#[ignore = "a demonstration of some minutes; the tests above are its short form"]
fn demonstration() {
    let faults = [
        Fault::Killed,
        Fault::Paused,
        Fault::DatabaseCrashes,
        Fault::Restarted,
    ];
    let with_redis = [Fault::RedisFlushed, Fault::RedisAway];
    let on_redis: Vec<Fault> = faults.into_iter().chain(with_redis).collect();
    let cluster = Cluster::start(Servers::new(true), 3);
    let redis = cluster.under_load(&on_redis);
    let alone = Cluster::start(Servers::new(false), 3).under_load(&faults);
    redis.print("three hosts, PostgreSQL and Redis");
    alone.print("three hosts and PostgreSQL");
    assert_eq!(redis.verdict, Verdict::default());
    assert_eq!(alone.verdict, Verdict::default());
}

/// The same for an upgrade of hosts, in as many rounds as take five minutes.
#[test]
#[ignore = "a demonstration of ten minutes; the test above is its short form"]
fn upgrade_demonstration() {
    for with_redis in [true, false] {
        let (began, mut rounds) = (Instant::now(), Vec::new());
        while began.elapsed() < Duration::from_secs(300) {
            let cluster = Cluster::of(Servers::new(with_redis), 2, &older());
            rounds.push(cluster.under_load(&UPGRADE));
        }
        for outcome in rounds {
            outcome.print(match with_redis {
                true => "an upgrade of two hosts, PostgreSQL and Redis",
                false => "an upgrade of two hosts and PostgreSQL",
            });
            assert_eq!(outcome.verdict, Verdict::default());
        }
    }
}

#[test]
fn a_host_with_other_settings_of_the_store_is_refused() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let daemon = one.start();
    // Another file_size would remove documents when a collection changes hands.
    two.top("documents.file_size = \"1MiB\"");
    let checked = two.cli(["check"]).stdout();
    let told = "documents.file_size is \"1MiB\" here, but \"8MiB\" on the hosts that work on this store; give all";
    assert!(checked.contains(told), "{checked}");
    let (code, said) = two.refused();
    assert!(code == 78 && said.contains(told), "{code} {said}");
    assert_eq!(daemon.stop(), Some(0), "{}", one.log());
}

#[test]
fn issues_of_a_host_that_has_ended_are_closed() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let daemon = one.start();
    // As one leaves it that ends while its disk is full.
    let left = "INSERT INTO issue (subject, opened_at, detector, severity, value, bound)
        VALUES ('disk:disk@two', 1, 'disk', 'error', '1MiB', '1GiB')";
    servers.postgres.query(left);
    let closed = "SELECT closed_at IS NOT NULL FROM issue WHERE subject = 'disk:disk@two'";
    one.until("the one that is left closes it", || {
        servers.postgres.query(closed).trim() == "t"
    });
    assert_eq!(daemon.stop(), Some(0), "{}", one.log());
}

#[test]
fn a_host_of_the_same_name_is_refused_and_one_on_the_same_data_dir_takes_over_at_once() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let same = host(&servers, "one", Some(&one));
    let daemon = one.start();
    let (code, said) = same.refused();
    assert!(
        code == 75 && said.contains("another host with the instance one works on this store"),
        "{code} {said}"
    );
    daemon.kill();
    let killed = Instant::now();
    let daemon = one.start();
    let id = one.work("first", json!({}));
    one.until("it is handled", || one.starts(&id) > 0);
    println!(
        "a successor handles events {:?} after the kill",
        killed.elapsed()
    );
    let waited = "SELECT MAX(ended_at - renewed_at) FROM host WHERE ended_at IS NOT NULL";
    let waited = servers.postgres.query(waited);
    let waited: u64 = waited.trim().parse().expect("milliseconds");
    assert!(waited < 10_000, "it waited {waited} ms");
    assert_eq!(daemon.stop(), Some(0), "{}", one.log());
}

/// The library by which a program sees another clock.
fn faketime() -> PathBuf {
    let library = Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let library = library.join("faketime/libfaketime.so.1");
    assert!(
        library.exists(),
        "{} is not there; install it: apt-get install libfaketime",
        library.display()
    );
    library
}

#[test]
fn hosts_whose_clocks_are_wrong_go_by_the_clock_of_the_database() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let spawn = |world: &World, clock: &str| {
        let mut command = world.command(["run"]);
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME", clock)
            // Only the time of day is wrong.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        world.spawn_as(command)
    };
    let began = jiff::Timestamp::now();
    let first = spawn(&one, "+3h");
    until_shared(&one, 1);
    let daemons = [first, spawn(&two, "-3h")];
    until_shared(&one, 2);
    one.write("a.md", "# A page\n");
    one.until("it is searchable on both", || {
        [&one, &two]
            .iter()
            .all(|world| world.search("page") == ["a.md"])
    });
    // Each host has about half of the subjects.
    let ids: Vec<String> = (0..20)
        .map(|n| {
            one.work(
                &format!("work/{n}"),
                json!({"end": "transient", "times": 1}),
            )
        })
        .collect();
    one.until("what failed is handled again", || {
        let ends = handled(&[&one, &two]);
        ids.iter().all(|id| ends.get(id) == Some(&2))
    });
    assert!(
        [&one, &two]
            .iter()
            .all(|world| !handled(&[world]).is_empty())
    );
    let ended = jiff::Timestamp::now();
    let second = jiff::SignedDuration::from_secs(1);
    for event in two
        .events("test.work")
        .iter()
        .chain(&one.events("file.changed"))
    {
        let at: jiff::Timestamp = event["time"]
            .as_str()
            .expect("a time")
            .parse()
            .expect("a time");
        let took_place = began - second <= at && at <= ended + second;
        assert!(took_place, "between {began} and {ended}: {event}");
    }
    for (world, direction) in [(&one, "ahead of"), (&two, "behind")] {
        let log = world.log();
        let said = format!("{direction} the clock of the database");
        assert!(log.contains(&said), "{log}");
    }
    for (world, daemon) in [&one, &two].into_iter().zip(daemons) {
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
}

#[test]
fn a_host_that_has_another_directory_for_a_collection_replaces_nothing_when_it_takes_over() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let shared = one.docs().display().to_string();
    let other = two.path().join("other").display().to_string();
    fs::create_dir(&other).expect("a directory");
    fs::write(format!("{other}/b.md"), "# Another page\n").expect("a file");
    let config = fs::read_to_string(two.config()).expect("the config");
    fs::write(two.config(), config.replace(&shared, &other)).expect("the config");
    one.write("a.md", "# A zebra crossing\n");
    let first = one.start();
    one.wait();
    let _second = two.start();
    until_shared(&two, 2);
    first.kill();
    two.until("it has taken over, and holds the collection", || {
        let health = two.cli(["health"]).stdout();
        health.contains("it is another directory than the one that its files were taken from")
    });
    let found = two.cli(["search", "\"a zebra crossing\""]);
    assert!(found.stdout().contains("docs/a.md"), "{}", found.stdout());
    let found = two.cli(["search", "\"another page\""]);
    assert!(!found.stdout().contains("b.md"), "{}", found.stdout());
}
