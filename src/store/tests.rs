//! The ledger's rules, against a real file and a real database.

#![expect(
    clippy::disallowed_methods,
    reason = "what waits for a server is not for a thread of the runtime; awaited right there"
)]

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

/// Runs each of these against both engines: what the store does is the same on both.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod on_a_file {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::store::tests::Engine::File).await;
            })*
        }
        mod on_a_database {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::store::tests::Engine::Database).await;
            })*
        }
    };
}

mod copy;
mod damage;
mod files;
mod hosts;
mod past;
pub(crate) mod server;
mod settling;
mod suspects;

use server::TestDatabase;

use super::postgres::Writers;
use super::*;
use crate::event::{Event, EventType, Subject};

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        retry: RetryPolicy {
            max_retries: 1,
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(2),
        },
        event_size: 64 * 1024,
        ledger_keep: Duration::from_secs(3600),
        ledger_keep_events: 1000,
        versions: 20,
        agents: AgentName::ALL.to_vec(),
    }
}

/// A host that shares the store with others.
pub(crate) fn host() -> HostOptions {
    HostOptions {
        instance: "here".to_owned(),
        version: "0",
        collections: vec!["docs".to_owned()],
        settings: std::collections::BTreeMap::new(),
        takes: false,
    }
}

/// What stands in the store is changed by another program.
pub(crate) fn change(store: &Store, sql: &str) {
    run_on_file(store.path(), sql);
}

