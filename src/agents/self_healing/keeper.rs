//! The keeper: the duty that keeps the store small and checks its pages. In slices: each shares a commit with work that
//! somebody waits for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::requests::Requests;
use crate::event::Seq;
use crate::log_once::LogOnce;
use crate::runtime::{DutyContext, DutyError};
use crate::store::{Effect, LeaseName, Store, WriteError};

/// The pause between two passes over the ledger, at least,
const PASS: Duration = Duration::from_secs(10);
/// and at least so many times what the last one took, so that passes take a twentieth of the time at most,
const REST: u32 = 20;
/// and at most, where nothing was published meanwhile: what is kept grows old by itself.
const IDLE: Duration = Duration::from_secs(600);

/// The store's pages are checked so often without being asked: the check reads the whole file.
const CHECK: Duration = Duration::from_secs(24 * 3600);

/// After a write that failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Slices in one go of pruning by retention, at most; more is left for the next one.
const SLICES_MAX: usize = 100_000;

/// The name under which the store remembers that maintenance is wanted, with the event that asked for it last.
pub(super) const WANTED: &str = "maintenance";

/// How long after its event the request may come into the store: it is committed when its handler has ended.
const COMMIT: Duration = Duration::from_millis(500);

/// One run of the keeper.
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) requests: Arc<Requests>,
    pub(super) retention: Duration,
}

/// When what is due next.
struct Plan {
    pass: Instant,
    idle: Instant,
    check: Instant,
    /// The newest event when the last pass began.
    seen: Option<Seq>,
}

