//! The surveys that were ordered, by a scan or by a watch, and the conclusions that are drawn from them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::changed_paths::{Change, ChangePriority, ChangedPaths, RETRIES_MAX, TreePath, earlier};
use super::context::AgentContext;
use super::paths;
use super::pulse::Halt;
use super::root_identity::{ANOTHER_DEVICE, RootAway, RootMatch};
use super::roots::Roots;
use super::submitter::PathsInFlight;
use super::survey::{Survey, SurveyOrder, SurveyStart, SurveyStep};
use crate::runtime::ScanDesk;

/// Orders that wait, of a priority; beyond, they become one of everything.
const ORDERS_MAX: usize = 4096;

/// Changed paths of a priority that wait while a survey goes on; beyond, it pauses.
const AHEAD_MAX: usize = 2048;

/// The orders that wait and the surveys that run, one of each priority.
pub(super) struct Surveys {
    context: AgentContext,
    queue: ChangedPaths,
    desk: ScanDesk,
    waiting: [VecDeque<SurveyOrder>; 2],
    running: [Option<Box<Survey>>; 2],
}

impl Surveys {
    pub(super) fn new(context: AgentContext, queue: ChangedPaths, desk: ScanDesk) -> Self {
        Surveys {
            context,
            queue,
            desk,
            waiting: Default::default(),
            running: [None, None],
        }
    }

    /// Lets an order wait, unless a waiting one covers it. One that runs does not: it may have passed the directory.
    pub(super) fn order(&mut self, order: SurveyOrder) {
        let waiting = &mut self.waiting[order.priority as usize];
        let covers = |other: &SurveyOrder| {
            let above = other.base == order.base
                || other.is_whole()
                || order.base.starts_with(&paths::below(&other.base));
            other.tree == order.tree && above
        };
        if let Some(other) = waiting.iter_mut().find(|other| covers(other)) {
            other.of_scan |= order.of_scan;
            other.marker = earlier(other.marker, order.marker);
        } else if waiting.len() < ORDERS_MAX {
            waiting.push_back(order);
        } else {
            let tree = order.tree;
            let mut whole = SurveyOrder {
                base: Vec::new(),
                ..order
            };
            for other in waiting.iter().filter(|other| other.tree == tree) {
                whole.of_scan |= other.of_scan;
                whole.marker = earlier(whole.marker, other.marker);
            }
            waiting.retain(|o| o.tree != tree);
            waiting.push_back(whole);
        }
    }

    /// Orders a survey of a whole collection that no scan waits for, but perhaps a marker.
    pub(super) fn order_whole(&mut self, tree: usize, marker: Option<u64>) {
        self.order(SurveyOrder::whole(tree, false).before(marker));
    }

    /// The first marker that waits for a survey.
    pub(super) fn first_marker(&self) -> Option<u64> {
        let waiting = self.waiting.iter().flatten();
        let running = self.running.iter().flatten().map(|survey| &survey.order);
        waiting.chain(running).filter_map(|o| o.marker).min()
    }

    /// Whether a survey of the whole collection runs.
    pub(super) fn runs_whole(&self, tree: usize) -> bool {
        let mut running = self.running.iter().flatten();
        running.any(|s| s.order.tree == tree && s.order.is_whole())
    }

    /// Whether the running scan waits for a survey.
    pub(super) fn has_scan_work(&self) -> bool {
        self.waiting.iter().flatten().any(|o| o.of_scan)
            || self.running.iter().flatten().any(|s| s.order.of_scan)
    }

    pub(super) fn has_work(&self, priority: ChangePriority) -> bool {
        let priority = priority as usize;
        self.running[priority].is_some() || !self.waiting[priority].is_empty()
    }

    /// Does a step of the survey of a priority. Gives whether there was one.
    pub(super) async fn advance(
        &mut self,
        priority: ChangePriority,
        roots: &mut Roots,
        in_flight: &PathsInFlight,
    ) -> Result<bool, Halt> {
        if self.queue.waiting(priority) >= AHEAD_MAX {
            return Ok(false);
        }
        let index = priority as usize;
        let mut survey = match self.running[index].take() {
            Some(survey) => survey,
            None => {
                let Some(order) = self.waiting[index].pop_front() else {
                    return Ok(false);
                };
                match self.begin(order, roots, in_flight).await? {
                    Some(survey) => survey,
                    None => return Ok(true),
                }
            }
        };
        let step = survey.step().await?;
        let over = step.over;
        self.apply(&survey, step, roots);
        if over {
            self.end(*survey, roots);
        } else {
            self.running[index] = Some(survey);
        }
        Ok(true)
    }

