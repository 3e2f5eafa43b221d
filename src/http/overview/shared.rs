//! What was seen last, for all who look.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::super::wire::{FigureHistory, Overview, Problem, ProblemKind};

/// How old what is seen may be.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What goes before and behind an overview that is sent as an event.
const OVERVIEW: &str = "event: overview\ndata: ";
const HISTORY: &str = "event: history\ndata: ";
const END: &str = "\n\n";

/// What was seen last. Whoever holds a receiver of it looks.
#[derive(Debug)]
pub(crate) struct Overviews {
    latest: watch::Sender<Option<Latest>>,
    wanted: Notify,
}

/// A look that has ended.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    pub(super) at: Instant,
    pub(super) seen: Result<Arc<SeenOverview>, Problem>,
}

impl Latest {
    fn is_new(&self) -> bool {
        self.at.elapsed() < EVERY
    }
}

/// An overview and the history of the figures, as they are sent.
#[derive(Debug)]
pub(in super::super) struct SeenOverview {
    overview: OverviewEvent,
    history: OverviewEvent,
    /// It rises whenever something changed but for the time.
    pub(super) version: u64,
    /// It rises with each point of the history.
    pub(super) points: u64,
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
    pub(super) fn new(
        overview: OverviewEvent,
        history: OverviewEvent,
        version: u64,
        points: u64,
    ) -> Self {
        SeenOverview {
            overview,
            history,
            version,
            points,
        }
    }

    pub(in super::super) fn overview(&self) -> &OverviewEvent {
        &self.overview
    }

    pub(super) fn history(&self) -> &OverviewEvent {
        &self.history
    }
}

impl Default for Overviews {
    fn default() -> Self {
        Overviews {
            latest: watch::Sender::new(None),
            wanted: Notify::new(),
        }
    }
}

impl Overviews {
    /// From now on somebody looks, until the receiver is dropped.
    pub(super) fn looking(&self) -> watch::Receiver<Option<Latest>> {
        let mut receiver = self.latest.subscribe();
        let is_new = receiver.borrow().as_ref().is_some_and(Latest::is_new);
        if is_new {
            // What somebody else looks at is good enough to begin with.
            receiver.mark_changed();
        }
        self.wanted.notify_one();
        receiver
    }

    /// What is seen now.
    pub(in super::super) async fn now(&self) -> Result<Arc<SeenOverview>, Problem> {
        let mut looking = self.looking();
        let is_new = |latest: &Option<Latest>| latest.as_ref().is_some_and(Latest::is_new);
        let waiting = async {
            // The sender is in `self`, so waiting cannot fail.
            let latest = looking.wait_for(is_new).await.ok()?;
            latest.as_ref().map(|latest| latest.seen.clone())
        };
        let looked = timeout(PATIENCE, waiting).await.ok().flatten();
        looked.unwrap_or_else(|| {
            let detail = "how docent stands could not be looked at in time";
            Err(Problem::new(ProblemKind::Timeout, detail)
                .hint("try again in a moment; the machine may be overloaded"))
        })
    }

    /// What is seen now, for who makes a page of it.
    pub(in crate::http) async fn view(&self) -> Result<(Overview, FigureHistory), Problem> {
        let seen = self.now().await?;
        let read = |e: serde_json::Error| Problem::new(ProblemKind::Internal, e.to_string());
        let overview = serde_json::from_slice(&seen.overview().json()).map_err(read)?;
        let history = serde_json::from_slice(&seen.history().json()).map_err(read)?;
        Ok((overview, history))
    }

    /// Whether somebody looks.
    pub(in super::super) fn is_wanted(&self) -> bool {
        self.latest.receiver_count() > 0
    }

    /// Waits until somebody begins to look.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// A look has ended.
    pub(super) fn tell(&self, latest: Latest) {
        self.latest.send_replace(Some(latest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
