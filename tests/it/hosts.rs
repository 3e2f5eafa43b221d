//! Several hosts on one PostgreSQL, with and without Redis: they share the work, and what one does not finish another one does, once.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::checker::{Evidence, Verdict};
use crate::corpus::{QUERIES, fill};
use crate::helper::{DOCENT, Daemon, World};
use crate::load::{Client, Files, Over, pause, same, seed};
use crate::metrics::{page, samples};
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;
use crate::work::QUICK;

const FILES: usize = 60;

/// The servers that hosts share.
struct Servers {
    postgres: PostgresServer,
    redis: Option<RedisServer>,
}

impl Servers {
    fn new(with_redis: bool) -> Servers {
        Servers {
            postgres: PostgresServer::start(),
            redis: with_redis.then(RedisServer::start),
        }
    }
}

/// A host of this name on the store of a server. It has the documents of `first`, which is the first one otherwise.
fn host(servers: &Servers, instance: &str, first: Option<&World>) -> World {
    let redis = servers.redis.as_ref();
    let redis = redis.map_or(String::new(), |redis| {
        format!("[redis]\nurl = {:?}\n", redis.url())
    });
    let store = format!("[store]\nurl = \"{}\"\n", servers.postgres.url());
    let world = World::new(&format!("{store}{redis}{QUICK}"));
    if servers.redis.is_some() {
        world.mode("auto");
    }
    let config = fs::read_to_string(world.config()).expect("the config");
    let docs = first.unwrap_or(&world).docs();
    let config = config.replace("path = \"docs\"", &format!("path = \"{}\"", docs.display()));
    let config = format!("instance = \"{instance}\"\n{config}");
    fs::write(world.config(), config).expect("the config");
    world
}

/// How many slots each host has, by its name.
fn slots(world: &World) -> HashMap<String, u64> {
    let status = world.cli(["status", "--json"]).json().unwrap_or_default();
    let hosts = status["hosts"].as_array().cloned().unwrap_or_default();
    let slots = |host: &Value| {
        Some((
            host["instance"].as_str()?.to_owned(),
            host["slots"].as_u64()?,
        ))
    };
    hosts.iter().filter_map(slots).collect()
}

/// Waits until so many hosts share all slots evenly.
fn until_shared(world: &World, hosts: usize) {
    until_shared_by(world, hosts, hosts);
}

/// Waits until `sharing` of so many hosts share all slots evenly.
fn until_shared_by(world: &World, hosts: usize, sharing: usize) {
    let even = 256 / sharing as u64;
    world.until("the slots are shared evenly", || {
        let slots = slots(world);
        slots.len() == hosts
            && slots.values().sum::<u64>() == 256
            && slots.values().filter(|count| **count >= even).count() == sharing
    });
}

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
         SELECT 'deaf', 'deaf', 'deaf', version, 0, 9000000000000, change FROM host WHERE instance = 'one'",
    );
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
    assert_eq!(restarts(&two), 1);
    for (daemon, world) in daemons.into_iter().zip([&one, &two]) {
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
}

/// What happens to hosts and to what they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A host is killed, and started again when its work has passed on.
    Killed,
    /// A host is killed and started again at once.
    Restarted,
    /// A host is stopped, and started again with the docent under test.
    Upgraded,
    /// A host stands still for longer than others wait for it.
    Paused,
    DatabaseCrashes,
    RedisFlushed,
    RedisAway,
}

/// Hosts under load.
struct Cluster {
    servers: Servers,
    worlds: Arc<Vec<World>>,
    daemons: Vec<Option<Daemon>>,
    /// When each was gone or stood still.
    gone: Vec<Vec<u128>>,
    /// How long it took until the work of one that was killed had passed on.
    passed_on: Vec<Duration>,
}

/// What became of a load.
struct Outcome {
    published: usize,
    verdict: Verdict,
    passed_on: Vec<Duration>,
}

/// The clock of the log of the agent `test`.
fn now() -> u128 {
    let now = clock_gettime(ClockId::Monotonic);
    let [secs, nanos] = [now.tv_sec, now.tv_nsec].map(|part| u128::try_from(part).unwrap_or(0));
    secs * 1_000_000_000 + nanos
}

impl Cluster {
    fn start(servers: Servers, hosts: usize) -> Cluster {
        Cluster::of(servers, hosts, DOCENT.as_ref())
    }

