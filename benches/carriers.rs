//! Events per second, from publishing to done, through either carrier, beside what the two libraries beneath can do alone.
//!
//! `cargo bench --features testing --bench carriers` (it needs `redis-server` and PostgreSQL). Six contestants in one run, in
//! turn:
//!
//! - *bare fred*: XADD, XREADGROUP, XACK and XDEL for each event, 64 at a time on one connection, and nothing else.
//! - *bare rusqlite*: for each event the rows that the ledger has, inserted in one transaction and updated to done in the
//!   next, 64 of each a transaction, each synced; docent's own tables and settings, and nothing else.
//! - *bare postgres*: the same rows and transactions on PostgreSQL, one statement after the other.
//! - *embedded* and *redis*: docent with its default bounds: a source publishes, with at most 64 transactions outstanding; the
//!   runner handles; every event has an effect.
//!
//! - *postgres*: docent with its store in PostgreSQL, otherwise as *embedded*.
//!
//! What counts is the ratio to the bare loop of the same round: this is what docent's promises cost. For *embedded* and *redis* it
//! is the slower one of the first two.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "the bench stands in for the daemon, and joins what it starts"
)]

mod setup;

use std::sync::Arc;
use std::time::{Duration, Instant};

use docent::internals::event::{AgentName, Event, EventType, NewEvent, Subject};
use docent::internals::runtime::{Agent, Boxed, Ending, Handling, Source};
use docent::internals::store::{Closer, Effect, Outcome, Store};
use fred::prelude::{ClientLike, FromValue};
use fred::types::{ClusterHash, CustomCommand};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use setup::{DEADLINE, Failure, Postgres, Redis, Working, host, options};

const EVENTS: usize = 20_000;
const SUBJECTS: usize = 1_000;
const BATCH: usize = 64;
const ROUNDS: usize = 5;
fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let redis = Redis::start()?;
    let postgres = runtime.block_on(Postgres::start())?;
    println!(
        "{EVENTS} events of {SUBJECTS} subjects, events per second; each ratio is to the bare loop of its round\n"
    );
    println!(
        "{:>5} {:>11} {:>14} {:>14} {:>15} {:>15} {:>15}",
        "round", "bare fred", "bare rusqlite", "bare postgres", "embedded", "redis", "postgres"
    );
    let mut ratios = [Vec::new(), Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        let fred = rate(runtime.block_on(bare_fred(&redis))?);
        let rusqlite = rate(runtime.block_on(async { bare_rusqlite() })?);
        let bare = rate(runtime.block_on(bare_postgres(&postgres))?);
        let embedded = rate(runtime.block_on(through_docent(None, None))?);
        let carried = rate(runtime.block_on(through_docent(Some(&redis), None))?);
        let stored = rate(runtime.block_on(through_docent(None, Some(&postgres)))?);
        let least = fred.min(rusqlite);
        let shown = |rate: f64, bare: f64| format!("{rate:.0} ({:.0} %)", 100.0 * rate / bare);
        println!(
            "{round:>5} {fred:>11.0} {rusqlite:>14.0} {bare:>14.0} {:>15} {:>15} {:>15}",
            shown(embedded, least),
            shown(carried, least),
            shown(stored, bare)
        );
        ratios[0].push(embedded / least);
        ratios[1].push(carried / least);
        ratios[2].push(stored / bare);
    }
    for (name, mut ratios) in ["embedded", "redis", "postgres"].into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        println!(
            "{name}: median {:.0} % of the bare loop",
            100.0 * ratios[ratios.len() / 2]
        );
    }
    Ok(())
}

fn rate(took: Duration) -> f64 {
    EVENTS as f64 / took.as_secs_f64()
}

fn data(n: usize) -> Value {
    json!({"n": n, "text": "what an event says about where to look, as long as most are"})
}

fn subject(n: usize) -> String {
    format!("docs/guide/{}.md", n % SUBJECTS)
}

/// What XREADGROUP gives of one stream: its name, and of each entry the id and the fields.
type Read = (String, Vec<(String, Vec<String>)>);

/// A command with arguments that have no spaces.
async fn call<T: FromValue, C: ClientLike>(
    client: &C,
    name: &'static str,
    arguments: &str,
) -> Result<T, Failure> {
    let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    let arguments: Vec<&str> = arguments.split(' ').collect();
    Ok(client.custom(command, arguments).await?)
}

