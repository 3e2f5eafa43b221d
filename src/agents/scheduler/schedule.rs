//! When a job is due: a cron pattern of five fields in a time zone.
//!
//! Where summer time begins, a run at a fixed time that falls into the hour that does not exist comes at the first moment
//! after it; where summer time ends, such a run comes once, the first time. A pattern with `*` or steps in minute or hour
//! follows the wall clock: nothing in the missing hour, and the repeated hour twice.

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use thiserror::Error;

use crate::config::parse_schedule;
use crate::event::Millis;

/// Why a schedule is none.
#[derive(Debug, Error)]
pub(crate) enum ScheduleError {
    /// The pattern cannot be read.
    #[error(
        "cannot read the schedule `{0}`; write five fields: minute, hour, day, month, weekday, for example `0 2 * * *`"
    )]
    Pattern(String, #[source] croner::errors::CronError),
    /// The pattern names a date that never comes.
    #[error("the schedule `{0}` names a date that never comes; write one that does")]
    Never(String),
    /// The time zone is not known.
    #[error("there is no time zone `{0}`; write an IANA name such as UTC or Europe/Berlin")]
    Zone(String, #[source] jiff::Error),
}

/// A pattern in its zone.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    cron: Cron,
    zone: TimeZone,
    text: String,
}

/// Moments at which a schedule was due in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Occurrences {
    /// The newest of them, newest first.
    pub(crate) newest: Vec<Millis>,
    /// How many there were; [`Schedule::COUNT_MAX`] stands for that many or more.
    pub(crate) count: u64,
}

impl Schedule {
    /// Moments that are counted in one stretch, at most (five weeks of a job that runs every five minutes).
    pub(crate) const COUNT_MAX: u64 = 10_000;

