//! The ledger, each carrier and the runner together against a small reference model: random publishes, endings of all four
//! kinds, replaced runners, a store that is closed and opened again, replays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::redis::testing::TestRedis;
use crate::bus::redis::{Inbox, Link, LinkState};
use crate::bus::{Carrier, Embedded};
use crate::event::{AgentName, Event, EventId, EventType, Heartbeat, NewEvent, Seq, Subject};
use crate::runtime::agent::{Agent, Boxed, Ending, Handling};
use crate::runtime::isolation::Isolation;
use crate::runtime::runner::{Runner, RunnerEnd, RunnerOptions, RunnerParts};
use crate::runtime::shutdown::{Level, StopSwitch, stop_pair};
use crate::runtime::status::Board;
use crate::store::tests::server::TestDatabase;
use crate::store::{
    Closer, Effect, HostOptions, Incarnation, Outcome, RetryPolicy, Store, StoreOptions, WriteError,
};

const MAX_RETRIES: u32 = 2;

/// How one attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Ok,
    Transient,
    Permanent,
    Unavailable,
    Panic,
}

impl Attempt {
    const ALL: [Attempt; 5] = [
        Attempt::Ok,
        Attempt::Transient,
        Attempt::Permanent,
        Attempt::Unavailable,
        Attempt::Panic,
    ];
}

/// How often attempt number `attempt` (from 1) is unavailable before it ends, and how it ends then.
fn planned(script: &[Attempt], attempt: u32) -> (usize, Attempt) {
    let mut number = 1;
    let mut unavailable = 0;
    for ending in script {
        match ending {
            Attempt::Unavailable => unavailable += usize::from(number == attempt),
            other if number == attempt => return (unavailable, *other),
            _ => number += 1,
        }
    }
    (unavailable, Attempt::Ok)
}

/// What happens to the system.
#[derive(Debug, Clone)]
enum Step {
    /// An event of this subject whose attempts end so; after the last one they end well.
    Publish(u8, Vec<Attempt>),
    /// The runner is replaced.
    Replace,
    /// The process ends and begins anew.
    Reopen,
    /// Wait a little, so that work is under way when the next thing happens.
    Breathe,
    /// All that is dead is owed again, and this time it ends well.
    Replay,
    /// Redis forgets everything; nothing without it.
    Flush,
    /// The connections to Redis are cut.
    Cut,
    /// A stranger acknowledges and deletes what stands in the inbox.
    Meddle,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![
        4 => Just(Attempt::Ok), 3 => Just(Attempt::Transient), 1 => Just(Attempt::Permanent),
        2 => Just(Attempt::Unavailable), 1 => Just(Attempt::Panic),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u8..4, proptest::collection::vec(attempt(), 0..5)).prop_map(|(s, a)| Step::Publish(s, a)),
        2 => Just(Step::Replace), 1 => Just(Step::Reopen), 3 => Just(Step::Breathe), 1 => Just(Step::Replay),
        1 => Just(Step::Flush), 1 => Just(Step::Cut), 1 => Just(Step::Meddle),
    ]
}

/// What the model says of an event: it ends well at this attempt, or dies after so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Dead,
}

/// *Unavailable* is no attempt; a permanent failure kills; the last transient one too.
fn fate(script: &[Attempt]) -> Fate {
    let mut failed = 0;
    for attempt in script {
        match attempt {
            Attempt::Ok => return Fate::Done,
            Attempt::Permanent => return Fate::Dead,
            Attempt::Transient | Attempt::Panic => {
                failed += 1;
                if failed > MAX_RETRIES {
                    return Fate::Dead;
                }
            }
            Attempt::Unavailable => {}
        }
    }
    Fate::Done
}

/// What the handlers saw.
#[derive(Default)]
struct Seen {
    /// How often an attempt of an event has been unavailable.
    used: HashMap<(EventId, u32), usize>,
    /// The script is over: everything ends well.
    healed: bool,
    /// Which event of a subject is being handled by which run.
    busy: HashMap<(Subject, u64), Seq>,
    /// First attempts of each subject, in the order in which they began.
    first: HashMap<Subject, Vec<Seq>>,
    faults: Vec<String>,
}

struct Scripted {
    seen: Arc<Mutex<Seen>>,
    run: u64,
}

