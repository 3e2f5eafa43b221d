//! The queue of changed paths, each with the moment from which it may be read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::FileStat;

/// How soon a path is read again that cannot be decided now.
pub(super) const SOON: Duration = Duration::from_millis(250);

/// How long a file must be at rest that somebody waits for: long enough for an editor to write what it has truncated.
const REST: Duration = Duration::from_millis(20);

/// After this time a file that somebody waits for is read although it keeps changing, if it holds still meanwhile.
const PATIENCE: Duration = Duration::from_millis(300);

/// A path that failed so often is left to the scans.
pub(super) const RETRIES_MAX: u32 = 7;

/// A path in a collection. An empty path is the whole collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TreePath {
    /// The collection's index among the trees.
    pub(super) tree: usize,
    /// Exact bytes, relative to the root.
    pub(super) path: Arc<[u8]>,
}

impl TreePath {
    pub(super) fn new(tree: usize, path: &[u8]) -> Self {
        TreePath {
            tree,
            path: path.into(),
        }
    }
}

/// Who noticed the change. What a watch saw goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChangePriority {
    Watch = 0,
    Scan = 1,
}

impl ChangePriority {
    pub(super) const ALL: [ChangePriority; 2] = [ChangePriority::Watch, ChangePriority::Scan];
}

/// What is known of a path's change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// The path is not read before.
    pub(super) due: Instant,
    /// When the path was queued first since it was last settled.
    pub(super) since: Instant,
    pub(super) priority: ChangePriority,
    /// The running scan waits for it.
    pub(super) of_scan: bool,
    /// The first marker that waits for it; `None`: no marker does.
    pub(super) marker: Option<u64>,
    /// That marker has arrived: somebody waits now.
    pub(super) urgent: bool,
    /// The file's stat when it was found too young to be read.
    pub(super) seen: Option<FileStat>,
    /// Read the file even if its stat is the manifest's: its bytes were read while they were young.
    pub(super) reread: bool,
    /// How often the path could not be read, or the store refused what was found.
    pub(super) failures: u32,
}

impl Change {
    pub(super) fn new(priority: ChangePriority, now: Instant, after: Duration) -> Self {
        Change {
            due: now + after,
            since: now,
            priority,
            of_scan: false,
            marker: None,
            urgent: false,
            seen: None,
            reread: false,
            failures: 0,
        }
    }

    /// When the change was noticed; `None`: a scan found it, or an earlier attempt at it failed, and nobody knows how old it is.
    fn noticed(&self) -> Option<Instant> {
        let is_new = self.priority == ChangePriority::Watch && !self.of_scan && self.failures == 0;
        is_new.then_some(self.since)
    }

    /// A path that failed so often is read again, ever later. No scan and no marker waits for that.
    pub(super) fn retry(failures: u32, now: Instant) -> Self {
        Change {
            failures,
            ..Change::new(ChangePriority::Watch, now, later(failures))
        }
    }

    /// Counts one more failure, and puts the path off accordingly.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.failures += 1;
        self.due = now + later(self.failures);
    }

    pub(super) fn of_scan(mut self, of_scan: bool) -> Self {
        self.of_scan = of_scan;
        self
    }

    pub(super) fn before(mut self, marker: Option<u64>) -> Self {
        self.marker = marker;
        self
    }

    /// How long the file must be at rest before it is read, and for how long that is insisted on.
    pub(super) fn rest(&self, debounce: Duration, stable_after: Duration) -> (Duration, Duration) {
        match self.urgent {
            true => (debounce.min(REST), stable_after.min(PATIENCE)),
            false => (debounce, stable_after),
        }
    }
}

/// The earlier of two markers, if there is one.
pub(super) fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// How long to wait after so many failures.
fn later(failures: u32) -> Duration {
    SOON.saturating_mul(1 << failures.min(7))
}

/// The queue. Cheap to clone: all clones are the same queue. Its lock is held for moments only, never across an await.
#[derive(Debug, Clone)]
pub(super) struct ChangedPaths(Arc<Mutex<Queue>>);

impl ChangedPaths {
    /// An empty queue with room for `capacity` paths. Queueing a path again delays its reading by `patience` at most.
    pub(super) fn new(capacity: usize, patience: Duration) -> Self {
        ChangedPaths(Arc::new(Mutex::new(Queue {
            waiting: BTreeMap::new(),
            by_due: [BTreeSet::new(), BTreeSet::new()],
            patience,
            capacity,
            overflowed: false,
            taken: 0,
            of_scan: 0,
            noticed: BTreeMap::new(),
            markers: BTreeMap::new(),
            arrived: 0,
        })))
    }

