//! What a rule finds in the facts.

use std::time::Duration;

use serde_json::{Value, json};

use super::rule::{AlertRule, Bound};
use crate::amounts::counted;
use crate::event::AgentName;
use crate::health::{Facts, RedisStanding, parked_text};
use crate::store::{Detector, Issue, JobState};

/// Open issues that a reading names.
const NAMED_MAX: usize = 5;

/// How far back the ends of attempts count.
pub(crate) const ENDS_WINDOW: Duration = Duration::from_secs(300);

/// What the rules are judged by. What could not be read is `None`: nothing is concluded from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlertFacts {
    pub facts: Facts,
    pub issues: Option<Vec<Issue>>,
    /// How attempts ended lately, of each agent that is on.
    pub ends: Option<Vec<AgentEnds>>,
    /// The jobs that are turned on.
    pub jobs: Option<Vec<JobState>>,
}

/// How attempts of one agent ended lately. Whoever looks begins anew with each start, so what was not seen yet is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentEnds {
    pub agent: AgentName,
    /// For how long it has been looked at.
    pub watched: Duration,
    /// Whether it was seen to end something, or to owe nothing.
    pub moved: bool,
    /// Deliveries that were done,
    pub done: u64,
    /// and attempts that failed.
    pub failed: u64,
    /// For how long it has had work and ended none.
    pub silent: Duration,
}

/// What a rule finds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// Whether it is so.
    pub holds: bool,
    /// In seconds, bytes, a number, or a text.
    pub value: Value,
    pub limit: Value,
    /// In words.
    pub what: String,
}

/// What `rule` finds; `None`: that cannot be said from these facts.
pub(crate) fn read(rule: &AlertRule, facts: &AlertFacts) -> Option<Reading> {
    match &rule.bound {
        Bound::OldestOwed(limit) => oldest_owed(rule, facts, *limit),
        Bound::Dead(limit) => dead(rule, facts, *limit),
        Bound::ErrorRate(limit) => error_rate(rule, facts, *limit),
        Bound::Silent(limit) => silent(rule, facts, *limit),
        Bound::JobMissed(limit) => job_missed(rule, facts, *limit),
        Bound::DiskFree(limit) => disk_free(facts, *limit),
        Bound::Parked => Some(parked(rule, facts)),
        Bound::RedisAway => redis_away(facts),
        Bound::Issue => issue(rule, facts),
    }
}

/// The longest of what each of several took, in seconds.
fn longest(
    found: impl Iterator<Item = (String, Duration)>,
    limit: Duration,
    what: &str,
) -> Reading {
    let most = found.max_by_key(|(_, time)| *time);
    let (name, time) = most.unwrap_or_default();
    Reading {
        holds: time > limit,
        value: json!(time.as_secs_f64()),
        limit: json!(limit.as_secs_f64()),
        what: format!("{name} {what} {} s", time.as_secs()),
    }
}

fn oldest_owed(rule: &AlertRule, facts: &AlertFacts, limit: Duration) -> Option<Reading> {
    let facts = &facts.facts;
    let mut ages = Vec::new();
    for agent in facts.agents.iter().filter(|a| rule.means(a.status.name)) {
        let age = agent
            .oldest_owed?
            .map_or(Duration::ZERO, |at| facts.age(at));
        ages.push((agent.status.name.to_string(), age));
    }
    let what = "has owed an event for";
    Some(longest(ages.into_iter(), limit, what))
}

fn dead(rule: &AlertRule, facts: &AlertFacts, limit: f64) -> Option<Reading> {
    let of_agents = facts.facts.dead.iter();
    let of_agents = of_agents.filter(|(agent, _)| rule.means(*agent));
    let mut dead: u64 = of_agents.map(|(_, dead)| dead).sum();
    if rule.agent.is_none() {
        dead += facts.facts.ingress_dead?;
    }
    Some(Reading {
        // A count is small enough to be exact.
        holds: dead as f64 > limit,
        value: json!(dead),
        limit: json!(limit),
        what: format!("dead letters: {dead}"),
    })
}

fn error_rate(rule: &AlertRule, facts: &AlertFacts, limit: f64) -> Option<Reading> {
    let (mut done, mut failed, mut is_whole) = (0, 0, true);
    for ends in facts.ends.as_ref()?.iter().filter(|e| rule.means(e.agent)) {
        done += ends.done;
        failed += ends.failed;
        is_whole &= ends.watched >= ENDS_WINDOW;
    }
    let all = done + failed;
    let share = match all {
        0 => 0.0,
        _ => failed as f64 / all as f64,
    };
    let reading = Reading {
        holds: share > limit,
        value: json!(share),
        limit: json!(limit),
        what: format!("{failed} of the last {all} attempts failed"),
    };
    // What failed before the first look may be the greater part of the window: only a whole one says that all is well.
    (is_whole || reading.holds).then_some(reading)
}

