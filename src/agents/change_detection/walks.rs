//! Walks that are ordered, by a scan or by a watch, and the conclusions that are drawn from them.

use std::time::Duration;

use tokio::time::Instant;

use super::edge::Edge;
use super::marks::{Class, Mark, Place};
use super::roots::{Away, Ruling};
use super::survey::{Begun, Order, Step, Survey};
use super::walk::Gap;
use super::{Halt, WatchMode, paths, roots};

/// Orders that wait, of a class; beyond, they become one of everything.
const ORDERS_MAX: usize = 4096;

/// Directories that cannot be looked at whose names are kept, of a collection.
pub(super) const GAPS_MAX: usize = 1000;

impl Edge {
    /// Puts an order into its queue, unless one that waits there covers it.
    pub(super) fn order(&mut self, order: Order) {
        let queue = &mut self.orders[order.class as usize];
        let covers = |o: &Order| {
            o.tree == order.tree
                && (o.base.is_empty()
                    || o.base == order.base
                    || order.base.starts_with(&paths::below(&o.base)))
        };
        if let Some(waiting) = queue.iter_mut().find(|o| covers(o)) {
            waiting.of_scan |= order.of_scan;
        } else if queue.len() < ORDERS_MAX {
            queue.push_back(order);
        } else {
            let tree = order.tree;
            let of_scan = order.of_scan || queue.iter().any(|o| o.tree == tree && o.of_scan);
            queue.retain(|o| o.tree != tree);
            queue.push_back(Order {
                base: Vec::new(),
                of_scan,
                ..order
            });
        }
    }

    /// Begins to walk, if the root is there and is the known one.
    pub(super) async fn begin_survey(&mut self, order: Order) -> Result<(), Halt> {
        let (tree, class, whole) = (order.tree, order.class, order.base.is_empty());
        if order.of_scan {
            let name = self.means.trees[tree].name.clone();
            self.desk.report(|p| p.scanning = Some(name));
        }
        let accept = whole && std::mem::take(&mut self.roots[tree].accept);
        self.mark_what_is_under_way(&order);
        let known = self.roots[tree].known.clone();
        let survey = match Survey::begin(&self.means, order, known, accept).await? {
            Begun::Unrooted(survey) => Some(survey),
            Begun::Away(order, away) => self.survey_without_root(order, away, accept).await?,
            Begun::Rooted(mut survey, id, Ruling::Trust) => {
                self.adopt(tree, id);
                survey.anew = self.roots[tree].anew;
                Some(survey)
            }
            Begun::Rooted(survey, _, Ruling::Doubt(_)) if whole => Some(survey),
            Begun::Rooted(_, _, Ruling::Hold(why)) => {
                self.hold(tree, why);
                None
            }
            Begun::Rooted(..) => {
                self.walk_all(tree);
                None
            }
        };
        if survey.is_some() {
            self.surveys[class as usize] = survey;
        }
        Ok(())
    }

    /// A root that cannot be opened is walked over in the manifest alone, where that says something about its files.
    async fn survey_without_root(
        &mut self,
        order: Order,
        away: Away,
        accept: bool,
    ) -> Result<Option<Box<Survey>>, Halt> {
        let tree = order.tree;
        let denied = away.denied;
        self.root_is_away(tree, away);
        let name = &self.means.trees[tree].name;
        let rows = self.means.store.manifest_rows(name, b"", 1).await?;
        let root = &mut self.roots[tree];
        root.kept = !rows.is_empty();
        root.let_go |= accept;
        let told = (denied || root.let_go) && root.kept;
        Ok(told.then(|| Box::new(Survey::of_rows(&self.means, order))))
    }

    /// Marks the paths of an order that have a transaction under way: the survey may read the manifest before the
    /// commit and the directory after the file has gone, and would miss it.
    fn mark_what_is_under_way(&mut self, order: &Order) {
        let prefix = paths::below(&order.base);
        let busy = self.busy.iter();
        let below: Vec<Place> = busy
            .filter(|b| b.tree == order.tree && b.path.starts_with(&prefix))
            .cloned()
            .collect();
        for place in below {
            let mark =
                Mark::new(order.class, Instant::now(), Duration::ZERO).of_scan(order.of_scan);
            self.mark(place, mark);
        }
    }