impl Scripted {
    fn begin(&self, event: &Event, handling: &Handling) -> Attempt {
        let mut seen = self.seen.lock().unwrap();
        let key = (event.subject.clone(), self.run);
        if let Some(other) = seen.busy.insert(key, event.seq) {
            seen.faults.push(format!(
                "{} and {other} of {} at once",
                event.seq, event.subject
            ));
        }
        if seen.healed {
            return Attempt::Ok;
        }
        let order = seen.first.entry(event.subject.clone()).or_default();
        if !order.contains(&event.seq) {
            if order.last().is_some_and(|last| *last > event.seq) {
                let fault = format!(
                    "{} of {} was overtaken by {order:?}",
                    event.seq, event.subject
                );
                seen.faults.push(fault);
            } else {
                order.push(event.seq);
            }
        }
        let script = event.data["script"].as_array().unwrap();
        let script: Vec<Attempt> = script
            .iter()
            .map(|n| Attempt::ALL[usize::try_from(n.as_u64().unwrap()).unwrap()])
            .collect();
        let (unavailable, ending) = planned(&script, handling.attempt);
        // An attempt that a replaced runner lost is made again, and ends as it would have.
        let used = seen.used.entry((event.id, handling.attempt)).or_default();
        if *used < unavailable {
            *used += 1;
            return Attempt::Unavailable;
        }
        ending
    }

    fn end(&self, event: &Event) {
        self.seen
            .lock()
            .unwrap()
            .busy
            .remove(&(event.subject.clone(), self.run));
    }
}

impl Agent for Scripted {
    fn name(&self) -> AgentName {
        AgentName::Test
    }

    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending> {
        Box::pin(async move {
            let now = self.begin(event, handling);
            tokio::task::yield_now().await;
            self.end(event);
            match now {
                Attempt::Ok => {
                    let effect = Effect::Test {
                        event: event.seq.0,
                        attempt: handling.attempt,
                    };
                    Ending::Outcome(Outcome::nothing().effect(effect))
                }
                Attempt::Transient => Ending::Transient("transient".to_owned()),
                Attempt::Permanent => Ending::Permanent("permanent".to_owned()),
                Attempt::Unavailable => Ending::Unavailable("unavailable".to_owned()),
                Attempt::Panic => panic!("a handler that panics on purpose"),
            }
        })
    }
}

/// A runner that is at work.
struct Running {
    task: JoinHandle<RunnerEnd>,
    switch: StopSwitch,
    incarnation: Incarnation,
}

/// The link of a store to a Redis, and its task.
struct Redis {
    server: Arc<TestRedis>,
    link: Link,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Redis {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test stands in for the daemon"
    )]
    async fn connect(server: Arc<TestRedis>, store: &Store) -> Self {
        let (link, task) = Link::new(server.settings(), store.clone());
        let stop = CancellationToken::new();
        let task = tokio::spawn(task.run(stop.clone()));
        let verdict = link.first_verdict().await;
        assert!(matches!(verdict, LinkState::Up { .. }), "{verdict:?}");
        Redis {
            server,
            link,
            stop,
            task,
        }
    }

    async fn end(self) -> Arc<TestRedis> {
        self.stop.cancel();
        self.task.await.unwrap();
        self.server
    }

    /// Does this to every entry that stands in the inbox.
    fn meddle(&self) {
        let inbox = "docent:{test}:inbox";
        let entries = self.server.cli(&["XRANGE", inbox, "-", "+"]);
        for (n, id) in entries.lines().filter(|l| l.ends_with("-0")).enumerate() {
            match n % 2 {
                0 => self.server.cli(&["XDEL", inbox, id]),
                _ => self.server.cli(&["XACK", inbox, "docent", id]),
            };
        }
    }
}

struct World {
    place: Place,
    store: Store,
    closer: Closer,
    running: Running,
    redis: Option<Redis>,
    seen: Arc<Mutex<Seen>>,
    run: u64,
    expected: HashMap<EventId, Fate>,
}

/// Where the store is.
struct Place {
    dir: tempfile::TempDir,
    database: Option<TestDatabase>,
    /// Redis may carry.
    takes: bool,
}

impl Place {
    #[expect(clippy::disallowed_methods, reason = "awaited right here")]
    async fn open(&self) -> (Store, Closer) {
        let data_dir = self.dir.path().to_owned();
        let database = self.database.as_ref().map(TestDatabase::reached);
        let takes = self.takes;
        let opening = tokio::task::spawn_blocking(move || match database {
            None => Store::open(&data_dir, store_options()),
            Some(database) => Store::open_database(
                &data_dir,
                database,
                store_options(),
                HostOptions {
                    takes,
                    ..crate::store::tests::host()
                },
            ),
        });
        opening.await.unwrap().unwrap()
    }
}

