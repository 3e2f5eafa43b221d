//! Walks that are ordered, by a scan or by a watch, and the conclusions that are drawn from them.

use std::time::Duration;

use tokio::time::Instant;

use super::edge::Edge;
use super::marks::{Class, Mark, Place};
use super::survey::{Order, Step, Survey};
use super::{Halt, WatchMode, paths};

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

    /// Begins to walk, or takes note that the root is absent.
    pub(super) async fn begin_survey(&mut self, order: Order) -> Result<(), Halt> {
        let (tree, class, whole) = (order.tree, order.class, order.base.is_empty());
        if order.of_scan {
            let name = self.means.trees[tree].name.clone();
            self.desk.report(|p| p.scanning = Some(name));
        }
        let accept = whole && std::mem::take(&mut self.roots[tree].accept);
        self.mark_what_is_under_way(&order);
        let device = self.roots[tree].device;
        let mut survey = match Survey::begin(&self.means, order, device).await? {
            Ok(survey) => survey,
            Err(cause) => {
                self.root_is_absent(tree, cause);
                return Ok(());
            }
        };
        survey.holding &= !accept;
        let root = &mut self.roots[tree];
        if let Some(standing) = survey.standing {
            root.id = Some(standing.id);
            if whole && !survey.holding {
                root.device = Some(standing.id.device);
                root.held = false;
            }
            if root.absent.take().is_some() {
                tracing::info!(collection = self.means.trees[tree].name, "the root is back");
            }
        }
        self.surveys[class as usize] = Some(survey);
        Ok(())
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
        for (path, cause) in &step.gaps {
            self.note_gap(tree, path, cause);
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
            let mark = Mark::new(class, now, Duration::ZERO).of_scan(of_scan);
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
        let Some(standing) = survey.standing else {
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
        if !survey.holding {
            return;
        }
        if survey.recognised > 0 {
            // The same tree on another device number: a restart, another mount.
            root.device = Some(standing.id.device);
            root.held = false;
            root.seen = 0;
            self.order(Order {
                tree,
                base,
                class: Class::Scan,
                of_scan,
            });
        } else if !root.held {
            root.held = true;
            tracing::warn!(
                collection = name,
                "the root is on another device than before and has none of its files: removals are held; mount it again, or let them go ahead with: docent scan {name} --accept-removals"
            );
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
    fn note_gap(&mut self, tree: usize, path: &[u8], cause: &str) {
        let gaps = &mut self.roots[tree].gaps;
        if gaps.len() >= GAPS_MAX || !gaps.insert(path.to_owned()) {
            return;
        }
        let directory = self.means.trees[tree].root.join(paths::as_path(path));
        tracing::warn!(
            collection = self.means.trees[tree].name,
            directory = %directory.display(),
            cause,
            "a directory cannot be looked at; what is known of its files stays as it is"
        );
    }
}
