//! The overview for who asks once, and for who follows it.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::State as Shared;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::State;
use super::super::lines::{self, EventStream, GREETING, ListOf, broken_off};
use super::super::openapi::About;
use super::super::problem::stopping;
use super::super::wire::{FigureHistory, Overview, OverviewMessage, Problem, ProblemKind};
use super::shared::{Latest, nobody_reads};

/// How long nothing is sent while nothing changes but the time.
const QUIET: Duration = Duration::from_secs(5);

pub(in super::super) const SHOW: About = About::new(
    "Show everything that matters, as it was read last: a second ago, or longer if reading is slow",
)
.or(&[ProblemKind::Timeout]);

/// `GET /api/v1/overview`
pub(in super::super) async fn show(
    Shared(state): Shared<State>,
) -> Result<ListOf<Overview>, Problem> {
    Ok(answer(state.overviews.now().await?.json()))
}

pub(in super::super) const HISTORY: About =
    About::new("Show the figures of the last hour and of the last day").or(&[ProblemKind::Timeout]);

/// `GET /api/v1/overview/history`
pub(in super::super) async fn history(
    Shared(state): Shared<State>,
) -> Result<ListOf<FigureHistory>, Problem> {
    Ok(answer(state.overviews.now().await?.history.written.json()))
}

/// What was written as JSON already.
fn answer<T>(json: Bytes) -> ListOf<T> {
    ListOf::new(stream::iter([Ok::<_, std::io::Error>(json)]))
}

pub(in super::super) const FOLLOW: About =
    About::new("Follow the overview as server-sent events, with the history of its figures");

/// `GET /api/v1/overview/stream`: the history of the figures, then an overview once a second while something changes.
pub(in super::super) async fn follow(
    Shared(state): Shared<State>,
) -> Result<EventStream<OverviewMessage>, Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let followed = state.overviews.followed();
    let following = OverviewFollower {
        state,
        followed,
        sent: SentSoFar::default(),
        due: VecDeque::from([Bytes::from_static(GREETING.as_bytes())]),
        ended: false,
    };
    let body = stream::try_unfold(following, |mut following| async move {
        let next = following.next().await.map_err(broken_off)?;
        Ok::<_, std::io::Error>(next.map(|message| (message, following)))
    });
    Ok(EventStream::new(body))
}

/// A client that follows. It is sent what is newest when it takes it: nothing queues for it.
struct OverviewFollower {
    state: State,
    followed: watch::Receiver<Option<Latest>>,
    sent: SentSoFar,
    /// What goes out next; of one moment, so bounded.
    due: VecDeque<Bytes>,
    ended: bool,
}

/// What a client has.
#[derive(Default)]
struct SentSoFar {
    version: Option<u64>,
    points: Option<u64>,
    at: Option<Instant>,
}

impl OverviewFollower {
    /// What it is sent next; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            if let Some(message) = self.due.pop_front() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            tokio::select! {
                // A stop also ends whoever reads.
                biased;
                () = self.state.stop.cancelled() => {
                    self.ended = true;
                    let reason = json!({"reason": "docent is stopping"});
                    return Ok(Some(message("end", &reason)?));
                }
                changed = self.followed.changed() => if changed.is_err() { return Ok(None) },
                () = self.state.overviews.ended() => {
                    self.ended = true;
                    return Ok(Some(message("problem", &nobody_reads())?));
                }
                // Reading may take long on a busy machine: the client is told that docent answers.
                () = sleep(QUIET) => return Ok(Some(message("alive", &json!({}))?)),
            }
            let latest = self.followed.borrow_and_update().clone();
            if let Some(latest) = latest {
                self.take(latest)?;
            }
        }
    }

    /// What of this the client does not have.
    fn take(&mut self, latest: Latest) -> Result<(), Problem> {
        let seen = match latest.seen {
            Ok(seen) => seen,
            Err(problem) => {
                // Whatever is seen next is told, for it says that all is well again.
                self.sent.version = None;
                self.due.push_back(message("problem", &problem)?);
                return Ok(());
            }
        };
        if self.sent.points != Some(seen.history.points) {
            self.sent.points = Some(seen.history.points);
            self.due.push_back(seen.history.written.event());
        }
        let quiet = self.sent.at.is_some_and(|at| at.elapsed() < QUIET);
        if self.sent.version != Some(seen.version) || !quiet {
            self.sent.version = Some(seen.version);
            self.sent.at = Some(Instant::now());
            self.due.push_back(seen.written.event());
        }
        Ok(())
    }
}

/// Something that is told besides an overview.
fn message(name: &str, data: &impl Serialize) -> Result<Bytes, Problem> {
    lines::message(name, data).map(Bytes::from)
}
