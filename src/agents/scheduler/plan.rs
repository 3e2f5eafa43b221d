//! What the clock makes of a job's row at a moment: pure, no clock inside.

use std::time::Duration;

use super::Job;
use super::schedule::Schedule;
use crate::config::Missed;
use crate::event::Millis;
use crate::store::JobState;

/// A run that comes no later than this after its moment is on time.
const ON_TIME: Duration = Duration::from_secs(60);

/// Missed runs that are made up for, at most, where the policy is [`Missed::All`].
const RUNS_MAX: usize = 100;

/// A clock that went back by more than this stood wrong before: a job is not held up until that moment comes again.
const BACK_MAX: Duration = Duration::from_secs(2 * 24 * 3600);

/// What is to be done about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobStep {
    /// The row as it shall be.
    pub(super) next: JobState,
    /// The moments of the runs to be published with it, oldest first.
    pub(super) runs: Vec<Millis>,
}

/// What is to be done about `job`, whose row is `seen`, at `now`; `None`: nothing.
///
/// A job that is new, was off or has another schedule than its row begins at `now`. One that is paused lets its moments
/// pass. `last_event` of a row with runs is for the caller to set.
pub(super) fn step(job: &Job, seen: Option<&JobState>, now: Millis) -> Option<JobStep> {
    let schedule = &job.schedule;
    let mut next = seen.cloned().unwrap_or_else(|| unseen(&job.option.name));
    schedule.text().clone_into(&mut next.schedule);
    let upcoming = job
        .option
        .enabled
        .then(|| schedule.next_after(now))
        .flatten();
    let standing = seen.filter(|row| job.option.enabled && row.schedule == schedule.text());
    let mut runs = Vec::new();
    match standing.and_then(|row| row.next_at).map(Millis) {
        Some(due) if due > now => {
            let wrong = upcoming.is_none_or(|up| due > up.plus(BACK_MAX));
            if wrong {
                next.next_at = upcoming.map(|up| up.0);
            }
        }
        Some(due) => {
            next.next_at = upcoming.map(|up| up.0);
            if !next.paused {
                let (picked, missed) = pick(job.option.missed, schedule, due, now);
                runs = picked;
                next.missed = next.missed.saturating_add(missed);
            }
        }
        None => next.next_at = upcoming.map(|up| up.0),
    }
    if !runs.is_empty() {
        next.last_at = Some(now.0);
    }
    (seen != Some(&next)).then_some(JobStep { next, runs })
}

/// The row of a job that the configuration does not name any more: it is not due.
pub(super) fn retired(row: &JobState) -> Option<JobState> {
    row.next_at.map(|_| JobState {
        next_at: None,
        ..row.clone()
    })
}

fn unseen(name: &str) -> JobState {
    JobState {
        name: name.to_owned(),
        schedule: String::new(),
        paused: false,
        next_at: None,
        last_at: None,
        last_event: None,
        missed: 0,
    }
}

