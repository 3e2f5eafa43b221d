//! The probe: the duty that looks for issues, tells what changed, and tries what may mend it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::HealingOptions;
use super::drift::Drift;
use super::fixes::{FixRetries, Fixes, Step};
use super::hands::Hands;
use super::issues::{self, Sightings, Transaction};
use super::memory::ProbeMemory;
use super::requests::Requests;
use crate::event::{Millis, awake};
use crate::health::{Detected, Fix, RedisLook, Responsibility, look};
use crate::index::FollowerState;
use crate::log_once::LogOnce;
use crate::runtime::{Board, Boxed, Compute, DutyContext, DutyError, Phase, ScanProgress, Source};
use crate::store::{Detector, Effect, Issue, Severity, Store, WriteError};
use crate::word::Word;

/// Rounds are no closer than this, however often somebody asks.
const CLOSEST: Duration = Duration::from_secs(1);

/// Open issues that are looked at, at most.
const ISSUES_MAX: usize = 1000;

/// What a probe works with.
pub(super) struct Parts {
    pub(super) options: HealingOptions,
    pub(super) store: Store,
    pub(super) source: Source,
    pub(super) board: Board,
    pub(super) scans: watch::Receiver<ScanProgress>,
    pub(super) index: watch::Receiver<FollowerState>,
    pub(super) redis: RedisLook,
    pub(super) compute: Compute,
    pub(super) requests: Arc<Requests>,
    pub(super) hands: Arc<dyn Hands>,
}

/// One run of the probe.
pub(super) struct Probe {
    pub(super) parts: Parts,
    pub(super) memory: ProbeMemory,
    pub(super) drift: Drift,
    /// The index's position and chunks that were compared last, and how many chunks the store had then.
    pub(super) compared: Option<((u64, u64), u64)>,
    /// Why something could not be read in this round.
    pub(super) trouble: Option<String>,
    sightings: Sightings,
    fixes: Fixes,
    running: FuturesUnordered<Boxed<'static, (String, Result<String, String>)>>,
    failing: LogOnce<bool>,
}

/// Why the probe goes on.
enum Wake {
    Due,
    Asked,
    Acted(String, Result<String, String>),
}

impl Probe {
    pub(super) fn new(parts: Parts) -> Self {
        let retries = FixRetries {
            attempts: parts.options.fix_attempts,
            backoff: parts.options.fix_backoff,
        };
        Probe {
            parts,
            memory: ProbeMemory::default(),
            drift: Drift::default(),
            compared: None,
            trouble: None,
            sightings: Sightings::new(awake::now()),
            fixes: Fixes::new(retries),
            running: FuturesUnordered::new(),
            failing: LogOnce::default(),
        }
    }

    /// Looks every `probe`, and when somebody asks, until told to stop.
    pub(super) async fn run(mut self, context: DutyContext) -> Result<(), DutyError> {
        // What a run before this one submitted is committed or refused before the open issues are read.
        match context.after_earlier_writes(&self.parts.store).await {
            None => return Ok(()),
            Some(passed) => passed?,
        }
        let mut last: Option<Instant> = None;
        let mut due = Instant::now();
        loop {
            let Some(wake) = context.during(self.wake(due)).await else {
                return Ok(());
            };
            let soon = last.map_or_else(Instant::now, |last| last + CLOSEST);
            match wake {
                Wake::Asked => due = due.min(soon),
                Wake::Acted(key, result) => {
                    self.fixes.acted(&key, result, awake::now());
                    due = due.min(soon);
                }
                Wake::Due => {
                    let at = awake::now();
                    let Some(round) = context.during(self.round(at, Millis::now())).await else {
                        return Ok(());
                    };
                    let again = self.conclude(round)?;
                    last = Some(Instant::now());
                    due = Instant::now()
                        + if again {
                            CLOSEST
                        } else {
                            self.parts.options.probe
                        };
                }
            }
        }
    }

    async fn wake(&mut self, due: Instant) -> Wake {
        tokio::select! {
            Some((key, result)) = self.running.next(), if !self.running.is_empty() => Wake::Acted(key, result),
            () = tokio::time::sleep_until(due) => Wake::Due,
            () = self.parts.requests.probe.notified() => Wake::Asked,
        }
    }

    /// Says what became of a round, once for each change; gives whether another one is worth while soon.
    fn conclude(&mut self, round: Result<bool, DutyError>) -> Result<bool, DutyError> {
        let (again, failure) = match round {
            Ok(again) => (again, self.trouble.take()),
            Err(closed @ DutyError::Write(WriteError::Closed)) => return Err(closed),
            Err(error) => (false, Some(error.to_string())),
        };
        if self.failing.is_new(failure.is_some()) {
            match failure {
                Some(error) => {
                    tracing::warn!(error, "cannot check everything that concerns health")
                }
                None => tracing::info!("everything that concerns health is checked again"),
            }
        }
        Ok(again)
    }

