//! Fixes: which is tried when, how often, and what became of it. No clock inside.
//!
//! A fix is good when the detector that found the issue does not see it any more, and bad when it still does at the
//! deadline, whatever whoever carried it out says.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::health::Fix;
use crate::store::Issue;

/// Attempts go on counting for an issue that is back so soon after it was gone: what breaks again is not mended for ever.
const MEMORY: Duration = Duration::from_secs(3600);

/// How often a fix is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct FixRetries {
    /// Attempts for one issue.
    pub(super) attempts: u32,
    /// The pause before the second attempt, doubling with each.
    pub(super) backoff: Duration,
}

#[derive(Debug)]
struct UnderWay {
    fix: Fix,
    attempt: u32,
    deadline: Instant,
    /// What was done, once it is.
    acted: Option<Result<String, String>>,
}

#[derive(Debug)]
struct Entry {
    made: u32,
    next: Instant,
    under_way: Option<UnderWay>,
    closed_at: Option<Instant>,
}

/// What is to be done about an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Try this: attempt number `attempt`, from 1.
    Begin { fix: Fix, attempt: u32 },
    Failed {
        fix: String,
        attempt: u32,
        why: String,
    },
}

/// The fixes of all issues.
#[derive(Debug)]
pub(super) struct Fixes {
    retries: FixRetries,
    entries: HashMap<String, Entry>,
}

impl Fixes {
    /// None was tried in this run.
    pub(super) fn new(retries: FixRetries) -> Self {
        Fixes {
            retries,
            entries: HashMap::new(),
        }
    }

    /// What is to be done at `at` about `issue`, which is still seen.
    pub(super) fn review(&mut self, issue: &Issue, fix: Option<&Fix>, at: Instant) -> Option<Step> {
        let retries = self.retries;
        let taken = fix.is_some_and(|fix| self.is_under_way(fix));
        let first = |made| at + fix.map_or(Duration::ZERO, |r| pause(retries, r, made));
        let entry = self
            .entries
            .entry(issue.subject.clone())
            .or_insert_with(|| Entry {
                made: issue.fix_attempts,
                next: first(issue.fix_attempts),
                under_way: None,
                closed_at: None,
            });
        if entry.closed_at.take().is_some() {
            entry.next = first(entry.made);
        }
        if let Some(current) = &entry.under_way {
            let why = match &current.acted {
                Some(Err(why)) => why.clone(),
                _ if at < current.deadline => return None,
                Some(Ok(done)) => format!("{done}, but the fault is still there"),
                None => "it did not end in time".to_owned(),
            };
            let fix = current.fix.name().to_owned();
            return Some(Step::Failed {
                fix,
                attempt: current.attempt,
                why,
            });
        }
        if let (Some(fix), None) = (&issue.fix, &issue.fix_result) {
            let why = "docent stopped before it was verified".to_owned();
            return Some(Step::Failed {
                fix: fix.clone(),
                attempt: entry.made,
                why,
            });
        }
        let fix = fix.filter(|_| !taken && entry.made < retries.attempts && at >= entry.next)?;
        Some(Step::Begin {
            fix: fix.clone(),
            attempt: entry.made + 1,
        })
    }

    /// Two issues may ask for one fix: it is carried out once at a time.
    fn is_under_way(&self, fix: &Fix) -> bool {
        self.entries
            .values()
            .filter_map(|e| e.under_way.as_ref())
            .any(|u| u.fix == *fix)
    }

