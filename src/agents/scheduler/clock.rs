//! The clock: the duty that publishes what is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Job, Timetable, plan};
use crate::event::{EventId, Millis, NewEvent};
use crate::log_once::LogOnce;
use crate::runtime::{DutyContext, DutyError, Source};
use crate::store::{Effect, JobChange, JobPlanned, JobState, Store, WriteError};

/// The longest sleep: a clock that jumps is noticed after it.
const STEP: Duration = Duration::from_secs(1);

/// The rows are read again after this, due or not: a clock that jumped back far moves the moments.
const REREAD: Duration = Duration::from_secs(60);

pub(super) struct Clock {
    pub(super) timetable: Arc<Timetable>,
    pub(super) store: Store,
    pub(super) source: Source,
}

impl Clock {
    /// Runs until told to stop. A store that is not to be had is asked again a step later: what is due stays due.
    pub(super) async fn run(self, context: DutyContext) -> Result<(), DutyError> {
        let mut wake: Option<Millis> = None;
        let mut read_at: Option<Instant> = None;
        let mut failing = LogOnce::default();
        loop {
            let fresh = read_at.is_some_and(|at| at.elapsed() < REREAD);
            if !fresh || wake.is_some_and(|at| at <= Millis::now()) {
                let Some(ticked) = context.during(self.tick(Millis::now())).await else {
                    return Ok(());
                };
                match ticked {
                    Ok(next) => {
                        if failing.is_new(false) {
                            tracing::info!("jobs run again");
                        }
                        wake = next;
                        read_at = Some(Instant::now());
                    }
                    Err(closed @ DutyError::Write(WriteError::Closed)) => return Err(closed),
                    Err(error) => {
                        if failing.is_new(true) {
                            tracing::warn!(%error, "cannot run jobs");
                        }
                        (wake, read_at) = (None, None);
                    }
                }
            }
            let ahead = wake.map_or(STEP, |at| at.since(Millis::now()));
            // Never without a pause: a row that changes all the time must not make this a busy loop.
            let pause = ahead.clamp(Duration::from_millis(20), STEP);
            if context.during(tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Does what is due at `now`; gives when it must look again (now, where somebody else changed a row meanwhile).
    async fn tick(&self, now: Millis) -> Result<Option<Millis>, DutyError> {
        let rows = self.store.jobs().await?;
        let row = |name: &str| rows.iter().find(|row| row.name == name);
        let mut wake: Option<Millis> = None;
        for job in &self.timetable.jobs {
            let seen = row(&job.option.name);
            let step = plan::step(job, seen, now);
            let due = match step {
                None => seen.and_then(|s| s.next_at),
                Some(step) => {
                    let next_at = step.next.next_at;
                    let done = self.carry_out(job, seen, step).await?;
                    if done { next_at } else { Some(now.0) }
                }
            };
            wake = [wake, due.map(Millis)].into_iter().flatten().min();
        }
        let retired = |row: &&JobState| self.timetable.job(&row.name).is_none();
        for row in rows.iter().filter(retired) {
            if let Some(next) = plan::retired(row) {
                let change = planned(Some(row), next);
                // Refused: the row changed meanwhile; the next look finds it as it is then.
                self.commit(vec![change], Vec::new()).await?;
            }
        }
        Ok(wake)
    }

    /// One transaction of a job's row and the events of its runs; false: the row had changed, nothing was written.
    async fn carry_out(
        &self,
        job: &Job,
        seen: Option<&JobState>,
        step: plan::JobStep,
    ) -> Result<bool, DutyError> {
        let mut next = step.next;
        let events: Vec<NewEvent> = step.runs.iter().map(|due| self.event(job, *due)).collect();
        if let Some(newest) = events.last() {
            next.last_event = Some(newest.id.to_string());
        }
        let left_out = next.missed - seen.map_or(0, |s| s.missed);
        let runs = events.len();
        let change = planned(seen, next);
        let done = match self.commit(vec![change.clone()], events).await {
            Err(WriteError::Conflict(event)) => {
                // Only a clock that was set back by days meets a run that was published with other data.
                tracing::warn!(job = job.option.name, %event, "a run was already published with different data; it is skipped");
                self.commit(vec![change], Vec::new()).await?
            }
            other => other?,
        };
        if done && left_out > 0 {
            tracing::info!(job = job.option.name, left_out, runs, "runs were missed");
        } else if done && runs > 0 {
            tracing::debug!(job = job.option.name, runs, "a job was due");
        }
        Ok(done)
    }

    async fn commit(
        &self,
        effects: Vec<Effect>,
        events: Vec<NewEvent>,
    ) -> Result<bool, WriteError> {
        match self.source.submit(effects, events).await?.committed().await {
            Ok(_) => Ok(true),
            Err(WriteError::Invalid(cause)) => {
                tracing::debug!(cause, "a job's row changed; it is read again");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The event of the run that is due at `due`. Its id follows from the run, so a second publish is known already.
    fn event(&self, job: &Job, due: Millis) -> NewEvent {
        let option = &job.option;
        let id = EventId::derived(&["job", &option.name, &due.0.to_string()]);
        let source = self.timetable.source();
        NewEvent::root(
            option.kind,
            source,
            option.subject.clone(),
            option.data.clone(),
        )
        .with_id(id)
    }
}

fn planned(seen: Option<&JobState>, next: JobState) -> Effect {
    Effect::Job(JobChange::Planned(Box::new(JobPlanned {
        seen: seen.cloned(),
        next,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::scheduler::tests::{Bench, Missed, option};
    use crate::event::EventType;

    fn at(text: &str) -> Millis {
        Millis::parse(text).unwrap()
    }

    fn clock(bench: &Bench) -> Clock {
        Clock {
            timetable: bench.timetable.clone(),
            store: bench.store.clone(),
            source: bench.source.clone(),
        }
    }

    #[tokio::test]
    async fn a_due_job_is_published_with_its_row_and_only_once_whatever_repeats_it() {
        let bench = Bench::new(vec![option("sweep", "0 * * * *", Missed::Once)]);
        let clock = clock(&bench);
        let wake = clock.tick(at("2026-05-01T09:30:00Z")).await.unwrap();
        assert_eq!(wake, Some(at("2026-05-01T10:00:00Z")));
        let seen = bench.row("sweep").await;
        assert_eq!(bench.count(EventType::MaintenanceRequested).await, 0);

        let now = at("2026-05-01T10:00:00Z");
        assert_eq!(
            clock.tick(now).await.unwrap(),
            Some(at("2026-05-01T11:00:00Z"))
        );
        assert_eq!(
            clock.tick(now).await.unwrap(),
            Some(at("2026-05-01T11:00:00Z"))
        );
        let row = bench.row("sweep").await;
        assert_eq!(row.last_at, Some(now.0));
        let event = bench.newest(EventType::MaintenanceRequested).await.unwrap();
        assert_eq!(row.last_event, Some(event.id.to_string()));
        assert_eq!(event.source, "agent/scheduler@here");

        // The same tick from the row as it was stored before, as after a kill that the first one survived: refused whole.
        let job = &bench.timetable.jobs[0];
        let step = plan::step(job, Some(&seen), now).unwrap();
        assert!(
            !clock
                .carry_out(job, Some(&seen), step.clone())
                .await
                .unwrap()
        );
        // And with the row put back, as a store without the compare would have it: the event is known already.
        let back = planned(Some(&row), seen.clone());
        assert!(clock.commit(vec![back], Vec::new()).await.unwrap());
        assert!(clock.carry_out(job, Some(&seen), step).await.unwrap());
        assert_eq!(bench.count(EventType::MaintenanceRequested).await, 1);
    }

    #[tokio::test]
    async fn all_missed_runs_are_one_transaction() {
        let bench = Bench::new(vec![option("sweep", "*/5 * * * *", Missed::All)]);
        let clock = clock(&bench);
        clock.tick(at("2026-05-01T09:58:00Z")).await.unwrap();
        clock.tick(at("2026-05-01T10:12:00Z")).await.unwrap();
        assert_eq!(bench.count(EventType::MaintenanceRequested).await, 3);
        assert_eq!(bench.row("sweep").await.missed, 0);
    }

    #[tokio::test]
    async fn a_run_that_was_published_with_other_data_is_left_out_and_the_clock_goes_on() {
        let bench = Bench::new(vec![option("sweep", "0 * * * *", Missed::Once)]);
        let clock = clock(&bench);
        clock.tick(at("2026-05-01T09:30:00Z")).await.unwrap();
        let mut event = clock.event(&bench.timetable.jobs[0], at("2026-05-01T10:00:00Z"));
        event.data = serde_json::json!({"other": true}).into();
        bench.store.publish(event).await.unwrap();
        clock.tick(at("2026-05-01T10:00:00Z")).await.unwrap();
        assert_eq!(bench.count(EventType::MaintenanceRequested).await, 1);
        let row = bench.row("sweep").await;
        assert_eq!(row.next_at, Some(at("2026-05-01T11:00:00Z").0));
    }

    #[tokio::test]
    async fn a_job_that_left_the_configuration_is_not_due_and_no_trouble() {
        let mut bench = Bench::new(vec![option("sweep", "0 * * * *", Missed::Once)]);
        clock(&bench)
            .tick(at("2026-05-01T09:30:00Z"))
            .await
            .unwrap();
        bench.timetable = Bench::table(Vec::new());
        assert_eq!(
            clock(&bench)
                .tick(at("2026-05-01T10:30:00Z"))
                .await
                .unwrap(),
            None
        );
        assert_eq!(bench.row("sweep").await.next_at, None);
        assert_eq!(bench.count(EventType::MaintenanceRequested).await, 0);
    }

    #[tokio::test]
    async fn the_duty_plans_at_its_start_beats_and_ends_when_told() {
        let bench = Bench::new(vec![option("sweep", "0 0 1 1 *", Missed::Once)]);
        let context = DutyContext {
            stop: tokio_util::sync::CancellationToken::new(),
            heartbeat: crate::event::Heartbeat::default(),
        };
        let (stop, heartbeat) = (context.stop.clone(), context.heartbeat.clone());
        let planned = async {
            while bench.store.jobs().await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(clock(&bench).run(context), planned) };
        let (ended, ()) = tokio::time::timeout(Duration::from_secs(10), both)
            .await
            .unwrap();
        ended.unwrap();
        assert_eq!(bench.row("sweep").await.missed, 0);
        assert!(heartbeat.idle() < Duration::from_secs(2));
    }
}