    /// One round: look, tell what changed, go on with fixes. Gives whether something opened that may be mended at once.
    pub(super) async fn round(&mut self, at: Instant, now: Millis) -> Result<bool, DutyError> {
        if *self.parts.board.phase().borrow() == Phase::Draining {
            return Ok(false); // everything stops now, and that is no fault
        }
        let ours = Responsibility::of(self.parts.store.leases());
        let instance = self.parts.options.instance.clone();
        let mut open = self.parts.store.issues(false, ISSUES_MAX).await?;
        open.retain(|issue| ours.includes_issue(issue, &instance));
        let keys: HashSet<String> = open.iter().map(|issue| issue.subject.clone()).collect();
        let damaged = |detector| open.iter().any(|issue| issue.detector == Some(detector));
        let checked = self.parts.store.figures().audit_break().is_some();
        if damaged(Detector::Integrity) && self.parts.requests.integrity().is_none()
            || damaged(Detector::AuditBroken) && !checked
        {
            self.parts.requests.want_check(); // a store that was put back in order meanwhile
        }
        let facts = self.gather(keys, at, now).await;
        let limits = &self.parts.options.limits;
        let looks = Detector::ALL
            .iter()
            .map(|one| (*one, look(*one, &facts, limits)));
        let mut looks: Vec<_> = looks.collect();
        for (detector, found) in &mut looks {
            let ours = |one: &Detected| ours.includes(*detector, one.subject.as_str(), &instance);
            found.iter_mut().for_each(|found| found.retain(ours));
        }
        let judgement = self.sightings.judge(&looks, open, at);
        let again = judgement
            .opened
            .iter()
            .any(|found| found.fix.as_ref().is_some_and(|fix| !fix.waits_first()));
        self.tell(&judgement.opened, &judgement.refreshed).await?;
        self.close(&judgement.closed, at).await?;
        for (issue, found) in &judgement.standing {
            if let Some(step) = self.fixes.review(issue, found.fix.as_ref(), at) {
                self.carry_out(issue, found, step, at).await?;
            }
        }
        Ok(again)
    }

    async fn tell(
        &mut self,
        opened: &[Detected],
        refreshed: &[Detected],
    ) -> Result<(), WriteError> {
        let source = self.parts.options.source();
        let mut transactions: Vec<Transaction> = opened
            .iter()
            .map(|found| issues::opened(found, &source))
            .collect();
        let values: Vec<Effect> = refreshed.iter().map(issues::open).collect();
        if !values.is_empty() {
            transactions.push((values, Vec::new()));
        }
        self.commit(transactions).await?;
        for found in opened {
            let (detector, subject) = (found.detector.as_str(), &found.subject);
            let (value, limit, remedy) = (&found.value, &found.limit, &found.remedy);
            match found.severity {
                Severity::Error => {
                    tracing::error!(detector, %subject, value, limit, remedy, "health issue")
                }
                Severity::Warning => {
                    tracing::warn!(detector, %subject, value, limit, remedy, "health issue")
                }
            }
        }
        Ok(())
    }

    async fn close(&mut self, closed: &[Issue], at: Instant) -> Result<(), WriteError> {
        let source = self.parts.options.source();
        let transaction = |issue: &Issue| {
            let fix = self.fixes.verified(&issue.subject);
            issues::closed(issue, fix.as_ref(), &source)
        };
        let transactions = closed.iter().map(transaction).collect();
        self.commit(transactions).await?;
        for issue in closed {
            if let Some((fix, attempt, done)) = self.fixes.verified(&issue.subject) {
                tracing::info!(
                    issue = issue.subject,
                    fix,
                    attempt,
                    done,
                    "a fix was verified"
                );
            }
            tracing::info!(issue = issue.subject, "health recovered");
            self.fixes.closed(&issue.subject, at);
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        issue: &Issue,
        found: &Detected,
        step: Step,
        at: Instant,
    ) -> Result<(), WriteError> {
        match step {
            Step::Begin { fix, attempt } => {
                self.commit(vec![issues::began(issue, fix.name())]).await?;
                tracing::info!(
                    issue = issue.subject,
                    fix = fix.name(),
                    attempt,
                    "a fix is tried"
                );
                self.fixes.began(&issue.subject, &fix, attempt, at);
                self.act(issue.subject.clone(), &fix, &found.value);
            }
            Step::Failed { fix, attempt, why } => {
                let source = self.parts.options.source();
                self.commit(vec![issues::failed(issue, &fix, attempt, &why, &source)])
                    .await?;
                if self.fixes.failed(&issue.subject, found.fix.as_ref(), at) {
                    tracing::warn!(issue = issue.subject, fix, attempt, why, "a fix failed");
                } else {
                    tracing::error!(
                        issue = issue.subject,
                        fix,
                        attempt,
                        why,
                        "a fix failed and is not tried again"
                    );
                }
            }
        }
        Ok(())
    }

    fn act(&self, key: String, fix: &Fix, why: &str) {
        let work = self.parts.hands.apply(fix, why);
        let limit = fix.time_to_act();
        self.running.push(Box::pin(async move {
            let result = awake::timeout(limit, work).await;
            (
                key,
                result.unwrap_or_else(|_| Err("it did not end in time".to_owned())),
            )
        }));
    }

    /// Hands all of them over, then waits for each: they share a commit.
    async fn commit(&mut self, transactions: Vec<Transaction>) -> Result<(), WriteError> {
        let mut submitted = Vec::with_capacity(transactions.len());
        for (effects, events) in transactions {
            submitted.push(self.parts.source.submit(effects, events).await?);
        }
        for one in submitted {
            one.committed().await?;
        }
        Ok(())
    }

    /// Waits until a fix that is under way was carried out.
    #[cfg(test)]
    pub(super) async fn acted(&mut self) {
        let (key, result) = self.running.next().await.unwrap();
        self.fixes.acted(&key, result, awake::now());
    }
}
