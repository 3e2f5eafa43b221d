//! What was read last, for all who follow it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::wire::{FigureHistory, Overview, Problem, ProblemKind};

/// How often everything is read while somebody follows it.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// How long whoever asks once waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What goes before and behind an overview that is sent as an event.
const OVERVIEW: &str = "event: overview\ndata: ";
const HISTORY: &str = "event: history\ndata: ";
const END: &str = "\n\n";

/// What was read last. Whoever holds a receiver of it follows it.
#[derive(Debug)]
pub(crate) struct Overviews {
    latest: watch::Sender<Option<Latest>>,
    wanted: Notify,
    /// Nobody reads any more.
    ended: CancellationToken,
}

/// What was read at one moment.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    /// Until when nobody reads again: so long it is good for whoever asks once.
    pub(super) good_until: Instant,
    pub(super) seen: Result<Arc<SeenOverview>, Problem>,
}

impl Latest {
    fn is_new(&self) -> bool {
        Instant::now() < self.good_until
    }
}

/// An overview and the history of the figures: as they are, and as they are sent.
#[derive(Debug)]
pub(in super::super) struct SeenOverview {
    pub(super) overview: Overview,
    pub(super) parts: RenderedParts,
    pub(super) written: OverviewEvent,
    pub(super) history: WrittenHistory,
    /// It rises whenever something changed but for the time.
    pub(super) version: u64,
}

/// Which part of a page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct PartKind {
    /// For those who may act.
    pub(in super::super) may_operate: bool,
    /// With the last day of the figures, in place of the last hour.
    pub(in super::super) is_day: bool,
}

/// The parts of a page that show it: each made for whoever asks first, and shared.
#[derive(Debug, Default)]
pub(super) struct RenderedParts([OnceLock<Bytes>; 4]);

impl RenderedParts {
    /// The part of this kind, which `render` makes where nobody had it before; shared, not copied.
    fn part<E>(
        &self,
        kind: PartKind,
        render: impl FnOnce() -> Result<String, E>,
    ) -> Result<Bytes, E> {
        let part = &self.0[2 * usize::from(kind.may_operate) + usize::from(kind.is_day)];
        if let Some(made) = part.get() {
            return Ok(made.clone());
        }
        let made = Bytes::from(render()?);
        Ok(part.get_or_init(|| made).clone())
    }
}

/// The history of the figures, written once for each of its points.
#[derive(Debug, Clone)]
pub(super) struct WrittenHistory {
    pub(super) points: u64,
    pub(super) figures: Arc<FigureHistory>,
    pub(super) written: OverviewEvent,
}

/// A text of JSON as a server-sent event.
#[derive(Debug, Clone)]
pub(in super::super) struct OverviewEvent {
    event: Bytes,
    head: usize,
}

impl OverviewEvent {
    fn new(head: &'static str, json: &str) -> Self {
        OverviewEvent {
            event: Bytes::from([head, json, END].concat()),
            head: head.len(),
        }
    }

    pub(super) fn overview(json: &str) -> Self {
        OverviewEvent::new(OVERVIEW, json)
    }

    pub(super) fn history(json: &str) -> Self {
        OverviewEvent::new(HISTORY, json)
    }

    /// The event; shared, not copied.
    pub(super) fn event(&self) -> Bytes {
        self.event.clone()
    }

    /// The JSON alone; shared, not copied.
    pub(in super::super) fn json(&self) -> Bytes {
        self.event.slice(self.head..self.event.len() - END.len())
    }
}

impl SeenOverview {
    pub(in super::super) fn overview(&self) -> &Overview {
        &self.overview
    }

    pub(in super::super) fn figures(&self) -> &FigureHistory {
        &self.history.figures
    }

    /// The part of a page; see [`RenderedParts::part`].
    pub(in super::super) fn part<E>(
        &self,
        kind: PartKind,
        render: impl FnOnce() -> Result<String, E>,
    ) -> Result<Bytes, E> {
        self.parts.part(kind, render)
    }