    /// Marks what a step of a survey found to differ.
    pub(super) fn take_step(&mut self, survey: &Survey, step: Step) {
        let now = Instant::now();
        let Order {
            tree,
            class,
            of_scan,
            ..
        } = survey.order;
        for gap in &step.gaps {
            self.note_gap(tree, gap);
        }
        for (path, cause) in &step.shut {
            self.note_shut(tree, path, cause);
        }
        let changed = step.differ.len() as u64;
        if of_scan {
            if survey.order.base.is_empty() {
                self.roots[tree].seen += step.seen;
            }
            self.desk.report(|p| {
                p.seen += step.seen;
                p.changed += changed;
            });
        }
        for path in step.differ {
            let mark = Mark {
                reread: survey.anew,
                ..Mark::new(class, now, Duration::ZERO).of_scan(of_scan)
            };
            self.mark(Place::new(tree, &path), mark);
        }
    }

    /// Draws the conclusions of a survey that has come to its end.
    pub(super) fn end_survey(&mut self, survey: Survey) {
        let Order {
            tree,
            of_scan,
            base,
            ..
        } = survey.order;
        let name = &self.means.trees[tree].name;
        let Some(id) = survey.root else {
            let root = &mut self.roots[tree];
            root.kept &= !root.let_go;
            return;
        };
        let root = &mut self.roots[tree];
        let unwatched = survey.unwatched;
        let wanted = self.means.trees[tree].watch == WatchMode::Poll;
        if let Some(cause) = unwatched
            .as_ref()
            .filter(|_| root.unwatched.is_none() && !wanted)
        {
            tracing::warn!(collection = name, cause, every = ?self.means.options.poll, "not all changes are notified; the collection is scanned often instead");
        }
        if base.is_empty() || unwatched.is_some() {
            root.unwatched = unwatched;
        }
        if base.is_empty() {
            root.gaps = survey.gaps;
            root.hidden = survey.hidden;
        }
        let (below, shut) = (paths::below(&base), survey.shut);
        root.shut.retain(|path, _| {
            let opened = (*path == base || path.starts_with(&below)) && !shut.contains(path);
            if opened {
                let path = String::from_utf8_lossy(path).into_owned();
                tracing::info!(
                    collection = name,
                    path,
                    "the rules of a directory can be used again"
                );
            }
            !opened
        });
        if !survey.doubting {
            return;
        }
        if survey.recognised > 0 || !survey.had_rows {
            // The same tree after all: a restart or another mount gave its device another number.
            self.adopt(tree, id);
            self.roots[tree].seen = 0;
            self.order(Order {
                tree,
                base,
                class: Class::Scan,
                of_scan,
            });
        } else {
            self.hold(tree, roots::ANOTHER_DEVICE.to_owned());
        }
    }

    /// Says once that a directory is closed, until a walk finds that it is not.
    fn note_shut(&mut self, tree: usize, path: &[u8], cause: &str) {
        let shut = &mut self.roots[tree].shut;
        if shut.get(path).is_some_and(|known| known == cause)
            || (shut.len() >= GAPS_MAX && !shut.contains_key(path))
        {
            return;
        }
        shut.insert(path.to_owned(), cause.to_owned());
        let own = &self.means.trees[tree];
        let directory = own.root.join(paths::as_path(path));
        tracing::warn!(
            collection = own.name,
            directory = %directory.display(),
            cause,
            "the rules of a directory cannot be used; nothing below it is taken in until they can"
        );
    }

    /// Says once that a directory cannot be looked at, until a walk of everything finds that it can.
    fn note_gap(&mut self, tree: usize, gap: &Gap) {
        let gaps = &mut self.roots[tree].gaps;
        if gaps.len() >= GAPS_MAX || !gaps.insert(gap.path.clone()) {
            return;
        }
        let own = &self.means.trees[tree];
        let directory = own.root.join(paths::as_path(&gap.path));
        let then = match gap.denied {
            true => "its files are not searchable until docent may read them",
            false => "what is known of its files stays as it is",
        };
        tracing::warn!(
            collection = own.name,
            directory = %directory.display(),
            cause = gap.cause,
            "a directory cannot be looked at; {then}"
        );
    }
}
