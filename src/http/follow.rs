//! Events as they come, as server-sent events: what a browser follows, and what goes on where it broke off.

use std::time::Duration;

use axum::extract::State as Shared;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::State;
use super::access::Caller;
use super::lines::{EventStream, GREETING, PAGE, broken_off, message, written};
use super::openapi::About;
use super::params::LastEventId;
use super::problem::stopping;
use super::wire::{Envelope, Problem};
use crate::event::{Event, EventId, Seq};
use crate::store::Head;

/// How long it is quiet before a comment shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How far a client that had caught up may fall behind, in events. It may go on from its last event when it is faster.
const BEHIND_MAX: u64 = 10_000;

/// Why nobody is told what follows any more.
pub(super) const LOST: &str =
    "the database has lost its newest events; begin again to follow what it has now";

pub(super) const FOLLOW: About = About::new("Follow events as server-sent events");

/// `GET /api/v1/stream`: events from now on, or from the one after `Last-Event-ID`.
///
/// What is not in the ledger any more is a `gap`, which comes first.
pub(super) async fn follow(
    Shared(state): Shared<State>,
    caller: Caller,
    LastEventId(last): LastEventId,
) -> Result<EventStream<Envelope>, Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let head = state.store.head();
    let Head {
        seq: now, losses, ..
    } = *head.borrow();
    let mut first = GREETING.to_owned();
    let cursor = match last {
        None => now,
        Some(last) => {
            let (cursor, whole) = after(&state, &last, now).await?;
            if !whole {
                let reason = "the ledger no longer has all events after this one";
                first += &message("gap", &json!({"after": last, "reason": reason}))?;
            }
            cursor
        }
    };
    let following = Following {
        state,
        caller,
        head,
        losses,
        cursor,
        first: Some(first),
        live: false,
        heartbeat_at: Instant::now() + HEARTBEAT,
        ended: false,
    };
    let body = stream::try_unfold(following, |mut following| async move {
        let next = following.next().await.map_err(broken_off)?;
        Ok::<_, std::io::Error>(next.map(|text| (Bytes::from(text), following)))
    });
    Ok(EventStream::new(body))
}

/// From where on a client goes on that has the event `last`, and whether all that follows is there. One that is not in the
/// ledger is followed by all that is.
async fn after(state: &State, last: &str, head: Seq) -> Result<(Seq, bool), Problem> {
    let Ok(id) = last.parse::<EventId>() else {
        return Ok((Seq(0), false));
    };
    let found = state.store.seqs_of(vec![id]).await?;
    let Some(cursor) = found.into_iter().next().flatten() else {
        return Ok((Seq(0), false));
    };
    // Each event takes the next place, so what is missing is what was there.
    let there = state.store.count_events(cursor, head).await?;
    Ok((cursor, there == head.0.saturating_sub(cursor.0)))
}

/// A client that follows. It is read for page by page, as fast as it takes them: nothing queues for it.
struct Following {
    state: State,
    caller: Caller,
    head: watch::Receiver<Head>,
    /// How often the store had lost commits when it began.
    losses: u64,
    /// Up to where it has what it may see.
    cursor: Seq,
    first: Option<String>,
    /// It had caught up.
    live: bool,
    heartbeat_at: Instant,
    ended: bool,
}

impl Following {
    /// What it is sent next; none at the end.
    async fn next(&mut self) -> Result<Option<String>, Problem> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while !self.ended {
            // Seen before the look: a commit during it wakes the wait below.
            let Head {
                seq: head, losses, ..
            } = *self.head.borrow_and_update();
            if losses != self.losses {
                // Others may have the places of events that it has.
                return self.end(LOST);
            }
            if self.live && is_too_slow(self.cursor, head) {
                return self.end("the client is too slow: it may continue from its last event");
            }
            let events = self.state.store.events_after(self.cursor, PAGE).await?;
            if let Some(last) = events.last() {
                self.cursor = last.seq;
                let text = self.shown(&events)?;
                if !text.is_empty() {
                    self.heartbeat_at = Instant::now() + HEARTBEAT;
                    return Ok(Some(text));
                }
                continue;
            }
            self.live = true;
            tokio::select! {
                changed = self.head.changed() => if changed.is_err() { return Ok(None) },
                () = sleep_until(self.heartbeat_at) => {
                    self.heartbeat_at = Instant::now() + HEARTBEAT;
                    return Ok(Some(": still here\n\n".to_owned()));
                }
                () = self.state.stop.cancelled() => return self.end("docent is stopping"),
            }
        }
        Ok(None)
    }

    /// The events that the client may see.
    fn shown(&self, events: &[Event]) -> Result<String, Problem> {
        let mut text = String::new();
        for event in events {
            if !self.caller.sees(event.subject.as_str()) {
                continue;
            }
            let line = written(&Envelope::from(event))?;
            text.push_str(&format!("id: {}\ndata: {line}\n\n", event.id));
        }
        Ok(text)
    }

    /// Says why there is nothing more.
    fn end(&mut self, reason: &str) -> Result<Option<String>, Problem> {
        self.ended = true;
        tracing::debug!(
            token = self.caller.token(),
            reason,
            "a client that follows events is disconnected"
        );
        message("end", &json!({"reason": reason})).map(Some)
    }
}

fn is_too_slow(cursor: Seq, head: Seq) -> bool {
    head.0.saturating_sub(cursor.0) > BEHIND_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_too_slow_when_it_is_further_behind_than_it_may() {
        assert!(!is_too_slow(Seq(5), Seq(5 + BEHIND_MAX)));
        assert!(is_too_slow(Seq(5), Seq(6 + BEHIND_MAX)));
        assert!(!is_too_slow(Seq(5), Seq(0)));
    }
}
