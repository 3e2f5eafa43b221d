//! Scans: when one begins, what its walks come by, and when it has ended.

use std::time::Duration;

use tokio::time::Instant;

use super::Halt;
use super::captures::Landing;
use super::edge::Edge;
use super::marks::{Class, Mark, Place};
use super::survey::Order;
use crate::event::Millis;
use crate::runtime::ACCEPT_REMOVALS;
use crate::store::{Effect, KnownTree, ScanWish};

/// A scan under way.
#[derive(Debug)]
pub(super) struct Scan {
    /// Its number at the desk; only a scan of everything has one.
    number: Option<u64>,
    errands: Vec<Errand>,
    began: Instant,
    /// Its end is on the way into the store.
    ending: bool,
}

/// What a scan does in one collection.
#[derive(Debug)]
struct Errand {
    collection: String,
    /// `None`: nobody has a collection of that name any more.
    tree: Option<usize>,
    /// The newest wish that it fulfils.
    up_to: u64,
    began_at: Millis,
    /// All of the collection, not only the paths of wishes.
    whole: bool,
}

impl Edge {
    /// Begins a scan if one is wanted and none runs.
    pub(super) async fn begin_scan(&mut self) -> Result<(), Halt> {
        if self.scan.is_some() {
            return Ok(());
        }
        let asked = self.desk.is_asked().then_some("asked for");
        if let Some(why) = self.scan_wanted.or(asked) {
            // Wishes that are in the store by now are older than the scan.
            self.read_wishes().await?;
            self.begin_full_scan(why);
        } else if !self.wishes.is_empty() {
            self.begin_wished_scan();
        }
        Ok(())
    }

    fn begin_full_scan(&mut self, why: &str) {
        self.scan_wanted = None;
        self.next_rescan = Instant::now() + self.means.options.rescan;
        let number = self.desk.begin();
        tracing::info!(why, number, "a scan of everything begins");
        let mut errands = self.errands(|edge, wishes| edge.accept(wishes));
        for tree in 0..self.means.trees.len() {
            let name = &self.means.trees[tree].name;
            if !errands.iter().any(|e| e.collection == *name) {
                errands.push(Errand {
                    collection: name.clone(),
                    tree: Some(tree),
                    up_to: 0,
                    began_at: Millis::now(),
                    whole: true,
                });
            }
        }
        for errand in &mut errands {
            errand.whole = true;
        }
        self.set_off(Some(number), errands);
    }

    fn begin_wished_scan(&mut self) {
        let errands = self.errands(|edge, wishes| {
            edge.accept(wishes);
            let Some(tree) = edge.tree_named(&wishes[0].collection) else {
                return;
            };
            if wishes.iter().any(|w| w.path.is_none()) {
                return;
            }
            let now = Instant::now();
            for path in wishes.iter().filter_map(|w| w.path.as_ref()) {
                // In a hurry like an edit: somebody waits for just this path.
                let mark = Mark::new(Class::Watch, now, Duration::ZERO).of_scan(true);
                edge.mark(Place::new(tree, path), mark);
            }
        });
        self.set_off(None, errands);
    }

    /// An errand for each collection that there are wishes for.
    fn errands(&mut self, mut each: impl FnMut(&mut Self, &[ScanWish])) -> Vec<Errand> {
        let wishes = std::mem::take(&mut self.wishes);
        let mut errands = Vec::with_capacity(wishes.len());
        for (collection, wishes) in wishes {
            each(self, &wishes);
            errands.push(Errand {
                tree: self.tree_named(&collection),
                collection,
                up_to: wishes.iter().map(|w| w.id).max().unwrap_or(0),
                began_at: Millis::now(),
                whole: wishes.iter().any(|w| w.path.is_none()),
            });
        }
        errands
    }

    /// Lets held removals go ahead where somebody said so.
    fn accept(&mut self, wishes: &[ScanWish]) {
        for wish in wishes.iter().filter(|w| w.reason == ACCEPT_REMOVALS) {
            if let Some(tree) = self.tree_named(&wish.collection) {
                self.roots[tree].accept = true;
            }
        }
    }