impl Keeper {
    /// Runs until told to stop. A store that cannot be written is asked again later.
    pub(super) async fn run(self, context: DutyContext) -> Result<(), DutyError> {
        let now = Instant::now();
        let mut plan = Plan {
            pass: now,
            idle: now,
            check: now + CHECK,
            seen: None,
        };
        let mut failing = LogOnce::default();
        loop {
            match context.during(self.round(&mut plan)).await {
                None => return Ok(()),
                Some(Ok(())) => {
                    if failing.is_new(false) {
                        tracing::info!("the store is pruned again");
                    }
                }
                Some(Err(WriteError::Closed)) => return Err(WriteError::Closed.into()),
                Some(Err(error)) => {
                    if failing.is_new(true) {
                        tracing::warn!(%error, "cannot prune the store");
                    }
                    plan.pass = Instant::now() + PAUSE;
                }
            }
            let until = plan.pass.min(plan.check);
            let wait = async {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = self.requests.keeper.notified() => {}
                }
            };
            if context.during(wait).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Does what is due.
    async fn round(&self, plan: &mut Plan) -> Result<(), WriteError> {
        if !self.store.leases().has(&LeaseName::Housekeeping) {
            // Another host does it. What is asked for here stands in the store, where that one finds it.
            self.requests.take_maintenance();
            self.requests.take_check();
            plan.pass = Instant::now() + PASS;
            return Ok(());
        }
        let asked = self.requests.take_maintenance();
        let requested = self.requested(asked).await;
        let maintenance = asked || requested.is_some();
        if maintenance {
            // One that fails is taken up again after the pause, and the check that belongs to it then.
            let pruned = self.prune_retained().await;
            let gone = pruned.inspect_err(|_| self.requests.put_back_maintenance())?;
            tracing::info!(rows = gone, "removed what was older than its retention");
            if let Some(value) = requested {
                let name = WANTED.to_owned();
                let forget = Effect::Forget { name, value };
                let forgotten = self.store.submit(vec![forget], Vec::new()).await?;
                forgotten.committed().await?;
            }
        }
        let asked = self.requests.take_check();
        if maintenance || asked || Instant::now() >= plan.check {
            let is_over = self.check().await;
            plan.check = Instant::now() + if is_over { CHECK } else { PAUSE };
        }
        if Instant::now() >= plan.pass {
            let began = Instant::now();
            let head = self.store.head().borrow().seq;
            let mut took = Duration::ZERO;
            if plan.seen != Some(head) || began >= plan.idle {
                self.prune_ledger().await?;
                took = began.elapsed();
                (plan.seen, plan.idle) = (Some(head), Instant::now() + IDLE);
            }
            plan.pass = Instant::now() + PASS.max(took.saturating_mul(REST));
        }
        Ok(())
    }

    /// The request for maintenance that stands in the store. One that was just `asked` for is about to.
    async fn requested(&self, asked: bool) -> Option<String> {
        let until = Instant::now() + COMMIT;
        loop {
            // A store that cannot be read is asked again in the next round.
            let requested = self.store.remembered(WANTED).await.ok().flatten();
            if requested.is_some() || !asked || Instant::now() >= until {
                return requested;
            }
            tokio::time::sleep(COMMIT / 10).await;
        }
    }

    /// One pass over what is outside `ledger_keep`; a slice that is not full ends it. Gives how many events are gone.
    async fn prune_ledger(&self) -> Result<usize, WriteError> {
        let mut gone = 0;
        let mut from = Some(Seq(0));
        while let Some(start) = from {
            let (slice, next) = self.store.prune_ledger(start).await?;
            gone += slice;
            from = next;
        }
        if gone > 0 {
            tracing::debug!(events = gone, "removed events that were done");
        }
        Ok(gone)
    }

    async fn prune_retained(&self) -> Result<usize, WriteError> {
        let (store, retention) = (&self.store, self.retention);
        store.prune_retained(retention, SLICES_MAX).await
    }

    /// Has the store's pages checked. One whose pages cannot even be read is as bad as one whose pages are wrong. False: the database
    /// did not answer, which says nothing of its pages.
    async fn check(&self) -> bool {
        let fault = match self.store.quick_check().await {
            Ok(fault) => fault,
            Err(error) if error.is_away => {
                tracing::warn!(%error, "the store could not be checked");
                return false;
            }
            Err(error) => Some(error.to_string()),
        };
        tracing::info!(fault, "the store was checked");
        self.requests.judge_integrity(fault);
        self.check_audit().await;
        // Who asked meanwhile has these verdicts.
        self.requests.take_check();
        self.requests.probe.notify_one();
        true
    }

    /// Has the chain of the audit log checked. What comes of it is a figure too.
    async fn check_audit(&self) {
        match self.store.verify_audit().await {
            Ok(Ok(chain)) => tracing::info!(chain.records, "the audit log was checked"),
            Ok(Err(broken)) => tracing::error!(
                record = broken.n,
                why = broken.why,
                "the chain of the audit log is broken: somebody changed the store, or it is damaged"
            ),
            Err(error) => tracing::warn!(%error, "the audit log could not be checked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::self_healing::tests::Bench;
    use crate::event::{EventType, NewEvent, Subject};
    use crate::store::tests::write;

    fn keeper(bench: &Bench) -> Keeper {
        Keeper {
            store: bench.store.clone(),
            requests: bench.requests.clone(),
            retention: Duration::from_secs(3600),
        }
    }

    fn plan() -> Plan {
        let now = Instant::now();
        Plan {
            pass: now,
            idle: now,
            check: now + CHECK,
            seen: None,
        }
    }

    async fn publish(bench: &Bench, events: usize) {
        let event = |_| {
            NewEvent::root(
                EventType::ReportWritten,
                "test",
                Subject::store(),
                serde_json::json!({}),
            )
        };
        let events = (0..events).map(event).collect();
        write(&bench.store, Vec::new(), events).await;
    }

    #[tokio::test]
    async fn the_ledger_is_pruned_to_its_count_when_it_grew_and_left_alone_when_not() {
        let bench = Bench::new();
        publish(&bench, 1700).await;
        let keeper = keeper(&bench);
        let mut plan = plan();
        keeper.round(&mut plan).await.unwrap();
        // The bench keeps the newest 100, and the one that they are counted from.
        assert_eq!(bench.events(None).await.len(), 101);
        assert!(plan.pass > Instant::now() && plan.seen.is_some());
        plan.pass = Instant::now();
        keeper.round(&mut plan).await.unwrap();
        assert_eq!(bench.events(None).await.len(), 101);
        publish(&bench, 10).await;
        plan.pass = Instant::now();
        keeper.round(&mut plan).await.unwrap();
        assert_eq!(bench.events(None).await.len(), 101);
    }

    #[tokio::test]
    async fn what_is_owed_stays_however_old_it_is() {
        let bench = Bench::new();
        let owed = NewEvent::root(
            EventType::HealthCheckRequested,
            "cli",
            Subject::store(),
            serde_json::json!({}),
        );
        bench.store.publish(owed).await.unwrap();
        publish(&bench, 600).await;
        assert_eq!(keeper(&bench).prune_ledger().await.unwrap(), 499);
        let left = bench.events(Some(EventType::HealthCheckRequested)).await;
        assert_eq!(left.len(), 1);
    }

    #[tokio::test]
    async fn maintenance_that_is_asked_for_prunes_and_checks() {
        let bench = Bench::new();
        let keeper = keeper(&bench);
        let mut plan = plan();
        keeper.round(&mut plan).await.unwrap();
        assert_eq!(bench.requests.integrity(), None);
        bench.requests.want_maintenance();
        keeper.round(&mut plan).await.unwrap();
        assert_eq!(bench.requests.integrity(), Some(None));
        assert_eq!(bench.store.figures().audit_break(), Some(None));
        assert!(!bench.requests.take_maintenance());
    }

    #[tokio::test]
    async fn maintenance_that_the_end_of_the_process_cut_off_is_done_by_the_next_run() {
        let bench = Bench::new();
        let requested = |value: &str| {
            vec![Effect::Remember {
                name: WANTED.to_owned(),
                value: value.to_owned(),
            }]
        };
        let write = |effects| write(&bench.store, effects, Vec::new());
        // Nothing is asked for in this run: what an earlier one heard of stands in the store.
        write(requested("the first")).await;
        let keeper = keeper(&bench);
        keeper.round(&mut plan()).await.unwrap();
        assert_eq!(bench.requests.integrity(), Some(None));
        assert_eq!(bench.store.remembered(WANTED).await, Ok(None));
        // One that came meanwhile is not forgotten with the one before.
        write(requested("the second")).await;
        write(vec![Effect::Forget {
            name: WANTED.to_owned(),
            value: "the first".to_owned(),
        }])
        .await;
        let left = bench.store.remembered(WANTED).await;
        assert_eq!(left, Ok(Some("the second".to_owned())));
    }
}
