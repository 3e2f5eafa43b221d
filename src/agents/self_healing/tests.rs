//! The life of issues and fixes against a real store.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hands::Hands;
use super::*;
use crate::event::{Event, Heartbeat, Millis, NewEvent, Subject};
use crate::health::{Fix, RedisFacts, RedisStanding};
use crate::index::FollowerState;
use crate::runtime::{AgentState, DutyContext, Phase, RootReport, RootState};
use crate::store::tests::{options, settle_key, write};
use crate::store::{
    Closer, Detector, Digest, Effect, EventFilter, FileStat, FileState, FixAttempt, Issue,
    ManifestEntry, Settlement, StoreOptions,
};

/// A store in a folder of its own, and a process around it that the test plays.
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) requests: Arc<Requests>,
    board: Board,
    desk: ScanDesk,
    index: watch::Sender<FollowerState>,
    redis: watch::Sender<Option<RedisFacts>>,
    hands: Arc<TestHands>,
    start: Instant,
    _closer: Closer,
    folder: tempfile::TempDir,
}

/// Hands that note what they are asked for and do what the test says.
#[derive(Default)]
struct TestHands {
    asked: Mutex<Vec<(Fix, String)>>,
    #[expect(clippy::type_complexity, reason = "a queue of what to do")]
    acts: Mutex<VecDeque<Box<dyn FnOnce() -> Result<String, String> + Send>>>,
}

impl TestHands {
    fn then(&self, act: impl FnOnce() -> Result<String, String> + Send + 'static) {
        self.acts.lock().unwrap().push_back(Box::new(act));
    }

    fn asked(&self) -> Vec<Fix> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(fix, _)| fix.clone())
            .collect()
    }
}

impl Hands for TestHands {
    fn apply(&self, fix: &Fix, why: &str) -> Boxed<'static, Result<String, String>> {
        self.asked
            .lock()
            .unwrap()
            .push((fix.clone(), why.to_owned()));
        let act = self
            .acts
            .lock()
            .unwrap()
            .pop_front()
            .expect("the test says what to do");
        Box::pin(async move { act() })
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            ledger_keep_events: 100,
            agents: vec![AgentName::SelfHealing, AgentName::DocumentManagement],
            ..options()
        };
        let (store, closer) = Store::open(folder.path(), options).unwrap();
        let board = Board::new(AgentName::ALL);
        for name in AgentName::ALL {
            board.update(*name, |agent| agent.state = AgentState::Running);
        }
        board.enter(Phase::Running);
        let ready = FollowerState {
            ready: true,
            ..FollowerState::default()
        };
        Bench {
            store,
            requests: Arc::default(),
            board,
            desk: ScanDesk::default(),
            index: watch::Sender::new(ready),
            redis: watch::Sender::new(None),
            hands: Arc::default(),
            start: Instant::now(),
            _closer: closer,
            folder,
        }
    }

    fn probe(&self) -> Probe {
        Probe::new(Parts {
            options: HealingOptions {
                instance: "here".to_owned(),
                data_dir: self.folder.path().to_owned(),
                collections: vec!["docs".to_owned()],
                probe: Duration::from_secs(10),
                slice: 100,
                fix_attempts: 2,
                fix_backoff: Duration::from_secs(60),
                retention: Duration::from_secs(3600),
                limits: Limits {
                    free_space: 1,
                    ..Limits::default()
                },
            },
            store: self.store.clone(),
            source: Source::new(self.store.clone(), 64, 1 << 20),
            board: self.board.clone(),
            scans: self.desk.progress(),
            index: self.index.subscribe(),
            redis: self.redis_look(),
            compute: Compute::new(1),
            requests: self.requests.clone(),
            hands: self.hands.clone(),
        })
    }

    fn redis_look(&self) -> RedisLook {
        let redis = self.redis.subscribe();
        Arc::new(move || redis.borrow().clone())
    }

    /// One round, `seconds` after the start.
    async fn round(&self, probe: &mut Probe, seconds: u64) {
        let later = Duration::from_secs(seconds);
        probe
            .round(self.start + later, Millis::now().plus(later))
            .await
            .unwrap();
    }

    pub(super) async fn events(&self, kind: Option<EventType>) -> Vec<Event> {
        let filter = EventFilter {
            kind,
            limit: 10_000,
            ..EventFilter::default()
        };
        self.store.events(filter).await.unwrap()
    }

    /// What self_healing told, oldest first: type and subject.
    async fn told(&self) -> Vec<(EventType, String)> {
        let mut told: Vec<_> = self
            .events(None)
            .await
            .into_iter()
            .filter(|event| event.source == "agent/self_healing@here")
            .map(|event| (event.kind, event.subject.to_string()))
            .collect();
        told.reverse();
        told
    }

    async fn open(&self) -> Vec<Issue> {
        self.store.issues(false, 100).await.unwrap()
    }

    fn park(&self, agent: AgentName) {
        self.board.update(agent, |a| {
            a.state = AgentState::Parked;
            a.reason = Some("it panicked".to_owned());
        });
    }
}