    /// The attempt stands in the store and is carried out from now on.
    pub(super) fn began(&mut self, key: &str, fix: &Fix, attempt: u32, at: Instant) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.made = attempt;
            entry.under_way = Some(UnderWay {
                fix: fix.clone(),
                attempt,
                deadline: at + fix.time_to_act(),
                acted: None,
            });
        }
    }

    /// It was carried out, or could not be: from now on the detector has the word.
    pub(super) fn acted(&mut self, key: &str, result: Result<String, String>, at: Instant) {
        if let Some(current) = self.entries.get_mut(key).and_then(|e| e.under_way.as_mut()) {
            current.deadline = at + current.fix.time_to_verify();
            current.acted = Some(result);
        }
    }

    /// The failure stands in the store. Gives whether there is another attempt.
    pub(super) fn failed(&mut self, key: &str, fix: Option<&Fix>, at: Instant) -> bool {
        let retries = self.retries;
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        entry.under_way = None;
        entry.next = at + fix.map_or(Duration::ZERO, |r| pause(retries, r, entry.made));
        entry.made < retries.attempts
    }

    /// The fix (its name, its number, what was done) that the disappearance of this issue verifies.
    pub(super) fn verified(&self, key: &str) -> Option<(String, u32, String)> {
        let current = self.entries.get(key)?.under_way.as_ref()?;
        let done = current.acted.as_ref()?.as_ref().ok()?;
        Some((current.fix.name().to_owned(), current.attempt, done.clone()))
    }

    /// The issue is closed in the store.
    pub(super) fn closed(&mut self, key: &str, at: Instant) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.under_way = None;
            entry.closed_at = Some(at);
        }
        self.entries.retain(|_, entry| {
            entry
                .closed_at
                .is_none_or(|closed| at.duration_since(closed) < MEMORY)
        });
    }
}

