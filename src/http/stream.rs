//! Publishing many events over one request: one JSON object a line in, one line out for each, in the same order.
//!
//! Lines are handed to the store in their order, so the ledger has them in it too, and many are under way at once, so
//! that they share commits. Answers leave as they become durable, while the rest of the body is still coming.

use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Shared;
use bytes::Bytes;
use futures_util::stream::{self, FuturesOrdered};
use futures_util::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::State;
use super::access::Caller;
use super::lines::{Line, LineSplitter, Lines, Page, broken_off};
use super::openapi::About;
use super::params::{LinesBody, too_slow};
use super::problem::stopping;
use super::publish::event;
use super::wire::{Problem, ProblemKind, PublishedLine, Submission};
use crate::config::format_size;

/// Events under way at once, and the bytes of their lines.
const UNDER_WAY_MAX: usize = 256;
const UNDER_WAY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a client may go on sending after an early end.
const LINGER: Duration = Duration::from_secs(1);
/// A line may be longer than its event: JSON can write one character as six.
const LINE_PER_EVENT: u64 = 4;

pub(super) const PUBLISH: About =
    About::new("Publish many events, and answer each as it becomes durable");

/// `POST /api/v1/events/stream`
///
/// Ends early, after the answers of what is under way, when the daemon drains or the store cannot be written: the line
/// that met it says so.
pub(super) async fn publish(
    Shared(state): Shared<State>,
    caller: Caller,
    sent: LinesBody<Submission>,
) -> Lines<PublishedLine> {
    let line_max =
        usize::try_from(state.info.event_size.saturating_mul(LINE_PER_EVENT)).unwrap_or(usize::MAX);
    let publishing = Publishing {
        state,
        caller,
        body: sent.body,
        open: true,
        cut_short: false,
        lines: LineSplitter::new(line_max),
        line_max: line_max as u64,
        under_way: FuturesOrdered::new(),
        under_way_bytes: 0,
    };
    Lines::new(stream::unfold(publishing, |mut publishing| async move {
        let answers = publishing.next().await?;
        Some((answers, publishing))
    }))
}

type Answer = (usize, Result<String, Problem>);

struct Publishing {
    state: State,
    caller: Caller,
    body: Body,
    /// More of the body may come.
    open: bool,
    /// More of the body may come, and is not wanted.
    cut_short: bool,
    lines: LineSplitter,
    line_max: u64,
    /// In the order of the lines: how many bytes each has, and what becomes of it.
    under_way: FuturesOrdered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    under_way_bytes: usize,
}

impl Publishing {
    /// The next answers, as many as there are; `None` at the end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            while self.has_room() {
                let Some(line) = self.lines.next() else { break };
                self.submit(line).await;
            }
            let wants_more = self.open && self.has_room();
            // A line may be waited for as long as it takes, the rest of one may not.
            let rest = self
                .lines
                .holds_a_part()
                .then_some(self.state.info.timeouts.body);
            tokio::select! {
                Some(answer) = self.under_way.next(), if !self.under_way.is_empty() => return Some(self.answers(answer)),
                frame = within(rest, self.body.frame()), if wants_more => self.take(frame),
                else => {
                    self.linger().await;
                    return None;
                }
            }
        }
    }

    /// What came of the body, or that the rest of a line did not come in time.
    fn take(&mut self, frame: Result<Option<Result<Frame<Bytes>, axum::Error>>, Elapsed>) {
        match frame {
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    self.lines.push(&bytes);
                }
            }
            Ok(Some(Err(error))) => {
                // The client is gone; what it sent of a line is no line.
                tracing::debug!(%error, "stream of events ended early");
                self.close();
            }
            Ok(None) => {
                self.open = false;
                self.lines.end();
            }
            Err(_) => {
                self.close();
                let answer = ready((0, Err(too_slow())));
                self.under_way.push_back(Box::pin(answer));
            }
        }
    }

    /// After an early end: reads on and throws away until the client has stopped sending, or a moment has passed. A
    /// connection that is closed on what was not read takes the last answers with it.
    async fn linger(&mut self) {
        if !std::mem::take(&mut self.cut_short) {
            return;
        }
        let rest = async { while matches!(self.body.frame().await, Some(Ok(_))) {} };
        if timeout(LINGER, rest).await.is_err() {
            tracing::debug!("stream of events cut off");
        }
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < UNDER_WAY_MAX && self.under_way_bytes < UNDER_WAY_BYTES_MAX
    }

    fn close(&mut self) {
        self.cut_short |= self.open;
        self.open = false;
        self.lines.clear();
    }

    /// Hands a line's event to the store.
    async fn submit(&mut self, line: Line) {
        let bytes = match &line {
            Line::Whole(text) => text.len(),
            Line::TooLong => 0,
        };
        self.under_way_bytes += bytes;
        let pending = match self.hand_over(line).await {
            Ok(pending) => pending,
            Err(problem) => {
                self.under_way
                    .push_back(Box::pin(ready((bytes, Err(problem)))));
                return;
            }
        };
        self.under_way.push_back(Box::pin(async move {
            let answer = match pending.committed().await {
                Ok(published) => published
                    .first()
                    .map(|p| p.id.to_string())
                    .ok_or_else(nothing_published),
                Err(error) => Err(error.into()),
            };
            (bytes, answer)
        }));
    }

    async fn hand_over(
        &mut self,
        line: Line,
    ) -> Result<crate::store::Pending<Vec<crate::store::PublishedEvent>>, Problem> {
        if self.state.is_draining() {
            return Err(stopping());
        }
        let Line::Whole(text) = line else {
            let detail = format!("the line is longer than {}", format_size(self.line_max));
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        };
        let event = event(&self.state, &text, &self.caller)?;
        Ok(self.state.store.submit(Vec::new(), vec![event]).await?)
    }

    /// Lines for this answer and for those after it that are there already.
    fn answers(&mut self, first: Answer) -> io::Result<Bytes> {
        let mut page = Page::default();
        let mut answer = Some(first);
        while let Some((bytes, result)) = answer {
            self.under_way_bytes -= bytes;
            let line = match result {
                Ok(id) => PublishedLine {
                    id: Some(id),
                    problem: None,
                },
                Err(problem) => {
                    if ends_the_stream(&problem) {
                        self.close();
                    }
                    PublishedLine {
                        id: None,
                        problem: Some(problem),
                    }
                }
            };
            page.push(&line).map_err(broken_off)?;
            answer = self.under_way.next().now_or_never().flatten();
        }
        Ok(page.into())
    }
}

/// Waits for `work`, within `limit` if there is one.
async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    match limit {
        Some(limit) => timeout(limit, work).await,
        None => Ok(work.await),
    }
}

/// Whether a problem is not about its line: then the next line would meet it too.
fn ends_the_stream(problem: &Problem) -> bool {
    problem.is(ProblemKind::Stopping) || problem.is(ProblemKind::StoreUnavailable)
}

fn nothing_published() -> Problem {
    Problem::new(
        ProblemKind::Internal,
        "the store accepted the event without naming it",
    )
}