/// Redis Streams as fred alone can do them.
async fn bare_fred(redis: &Redis) -> Result<Duration, Failure> {
    let client = redis.client().await?;
    call::<(), _>(&client, "XGROUP", "CREATE inbox group 0 MKSTREAM").await?;
    let began = Instant::now();
    for batch in (0..EVENTS).step_by(BATCH) {
        let count = BATCH.min(EVENTS - batch);
        let pipeline = client.pipeline();
        for n in batch..batch + count {
            let fields = format!("inbox * id {} docent_seq {n}", uuid::Uuid::now_v7());
            call::<(), _>(&pipeline, "XADD", &fields).await?;
        }
        pipeline.all::<Vec<String>>().await?;
        let arguments = format!("GROUP group consumer COUNT {count} STREAMS inbox >");
        let read: Vec<Read> = call(&client, "XREADGROUP", &arguments).await?;
        let ids: Vec<String> = read
            .into_iter()
            .flat_map(|(_, entries)| entries)
            .map(|(id, _)| id)
            .collect();
        if ids.len() != count {
            return Err(format!("{} of {count} entries came back", ids.len()).into());
        }
        let pipeline = client.pipeline();
        for id in ids {
            call::<(), _>(&pipeline, "XACK", &format!("inbox group {id}")).await?;
            call::<(), _>(&pipeline, "XDEL", &format!("inbox {id}")).await?;
        }
        pipeline.all::<Vec<u64>>().await?;
    }
    let took = began.elapsed();
    client.quit().await?;
    Ok(took)
}

/// The ledger's rows as rusqlite alone can write them.
fn bare_rusqlite() -> Result<Duration, Failure> {
    let dir = tempfile::tempdir()?;
    let (store, closer) = open(dir.path())?;
    let path = store.path().to_owned();
    drop(store);
    closer.close();
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let began = Instant::now();
    let mut settled = 0..0;
    for batch in (0..EVENTS + BATCH).step_by(BATCH) {
        let published = batch.min(EVENTS)..EVENTS.min(batch + BATCH);
        let transaction = connection.transaction()?;
        for n in published.clone() {
            insert(&transaction, n)?;
        }
        for n in settled {
            settle(&transaction, n)?;
        }
        transaction.commit()?;
        settled = published;
    }
    let took = began.elapsed();
    let done: usize = connection.query_row(
        "SELECT COUNT(*) FROM delivery d JOIN test_effect t ON t.event = d.event WHERE d.state = 'done'",
        [],
        |row| row.get(0),
    )?;
    match done {
        EVENTS => Ok(took),
        _ => Err(format!("{done} of {EVENTS} events are done").into()),
    }
}

fn insert(connection: &Connection, n: usize) -> rusqlite::Result<()> {
    let (id, seq, subject) = (uuid::Uuid::now_v7().to_string(), n + 1, subject(n));
    connection
        .prepare_cached(
            "INSERT INTO event VALUES (?1, ?2, 'test.work', 'bench', ?3, ?4, ?5, NULL, ?2)",
        )?
        .execute(params![
            seq,
            id,
            subject,
            1_700_000_000_000_i64,
            data(n).to_string()
        ])?;
    connection
        .prepare_cached("INSERT INTO delivery (event, agent, subject, state, due_at) VALUES (?1, 'test', ?2, 'owed', 0)")?
        .execute(params![seq, subject])?;
    Ok(())
}

fn settle(connection: &Connection, n: usize) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE delivery SET state = 'done', settled_at = 1 WHERE event = ?1 AND agent = 'test' AND state = 'owed'")?
        .execute(params![n + 1])?;
    connection
        .prepare_cached("INSERT INTO test_effect (event, attempt) VALUES (?1, 1)")?
        .execute(params![n + 1])?;
    Ok(())
}

