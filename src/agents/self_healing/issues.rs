//! The life of an issue: it opens and closes on a change of state, and says so once.
//!
//! The open issues in the store are the state: a restart tells nothing twice, and closes what is gone. What is kept here
//! besides is only when an issue was seen first and last: some must be seen twice, or be gone for a while.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::event::{EventType, NewEvent, Subject};
use crate::health::Detected;
use crate::store::{Detector, Effect, FixAttempt, Issue, IssueClosed, IssueOpened};

/// A standing issue's value is brought up to date no more often than this.
const REFRESH: Duration = Duration::from_secs(60);

/// The longest text of an issue, in characters.
const TEXT_MAX: usize = 1000;

/// Enough for a second look: what passes between two looks is no issue.
const TWICE: Duration = Duration::from_millis(900);
/// For what comes and goes by its nature.
const A_WHILE: Duration = Duration::from_secs(30);

/// How long it must be seen before it is an issue.
fn opens_after(detector: Detector) -> Duration {
    match detector {
        Detector::LogHeld | Detector::RedisInbox => A_WHILE,
        Detector::OldestOwed
        | Detector::IndexDrift
        | Detector::FileDrift
        | Detector::RedisAway
        | Detector::RedisStrangers
        | Detector::RedisStuck
        | Detector::RedisIngress => TWICE,
        _ => Duration::ZERO,
    }
}

/// How long it must not be seen before its issue is closed.
fn closes_after(detector: Detector) -> Duration {
    match detector {
        Detector::AgentUnavailable
        | Detector::OldestOwed
        | Detector::IndexBehind
        | Detector::RedisStrangers
        | Detector::RedisStuck
        | Detector::RedisInbox
        | Detector::RedisIngress => A_WHILE,
        _ => Duration::ZERO,
    }
}

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
    pub(super) opened: Vec<Detected>,
    /// These are open, and are still seen.
    pub(super) standing: Vec<(Issue, Detected)>,
    /// Of those, these have another value than the store, for long enough.
    pub(super) refreshed: Vec<Detected>,
    pub(super) closed: Vec<Issue>,
}

impl Sightings {
    /// Nothing was seen yet, in a run that begins at `at`.
    pub(super) fn new(at: Instant) -> Self {
        Sightings {
            begun: at,
            seen: HashMap::new(),
        }
    }

    /// Compares what the detectors say with the issues that are open. A detector that cannot say anything changes nothing.
    pub(super) fn judge(
        &mut self,
        looks: &[(Detector, Option<Vec<Detected>>)],
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
                open.retain(|_, issue| issue.detector != Some(*detector));
                continue;
            };
            self.forget(*detector, found, &open);
            for one in found {
                let key = one.key();
                let sighting = self.seen.entry(key.clone()).or_insert(Sighting {
                    first: at,
                    last: at,
                    written: at,
                });
                sighting.last = at;
                if let Some(issue) = open.remove(&key) {
                    if differs(&issue, one) && at.duration_since(sighting.written) >= REFRESH {
                        sighting.written = at;
                        judgement.refreshed.push(one.clone());
                    }
                    judgement.standing.push((issue, one.clone()));
                } else if at.duration_since(sighting.first) >= opens_after(*detector) {
                    judgement.opened.push(one.clone());
                }
            }
        }
        // What is left was not found, or is of a detector that this version does not have.
        for (key, issue) in open {
            let last = self
                .seen
                .get(&key)
                .map_or(self.begun, |sighting| sighting.last);
            let patience = issue.detector.map_or(Duration::ZERO, closes_after);
            if at.duration_since(last) >= patience {
                judgement.closed.push(issue);
            }
        }
        judgement.closed.sort_by(|a, b| a.subject.cmp(&b.subject));
        judgement
    }

    /// Drops what this detector does not see any more, except where an issue waits for its end.
    fn forget(&mut self, detector: Detector, found: &[Detected], open: &HashMap<String, Issue>) {
        let still: HashSet<String> = found.iter().map(Detected::key).collect();
        self.seen.retain(|key, _| {
            let ours = key
                .split_once(':')
                .is_some_and(|(name, _)| name == detector.as_str());
            !ours || still.contains(key) || open.contains_key(key)
        });
    }
}