fn silent(rule: &AlertRule, facts: &AlertFacts, limit: Duration) -> Option<Reading> {
    let ends = facts.ends.as_ref()?.iter();
    let ends: Vec<_> = ends.filter(|e| rule.means(e.agent)).collect();
    // One that has ended nothing since the first look may have been silent for long before.
    let is_known = ends.iter().all(|e| e.moved || e.watched > limit);
    let times = ends.iter().map(|e| (e.agent.to_string(), e.silent));
    let reading = longest(times, limit, "has work and has finished none for");
    (is_known || reading.holds).then_some(reading)
}

fn job_missed(rule: &AlertRule, facts: &AlertFacts, limit: Duration) -> Option<Reading> {
    let meant = |job: &&JobState| rule.job.as_ref().is_none_or(|name| *name == job.name);
    let jobs = facts.jobs.as_ref()?.iter().filter(meant);
    let due = jobs.filter(|job| !job.paused).filter_map(|job| {
        let late = facts.facts.age(crate::event::Millis(job.next_at?));
        Some((format!("the job {}", job.name), late))
    });
    Some(longest(due, limit, "has been due for"))
}

fn disk_free(facts: &AlertFacts, limit: u64) -> Option<Reading> {
    let free = facts.facts.free?;
    Some(Reading {
        holds: free < limit,
        value: json!(free),
        limit: json!(limit),
        what: format!("the disk of data_dir has {free} bytes free"),
    })
}

fn parked(rule: &AlertRule, facts: &AlertFacts) -> Reading {
    let agents = facts.facts.agents.iter();
    let agents = agents.filter(|a| rule.means(a.status.name));
    let here = agents.filter_map(|a| Some((a.status.name.to_string(), parked_text(&a.status)?)));
    let there = elsewhere(facts, Detector::AgentParked);
    let there = there.filter_map(|subject| {
        let (name, host) = subject.strip_prefix("agent/")?.split_once('@')?;
        let is_meant = name.parse().is_ok_and(|name| rule.means(name));
        // The issue ends when it runs steadily again, which is later than it is started.
        let text =
            format!("the agent {name} was parked on the host {host} and does not run steadily yet");
        is_meant.then(|| (format!("{name}@{host}"), text))
    });
    let parked: Vec<(String, String)> = here.chain(there).collect();
    let names: Vec<&str> = parked.iter().map(|(name, _)| name.as_str()).collect();
    let texts: Vec<&str> = parked.iter().map(|(_, text)| text.as_str()).collect();
    named(&names, "no agent is parked", texts.join("; "))
}

/// What open issues of this detector on other hosts are about.
fn elsewhere(facts: &AlertFacts, detector: Detector) -> impl Iterator<Item = &str> {
    let own = format!("@{}", facts.facts.instance);
    let issues = facts.issues.iter().flatten();
    let subjects = issues
        .filter(move |issue| issue.detector == Some(detector))
        .filter_map(|issue| Some(issue.subject.split_once(':')?.1));
    subjects.filter(move |subject| !subject.ends_with(&own))
}

/// A reading that is so while there is something in `found`.
fn named(found: &[&str], limit: &str, what: String) -> Reading {
    Reading {
        holds: !found.is_empty(),
        value: json!(found.join(", ")),
        limit: json!(limit),
        what: if found.is_empty() {
            limit.to_owned()
        } else {
            what
        },
    }
}

fn redis_away(facts: &AlertFacts) -> Option<Reading> {
    let why = match facts.facts.redis.as_ref().map(|r| &r.facts.standing) {
        None | Some(RedisStanding::Carries { .. }) => None,
        Some(RedisStanding::Unknown) => return None,
        Some(RedisStanding::Away { why, .. } | RedisStanding::Foreign { why }) => {
            Some(why.as_str())
        }
    };
    let there: Vec<&str> = elsewhere(facts, Detector::RedisAway).collect();
    let what = match why {
        Some(why) => format!("Redis cannot carry events: {why}"),
        None => format!("Redis cannot carry events elsewhere: {}", there.join(", ")),
    };
    let found: Vec<&str> = why.into_iter().chain(there).collect();
    Some(named(&found, "Redis carries events", what))
}

