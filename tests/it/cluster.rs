//! Several hosts under load, what is done to them and to what they share, and what must be true afterwards.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
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
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;
use crate::wire::{self, Wire};
use crate::work::QUICK;

pub(crate) const FILES: usize = 60;

/// The servers that hosts share.
pub(crate) struct Servers {
    pub(crate) postgres: PostgresServer,
    pub(crate) redis: Option<RedisServer>,
    /// What the first host reaches PostgreSQL over.
    pub(crate) wire: Option<Wire>,
    /// What takes over for PostgreSQL.
    pub(crate) standby: Option<PostgresServer>,
}

impl Servers {
    pub(crate) fn new(with_redis: bool) -> Servers {
        Servers::of(PostgresServer::start(), with_redis)
    }

    pub(crate) fn of(postgres: PostgresServer, with_redis: bool) -> Servers {
        Servers {
            postgres,
            redis: with_redis.then(RedisServer::start),
            wire: None,
            standby: None,
        }
    }

    /// The same, with a wire between the first host and PostgreSQL.
    pub(crate) fn with_wire(with_redis: bool) -> Servers {
        let mut servers = Servers::new(with_redis);
        servers.wire = Some(Wire::to(servers.postgres.socket(), seed()));
        servers
    }

    /// The same, with a standby of PostgreSQL besides.
    pub(crate) fn with_standby() -> Servers {
        let mut servers = Servers::with_wire(false);
        servers.standby = Some(servers.postgres.standby());
        servers
    }

    /// What `[store]` says on a host.
    fn store(&self, is_first: bool) -> String {
        let url = match (&self.wire, &self.standby) {
            (Some(wire), Some(standby)) if is_first => {
                let url = standby.url_after(&wire.address());
                return format!("url = \"{url}\"\ntls = \"disable\"\n");
            }
            (Some(wire), _) if is_first => {
                return format!("url = \"{}\"\ntls = \"disable\"\n", wire.postgres_url());
            }
            (_, Some(standby)) => standby.url_after(&self.postgres.folder()),
            _ => self.postgres.url(),
        };
        format!("url = \"{url}\"\n")
    }
}

/// Somebody who waits for a database that is silent does not stand still.
const STANDS_STILL: &str = "stall_timeout = \"2s\"";

