//! Looking at what is due, and the transactions that follow.

use std::time::Duration;

use futures_util::stream::StreamExt;
use tokio::time::Instant;

use super::edge::{Edge, Pause};
use super::judge::{Change, Here};
use super::look::{self, Looker, Rootless, Sight, Task};
use super::marks::{Class, Mark, Place};
use super::roots::Away;
use super::survey::{Means, Order};
use super::walks::GAPS_MAX;
use super::{Halt, blocking, paths};
use crate::event::NewEvent;
use crate::runtime::{DutyError, Submitted};
use crate::store::{Effect, FileStat, PublishedEvent, WriteError};

/// Paths looked at in one go.
const BATCH: usize = 64;

/// The pause after the store could not be written: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How soon a path is looked at again that cannot be decided now.
const SOON: Duration = Duration::from_millis(250);

/// How a transaction ended.
pub(super) enum Landing {
    /// That of a path.
    Path {
        place: Place,
        mark: Mark,
        /// To be read again when it has come to rest.
        young: bool,
        result: Result<Vec<PublishedEvent>, WriteError>,
    },
    /// What a root is known to be.
    Root {
        tree: usize,
        result: Result<Vec<PublishedEvent>, WriteError>,
    },
    /// The end of a scan.
    Scan {
        number: Option<u64>,
        result: Result<Vec<PublishedEvent>, WriteError>,
    },
}

impl Edge {
    /// Looks at a batch of what is due; whether there was any.
    pub(super) async fn look(&mut self, class: Class) -> Result<bool, Halt> {
        let busy = &self.busy;
        let taken = self
            .marks
            .take(class, Instant::now(), BATCH, |place| busy.contains(place));
        if taken.is_empty() {
            return Ok(false);
        }
        let mut tasks = Vec::with_capacity(taken.len());
        for (place, mark) in taken {
            // What is under way below it has no row yet that could be found.
            let under_way = mark.class == Class::Watch && self.is_busy_below(&place);
            let mut task = task(&self.means, place, mark).await?;
            task.below |= under_way;
            tasks.push(task);
        }
        let looker = Looker {
            trees: self.means.trees.clone(),
            options: self.means.options.clone(),
            footings: self.footings(),
            may_read: self.space_low.is_none(),
        };
        let seen = blocking(&self.means.compute, &self.means.pulse, move |pulse| {
            looker.look(tasks, pulse)
        });
        for (task, sight) in seen.await? {
            match sight {
                Some(sight) => self.conclude(task, sight).await?,
                None => self.marks.put_back(task.place, task.mark),
            }
        }
        Ok(true)
    }

    fn is_busy_below(&self, place: &Place) -> bool {
        let prefix = paths::below(&place.path);
        let mut busy = self.busy.iter();
        busy.any(|b| b.tree == place.tree && b.path.starts_with(&prefix))
    }

    /// Does what a sight asks for.
    async fn conclude(&mut self, task: Task, sight: Sight) -> Result<(), Halt> {
        let now = Instant::now();
        let after = |mark: Mark, wait| Mark {
            due: now + wait,
            ..mark
        };
        let tree = task.place.tree;
        if task.below || sight == Sight::Directory {
            self.order(Order {
                tree,
                base: task.place.path.to_vec(),
                class: task.mark.class,
                of_scan: task.mark.of_scan,
            });
        }
        match sight {
            Sight::Rootless(Rootless::Absent(cause)) => {
                let denied = false;
                self.root_is_away(tree, Away { cause, denied });
                self.marks.settled(&task.mark);
            }
            // Said in the report; the walk when it is decided finds what differs.
            Sight::Rootless(_) if self.roots[tree].held.is_some() => self.marks.settled(&task.mark),
            Sight::Rootless(_) => {
                self.walk_all(tree);
                self.marks.put_back(task.place, after(task.mark, SOON));
            }
            Sight::Young(stat, wait) => {
                let mark = look::put_off(task.mark, stat, wait, now);
                self.marks.put_back(task.place, mark);
            }
            Sight::Again => self.marks.put_back(task.place, after(task.mark, SOON)),
            Sight::Held => self
                .marks
                .put_back(task.place, after(task.mark, Duration::from_secs(1))),
            sight => return self.carry_out(task, sight).await,
        }
        Ok(())
    }

    /// Submits the transaction that a sight asks for, if it does.
    async fn carry_out(&mut self, task: Task, sight: Sight) -> Result<(), Halt> {
        let young = matches!(&sight, Sight::Read(bytes) if bytes.young);
        let out = matches!(&sight, Sight::Out(_));
        match &sight {
            Sight::Failed(_, error) => self.note_failure(&task, error),
            _ if self.roots[task.place.tree].failed.is_empty() => {}
            _ => {
                self.roots[task.place.tree].failed.remove(&*task.place.path);
            }
        }
        let here = Here {
            collection: &self.means.trees[task.place.tree].name,
            path: &task.place.path,
            source: &self.speaker,
            row: task.row.as_ref(),
        };
        let change = here.judge(sight);
        if let Some(stat) = task.shared.filter(|_| out || change.is_some()) {
            self.mark_other_names(stat).await?;
        }
        let Some(Change { effects, events }) = change else {
            self.marks.settled(&task.mark);
            return Ok(());
        };
        let (place, mark) = (task.place, task.mark);
        self.busy.insert(place.clone());
        let submitted = self.submit(effects, events).await?;
        self.flights.push(Box::pin(async move {
            Landing::Path {
                place,
                mark,
                young,
                result: submitted.committed().await,
            }
        }));
        Ok(())
    }

