//! What a second host is worth: effects per second, and how soon an event is handled at a fixed rate, on one PostgreSQL.
//!
//! `cargo bench --features testing --bench hosts` (it needs `redis-server` and PostgreSQL). Each handler takes 20 ms, and a host
//! runs 16 at once. In each round one host and two hosts handle the same events, without Redis and with it. One publisher
//! publishes at one of the hosts, whose commits the takes and settlements wait for meanwhile; then the hosts handle what is owed
//! still. What counts is the ratio of two hosts to one in the same round.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "the bench stands in for the daemon, and joins what it starts"
)]

mod setup;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use docent::internals::event::{AgentName, Event, EventType, NewEvent, Subject};
use docent::internals::runtime::{Agent, Boxed, Ending, Handling, Source, Submitted};
use docent::internals::store::{Closer, Effect, Outcome, Store};
use fred::prelude::ClientLike;
use serde_json::json;
use setup::{DEADLINE, Failure, Postgres, Redis, Working, host};

const EVENTS: usize = 8_000;
const SUBJECTS: usize = 1_000;
const HANDLER: Duration = Duration::from_millis(20);
const ROUNDS: usize = 3;
/// Events at a fixed rate, for their latency.
const PACED: usize = 500;
const PACE: Duration = Duration::from_millis(10);

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let redis = Redis::start()?;
    let postgres = runtime.block_on(Postgres::start())?;
    println!(
        "{EVENTS} events of {SUBJECTS} subjects, handlers of {HANDLER:?}, 16 at once on each host: effects per second\n\
         while they are published, and of the backlog afterwards; then {PACED} events, one each {PACE:?}: from publishing\n\
         to handling, p50 and p99 in ms\n"
    );
    println!(
        "{:>5} {:>7} {:>28} {:>28} {:>12}",
        "round", "Redis", "one host", "two hosts", "ratios"
    );
    for round in 1..=ROUNDS {
        for redis in [None, Some(&redis)] {
            let one = runtime.block_on(measure(&postgres, redis, 1))?;
            let two = runtime.block_on(measure(&postgres, redis, 2))?;
            println!(
                "{round:>5} {:>7} {:>28} {:>28} {:>5.2} {:>6.2}",
                if redis.is_some() { "yes" } else { "no" },
                one.shown(),
                two.shown(),
                two.publishing / one.publishing,
                two.backlog / one.backlog
            );
        }
    }
    Ok(())
}

struct Measured {
    /// Effects per second while events are published.
    publishing: f64,
    /// Effects per second afterwards, until nothing is owed.
    backlog: f64,
    latencies: Vec<Duration>,
}

impl Measured {
    fn shown(&self) -> String {
        let at = |part: usize| {
            let place = self.latencies.len() * part / 100;
            self.latencies[place].as_secs_f64() * 1000.0
        };
        let (publishing, backlog) = (self.publishing, self.backlog);
        format!(
            "{publishing:.0}/s {backlog:.0}/s {:.1} {:.1}",
            at(50),
            at(99)
        )
    }
}

/// When each event of the paced ones was handled, by its number.
type Handled = Arc<Mutex<Vec<Option<Instant>>>>;

/// Takes its time, and has one effect an event.
struct Slow(Handled);

impl Agent for Slow {
    fn name(&self) -> AgentName {
        AgentName::Test
    }

    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending> {
        Box::pin(async move {
            if let Some(n) = event.data["n"]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
            {
                self.0.lock().unwrap_or_else(PoisonError::into_inner)[n] = Some(Instant::now());
            }
            tokio::time::sleep(HANDLER).await;
            let effect = Effect::Test {
                event: event.seq.0,
                attempt: handling.attempt,
            };
            Ending::Outcome(Outcome::nothing().effect(effect))
        })
    }
}

struct Host {
    store: Store,
    closer: Closer,
    working: Working,
    _dir: tempfile::TempDir,
}