/// The ledger's rows as a client of PostgreSQL alone can write them.
async fn bare_postgres(postgres: &Postgres) -> Result<Duration, Failure> {
    let dir = tempfile::tempdir()?;
    let database = postgres.database().await?;
    let (store, closer) = postgres
        .open(&database, dir.path(), host("bench", false))
        .await?;
    drop(store);
    tokio::task::spawn_blocking(|| closer.close()).await?;
    let mut client = postgres.client(&database).await?;
    // As docent's own sessions: statements that are planned while the tables are empty use their indexes.
    client
        .batch_execute(
            "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
        )
        .await?;
    let event = client
        .prepare("INSERT INTO event VALUES ($1, $2, 'test.work', 'bench', $3, $4, $5, NULL, $2)")
        .await?;
    let owe = client
        .prepare("INSERT INTO delivery (event, agent, subject, state, due_at) VALUES ($1, 'test', $2, 'owed', 0)")
        .await?;
    let done = client
        .prepare("UPDATE delivery SET state = 'done', settled_at = 1 WHERE event = $1 AND agent = 'test' AND state = 'owed'")
        .await?;
    let effect = client
        .prepare("INSERT INTO test_effect (event, attempt) VALUES ($1, 1)")
        .await?;
    let began = Instant::now();
    let mut settled = 0..0;
    for batch in (0..EVENTS + BATCH).step_by(BATCH) {
        let published = batch.min(EVENTS)..EVENTS.min(batch + BATCH);
        let transaction = client.transaction().await?;
        for n in published.clone() {
            let (id, seq, subject) = (
                uuid::Uuid::now_v7().to_string(),
                i64::try_from(n + 1)?,
                subject(n),
            );
            let row: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [
                &seq,
                &id,
                &subject,
                &1_700_000_000_000_i64,
                &data(n).to_string(),
            ];
            transaction.execute(&event, &row).await?;
            transaction.execute(&owe, &[&seq, &subject]).await?;
        }
        for n in settled {
            let seq = i64::try_from(n + 1)?;
            transaction.execute(&done, &[&seq]).await?;
            transaction.execute(&effect, &[&seq]).await?;
        }
        transaction.commit().await?;
        settled = published;
    }
    let took = began.elapsed();
    let done: i64 = client
        .query_one(
            "SELECT COUNT(*) FROM delivery d JOIN test_effect t ON t.event = d.event WHERE d.state = 'done'",
            &[],
        )
        .await?
        .get(0);
    match usize::try_from(done)? {
        EVENTS => Ok(took),
        done => Err(format!("{done} of {EVENTS} events are done").into()),
    }
}

fn open(dir: &std::path::Path) -> Result<(Store, Closer), Failure> {
    Ok(Store::open(dir, options())?)
}

/// Has one effect an event, at once.
struct Quick;

impl Agent for Quick {
    fn name(&self) -> AgentName {
        AgentName::Test
    }

    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending> {
        Box::pin(async move {
            let effect = Effect::Test {
                event: event.seq.0,
                attempt: handling.attempt,
            };
            Ending::Outcome(Outcome::nothing().effect(effect))
        })
    }
}

/// Publishes while the agent handles; ends when everything is done.
async fn through_docent(
    redis: Option<&Redis>,
    postgres: Option<&Postgres>,
) -> Result<Duration, Failure> {
    let dir = tempfile::tempdir()?;
    let (store, closer) = match postgres {
        None => open(dir.path())?,
        Some(postgres) => {
            postgres
                .open(
                    &postgres.database().await?,
                    dir.path(),
                    host("bench", false),
                )
                .await?
        }
    };
    if let Some(redis) = redis {
        redis.client().await?.quit().await?;
    }
    let working = Working::begin(&store, redis, "bench", Arc::new(|| Arc::new(Quick))).await?;
    let took = publish_and_wait(&store).await?;
    working.end().await?;
    let effects = store.test_effects().await?.len();
    drop(store);
    tokio::task::spawn_blocking(|| closer.close()).await?;
    if effects != EVENTS {
        return Err(format!("{effects} effects of {EVENTS} events").into());
    }
    Ok(took)
}

async fn publish_and_wait(store: &Store) -> Result<Duration, Failure> {
    let source = Source::new(store.clone(), BATCH, 32 << 20);
    let began = Instant::now();
    let mut outstanding = std::collections::VecDeque::with_capacity(BATCH);
    for n in 0..EVENTS {
        let event = NewEvent::root(
            EventType::TestWork,
            "bench",
            Subject::parse(&subject(n))?,
            data(n),
        );
        // One is awaited before the next is handed over once the bound is reached, or nobody would free its place.
        if outstanding.len() == BATCH {
            let oldest: Option<docent::internals::runtime::Submitted> = outstanding.pop_front();
            if let Some(oldest) = oldest {
                oldest.committed().await?;
            }
        }
        outstanding.push_back(source.submit(Vec::new(), vec![event]).await?);
    }
    for submitted in outstanding {
        submitted.committed().await?;
    }
    while store.counts(AgentName::Test).owed > 0 {
        if began.elapsed() > DEADLINE {
            return Err(format!("still owed: {:?}", store.counts(AgentName::Test)).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(began.elapsed())
}