    /// Queues a path. One that waits already is put off, but not for ever. Without room for it the queue has overflowed.
    pub(super) fn add(&self, path: TreePath, mut change: Change) {
        let mut queue = self.lock();
        if change.marker.is_some_and(|marker| marker <= queue.arrived) {
            (change.urgent, change.due) = (true, change.due.min(change.since));
        }
        if queue.waiting.len() >= queue.capacity && !queue.waiting.contains_key(&path) {
            queue.overflowed = true;
            return;
        }
        queue.of_scan += usize::from(change.of_scan);
        queue.count(change.marker);
        queue.insert(path, change);
    }

    /// A marker has arrived: what waits for it is due now.
    pub(super) fn hurry(&self, marker: u64, now: Instant) {
        let mut queue = self.lock();
        queue.arrived = queue.arrived.max(marker);
        let Queue {
            waiting, by_due, ..
        } = &mut *queue;
        let waits = |change: &Change| !change.urgent && change.marker.is_some_and(|m| m <= marker);
        for (path, change) in waiting.iter_mut().filter(|(_, change)| waits(change)) {
            let by_due = &mut by_due[change.priority as usize];
            by_due.remove(&(change.due, path.clone()));
            (change.urgent, change.due) = (true, change.due.min(now));
            by_due.insert((change.due, path.clone()));
        }
    }

    /// The first marker that waits for a path, the taken ones among them.
    pub(super) fn first_marker(&self) -> Option<u64> {
        self.lock().markers.keys().next().copied()
    }

    /// Takes up to `limit` paths of a priority that are due and not `busy`.
    pub(super) fn take(
        &self,
        priority: ChangePriority,
        now: Instant,
        limit: usize,
        busy: impl Fn(&TreePath) -> bool,
    ) -> Vec<TakenPath> {
        let mut queue = self.lock();
        let by_due = &queue.by_due[priority as usize];
        let due: Vec<(Instant, TreePath)> = by_due
            .iter()
            .take_while(|(due, _)| *due <= now)
            .filter(|(_, path)| !busy(path))
            .take(limit)
            .cloned()
            .collect();
        let mut taken = Vec::with_capacity(due.len());
        for key in due {
            queue.by_due[priority as usize].remove(&key);
            if let Some(change) = queue.waiting.remove(&key.1) {
                taken.push(TakenPath {
                    queue: self.clone(),
                    path: key.1,
                    noticed: change.noticed(),
                    change,
                    settled: false,
                });
            }
        }
        queue.taken += taken.len();
        taken
    }

    /// Forgets what waits of a collection.
    pub(super) fn clear(&self, tree: usize) {
        let mut queue = self.lock();
        let (gone, rest) = std::mem::take(&mut queue.waiting)
            .into_iter()
            .partition(|(path, _)| path.tree == tree);
        queue.waiting = rest;
        let gone: BTreeMap<TreePath, Change> = gone;
        for (path, change) in gone {
            queue.of_scan -= usize::from(change.of_scan);
            queue.uncount(change.marker);
            queue.forget(change.noticed());
            queue.by_due[change.priority as usize].remove(&(change.due, path));
        }
    }

    /// Whether paths were lost for want of room since the last call.
    pub(super) fn take_overflow(&self) -> bool {
        std::mem::take(&mut self.lock().overflowed)
    }

    /// The earliest moment at which a path of a priority is due.
    pub(super) fn next_due(&self, priority: ChangePriority) -> Option<Instant> {
        let queue = self.lock();
        queue.by_due[priority as usize].first().map(|(due, _)| *due)
    }

    /// How many paths there are, the taken ones among them.
    pub(super) fn len(&self) -> usize {
        let queue = self.lock();
        queue.waiting.len() + queue.taken
    }

    /// When the first of these paths was noticed, the taken ones among them; `None`: there is none, or how old one of
    /// the changes is is not known.
    pub(super) fn first_noticed(&self) -> Option<Instant> {
        let queue = self.lock();
        queue.noticed.keys().next().copied().flatten()
    }

    /// How many paths of a priority wait.
    pub(super) fn waiting(&self, priority: ChangePriority) -> usize {
        self.lock().by_due[priority as usize].len()
    }