    /// Hosts that run this docent.
    fn of(servers: Servers, hosts: usize, binary: &Path) -> Cluster {
        let mut worlds: Vec<World> = Vec::new();
        for n in 0..hosts {
            let world = host(&servers, &format!("host{n}"), worlds.first());
            world.install(binary);
            worlds.push(world);
        }
        let daemons = worlds.iter().map(|world| Some(world.start())).collect();
        Cluster {
            servers,
            daemons,
            gone: vec![Vec::new(); hosts],
            passed_on: Vec::new(),
            worlds: Arc::new(worlds),
        }
    }

    fn kill(&mut self, at: usize) {
        self.daemons[at].take().expect("it runs").kill();
        self.gone[at].push(now());
    }

    fn spawn(&mut self, at: usize) {
        self.daemons[at] = Some(self.worlds[at].spawn());
    }

    /// Brings a fault about, to the host `at` if it is one of a host. `flows` waits until events flow through a host.
    fn suffer(&mut self, fault: Fault, at: usize, flows: &dyn Fn(usize)) {
        let other = (at + 1) % self.worlds.len();
        match fault {
            Fault::Killed => {
                self.kill(at);
                let began = Instant::now();
                self.until_shared(other);
                self.passed_on.push(began.elapsed());
                flows(other);
                self.spawn(at);
            }
            Fault::Restarted => {
                self.kill(at);
                self.spawn(at);
            }
            Fault::Upgraded => {
                let daemon = self.daemons[at].take().expect("it runs");
                assert_eq!(daemon.stop(), Some(0), "{}", self.worlds[at].log());
                self.worlds[at].install(DOCENT.as_ref());
                self.spawn(at);
            }
            Fault::Paused => {
                let daemon = self.daemons[at].as_ref().expect("it runs");
                self.gone[at].push(now());
                daemon.signal("STOP");
                pause(Duration::from_secs(14));
                daemon.signal("CONT");
            }
            Fault::DatabaseCrashes => {
                self.servers.postgres.crash();
                pause(Duration::from_secs(1));
                self.servers.postgres.appear();
            }
            Fault::RedisFlushed => {
                let redis = self.servers.redis.as_ref().expect("there is one");
                redis.cli(&["FLUSHALL"]);
            }
            Fault::RedisAway => {
                let redis = self.servers.redis.as_mut().expect("there is one");
                redis.kill();
                flows(other);
                redis.appear();
                flows(at);
                self.worlds[at].until_carried_by("redis");
            }
        }
        flows(at);
        self.until_shared(other);
    }

    /// Waits until those of the hosts that run share all slots that run the newest docent.
    fn until_shared(&self, asked: usize) {
        let running = self.worlds.iter().zip(&self.daemons);
        let running: Vec<&World> = running
            .filter(|(_, daemon)| daemon.is_some())
            .map(|(world, _)| world)
            .collect();
        let newest = running.iter().filter(|world| world.is_current()).count();
        let sharing = if newest == 0 { running.len() } else { newest };
        until_shared_by(&self.worlds[asked], running.len(), sharing);
    }