    fn set_off(&mut self, number: Option<u64>, errands: Vec<Errand>) {
        for tree in errands.iter().filter(|e| e.whole).filter_map(|e| e.tree) {
            self.roots[tree].seen = 0;
            self.order(Order {
                tree,
                base: Vec::new(),
                class: Class::Scan,
                of_scan: true,
            });
        }
        let first = errands.first().map(|e| e.collection.clone());
        self.desk.report(|p| {
            p.scanning = first;
            p.seen = 0;
            p.changed = 0;
        });
        self.scan = Some(Scan {
            number,
            errands,
            began: Instant::now(),
            ending: false,
        });
    }

    /// Ends the scan once its walks are over and all that they marked is captured or reported.
    pub(super) async fn end_scan(&mut self) -> Result<(), Halt> {
        let open = self.marks.of_scan() > 0
            || self.orders.iter().flatten().any(|o| o.of_scan)
            || self.surveys.iter().flatten().any(|s| s.order.of_scan);
        let paused = self
            .pause
            .as_ref()
            .is_some_and(|p| p.until > Instant::now());
        let Some(scan) = self.scan.as_mut().filter(|s| !s.ending && !open && !paused) else {
            return Ok(());
        };
        scan.ending = true;
        let number = scan.number;
        let effects = self.scan_ended().await?;
        let submitted = self.submit(effects, Vec::new()).await?;
        self.flights.push(Box::pin(async move {
            Landing::Scan {
                number,
                result: submitted.committed().await,
            }
        }));
        Ok(())
    }

    /// The end of the scan in each of its collections. One of a few paths leaves the record of the last whole one.
    async fn scan_ended(&mut self) -> Result<Vec<Effect>, Halt> {
        let last = self.means.store.scans().await?;
        // A collection that is not in the config has no scans, only wishes that nobody can fulfil any more.
        let real = |e: &&Errand| {
            e.up_to > 0 || e.tree.is_some_and(|t| self.means.trees[t].scope.is_some())
        };
        let errands = self.scan.iter().flat_map(|s| &s.errands).filter(real);
        let effect = |errand: &Errand| {
            let whole = errand
                .tree
                .filter(|_| errand.whole)
                .map(|tree| (errand.began_at, self.roots[tree].seen));
            let before = || {
                last.iter()
                    .find(|r| r.collection == errand.collection)
                    .map(|r| (r.began_at, r.files))
            };
            let (began_at, files) = whole.or_else(before).unwrap_or((errand.began_at, 0));
            Effect::ScanEnded {
                collection: errand.collection.clone(),
                up_to: errand.up_to,
                began_at: began_at.0,
                files,
            }
        };
        let mut effects: Vec<Effect> = errands.map(effect).collect();
        for (tree, known) in self.judged_anew() {
            effects.push(known.effect(&self.means.trees[tree].name));
        }
        Ok(effects)
    }

    /// The trees of which the running scan has read every file again.
    fn judged_anew(&self) -> Vec<(usize, KnownTree)> {
        let errands = self.scan.iter().flat_map(|s| &s.errands);
        let whole = errands.filter(|e| e.whole).filter_map(|e| e.tree);
        let all = whole.filter_map(|tree| {
            let root = &self.roots[tree];
            let here = root.absent.is_none() && root.held.is_none() && !root.hidden;
            let known = root.known.clone().filter(|_| here && root.anew)?;
            let judged_by = self.means.trees[tree].judged_by.clone();
            Some((tree, KnownTree { judged_by, ..known }))
        });
        all.collect()
    }

    /// The end of the scan is in the store, or could not be written and is tried again.
    pub(super) fn scan_has_ended(&mut self, number: Option<u64>, written: bool) {
        if !written {
            if let Some(scan) = &mut self.scan {
                scan.ending = false;
            }
            return;
        }
        for (tree, known) in self.judged_anew() {
            self.roots[tree].known = Some(known);
            self.roots[tree].anew = false;
        }
        let Some(scan) = self.scan.take() else {
            return;
        };
        // Whoever waits for the end reads what it has found.
        self.report();
        let seen: u64 = self.roots.iter().map(|r| r.seen).sum();
        let took = scan.began.elapsed();
        if let Some(number) = number {
            tracing::info!(number, seen, ?took, "the scan of everything has ended");
            self.desk.end(number);
        } else {
            tracing::debug!(?took, "a scan has ended");
        }
        self.desk.report(|p| p.scanning = None);
    }

    pub(super) fn tree_named(&self, collection: &str) -> Option<usize> {
        self.means.trees.iter().position(|t| t.name == collection)
    }
}