    /// How many paths the running scan waits for, the taken ones among them.
    pub(super) fn of_scan(&self) -> usize {
        self.lock().of_scan
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path that was taken. It goes back into the queue when this is dropped, unless it was settled.
#[derive(Debug)]
pub(super) struct TakenPath {
    queue: ChangedPaths,
    path: TreePath,
    change: Change,
    /// As it is counted.
    noticed: Option<Instant>,
    settled: bool,
}

impl TakenPath {
    pub(super) fn path(&self) -> &TreePath {
        &self.path
    }

    pub(super) fn change(&self) -> &Change {
        &self.change
    }

    /// What was found is committed or reported, or there was nothing to do.
    pub(super) fn settle(mut self) {
        self.settled = true;
    }

    /// Puts the path back with another due time or more knowledge.
    pub(super) fn put_back(mut self, update: impl FnOnce(&mut Change)) {
        update(&mut self.change);
    }

    /// Lets those go on who wait for it: the scan, and markers.
    pub(super) fn hold_up_nobody(&mut self) {
        let of_scan = std::mem::take(&mut self.change.of_scan);
        let marker = self.change.marker.take();
        let mut queue = self.queue.lock();
        queue.of_scan -= usize::from(of_scan);
        queue.uncount(marker);
    }
}

impl Drop for TakenPath {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        queue.taken -= 1;
        queue.forget(self.noticed);
        if self.settled {
            queue.of_scan -= usize::from(self.change.of_scan);
            queue.uncount(self.change.marker);
        } else {
            queue.insert(self.path.clone(), self.change.clone());
        }
    }
}

#[derive(Debug)]
struct Queue {
    waiting: BTreeMap<TreePath, Change>,
    /// The waiting paths of each priority by their due time.
    by_due: [BTreeSet<(Instant, TreePath)>; 2],
    patience: Duration,
    capacity: usize,
    overflowed: bool,
    taken: usize,
    of_scan: usize,
    /// How many paths were noticed at which moment, the taken ones among them.
    noticed: BTreeMap<Option<Instant>, usize>,
    /// How many paths, the taken ones among them, each marker waits for.
    markers: BTreeMap<u64, usize>,
    /// The last marker that has arrived.
    arrived: u64,
}

impl Queue {
    fn count(&mut self, marker: Option<u64>) {
        if let Some(marker) = marker {
            *self.markers.entry(marker).or_default() += 1;
        }
    }

    fn uncount(&mut self, marker: Option<u64>) {
        if let Some(marker) = marker {
            count_down(self.markers.entry(marker));
        }
    }

    /// A path that was noticed then is settled, or counted anew.
    fn forget(&mut self, noticed: Option<Instant>) {
        count_down(self.noticed.entry(noticed));
    }

    /// Inserts a path, merged with the same one if it waits.
    fn insert(&mut self, path: TreePath, change: Change) {
        let merged = match self.waiting.remove(&path) {
            None => change,
            Some(old) => {
                self.by_due[old.priority as usize].remove(&(old.due, path.clone()));
                self.of_scan -= usize::from(old.of_scan && change.of_scan);
                self.forget(old.noticed());
                for marker in [old.marker, change.marker] {
                    self.uncount(marker);
                }
                let marker = earlier(old.marker, change.marker);
                self.count(marker);
                let since = old.since.min(change.since);
                // Writers that go on are waited for, up to a point.
                let latest = old.due.max(since + self.patience);
                let urgent = old.urgent || change.urgent;
                Change {
                    due: match urgent {
                        true => old.due.min(change.due),
                        false => old.due.max(change.due).min(latest),
                    },
                    since,
                    marker,
                    urgent,
                    priority: old.priority.min(change.priority),
                    of_scan: old.of_scan || change.of_scan,
                    seen: change.seen.or(old.seen),
                    reread: old.reread || change.reread,
                    failures: old.failures.max(change.failures),
                }
            }
        };
        self.by_due[merged.priority as usize].insert((merged.due, path.clone()));
        *self.noticed.entry(merged.noticed()).or_default() += 1;
        self.waiting.insert(path, merged);
    }
}

fn count_down<K: Ord>(entry: Entry<'_, K, usize>) {
    if let Entry::Occupied(mut count) = entry {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
#[path = "tests/changed_paths.rs"]
mod tests;