    /// Publishes through every host and edits files, while these faults happen one after the other, each to the next host.
    fn under_load(mut self, faults: &[Fault]) -> Outcome {
        let seed = seed();
        println!("seed {seed} (DOCENT_TEST_SEED={seed} repeats its files, edits and events)");
        let mut rng = Rng::with_seed(seed);
        let hosts = self.worlds.len();
        let mut files = Files {
            paths: fill(&self.worlds[0], &mut rng, FILES),
            made: 0,
        };
        until_shared(&self.worlds[0], hosts);
        let is_newer = faults.contains(&Fault::Upgraded);
        let client = |_| Client::one_of(hosts).newer(is_newer);
        let clients: Vec<Client> = (0..hosts).map(client).collect();
        let over = AtomicBool::new(false);
        let worlds = self.worlds.clone();
        std::thread::scope(|scope| {
            let (over, worlds, clients) = (&over, &worlds, &clients);
            let publishers = worlds.iter().zip(clients).map(|(world, client)| {
                let rng = rng.fork();
                scope.spawn(move || client.publish(world, over, rng))
            });
            let publishers: Vec<_> = publishers.collect();
            let (files, mut edits) = (&mut files, rng.fork());
            let editor = scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    files.edit(&worlds[0], &mut edits);
                    pause(Duration::from_millis(60));
                }
            });
            let ends = Over(over);
            let flows = |at: usize| {
                let before = clients[at].ids().len();
                worlds[at].until("events flow", || clients[at].ids().len() > before + 30);
            };
            for (n, fault) in faults.iter().enumerate() {
                self.suffer(*fault, n % hosts, &flows);
            }
            drop(ends);
            for publisher in publishers {
                publisher.join().expect("the publisher ends");
            }
            editor.join().expect("the editor ends");
        });
        self.judge(&clients)
    }

    /// Lets the hosts finish, compares what they know with a clean build, stops them and judges what they have done.
    fn judge(mut self, clients: &[Client]) -> Outcome {
        let first = &self.worlds[0];
        for world in self.worlds.iter() {
            world.wait();
        }
        let owed = "SELECT COUNT(*) FROM delivery WHERE state = 'owed'";
        let patience = Duration::from_secs(60);
        let (mut least, mut deadline) = (u64::MAX, Instant::now() + patience);
        loop {
            let count = self.servers.postgres.query(owed);
            let count: u64 = count.trim().parse().expect("a number");
            if count == 0 {
                break;
            }
            if count < least {
                (least, deadline) = (count, Instant::now() + patience);
            }
            let which = "SELECT agent, subject, event, attempts, due_at, holder FROM delivery WHERE state = 'owed' ORDER BY event LIMIT 20";
            let which = || self.servers.postgres.query(which);
            assert!(
                Instant::now() < deadline,
                "still owed:\n{}\n{}",
                which(),
                first.log()
            );
            pause(Duration::from_millis(200));
        }
        first.settled();
        // The chain of the audit log is verified with it.
        let audit = first.audit();
        assert_eq!(first.status()["bus"]["dead"], 0, "{}", first.status());
        let known: Vec<Value> = self
            .worlds
            .iter()
            .map(|world| world.knowledge(QUERIES))
            .collect();
        for (daemon, world) in self.daemons.drain(..).zip(self.worlds.iter()) {
            assert_eq!(daemon.expect("it runs").stop(), Some(0), "{}", world.log());
        }
        let rebuilt = first.clean_build(QUERIES);
        for known in &known {
            same(known, &rebuilt);
        }
        let events = audit.iter().filter_map(|record| record["event"].as_str());
        let evidence = Evidence {
            published: clients.iter().flat_map(Client::ids).collect(),
            audited: events.map(str::to_owned).collect(),
            effects: self.servers.postgres.effects(),
            lines: self.worlds.iter().map(World::flights).collect(),
            gone: self.gone,
            owed: self
                .servers
                .postgres
                .query(owed)
                .trim()
                .parse()
                .expect("a number"),
        };
        Outcome {
            published: evidence.published.len(),
            verdict: evidence.judge(),
            passed_on: self.passed_on,
        }
    }
}

impl Outcome {
    fn print(&self, title: &str) {
        let Verdict {
            lost,
            twice,
            overlaps,
            stranded,
        } = &self.verdict;
        println!("{title}");
        println!("  published through all hosts    {:>6}", self.published);
        println!("  lost                           {:>6}", lost.len());
        println!("  twice                          {:>6}", twice.len());
        println!("  overlaps within a subject      {:>6}", overlaps.len());
        println!("  stranded                       {stranded:>6}");
        println!("  audit log                       whole");
        println!("  indexes                         equal to a rebuild");
        for took in &self.passed_on {
            println!(
                "  work of a dead host passed on   after {:.1} s",
                took.as_secs_f64()
            );
        }
    }
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
fn hosts_that_are_upgraded_one_after_the_other_lose_nothing_and_double_nothing() {
    let cluster = Cluster::of(Servers::new(false), 2, &older());
    let outcome = cluster.under_load(&UPGRADE);
    assert_eq!(outcome.verdict, Verdict::default());
}

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

#[test]
fn a_host_with_other_settings_of_the_store_is_refused() {
    let servers = Servers::new(false);
    let one = host(&servers, "one", None);
    let two = host(&servers, "two", Some(&one));
    let daemon = one.start();
    two.top("redis.max_retries = 9");
    let (code, said) = two.refused();
    assert!(
        code == 78 && said.contains("redis.max_retries is 9 here, but 3 on the hosts"),
        "{code} {said}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", one.log());
}
