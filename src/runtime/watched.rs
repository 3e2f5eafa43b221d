//! What must make progress, and whether it does: every task of every run, and the supervisor's loop.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::shutdown::Stop;
use crate::bus::PollWatch;

/// Something that must make progress: how long it stands still now, and how long it may.
#[derive(Clone)]
pub struct Watched {
    task: &'static str,
    limit: Duration,
    idle: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Watched {
    /// A task of this name that may stand still for less than `limit`. `idle` tells how long it has; zero while it need not
    /// make progress at all. It is called often, and must not wait.
    pub fn new(
        task: &'static str,
        limit: Duration,
        idle: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Watched {
            task,
            limit,
            idle: Arc::new(idle),
        }
    }

    /// The reader of an agent's inbox, which must not go without a poll for `limit`, or for longer than one may take and
    /// `margin` more; in a drain nothing is read.
    pub(super) fn reader(poll: PollWatch, limit: Duration, margin: Duration, stop: Stop) -> Self {
        let limit = limit.max(poll.longest + margin);
        Watched::new("reader", limit, move || {
            if stop.draining() {
                Duration::ZERO
            } else {
                poll.heartbeat.idle()
            }
        })
    }

    pub fn task(&self) -> &'static str {
        self.task
    }

    /// How long it may stand still.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long it has stood still, if that is too long.
    pub fn late(&self) -> Option<Duration> {
        let idle = (self.idle)();
        (idle >= self.limit).then_some(idle)
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("task", &self.task)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Something that stands still for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// Whose task it is: an agent, or the supervisor.
    pub whose: &'static str,
    pub task: &'static str,
    pub idle: Duration,
}

/// Everything that must make progress, by whose it is. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchList(Arc<watch::Sender<BTreeMap<&'static str, Vec<Watched>>>>);

impl WatchList {
    /// From now on these tasks of `whose` must make progress, and no others of it; none of them: it is exempt.
    pub(super) fn set(&self, whose: &'static str, tasks: Vec<Watched>) {
        self.0.send_modify(|list| {
            list.insert(whose, tasks);
        });
    }

    /// The first that stands still for too long.
    pub(super) fn still(&self) -> Option<Still> {
        let list = self.0.borrow();
        let mut tasks = list
            .iter()
            .flat_map(|(whose, tasks)| tasks.iter().map(move |task| (*whose, task)));
        tasks.find_map(|(whose, task)| {
            let idle = task.late()?;
            let task = task.task;
            Some(Still { whose, task, idle })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::shutdown::{Level, stop_pair};
    use super::*;
    use crate::event::Heartbeat;

    #[test]
    fn a_reader_stands_still_without_a_poll_but_not_while_it_is_exempt_or_in_a_drain() {
        let (switch, stop) = stop_pair();
        let (limit, margin) = (Duration::from_secs(25), Duration::from_secs(5));
        let watched = |poll: &PollWatch| Watched::reader(poll.clone(), limit, margin, stop.clone());
        let stood_still = || PollWatch {
            heartbeat: Heartbeat::stood_still(limit),
            longest: Duration::ZERO,
        };
        let poll = PollWatch::new(limit);
        assert_eq!(watched(&poll).late(), None, "it has not begun");
        assert_eq!(watched(&poll).limit, limit + margin);
        let poll = stood_still();
        let reader = watched(&poll);
        assert!(reader.late() >= Some(limit));
        poll.heartbeat.beat();
        assert_eq!(reader.late(), None);
        let poll = stood_still();
        let reader = watched(&poll);
        switch.raise(Level::Drain);
        assert_eq!(reader.late(), None);
    }

    #[test]
    fn what_stands_still_is_named_until_it_is_exempt() {
        let list = WatchList::default();
        assert_eq!(list.still(), None);
        let limit = Duration::from_secs(20);
        let task = |name, idle| Watched::new(name, limit, move || Duration::from_secs(idle));
        list.set("rag", vec![task("runner", 19), task("follower", 20)]);
        let still = Still {
            whose: "rag",
            task: "follower",
            idle: limit,
        };
        assert_eq!(list.still(), Some(still));
        list.set("scheduler", vec![task("clock", 3)]);
        list.set("rag", Vec::new());
        assert_eq!(list.still(), None);
    }
}
