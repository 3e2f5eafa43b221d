//! The capture loop: it selects what can be done and turns.

mod capture;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::changed_paths::{Change, ChangePriority, ChangedPaths};
use super::context::AgentContext;
use super::decision::CaptureTransaction;
use super::markers::Markers;
use super::notifications::Notifications;
use super::pulse::Halt;
use super::roots::Roots;
use super::scanner::Scanner;
use super::space::FreeSpaceFloor;
use super::submitter::{CommitOutcome, CommitResult, InFlight, Submitter};
use crate::event::{AgentName, Millis};
use crate::runtime::{ScanDesk, Source};

/// Changed paths at once; beyond, everything is scanned instead.
const PATHS_MAX: usize = 200_000;

/// The longest that the loop waits for anything.
const TICK: Duration = Duration::from_millis(500);

/// How soon the loop tries again when work is held up.
const RETRY: Duration = Duration::from_millis(50);

/// How often roots, free space and scan requests are checked.
const UPKEEP: Duration = Duration::from_secs(1);

/// The loop and the parts that it turns.
pub(super) struct CaptureLoop {
    context: AgentContext,
    desk: ScanDesk,
    /// A scan was requested just now.
    requested: Arc<Notify>,
    /// The source of its events.
    source: String,
    queue: ChangedPaths,
    notifications: Notifications,
    submitter: Submitter,
    scanner: Scanner,
    markers: Markers,
    roots: Roots,
    space: FreeSpaceFloor,
    next_upkeep: Instant,
}

impl CaptureLoop {
    /// The loop before its first turn.
    pub(super) async fn new(
        context: AgentContext,
        source: Source,
        desk: ScanDesk,
        requested: Arc<Notify>,
    ) -> Result<Self, Halt> {
        let mut known = Vec::with_capacity(context.trees.len());
        for tree in context.trees.iter() {
            known.push(context.store.known_tree(&tree.name).await?);
        }
        let options = &context.options;
        let queue = ChangedPaths::new(PATHS_MAX, options.stable_after);
        Ok(CaptureLoop {
            source: format!("agent/{}@{}", AgentName::ChangeDetection, options.instance),
            notifications: Notifications::new(context.clone(), queue.clone()),
            submitter: Submitter::new(source, context.pulse.clone()),
            scanner: Scanner::new(context.clone(), queue.clone(), desk.clone()),
            markers: Markers::new(context.clone(), queue.clone(), desk.clone()),
            roots: Roots::new(context.trees.clone(), options.poll, known),
            space: FreeSpaceFloor::default(),
            next_upkeep: Instant::now(),
            context,
            desk,
            requested,
            queue,
        })
    }

    /// Turns until it is told to stop.
    pub(super) async fn run(mut self) -> Result<(), Halt> {
        while !self.context.pulse.is_stopped() {
            self.context.pulse.beat();
            if !self.step().await? {
                self.wait().await?;
            }
        }
        Ok(())
    }

    /// Turns once, and takes what has ended. Gives whether there may be more to do at once.
    async fn step(&mut self) -> Result<bool, Halt> {
        let worked = self.turn().await?;
        // A scan may have waited for what has ended.
        let ended = self.take_commits()?;
        self.report();
        self.markers.end(&mut self.scanner);
        Ok(worked || ended)
    }

    /// Does a bounded piece of everything that can be done. Gives whether there was anything.
    async fn turn(&mut self) -> Result<bool, Halt> {
        let now = Instant::now();
        let (lost, marker) = self.notifications.take(self.markers.next(), now);
        if lost {
            self.scanner.scan_everything("lost notifications");
        }
        self.note_captures();
        let (scanner, roots) = (&mut self.scanner, &mut self.roots);
        self.markers.turn(marker, scanner, roots).await?;
        if now >= self.next_upkeep {
            self.upkeep(now).await?;
        }
        if self.queue.take_overflow() && self.scanner.scan_everything("too many changed paths") {
            let paths = self.queue.len();
            tracing::warn!(paths, "too many paths changed; a full scan follows");
        }
        self.scanner.begin(&mut self.roots).await?;
        self.save_roots().await?;
        let mut worked = false;
        for priority in ChangePriority::ALL {
            if self.may_work(priority) {
                worked |= self.capture(priority).await?;
                let (roots, in_flight) = (&mut self.roots, self.submitter.paths_in_flight());
                worked |= self.scanner.advance(priority, roots, in_flight).await?;
            }
        }
        if !self.submitter.is_paused()
            && let Some((in_flight, transaction)) = self.scanner.end(&self.roots).await?
        {
            self.submit(in_flight, transaction).await?;
        }
        Ok(worked)
    }

    /// Checks what needs a check now and then.
    async fn upkeep(&mut self, now: Instant) -> Result<(), Halt> {
        self.next_upkeep = now + UPKEEP;
        if self.queue.len() == 0 && !self.scanner.is_scanning() {
            self.submitter.nothing_left();
        }
        self.space.check(&self.context).await?;
        for tree in self.roots.check(&self.context, &self.queue).await? {
            self.scanner.surveys().order_whole(tree, None);
        }
        self.scanner.upkeep(&self.roots).await
    }

    /// Submits what is known of the roots, before anything that is read below them.
    async fn save_roots(&mut self) -> Result<(), Halt> {
        if self.submitter.is_paused() {
            return Ok(());
        }
        for (tree, effect) in self.roots.take_unsaved() {
            let transaction = CaptureTransaction::of(vec![effect]);
            self.submit(InFlight::Root { tree }, transaction).await?;
        }
        Ok(())
    }

