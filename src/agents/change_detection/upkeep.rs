//! What the loop does beside captures: it hears the watches, and looks after roots, space, wishes and the calendar.

use std::time::Duration;

use tokio::time::Instant;

use super::edge::Edge;
use super::marks::{Class, Mark, Place};
use super::paths;
use super::scope::{DOCENT_IGNORE, GIT_IGNORE};
use super::survey::Order;
use super::{Halt, blocking};
use crate::disk;
use crate::runtime::RootReport;

/// How often roots, free space and wishes are looked at.
const UPKEEP: Duration = Duration::from_secs(1);

impl Edge {
    /// Marks what was notified.
    pub(super) fn hear(&mut self, now: Instant) {
        let news = self.means.watches.take();
        if let Some(cause) = news.lost {
            self.overflows += 1;
            tracing::warn!(
                cause,
                count = self.overflows,
                "notifications were lost; everything is scanned"
            );
            self.scan_wanted = Some("lost notifications");
        }
        let trees = self.means.trees.clone();
        for path in &news.paths {
            for (tree, own) in trees.iter().enumerate() {
                let Some(scope) = &own.scope else { continue };
                if let Ok(relative) = path.strip_prefix(&own.root) {
                    self.hear_of(
                        tree,
                        relative.as_os_str().as_encoded_bytes(),
                        scope.git(),
                        now,
                    );
                }
            }
        }
    }

    /// Marks one path, and what depends on it.
    fn hear_of(&mut self, tree: usize, path: &[u8], git: bool, now: Instant) {
        let within_git = |name: &[u8]| name == b".git";
        let marked = if path.split(|b| *b == b'/').any(within_git) {
            // Whether there is a repository says whose rules count in the directory that it is in.
            match path.strip_suffix(b".git") {
                Some(repository) if git => repository.strip_suffix(b"/").unwrap_or(repository),
                _ => return,
            }
        } else {
            let name = paths::name_of(path);
            if name == DOCENT_IGNORE || (git && name == GIT_IGNORE) {
                let mark = Mark::new(Class::Watch, now, self.means.options.debounce);
                self.mark(Place::new(tree, paths::parent_of(path)), mark);
            }
            path
        };
        let mark = Mark::new(Class::Watch, now, self.means.options.debounce);
        self.mark(Place::new(tree, marked), mark);
    }

    /// Marks a path; without room for it, everything is scanned in its stead.
    pub(super) fn mark(&mut self, place: Place, mark: Mark) {
        if !self.marks.mark(place, mark) && self.scan_wanted.is_none() {
            tracing::warn!(
                marked = self.marks.len(),
                "too many paths are marked; everything is scanned later"
            );
            self.scan_wanted = Some("too many marks");
        }
    }

    /// Looks after what needs a look now and then.
    pub(super) async fn upkeep(&mut self, now: Instant) -> Result<(), Halt> {
        self.next_upkeep = now + UPKEEP;
        if now >= self.next_rescan && self.scan_wanted.is_none() {
            self.scan_wanted = Some("timer");
            self.next_rescan = now + self.means.options.rescan;
        }
        let idle = self.marks.len() == 0 && self.scan.is_none();
        if idle && self.pause.as_ref().is_some_and(|p| p.until <= now) {
            // What could not be written is no longer to be written.
            self.pause = None;
        }
        self.read_wishes().await?;
        self.check_space().await?;
        self.check_roots().await?;
        if now >= self.next_poll {
            self.next_poll = now + self.means.options.poll;
            for tree in 0..self.roots.len() {
                if self.roots[tree].unwatched.is_some() || self.roots[tree].held.is_some() {
                    self.walk_all(tree);
                }
            }
        }
        Ok(())
    }

    /// Reads which scans are wanted, besides those that one runs for.
    pub(super) async fn read_wishes(&mut self) -> Result<(), Halt> {
        if self.scan.is_some() {
            return Ok(());
        }
        self.wishes.clear();
        for wish in self.means.store.scan_wishes().await? {
            self.wishes
                .entry(wish.collection.clone())
                .or_default()
                .push(wish);
        }
        Ok(())
    }

    async fn check_space(&mut self) -> Result<(), Halt> {
        let options = self.means.options.clone();
        let free = blocking(&self.means.compute, &self.means.pulse, move |_| {
            disk::free_space(&options.data_dir)
        })
        .await?;
        let floor = self.means.options.free_space_floor;
        match (free, self.space_low) {
            (Ok(free), None) if free < floor => {
                tracing::warn!(free, floor, "free space is under the floor: captures stop");
                self.space_low = Some(free);
            }
            (Ok(free), Some(_)) if free >= floor => {
                tracing::info!(free, floor, "there is space again: captures go on");
                self.space_low = None;
            }
            (Ok(_), _) => {}
            // The store itself tells when it cannot be written.
            (Err(error), _) => tracing::debug!(%error, "the free space cannot be asked for"),
        }
        Ok(())
    }

    /// Orders a walk of a whole collection, unless one is under way.
    pub(super) fn walk_all(&mut self, tree: usize) {
        let running = self.surveys.iter().flatten();
        if !running
            .into_iter()
            .any(|s| s.order.tree == tree && s.order.base.is_empty())
        {
            self.order(Order {
                tree,
                base: Vec::new(),
                class: Class::Scan,
                of_scan: false,
            });
        }
    }

    /// Tells the desk how things are.
    pub(super) fn report(&mut self) {
        let held = match (&self.pause, self.space_low) {
            (Some(pause), _) => Some(format!("the store cannot be written: {}", pause.cause)),
            (None, Some(free)) => Some(format!(
                "{free} bytes are free, less than the floor of {}",
                self.means.options.free_space_floor
            )),
            (None, None) => None,
        };
        let trees = self.means.trees.iter().enumerate();
        let roots = trees
            .filter(|(_, own)| own.scope.is_some())
            .map(|(tree, own)| {
                let root = &self.roots[tree];
                let unread = root.gaps.iter().chain(&root.failed);
                RootReport {
                    collection: own.name.clone(),
                    path: own.root.clone(),
                    standing: self.standing(tree),
                    polled: root.unwatched.clone(),
                    unlisted: unread
                        .map(|path| own.root.join(paths::as_path(path)))
                        .collect(),
                    shut: root.shut.values().cloned().collect(),
                }
            })
            .collect();
        let marked = self.marks.len() as u64;
        self.desk.report(|p| {
            p.marked = marked;
            p.held = held;
            p.roots = roots;
        });
    }
}
