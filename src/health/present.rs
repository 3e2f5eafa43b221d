//! What is wrong at this moment: what is judged at once, and the open issues of what is not.

use super::responsibility::is_of_another_host;
use super::{Detected, Detector, Facts, Limits, look};
use crate::store::{Issue, Severity};

/// What is judged at once where it is an error. Of Redis that is so where work waits for it; else only time tells.
const AT_ONCE: &[Detector] = &[
    Detector::AgentParked,
    Detector::AgentUnavailable,
    Detector::StoreReplaced,
    Detector::StoreUnwritable,
    Detector::IndexStopped,
    Detector::IndexUnready,
    Detector::Disk,
    Detector::CapturesHeld,
    Detector::RootAbsent,
    Detector::RemovalsHeld,
    Detector::DeadLetters,
    Detector::RedisAway,
];

/// What is wrong at this moment.
pub(crate) struct Present {
    /// What makes the daemon degraded.
    pub wrong: Vec<OpenIssue>,
    /// The issues that are open, those among them.
    pub issues: Vec<Issue>,
}

impl Present {
    /// An open issue in words.
    pub(crate) fn told(&self, issue: &Issue) -> OpenIssue {
        let wrong = self.wrong.iter().find(|one| one.key == issue.subject);
        wrong.cloned().unwrap_or_else(|| {
            let key = issue.subject.clone();
            OpenIssue::new(issue.detector, key, &issue.value, &issue.limit)
        })
    }
}

/// An issue that makes the daemon degraded, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenIssue {
    pub key: String,
    pub what: String,
    pub remedy: String,
    detector: Option<Detector>,
}

impl OpenIssue {
    /// One that nothing is known of but what stands in its row.
    pub(super) fn new(detector: Option<Detector>, key: String, value: &str, limit: &str) -> Self {
        let what = match detector {
            Some(Detector::Integrity) => format!("the store is not intact: {value}"),
            Some(Detector::AuditBroken) => {
                format!("the chain of the audit log is broken at {value}")
            }
            Some(Detector::IndexDrift) => format!("the index is not intact: {value}"),
            _ => format!(
                "{}: {value}",
                key.split_once(':').map_or("", |(_, about)| about)
            ),
        };
        let remedy = match detector {
            Some(detector) => detector.remedy().to_owned(),
            None => format!("expected: {limit}; `docent health` tells what was tried"),
        };
        OpenIssue {
            key,
            what,
            remedy,
            detector,
        }
    }
}

/// What is wrong by these facts and by the issues that `self_healing` has opened.
pub(crate) fn present(facts: &Facts, limits: &Limits, opened: Vec<Issue>) -> Present {
    let found = at_once(facts, limits);
    let is_found = |issue: &Issue| found.iter().any(|one| one.key() == issue.subject);
    // Of an index that is being opened only time tells whether it takes too long.
    let is_judged = |one: Detector| AT_ONCE.contains(&one) && one != Detector::IndexUnready;
    let is_over = |issue: &Issue| {
        let judged = issue.detector.is_some_and(is_judged);
        judged
            && issue.severity == Severity::Error
            && !is_found(issue)
            && facts.responsibility.includes_issue(issue, &facts.instance)
    };
    let mut issues = opened;
    issues.retain(|issue| !is_over(issue));
    let errors = issues.iter().filter(|i| i.severity == Severity::Error);
    let mut wrong: Vec<OpenIssue> = errors
        .filter(|issue| !is_found(issue) && !is_of_another_host(issue, &facts.instance))
        .map(|i| OpenIssue::new(i.detector, i.subject.clone(), &i.value, &i.limit))
        .collect();
    for one in found {
        if issues.iter().all(|issue| issue.subject != one.key()) {
            issues.insert(0, about_to_open(&one, facts));
        }
        wrong.push(OpenIssue {
            key: one.key(),
            detector: Some(one.detector),
            what: one.what,
            remedy: one.remedy,
        });
    }
    wrong.sort_by_key(|issue| (issue.detector.is_none(), issue.detector));
    Present { wrong, issues }
}

fn at_once(facts: &Facts, limits: &Limits) -> Vec<Detected> {
    let looks = AT_ONCE.iter().filter_map(|one| look(*one, facts, limits));
    let mut found: Vec<Detected> = looks.flatten().collect();
    found.retain(|one| {
        let about = one.subject.as_str();
        let is_ours = facts
            .responsibility
            .includes(one.detector, about, &facts.instance);
        one.severity == Severity::Error && is_ours
    });
    // A full disk is one of the reasons why captures are held: it is said once.
    if found.iter().any(|one| one.detector == Detector::Disk) {
        found.retain(|one| one.detector != Detector::CapturesHeld);
    }
    found
}

