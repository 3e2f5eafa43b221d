//! Scans: when one begins, which collections it surveys, and when it has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::changed_paths::{Change, ChangePriority, ChangedPaths, TreePath};
use super::context::AgentContext;
use super::decision::CaptureTransaction;
use super::pulse::Halt;
use super::roots::Roots;
use super::submitter::{InFlight, PathsInFlight};
use super::survey::SurveyOrder;
use super::surveys::Surveys;
use crate::event::Millis;
use crate::runtime::{ACCEPT_REMOVALS, ScanDesk};
use crate::store::{Effect, KnownTree, ScanRequest};

/// A scan in progress.
#[derive(Debug)]
struct Scan {
    /// Its number at the desk; only a scan of everything has one.
    number: Option<u64>,
    collections: Vec<ScannedTree>,
    began: Instant,
    /// Its end was submitted.
    ending: bool,
}

/// What a scan does in one collection.
#[derive(Debug)]
struct ScannedTree {
    collection: String,
    /// `None`: there is no collection of that name any more.
    tree: Option<usize>,
    /// The newest request that it fulfils; 0: none.
    up_to: u64,
    began_at: Millis,
    /// All of the collection is scanned, not only the paths of requests.
    whole: bool,
}

pub(super) struct Scanner {
    context: AgentContext,
    queue: ChangedPaths,
    desk: ScanDesk,
    surveys: Surveys,
    scan: Option<Scan>,
    /// Why a scan of everything is due, if it is.
    due: Option<&'static str>,
    /// The first scan that finds what no notification told, if that is not over.
    owed: Option<u64>,
    /// The requests of each collection that no scan has begun for.
    requests: BTreeMap<String, Vec<ScanRequest>>,
    next_poll: Instant,
    next_rescan: Instant,
}

impl Scanner {
    /// Begins with a scan of everything.
    pub(super) fn new(context: AgentContext, queue: ChangedPaths, desk: ScanDesk) -> Self {
        let now = Instant::now();
        Scanner {
            surveys: Surveys::new(context.clone(), queue.clone(), desk.clone()),
            scan: None,
            due: Some("start"),
            owed: Some(desk.scans().next()),
            requests: BTreeMap::new(),
            next_poll: now,
            next_rescan: now + context.options.rescan,
            context,
            queue,
            desk,
        }
    }

