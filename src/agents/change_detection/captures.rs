//! Looking at what is due, and the transactions that follow.

use std::time::Duration;

use futures_util::stream::StreamExt;
use tokio::time::Instant;

use super::edge::{Edge, Pause};
use super::judge::{Change, Here};
use super::look::{self, Looker, Sight, Task};
use super::marks::{Class, Mark, Place};
use super::paths;
use super::survey::{Means, Order};
use super::{Halt, blocking};
use crate::event::NewEvent;
use crate::runtime::{DutyError, Submitted};
use crate::store::{Effect, Published, WriteError};

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
        result: Result<Vec<Published>, WriteError>,
    },
    /// The end of a scan.
    Scan {
        number: Option<u64>,
        result: Result<Vec<Published>, WriteError>,
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
            Sight::RootAbsent(cause) => {
                self.root_is_absent(tree, cause);
                self.marks.settled(&task.mark);
            }
            Sight::Young(stat, wait) => {
                let mark = look::put_off(task.mark, stat, wait, now);
                self.marks.put_back(task.place, mark);
            }
            Sight::Again => self.marks.put_back(task.place, after(task.mark, SOON)),
            Sight::Held => self
                .marks
                .put_back(task.place, after(task.mark, Duration::from_secs(1))),
            Sight::Gone(device)
                if task.row.is_some() && self.roots[tree].device != Some(device) =>
            {
                self.doubt_removal(task, after);
            }
            sight => return self.carry_out(task, sight).await,
        }
        Ok(())
    }

    /// A file is missing below a root that may not be the one it was in.
    fn doubt_removal(&mut self, task: Task, after: impl Fn(Mark, Duration) -> Mark) {
        let root = &self.roots[task.place.tree];
        if root.held {
            // Said in the report; the walk when it is decided finds the row.
            self.marks.settled(&task.mark);
            return;
        }
        if root.device.is_some() {
            self.walk_all(task.place.tree);
        }
        self.marks.put_back(task.place, after(task.mark, SOON));
    }

    /// Submits the transaction that a sight asks for, if it does.
    async fn carry_out(&mut self, task: Task, sight: Sight) -> Result<(), Halt> {
        let young = matches!(&sight, Sight::Read(bytes) if bytes.young)
            || matches!(&sight, Sight::Unreadable(..))
                && task.mark.since.elapsed() >= self.means.options.stable_after;
        if let Sight::Unreadable(_, error) = &sight {
            tracing::debug!(path = %String::from_utf8_lossy(&task.place.path), error, "a file cannot be read");
        }
        let here = Here {
            collection: &self.means.trees[task.place.tree].name,
            path: &task.place.path,
            source: &self.speaker,
            row: task.row.as_ref(),
        };
        let Some(Change { effects, events }) = here.judge(sight) else {
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
            let wait = SOON.saturating_mul(1 << mark.refused.min(7));
            mark.due = now + wait;
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
        result: &Result<Vec<Published>, WriteError>,
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
    })
}
