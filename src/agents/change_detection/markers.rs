//! Markers: how somebody who asks learns that everything he did before is captured, without a scan.
//!
//! A marker is a file in `data_dir` that the same watches notify as the roots. The kernel tells notifications in their
//! order, so all that happened before a marker was made has been notified when the marker is. One marker is under way, one
//! is queued, and everybody who asks meanwhile shares the queued one.
//!
//! A marker has ended when all that was noticed before it is captured or reported: the paths, the surveys of the
//! directories among them, and the scans that are owed for notifications that were lost. Where no marker can be made, a
//! scan of everything takes its place.

use std::time::Duration;

use tokio::time::Instant;

use super::changed_paths::{Change, ChangePriority, ChangedPaths, TreePath};
use super::context::AgentContext;
use super::pulse::Halt;
use super::roots::Roots;
use super::scanner::Scanner;
use crate::runtime::ScanDesk;

/// How long a marker may be under way before a scan takes its place.
const UNDER_WAY_MAX: Duration = Duration::from_secs(1);

/// Roots whose changes are not notified are walked for whoever waits at most once in this time.
const WALK_EVERY: Duration = Duration::from_secs(10);

/// A marker that was made and not notified yet.
#[derive(Debug)]
struct Marker {
    number: u64,
    made: Instant,
}

pub(super) struct Markers {
    context: AgentContext,
    queue: ChangedPaths,
    desk: ScanDesk,
    under_way: Option<Marker>,
    /// The last one that has arrived.
    arrived: u64,
    /// The last one could not be made, or did not arrive.
    failing: bool,
}

impl Markers {
    pub(super) fn new(context: AgentContext, queue: ChangedPaths, desk: ScanDesk) -> Self {
        let arrived = desk.markers().next() - 1;
        // Whoever waits for one of an earlier run is answered by this one.
        desk.markers().ask();
        Markers {
            context,
            queue,
            desk,
            under_way: None,
            arrived,
            failing: false,
        }
    }

    /// The marker that waits for what is noticed now.
    pub(super) fn next(&self) -> u64 {
        self.arrived + 1
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Makes a marker if one is asked for and none is under way. `notified`: the last one that has arrived.
    pub(super) async fn turn(
        &mut self,
        notified: Option<u64>,
        scanner: &mut Scanner,
        roots: &mut Roots,
    ) -> Result<(), Halt> {
        if let Some(marker) = &self.under_way {
            let (number, late) = (marker.number, marker.made.elapsed() > UNDER_WAY_MAX);
            if notified == Some(number) {
                self.failing = false;
                self.arrive(number, scanner, roots).await?;
            } else if late {
                self.replace(number, "its notification did not arrive", scanner, roots)
                    .await?;
            }
        }
        if self.under_way.is_none() && self.desk.markers().is_asked() {
            self.make(scanner, roots).await?;
        }
        Ok(())
    }

    async fn make(&mut self, scanner: &mut Scanner, roots: &mut Roots) -> Result<(), Halt> {
        let number = self.desk.markers().begin();
        for (collection, path) in self.desk.take_found() {
            if let Some(tree) = self.context.tree_named(&collection) {
                let change = Change::new(ChangePriority::Watch, Instant::now(), Duration::ZERO);
                let change = change.before(Some(number));
                self.queue.add(TreePath::new(tree, &path), change);
            }
        }
        let made = Instant::now();
        self.under_way = Some(Marker { number, made });
        let watches = self.context.watches.clone();
        match self.context.blocking(move |_| watches.mark(number)).await? {
            Ok(()) => Ok(()),
            Err(cause) => self.replace(number, &cause, scanner, roots).await,
        }
    }

    /// Everything that was noticed before the marker is due now.
    async fn arrive(
        &mut self,
        number: u64,
        scanner: &mut Scanner,
        roots: &mut Roots,
    ) -> Result<(), Halt> {
        self.under_way = None;
        self.arrived = number;
        self.queue.hurry(number, Instant::now());
        // No notification tells that another directory is at a root's path.
        for tree in roots.check(&self.context, &self.queue).await? {
            scanner.surveys().order_whole(tree, Some(number));
        }
        for tree in 0..self.context.trees.len() {
            if roots.needs_walk(tree, WALK_EVERY) && !scanner.surveys().runs_whole(tree) {
                scanner.surveys().order_whole(tree, Some(number));
            }
        }
        Ok(())
    }

    /// A scan takes the place of a marker, unless all roots are walked for whoever waits anyway.
    async fn replace(
        &mut self,
        number: u64,
        cause: &str,
        scanner: &mut Scanner,
        roots: &mut Roots,
    ) -> Result<(), Halt> {
        if !std::mem::replace(&mut self.failing, true) {
            let folder = self.context.options.data_dir.display();
            tracing::warn!(
                cause,
                data_dir = %folder,
                "markers do not work; searches that wait scan everything instead"
            );
        }
        let watched =
            |tree: usize| self.context.trees[tree].scope.is_some() && !roots.needs_poll(tree);
        if (0..self.context.trees.len()).any(watched) {
            scanner.scan_everything("no marker");
        }
        self.arrive(number, scanner, roots).await
    }

    /// Tells whoever waits which markers have ended.
    pub(super) fn end(&self, scanner: &mut Scanner) {
        if scanner.is_owed() {
            return;
        }
        let firsts = [self.queue.first_marker(), scanner.surveys().first_marker()];
        let waited_for = firsts.into_iter().flatten().min();
        let ended = waited_for.map_or(self.arrived, |first| self.arrived.min(first - 1));
        self.desk.markers().end(ended);
    }
}