    /// A schedule from its pattern and the name of its zone.
    pub(crate) fn parse(pattern: &str, zone: &str) -> Result<Self, ScheduleError> {
        let cron =
            parse_schedule(pattern).map_err(|e| ScheduleError::Pattern(pattern.to_owned(), e))?;
        let zone_found =
            TimeZone::get(zone).map_err(|e| ScheduleError::Zone(zone.to_owned(), e))?;
        let schedule = Schedule {
            cron,
            zone: zone_found,
            text: format!("{} {zone}", pattern.trim()),
        };
        match schedule.next_after(Millis(0)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(pattern.to_owned())),
        }
    }

    /// Pattern and zone in one text: another text is another schedule.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The first moment after `moment` at which it is due; `None` beyond the end of the calendar.
    pub(crate) fn next_after(&self, moment: Millis) -> Option<Millis> {
        let start = self.zoned(moment)?;
        // An error is a search without end: no such date.
        let next = self.cron.find_next_occurrence(&start, false).ok()?;
        Some(Millis(next.timestamp().as_millisecond()))
    }

    /// The moments from `from` to `until`, both included: all are counted, at most `keep` of the newest are given.
    pub(crate) fn between(&self, from: Millis, until: Millis, keep: usize) -> Occurrences {
        let mut found = Occurrences::default();
        let mut inclusive = true;
        let mut cursor = self.zoned(until);
        while let Some(start) = cursor.take() {
            let Ok(previous) = self.cron.find_previous_occurrence(&start, inclusive) else {
                break; // there is none before
            };
            let moment = Millis(previous.timestamp().as_millisecond());
            if moment < from || found.count == Self::COUNT_MAX {
                break;
            }
            found.count += 1;
            if found.newest.len() < keep {
                found.newest.push(moment);
            }
            inclusive = false;
            cursor = Some(previous);
        }
        found
    }

    fn zoned(&self, moment: Millis) -> Option<Zoned> {
        let timestamp = Timestamp::from_millisecond(moment.0).ok()?;
        Some(timestamp.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::parse(text).unwrap()
    }

    fn after(schedule: &Schedule, start: &str, count: usize) -> Vec<String> {
        let mut moment = at(start);
        let mut found = Vec::new();
        for _ in 0..count {
            moment = schedule.next_after(moment).unwrap();
            found.push(moment.to_string().replace(":00.000Z", ""));
        }
        found
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_its_reason() {
        let refused = |pattern, zone| Schedule::parse(pattern, zone).unwrap_err();
        for pattern in ["", "* * * *", "* * * * * *", "61 * * * *", "whenever"] {
            assert!(
                matches!(refused(pattern, "UTC"), ScheduleError::Pattern(..)),
                "{pattern}"
            );
        }
        assert!(matches!(
            refused("0 2 30 2 *", "UTC"),
            ScheduleError::Never(_)
        ));
        assert!(matches!(
            refused("0 2 * * *", "Europe/Atlantis"),
            ScheduleError::Zone(..)
        ));
    }

    #[test]
    fn a_fixed_time_that_summer_time_leaves_out_comes_right_after_the_gap_once() {
        // In Berlin 02:00 to 03:00 does not exist on 2026-03-29: 01:00Z is 03:00 there.
        let schedule = Schedule::parse("30 2 * * *", "Europe/Berlin").unwrap();
        assert_eq!(
            after(&schedule, "2026-03-27T12:00:00Z", 3),
            ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]
        );
    }

    #[test]
    fn a_fixed_time_that_comes_twice_in_autumn_runs_once_the_first_time() {
        // On 2026-10-25 02:30 is 00:30Z and again 01:30Z.
        let schedule = Schedule::parse("30 2 * * *", "Europe/Berlin").unwrap();
        assert_eq!(
            after(&schedule, "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30", "2026-10-26T01:30"]
        );
    }

    #[test]
    fn a_pattern_with_steps_follows_the_wall_clock_through_both_changes() {
        let schedule = Schedule::parse("*/30 * * * *", "Europe/Berlin").unwrap();
        assert_eq!(
            after(&schedule, "2026-03-29T00:15:00Z", 3),
            ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"]
        );
        assert_eq!(
            after(&schedule, "2026-10-25T00:15:00Z", 4),
            [
                "2026-10-25T00:30",
                "2026-10-25T01:00",
                "2026-10-25T01:30",
                "2026-10-25T02:00"
            ]
        );
    }

    #[test]
    fn looking_back_finds_what_looking_forward_found_in_every_hour_of_a_year() {
        for zone in [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
        ] {
            for pattern in [
                "30 2 * * *",
                "*/20 * * * *",
                "0 */3 * * *",
                "15 1-3 * * SUN",
            ] {
                let schedule = Schedule::parse(pattern, zone).unwrap();
                let (from, until) = (at("2026-01-01T00:00:30Z"), at("2026-12-31T00:00:30Z"));
                let mut forward = Vec::new();
                let mut moment = from;
                loop {
                    moment = schedule.next_after(moment).unwrap();
                    if moment > until {
                        break;
                    }
                    forward.push(moment);
                }
                let newest: Vec<Millis> = forward.iter().rev().take(10_000).copied().collect();
                let back = schedule.between(from, until, 100_000);
                assert_eq!(back.newest, newest, "{pattern} {zone}");
                assert_eq!(back.count, newest.len() as u64);
            }
        }
    }

    #[test]
    fn a_stretch_has_both_its_ends_and_gives_only_what_is_asked_for() {
        let schedule = Schedule::parse("*/5 * * * *", "UTC").unwrap();
        let (from, until) = (at("2026-05-01T10:00:00Z"), at("2026-05-01T10:20:00Z"));
        let found = schedule.between(from, until, 2);
        assert_eq!(found.count, 5);
        assert_eq!(
            found.newest,
            [at("2026-05-01T10:20:00Z"), at("2026-05-01T10:15:00Z")]
        );
        let years = schedule.between(Millis(0), until, 1);
        assert_eq!((years.count, years.newest.len()), (Schedule::COUNT_MAX, 1));
        assert_eq!(schedule.between(until, from, 5), Occurrences::default());
    }
}