const RAG: &str = "agent/rag@here";

#[tokio::test]
async fn a_process_that_is_well_has_no_issue() {
    let bench = Bench::new();
    let mut probe = bench.probe();
    for seconds in [0, 10, 20, 4000] {
        bench.round(&mut probe, seconds).await;
    }
    assert_eq!(bench.open().await, []);
    assert_eq!(bench.told().await, []);
    assert_eq!(probe.trouble, None);
}

#[tokio::test]
async fn an_issue_is_told_when_it_opens_and_when_it_closes_across_restarts() {
    let bench = Bench::new();
    let absent = RootReport {
        collection: "docs".to_owned(),
        path: "/docs".into(),
        state: RootState::Absent("no such folder".to_owned()),
        polled: None,
        walked_at: None,
        unlisted: Vec::new(),
        shut: Vec::new(),
    };
    bench.desk.report(|progress| progress.roots.push(absent));
    let mut probe = bench.probe();
    bench.round(&mut probe, 0).await;
    bench.round(&mut probe, 10).await;
    let issue = (EventType::HealthIssue, "docs".to_owned());
    assert_eq!(bench.told().await, std::slice::from_ref(&issue));
    let event = bench.events(Some(EventType::HealthIssue)).await.remove(0);
    let expected = json!({"severity": "error", "detector": "root_absent", "value": "no such folder; its documents are kept",
        "limit": "every root can be reached"});
    assert_eq!(event.data, expected);
    let open = bench.open().await;
    assert_eq!(open[0].subject, "root_absent:docs");

    // Another run: it stands, and is not told again; then it is gone.
    let mut probe = bench.probe();
    bench.round(&mut probe, 20).await;
    assert_eq!(bench.told().await.len(), 1);
    bench.desk.report(|progress| progress.roots.clear());
    let mut probe = bench.probe();
    bench.round(&mut probe, 30).await;
    bench.round(&mut probe, 40).await;
    let recovered = (EventType::HealthRecovered, "docs".to_owned());
    let scan = (EventType::ScanRequested, "docs".to_owned());
    assert_eq!(bench.told().await, [issue, recovered, scan]);
    assert_eq!(bench.open().await, []);
}

#[tokio::test]
async fn a_redis_that_is_waited_for_is_an_issue_at_the_second_look_and_none_when_it_is_back() {
    let bench = Bench::new();
    let mut probe = bench.probe();
    let stands = |standing| {
        bench.redis.send_replace(Some(RedisFacts {
            needed: true,
            standing,
            streams: None,
        }))
    };
    let why = "refused".to_owned();
    let since = Millis::now();
    stands(RedisStanding::Away {
        why,
        since,
        answers: false,
    });
    bench.round(&mut probe, 0).await;
    assert_eq!(bench.told().await, []);
    bench.round(&mut probe, 10).await;
    let issue = (EventType::HealthIssue, "redis@here".to_owned());
    assert_eq!(bench.told().await, std::slice::from_ref(&issue));
    let open = bench.open().await.remove(0);
    assert_eq!(open.subject, "redis_away:redis@here");
    assert_eq!(
        open.value,
        format!("Redis has been away since {since}: refused")
    );
    // What is not known changes nothing.
    stands(RedisStanding::Unknown);
    bench.round(&mut probe, 20).await;
    assert_eq!(bench.open().await.len(), 1);
    stands(RedisStanding::Carries { connections: 2 });
    bench.round(&mut probe, 30).await;
    assert_eq!(bench.open().await, []);
    let recovered = (EventType::HealthRecovered, "redis@here".to_owned());
    assert_eq!(bench.told().await, [issue, recovered]);
}

