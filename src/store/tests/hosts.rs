//! Several hosts on one database: whose turn it is, and that nothing of another term is written.

use std::future::Future;
use std::time::Instant;

use super::*;
use crate::event::EventId;
use crate::store::leases::Captured;

/// A host at work on a database.
struct Host {
    store: Store,
    closer: Closer,
    dir: TempDir,
}

impl Host {
    async fn join(database: &TestDatabase, instance: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Host::join_in(database, instance, dir).await.unwrap()
    }

    /// One that takes deliveries.
    async fn taking(database: &TestDatabase, instance: &str) -> Self {
        let options = HostOptions {
            instance: instance.to_owned(),
            takes: true,
            ..host()
        };
        let dir = tempfile::tempdir().unwrap();
        Host::join_with(database, options, dir).await.unwrap()
    }

    async fn join_in(
        database: &TestDatabase,
        instance: &str,
        dir: TempDir,
    ) -> Result<Self, OpenError> {
        let options = HostOptions {
            instance: instance.to_owned(),
            ..host()
        };
        Host::join_with(database, options, dir).await
    }

    async fn join_with(
        database: &TestDatabase,
        options: HostOptions,
        dir: TempDir,
    ) -> Result<Self, OpenError> {
        let (reached, data_dir) = (database.reached(), dir.path().to_owned());
        let opening = tokio::task::spawn_blocking(move || {
            Store::open_database(&data_dir, reached, options_of_hosts(), options)
        });
        let (store, closer) = opening.await.unwrap()?;
        Ok(Host { store, closer, dir })
    }

    async fn leave(self) {
        let Host { store, closer, dir } = self;
        drop(store);
        let closing = tokio::task::spawn_blocking(|| closer.close());
        assert!(closing.await.unwrap());
        drop(dir);
    }

    fn slots(&self) -> usize {
        self.store.leases().slots_held()
    }
}

/// With a longest backoff that is more than a moment.
fn options_of_hosts() -> StoreOptions {
    let retry = RetryPolicy {
        backoff_max: Duration::from_secs(60),
        ..options().retry
    };
    StoreOptions { retry, ..options() }
}

/// Waits until something holds.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until two hosts have half of the slots each.
async fn shared(one: &Host, two: &Host) {
    until("each has half of the slots", || async {
        (one.slots(), two.slots()) == (128, 128)
    })
    .await;
}

fn subject_of(host: &Host) -> Subject {
    let subjects = (0..).map(|n| Subject::parse(&format!("docs/{n}")).unwrap());
    let mut held = subjects.filter(|subject| host.store.leases().has_slot_of(subject));
    held.next().unwrap()
}

fn about(subject: &Subject) -> NewEvent {
    NewEvent::root(EventType::ReportWritten, "test", subject.clone(), json!({}))
}

/// Ends a flight that was begun under a lease.
async fn settle_under(store: &Store, seq: Seq, slot: &SlotUse) -> Result<Settled, WriteError> {
    let key = key(store, seq).await;
    let fence = Incarnation::begin().flight(slot.right());
    let submitted = store.settle(key, fence, done(), "s").await;
    submitted.unwrap().committed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_share_the_slots_and_what_one_leaves_the_other_has() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    until("the first has everything", || async { one.slots() == 256 }).await;
    let two = Host::join(&database, "two").await;
    shared(&one, &two).await;
    let docs = LeaseName::Collection("docs".to_owned());
    assert!(one.store.leases().has(&docs) && !two.store.leases().has(&docs));
    let hosts = two.store.hosts().await.unwrap();
    let seen: Vec<(&str, usize, bool)> = hosts
        .iter()
        .map(|host| (host.instance.as_str(), host.slots, host.is_this))
        .collect();
    assert_eq!(seen, [("one", 128, false), ("two", 128, true)]);
    assert_eq!(hosts[0].collections, ["docs"]);
    assert_eq!(hosts[0].tasks, ["alerts", "housekeeping"]);
    assert!(hosts[1].collections.is_empty() && hosts[1].tasks.is_empty());
    // What is under way keeps its slot from being given up.
    let subject = subject_of(&two);
    let under_way = two.store.leases().use_slot_of(&subject).unwrap();
    one.leave().await;
    until("the second has everything", || async {
        two.slots() == 256 && two.store.leases().has(&docs)
    })
    .await;
    assert!(under_way.is_current());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commits_of_all_hosts_are_one_sequence_and_each_hears_of_the_others() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let two = Host::join(&database, "two").await;
    shared(&one, &two).await;
    let mut publishing = Vec::new();
    for n in 0..100 {
        let store = [&one, &two][n % 2].store.clone();
        publishing.push(async move {
            let published = store.publish(report(&n.to_string())).await;
            published.unwrap().seq
        });
    }
    let mut seqs = futures_util::future::join_all(publishing).await;
    seqs.sort_unstable();
    let all: Vec<Seq> = (1..=100).map(Seq).collect();
    assert_eq!(seqs, all);
    for (n, seq) in seqs.iter().enumerate() {
        let store = &[&one, &two][n % 2].store;
        let record = AuditRecord {
            event: seq.0,
            body: format!("{{\"subject\":\"{n}\"}}"),
        };
        let outcome = Outcome::nothing().effect(Effect::Audit(record));
        settle(store, *seq, Settlement::Done(outcome))
            .await
            .unwrap();
    }
    assert_eq!(super::records(&one.store).await, Ok(100));
    let last = one.store.publish(report("last")).await.unwrap().seq;
    until("the other host knows of it", || async {
        two.store.head().borrow().seq == last && two.store.counts(AUDIT).owed == 1
    })
    .await;
}