    /// The overview as JSON; shared, not copied.
    pub(in super::super) fn json(&self) -> Bytes {
        self.written.json()
    }
}

impl Default for Overviews {
    fn default() -> Self {
        Overviews {
            latest: watch::Sender::new(None),
            wanted: Notify::new(),
            ended: CancellationToken::new(),
        }
    }
}

impl Overviews {
    /// From now on somebody follows, until the receiver is dropped.
    pub(super) fn followed(&self) -> watch::Receiver<Option<Latest>> {
        let mut receiver = self.latest.subscribe();
        let is_new = receiver.borrow().as_ref().is_some_and(Latest::is_new);
        if is_new {
            // What was read for somebody else is good enough to begin with.
            receiver.mark_changed();
        }
        self.wanted.notify_one();
        receiver
    }

    /// How everything stands now.
    pub(in super::super) async fn now(&self) -> Result<Arc<SeenOverview>, Problem> {
        let mut followed = self.followed();
        let is_new = |latest: &Option<Latest>| latest.as_ref().is_some_and(Latest::is_new);
        let waiting = async {
            // The sender is in `self`, so waiting cannot fail.
            let latest = followed.wait_for(is_new).await.ok()?;
            latest.as_ref().map(|latest| latest.seen.clone())
        };
        let read = tokio::select! {
            read = timeout(PATIENCE, waiting) => read.ok().flatten(),
            () = self.ended.cancelled() => return Err(nobody_reads()),
        };
        read.unwrap_or_else(|| {
            let detail = "the overview could not be read in time";
            Err(Problem::new(ProblemKind::Timeout, detail)
                .hint("try again in a moment; the machine may be overloaded"))
        })
    }

    /// Cancelled when the guard is dropped: whoever reads holds it.
    pub(super) fn reads(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Waits until nobody reads any more.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether somebody follows.
    pub(in super::super) fn is_wanted(&self) -> bool {
        self.latest.receiver_count() > 0
    }

    /// Waits until somebody begins to follow.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// It was read.
    pub(super) fn tell(&self, latest: Latest) {
        self.latest.send_replace(Some(latest));
    }
}

/// The daemon stops, or what reads has failed.
pub(super) fn nobody_reads() -> Problem {
    let detail =
        "the overview is no longer read: docent is stopping, or the task that reads it failed";
    Problem::new(ProblemKind::Internal, detail)
        .hint("the log says why; if docent keeps running, restart it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn when_nobody_reads_any_more_that_is_said_at_once() {
        let overviews = Overviews::default();
        drop(overviews.reads());
        let problem = overviews.now().await.unwrap_err();
        assert!(problem.detail.contains("no longer read"), "{problem}");
    }

    #[test]
    fn what_was_read_is_good_until_it_is_read_again() {
        let until = |good_until| Latest {
            good_until,
            seen: Err(nobody_reads()),
        };
        let now = Instant::now();
        assert!(until(now + Duration::from_secs(20)).is_new());
        assert!(!until(now).is_new());
    }

    #[test]
    fn a_part_is_made_once_for_each_role_and_again_after_a_failure() {
        let parts = RenderedParts::default();
        let made = |may_operate: bool, text: Result<&str, ()>| {
            let kind = PartKind {
                may_operate,
                is_day: false,
            };
            parts.part(kind, || text.map(str::to_owned))
        };
        assert_eq!(made(true, Err(())), Err(()));
        assert_eq!(made(true, Ok("acts")).unwrap(), "acts");
        assert_eq!(made(true, Ok("again")).unwrap(), "acts");
        assert_eq!(made(false, Ok("reads")).unwrap(), "reads");
        let [first, second] = [made(true, Err(())), made(true, Err(()))].map(Result::unwrap);
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn the_json_of_a_message_is_the_same_bytes() {
        let message = OverviewEvent::overview("{\"a\":1}");
        assert_eq!(message.event(), "event: overview\ndata: {\"a\":1}\n\n");
        assert_eq!(message.json(), "{\"a\":1}");
        assert!(
            message
                .event()
                .as_ptr_range()
                .contains(&message.json().as_ptr())
        );
    }
}