/// Which of the moments from `due` to `now` are run, oldest first, and how many are left out.
fn pick(policy: Missed, schedule: &Schedule, due: Millis, now: Millis) -> (Vec<Millis>, u64) {
    let mut found = schedule.between(due, now, RUNS_MAX);
    if found.newest.is_empty() {
        // The rules of the zone were others when the moment was computed; it was promised all the same.
        found.newest.push(due);
        found.count = 1;
    }
    let newest = found.newest[0];
    let runs: Vec<Millis> = match policy {
        Missed::Skip if now.since(newest) > ON_TIME => Vec::new(),
        Missed::Skip | Missed::Once => vec![newest],
        Missed::All => found.newest.into_iter().rev().collect(),
    };
    let left_out = found.count - runs.len() as u64;
    (runs, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::scheduler::JobOption;
    use crate::event::{EventType, Subject};

    fn at(text: &str) -> Millis {
        Millis::parse(text).unwrap()
    }

    fn job(pattern: &str, missed: Missed) -> Job {
        Job {
            option: JobOption {
                name: "sweep".to_owned(),
                schedule: pattern.to_owned(),
                enabled: true,
                missed,
                kind: EventType::MaintenanceRequested,
                subject: Subject::store(),
                data: serde_json::json!({}),
            },
            schedule: Schedule::parse(pattern, "UTC").unwrap(),
        }
    }

    fn due_at(job: &Job, moment: &str) -> JobState {
        JobState {
            schedule: job.schedule.text().to_owned(),
            next_at: Some(at(moment).0),
            ..unseen("sweep")
        }
    }

    #[test]
    fn a_job_that_was_never_seen_begins_now_and_runs_nothing() {
        let job = job("0 2 * * *", Missed::All);
        let step = step(&job, None, at("2026-05-01T12:00:00Z")).unwrap();
        assert_eq!(step.runs, []);
        assert_eq!(step.next, due_at(&job, "2026-05-02T02:00:00Z"));
    }

    #[test]
    fn nothing_is_to_be_done_before_the_moment() {
        let job = job("0 2 * * *", Missed::Once);
        let row = due_at(&job, "2026-05-02T02:00:00Z");
        assert_eq!(step(&job, Some(&row), at("2026-05-02T01:59:59Z")), None);
    }

    #[test]
    fn what_is_run_and_what_is_left_out_by_policy() {
        // The row was due at 10:00, every five minutes.
        let cases = [
            // On time: all policies run it.
            (Missed::Skip, "10:00:00", vec!["10:00"], 0),
            (Missed::Skip, "10:01:00", vec!["10:00"], 0),
            // Late by more than a minute.
            (Missed::Skip, "10:01:01", vec![], 1),
            (Missed::Once, "10:01:01", vec!["10:00"], 0),
            (Missed::All, "10:01:01", vec!["10:00"], 0),
            // Down over several; the newest is on time.
            (Missed::Skip, "10:10:30", vec!["10:10"], 2),
            (Missed::Once, "10:10:30", vec!["10:10"], 2),
            (Missed::All, "10:10:30", vec!["10:00", "10:05", "10:10"], 0),
            // Down over several; the newest is late.
            (Missed::Skip, "10:12:00", vec![], 3),
            (Missed::Once, "10:12:00", vec!["10:10"], 2),
            (Missed::All, "10:12:00", vec!["10:00", "10:05", "10:10"], 0),
        ];
        for (policy, now, runs, missed) in cases {
            let job = job("*/5 * * * *", policy);
            let row = due_at(&job, "2026-05-01T10:00:00Z");
            let now = at(&format!("2026-05-01T{now}Z"));
            let step = step(&job, Some(&row), now).unwrap();
            let expected: Vec<Millis> = runs
                .iter()
                .map(|r| at(&format!("2026-05-01T{r}:00Z")))
                .collect();
            assert_eq!(
                (step.runs, step.next.missed),
                (expected.clone(), missed),
                "{policy:?} {now}"
            );
            assert!(step.next.next_at.unwrap() > now.0, "{policy:?} {now}");
            assert_eq!(step.next.last_at, (!expected.is_empty()).then_some(now.0));
        }
    }

    #[test]
    fn making_up_for_all_is_bounded_and_takes_the_newest() {
        let job = job("* * * * *", Missed::All);
        let row = due_at(&job, "2026-05-01T00:00:00Z");
        let step = step(&job, Some(&row), at("2026-05-01T10:00:00Z")).unwrap();
        assert_eq!((step.runs.len(), step.next.missed), (RUNS_MAX, 601 - 100));
        assert_eq!(step.runs[0], at("2026-05-01T08:21:00Z"));
        assert_eq!(step.runs[RUNS_MAX - 1], at("2026-05-01T10:00:00Z"));
    }

    #[test]
    fn a_clock_that_jumps_back_repeats_no_run() {
        let job = job("0 * * * *", Missed::All);
        let before = due_at(&job, "2026-05-01T10:00:00Z");
        let ran = step(&job, Some(&before), at("2026-05-01T10:00:00Z"))
            .unwrap()
            .next;
        for now in [
            "2026-05-01T09:59:00Z",
            "2026-05-01T03:00:00Z",
            "2026-04-30T10:00:00Z",
        ] {
            assert_eq!(step(&job, Some(&ran), at(now)), None, "{now}");
        }
    }

    #[test]
    fn a_clock_that_stood_years_ahead_does_not_hold_a_job_up() {
        let job = job("0 * * * *", Missed::All);
        let row = due_at(&job, "2099-01-01T00:00:00Z");
        let step = step(&job, Some(&row), at("2026-05-01T10:30:00Z")).unwrap();
        assert_eq!(step.runs, []);
        assert_eq!(step.next, due_at(&job, "2026-05-01T11:00:00Z"));
    }

    #[test]
    fn another_schedule_begins_now_whatever_was_due() {
        let old = job("0 * * * *", Missed::All);
        let new = job("30 4 * * *", Missed::All);
        let row = due_at(&old, "2026-05-01T10:00:00Z");
        let step = step(&new, Some(&row), at("2026-05-01T12:00:00Z")).unwrap();
        assert_eq!(step.runs, []);
        assert_eq!(step.next, due_at(&new, "2026-05-02T04:30:00Z"));
    }

    #[test]
    fn a_paused_job_lets_its_moments_pass_and_one_that_is_off_is_never_due() {
        let mut job = job("0 * * * *", Missed::All);
        let paused = JobState {
            paused: true,
            ..due_at(&job, "2026-05-01T10:00:00Z")
        };
        let now = at("2026-05-01T12:30:00Z");
        let passed = step(&job, Some(&paused), now).unwrap();
        assert_eq!(passed.runs, []);
        assert_eq!(passed.next.next_at, Some(at("2026-05-01T13:00:00Z").0));
        assert_eq!((passed.next.missed, passed.next.paused), (0, true));

        job.option.enabled = false;
        let off = step(&job, Some(&due_at(&job, "2026-05-01T10:00:00Z")), now).unwrap();
        assert_eq!((off.runs, off.next.next_at), (vec![], None));
        assert_eq!(step(&job, Some(&off.next), now), None);
        job.option.enabled = true;
        let on = step(&job, Some(&off.next), now).unwrap();
        assert_eq!(
            (on.runs, on.next.next_at),
            (vec![], Some(at("2026-05-01T13:00:00Z").0))
        );
    }

    #[test]
    fn a_job_that_is_no_longer_configured_is_not_due_any_more() {
        let job = job("0 * * * *", Missed::All);
        let row = due_at(&job, "2026-05-01T10:00:00Z");
        let gone = retired(&row).unwrap();
        assert_eq!(gone.next_at, None);
        assert_eq!(retired(&gone), None);
    }
}