fn run_on_file(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(sql)
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// What a store is on.
#[derive(Debug, Clone, Copy)]
enum Engine {
    File,
    Database,
}

/// Where the store of a test is.
struct Place {
    dir: TempDir,
    database: Option<TestDatabase>,
}

impl Place {
    fn new(on: Engine) -> Self {
        Place {
            dir: tempfile::tempdir().unwrap(),
            database: matches!(on, Engine::Database).then(TestDatabase::new),
        }
    }

    async fn open(self, options: StoreOptions) -> Opened {
        let (store, closer) = self.try_open(options).await.unwrap();
        Opened {
            store,
            closer,
            place: self,
        }
    }

    async fn try_open(&self, options: StoreOptions) -> Result<(Store, Closer), OpenError> {
        let data_dir = self.dir.path().to_owned();
        let database = self.database.as_ref().map(TestDatabase::reached);
        let opening = tokio::task::spawn_blocking(move || match database {
            None => Store::open(&data_dir, options),
            Some(database) => Store::open_database(&data_dir, database, options, host()),
        });
        opening.await.unwrap()
    }

    /// What stands in the store is changed by another program.
    fn change(&self, sql: &str) {
        match &self.database {
            Some(database) => drop(database.run(sql)),
            None => run_on_file(&self.dir.path().join("store.db"), sql),
        }
    }
}

struct Opened {
    store: Store,
    closer: Closer,
    place: Place,
}

impl Opened {
    /// Closes the store and opens it again.
    async fn again(self, options: StoreOptions) -> Opened {
        let Opened {
            store,
            closer,
            place,
        } = self;
        drop(store);
        assert!(
            tokio::task::spawn_blocking(|| closer.close())
                .await
                .unwrap()
        );
        place.open(options).await
    }
}

/// A store in a file.
fn open() -> Opened {
    let place = Place::new(Engine::File);
    let (store, closer) = Store::open(place.dir.path(), options()).unwrap();
    Opened {
        store,
        closer,
        place,
    }
}

async fn open_on(on: Engine) -> Opened {
    Place::new(on).open(options()).await
}

fn report(subject: &str) -> NewEvent {
    NewEvent::root(
        EventType::ReportWritten,
        "test",
        Subject::parse(subject).unwrap(),
        json!({}),
    )
}

/// Lets the writer gather in one batch what is sent meanwhile.
#[cfg(feature = "testing")]
async fn in_one_batch<T>(store: &Store, sent: impl Future<Output = T>) -> T {
    use crate::store::gate::Point;
    store.gate().close(Point::Gathered);
    let first = store.submit(Vec::new(), Vec::new()).await.unwrap();
    while !store.gate().holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let sent = sent.await;
    store.gate().open();
    first.committed().await.unwrap();
    sent
}

const AUDIT: AgentName = AgentName::LoggingAudit;

async fn first(store: &Store) -> Vec<Seq> {
    let rows = store.first_attempts(AUDIT, Seq(0), 100).await.unwrap();
    rows.into_iter().map(|r| r.seq).collect()
}

async fn key(store: &Store, seq: Seq) -> DeliveryKey {
    let event = store
        .events_after(Seq(seq.0 - 1), 1)
        .await
        .unwrap()
        .remove(0);
    event.key(AUDIT)
}

async fn settle(store: &Store, seq: Seq, settlement: Settlement) -> Result<Settled, WriteError> {
    settle_key(store, key(store, seq).await, settlement).await
}

/// Ends a flight as a runner does, and waits until that is durable.
pub(crate) async fn settle_key(
    store: &Store,
    key: DeliveryKey,
    settlement: Settlement,
) -> Result<Settled, WriteError> {
    let fence = Incarnation::begin().flight(crate::store::FlightRight::Free);
    let settling = store.settle(key, fence, settlement, "agent/test").await?;
    settling.committed().await
}

/// Writes, and waits until it is durable.
pub(crate) async fn write(store: &Store, effects: Vec<Effect>, events: Vec<NewEvent>) {
    let submitted = store.submit(effects, events).await.unwrap();
    submitted.committed().await.unwrap();
}

fn done() -> Settlement {
    Settlement::Done(Outcome::nothing())
}

async fn publishing_twice_writes_once_and_other_content_is_refused(on: Engine) {
    let opened = open_on(on).await;
    let event = report("a");
    let one = opened.store.publish(event.clone()).await.unwrap();
    let two = opened.store.publish(event.clone()).await.unwrap();
    assert!(one.fresh && !two.fresh && one.seq == two.seq);
    let mut other = event.clone();
    other.data = json!({"x": 1}).into();
    assert_eq!(
        opened.store.publish(other).await,
        Err(WriteError::Conflict(event.id))
    );
    assert_eq!(first(&opened.store).await, [one.seq]);
    assert_eq!(opened.store.counts(AUDIT).owed, 1);
}

async fn an_event_over_the_bound_is_refused_and_the_batch_goes_on(on: Engine) {
    let opened = open_on(on).await;
    let mut large = report("a");
    large.data = json!({"text": "x".repeat(70_000)}).into();
    let (large, small) = tokio::join!(
        opened.store.publish(large),
        opened.store.publish(report("b"))
    );
    assert!(matches!(
        large,
        Err(WriteError::TooLarge { max: 65_536, .. })
    ));
    assert!(small.unwrap().fresh);
}

async fn a_delivery_is_settled_once(on: Engine) {
    let opened = open_on(on).await;
    let seq = opened.store.publish(report("a")).await.unwrap().seq;
    assert_eq!(settle(&opened.store, seq, done()).await, Ok(Settled::Done));
    assert_eq!(
        settle(&opened.store, seq, done()).await,
        Err(WriteError::Refused)
    );
    let late = Settlement::Transient("late".to_owned());
    assert_eq!(
        settle(&opened.store, seq, late).await,
        Err(WriteError::Refused)
    );
    let counts = opened.store.counts(AUDIT);
    assert_eq!((counts.owed, counts.dead, counts.handled), (0, 0, 1));
}

async fn of_an_outcome_and_a_failure_of_one_flight_the_first_taken_counts(on: Engine) {
    let opened = open_on(on).await;
    let seq = opened.store.publish(report("a")).await.unwrap().seq;
    let key = key(&opened.store, seq).await;
    let fence = Incarnation::begin().flight(crate::store::FlightRight::Free);
    let failure = Settlement::Transient("stalled".to_owned());
    let one = opened
        .store
        .settle(key, fence.clone(), failure, "s")
        .await
        .unwrap();
    let two = opened.store.settle(key, fence, done(), "s").await.unwrap();
    assert!(matches!(one.committed().await, Ok(Settled::Retry(_))));
    assert_eq!(two.committed().await, Err(WriteError::Refused));
}

async fn what_an_ended_run_submits_is_refused_and_stays_owed(on: Engine) {
    let opened = open_on(on).await;
    let seq = opened.store.publish(report("a")).await.unwrap().seq;
    let key = key(&opened.store, seq).await;
    let run = Incarnation::begin();
    let fence = run.flight(crate::store::FlightRight::Free);
    run.end();
    let late = opened.store.settle(key, fence, done(), "s").await.unwrap();
    assert_eq!(late.committed().await, Err(WriteError::Refused));
    assert_eq!(first(&opened.store).await, [seq]);
}

async fn the_last_attempt_makes_it_dead_tells_and_a_replay_makes_it_owed_again(on: Engine) {
    let opened = open_on(on).await;
    let published = opened.store.publish(report("a")).await.unwrap();
    let fail = || Settlement::Transient("no".to_owned());
    assert!(matches!(
        settle(&opened.store, published.seq, fail()).await,
        Ok(Settled::Retry(_))
    ));
    assert_eq!(
        settle(&opened.store, published.seq, fail()).await,
        Ok(Settled::Dead)
    );
    let dead = opened.store.dead_letters(None, 10, None).await.unwrap();
    assert_eq!(
        (dead[0].attempts, dead[0].errors.as_array().unwrap().len()),
        (2, 2)
    );
    let told = || async {
        let filter = EventFilter {
            kind: Some(EventType::EventDeadLettered),
            limit: 10,
            ..EventFilter::default()
        };
        opened.store.events(filter).await.unwrap().len()
    };
    assert_eq!(told().await, 1);
    assert_eq!(opened.store.replay(published.id, None).await, Ok(1));
    assert_eq!(opened.store.replay(published.id, None).await, Ok(0));
    assert_eq!(
        opened.store.signal(AUDIT).take_rewind(),
        Some(published.seq)
    );
    // A second death is told too: its id counts the deaths.
    let permanent = Settlement::Permanent("never".to_owned());
    assert_eq!(
        settle(&opened.store, published.seq, permanent).await,
        Ok(Settled::Dead)
    );
    assert_eq!(told().await, 2);
    let counts = opened.store.counts(AUDIT);
    assert_eq!((counts.dead, counts.retrying), (1, 0));
}

async fn the_death_of_a_dead_letters_event_is_not_told(on: Engine) {
    let opened = open_on(on).await;
    let seq = opened.store.publish(report("a")).await.unwrap().seq;
    let permanent = || Settlement::Permanent("never".to_owned());
    settle(&opened.store, seq, permanent()).await.unwrap();
    let told = Seq(seq.0 + 1);
    settle(&opened.store, told, permanent()).await.unwrap();
    let newest = opened.store.head().borrow().seq;
    assert_eq!(newest, told);
}

async fn an_outcome_that_breaks_a_rule_applies_nothing_of_itself_and_harms_no_neighbour(
    on: Engine,
) {
    let opened = open_on(on).await;
    let seq = opened.store.publish(report("a")).await.unwrap().seq;
    let gap = Effect::Index(ChunkSet {
        document: "d".to_owned(),
        version: 1,
        digest: Digest::of(b""),
        embedder: "e".to_owned(),
        chunks: vec![ChunkRow {
            heading: String::new(),
            first_line: 1,
            last_line: 1,
            text: "t".to_owned(),
            hash: "h".to_owned(),
            ..ChunkRow::default()
        }],
        embeddings: Vec::new(),
    });
    let audit = Effect::Audit(AuditRecord {
        event: seq.0,
        body: "{\"x\":1}".to_owned(),
    });
    let outcome = Outcome::nothing().effect(audit).effect(gap);
    let (broken, fine) = tokio::join!(
        settle(&opened.store, seq, Settlement::Done(outcome)),
        opened.store.publish(report("b"))
    );
    assert!(matches!(broken, Err(WriteError::Invalid(_))));
    assert!(fine.unwrap().fresh);
    assert_eq!(opened.store.audit_lines(0, 10).await.unwrap(), []);
    assert_eq!(opened.store.counts(AUDIT).owed, 2);
}

async fn an_offer_is_answered_with_the_oldest_of_the_subject_that_is_owed_and_due(on: Engine) {
    let opened = open_on(on).await;
    let one = opened.store.publish(report("a")).await.unwrap().seq;
    let two = opened.store.publish(report("a")).await.unwrap().seq;
    let due = DueBy::new(Millis::now(), Duration::from_secs(60));
    let classes = opened
        .store
        .classify(AUDIT, vec![two, Seq(99)], due)
        .await
        .unwrap();
    assert!(
        matches!(&classes[0], OfferClass::Due { oldest, attempts: 0, .. } if oldest.seq == one)
    );
    assert_eq!(classes[1], OfferClass::Settled);
    settle(&opened.store, one, done()).await.unwrap();
    let classes = opened
        .store
        .classify(AUDIT, vec![one, two], due)
        .await
        .unwrap();
    assert_eq!(classes[0], OfferClass::Settled);
    assert!(matches!(&classes[1], OfferClass::Due { oldest, .. } if oldest.seq == two));
}

async fn a_moment_beyond_the_longest_backoff_is_due_now(on: Engine) {
    let opened = open_on(on).await;
    let seq = opened.store.publish(report("a")).await.unwrap().seq;
    settle(&opened.store, seq, Settlement::Transient("x".to_owned()))
        .await
        .unwrap();
    let long_before = Millis::now().minus(Duration::from_secs(24 * 3600));
    let due = DueBy::new(long_before, Duration::from_secs(60));
    let ripe = opened
        .store
        .ripe_retries(AUDIT, RetryCursor::START, due, 10)
        .await
        .unwrap();
    assert_eq!(ripe.len(), 1);
    let classes = opened.store.classify(AUDIT, vec![seq], due).await.unwrap();
    assert!(matches!(classes[0], OfferClass::Due { attempts: 1, .. }));
}

async fn what_is_done_is_pruned_and_numbers_are_never_given_twice(on: Engine) {
    let opened = open_on(on).await;
    let kept = opened.store.publish(report("owed")).await.unwrap().seq;
    for _ in 0..3 {
        let seq = opened.store.publish(report("a")).await.unwrap().seq;
        settle(&opened.store, seq, done()).await.unwrap();
    }
    let few = StoreOptions {
        ledger_keep_events: 0,
        ledger_keep: Duration::ZERO,
        ..options()
    };
    let opened = opened.again(few).await;
    let store = &opened.store;
    tokio::time::sleep(Duration::from_millis(2)).await; // older than nothing at all
    let (gone, next) = store.prune_ledger(Seq(0)).await.unwrap();
    assert_eq!((gone, next), (3, None));
    let left: Vec<Seq> = store
        .events_after(Seq(0), 10)
        .await
        .unwrap()
        .iter()
        .map(|e| e.seq)
        .collect();
    assert_eq!(left, [kept]);
    assert_eq!(
        store.publish(report("b")).await.unwrap().seq,
        Seq(kept.0 + 4)
    );
    assert_eq!(store.counts(AUDIT).owed, 2);
}

#[tokio::test]
async fn a_second_daemon_a_newer_and_a_garbled_store_are_refused_with_a_way_out() {
    let opened = open();
    let refuse = |dir: &std::path::Path| Store::open(dir, options()).err().unwrap().to_string();
    assert!(refuse(opened.place.dir.path()).contains("another docent already runs"));
    drop(opened.store);
    opened.closer.close();
    let path = opened.place.dir.path().join("store.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let newer = refuse(opened.place.dir.path());
    assert!(
        newer.contains("schema 99") && newer.contains("run the newer docent"),
        "{newer}"
    );
    std::fs::write(
        &path,
        b"this is no database at all, it only looks like a file",
    )
    .unwrap();
    let garbled = refuse(opened.place.dir.path());
    assert!(
        garbled.contains("is damaged") && garbled.contains("move it away"),
        "{garbled}"
    );
}

#[tokio::test]
async fn the_folder_and_its_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let opened = open();
    opened.store.publish(report("a")).await.unwrap();
    let mode = |name: &str| {
        std::fs::metadata(opened.place.dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for file in ["store.db", "store.db-wal", "store.db-shm", "docent.lock"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

/// How many records the chain of the audit log has, if it holds.
async fn records(store: &Store) -> Result<u64, AuditBreak> {
    let verified = store.verify_audit().await.unwrap();
    verified.map(|chain| chain.records)
}

async fn the_audit_chain_holds_breaks_where_it_was_touched_and_survives_retention(on: Engine) {
    let opened = open_on(on).await;
    for n in 0..5 {
        let seq = opened
            .store
            .publish(report(&n.to_string()))
            .await
            .unwrap()
            .seq;
        let record = AuditRecord {
            event: seq.0,
            body: format!("{{\"subject\":\"{n}\"}}"),
        };
        settle(
            &opened.store,
            seq,
            Settlement::Done(Outcome::nothing().effect(Effect::Audit(record))),
        )
        .await
        .unwrap();
    }
    assert_eq!(records(&opened.store).await, Ok(5));
    tokio::time::sleep(Duration::from_millis(2)).await; // so that all but the newest are older than now
    // Each time adds a record, which is older than now a moment later: once, or it need never end.
    assert!(
        opened
            .store
            .prune_retained(Duration::ZERO, 1)
            .await
            .unwrap()
            > 0
    );
    let lines = opened.store.audit_lines(0, 10).await.unwrap();
    assert!(lines.iter().any(|l| l.line.contains("audit.pruned")));
    let verified = opened.store.verify_audit().await.unwrap();
    assert!(verified.is_ok(), "{verified:?}");
    // Retention may come while the chain is checked: the check goes on from what the record of it says.
    let oldest = lines.first().unwrap().n;
    let went_on = opened.store.over_gap(true, oldest).await.unwrap().unwrap();
    assert_eq!(went_on.unwrap().0, oldest - 1);
    let newest = lines.last().unwrap().n;
    let not_removed = opened.store.over_gap(true, newest).await.unwrap();
    assert_eq!(not_removed, Ok(None));
    let touched = lines.last().unwrap().n;
    opened.place.change(&format!(
        "UPDATE audit SET line = replace(line, 'store', 'stare') WHERE n = {touched}"
    ));
    assert_eq!(
        opened.store.verify_audit().await.unwrap().unwrap_err().n,
        touched
    );
}

fn operation(act: Act, event: crate::event::EventId, agent: Option<AgentName>) -> Operation {
    Operation {
        act,
        event,
        agent,
        record: NewEvent::root(
            EventType::OperatorActed,
            "test",
            Subject::parse("a").unwrap(),
            json!({"verb": "test"}),
        ),
    }
}

async fn acts(store: &Store) -> usize {
    let filter = EventFilter {
        kind: Some(EventType::OperatorActed),
        limit: 10,
        ..EventFilter::default()
    };
    store.events(filter).await.unwrap().len()
}

async fn what_is_done_is_owed_again_when_it_is_replayed_and_causes_other_events(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let published = store.publish(report("a")).await.unwrap();
    let told = || {
        Settlement::Done(Outcome::nothing().event(
            EventType::ReportWritten,
            Subject::parse("b").unwrap(),
            json!({"n": 1}),
        ))
    };
    settle(store, published.seq, told()).await.unwrap();
    let only_dead = operation(Act::ReplayDead, published.id, None);
    assert_eq!(store.operate(only_dead).await, Ok(0));
    assert_eq!(
        acts(store).await,
        0,
        "nothing was done, nothing is recorded"
    );
    for replay in 1..=2 {
        let again = operation(Act::ReplaySettled, published.id, None);
        assert_eq!(store.operate(again).await, Ok(1));
        assert_eq!(store.signal(AUDIT).take_rewind(), Some(published.seq));
        assert!(first(store).await.contains(&published.seq));
        let owed = operation(Act::ReplaySettled, published.id, None);
        assert_eq!(store.operate(owed).await, Ok(0), "it is owed already");
        settle(store, published.seq, told()).await.unwrap();
        let (_, _, caused) = store.event(published.id).await.unwrap().unwrap();
        assert_eq!(caused.len(), replay + 1, "{caused:?}");
    }
    assert_eq!(acts(store).await, 2);
    assert_eq!(store.counts(AUDIT).dead, 0);
}

async fn a_dead_delivery_that_is_dropped_is_done_and_says_so(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let published = store.publish(report("a")).await.unwrap();
    let permanent = Settlement::Permanent("never".to_owned());
    settle(store, published.seq, permanent).await.unwrap();
    let wrong = operation(Act::Drop, published.id, Some(AgentName::Rag));
    assert_eq!(store.operate(wrong).await, Ok(0));
    let drop = || operation(Act::Drop, published.id, Some(AUDIT));
    assert_eq!(store.operate(drop()).await, Ok(1));
    assert_eq!(store.operate(drop()).await, Ok(0));
    let (_, deliveries, _) = store.event(published.id).await.unwrap().unwrap();
    assert_eq!(deliveries[0].state, DeliveryState::Done);
    let errors = deliveries[0].errors.as_array().unwrap();
    assert_eq!(errors.len(), 2);
    assert_eq!(
        (&errors[0]["error"], &errors[1]["error"]),
        (&json!("never"), &json!("dropped"))
    );
    assert_eq!(store.counts(AUDIT).dead, 0);
    assert_eq!(acts(store).await, 1);
}

async fn nothing_is_replayed_to_an_agent_that_is_off(on: Engine) {
    let opened = open_on(on).await;
    let published = opened.store.publish(report("a")).await.unwrap();
    settle(&opened.store, published.seq, done()).await.unwrap();
    let off = StoreOptions {
        agents: vec![AgentName::Rag],
        ..options()
    };
    let opened = opened.again(off).await;
    let store = &opened.store;
    let again = operation(Act::ReplaySettled, published.id, None);
    assert_eq!(store.operate(again).await, Ok(0));
    assert_eq!(store.counts(AUDIT).owed, 0);
}

async fn a_removed_document_stays_until_its_chunks_are_gone(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let submit = |effects| write(store, effects, Vec::new());
    let digest = Digest::of(b"text");
    let version = DocumentVersion {
        document: "one".to_owned(),
        collection: "docs".to_owned(),
        path: b"a.md".to_vec(),
        version: 1,
        digest: digest.clone(),
        size: 4,
        state: DocumentState::Stored,
        reason: None,
        title: None,
        kind: "markdown".to_owned(),
    };
    let chunks = |embedder: &str| ChunkSet {
        document: "one".to_owned(),
        version: 1,
        digest: digest.clone(),
        embedder: embedder.to_owned(),
        chunks: vec![ChunkRow {
            heading: String::new(),
            first_line: 1,
            last_line: 1,
            text: "text".to_owned(),
            hash: "h".to_owned(),
            ..ChunkRow::default()
        }],
        embeddings: vec![("h".to_owned(), None)],
    };
    submit(vec![
        Effect::Document(version),
        Effect::Index(chunks("old")),
    ])
    .await;
    submit(vec![Effect::Index(chunks("new"))]).await;
    store.prune_chunks(1).await.unwrap();
    // Of two models the one that its chunks are of is kept.
    store.prune_retained(Duration::ZERO, 1).await.unwrap();
    let embedded = |model: &'static str| store.embedded(model.to_owned(), vec!["h".to_owned()]);
    assert_eq!(embedded("old").await.unwrap().len(), 0);
    assert_eq!(embedded("new").await.unwrap().len(), 1);
    let gone = Effect::DocumentGone {
        document: "one".to_owned(),
    };
    submit(vec![gone]).await;
    tokio::time::sleep(Duration::from_millis(2)).await; // past the moment of the removal
    store.prune_retained(Duration::ZERO, 1).await.unwrap();
    let stale = || store.stale_documents("new".to_owned(), (String::new(), Vec::new()), 10);
    assert_eq!(
        stale().await.unwrap().len(),
        1,
        "its chunks are found and taken out"
    );
    let unindex = Effect::Unindex {
        document: "one".to_owned(),
        embedder: "new".to_owned(),
    };
    submit(vec![unindex]).await;
    while store.prune_retained(Duration::ZERO, 1).await.unwrap() > 0 {}
    assert_eq!(stale().await.unwrap().len(), 0);
    assert_eq!(store.document_at("docs", b"a.md").await.unwrap(), None);
}

async fn what_an_earlier_reader_has_rejected_is_looked_at_again(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let rejected = Effect::Document(DocumentVersion {
        document: "one".to_owned(),
        collection: "docs".to_owned(),
        path: b"a.md".to_vec(),
        version: 1,
        digest: Digest::of(b"text"),
        size: 4,
        state: DocumentState::Rejected,
        reason: Some("unreadable".to_owned()),
        title: None,
        kind: "markdown".to_owned(),
    });
    let unindex = |embedder: &str| Effect::Unindex {
        document: "one".to_owned(),
        embedder: embedder.to_owned(),
    };
    let submit = |effect| write(store, vec![effect], Vec::new());
    let stale = || store.stale_documents("new".to_owned(), (String::new(), Vec::new()), 10);
    submit(rejected).await;
    assert_eq!(stale().await.unwrap().len(), 1);
    submit(unindex("old")).await;
    assert_eq!(stale().await.unwrap().len(), 1);
    submit(unindex("new")).await;
    assert_eq!(stale().await.unwrap().len(), 0);
}

async fn the_last_scan_of_a_collection_that_left_the_config_is_forgotten(on: Engine) {
    let opened = open_on(on).await;
    let ended = Effect::ScanEnded {
        collection: "left".to_owned(),
        up_to: 0,
        began_at: 0,
        files: 0,
    };
    write(&opened.store, vec![ended], Vec::new()).await;
    let hour = Duration::from_secs(3600);
    opened.store.prune_retained(hour, 1).await.unwrap();
    assert_eq!(opened.store.scans().await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_millis(2)).await; // past the moment of its end
    opened
        .store
        .prune_retained(Duration::ZERO, 1)
        .await
        .unwrap();
    assert_eq!(opened.store.scans().await.unwrap().len(), 0);
}

async fn an_issue_of_a_detector_of_another_version_is_read_under_its_name(on: Engine) {
    let opened = open_on(on).await;
    let subject = Subject::store();
    let issue = IssueOpened {
        subject: Detector::LogHeld.key(&subject),
        detector: Detector::LogHeld,
        severity: Severity::Warning,
        value: "it grows".to_owned(),
        limit: "it does not".to_owned(),
    };
    write(&opened.store, vec![Effect::IssueOpened(issue)], Vec::new()).await;
    let known = opened.store.issues(false, 10).await.unwrap().remove(0);
    assert_eq!(known.detector, Some(Detector::LogHeld));
    assert_eq!(
        (known.detector_name(), known.about()),
        ("log_held", "store")
    );
    opened
        .place
        .change("UPDATE issue SET detector = 'moon_phase', subject = 'moon_phase:store'");
    let unknown = opened.store.issues(false, 10).await.unwrap().remove(0);
    assert_eq!(unknown.detector, None);
    assert_eq!(
        (unknown.detector_name(), unknown.about()),
        ("moon_phase", "store")
    );
}

on_both_engines! {
    publishing_twice_writes_once_and_other_content_is_refused,
    an_event_over_the_bound_is_refused_and_the_batch_goes_on,
    a_delivery_is_settled_once,
    of_an_outcome_and_a_failure_of_one_flight_the_first_taken_counts,
    what_an_ended_run_submits_is_refused_and_stays_owed,
    the_last_attempt_makes_it_dead_tells_and_a_replay_makes_it_owed_again,
    the_death_of_a_dead_letters_event_is_not_told,
    an_outcome_that_breaks_a_rule_applies_nothing_of_itself_and_harms_no_neighbour,
    an_offer_is_answered_with_the_oldest_of_the_subject_that_is_owed_and_due,
    a_moment_beyond_the_longest_backoff_is_due_now,
    what_is_done_is_pruned_and_numbers_are_never_given_twice,
    the_audit_chain_holds_breaks_where_it_was_touched_and_survives_retention,
    what_is_done_is_owed_again_when_it_is_replayed_and_causes_other_events,
    a_dead_delivery_that_is_dropped_is_done_and_says_so,
    nothing_is_replayed_to_an_agent_that_is_off,
    a_removed_document_stays_until_its_chunks_are_gone,
    what_an_earlier_reader_has_rejected_is_looked_at_again,
    the_last_scan_of_a_collection_that_left_the_config_is_forgotten,
    an_issue_of_a_detector_of_another_version_is_read_under_its_name,
    a_file_is_looked_at_with_the_others_and_alone,
}

async fn a_file_is_looked_at_with_the_others_and_alone(on: Engine) {
    let opened = open_on(on).await;
    let store = &opened.store;
    let bytes = match on {
        Engine::File => "BLOB",
        Engine::Database => "BYTEA",
    };
    opened.place.change(&format!(
        "INSERT INTO manifest (collection, path, state, size, mtime_ns, ctime_ns, device, inode)
         VALUES ('docs', CAST('a.md' AS {bytes}), 'withheld', 1, 2, 3, 4, 5)"
    ));
    let views = store.file_views((String::new(), Vec::new()), 10).await;
    let listed: Vec<_> = views.unwrap().into_iter().map(|view| view.path).collect();
    let places = ["a.md", "gone.md"].map(|path| ("docs".to_owned(), path.as_bytes().to_vec()));
    let views = store.file_views_of(places.to_vec()).await.unwrap();
    let asked: Vec<_> = views.into_iter().map(|view| view.path).collect();
    assert_eq!(
        (listed.len(), asked),
        (1, vec![b"a.md".to_vec(), b"gone.md".to_vec()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_the_store_is_reached_again_and_counts_what_is_there() {
    let opened = open_on(Engine::Database).await;
    let database = opened.place.database.clone().unwrap();
    let one = opened.store.publish(report("a")).await.unwrap();
    database.cut();
    // What was asked on a session that is gone may fail; asked again it is done, once.
    let other = report("b");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let two = loop {
        match opened.store.publish(other.clone()).await {
            Ok(published) => break published,
            Err(WriteError::Unavailable(why)) => {
                assert!(std::time::Instant::now() < deadline, "{why}");
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(two.seq, Seq(one.seq.0 + 1));
    assert_eq!(opened.store.counts(AUDIT).owed, 2);
    database.cut();
    while opened.store.events_after(Seq(0), 10).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "readers are replaced");
    }
    assert_eq!(first(&opened.store).await, [one.seq, two.seq]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_a_database_alone_while_a_host_works_on_it() {
    let opened = open_on(Engine::Database).await;
    let database = opened.place.database.clone().unwrap();
    let alone = || database.reached().connect_writer(Writers::Alone);
    let asked = tokio::task::block_in_place(|| alone().err());
    assert!(matches!(asked, Some(DatabaseError::InUse(_))), "{asked:?}");
}