/// The pause before the attempt after `made` of them.
fn pause(retries: FixRetries, fix: &Fix, made: u32) -> Duration {
    let doublings = if fix.waits_first() {
        made
    } else {
        made.saturating_sub(1)
    };
    if made == 0 && !fix.waits_first() {
        return Duration::ZERO;
    }
    let backoff = Backoff::new(retries.backoff, Duration::MAX);
    backoff.after(doublings.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::self_healing::issues::tests::{found, issue};
    use crate::event::{AgentName, Subject};
    use crate::health::Detected;
    use crate::store::Detector;

    const RETRIES: FixRetries = FixRetries {
        attempts: 3,
        backoff: Duration::from_secs(60),
    };
    const RESTART: Fix = Fix::RestartAgent(AgentName::Rag);

    fn parked(subject: &str) -> Issue {
        issue(&Detected {
            subject: Subject::collection(subject),
            ..found(Detector::AgentParked)
        })
    }

    fn begin(fix: &Fix, attempt: u32) -> Option<Step> {
        Some(Step::Begin {
            fix: fix.clone(),
            attempt,
        })
    }

    fn why(step: Option<Step>) -> String {
        match step {
            Some(Step::Failed { why, .. }) => why,
            other => panic!("no failure: {other:?}"),
        }
    }

    #[test]
    fn attempts_come_after_doubling_pauses_and_end() {
        let start = Instant::now();
        let mut fixes = Fixes::new(RETRIES);
        let issue = parked("a");
        let mut at = start;
        assert_eq!(fixes.review(&issue, Some(&RESTART), at), None);
        for (attempt, pause) in [(1, 60), (2, 120), (3, 240)] {
            assert_eq!(
                fixes.review(&issue, Some(&RESTART), at + Duration::from_secs(pause - 1)),
                None
            );
            at += Duration::from_secs(pause);
            assert_eq!(
                fixes.review(&issue, Some(&RESTART), at),
                begin(&RESTART, attempt)
            );
            fixes.began(&issue.subject, &RESTART, attempt, at);
            assert_eq!(fixes.review(&issue, Some(&RESTART), at), None);
            fixes.acted(&issue.subject, Ok("restarted".to_owned()), at);
            at += RESTART.time_to_verify();
            let failure = why(fixes.review(&issue, Some(&RESTART), at));
            assert_eq!(failure, "restarted, but the fault is still there");
            assert_eq!(
                fixes.failed(&issue.subject, Some(&RESTART), at),
                attempt < 3
            );
        }
        assert_eq!(fixes.review(&issue, Some(&RESTART), at + MEMORY), None);
    }

    #[test]
    fn a_fix_that_cannot_be_carried_out_or_does_not_end_fails() {
        let at = Instant::now();
        let mut fixes = Fixes::new(RETRIES);
        let issue = parked("a");
        let verify = Fix::VerifyIndex;
        assert_eq!(fixes.review(&issue, Some(&verify), at), begin(&verify, 1));
        fixes.began(&issue.subject, &verify, 1, at);
        fixes.acted(&issue.subject, Err("no index".to_owned()), at);
        assert_eq!(why(fixes.review(&issue, Some(&verify), at)), "no index");
        assert_eq!(fixes.verified(&issue.subject), None);
        fixes.failed(&issue.subject, Some(&verify), at);
        let at = at + RETRIES.backoff;
        assert_eq!(fixes.review(&issue, Some(&verify), at), begin(&verify, 2));
        fixes.began(&issue.subject, &verify, 2, at);
        assert_eq!(fixes.verified(&issue.subject), None);
        let late = at + verify.time_to_act();
        assert_eq!(
            why(fixes.review(&issue, Some(&verify), late)),
            "it did not end in time"
        );
    }

    #[test]
    fn one_fix_is_carried_out_once_at_a_time() {
        let at = Instant::now();
        let mut fixes = Fixes::new(RETRIES);
        let (one, two) = (parked("a"), parked("b"));
        let verify = Fix::VerifyIndex;
        fixes.review(&one, Some(&verify), at);
        fixes.began(&one.subject, &verify, 1, at);
        assert_eq!(fixes.review(&two, Some(&verify), at), None);
        fixes.closed(&one.subject, at);
        assert_eq!(fixes.review(&two, Some(&verify), at), begin(&verify, 1));
    }

    #[test]
    fn an_attempt_that_a_stop_cut_off_has_failed_and_counts() {
        let at = Instant::now();
        let mut fixes = Fixes::new(RETRIES);
        let mut issue = parked("a");
        issue.fix = Some("verify_index".to_owned());
        issue.fix_attempts = 2;
        let step = fixes.review(&issue, Some(&Fix::VerifyIndex), at);
        let expected = Step::Failed {
            fix: "verify_index".to_owned(),
            attempt: 2,
            why: "docent stopped before it was verified".to_owned(),
        };
        assert_eq!(step, Some(expected));
        assert!(fixes.failed(&issue.subject, Some(&Fix::VerifyIndex), at));
        issue.fix_result = Some("failed".to_owned());
        assert_eq!(fixes.review(&issue, Some(&Fix::VerifyIndex), at), None);
        let later = at + 2 * RETRIES.backoff;
        let step = fixes.review(&issue, Some(&Fix::VerifyIndex), later);
        assert_eq!(step, begin(&Fix::VerifyIndex, 3));
    }

    #[test]
    fn what_is_verified_and_back_soon_goes_on_counting() {
        let mut at = Instant::now();
        let mut fixes = Fixes::new(RETRIES);
        let issue = parked("a");
        let verify = Fix::VerifyIndex;
        for attempt in 1..=3 {
            assert_eq!(
                fixes
                    .review(&issue, Some(&verify), at + 4 * RETRIES.backoff)
                    .is_some(),
                attempt == 1
            );
            at += 10 * RETRIES.backoff;
            assert_eq!(
                fixes.review(&issue, Some(&verify), at),
                begin(&verify, attempt)
            );
            fixes.began(&issue.subject, &verify, attempt, at);
            fixes.acted(&issue.subject, Ok("done".to_owned()), at);
            let verified = fixes.verified(&issue.subject).unwrap();
            assert_eq!(
                verified,
                ("verify_index".to_owned(), attempt, "done".to_owned())
            );
            fixes.closed(&issue.subject, at);
        }
        assert_eq!(fixes.review(&issue, Some(&verify), at + MEMORY / 2), None);
        fixes.closed(&issue.subject, at);
        fixes.closed("another", at + MEMORY);
        assert_eq!(
            fixes.review(&issue, Some(&verify), at + MEMORY),
            begin(&verify, 1)
        );
    }
}