    pub(super) fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }

    pub(super) fn surveys(&mut self) -> &mut Surveys {
        &mut self.surveys
    }

    /// Whether a scan of everything is owed for what no notification told. The one of the timer is not owed.
    pub(super) fn is_owed(&self) -> bool {
        self.owed.is_some()
    }

    pub(super) fn has_work(&self, priority: ChangePriority) -> bool {
        self.surveys.has_work(priority)
    }

    /// Does a step of the survey of a priority. Gives whether there was one.
    pub(super) async fn advance(
        &mut self,
        priority: ChangePriority,
        roots: &mut Roots,
        in_flight: &PathsInFlight,
    ) -> Result<bool, Halt> {
        self.surveys.advance(priority, roots, in_flight).await
    }

    /// A scan of everything becomes due. Gives whether none was.
    pub(super) fn scan_everything(&mut self, why: &'static str) -> bool {
        let first = self.due.is_none();
        self.due = Some(why);
        self.owed = Some(self.desk.scans().next());
        first
    }

    /// Does what is due by the clock, and reads the scan requests.
    pub(super) async fn upkeep(&mut self, roots: &Roots) -> Result<(), Halt> {
        let now = Instant::now();
        if now >= self.next_rescan && self.due.is_none() {
            self.due = Some("timer");
            self.next_rescan = now + self.context.options.rescan;
        }
        if now >= self.next_poll {
            self.next_poll = now + self.context.options.poll;
            for tree in 0..self.context.trees.len() {
                // A survey may take longer than the time between two.
                if roots.needs_poll(tree) && !self.surveys.runs_whole(tree) {
                    self.surveys.order_whole(tree, None);
                }
            }
        }
        self.read_requests().await
    }

    /// Reads the requests besides those that the running scan fulfils.
    async fn read_requests(&mut self) -> Result<(), Halt> {
        if self.scan.is_some() {
            return Ok(());
        }
        self.requests.clear();
        let is_shared = self.context.store.leases().are_shared();
        for request in self.context.store.scan_requests().await? {
            // Another host's, or nobody's at the moment.
            if is_shared && self.context.tree_named(&request.collection).is_none() {
                continue;
            }
            let requests = self.requests.entry(request.collection.clone());
            requests.or_default().push(request);
        }
        Ok(())
    }

    /// Begins a scan if one is due and none runs.
    pub(super) async fn begin(&mut self, roots: &mut Roots) -> Result<(), Halt> {
        if self.scan.is_some() {
            return Ok(());
        }
        let asked = self.desk.scans().is_asked().then_some("asked for");
        if let Some(why) = self.due.take().or(asked) {
            // Requests that are in the store by now are older than the scan.
            self.read_requests().await?;
            self.next_rescan = Instant::now() + self.context.options.rescan;
            let number = self.desk.scans().begin();
            tracing::info!(why, number, "a full scan begins");
            self.start(Some(number), roots);
        } else if !self.requests.is_empty() {
            self.start(None, roots);
        }
        Ok(())
    }

    /// `number`: it is a scan of everything.
    fn start(&mut self, number: Option<u64>, roots: &mut Roots) {
        let everything = number.is_some();
        let requests = std::mem::take(&mut self.requests);
        let mut requests: Vec<(String, Vec<ScanRequest>)> = requests.into_iter().collect();
        for tree in self.context.trees.iter().filter(|_| everything) {
            if !requests.iter().any(|(name, _)| *name == tree.name) {
                requests.push((tree.name.clone(), Vec::new()));
            }
        }
        let mut collections = Vec::new();
        for (collection, requests) in requests {
            let mut scanned = self.scanned_tree(collection, &requests, roots);
            scanned.whole |= everything;
            match scanned.tree {
                Some(tree) if scanned.whole => {
                    roots.reset_seen(tree);
                    self.surveys.order(SurveyOrder::whole(tree, true));
                }
                Some(tree) => self.queue_requested(tree, &requests),
                None => {}
            }
            collections.push(scanned);
        }
        let first = collections.first().map(|c| c.collection.clone());
        self.desk.report(|p| {
            p.scanning = first;
            p.seen = 0;
            p.changed = 0;
        });
        self.scan = Some(Scan {
            number,
            collections,
            began: Instant::now(),
            ending: false,
        });
    }

    fn queue_requested(&self, tree: usize, requests: &[ScanRequest]) {
        for path in requests.iter().filter_map(|r| r.path.as_ref()) {
            // As urgent as an edit: somebody waits for just this path.
            let change = Change::new(ChangePriority::Watch, Instant::now(), Duration::ZERO);
            let path = TreePath::new(tree, path);
            self.queue.add(path, change.of_scan(true));
        }
    }

    /// What a scan does in a collection that was requested. Accepts removals where a request says so.
    fn scanned_tree(
        &self,
        collection: String,
        requests: &[ScanRequest],
        roots: &mut Roots,
    ) -> ScannedTree {
        let tree = self.context.tree_named(&collection);
        if let Some(tree) = tree
            && requests.iter().any(|r| r.reason == ACCEPT_REMOVALS)
        {
            roots.accept(tree);
        }
        ScannedTree {
            tree,
            collection,
            up_to: requests.iter().map(|r| r.id).max().unwrap_or(0),
            began_at: Millis::now(),
            whole: requests.iter().any(|r| r.path.is_none()),
        }
    }

    /// The end of the scan to be submitted, once its surveys have ended and all that they found is captured or reported.
    pub(super) async fn end(
        &mut self,
        roots: &Roots,
    ) -> Result<Option<(InFlight, CaptureTransaction)>, Halt> {
        let open = self.queue.of_scan() > 0 || self.surveys.has_scan_work();
        let Some(scan) = self.scan.as_mut().filter(|s| !s.ending && !open) else {
            return Ok(None);
        };
        scan.ending = true;
        let in_flight = InFlight::ScanEnd {
            number: scan.number,
        };
        let transaction = CaptureTransaction::of(self.end_effects(roots).await?);
        Ok(Some((in_flight, transaction)))
    }

    /// The end of the scan in each of its collections. A scan of a few paths keeps the record of the last whole one.
    async fn end_effects(&self, roots: &Roots) -> Result<Vec<Effect>, Halt> {
        let last = self.context.store.scans().await?;
        // A collection that is not in the config has no scans, only requests that nobody can fulfil any more.
        let trees = &self.context.trees;
        let real =
            |c: &&ScannedTree| c.up_to > 0 || c.tree.is_some_and(|t| trees[t].scope.is_some());
        let scanned = self.scan.iter().flat_map(|s| &s.collections).filter(real);
        let effect = |scanned: &ScannedTree| {
            let whole = scanned.tree.filter(|_| scanned.whole);
            let whole = whole.map(|tree| (scanned.began_at, roots.seen(tree)));
            let before = || {
                let row = last.iter().find(|r| r.collection == scanned.collection)?;
                Some((row.began_at, row.files))
            };
            let (began_at, files) = whole.or_else(before).unwrap_or((scanned.began_at, 0));
            Effect::ScanEnded {
                collection: scanned.collection.clone(),
                up_to: scanned.up_to,
                began_at: began_at.0,
                files,
            }
        };
        let mut effects: Vec<Effect> = scanned.map(effect).collect();
        for (tree, known) in self.reread(roots) {
            effects.push(Effect::known_tree(&trees[tree].name, &known));
        }
        Ok(effects)
    }

    /// The trees of which the running scan has read every file again.
    fn reread(&self, roots: &Roots) -> Vec<(usize, KnownTree)> {
        let scanned = self.scan.iter().flat_map(|s| &s.collections);
        let whole = scanned.filter(|c| c.whole).filter_map(|c| c.tree);
        whole
            .filter_map(|tree| Some((tree, roots.reread(tree)?)))
            .collect()
    }

    /// The end of the scan could not be written: it is submitted again.
    pub(super) fn end_failed(&mut self) {
        if let Some(scan) = &mut self.scan {
            scan.ending = false;
        }
    }

    /// The end of the scan is in the store. Whoever waits for it reads the desk: everything else is reported before.
    pub(super) fn ended(&mut self, number: Option<u64>, roots: &mut Roots) {
        for (tree, known) in self.reread(roots) {
            roots.set_reread(tree, known);
        }
        let Some(scan) = self.scan.take() else {
            return;
        };
        let (seen, took) = (roots.all_seen(), scan.began.elapsed());
        for scanned in scan.collections.iter().filter(|c| c.whole) {
            self.desk.scanned(&scanned.collection, took);
        }
        self.owed = self.owed.filter(|owed| number.is_none_or(|n| *owed > n));
        let caught_up = !self.is_owed();
        self.desk.report(|p| {
            p.scanning = None;
            p.caught_up = caught_up;
        });
        if let Some(number) = number {
            tracing::info!(number, seen, ?took, "the full scan has ended");
            self.desk.scans().end(number);
        } else {
            tracing::debug!(?took, "a scan has ended");
        }
    }
}