#[tokio::test]
async fn a_parked_agent_is_restarted_and_the_fix_is_verified_by_the_detector() {
    let bench = Bench::new();
    let mut probe = bench.probe();
    bench.park(AgentName::Rag);
    bench.round(&mut probe, 0).await;
    bench.round(&mut probe, 10).await;
    assert_eq!(bench.hands.asked(), []);
    let board = bench.board.clone();
    bench.hands.then(move || {
        board.update(AgentName::Rag, |a| a.state = AgentState::Running);
        Ok("restarted".to_owned())
    });
    bench.round(&mut probe, 71).await;
    let issue = bench.open().await.remove(0);
    assert_eq!(
        (issue.fix.as_deref(), issue.fix_attempts),
        (Some("restart_agent"), 1)
    );
    assert_eq!(issue.fix_result, None);
    probe.acted().await;
    assert_eq!(bench.hands.asked(), [Fix::RestartAgent(AgentName::Rag)]);

    // Running, but not for long enough to count.
    bench.round(&mut probe, 80).await;
    assert_eq!(
        bench.told().await,
        [(EventType::HealthIssue, RAG.to_owned())]
    );
    bench.round(&mut probe, 110).await;
    let told: Vec<EventType> = bench
        .told()
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(
        told,
        [
            EventType::HealthIssue,
            EventType::FixApplied,
            EventType::HealthRecovered
        ]
    );
    let fix = bench.events(Some(EventType::FixApplied)).await.remove(0);
    assert_eq!(fix.subject.as_str(), RAG);
    let expected = json!({"fix": "restart_agent", "attempt": 1, "verified": true,
        "detector": "agent_parked", "result": "restarted"});
    assert_eq!(fix.data, expected);
    let closed = bench.store.issues(true, 100).await.unwrap().remove(0);
    let result = closed.fix_result.unwrap();
    assert_eq!(result, "attempt 1 was verified: restarted");
}

#[tokio::test]
async fn a_fix_that_does_not_help_fails_at_its_deadline_and_is_not_tried_for_ever() {
    let bench = Bench::new();
    let mut probe = bench.probe();
    bench.park(AgentName::Rag);
    let mut acted = 0;
    for round in 0..200 {
        bench.hands.then(|| Ok("restarted".to_owned()));
        bench.round(&mut probe, round * 10).await;
        if bench.hands.asked().len() > acted {
            acted += 1;
            probe.acted().await;
        }
    }
    assert_eq!(bench.hands.asked().len(), 2);
    let failed = bench.events(Some(EventType::FixFailed)).await;
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0].data["attempt"], 2);
    assert_eq!(failed[0].data["verified"], false);
    assert_eq!(bench.events(Some(EventType::HealthIssue)).await.len(), 1);
    let issue = bench.open().await.remove(0);
    assert_eq!(
        (issue.fix_attempts, issue.detector),
        (2, Some(Detector::AgentParked))
    );
}

#[tokio::test]
async fn attempts_are_bounded_across_restarts_too() {
    let bench = Bench::new();
    bench.park(AgentName::Rag);
    let mut probe = bench.probe();
    bench.round(&mut probe, 0).await;
    for _ in 0..2 {
        let attempt = Effect::FixAttempted(FixAttempt {
            subject: Detector::AgentParked.key(&Subject::agent(AgentName::Rag, "here")),
            fix: "restart_agent".to_owned(),
            result: None,
        });
        write(&bench.store, vec![attempt], Vec::new()).await;
    }
    let mut probe = bench.probe();
    for seconds in [10, 20, 10_000, 20_000] {
        bench.round(&mut probe, seconds).await;
    }
    assert_eq!(bench.hands.asked(), []);
    let failed = bench.events(Some(EventType::FixFailed)).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        failed[0].data["result"],
        "docent stopped before it was verified"
    );
}