    /// Begins a survey, if the root is there and is the known one.
    async fn begin(
        &mut self,
        order: SurveyOrder,
        roots: &mut Roots,
        in_flight: &PathsInFlight,
    ) -> Result<Option<Box<Survey>>, Halt> {
        let (tree, whole, marker) = (order.tree, order.is_whole(), order.marker);
        let of_scan = order.of_scan;
        if order.of_scan {
            let name = self.context.trees[tree].name.clone();
            self.desk.report(|p| p.scanning = Some(name));
        }
        let accept = whole && roots.take_accept(tree);
        self.queue_in_flight(&order, in_flight);
        let known = roots.known(tree);
        Ok(
            match Survey::begin(&self.context, order, known, accept).await? {
                SurveyStart::Unrooted(survey) => Some(survey),
                SurveyStart::Away(survey, away) => {
                    let check = self.root_is_away(tree, away, accept, roots).await?;
                    check.then_some(survey)
                }
                SurveyStart::Rooted(mut survey, id, RootMatch::Same) => {
                    roots.adopt(tree, id);
                    survey.reread = roots.needs_reread(tree);
                    Some(survey)
                }
                SurveyStart::Rooted(survey, _, RootMatch::Unsure) if whole => Some(survey),
                SurveyStart::Rooted(_, _, RootMatch::Unsure) => {
                    self.order(SurveyOrder::whole(tree, of_scan).before(marker));
                    None
                }
                SurveyStart::Rooted(_, _, RootMatch::Other(why)) => {
                    roots.hold(tree, why, &self.queue);
                    None
                }
            },
        )
    }

    /// The rows of a root that cannot be opened are checked only where that says something about its files.
    async fn root_is_away(
        &self,
        tree: usize,
        away: RootAway,
        accept: bool,
        roots: &mut Roots,
    ) -> Result<bool, Halt> {
        roots.set_away(tree, away, &self.queue);
        let name = &self.context.trees[tree].name;
        let rows = self.context.store.manifest_rows(name, b"", 1).await?;
        Ok(roots.files_while_away(tree, !rows.is_empty(), accept))
    }

    /// Queues the paths of an order that are in flight: the survey may read the manifest before the commit and the
    /// directory after the file has gone, and would miss it.
    fn queue_in_flight(&self, order: &SurveyOrder, in_flight: &PathsInFlight) {
        for path in in_flight.below(order.tree, &order.base) {
            let change = Change::new(order.priority, Instant::now(), Duration::ZERO);
            let change = change.of_scan(order.of_scan).before(order.marker);
            self.queue.add(path.clone(), change);
        }
    }

    /// Queues and reports what a step of a survey found.
    fn apply(&self, survey: &Survey, step: SurveyStep, roots: &mut Roots) {
        let (now, order) = (Instant::now(), &survey.order);
        for directory in &step.unread {
            roots.directory_unread(order.tree, directory);
            let is_base = directory.path == order.base;
            let failures = if is_base { order.failures } else { 0 };
            // It may be readable again without a notification. After some attempts it is left to the scans.
            if !directory.denied && failures < RETRIES_MAX {
                let path = TreePath::new(order.tree, &directory.path);
                self.queue.add(path, Change::retry(failures + 1, now));
            }
        }
        for (path, cause) in &step.closed {
            roots.directory_closed(order.tree, path, cause);
        }
        if order.of_scan {
            if order.is_whole() {
                roots.add_seen(order.tree, step.seen);
            }
            let changed = step.differ.len() as u64;
            self.desk.report(|p| {
                p.seen += step.seen;
                p.changed += changed;
            });
        }
        for path in step.differ {
            let change = Change {
                reread: survey.reread,
                of_scan: order.of_scan,
                marker: order.marker,
                ..Change::new(order.priority, now, Duration::ZERO)
            };
            self.queue.add(TreePath::new(order.tree, &path), change);
        }
    }

    /// Draws the conclusions of a survey that has ended.
    fn end(&mut self, survey: Survey, roots: &mut Roots) {
        let order = &survey.order;
        let tree = order.tree;
        let Some(id) = survey.root else {
            roots.rows_checked(tree);
            return;
        };
        let recognised = survey.has_recognised();
        roots.walked(tree, survey.findings);
        if survey.doubting && recognised {
            roots.adopt(tree, id);
            roots.reset_seen(tree);
            self.order(SurveyOrder::whole(tree, order.of_scan).before(order.marker));
        } else if survey.doubting {
            roots.hold(tree, ANOTHER_DEVICE.to_owned(), &self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::change_detection::submitter::PathsInFlight;
    use crate::agents::change_detection::tests::Bed;

    #[tokio::test]
    async fn a_survey_that_runs_does_not_make_up_for_one_that_is_ordered_later() {
        let bed = Bed::made(&[]);
        let context = bed.context().await;
        let queue = ChangedPaths::new(9, Duration::ZERO);
        let mut roots = Roots::new(context.trees.clone(), Duration::ZERO, vec![None]);
        let mut surveys = Surveys::new(context, queue, bed.desk().clone());
        let none = PathsInFlight::default();
        surveys.order_whole(0, None);
        let first = surveys.advance(ChangePriority::Scan, &mut roots, &none);
        assert!(first.await.unwrap() && surveys.runs_whole(0));
        // It has passed everything by now. One more is enough for any number of orders.
        surveys.order_whole(0, None);
        surveys.order(SurveyOrder {
            base: b"sub".to_vec(),
            ..SurveyOrder::whole(0, true)
        });
        let waiting = &surveys.waiting[ChangePriority::Scan as usize];
        assert_eq!(waiting, &[SurveyOrder::whole(0, true)]);
    }
}