    /// Whether work of a priority may go on: not while the store cannot be written, nor while too many captures are
    /// unprocessed.
    fn may_work(&self, priority: ChangePriority) -> bool {
        let limit = match priority {
            ChangePriority::Watch => self.context.options.owed_high_watch,
            ChangePriority::Scan => self.context.options.owed_high,
        };
        let owed = self.context.store.counts(AgentName::DocumentManagement);
        !self.submitter.is_paused() && u64::try_from(owed.owed).unwrap_or(0) <= limit
    }

    async fn submit(
        &mut self,
        in_flight: InFlight,
        transaction: CaptureTransaction,
    ) -> Result<(), Halt> {
        let tree = match &in_flight {
            InFlight::Path { taken, .. } => Some(taken.path().tree),
            InFlight::Root { tree } => Some(*tree),
            InFlight::ScanEnd { .. } => None,
        };
        let lease = tree.and_then(|tree| self.context.trees[tree].lease.clone());
        self.submitter.submit(in_flight, transaction, lease).await?;
        self.take_commits().map(drop)
    }

    /// Takes the transactions that have ended, without waiting. Gives whether there was one.
    fn take_commits(&mut self) -> Result<bool, Halt> {
        let mut any = false;
        while let Some(result) = self.submitter.next_ended()? {
            self.committed(result);
            any = true;
        }
        Ok(any)
    }

    fn committed(&mut self, result: CommitResult) {
        let (written, now) = (result.outcome == CommitOutcome::Written, Instant::now());
        match result.in_flight {
            InFlight::Path { taken, young } if written => {
                let path = taken.path().clone();
                let (tree, since) = (&self.context.trees[path.tree], taken.change().since);
                let figures = self.context.store.figures();
                figures.noticed(&tree.name, &path.path, since.into_std());
                taken.settle();
                if young {
                    let debounce = self.context.options.debounce;
                    let change = Change {
                        reread: true,
                        ..Change::new(ChangePriority::Watch, now, debounce)
                    };
                    self.queue.add(path, change);
                }
            }
            InFlight::Path { mut taken, .. } if result.outcome == CommitOutcome::Refused => {
                if taken.change().failures == 2 {
                    let path = String::from_utf8_lossy(&taken.path().path).into_owned();
                    tracing::warn!(
                        path,
                        "the store keeps refusing the content of a path; it will be read again later"
                    );
                }
                if taken.change().failures >= 2 {
                    taken.hold_up_nobody();
                }
                taken.put_back(|change| change.put_off(now));
            }
            // It goes back as it is, and waits for the end of the pause.
            InFlight::Path { .. } => {}
            InFlight::Root { .. } if written => {}
            InFlight::Root { tree } => self.roots.set_unsaved(tree),
            InFlight::ScanEnd { number } if written => {
                self.report();
                self.scanner.ended(number, &mut self.roots);
            }
            InFlight::ScanEnd { .. } => self.scanner.end_failed(),
        }
    }

    /// Reports the state at the desk.
    fn report(&self) {
        let unwritable = self.submitter.pause_cause();
        let held = unwritable
            .map(|cause| format!("the store cannot be written: {cause}"))
            .or_else(|| self.space.reason(&self.context));
        let roots = self.roots.report();
        let (caught_up, pending, pending_since) = self.note_captures();
        self.desk.report(|p| {
            p.pending = pending;
            p.pending_since = pending_since;
            p.caught_up = caught_up;
            p.held = held;
            p.roots = roots;
        });
    }

    /// Tells other hosts how far the captures are. Gives whether everything that changed was noticed, how many paths are pending, and
    /// since when.
    fn note_captures(&self) -> (bool, u64, Option<Millis>) {
        let (caught_up, pending) = (!self.scanner.is_owed(), self.queue.len() as u64);
        let noticed = self.queue.first_noticed();
        let since = noticed.map(|noticed| Millis::now().minus(noticed.elapsed()));
        let leases = self.context.store.leases();
        leases.note_captures(caught_up, pending, since);
        (caught_up, pending, since)
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) -> Result<(), Halt> {
        let next = self.next_moment();
        let scanning = self.scanner.is_scanning();
        let marked = self.markers.is_under_way();
        tokio::select! {
            () = self.context.pulse.stopped() => {}
            () = tokio::time::sleep_until(next) => {}
            () = self.context.watches.arrived() => {}
            () = self.desk.scans().asked(), if !scanning => {}
            () = self.desk.markers().asked(), if !marked => {}
            // Its row is committed in a moment.
            () = self.requested.notified() => self.next_upkeep = Instant::now() + RETRY,
            ended = self.submitter.wait() => ended?,
        }
        Ok(())
    }

    /// When something is due, if nothing happens before.
    fn next_moment(&self) -> Instant {
        let now = Instant::now();
        let mut next = (now + TICK).min(self.next_upkeep.max(now));
        for priority in ChangePriority::ALL {
            if let Some(due) = self.queue.next_due(priority) {
                // A path that is due and was not taken waits for a transaction or for room: soon.
                next = next.min(if due > now { due } else { now + RETRY });
            }
            if self.scanner.has_work(priority) {
                next = next.min(now + RETRY);
            }
        }
        next
    }
}

impl Drop for CaptureLoop {
    /// From now on nobody notices what changes.
    fn drop(&mut self) {
        self.context.store.leases().note_captures(false, 0, None);
        self.desk.report(|p| p.caught_up = false);
    }
}

#[cfg(test)]
#[path = "tests/failures.rs"]
mod failures;