/// A host of this name on the store of a server. It has the documents of `first`, which is the first one otherwise.
pub(crate) fn host(servers: &Servers, instance: &str, first: Option<&World>) -> World {
    let redis = servers.redis.as_ref();
    let redis = redis.map_or(String::new(), |redis| {
        format!("[redis]\nurl = {:?}\n", redis.url())
    });
    let store = servers.store(first.is_none());
    let delivery = QUICK.replace(STANDS_STILL, "stall_timeout = \"10s\"");
    let world = World::new(&format!("[store]\n{store}{redis}{delivery}"));
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
pub(crate) fn slots(world: &World) -> HashMap<String, u64> {
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
pub(crate) fn until_shared(world: &World, hosts: usize) {
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

/// What happens to hosts and to what they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
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
    /// The first host has no connection to the database for longer than others wait for it.
    CutOff,
    /// Nothing that the first host and the database say to each other arrives for longer than that, and nobody hangs up.
    Dark,
    /// The first host stands still at a commit, with the lock that all commits wait for.
    StandsAtCommit,
    DatabaseReadOnly,
    DatabaseWithoutConnections,
    DatabaseDiskFull,
    /// The primary is killed, and the standby that has every commit takes over.
    FailsOver,
    /// The same, and the standby has not the last commits.
    LosesCommits,
}

impl Fault {
    /// The host that it happens to, the `n`th fault of so many hosts.
    fn host(self, n: usize, hosts: usize) -> usize {
        match self {
            Fault::CutOff | Fault::Dark | Fault::StandsAtCommit => 0,
            _ => n % hosts,
        }
    }
}

/// How long the database is away for a host, at least: others wait for 10 s.
const OUTAGE: Duration = Duration::from_secs(14);

/// Hosts under load.
pub(crate) struct Cluster {
    pub(crate) servers: Servers,
    pub(crate) worlds: Arc<Vec<World>>,
    daemons: Vec<Option<Daemon>>,
    /// Among how many the load is shared, of whom one publishes through each host.
    shares: usize,
    /// When each was gone or stood still.
    gone: Vec<Vec<u128>>,
    /// How long it took until the work of one that was killed had passed on.
    passed_on: Vec<Duration>,
    /// Events that a host handled when it was cut off.
    long: Vec<String>,
}

/// What became of a load.
pub(crate) struct Outcome {
    pub(crate) published: usize,
    pub(crate) verdict: Verdict,
    passed_on: Vec<Duration>,
    /// What the hosts have logged.
    pub(crate) logs: Vec<String>,
}

/// The clock of the log of the agent `test`.
pub(crate) fn now() -> u128 {
    let now = clock_gettime(ClockId::Monotonic);
    let [secs, nanos] = [now.tv_sec, now.tv_nsec].map(|part| u128::try_from(part).unwrap_or(0));
    secs * 1_000_000_000 + nanos
}

impl Cluster {
    pub(crate) fn start(servers: Servers, hosts: usize) -> Cluster {
        Cluster::of(servers, hosts, DOCENT.as_ref())
    }

    /// Hosts that run this docent.
    pub(crate) fn of(servers: Servers, hosts: usize, binary: &Path) -> Cluster {
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
            // Builds for tests are slow: each fault is to be suffered under load, and not under a backlog.
            shares: hosts * 4,
            gone: vec![Vec::new(); hosts],
            passed_on: Vec::new(),
            long: Vec::new(),
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
                daemon.signal("STOP");
                // Until here it may have begun something.
                self.gone[at].push(now());
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
            Fault::CutOff => self.cut(wire::Fault::Away, at, flows),
            Fault::Dark => self.cut(wire::Fault::Dark, at, flows),
            Fault::StandsAtCommit => self.stand_at_commit(at, flows),
            Fault::DatabaseReadOnly => self.read_only(),
            Fault::DatabaseWithoutConnections => self.without_connections(),
            Fault::DatabaseDiskFull => {
                let ballast = self.servers.postgres.fill();
                self.outage("the store cannot be written");
                fs::remove_file(ballast).expect("the ballast goes");
                self.servers.postgres.runs_again();
            }
            Fault::FailsOver => self.fail_over(),
            Fault::LosesCommits => {
                let standby = self.servers.standby.as_ref().expect("there is one");
                standby.falls_behind(&self.servers.postgres);
                flows(at);
                flows(other);
                self.fail_over();
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

    fn wire(&self) -> &Wire {
        self.servers.wire.as_ref().expect("there is one")
    }

    /// Keeps a host from the database until others have taken over, and for as long as an outage lasts.
    fn cut(&mut self, how: wire::Fault, at: usize, flows: &dyn Fn(usize)) {
        let (world, other) = (&self.worlds[at], (at + 1) % self.worlds.len());
        // It is to handle something all that time, unless it stops by itself.
        let busy = |id: &String| {
            let flights = world.flights().into_iter();
            flights.filter(|line| line.event == *id).count() % 2 == 1
        };
        while !self.long.iter().any(busy) {
            let subject = format!("long/{}", self.long.len());
            let id = world.work(&subject, json!({"sleep_ms": 20_000, "progress": true}));
            world.until("somebody handles it", || {
                self.worlds.iter().any(|world| world.starts(&id) > 0)
            });
            self.long.push(id);
        }
        let began = Instant::now();
        self.wire().set(how);
        until_shared(&self.worlds[other], self.worlds.len() - 1);
        self.passed_on.push(began.elapsed());
        flows(other);
        pause((OUTAGE + Duration::from_secs(4)).saturating_sub(began.elapsed()));
        self.wire().set(wire::Fault::None);
    }

    /// Stops a host when what is to commit its batch has left it and not arrived.
    fn stand_at_commit(&mut self, at: usize, flows: &dyn Fn(usize)) {
        let (world, other) = (&self.worlds[at], (at + 1) % self.worlds.len());
        let held = self.wire().happened();
        self.wire().set(wire::Fault::Uncommitted);
        world.until("a commit is held back", || self.wire().happened() > held);
        let daemon = self.daemons[at].as_ref().expect("it runs");
        daemon.signal("STOP");
        self.gone[at].push(now());
        let began = Instant::now();
        flows(other);
        println!(
            "commits went on {:?} after a host stood still at one",
            began.elapsed()
        );
        daemon.signal("CONT");
        self.wire().set(wire::Fault::None);
    }

    /// Waits until every host says why nothing can be published and that work waits, and for as long as an outage lasts.
    fn outage(&self, why: &str) {
        let began = Instant::now();
        for world in self.worlds.iter() {
            let said = until_refused(world);
            assert!(said.contains(why) && said.lines().count() <= 2, "{said}");
            world.until("status says that work waits", || {
                let status = world.cli(["status"]);
                let says = status.stdout().contains("the store cannot be written");
                status.code() == 1 && (says || status.stderr().contains("cannot read"))
            });
            // From what the index has, with its age.
            let search = world.cli(["search", QUERIES[0]]);
            let found = search.stdout();
            let says = [" as of ", "not known to be complete"]
                .iter()
                .any(|age| found.contains(age));
            assert!(search.code() == 0 && says, "{found}{}", search.stderr());
        }
        pause(OUTAGE.saturating_sub(began.elapsed()));
    }

    fn read_only(&self) {
        let postgres = &self.servers.postgres;
        postgres.psql("ALTER SYSTEM SET default_transaction_read_only = on");
        postgres.reload();
        postgres.end_sessions();
        self.outage("read-only");
        postgres.psql("ALTER SYSTEM RESET default_transaction_read_only");
        postgres.reload();
    }

    fn without_connections(&self) {
        let postgres = &self.servers.postgres;
        postgres.psql("ALTER ROLE limited CONNECTION LIMIT 0");
        // One may have been let in just before.
        let left = "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = 'limited'";
        self.worlds[0].until("no session is left", || {
            postgres.end_sessions();
            postgres.psql(left).trim() == "0"
        });
        self.outage("too many connections");
        postgres.psql("ALTER ROLE limited CONNECTION LIMIT -1");
    }

    /// Kills the primary; its standby takes over.
    fn fail_over(&mut self) {
        let standby = self.servers.standby.take().expect("there is one");
        if let Some(wire) = &self.servers.wire {
            // One host is not even told that the primary is gone.
            wire.set(wire::Fault::Dark);
        }
        self.servers.postgres.crash();
        standby.promote();
        self.servers.postgres = standby;
    }

    /// Publishes through every host and edits files, while these faults happen one after the other, each to the next host.
    pub(crate) fn under_load(mut self, faults: &[Fault]) -> Outcome {
        let seed = seed();
        println!("seed {seed} (DOCENT_TEST_SEED={seed} repeats its files, edits and events)");
        let mut rng = Rng::with_seed(seed);
        let hosts = self.worlds.len();
        let mut files = Files {
            paths: fill(&self.worlds[0], &mut rng, FILES),
            made: 0,
        };
        until_shared(&self.worlds[0], hosts);
        let shares = self.shares;
        let is_newer = faults.contains(&Fault::Upgraded);
        let client = |_| Client::one_of(shares).newer(is_newer);
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
                self.suffer(*fault, fault.host(n, hosts), &flows);
            }
            drop(ends);
            for publisher in publishers {
                publisher.join().expect("the publisher ends");
            }
            editor.join().expect("the editor ends");
        });
        self.judge(&clients)
    }

    /// The rows of the hosts, and what each has logged.
    fn all_that_is_known(&self) -> String {
        let hosts = "SELECT instance, incarnation, renewed_at, ended_at FROM host";
        let leases = "SELECT holder, COUNT(*) FROM lease GROUP BY holder";
        let mut known: String = [hosts, leases]
            .map(|rows| self.servers.postgres.query(rows))
            .concat();
        for world in self.worlds.iter() {
            known.push_str(&world.cli(["status"]).stdout());
            known.push_str(&format!("\n{}", world.log()));
        }
        known
    }

    /// Lets the hosts finish, compares what they know with a clean build, stops them and judges what they have done.
    fn judge(mut self, clients: &[Client]) -> Outcome {
        let first = &self.worlds[0];
        for world in self.worlds.iter() {
            let run = world.cli(["wait", "--timeout", "120s"]);
            assert_eq!(
                run.code(),
                0,
                "{}\n{}",
                run.stderr(),
                self.all_that_is_known()
            );
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
                self.all_that_is_known()
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
        let event = |record: &Value| record["event"].as_str().map(str::to_owned);
        let is_work = |record: &&Value| {
            let kind = record["type"].as_str();
            kind.is_some_and(|kind| kind.starts_with("test."))
        };
        let evidence = Evidence {
            published: clients
                .iter()
                .flat_map(Client::ids)
                .chain(self.long)
                .collect(),
            audited: audit.iter().filter_map(event).collect(),
            works: audit.iter().filter(is_work).filter_map(event).collect(),
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
        let (verdict, logs) = (
            evidence.judge(),
            self.worlds.iter().map(World::log).collect::<Vec<_>>(),
        );
        if verdict != Verdict::default() {
            tell(&evidence, &verdict, &logs);
        }
        Outcome {
            published: evidence.published.len(),
            verdict,
            passed_on: self.passed_on,
            logs,
        }
    }
}

/// Prints what explains a verdict: when hosts were gone, what each handled of the subjects that overlap, and what it logged
/// besides the usual.
fn tell(evidence: &Evidence, verdict: &Verdict, logs: &[String]) {
    let handled = evidence.lines.iter().flatten();
    let ids: HashSet<&str> = handled
        .map(|line| line.event.as_str())
        .filter(|id| verdict.overlaps.iter().any(|said| said.contains(id)))
        .collect();
    for (host, lines) in evidence.lines.iter().enumerate() {
        println!("host {host} was gone at {:?}", evidence.gone[host]);
        for line in lines.iter().filter(|line| ids.contains(&*line.event)) {
            println!("host {host}: {line:?}");
        }
    }
    let telling = |line: &&str| {
        let words = ["WARN", "ERROR", "store", "host", "started"];
        words.iter().chain(&ids).any(|word| line.contains(word))
    };
    for (host, log) in logs.iter().enumerate() {
        for line in log.lines().filter(telling) {
            println!("host {host} logged: {line}");
        }
    }
}

/// Publishes until that fails; what is said then.
pub(crate) fn until_refused(world: &World) -> String {
    let mut said = String::new();
    world.until("nothing can be published", || {
        let publish = ["publish", "test.work", "--subject", "probe", "--data", "{}"];
        let run = world.cli(publish);
        said = run.stderr();
        run.code() != 0
    });
    said
}

impl Outcome {
    /// That no agent has ended, let alone was parked.
    pub(crate) fn no_agent_ended(&self) {
        for log in &self.logs {
            assert!(!log.contains("an agent ended"), "{log}");
        }
    }

    pub(crate) fn print(&self, title: &str) {
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