/// Something of a slot of this host that is under way.
async fn under_way(host: &Host) -> (Subject, PublishedEvent, SlotUse) {
    until("it has everything", || async { host.slots() == 256 }).await;
    let subject = subject_of(host);
    let published = host.store.publish(about(&subject)).await.unwrap();
    let slot = host.store.leases().use_slot_of(&subject).unwrap();
    (subject, published, slot)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_under_a_lease_that_has_passed_on_is_refused() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let (subject, published, slot) = under_way(&one).await;
    let docs = LeaseName::Collection("docs".to_owned());
    let watching = one.store.leases().lease(&docs);
    // Somebody else had all of it meanwhile.
    database.run(
        "BEGIN; UPDATE lease SET term = term + 2; UPDATE counter SET value = value + 1 WHERE name = 'leases'; COMMIT",
    );
    let late = settle_under(&one.store, published.seq, &slot).await;
    assert_eq!(late, Err(WriteError::Refused));
    let capture = one
        .store
        .submit_under(watching, Vec::new(), vec![report("capture")])
        .await;
    let refused = capture.unwrap().committed().await;
    assert_eq!(refused, Err(WriteError::Refused));
    until("it knows the new terms", || async { !slot.is_current() }).await;
    let again = one.store.leases().use_slot_of(&subject).unwrap();
    let settled = settle_under(&one.store, published.seq, &again).await;
    assert_eq!(settled, Ok(Settled::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_is_ended_and_begins_with_nothing_when_it_comes_back() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let (subject, published, slot) = under_way(&one).await;
    // As another host would that has not heard of it.
    database.run(
        "BEGIN; UPDATE host SET ended_at = renewed_at; UPDATE lease SET holder = NULL;
         UPDATE counter SET value = value + 1 WHERE name = 'leases'; COMMIT",
    );
    let late = settle_under(&one.store, published.seq, &slot).await;
    assert_eq!(late, Err(WriteError::Refused));
    until("it has joined again", || async {
        one.store.leases().has_slot_of(&subject) && !slot.is_current()
    })
    .await;
    let late = settle_under(&one.store, published.seq, &slot).await;
    assert_eq!(late, Err(WriteError::Refused), "of an earlier incarnation");
    let again = one.store.leases().use_slot_of(&subject).unwrap();
    let settled = settle_under(&one.store, published.seq, &again).await;
    assert_eq!(settled, Ok(Settled::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_take_over_what_a_dead_host_had_and_its_successor_at_once() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let id = std::fs::read_to_string(one.dir.path().join("host-id")).unwrap();
    one.leave().await;
    // Two that were killed: one on the same data_dir, and a stranger.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("host-id"), &id).unwrap();
    let killed = |incarnation: &str, data_dir: &str| {
        format!(
            "INSERT INTO host SELECT '{incarnation}', '{incarnation}', '{data_dir}', '0', 0,
               CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), NULL, NULL, 0;
             UPDATE lease SET holder = '{incarnation}', term = term + 1 WHERE name {} 'slot/1%';",
            if data_dir == "elsewhere" {
                "LIKE"
            } else {
                "NOT LIKE"
            }
        )
    };
    database.run(&killed("stranger", "elsewhere"));
    database.run(&killed("predecessor", id.trim()));
    let began = Instant::now();
    let two = Host::join_in(&database, "two", dir).await.unwrap();
    until("it has what its predecessor had", || async {
        two.slots() >= 128
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(9), "at once");
    until("it has what the stranger had", || async {
        two.slots() == 256
    })
    .await;
    assert!(
        began.elapsed() > Duration::from_secs(9),
        "not before it is sure"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_is_not_waited_for_until_the_clock_is_where_it_was() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    until("it has everything", || async { one.slots() == 256 }).await;
    // Another one was killed, and the clock of the database was set back by ten minutes.
    database.run(
        "INSERT INTO host SELECT 'gone', 'gone', 'elsewhere', '0', 0,
           CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) + 600000, NULL, NULL, 0;
         UPDATE lease SET holder = 'gone', term = term + 1 WHERE name LIKE 'slot/1%'",
    );
    until("it is told what it has lost", || async {
        one.slots() < 256
    })
    .await;
    until("it has everything again", || async { one.slots() == 256 }).await;
    one.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_commits_is_known_by_the_last_batch_and_nothing_of_before_counts() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let (subject, first, slot) = under_way(&one).await;
    let head = *one.store.head().borrow();
    // As a replica that was behind has it: the same rows, and another batch was the last one.
    database.run("UPDATE host SET batch = 'an earlier one'");
    database.cut();
    until("it knows, though it has nothing to do", || async {
        one.store.head().borrow().losses > head.losses
    })
    .await;
    assert!(one.store.figures().commits_lost().is_some());
    let late = settle_under(&one.store, first.seq, &slot).await;
    assert_eq!(late, Err(WriteError::Refused));
    until("it has joined again", || async {
        one.store.leases().has_slot_of(&subject)
    })
    .await;
    assert!(!slot.is_current());
    let again = one.store.leases().use_slot_of(&subject).unwrap();
    let settled = settle_under(&one.store, first.seq, &again).await;
    assert_eq!(settled, Ok(Settled::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_restored_under_an_open_session_is_noticed() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let (_, first, slot) = under_way(&one).await;
    let head = *one.store.head().borrow();
    database.run("UPDATE counter SET value = value - 1 WHERE name = 'batches'");
    until("it knows, though it has nothing to do", || async {
        one.store.head().borrow().losses > head.losses
    })
    .await;
    assert!(one.store.figures().commits_lost().is_some());
    assert!(!slot.is_current());
    let late = settle_under(&one.store, first.seq, &slot).await;
    assert_eq!(late, Err(WriteError::Refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_another_host_that_are_lost_are_known_by_what_was_seen_of_them() {
    for lost in [
        "UPDATE counter SET value = value - 1 WHERE name = 'batches'",
        // As it is where others have written again since.
        "UPDATE audit SET hash = 'of another record'",
        "DELETE FROM audit",
    ] {
        let database = TestDatabase::new();
        let one = Host::join(&database, "one").await;
        let two = Host::join(&database, "two").await;
        let record = AuditRecord {
            event: 1,
            body: r#"{"type":"report.written"}"#.to_owned(),
        };
        let audited = two.store.submit(vec![Effect::Audit(record)], Vec::new());
        audited.await.unwrap().committed().await.unwrap();
        let seq = two.store.publish(report("seen")).await.unwrap().seq;
        until("the other one has seen it", || async {
            one.store.head().borrow().seq == seq
        })
        .await;
        let losses = one.store.head().borrow().losses;
        database.cut();
        until("it is connected again", || async {
            one.store.publish(report("again")).await.is_ok()
        })
        .await;
        assert_eq!(one.store.head().borrow().losses, losses, "nothing is lost");
        two.leave().await;
        database.run(lost);
        database.cut();
        until(lost, || async { one.store.head().borrow().losses > losses }).await;
        assert!(one.store.figures().commits_lost().is_some());
    }
}

#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_that_fails_has_learnt_of_leases_is_told_with_the_next() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    until("it has everything", || async { one.slots() == 256 }).await;
    one.store.publish(report("a")).await.unwrap();
    one.store.signal(AUDIT).take_rewind();
    one.store.gate().disk_full(true);
    database.run("UPDATE counter SET value = value + 1 WHERE name = 'leases'");
    one.store.publish(report("b")).await.unwrap_err();
    assert_eq!(one.store.signal(AUDIT).take_rewind(), None);
    one.store.gate().disk_full(false);
    one.store.publish(report("c")).await.unwrap();
    assert_eq!(one.store.signal(AUDIT).take_rewind(), Some(Seq(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_of_the_same_name_is_refused() {
    let database = TestDatabase::new();
    let _one = Host::join(&database, "one").await;
    let refused = Host::join_in(&database, "one", tempfile::tempdir().unwrap()).await;
    let refused = refused.err().unwrap();
    assert!(
        matches!(refused, OpenError::Database(DatabaseError::SameName(_))),
        "{refused}"
    );
}

/// The server plans a statement while its tables are empty, and keeps the plan.
#[tokio::test(flavor = "multi_thread")]
async fn no_batch_reads_the_ledger_from_end_to_end() {
    const BATCHES: usize = 40;
    const EVENTS: usize = 50;
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    for batch in 0..BATCHES {
        let events = (0..EVENTS).map(|n| report(&format!("docs/{batch}/{n}")));
        let submitted = one.store.submit(Vec::new(), events.collect()).await;
        submitted.unwrap().committed().await.unwrap();
    }
    let count = |what: &str| {
        let tables = "pg_stat_user_tables WHERE relname IN ('event', 'delivery')";
        let counted = database.run(&format!("SELECT MIN(n_tup_ins), SUM({what}) FROM {tables}"));
        let counts: Vec<usize> = counted
            .trim()
            .split('|')
            .filter_map(|count| count.parse().ok())
            .collect();
        (counts[0], counts[1])
    };
    // A session tells its counts a second after the last time.
    until("the server has counted all", || async {
        count("idx_scan").0 >= BATCHES * EVENTS
    })
    .await;
    let (_, read) = count("seq_tup_read");
    assert!(read <= EVENTS, "{read} rows were read on the way to others");
}

/// Takes a delivery of the agent `AUDIT`.
async fn take(host: &Host, seq: Seq, hold: &HoldUse) -> Option<HoldToken> {
    let event = host
        .store
        .events_after(Seq(seq.0 - 1), 1)
        .await
        .unwrap()
        .remove(0);
    let taking = host
        .store
        .take(event.key(AUDIT), event.subject.clone(), hold);
    taking.await.unwrap().committed().await.unwrap()
}

/// Ends a flight that was taken.
async fn settle_taken(host: &Host, seq: Seq, token: &HoldToken) -> Result<Settled, WriteError> {
    let key = key(&host.store, seq).await;
    let fence = Incarnation::begin().flight(FlightRight::Held(token.clone()));
    let submitted = host.store.settle(key, fence, done(), "s").await;
    submitted.unwrap().committed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_subject_one_delivery_is_taken_by_one_host_and_the_oldest_first() {
    let database = TestDatabase::new();
    let one = Host::taking(&database, "one").await;
    let two = Host::taking(&database, "two").await;
    let first = one.store.publish(report("a")).await.unwrap().seq;
    let second = one.store.publish(report("a")).await.unwrap().seq;
    let begin = |host: &Host, seq: Seq| host.store.leases().begin_take(AUDIT, seq).unwrap();
    let early = begin(&two, second);
    assert_eq!(
        take(&two, second, &early).await,
        None,
        "an older one was never attempted"
    );
    let hold = begin(&one, first);
    assert!(
        one.store.leases().begin_take(AUDIT, first).is_none(),
        "it is in hand"
    );
    let token = take(&one, first, &hold).await.unwrap();
    let other = begin(&two, first);
    assert_eq!(take(&two, first, &other).await, None, "somebody has it");
    let forged = HoldToken {
        token: token.token + 1,
        ..token.clone()
    };
    assert_eq!(
        settle_taken(&one, first, &forged).await,
        Err(WriteError::Refused)
    );
    assert_eq!(settle_taken(&one, first, &token).await, Ok(Settled::Done));
    assert_eq!(
        settle_taken(&one, first, &token).await,
        Err(WriteError::Refused)
    );
    let token = take(&two, second, &early).await.unwrap();
    // A host that has ended takes nothing, and what it had is free.
    two.store.barrier().await.unwrap();
    database.run(
        "UPDATE host SET ended_at = 1 WHERE instance = 'two'; UPDATE delivery SET holder = NULL",
    );
    assert_eq!(
        settle_taken(&two, second, &token).await,
        Err(WriteError::Refused)
    );
    let again = begin(&one, second);
    let token = take(&one, second, &again).await.unwrap();
    assert_eq!(settle_taken(&one, second, &token).await, Ok(Settled::Done));
    // What failed is taken again when it is due, not before.
    let third = one.store.publish(report("a")).await.unwrap().seq;
    let due_at = |at: i64| {
        let event = third.0;
        database.run(&format!(
            "UPDATE delivery SET attempts = 1, due_at = {at} WHERE event = {event}"
        ))
    };
    let hold = begin(&one, third);
    due_at(
        Millis::now()
            .plus(options_of_hosts().retry.backoff_max / 2)
            .0,
    );
    assert_eq!(take(&one, third, &hold).await, None, "it is not due");
    due_at(Millis::now().0);
    assert!(take(&one, third, &hold).await.is_some());
}

#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn of_the_takes_in_one_batch_one_of_each_subject_is_granted() {
    let database = TestDatabase::new();
    let one = Host::taking(&database, "one").await;
    let mut published = Vec::new();
    for subject in ["a", "a", "b", "c", "c"] {
        published.push(one.store.publish(report(subject)).await.unwrap().seq);
    }
    // The first of them was attempted, so the next may go before it.
    let (older, younger) = (published[3], published[4]);
    let attempted = "UPDATE delivery SET attempts = 1, due_at = 0 WHERE event = ";
    database.run(&format!("{attempted}{}", older.0));
    let taken = [published[1], published[0], published[2], younger, older];
    let begin = |seq| one.store.leases().begin_take(AUDIT, seq).unwrap();
    let holds = taken.map(begin);
    let events = one.store.events_after(Seq(0), 100).await.unwrap();
    let sent = async {
        let mut sent = Vec::new();
        for (seq, hold) in taken.iter().zip(&holds) {
            let event = events.iter().find(|event| event.seq == *seq).unwrap();
            let taking = one
                .store
                .take(event.key(AUDIT), event.subject.clone(), hold);
            sent.push(taking.await.unwrap());
        }
        sent
    };
    let mut granted = Vec::new();
    for taking in in_one_batch(&one.store, sent).await {
        granted.push(taking.committed().await.unwrap());
    }
    let is_granted: Vec<bool> = granted.iter().map(Option::is_some).collect();
    assert_eq!(is_granted, [false, true, true, true, false]);
    for (seq, token) in taken.iter().zip(&granted) {
        if let Some(token) = token {
            assert_eq!(settle_taken(&one, *seq, token).await, Ok(Settled::Done));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_has_taken_and_has_not_in_hand_is_released() {
    let database = TestDatabase::new();
    let one = Host::taking(&database, "one").await;
    let seq = one.store.publish(report("a")).await.unwrap().seq;
    let due = || DueBy::new(Millis::now(), Duration::from_secs(1));
    let carried = || async {
        let states = one.store.carried(AUDIT, vec![seq, Seq(99)], due()).await;
        states.unwrap()
    };
    assert_eq!(carried().await[&seq], CarriedState::Free);
    assert_eq!(carried().await[&Seq(99)], CarriedState::Ended);
    let hold = one.store.leases().begin_take(AUDIT, seq).unwrap();
    let token = take(&one, seq, &hold).await.unwrap();
    // It is in hand through renewals,
    for _ in 0..2 {
        let renewed = || database.run("SELECT renewed_at FROM host");
        let before = renewed();
        until("it renews its row", || async { renewed() != before }).await;
    }
    assert_eq!(carried().await[&seq], CarriedState::Held);
    let rows = one.store.first_attempts(AUDIT, Seq(0), 10).await.unwrap();
    assert!(rows[0].is_held);
    // and its runner is replaced.
    drop(hold);
    until("it is released", || async {
        carried().await[&seq] == CarriedState::Free
    })
    .await;
    assert_eq!(
        settle_taken(&one, seq, &token).await,
        Err(WriteError::Refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_were_killed_hold_nobody_to_their_settings() {
    let database = TestDatabase::new();
    let with = |value: &str| HostOptions {
        instance: value.to_owned(),
        settings: std::collections::BTreeMap::from([("jobs".to_owned(), value.to_owned())]),
        ..host()
    };
    let dir = || tempfile::tempdir().unwrap();
    let one = Host::join_with(&database, with("1"), dir()).await.unwrap();
    let refused = Host::join_with(&database, with("2"), dir()).await.err();
    let refused = refused.unwrap().to_string();
    assert!(
        refused.contains("jobs is 2 here, but 1 on the hosts"),
        "{refused}"
    );
    one.leave().await;
    // As a kill leaves it.
    database.run("UPDATE host SET ended_at = NULL");
    let _two = Host::join_with(&database, with("2"), dir()).await.unwrap();
    let at_work = database.run("SELECT instance FROM host WHERE ended_at IS NULL");
    assert_eq!(at_work.trim(), "2", "one that comes back must agree");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_begun_once_and_only_by_the_incarnation_that_it_is_asked_of() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let two = Host::join(&database, "two").await;
    let write = async |host: &Host, change: RestartChange| {
        let submitted = host.store.submit(vec![Effect::Restart(change)], Vec::new());
        submitted.await.unwrap().committed().await.unwrap();
    };
    let stage = async |id: EventId| one.store.restart(id).await.unwrap().map(|row| row.stage);
    let hosts = one.store.hosts().await.unwrap();
    let of_two = &hosts[1].incarnation;
    let ask = async || {
        let id = EventId::fresh();
        write(&one, RestartChange::asked(id, of_two, AgentName::Rag)).await;
        assert_eq!(stage(id).await, Some(RestartStage::Asked));
        id
    };
    let id = ask().await;
    assert!(one.store.restarts_asked(9).await.unwrap().is_empty());
    let asked = RestartAsked {
        id,
        agent: AgentName::Rag,
    };
    assert_eq!(two.store.restarts_asked(9).await.unwrap(), [asked]);
    write(&two, RestartChange::begun(id)).await;
    assert!(two.store.restarts_asked(9).await.unwrap().is_empty());
    // What was begun cannot be withdrawn.
    write(&one, RestartChange::withdrawn(id)).await;
    assert_eq!(stage(id).await, Some(RestartStage::Begun));
    write(&two, RestartChange::ended(id, "running", 3)).await;
    let ended = RestartStage::Ended {
        state: "running".to_owned(),
        restarts: 3,
    };
    assert_eq!(stage(id).await, Some(ended));
    // What was withdrawn is not begun,
    let id = ask().await;
    write(&one, RestartChange::withdrawn(id)).await;
    write(&two, RestartChange::begun(id)).await;
    assert_eq!(stage(id).await, None);
    // nor is what nobody waits for any more,
    let id = ask().await;
    database.run("UPDATE restart_wanted SET at = at - 15000");
    assert!(two.store.restarts_asked(9).await.unwrap().is_empty());
    write(&two, RestartChange::begun(id)).await;
    assert_eq!(stage(id).await, Some(RestartStage::Asked));
    // and a host that has joined again is asked nothing that was asked of it before.
    let id = ask().await;
    database.run("UPDATE host SET ended_at = renewed_at WHERE instance = 'two'");
    until("it has joined again", || async {
        let hosts = one.store.hosts().await.unwrap();
        let works = hosts.iter().find(|host| host.instance == "two");
        works.is_some_and(|host| host.incarnation != *of_two)
    })
    .await;
    assert!(two.store.restarts_asked(9).await.unwrap().is_empty());
    assert!(!one.store.restart(id).await.unwrap().unwrap().host_works);
    // Old ones are forgotten with the next one.
    database.run("UPDATE restart_wanted SET at = 0");
    ask().await;
    let kept = database.run("SELECT COUNT(*) FROM restart_wanted");
    assert_eq!(kept.trim(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_says_what_each_agent_has_in_flight() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let two = Host::join(&database, "two").await;
    let seen = || async {
        let hosts = two.store.hosts().await.unwrap();
        hosts[0].in_flight.agents().collect::<Vec<_>>()
    };
    assert!(seen().await.is_empty());
    for count in [7, 0] {
        one.store.leases().set_in_flight(AgentName::Rag, count);
        until("the other host sees it", || async {
            seen().await == [(AgentName::Rag, count)]
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_says_what_is_captured_of_what_the_host_watches() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let two = Host::join(&database, "two").await;
    let seen = || async { two.store.hosts().await.unwrap()[0].captured };
    assert_eq!(seen().await, Captured::default());
    let leases = one.store.leases();
    leases.note_captures(true, 0, None);
    let all = Millis::now();
    until("all of it is captured", || async {
        seen().await.to > Some(all)
    })
    .await;
    leases.note_captures(true, 2, None);
    until("two paths are pending", || async {
        seen().await.pending == 2
    })
    .await;
    let until_then = seen().await.to;
    assert!(until_then > Some(all) && until_then < Some(Millis::now()));
    leases.note_captures(false, 0, None);
    until("nothing is known", || async { seen().await.to.is_none() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_commit_is_in_doubt_no_offer_is_answered_before_its_end() {
    let database = TestDatabase::new();
    let host = Host::join(&database, "one").await;
    let seq = host.store.publish(report("a")).await.unwrap().seq;
    let due = DueBy::new(Millis::now(), Duration::from_secs(60));
    // An earlier session has the lock of the commits, and nobody knows what it will do.
    let (begun, has_lock) = tokio::sync::oneshot::channel();
    let database = database.reached();
    let earlier = tokio::task::spawn_blocking(move || {
        let session = database.connect_writer(Writers::Shared).unwrap();
        session.execute_batch("BEGIN").unwrap();
        let lock = session.query_row(leases::LOCK_HEAD, [], |row| row.get::<u64>(0));
        lock.unwrap();
        begun.send(()).unwrap();
        std::thread::park_timeout(Duration::from_millis(500));
        let done = "UPDATE delivery SET state = 'done', settled_at = 1 WHERE event = ?1";
        session.execute(done, [seq]).unwrap();
        session.execute_batch("COMMIT").unwrap();
    });
    has_lock.await.unwrap();
    host.store.leases().set_in_doubt(true);
    let classes = host.store.classify(AUDIT, vec![seq], due).await;
    assert_eq!(classes, Ok(vec![OfferClass::Settled]));
    earlier.await.unwrap();
    assert!(!host.store.leases().is_in_doubt());
    host.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_at_the_same_moment_on_an_empty_database_all_join() {
    let database = TestDatabase::new();
    let (one, two, three) = tokio::join!(
        Host::join(&database, "one"),
        Host::join(&database, "two"),
        Host::join(&database, "three"),
    );
    for host in [one, two, three] {
        host.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_data_dir_was_copied_stands_back_and_the_two_do_not_oust_each_other() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(one.dir.path().join("host-id"), copy.path().join("host-id")).unwrap();
    let two = Host::join_in(&database, "two", copy).await.unwrap();
    let joined_as = two.store.leases().incarnation();
    until("the copy has everything", || async { two.slots() == 256 }).await;
    // Long enough for the other one to have tried again.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!one.store.leases().are_trusted());
    let refused = one.store.standing().refused.unwrap();
    assert!(refused.contains("remove host-id"), "{refused}");
    assert_eq!(two.store.leases().incarnation(), joined_as);
    assert_eq!(two.slots(), 256);
    two.leave().await;
    until("the other one has joined again", || async {
        one.slots() == 256 && one.store.standing().refused.is_none()
    })
    .await;
    one.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_of_a_host_that_is_gone_for_a_while_goes_on_from_is_not_pruned() {
    let database = TestDatabase::new();
    let one = Host::join(&database, "one").await;
    let two = Host::join(&database, "two").await;
    one.store.follows_to(9);
    two.store.follows_to(5);
    let lowest = || async {
        let reached = database.reached();
        let asking = tokio::task::spawn_blocking(move || {
            let session = reached.connect_writer(Writers::Shared).unwrap();
            leases::lowest_position(&session).unwrap()
        });
        asking.await.unwrap()
    };
    until("both are told", || async { lowest().await == Some(5) }).await;
    two.leave().await;
    assert_eq!(lowest().await, Some(5));
    database.run("DELETE FROM host WHERE ended_at IS NOT NULL");
    until("it is forgotten", || async { lowest().await == Some(9) }).await;
    one.leave().await;
}
