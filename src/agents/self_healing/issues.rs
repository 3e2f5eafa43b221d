//! The life of an issue: it opens and closes on a change of state, and says so once.
//!
//! The open issues in the store are the state: a restart tells nothing twice, and closes what is gone. What is kept here
//! besides is only when a fault was seen first and last, for detectors that want it seen twice or gone for a while.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::detectors::{Detector, Finding, ROOT_ABSENT};
use crate::event::{EventType, NewEvent, Subject};
use crate::store::{Effect, FixAttempt, Issue, IssueClosed, IssueOpened};

/// A standing issue's value is brought up to date no more often than this.
const REFRESH: Duration = Duration::from_secs(60);

/// The longest text of a finding, in characters.
const TEXT_MAX: usize = 1000;

#[derive(Debug)]
struct Sighting {
    first: Instant,
    last: Instant,
    written: Instant,
}

/// What was seen, and when.
#[derive(Debug)]
pub(super) struct Sightings {
    begun: Instant,
    seen: HashMap<String, Sighting>,
}

/// What follows from one round.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Judgement {
    pub(super) opened: Vec<Finding>,
    /// These are open, and their faults are still there.
    pub(super) standing: Vec<(Issue, Finding)>,
    /// Of those, these have another value than the store, for long enough.
    pub(super) refreshed: Vec<Finding>,
    pub(super) closed: Vec<Issue>,
}

impl Sightings {
    /// Nothing was seen yet, in a life that begins at `at`.
    pub(super) fn new(at: Instant) -> Self {
        Sightings {
            begun: at,
            seen: HashMap::new(),
        }
    }

    /// Compares what the detectors say with the issues that are open. A detector that cannot say anything changes nothing.
    pub(super) fn judge(
        &mut self,
        looks: &[(&Detector, Option<Vec<Finding>>)],
        open: Vec<Issue>,
        at: Instant,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        let mut open: HashMap<String, Issue> = open
            .into_iter()
            .map(|issue| (issue.subject.clone(), issue))
            .collect();
        for (detector, found) in looks {
            let Some(found) = found else {
                open.retain(|_, issue| issue.detector != detector.name);
                continue;
            };
            self.forget(detector, found, &open);
            for finding in found {
                let key = finding.key();
                let sighting = self.seen.entry(key.clone()).or_insert(Sighting {
                    first: at,
                    last: at,
                    written: at,
                });
                sighting.last = at;
                if let Some(issue) = open.remove(&key) {
                    if differs(&issue, finding) && at.duration_since(sighting.written) >= REFRESH {
                        sighting.written = at;
                        judgement.refreshed.push(finding.clone());
                    }
                    judgement.standing.push((issue, finding.clone()));
                } else if at.duration_since(sighting.first) >= detector.opens_after {
                    judgement.opened.push(finding.clone());
                }
            }
        }
        // What is left was not found, or its detector is no more.
        for (key, issue) in open {
            let detector = looks
                .iter()
                .find(|(d, _)| d.name == issue.detector)
                .map(|(d, _)| *d);
            let last = self
                .seen
                .get(&key)
                .map_or(self.begun, |sighting| sighting.last);
            let patience = detector.map_or(Duration::ZERO, |d| d.closes_after);
            if at.duration_since(last) >= patience {
                judgement.closed.push(issue);
            }
        }
        judgement.closed.sort_by(|a, b| a.subject.cmp(&b.subject));
        judgement
    }

    /// Drops what this detector does not see any more, except where an issue waits for its end.
    fn forget(&mut self, detector: &Detector, found: &[Finding], open: &HashMap<String, Issue>) {
        let still: HashSet<String> = found.iter().map(Finding::key).collect();
        self.seen.retain(|key, _| {
            let ours = key
                .split_once(':')
                .is_some_and(|(name, _)| name == detector.name);
            !ours || still.contains(key) || open.contains_key(key)
        });
    }
}