    /// A file that could not be read for another reason than that docent may not: it is reported, and tried again ever
    /// later.
    fn note_failure(&mut self, task: &Task, error: &str) {
        let (tree, path) = (task.place.tree, task.place.path.to_vec());
        let failed = &mut self.roots[tree].failed;
        let place = task.place.clone();
        if failed.len() < GAPS_MAX && failed.insert(path) {
            let path = String::from_utf8_lossy(&place.path);
            let collection = &self.means.trees[tree].name;
            tracing::warn!(collection, %path, error, "a file cannot be read; what is known of it stays as it is");
        }
        let (now, refused) = (Instant::now(), task.mark.refused + 1);
        let again = Mark {
            refused,
            ..Mark::new(Class::Watch, now, later(refused))
        };
        self.mark(place, again);
    }

    /// Marks the paths of a file that has other names than the one that was notified.
    async fn mark_other_names(&mut self, stat: FileStat) -> Result<(), Halt> {
        let names = self.means.store.other_names(stat, BATCH).await?;
        for (collection, path) in names {
            if let Some(tree) = self.tree_named(&collection) {
                let mark = Mark::new(Class::Watch, Instant::now(), self.means.options.debounce);
                self.mark(Place::new(tree, &path), mark);
            }
        }
        Ok(())
    }

    /// Hands a transaction over, and takes note of others' ends while it waits for room.
    pub(super) async fn submit(
        &mut self,
        effects: Vec<Effect>,
        events: Vec<NewEvent>,
    ) -> Result<Submitted, Halt> {
        let (source, pulse) = (self.source.clone(), self.means.pulse.clone());
        let submit = source.submit(effects, events);
        tokio::pin!(submit);
        loop {
            tokio::select! {
                biased;
                submitted = &mut submit => return submitted.map_err(|e| Halt::Failed(e.into())),
                () = pulse.stop() => return Err(Halt::Stop),
                Some(landing) = self.flights.next(), if !self.flights.is_empty() => self.land(landing)?,
                () = tokio::time::sleep(Duration::from_millis(500)) => pulse.beat(),
            }
        }
    }

    /// Takes note of a transaction's end.
    pub(super) fn land(&mut self, landing: Landing) -> Result<(), Halt> {
        let now = Instant::now();
        match landing {
            Landing::Scan { number, result } => {
                let written = self.is_written(&result, now)?;
                if let (Err(error), None) = (&result, &self.pause) {
                    self.pause_for(&error.to_string(), now);
                }
                self.scan_has_ended(number, written);
            }
            Landing::Root { tree, result } => {
                let written = self.is_written(&result, now)?;
                self.roots[tree].unsaved |= !written;
                if let (Err(error), None) = (&result, &self.pause) {
                    self.pause_for(&error.to_string(), now);
                }
            }
            Landing::Path {
                place,
                mark,
                young,
                result,
            } => {
                self.busy.remove(&place);
                if self.is_written(&result, now)? {
                    self.marks.settled(&mark);
                    if young {
                        let again = Mark {
                            reread: true,
                            ..Mark::new(Class::Watch, now, self.means.options.debounce)
                        };
                        self.mark(place, again);
                    }
                } else {
                    self.refuse(place, mark, now);
                }
            }
        }
        Ok(())
    }

    /// A path whose transaction was not written is looked at again, ever later.
    fn refuse(&mut self, place: Place, mut mark: Mark, now: Instant) {
        if self.pause.is_none() {
            mark.refused += 1;
            mark.due = now + later(mark.refused);
            if mark.refused == 3 {
                let path = String::from_utf8_lossy(&place.path).into_owned();
                tracing::warn!(
                    path,
                    "the store keeps refusing what is found at a path; it is looked at again later"
                );
            }
        }
        self.marks.put_back(place, mark);
    }

    /// Whether a transaction was written; a store that cannot be written is left alone for a while.
    fn is_written(
        &mut self,
        result: &Result<Vec<PublishedEvent>, WriteError>,
        now: Instant,
    ) -> Result<bool, Halt> {
        match result {
            Ok(_) => {
                if self.pause.take().is_some() {
                    tracing::info!("the store can be written again");
                }
                Ok(true)
            }
            Err(WriteError::Closed) => Err(Halt::Failed(DutyError::Write(WriteError::Closed))),
            Err(WriteError::Unavailable(cause)) => {
                self.pause_for(cause, now);
                Ok(false)
            }
            Err(error) => {
                tracing::debug!(%error, "the store refused a transaction");
                Ok(false)
            }
        }
    }

    fn pause_for(&mut self, cause: &str, now: Instant) {
        let length = match &self.pause {
            // Others of the same commit: one pause for all of them.
            Some(pause) if pause.until > now => return,
            Some(pause) => (pause.length * 2).min(PAUSE_MAX),
            None => {
                tracing::warn!(cause, "the store cannot be written; captures wait");
                PAUSE_MIN
            }
        };
        self.pause = Some(Pause {
            until: now + length,
            length,
            cause: cause.to_owned(),
        });
    }
}

/// How long to wait before the next of so many attempts.
fn later(attempts: u32) -> Duration {
    SOON.saturating_mul(1 << attempts.min(7))
}

/// A mark with what the manifest says of its path.
async fn task(means: &Means, place: Place, mark: Mark) -> Result<Task, Halt> {
    let store = &means.store;
    let name = &means.trees[place.tree].name;
    let row = store.manifest_row(name, &place.path).await?;
    // A walk compares the rows below by itself; a notification or a wish names the directory alone.
    let below = if mark.class == Class::Watch {
        let prefix = paths::below(&place.path);
        let first = store.manifest_rows(name, &prefix, 1).await?;
        first.first().is_some_and(|r| r.path.starts_with(&prefix))
    } else {
        false
    };
    Ok(Task {
        place,
        mark,
        row,
        below,
        shared: None,
    })
}