/// Starts so many hosts on a database.
async fn start(
    postgres: &Postgres,
    redis: Option<&Redis>,
    (database, hosts): (&str, usize),
    handled: &Handled,
) -> Result<Vec<Host>, Failure> {
    let mut running = Vec::new();
    for n in 0..hosts {
        let (dir, instance) = (tempfile::tempdir()?, format!("host{n}"));
        let host = host(&instance, redis.is_some());
        let (store, closer) = postgres.open(database, dir.path(), host).await?;
        let slow = handled.clone();
        let agent = Arc::new(move || Arc::new(Slow(slow.clone())) as Arc<dyn Agent>);
        let working = Working::begin(&store, redis, &instance, agent).await?;
        running.push(Host {
            store,
            closer,
            working,
            _dir: dir,
        });
    }
    Ok(running)
}

async fn measure(
    postgres: &Postgres,
    redis: Option<&Redis>,
    hosts: usize,
) -> Result<Measured, Failure> {
    if let Some(redis) = redis {
        redis.client().await?.quit().await?;
    }
    let database = postgres.database().await?;
    let handled: Handled = Arc::new(Mutex::new(vec![None; PACED]));
    let running = start(postgres, redis, (&database, hosts), &handled).await?;
    let client = postgres.client(&database).await?;
    let even = format!(
        "SELECT COUNT(*) FROM (SELECT holder FROM lease WHERE name LIKE 'slot/%' GROUP BY holder HAVING COUNT(*) >= {}) AS hosts",
        256 / hosts
    );
    until(&client, &even, hosts).await?;
    let owed = "SELECT COUNT(*) FROM delivery WHERE state = 'owed'";
    let store = &running[0].store;
    let source = Source::new(store.clone(), 64, 32 << 20);
    let began = Instant::now();
    publish(&source).await?;
    let left: i64 = client.query_one(owed, &[]).await?.get(0);
    let published_after = began.elapsed();
    until(&client, owed, 0).await?;
    let drained_after = began.elapsed() - published_after;
    let left = usize::try_from(left)?;
    let publishing = (EVENTS - left) as f64 / published_after.as_secs_f64();
    let backlog = left as f64 / drained_after.as_secs_f64();
    let mut published = Vec::with_capacity(PACED);
    let mut tick = tokio::time::interval(PACE);
    for n in 0..PACED {
        tick.tick().await;
        published.push(Instant::now());
        let submitted = source.submit(Vec::new(), vec![event(n, json!({"n": n}))?]);
        submitted.await?.committed().await?;
    }
    until(&client, owed, 0).await?;
    let handled = handled
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let latency = |(at, published): (Option<Instant>, &Instant)| at.map(|at| at - *published);
    let latencies: Option<Vec<Duration>> =
        handled.into_iter().zip(&published).map(latency).collect();
    let mut latencies = latencies.ok_or("an event was not handled")?;
    latencies.sort_unstable();
    let effects = store.test_effects().await?.len();
    // A store is closed when nobody has it any more.
    drop(source);
    for host in running {
        host.working.end().await?;
        drop(host.store);
        tokio::task::spawn_blocking(|| host.closer.close()).await?;
    }
    match effects == EVENTS + PACED {
        true => Ok(Measured {
            publishing,
            backlog,
            latencies,
        }),
        false => Err(format!("{effects} effects of {} events", EVENTS + PACED).into()),
    }
}

/// Publishes all events but the paced ones, 64 at a time.
async fn publish(source: &Source) -> Result<(), Failure> {
    let mut outstanding: VecDeque<Submitted> = VecDeque::new();
    for n in 0..EVENTS {
        if outstanding.len() == 64
            && let Some(oldest) = outstanding.pop_front()
        {
            oldest.committed().await?;
        }
        let submitted = source.submit(Vec::new(), vec![event(n, json!({}))?]);
        outstanding.push_back(submitted.await?);
    }
    for submitted in outstanding {
        submitted.committed().await?;
    }
    Ok(())
}

fn event(n: usize, data: serde_json::Value) -> Result<NewEvent, Failure> {
    let subject = Subject::parse(&format!("docs/guide/{}.md", n % SUBJECTS))?;
    Ok(NewEvent::root(EventType::TestWork, "bench", subject, data))
}

/// Waits until a query gives this number.
async fn until(client: &tokio_postgres::Client, query: &str, wanted: usize) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let count: i64 = client.query_one(query, &[]).await?.get(0);
        if usize::try_from(count)? == wanted {
            return Ok(());
        }
        if began.elapsed() > DEADLINE {
            return Err(format!("{query} gives {count}, and not {wanted}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