fn differs(issue: &Issue, finding: &Finding) -> bool {
    issue.value != short(&finding.value)
        || issue.limit != finding.limit
        || issue.severity != finding.severity
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// The thing that an issue is about: what stands behind the detector's name in its key.
pub(super) fn thing(issue: &Issue) -> Subject {
    let text = issue
        .subject
        .split_once(':')
        .map_or(issue.subject.as_str(), |(_, thing)| thing);
    // The key was made from a subject; one that was not is named by what it is.
    Subject::parse(text).unwrap_or_else(|_| Subject::store())
}

/// Effects and events that are one transaction.
pub(super) type Transaction = (Vec<Effect>, Vec<NewEvent>);

/// The effect of a finding: its issue opens, or is brought up to date.
pub(super) fn open(finding: &Finding) -> Effect {
    Effect::IssueOpened(IssueOpened {
        subject: finding.key(),
        detector: finding.detector.to_owned(),
        severity: finding.severity,
        value: short(&finding.value),
        limit: finding.limit.clone(),
    })
}

/// An issue opens and is told.
pub(super) fn opened(finding: &Finding, source: &str) -> Transaction {
    let data = json!({
        "severity": finding.severity.as_str(), "detector": finding.detector,
        "value": short(&finding.value), "limit": finding.limit,
    });
    let event = NewEvent::root(
        EventType::HealthIssue,
        source,
        finding.subject.clone(),
        data,
    );
    (vec![open(finding)], vec![event])
}

/// An issue closes and is told, together with the fix (its name, the attempt, what was done) that made it go.
pub(super) fn closed(
    issue: &Issue,
    fix: Option<&(String, u32, String)>,
    source: &str,
) -> Transaction {
    let subject = thing(issue);
    let mut effects = Vec::new();
    let mut events = Vec::new();
    if let Some((name, attempt, done)) = fix {
        effects.push(fixing(
            issue,
            name,
            Some(format!("attempt {attempt} was verified: {done}")),
        ));
        let data = fix_data(issue, (name, *attempt, true), done);
        events.push(NewEvent::root(
            EventType::FixApplied,
            source,
            subject.clone(),
            data,
        ));
    }
    effects.push(Effect::IssueClosed(IssueClosed {
        subject: issue.subject.clone(),
    }));
    let data = json!({
        "severity": issue.severity.as_str(), "detector": issue.detector, "value": issue.value,
        "limit": issue.limit, "since": issue.opened_at.to_string(),
    });
    events.push(NewEvent::root(
        EventType::HealthRecovered,
        source,
        subject.clone(),
        data,
    ));
    if issue.detector == ROOT_ABSENT {
        // What changed while the root was away was seen by no watch.
        let data = json!({"reason": "its root can be reached again"});
        events.push(NewEvent::root(
            EventType::ScanRequested,
            source,
            subject,
            data,
        ));
    }
    (effects, events)
}

/// A fix begins. Told is only its end; that it was tried must be known before anything is done, to bound the attempts.
pub(super) fn began(issue: &Issue, fix: &str) -> Transaction {
    (vec![fixing(issue, fix, None)], Vec::new())
}

/// A fix failed and is told.
pub(super) fn failed(
    issue: &Issue,
    (fix, attempt, why): (&str, u32, &str),
    source: &str,
) -> Transaction {
    let data = fix_data(issue, (fix, attempt, false), why);
    let event = NewEvent::root(EventType::FixFailed, source, thing(issue), data);
    let result = format!("attempt {attempt} failed: {}", short(why));
    (vec![fixing(issue, fix, Some(result))], vec![event])
}

fn fixing(issue: &Issue, fix: &str, result: Option<String>) -> Effect {
    Effect::FixAttempted(FixAttempt {
        subject: issue.subject.clone(),
        fix: fix.to_owned(),
        result,
    })
}

fn fix_data(issue: &Issue, (fix, attempt, verified): (&str, u32, bool), result: &str) -> Value {
    json!({
        "fix": fix, "attempt": attempt, "verified": verified, "detector": issue.detector,
        "result": short(result),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::agents::self_healing::Limits;
    use crate::agents::self_healing::facts::Facts;
    use crate::event::Millis;
    use crate::store::Severity;

    fn silent(_: &Facts, _: &Limits) -> Option<Vec<Finding>> {
        None
    }

    const SLOW: Detector = Detector {
        name: "slow",
        opens_after: Duration::from_secs(5),
        closes_after: Duration::from_secs(30),
        look: silent,
    };
    const QUICK: Detector = Detector {
        name: "quick",
        opens_after: Duration::ZERO,
        closes_after: Duration::ZERO,
        look: silent,
    };

    fn finding(detector: &'static str) -> Finding {
        Finding {
            detector,
            subject: Subject::store(),
            severity: Severity::Error,
            value: "7".to_owned(),
            limit: "5".to_owned(),
            remedy: None,
        }
    }

    pub(in crate::agents::self_healing) fn issue(finding: &Finding) -> Issue {
        Issue {
            subject: finding.key(),
            opened_at: Millis(0),
            detector: finding.detector.to_owned(),
            severity: finding.severity,
            value: finding.value.clone(),
            limit: finding.limit.clone(),
            closed_at: None,
            fix: None,
            fix_attempts: 0,
            fix_result: None,
        }
    }

    /// Judges one finding, or none, of `detector`; what opened, stands and closed, in numbers.
    fn judge(
        sightings: &mut Sightings,
        (detector, found): (&Detector, Option<usize>),
        open: bool,
        at: Instant,
    ) -> (usize, usize, usize) {
        let one = finding(detector.name);
        let looks = [(detector, found.map(|n| vec![one.clone(); n]))];
        let open = open.then(|| issue(&one)).into_iter().collect();
        let judged = sightings.judge(&looks, open, at);
        (
            judged.opened.len(),
            judged.standing.len(),
            judged.closed.len(),
        )
    }

    #[test]
    fn an_issue_opens_when_it_is_seen_and_closes_when_it_is_not() {
        let at = Instant::now();
        let mut sightings = Sightings::new(at);
        assert_eq!(
            judge(&mut sightings, (&QUICK, Some(1)), false, at),
            (1, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (&QUICK, Some(1)), true, at),
            (0, 1, 0)
        );
        assert_eq!(judge(&mut sightings, (&QUICK, None), true, at), (0, 0, 0));
        assert_eq!(
            judge(&mut sightings, (&QUICK, Some(0)), true, at),
            (0, 0, 1)
        );
        assert_eq!(
            judge(&mut sightings, (&QUICK, Some(0)), false, at),
            (0, 0, 0)
        );
    }

    #[test]
    fn what_comes_and_goes_neither_opens_nor_closes_an_issue() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sightings = Sightings::new(start);
        // Seen once, then not: no issue; seen twice far apart: still none.
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(1)), false, at(0)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(0)), false, at(10)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(1)), false, at(100)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(1)), false, at(105)),
            (1, 0, 0)
        );
        // Open: gone for less than its patience is not gone.
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(0)), true, at(115)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(1)), true, at(125)),
            (0, 1, 0)
        );
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(0)), true, at(154)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(0)), true, at(155)),
            (0, 0, 1)
        );
    }

    #[test]
    fn after_a_restart_an_issue_that_is_gone_closes_and_one_that_stands_is_not_told_again() {
        let start = Instant::now();
        let mut sightings = Sightings::new(start);
        assert_eq!(
            judge(&mut sightings, (&QUICK, Some(1)), true, start),
            (0, 1, 0)
        );
        let mut sightings = Sightings::new(start);
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(0)), true, start),
            (0, 0, 0)
        );
        let later = start + SLOW.closes_after;
        assert_eq!(
            judge(&mut sightings, (&SLOW, Some(0)), true, later),
            (0, 0, 1)
        );
    }

    #[test]
    fn an_issue_of_a_detector_that_is_no_more_closes() {
        let mut sightings = Sightings::new(Instant::now());
        let old = issue(&finding("retired"));
        let judged = sightings.judge(
            &[(&QUICK, Some(Vec::new()))],
            vec![old.clone()],
            Instant::now(),
        );
        assert_eq!(judged.closed, [old]);
    }

    #[test]
    fn a_value_is_brought_up_to_date_once_a_minute() {
        let start = Instant::now();
        let mut sightings = Sightings::new(start);
        let mut refreshed = |seconds| {
            let stale = Issue {
                value: "6".to_owned(),
                ..issue(&finding("quick"))
            };
            let looks = [(&QUICK, Some(vec![finding("quick")]))];
            let at = start + Duration::from_secs(seconds);
            sightings.judge(&looks, vec![stale], at).refreshed.len()
        };
        assert_eq!([0, 30, 60, 90, 120].map(&mut refreshed), [0, 0, 1, 0, 1]);
    }

    #[test]
    fn a_root_that_is_back_is_scanned() {
        let absent = Finding {
            subject: Subject::collection("docs"),
            ..finding(ROOT_ABSENT)
        };
        let (_, events) = closed(&issue(&absent), None, "me");
        let kinds: Vec<EventType> = events.iter().map(|e| e.kind).collect();
        assert_eq!(
            kinds,
            [EventType::HealthRecovered, EventType::ScanRequested]
        );
        assert!(events.iter().all(|e| e.subject.as_str() == "docs"));
    }
}