/// The issue that `self_healing` is about to open.
fn about_to_open(one: &Detected, facts: &Facts) -> Issue {
    Issue {
        subject: one.key(),
        opened_at: facts.now,
        detector: Some(one.detector),
        severity: one.severity,
        value: one.value.clone(),
        limit: one.limit.clone(),
        closed_at: None,
        fix: None,
        fix_attempts: 0,
        fix_result: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{AgentName, Millis, Subject};
    use crate::health::tests::{agent, all_well, root};
    use crate::health::{EdgeFacts, IndexFacts, RedisFacts, RedisStanding};
    use crate::runtime::{AgentState, RootState};

    fn issue(detector: Detector) -> Issue {
        Issue {
            subject: detector.key(&Subject::store()),
            opened_at: Millis(0),
            detector: Some(detector),
            severity: detector.severity(),
            value: "page 7 is never used".to_owned(),
            limit: "ok".to_owned(),
            closed_at: None,
            fix: None,
            fix_attempts: 0,
            fix_result: None,
        }
    }

    /// What is wrong where nothing is but what `change` makes so, and one issue is open that is no error.
    fn presented(change: impl FnOnce(&mut Facts, &mut Vec<Issue>)) -> Present {
        let (mut facts, mut opened) = (all_well(), vec![issue(Detector::OldestOwed)]);
        change(&mut facts, &mut opened);
        present(&facts, &Limits::default(), opened)
    }

    fn wrong(change: impl FnOnce(&mut Facts)) -> Vec<String> {
        let present = presented(|facts, _| change(facts));
        present.wrong.into_iter().map(|one| one.what).collect()
    }

    fn wrong_by(opened: Issue) -> Vec<String> {
        let present = presented(|_, issues| issues.push(opened));
        present.wrong.into_iter().map(|one| one.what).collect()
    }

    fn edge(facts: &mut Facts) -> &mut EdgeFacts {
        facts.edge.get_or_insert_default()
    }

    fn index(facts: &mut Facts) -> &mut IndexFacts {
        facts.index.get_or_insert_default()
    }

    #[test]
    fn each_cause_alone_is_named() {
        assert_eq!(wrong(|_| {}), [""; 0]);
        let park = |f: &mut Facts| {
            f.agents = vec![agent(AgentName::Rag)];
            f.agents[0].status.state = AgentState::Parked;
            f.agents[0].status.reason = Some("it panicked".to_owned());
        };
        assert_eq!(wrong(park), ["the agent rag is parked: it panicked"]);
        let since = Millis(0);
        assert_eq!(
            wrong(|f| f.agents[0].status.unavailable = Some(("no model".to_owned(), since))),
            [format!(
                "the agent rag has been waiting since {since}: no model"
            )]
        );
        assert_eq!(
            wrong(|f| f.dead = vec![(AgentName::Rag, 2)]),
            ["2 deliveries are dead: rag 2"]
        );
        assert_eq!(
            wrong_by(issue(Detector::Integrity)),
            ["the store is not intact: page 7 is never used"]
        );
        assert_eq!(
            wrong_by(issue(Detector::AuditBroken)),
            ["the chain of the audit log is broken at page 7 is never used"]
        );
        assert_eq!(
            wrong_by(issue(Detector::IndexDrift)),
            ["the index is not intact: page 7 is never used"]
        );
        assert_eq!(
            wrong(|f| index(f).unready = Duration::MAX),
            ["the index is being opened or rebuilt"]
        );
        assert_eq!(
            wrong(|f| index(f).stopped = Some("full".to_owned())),
            ["the index does not follow the store: full"]
        );
        assert_eq!(
            wrong(|f| f.replaced = Some("store.db was removed".to_owned())),
            ["store.db was removed"]
        );
        assert_eq!(
            wrong(|f| f.unwritable = Some("no space left".to_owned())),
            ["the store cannot be written: no space left"]
        );
        let full = ["the disk of data_dir has 255MiB free, less than 256MiB: nothing is captured"];
        assert_eq!(wrong(|f| f.free = Some(255 << 20)), full);
        assert_eq!(
            wrong(|f| edge(f).progress.held = Some("full".to_owned())),
            ["captures are held: full"]
        );
        let held_and_full = |f: &mut Facts| {
            f.free = Some(255 << 20);
            edge(f).progress.held = Some("full".to_owned());
        };
        assert_eq!(wrong(held_and_full), full, "said once");
    }

    #[test]
    fn a_root_that_is_away_is_named_with_what_to_do() {
        let away = RootState::Absent;
        for away in [away, RootState::Denied, RootState::LetGo] {
            let docs = root("docs", away("no such file".to_owned()));
            assert_eq!(
                wrong(|f| edge(f).progress.roots.push(docs)),
                ["the root of docs cannot be reached: no such file"]
            );
        }
        let held = root("docs", RootState::RemovalsHeld("another device".to_owned()));
        let present = presented(|f, _| edge(f).progress.roots.push(held));
        let told = &present.wrong[0];
        assert_eq!(told.what, "the removals in docs are held: another device");
        assert!(told.remedy.ends_with("docent scan docs --accept-removals"));
    }

    #[test]
    fn redis_is_wrong_where_it_is_waited_for_or_belongs_to_another_and_nowhere_else() {
        let redis = |needed, standing| {
            let facts = RedisFacts {
                needed,
                standing,
                streams: None,
            };
            wrong(|f| f.redis = Some(facts.now(f.now)))
        };
        let since = Millis(0);
        let away = || RedisStanding::Away {
            why: "refused".to_owned(),
            since,
            answers: true,
        };
        assert_eq!(
            redis(true, away()),
            [format!(
                "Redis cannot carry events: refused (since {since})"
            )]
        );
        assert_eq!(redis(false, away()), [""; 0]);
        let looked_for = redis(true, RedisStanding::Unknown);
        assert!(
            looked_for[0].starts_with("Redis cannot carry events: docent is connecting to Redis")
        );
        assert_eq!(redis(false, RedisStanding::Unknown), [""; 0]);
        let why = "it belongs to x".to_owned();
        assert_eq!(
            redis(false, RedisStanding::Foreign { why }),
            ["Redis cannot carry events: it belongs to x"]
        );
    }

    /// The keys of the issues that are told.
    fn told(change: impl FnOnce(&mut Facts, &mut Vec<Issue>)) -> Vec<String> {
        let issues = presented(change).issues.into_iter();
        issues.map(|issue| issue.subject).collect()
    }

    #[test]
    fn what_is_wrong_and_what_is_an_issue_never_contradict_each_other() {
        assert_eq!(told(|_, _| {}), ["oldest_owed:store"]);
        // Found at once, before self_healing has looked again.
        let dead = |f: &mut Facts| f.dead = vec![(AgentName::Rag, 1)];
        let now = told(|f, _| dead(f));
        assert_eq!(now, ["dead_letters:dead", "oldest_owed:store"]);
        // Over at once, before self_healing has closed its issue.
        let over = issue(Detector::DeadLetters);
        assert_eq!(
            told(|_, issues| issues.push(over.clone())),
            ["oldest_owed:store"]
        );
        assert_eq!(wrong_by(over), [""; 0]);
        // Open and still true: told once, as it was opened.
        let both = presented(|facts, issues| {
            dead(facts);
            *issues = vec![Issue {
                subject: "dead_letters:dead".to_owned(),
                ..issue(Detector::DeadLetters)
            }];
        });
        assert_eq!((both.wrong.len(), both.issues.len()), (1, 1));
        assert_eq!(both.issues[0].opened_at, Millis(0));
    }

    #[test]
    fn an_error_that_only_self_healing_can_see_makes_the_daemon_degraded_too() {
        assert_eq!(
            wrong_by(issue(Detector::FileDrift)),
            ["store: page 7 is never used"]
        );
        assert_eq!(
            wrong_by(issue(Detector::IndexUnready)),
            ["store: page 7 is never used"]
        );
        // One that this version does not know.
        let retired = Issue {
            subject: "retired:store".to_owned(),
            detector: None,
            ..issue(Detector::FileDrift)
        };
        assert_eq!(wrong_by(retired), ["store: page 7 is never used"]);
        // Redis that nobody waits for: told as an issue, by time alone.
        let away = Issue {
            severity: Severity::Warning,
            ..issue(Detector::RedisAway)
        };
        assert_eq!(wrong_by(away.clone()), [""; 0]);
        let issues = told(|_, issues| issues.push(away));
        assert_eq!(issues, ["oldest_owed:store", "redis_away:store"]);
    }

    #[test]
    fn what_is_wrong_is_told_in_the_order_of_the_detectors() {
        let present = presented(|facts, issues| {
            facts.dead = vec![(AgentName::Rag, 1)];
            facts.agents[0].status.state = AgentState::Parked;
            issues.extend([Detector::FileDrift, Detector::Integrity].map(issue));
        });
        let detectors: Vec<_> = present
            .wrong
            .iter()
            .filter_map(|one| one.detector)
            .collect();
        assert!(detectors.is_sorted());
        assert_eq!(detectors.len(), 4);
    }
}