#[tokio::test]
async fn an_index_that_differs_is_verified_and_one_that_stopped_is_left_to_go_on() {
    let bench = Bench::new();
    let mut probe = bench.probe();
    bench.index.send_modify(|state| state.chunks = 3);
    bench.round(&mut probe, 0).await;
    assert_eq!(bench.open().await, []);
    bench.round(&mut probe, 10).await;
    let issue = bench.open().await.remove(0);
    assert_eq!(issue.subject, "index_drift:index@here");
    assert_eq!(
        (issue.value.as_str(), issue.limit.as_str()),
        ("the index has 3 chunks", "0 chunks, as in the store")
    );
    let stopped = |why: Option<&str>| {
        let why = why.map(str::to_owned);
        bench.index.send_modify(|state| state.stopped = why);
    };
    let index = bench.index.clone();
    bench.hands.then(move || {
        index.send_replace(FollowerState {
            ready: true,
            ..FollowerState::default()
        });
        Ok("0 chunks were missing, 3 surplus".to_owned())
    });
    bench.round(&mut probe, 20).await;
    probe.acted().await;
    assert_eq!(bench.hands.asked(), [Fix::VerifyIndex]);
    bench.round(&mut probe, 30).await;
    assert_eq!(bench.open().await, []);
    assert_eq!(bench.events(Some(EventType::FixApplied)).await.len(), 1);
    stopped(Some("disk full"));
    for seconds in [40, 50, 1000, 2000] {
        bench.round(&mut probe, seconds).await;
    }
    assert_eq!(bench.open().await[0].subject, "index_stopped:index@here");
    stopped(None);
    bench.round(&mut probe, 2010).await;
    assert_eq!(bench.open().await, []);
    assert_eq!(bench.hands.asked(), [Fix::VerifyIndex], "not of the stop");
}

fn captured(path: &str) -> Effect {
    Effect::List(ManifestEntry {
        collection: "docs".to_owned(),
        path: path.as_bytes().to_vec(),
        state: FileState::Captured,
        digest: Some(Digest::of(path.as_bytes())),
        stat: FileStat::default(),
        reason: None,
    })
}

#[tokio::test]
async fn files_without_documents_are_an_issue_once_nobody_owes_anything() {
    let bench = Bench::new();
    let subject = Subject::file("docs", b"a.md").unwrap();
    let event = NewEvent::root(EventType::FileChanged, "test", subject, json!({}));
    let effects = vec![captured("a.md"), captured("b.md")];
    write(&bench.store, effects, vec![event]).await;
    let mut probe = bench.probe();
    for seconds in [0, 10, 20] {
        bench.round(&mut probe, seconds).await;
    }
    assert_eq!(bench.open().await, []);

    // The delivery is done without a document, as no handler may do it.
    let event = bench.events(Some(EventType::FileChanged)).await.remove(0);
    let key = event.key(AgentName::DocumentManagement);
    let done = Settlement::Done(Outcome::nothing());
    settle_key(&bench.store, key, done).await.unwrap();
    bench.round(&mut probe, 30).await;
    bench.round(&mut probe, 40).await;
    let issue = bench.open().await.remove(0);
    assert_eq!(issue.subject, "file_drift:docs");
    assert_eq!(
        issue.value,
        "2 files, for example docs/a.md has no document"
    );

    // Gone from the manifest, it is no difference any more.
    let gone = |path: &str| Effect::Unlist {
        collection: "docs".to_owned(),
        path: path.as_bytes().to_vec(),
    };
    bench.hands.then(|| Ok("asked for".to_owned()));
    bench.round(&mut probe, 50).await;
    probe.acted().await;
    let effects = vec![gone("a.md"), gone("b.md")];
    write(&bench.store, effects, Vec::new()).await;
    bench.round(&mut probe, 60).await;
    assert_eq!(bench.open().await, []);
    let [a, b] = ["a.md", "b.md"].map(|path| Subject::file("docs", path.as_bytes()).unwrap());
    assert_eq!(bench.hands.asked(), [Fix::CheckDocuments(vec![a, b])]);
}

#[tokio::test]
async fn a_look_at_everything_finds_what_a_slice_has_not_come_to() {
    let bench = Bench::new();
    let files: Vec<Effect> = (0..450).map(|n| captured(&format!("{n:04}.md"))).collect();
    write(&bench.store, files, Vec::new()).await;
    let mut probe = bench.probe();
    bench.round(&mut probe, 0).await;
    bench.round(&mut probe, 10).await;
    let issue = bench.open().await.remove(0);
    assert!(issue.value.starts_with("200 files"), "{}", issue.value);
    pass_on(EventType::HealthCheckRequested, &bench.requests);
    bench.hands.then(|| Ok("asked for".to_owned()));
    bench.round(&mut probe, 80).await;
    let issue = bench.open().await.remove(0);
    assert!(issue.value.starts_with("450 files"), "{}", issue.value);
    assert!(!bench.requests.take_whole());
}