fn store_options() -> StoreOptions {
    let retry = RetryPolicy {
        max_retries: MAX_RETRIES,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(4),
    };
    StoreOptions {
        retry,
        ledger_keep_events: 100_000,
        agents: vec![AgentName::Test],
        ..crate::store::tests::options()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test stands in for the supervisor"
)]
fn run(store: &Store, redis: Option<&Redis>, seen: &Arc<Mutex<Seen>>, run: u64) -> Running {
    let carrier: Box<dyn Carrier> = match redis {
        Some(redis) => Box::new(Inbox::new(redis.link.clone(), AgentName::Test)),
        None => Box::new(Embedded::new(
            store.clone(),
            AgentName::Test,
            Duration::from_millis(4),
        )),
    };
    let (switch, stop) = stop_pair();
    let incarnation = Incarnation::begin();
    let runner = Runner::new(RunnerParts {
        agent: Arc::new(Scripted {
            seen: seen.clone(),
            run,
        }),
        store: store.clone(),
        carrier,
        options: RunnerOptions {
            concurrency: 2,
            unsettled: 3,
            unsettled_bytes: 1 << 20,
            capacity: 6,
            stall_timeout: Duration::from_secs(20),
            backoff_max: Duration::from_millis(4),
            pause_min: Duration::from_millis(1),
            pause_max: Duration::from_millis(3),
        },
        board: Board::new(&[AgentName::Test]),
        stop,
        heartbeat: Heartbeat::default(),
        incarnation: incarnation.clone(),
        isolation: Isolation::default(),
        recorder: None,
        run,
        handlers: Handle::current(),
        source: "agent/test".to_owned(),
    });
    Running {
        task: tokio::spawn(runner.run()),
        switch,
        incarnation,
    }
}

/// Writes, as often as it takes: a store that was cut off says so.
async fn patiently<T, F: Future<Output = Result<T, WriteError>>>(write: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match write().await {
            Ok(done) => return done,
            Err(WriteError::Unavailable(cause)) => assert!(Instant::now() < deadline, "{cause}"),
            Err(error) => panic!("{error}"),
        }
    }
}

