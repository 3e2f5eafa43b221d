use serde_json::json;

use super::*;
use crate::event::{Heartbeat, NewEvent};
use crate::store::{Closer, EventFilter, Incarnation, JobState, Settlement, StoreOptions};

pub(super) use crate::config::Missed;

/// A store in a folder of its own, with a timetable.
pub(super) struct Bench {
    pub(super) timetable: Arc<Timetable>,
    pub(super) store: Store,
    pub(super) source: Source,
    _closer: Closer,
    _folder: tempfile::TempDir,
}

pub(super) fn option(name: &str, schedule: &str, missed: Missed) -> JobOption {
    JobOption {
        name: name.to_owned(),
        schedule: schedule.to_owned(),
        enabled: true,
        missed,
        kind: EventType::MaintenanceRequested,
        subject: Subject::store(),
        data: json!({}),
    }
}

impl Bench {
    pub(super) fn table(jobs: Vec<JobOption>) -> Arc<Timetable> {
        let options = SchedulerOptions {
            timezone: "UTC".to_owned(),
            jobs,
            instance: "here".to_owned(),
        };
        Arc::new(Timetable::new(options).unwrap())
    }

    pub(super) fn new(jobs: Vec<JobOption>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            agents: vec![AgentName::Scheduler],
            ..crate::store::tests::options()
        };
        let (store, closer) = Store::open(folder.path(), options).unwrap();
        Bench {
            timetable: Self::table(jobs),
            source: Source::new(store.clone(), 64, 1 << 20),
            store,
            _closer: closer,
            _folder: folder,
        }
    }

    pub(super) async fn row(&self, name: &str) -> JobState {
        let rows = self.store.jobs().await.unwrap();
        rows.into_iter().find(|row| row.name == name).unwrap()
    }

    async fn events(&self, kind: EventType) -> Vec<Event> {
        let filter = EventFilter {
            kind: Some(kind),
            limit: 1000,
            ..EventFilter::default()
        };
        self.store.events(filter).await.unwrap()
    }

    pub(super) async fn count(&self, kind: EventType) -> usize {
        self.events(kind).await.len()
    }

    pub(super) async fn newest(&self, kind: EventType) -> Option<Event> {
        self.events(kind).await.into_iter().next()
    }

    /// Publishes a request, handles it as a runner does, and applies its outcome.
    async fn handle(&self, kind: EventType, subject: Subject, data: Value) -> Ending {
        let event = NewEvent::root(kind, "cli", subject, data);
        self.store.publish(event).await.unwrap();
        let event = self.newest(kind).await.unwrap();
        let agent = Scheduler::new(
            self.timetable.clone(),
            self.store.clone(),
            self.source.clone(),
        );
        let handling = Handling {
            attempt: 1,
            run: 1,
            heartbeat: Heartbeat::default(),
        };
        let ending = agent.handle(&event, &handling).await;
        if let Ending::Outcome(outcome) = ending.clone() {
            let fence = Incarnation::begin().flight(crate::store::FlightRight::Free);
            let key = event.key(AgentName::Scheduler);
            let done = Settlement::Done(outcome);
            let source = self.timetable.source();
            let settled = self.store.settle(key, fence, done, &source).await.unwrap();
            settled.committed().await.unwrap();
        }
        ending
    }
}

#[tokio::test]
async fn a_job_runs_when_it_is_asked_for_and_its_row_names_the_event() {
    let bench = Bench::new(vec![option("sweep", "0 2 * * *", Missed::Once)]);
    bench
        .handle(EventType::JobRequested, Subject::job("sweep"), json!({}))
        .await;
    let event = bench.newest(EventType::MaintenanceRequested).await.unwrap();
    let row = bench.row("sweep").await;
    assert_eq!(row.last_event, Some(event.id.to_string()));
    assert!(row.last_at.is_some());
    assert!(event.causation.is_some());
}

#[tokio::test]
async fn a_job_is_paused_and_goes_on() {
    let bench = Bench::new(vec![option("sweep", "0 2 * * *", Missed::Once)]);
    for paused in [true, false] {
        let data = json!({"paused": paused});
        bench
            .handle(EventType::JobChanged, Subject::job("sweep"), data)
            .await;
        assert_eq!(bench.row("sweep").await.paused, paused);
    }
}

#[tokio::test]
async fn what_names_no_job_has_no_effect_and_what_says_nothing_fails_for_good() {
    let jobs = vec![
        option("sweep", "0 2 * * *", Missed::Once),
        option("look", "* * * * *", Missed::Skip),
    ];
    let bench = Bench::new(jobs);
    for kind in [EventType::JobRequested, EventType::JobChanged] {
        let ending = bench
            .handle(kind, Subject::job("swept"), json!({"paused": true}))
            .await;
        assert_eq!(ending, Ending::Outcome(Outcome::nothing()));
    }
    for data in [json!({}), json!({"paused": 1}), json!({"paused": "true"})] {
        let ending = bench
            .handle(EventType::JobChanged, Subject::job("sweep"), data)
            .await;
        assert!(matches!(ending, Ending::Permanent(_)));
    }
    assert!(bench.store.jobs().await.unwrap().is_empty());
}

#[test]
fn a_timetable_with_a_wrong_schedule_is_refused() {
    let options = SchedulerOptions {
        timezone: "UTC".to_owned(),
        jobs: vec![option("sweep", "at noon", Missed::Once)],
        instance: "here".to_owned(),
    };
    assert!(matches!(
        Timetable::new(options),
        Err(ScheduleError::Pattern(..))
    ));
}