#[tokio::test]
async fn dead_letters_and_what_is_owed_for_long_are_issues() {
    let bench = Bench::new();
    let publish = |subject: &'static [u8]| {
        let subject = Subject::file("docs", subject).unwrap();
        bench.store.publish(NewEvent::root(
            EventType::FileChanged,
            "test",
            subject,
            json!({}),
        ))
    };
    publish(b"dead.md").await.unwrap();
    let event = bench.events(Some(EventType::FileChanged)).await.remove(0);
    let key = event.key(AgentName::DocumentManagement);
    let end = Settlement::Permanent("no".to_owned());
    settle_key(&bench.store, key, end).await.unwrap();
    publish(b"late.md").await.unwrap();
    let mut probe = bench.probe();
    bench.round(&mut probe, 290).await;
    bench.round(&mut probe, 310).await;
    let keys =
        |issues: Vec<Issue>| -> Vec<String> { issues.into_iter().map(|i| i.subject).collect() };
    assert_eq!(keys(bench.open().await), ["dead_letters:dead"]);
    bench.round(&mut probe, 320).await;
    let open = keys(bench.open().await);
    assert!(
        open.contains(&"oldest_owed:agent/document_management@here".to_owned()),
        "{open:?}"
    );
    bench.store.replay(event.id, None).await.unwrap();
    bench.round(&mut probe, 330).await;
    assert!(!keys(bench.open().await).contains(&"dead_letters:dead".to_owned()));
}

#[tokio::test]
async fn a_process_that_drains_is_not_ill() {
    let bench = Bench::new();
    let mut probe = bench.probe();
    bench.park(AgentName::Rag);
    bench.board.enter(Phase::Draining);
    bench.round(&mut probe, 0).await;
    assert_eq!(bench.open().await, []);
}

#[tokio::test]
async fn a_damaged_store_is_checked_again_after_a_restart() {
    let bench = Bench::new();
    let mut probe = bench.probe();
    bench
        .requests
        .judge_integrity(Some("page 7 is torn".to_owned()));
    bench.round(&mut probe, 0).await;
    assert_eq!(bench.open().await[0].subject, "integrity:store");
    let again = Bench {
        requests: Arc::default(),
        ..bench
    };
    let mut probe = again.probe();
    again.round(&mut probe, 10).await;
    assert!(again.requests.take_check());
    assert_eq!(again.open().await.len(), 1);
    again.requests.judge_integrity(None);
    again.round(&mut probe, 20).await;
    assert_eq!(again.open().await, []);
}

#[test]
fn events_are_passed_on_as_what_they_ask_for() {
    let requests = Requests::default();
    pass_on(EventType::AgentParked, &requests);
    assert!(!requests.take_whole() && !requests.take_maintenance());
    pass_on(EventType::HealthCheckRequested, &requests);
    assert!(requests.take_whole() && !requests.take_maintenance());
    pass_on(EventType::MaintenanceRequested, &requests);
    assert!(!requests.take_whole() && requests.take_maintenance());
}

#[tokio::test]
async fn the_duty_looks_when_it_is_asked_beats_and_ends_when_told() {
    let bench = Bench::new();
    let context = DutyContext {
        stop: CancellationToken::new(),
        heartbeat: Heartbeat::default(),
    };
    let (stop, heartbeat) = (context.stop.clone(), context.heartbeat.clone());
    let probe = bench.probe();
    let play = async {
        let opened = |count: usize| {
            let bench = &bench;
            async move {
                while bench.events(Some(EventType::HealthIssue)).await.len() < count {
                    tokio::task::yield_now().await;
                }
            }
        };
        bench.park(AgentName::Rag);
        opened(1).await;
        // The next round by the clock is ten seconds off.
        bench.park(AgentName::Scheduler);
        pass_on(EventType::AgentParked, &bench.requests);
        opened(2).await;
        assert!(heartbeat.idle() < Duration::from_secs(2));
        stop.cancel();
    };
    let both = async { tokio::join!(probe.run(context), play) };
    let (ended, ()) = tokio::time::timeout(Duration::from_secs(9), both)
        .await
        .unwrap();
    ended.unwrap();
}