impl World {
    async fn new(server: Option<Arc<TestRedis>>, database: Option<TestDatabase>) -> Self {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
            database,
            takes: server.is_some(),
        };
        let (store, closer) = place.open().await;
        let seen = Arc::default();
        let redis = match server {
            Some(server) => Some(Redis::connect(server, &store).await),
            None => None,
        };
        let running = run(&store, redis.as_ref(), &seen, 1);
        World {
            place,
            store,
            closer,
            running,
            redis,
            seen,
            run: 1,
            expected: HashMap::new(),
        }
    }

    /// Ends the runner as the supervisor does when it replaces an agent.
    async fn end_runner(running: Running, store: &Store) {
        running.task.abort();
        running.task.await.ok();
        running.incarnation.end();
        patiently(|| store.barrier()).await;
    }

    async fn step(mut self, step: &Step) -> Self {
        match step {
            Step::Publish(subject, script) => {
                let numbers: Vec<u8> = script.iter().map(|a| *a as u8).collect();
                let subject = Subject::parse(&format!("s{subject}")).unwrap();
                let event = NewEvent::root(
                    EventType::TestWork,
                    "test",
                    subject,
                    json!({"script": numbers}),
                );
                self.expected.insert(event.id, fate(script));
                patiently(|| self.store.publish(event.clone())).await;
            }
            Step::Breathe => tokio::time::sleep(Duration::from_millis(3)).await,
            Step::Replay => {
                self.settle().await;
                self.replay().await;
            }
            Step::Replace => {
                Self::end_runner(self.running, &self.store).await;
                self.run += 1;
                self.running = run(&self.store, self.redis.as_ref(), &self.seen, self.run);
            }
            Step::Reopen => {
                Self::end_runner(self.running, &self.store).await;
                let server = match self.redis.take() {
                    Some(redis) => Some(redis.end().await),
                    None => None,
                };
                drop(self.store);
                assert!(self.closer.close());
                (self.store, self.closer) = self.place.open().await;
                self.run += 1;
                if let Some(server) = server {
                    self.redis = Some(Redis::connect(server, &self.store).await);
                }
                self.running = run(&self.store, self.redis.as_ref(), &self.seen, self.run);
            }
            Step::Flush => self.on_redis(|redis| drop(redis.server.cli(&["FLUSHALL"]))),
            Step::Cut => {
                self.on_redis(|redis| {
                    redis.server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
                });
                if let Some(database) = &self.place.database {
                    database.cut();
                }
            }
            Step::Meddle => self.on_redis(Redis::meddle),
        }
        self
    }

    fn on_redis(&self, act: impl Fn(&Redis)) {
        if let Some(redis) = &self.redis {
            act(redis);
        }
    }

    /// Waits until nothing is owed.
    async fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.store.counts(AgentName::Test).owed > 0 {
            let left = self.store.counts(AgentName::Test);
            assert!(Instant::now() < deadline, "still owed: {left:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Everything dead is replayed and, as the cause is mended now, ends well.
    async fn replay(&mut self) {
        self.seen.lock().unwrap().healed = true;
        for letter in self.store.dead_letters(None, 1000, None).await.unwrap() {
            assert_eq!(patiently(|| self.store.replay(letter.event, None)).await, 1);
            self.expected.insert(letter.event, Fate::Done);
        }
        self.settle().await;
        self.seen.lock().unwrap().healed = false;
    }

    async fn check(&self) {
        self.settle().await;
        let seen = self.seen.lock().unwrap().faults.clone();
        assert_eq!(seen, Vec::<String>::new());
        let dead: Vec<EventId> = self
            .store
            .dead_letters(None, 1000, None)
            .await
            .unwrap()
            .iter()
            .map(|d| d.event)
            .collect();
        for (id, fate) in &self.expected {
            assert_eq!(
                dead.contains(id),
                *fate == Fate::Dead,
                "{id} should be {fate:?}"
            );
        }
        // The effects stand once for each event that is done, and for none that is dead.
        let effects = self.store.test_effects().await.unwrap();
        let mut events: Vec<u64> = effects.iter().map(|(event, _)| *event).collect();
        events.dedup();
        assert_eq!(events.len(), effects.len(), "an effect stands twice");
        assert_eq!(effects.len() + dead.len(), self.expected.len());
        let counts = self.store.counts(AgentName::Test);
        assert_eq!(
            (counts.owed, counts.retrying, counts.dead),
            (0, 0, i64::try_from(dead.len()).unwrap())
        );
    }

    async fn end(self) {
        self.running.switch.raise(Level::Drain);
        assert_eq!(
            self.running.task.await.unwrap(),
            RunnerEnd::Stopped(Vec::new())
        );
        if let Some(redis) = self.redis {
            let pending = redis
                .server
                .cli(&["XPENDING", "docent:{test}:inbox", "docent"]);
            // After a flush that nobody has met yet there is no group, and nothing that could be pending.
            let clean = pending.starts_with('0') || pending.starts_with("NOGROUP");
            assert!(clean, "after a drain: {pending}");
            let server = redis.end().await;
            server.cli(&["FLUSHALL"]);
        }
        drop(self.store);
        assert!(self.closer.close());
    }
}

/// Goes these steps and compares what became of the events with the model.
fn conforms(steps: &[Step], server: Option<Arc<TestRedis>>, database: Option<TestDatabase>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Some(server) = &server {
        server.cli(&["FLUSHALL"]);
    }
    runtime.block_on(async {
        let mut world = World::new(server, database).await;
        for step in steps {
            world = world.step(step).await;
        }
        world.check().await;
        world.end().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_event_ends_as_the_model_says(steps in proptest::collection::vec(step(), 1..40)) {
        conforms(&steps, None, None);
    }
}

/// The same suite over a real Redis, which forgets, is cut off and is meddled with on the way.
#[test]
fn whatever_redis_does_every_event_ends_as_the_model_says() {
    let server = Arc::new(TestRedis::start());
    let config = ProptestConfig {
        cases: 16,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..25))| {
        conforms(&steps, Some(server.clone()), None);
    });
}

/// The same suite over a real PostgreSQL, which ends the sessions on the way.
#[test]
fn whatever_the_database_does_every_event_ends_as_the_model_says() {
    let server = Arc::new(TestRedis::start());
    let config = ProptestConfig {
        cases: 12,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..25), over_redis: bool)| {
        let server = over_redis.then(|| server.clone());
        conforms(&steps, server, Some(TestDatabase::new()));
    });
}
