//! What a rule finds in the facts.

use std::time::Duration;

use serde_json::{Value, json};

use super::rule::{AlertRule, Bound};
use crate::event::AgentName;
use crate::health::{Facts, RedisStanding, parked_text};
use crate::store::{Issue, JobState};

/// Open issues that a reading names.
const NAMED_MAX: usize = 5;

/// What the rules are judged by. What could not be read is `None`: nothing is concluded from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlertFacts {
    pub facts: Facts,
    /// The open issues.
    pub issues: Option<Vec<Issue>>,
    /// How attempts ended lately, of each agent.
    pub ends: Vec<AgentEnds>,
    /// The jobs that are turned on.
    pub jobs: Option<Vec<JobState>>,
}

/// How attempts of one agent ended lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentEnds {
    pub agent: AgentName,
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
        Bound::ErrorRate(limit) => Some(error_rate(rule, facts, *limit)),
        Bound::Silent(limit) => Some(silent(rule, facts, *limit)),
        Bound::JobMissed(limit) => job_missed(rule, facts, *limit),
        Bound::DiskFree(limit) => disk_free(facts, *limit),
        Bound::Parked => Some(parked(rule, facts)),
        Bound::RedisAway => redis_away(facts),
        Bound::Issue => issue(rule, facts),
    }
}

fn is_meant(rule: &AlertRule, agent: AgentName) -> bool {
    rule.agent.is_none_or(|meant| meant == agent)
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
    for agent in facts
        .agents
        .iter()
        .filter(|a| is_meant(rule, a.status.name))
    {
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
    let of_agents = of_agents.filter(|(agent, _)| is_meant(rule, *agent));
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

fn error_rate(rule: &AlertRule, facts: &AlertFacts, limit: f64) -> Reading {
    let ends = facts.ends.iter().filter(|e| is_meant(rule, e.agent));
    let (done, failed) = ends.fold((0, 0), |(d, f), e| (d + e.done, f + e.failed));
    let all = done + failed;
    let share = match all {
        0 => 0.0,
        _ => failed as f64 / all as f64,
    };
    Reading {
        holds: share > limit,
        value: json!(share),
        limit: json!(limit),
        what: format!("{failed} of the last {all} attempts failed"),
    }
}

fn silent(rule: &AlertRule, facts: &AlertFacts, limit: Duration) -> Reading {
    let ends = facts.ends.iter().filter(|e| is_meant(rule, e.agent));
    let ends = ends.map(|e| (e.agent.to_string(), e.silent));
    longest(ends, limit, "has work and has ended none for")
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
    let agents = agents.filter(|a| is_meant(rule, a.status.name));
    let parked: Vec<_> = agents
        .filter_map(|a| Some((a.status.name, parked_text(&a.status)?)))
        .collect();
    let names: Vec<&str> = parked.iter().map(|(name, _)| name.as_str()).collect();
    let texts: Vec<&str> = parked.iter().map(|(_, text)| text.as_str()).collect();
    named(&names, "no agent is parked", texts.join("; "))
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
    let what = format!("Redis cannot carry events: {}", why.unwrap_or_default());
    let found: Vec<&str> = why.into_iter().collect();
    Some(named(&found, "Redis carries events", what))
}

fn issue(rule: &AlertRule, facts: &AlertFacts) -> Option<Reading> {
    let issues = facts.issues.as_ref()?.iter();
    let keys: Vec<&str> = issues
        .filter(|issue| issue.severity >= rule.severity)
        .map(|issue| issue.subject.as_str())
        .collect();
    let shown = &keys[..keys.len().min(NAMED_MAX)];
    let limit = format!("no issue of severity {} or more", rule.severity.as_str());
    let what = format!("{} open issues: {}", keys.len(), shown.join(", "));
    Some(named(shown, &limit, what))
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn ends(failed: u64, silent: Duration) -> Vec<AgentEnds> {
        vec![AgentEnds {
            agent: AgentName::Rag,
            done: 1,
            failed,
            silent,
        }]
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
            let is_known = matches!(
                bound,
                Bound::ErrorRate(_) | Bound::Silent(_) | Bound::Parked
            );
            let rule = rule(bound);
            assert_eq!(read(&rule, &unknown).is_some(), is_known, "{rule:?}");
        }
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
}
