//! `scheduler`: publishes the event of each job when it is due, or at once when somebody asks.
//!
//! What a job does is its event's subscribers' business. When each is due and ran last stands in the store, and a run is
//! one transaction of its event and its row, so a kill at any moment neither loses nor doubles one. The event's id follows
//! from job and moment. Runs that were missed (docent was down, the machine slept, the clock jumped ahead) are made up for
//! by each job's policy; a clock that jumps back repeats none.

mod clock;
mod plan;
mod schedule;

use std::sync::Arc;

use serde_json::Value;

use crate::config::Missed;
use crate::event::{AgentName, Event, EventType, Millis, Subject};
use crate::runtime::{Agent, Boxed, Duty, Ending, Handling, Source};
use crate::store::{Effect, JobChange, Outcome, Store, derived_id};

use clock::Clock;
use schedule::Schedule;
pub(crate) use schedule::ScheduleError;

/// A job as it is configured.
#[derive(Debug, Clone)]
pub(crate) struct JobOption {
    pub name: String,
    /// A cron pattern of five fields.
    pub schedule: String,
    /// Whether it runs by itself; on request it runs either way.
    pub enabled: bool,
    /// What becomes of missed runs.
    pub missed: Missed,
    /// The type of the event that a run publishes,
    pub kind: EventType,
    pub subject: Subject,
    /// and its data, a JSON object.
    pub data: Value,
}

/// How the scheduler works.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerOptions {
    /// The IANA name of the zone in which schedules are read.
    pub timezone: String,
    pub jobs: Vec<JobOption>,
    /// This process, for the source of events.
    pub instance: String,
}

#[derive(Debug, Clone)]
struct Job {
    option: JobOption,
    schedule: Schedule,
}

/// The jobs with their schedules read.
#[derive(Debug)]
pub(crate) struct Timetable {
    jobs: Vec<Job>,
    instance: String,
}

impl Timetable {
    /// Reads the schedules.
    ///
    /// # Errors
    /// A schedule or the time zone is none.
    pub(crate) fn new(options: SchedulerOptions) -> Result<Self, ScheduleError> {
        let SchedulerOptions {
            timezone,
            jobs,
            instance,
        } = options;
        let read = |option: JobOption| {
            let schedule = Schedule::parse(&option.schedule, &timezone)?;
            Ok(Job { option, schedule })
        };
        Ok(Timetable {
            jobs: jobs.into_iter().map(read).collect::<Result<_, _>>()?,
            instance,
        })
    }

    fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.option.name == name)
    }

    fn source(&self) -> String {
        format!("agent/{}@{}", AgentName::Scheduler, self.instance)
    }
}

/// One run of the scheduler.
pub(crate) struct Scheduler {
    timetable: Arc<Timetable>,
    store: Store,
    source: Source,
}

impl Scheduler {
    /// A new run: its state stands in the store.
    pub(crate) fn new(timetable: Arc<Timetable>, store: Store, source: Source) -> Self {
        Scheduler {
            timetable,
            store,
            source,
        }
    }

    /// The job that the subject `job/<name>` names. One that is not there is no failure: nothing is to be done.
    fn named(&self, subject: &Subject) -> Option<&Job> {
        let name = subject
            .as_str()
            .strip_prefix("job/")
            .unwrap_or(subject.as_str());
        let found = self.timetable.job(name);
        if found.is_none() {
            let jobs = self.timetable.jobs.iter().map(|j| j.option.name.as_str());
            let jobs: Vec<&str> = jobs.collect();
            tracing::warn!(
                job = name,
                jobs = jobs.join(", "),
                "there is no such job; nothing is done"
            );
        }
        found
    }

    /// Runs a job now. The row's other columns are the clock's: it may be planning at this very moment.
    fn run_now(&self, event: &Event) -> Outcome {
        let Some(Job { option, .. }) = self.named(&event.subject) else {
            return Outcome::nothing();
        };
        let ran = JobChange::Ran {
            name: option.name.clone(),
            at: Millis::now().0,
            event: derived_id(event.id, AgentName::Scheduler, 0).to_string(),
        };
        Outcome::nothing().effect(Effect::Job(ran)).event(
            option.kind,
            option.subject.clone(),
            option.data.clone(),
        )
    }

    fn pause(&self, event: &Event) -> Result<Outcome, Ending> {
        let Some(Job { option, .. }) = self.named(&event.subject) else {
            return Ok(Outcome::nothing());
        };
        let Some(Value::Bool(paused)) = event.data.get("paused") else {
            return Err(Ending::Permanent(format!(
                "cannot read {}; write {{\"paused\": true}} or {{\"paused\": false}}",
                event.data
            )));
        };
        let change = JobChange::Paused {
            name: option.name.clone(),
            paused: *paused,
        };
        Ok(Outcome::nothing().effect(Effect::Job(change)))
    }
}

impl Agent for Scheduler {
    fn name(&self) -> AgentName {
        AgentName::Scheduler
    }

    fn handle<'a>(&'a self, event: &'a Event, _: &'a Handling) -> Boxed<'a, Ending> {
        let outcome = match event.kind {
            EventType::JobRequested => Ok(self.run_now(event)),
            EventType::JobChanged => self.pause(event),
            _ => Ok(Outcome::nothing()),
        };
        let ending = outcome.map_or_else(|ending| ending, Ending::Outcome);
        Box::pin(std::future::ready(ending))
    }

    fn duties(self: Arc<Self>) -> Vec<Duty> {
        let clock = Clock {
            timetable: self.timetable.clone(),
            store: self.store.clone(),
            source: self.source.clone(),
        };
        vec![Duty::new("clock", move |context| clock.run(context))]
    }
}

#[cfg(test)]
mod tests;