fn issue(rule: &AlertRule, facts: &AlertFacts) -> Option<Reading> {
    let issues = facts.issues.as_ref()?.iter();
    // That a receiver could not be told ends only with the next message of its rule. If it made an alert, the alert of that rule
    // could never end, and so there would be no next message.
    let counts = |issue: &&Issue| issue.detector != Some(Detector::AlertUndelivered);
    let keys: Vec<&str> = issues
        .filter(counts)
        .filter(|issue| issue.severity >= rule.severity)
        .map(|issue| issue.subject.as_str())
        .collect();
    let shown = &keys[..keys.len().min(NAMED_MAX)];
    let limit = format!("no issue of severity {} or more", rule.severity.as_str());
    let open = counted(keys.len() as u64, "open issue", "open issues");
    let what = format!("{open}: {}", shown.join(", "));
    Some(named(shown, &limit, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Subject;
    use crate::health::tests::{LONG, all_well, everything_wrong, nothing_known};
    use crate::store::Severity;

    fn rule(bound: Bound) -> AlertRule {
        AlertRule {
            name: "a".to_owned(),
            when: "any",
            bound,
            agent: None,
            job: None,
            hold: Duration::ZERO,
            cooldown: Duration::ZERO,
            severity: Severity::Warning,
        }
    }

    fn bounds() -> [Bound; 9] {
        let minute = Duration::from_secs(60);
        [
            Bound::OldestOwed(minute),
            Bound::Dead(0.0),
            Bound::ErrorRate(0.5),
            Bound::Silent(minute),
            Bound::JobMissed(minute),
            Bound::DiskFree(1 << 20),
            Bound::Parked,
            Bound::RedisAway,
            Bound::Issue,
        ]
    }

    fn job(next_at: i64, paused: bool) -> JobState {
        JobState {
            name: "verify".to_owned(),
            schedule: String::new(),
            paused,
            next_at: Some(next_at),
            last_at: None,
            last_event: None,
            missed: 0,
        }
    }

    fn ends(failed: u64, silent: Duration) -> Option<Vec<AgentEnds>> {
        Some(vec![AgentEnds {
            agent: AgentName::Rag,
            watched: LONG,
            moved: true,
            done: 1,
            failed,
            silent,
        }])
    }

    fn well() -> AlertFacts {
        let facts = all_well();
        AlertFacts {
            issues: Some(Vec::new()),
            ends: ends(1, Duration::ZERO),
            jobs: Some(vec![job(facts.now.0 + 1, false), job(0, true)]),
            facts,
        }
    }

    fn wrong() -> AlertFacts {
        let facts = everything_wrong();
        let open = Issue {
            subject: "disk:disk".to_owned(),
            opened_at: facts.now,
            detector: None,
            severity: Severity::Warning,
            value: String::new(),
            limit: String::new(),
            closed_at: None,
            fix: None,
            fix_attempts: 0,
            fix_result: None,
        };
        AlertFacts {
            issues: Some(vec![open]),
            ends: ends(2, LONG),
            jobs: Some(vec![job(0, false)]),
            facts,
        }
    }

    #[test]
    fn each_rule_finds_what_it_watches_and_only_where_it_is_so() {
        for bound in bounds() {
            let rule = rule(bound);
            let reading = read(&rule, &well()).unwrap();
            assert!(!reading.holds, "{rule:?} {reading:?}");
            let reading = read(&rule, &wrong()).unwrap();
            assert!(reading.holds, "{rule:?} {reading:?}");
            assert!(!reading.what.is_empty());
        }
    }

    #[test]
    fn nothing_is_concluded_from_what_is_not_known() {
        let unknown = AlertFacts {
            facts: nothing_known(),
            ..AlertFacts::default()
        };
        for bound in bounds() {
            let is_known = bound == Bound::Parked;
            let rule = rule(bound);
            assert_eq!(read(&rule, &unknown).is_some(), is_known, "{rule:?}");
        }
    }

    /// What is found in the ends of one agent: whether it is so, if that is known.
    fn found(bound: Bound, ends: AgentEnds) -> Option<bool> {
        let facts = AlertFacts {
            ends: Some(vec![ends]),
            ..well()
        };
        read(&rule(bound), &facts).map(|reading| reading.holds)
    }

    #[test]
    fn silence_is_over_only_when_something_was_seen_to_end() {
        let seconds = Duration::from_secs;
        let ends = |watched, moved, silent| AgentEnds {
            agent: AgentName::Rag,
            watched: seconds(watched),
            moved,
            done: 0,
            failed: 0,
            silent: seconds(silent),
        };
        let silent = |ends| found(Bound::Silent(seconds(60)), ends);
        assert_eq!(silent(ends(1, false, 1)), None);
        assert_eq!(silent(ends(60, false, 60)), None);
        assert_eq!(silent(ends(61, false, 61)), Some(true));
        assert_eq!(silent(ends(2, true, 0)), Some(false));
        assert_eq!(silent(ends(100, true, 61)), Some(true));
        // One of two that is not known is enough for nothing to be known.
        let mut facts = well();
        let other = AgentEnds {
            agent: AgentName::Scheduler,
            ..ends(1, false, 1)
        };
        facts.ends.as_mut().unwrap().push(other);
        let mut rule = rule(Bound::Silent(seconds(60)));
        assert_eq!(read(&rule, &facts), None);
        rule.agent = Some(AgentName::Rag);
        assert!(!read(&rule, &facts).unwrap().holds);
    }

    #[test]
    fn a_window_that_was_not_watched_whole_tells_only_what_is_wrong() {
        let ends = |watched, failed| AgentEnds {
            agent: AgentName::Rag,
            watched,
            moved: true,
            done: 1,
            failed,
            silent: Duration::ZERO,
        };
        let rate = |ends| found(Bound::ErrorRate(0.5), ends);
        let begun = ENDS_WINDOW - Duration::from_secs(1);
        assert_eq!(rate(ends(begun, 1)), None);
        assert_eq!(rate(ends(begun, 2)), Some(true));
        assert_eq!(rate(ends(ENDS_WINDOW, 1)), Some(false));
    }

    #[test]
    fn a_rule_of_one_agent_or_job_is_about_no_other() {
        let facts = wrong();
        for bound in bounds() {
            let mut rule = rule(bound);
            rule.agent = Some(AgentName::Scheduler);
            rule.job = Some("health".to_owned());
            let named = matches!(
                rule.bound,
                Bound::DiskFree(_) | Bound::RedisAway | Bound::Issue
            );
            assert_eq!(read(&rule, &facts).unwrap().holds, named, "{rule:?}");
        }
    }

    #[test]
    fn an_issue_that_is_less_severe_does_not_count() {
        let mut rule = rule(Bound::Issue);
        rule.severity = Severity::Error;
        assert!(!read(&rule, &wrong()).unwrap().holds);
    }

    #[test]
    fn that_a_receiver_could_not_be_told_makes_no_alert() {
        let (rule, mut facts) = (rule(Bound::Issue), wrong());
        let mut undelivered = facts.issues.clone().unwrap().remove(0);
        undelivered.subject = "alert_undelivered:a".to_owned();
        undelivered.detector = Some(Detector::AlertUndelivered);
        facts.issues.as_mut().unwrap().push(undelivered);
        let reading = read(&rule, &facts).unwrap();
        assert_eq!((reading.holds, reading.value), (true, json!("disk:disk")));
        facts.issues.as_mut().unwrap().remove(0);
        assert!(!read(&rule, &facts).unwrap().holds);
    }

    #[test]
    fn what_other_hosts_find_counts_too() {
        let mut facts = well();
        let open = |detector: Detector, subject: Subject| Issue {
            subject: detector.key(&subject),
            detector: Some(detector),
            ..wrong().issues.unwrap().remove(0)
        };
        let own = facts.facts.instance.clone();
        facts.issues = Some(vec![
            open(
                Detector::AgentParked,
                Subject::agent(AgentName::Rag, "there"),
            ),
            open(Detector::AgentParked, Subject::agent(AgentName::Rag, &own)),
            open(Detector::RedisAway, Subject::redis("there")),
        ]);
        // Its own agents it sees itself: what stood in the store about them may be over.
        let parked = read(&rule(Bound::Parked), &facts).unwrap();
        assert_eq!((parked.holds, parked.value), (true, json!("rag@there")));
        assert!(
            parked
                .what
                .starts_with("the agent rag was parked on the host there")
        );
        let of_another = AlertRule {
            agent: Some(AgentName::Scheduler),
            ..rule(Bound::Parked)
        };
        assert!(!read(&of_another, &facts).unwrap().holds);
        let away = read(&rule(Bound::RedisAway), &facts).unwrap();
        assert_eq!(
            away.what,
            "Redis cannot carry events elsewhere: redis@there"
        );
    }
}