fn differs(issue: &Issue, found: &Detected) -> bool {
    issue.value != short(&found.value)
        || issue.limit != found.limit
        || issue.severity != found.severity
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// The thing that an issue is about.
pub(super) fn thing(issue: &Issue) -> Subject {
    // The key was made from a subject; one that was not is named by what it is.
    Subject::parse(issue.about()).unwrap_or_else(|_| Subject::store())
}

/// Effects and events that are one transaction.
pub(super) type Transaction = (Vec<Effect>, Vec<NewEvent>);

/// The effect of what was found: its issue opens, or is brought up to date.
pub(super) fn open(found: &Detected) -> Effect {
    Effect::IssueOpened(IssueOpened {
        subject: found.key(),
        detector: found.detector,
        severity: found.severity,
        value: short(&found.value),
        limit: found.limit.clone(),
    })
}

/// An issue opens and is told.
pub(super) fn opened(found: &Detected, source: &str) -> Transaction {
    let data = json!({
        "severity": found.severity.as_str(), "detector": found.detector.as_str(),
        "value": short(&found.value), "limit": found.limit,
    });
    let event = NewEvent::root(EventType::HealthIssue, source, found.subject.clone(), data);
    (vec![open(found)], vec![event])
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
        let data = fix_data(issue, name, *attempt, true, done);
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
        "severity": issue.severity.as_str(), "detector": issue.detector_name(), "value": issue.value,
        "limit": issue.limit, "since": issue.opened_at.to_string(),
    });
    events.push(NewEvent::root(
        EventType::HealthRecovered,
        source,
        subject.clone(),
        data,
    ));
    if issue.detector == Some(Detector::RootAbsent) {
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
    fix: &str,
    attempt: u32,
    why: &str,
    source: &str,
) -> Transaction {
    let data = fix_data(issue, fix, attempt, false, why);
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

fn fix_data(issue: &Issue, fix: &str, attempt: u32, verified: bool, result: &str) -> Value {
    json!({
        "fix": fix, "attempt": attempt, "verified": verified, "detector": issue.detector_name(),
        "result": short(result),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::Millis;
    use crate::store::Severity;

    const SLOW: Detector = Detector::OldestOwed;
    const QUICK: Detector = Detector::Integrity;

    pub(in crate::agents::self_healing) fn found(detector: Detector) -> Detected {
        Detected {
            detector,
            subject: Subject::store(),
            severity: Severity::Error,
            value: "7".to_owned(),
            limit: "5".to_owned(),
            what: "there are 7".to_owned(),
            remedy: "take 2 away".to_owned(),
            fix: None,
        }
    }

    pub(in crate::agents::self_healing) fn issue(found: &Detected) -> Issue {
        Issue {
            subject: found.key(),
            opened_at: Millis(0),
            detector: Some(found.detector),
            severity: found.severity,
            value: found.value.clone(),
            limit: found.limit.clone(),
            closed_at: None,
            fix: None,
            fix_attempts: 0,
            fix_result: None,
        }
    }

    /// Judges one issue, or none, of `detector`; what opened, stands and closed, in numbers.
    fn judge(
        sightings: &mut Sightings,
        (detector, seen): (Detector, Option<usize>),
        open: bool,
        at: Instant,
    ) -> (usize, usize, usize) {
        let one = found(detector);
        let looks = [(detector, seen.map(|n| vec![one.clone(); n]))];
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
            judge(&mut sightings, (QUICK, Some(1)), false, at),
            (1, 0, 0)
        );
        assert_eq!(judge(&mut sightings, (QUICK, Some(1)), true, at), (0, 1, 0));
        assert_eq!(judge(&mut sightings, (QUICK, None), true, at), (0, 0, 0));
        assert_eq!(judge(&mut sightings, (QUICK, Some(0)), true, at), (0, 0, 1));
        assert_eq!(
            judge(&mut sightings, (QUICK, Some(0)), false, at),
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
            judge(&mut sightings, (SLOW, Some(1)), false, at(0)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(0)), false, at(10)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(1)), false, at(100)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(1)), false, at(105)),
            (1, 0, 0)
        );
        // Open: gone for less than its patience is not gone.
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(0)), true, at(115)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(1)), true, at(125)),
            (0, 1, 0)
        );
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(0)), true, at(154)),
            (0, 0, 0)
        );
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(0)), true, at(155)),
            (0, 0, 1)
        );
    }

    #[test]
    fn after_a_restart_an_issue_that_is_gone_closes_and_one_that_stands_is_not_told_again() {
        let start = Instant::now();
        let mut sightings = Sightings::new(start);
        assert_eq!(
            judge(&mut sightings, (QUICK, Some(1)), true, start),
            (0, 1, 0)
        );
        let mut sightings = Sightings::new(start);
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(0)), true, start),
            (0, 0, 0)
        );
        let later = start + closes_after(SLOW);
        assert_eq!(
            judge(&mut sightings, (SLOW, Some(0)), true, later),
            (0, 0, 1)
        );
    }

    #[test]
    fn an_issue_of_a_detector_that_is_no_more_closes() {
        let mut sightings = Sightings::new(Instant::now());
        let old = Issue {
            subject: "retired:store".to_owned(),
            detector: None,
            ..issue(&found(QUICK))
        };
        let judged = sightings.judge(
            &[(QUICK, Some(Vec::new()))],
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
                ..issue(&found(QUICK))
            };
            let looks = [(QUICK, Some(vec![found(QUICK)]))];
            let at = start + Duration::from_secs(seconds);
            sightings.judge(&looks, vec![stale], at).refreshed.len()
        };
        assert_eq!([0, 30, 60, 90, 120].map(&mut refreshed), [0, 0, 1, 0, 1]);
    }

    #[test]
    fn a_root_that_is_back_is_scanned() {
        let absent = Detected {
            subject: Subject::collection("docs"),
            ..found(Detector::RootAbsent)
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
