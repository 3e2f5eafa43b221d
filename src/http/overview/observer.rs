//! The task that reads how everything stands.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::super::State;
use super::super::checkpoint::{Checkpoint, follow};
use super::super::freshness::is_pending;
use super::super::history::{FigureRings, STEP};
use super::super::wire::{HostView, Overview, Problem, ProblemKind};
use super::counters::{CounterSample, LastMinute};
use super::reading::{CountedRows, read};
use super::sampler::point;
use super::shared::{EVERY, Latest, OverviewEvent, RenderedParts, SeenOverview, WrittenHistory};
use crate::event::Millis;
use crate::json;
use crate::log_once::LogOnce;

/// How much of the time reading may take where it is slow: one part of so many.
const READING: u32 = 4;

/// How often it is seen to whether files are to be counted again.
const COUNTING: Duration = Duration::from_millis(100);

/// How often it is followed how far changes that keep coming have got.
const FOLLOWING: Duration = Duration::from_secs(1);

/// Samples every ten seconds, follows changes that keep coming, reads once a second while somebody follows, and keeps files
/// counted for whoever asks, until `stop`.
pub(crate) async fn observe(state: State, stop: CancellationToken) {
    let (overviews, memory, store) = (
        state.overviews.clone(),
        state.memory.clone(),
        state.store.clone(),
    );
    // Dropped also by a panic: then nobody waits for what does not come.
    let _reads = overviews.reads();
    let mut observer = Observer::new(state);
    let mut sample_at = Instant::now();
    let (mut read_at, mut count_at, mut follow_at) = (sample_at, sample_at, sample_at);
    let files = &memory.files;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(sample_at) => {
                // It may be dropped at any moment.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = observer.sample() => {}
                }
                sample_at = Instant::now() + until_next_step(Millis::now());
            }
            () = sleep_until(follow_at) => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = observer.follow() => {}
                }
                follow_at = Instant::now() + FOLLOWING;
            }
            () = sleep_until(read_at), if overviews.is_wanted() => {
                // It may be dropped at any moment.
                tokio::select! {
                    () = stop.cancelled() => return,
                    again_at = observer.read() => read_at = again_at,
                }
            }
            () = sleep_until(count_at), if files.is_wanted() => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = files.keep(&store) => count_at = Instant::now() + COUNTING,
                }
            }
            () = overviews.wanted() => {}
            () = files.wanted() => {}
        }
    }
}

/// How long it is until the middle of the next step: far from its ends, so that none is hit twice or missed.
fn until_next_step(now: Millis) -> Duration {
    let step = STEP * 1000;
    let next = (now.0.div_euclid(step) + 1) * step + step / 2;
    Millis(next).since(now)
}

/// What the task remembers from one time to the next.
struct Observer {
    state: State,
    minute: LastMinute,
    history: FigureRings,
    /// Points of the history so far.
    points: u64,
    /// The history as it was written last.
    written: Option<WrittenHistory>,
    rows: CountedRows,
    /// What was read last, without the time.
    last: Option<Overview>,
    version: u64,
    checkpoint: Option<Checkpoint>,
    /// Why it could not be read the last time.
    failing: LogOnce<Option<String>>,
}

impl Observer {
    fn new(state: State) -> Self {
        Observer {
            state,
            minute: LastMinute::default(),
            history: FigureRings::default(),
            points: 0,
            written: None,
            rows: CountedRows::default(),
            last: None,
            version: 0,
            checkpoint: None,
            failing: LogOnce::default(),
        }
    }

    async fn sample(&mut self) {
        let step = Millis::now().0.div_euclid(STEP * 1000);
        let now = CounterSample::now(&self.state);
        let passed = self.minute.newest().map(|before| now.since(before));
        let point = point(&self.state, passed.as_ref()).await;
        self.history.push(step, point);
        self.points += 1;
        self.minute.push(now);
    }

    /// Notes up to when everything is searchable, also while something always is not.
    async fn follow(&mut self) {
        if !is_pending(&self.state) {
            // Whoever looks sees that.
            self.checkpoint = None;
            return;
        }
        // Where the store does not answer, the other figures wait no longer than this.
        let followed = timeout(FOLLOWING, follow(&self.state, &mut self.checkpoint));
        if let Ok(Err(problem)) = followed.await {
            let why = problem.detail;
            tracing::debug!(why, "cannot follow how far changes have got");
        }
    }

    /// Reads how everything stands, and gives when to do so again.
    async fn read(&mut self) -> Instant {
        let began = Instant::now();
        let seen = self.seen().await.map(Arc::new);
        let failing = seen.as_ref().err().map(ToString::to_string);
        if self.failing.is_new(failing.clone()) {
            match failing {
                Some(cause) => tracing::warn!(cause, "cannot read the overview"),
                None => tracing::info!("the overview can be read again"),
            }
        }
        let again_at = began + EVERY.max(began.elapsed() * READING);
        self.state.overviews.tell(Latest {
            good_until: again_at,
            seen,
        });
        again_at
    }

    async fn seen(&mut self) -> Result<SeenOverview, Problem> {
        let passed = self.minute.passed(&CounterSample::now(&self.state));
        let overview = read(&self.state, &self.rows, &passed).await?;
        let text = json::to_string(&overview).map_err(unwritable)?;
        let timeless = without_time(overview.clone());
        if self.last.as_ref() != Some(&timeless) {
            self.version += 1;
            self.last = Some(timeless);
        }
        Ok(SeenOverview {
            overview,
            parts: RenderedParts::default(),
            written: OverviewEvent::overview(&text),
            history: self.history()?,
            version: self.version,
        })
    }

    fn history(&mut self) -> Result<WrittenHistory, Problem> {
        if let Some(written) = &self.written
            && written.points == self.points
        {
            return Ok(written.clone());
        }
        let figures = self.history.view();
        let text = json::to_string(&figures).map_err(unwritable)?;
        let history = WrittenHistory {
            points: self.points,
            figures: Arc::new(figures),
            written: OverviewEvent::history(&text),
        };
        self.written = Some(history.clone());
        Ok(history)
    }
}

fn unwritable(error: serde_json::Error) -> Problem {
    let detail = format!("cannot write the overview as JSON: {error}");
    Problem::new(ProblemKind::Internal, detail)
}

/// What of an overview changes because something happened, not because time passed.
fn without_time(mut overview: Overview) -> Overview {
    overview.taken_at = String::new();
    overview.minute_s = 0.0;
    overview.freshness.complete_to = None;
    let status = &mut overview.status;
    status.uptime_s = 0;
    status.freshness.complete_to = None;
    status.free_space.bytes = 0;
    without_renewals(&mut status.hosts);
    overview
}

/// Every host renews its row all the time: only of one that is late it matters how long ago that was.
fn without_renewals(hosts: &mut [HostView]) {
    for host in hosts.iter_mut().filter(|host| !host.is_late()) {
        host.renewed_ago_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_is_no_change_but_a_host_that_is_late_is() {
        let host = |renewed_ago_ms| HostView {
            instance: "one".to_owned(),
            version: "0.1.0".to_owned(),
            joined_at: "2026-01-31T12:00:00Z".to_owned(),
            renewed_ago_ms,
            slots: 256,
            in_flight: std::collections::BTreeMap::new(),
            collections: Vec::new(),
            tasks: Vec::new(),
            this: true,
        };
        let mut hosts = [0, 2999, 5000, 5001, 9000].map(host);
        without_renewals(&mut hosts);
        assert_eq!(hosts, [0, 0, 0, 5001, 9000].map(host));
    }

    #[test]
    fn a_sample_is_taken_in_the_middle_of_the_next_step() {
        for (now, expected) in [
            (0, 15_000),
            (9_999, 5_001),
            (10_000, 15_000),
            (15_000, 10_000),
        ] {
            let wait = until_next_step(Millis(now));
            assert_eq!(wait, Duration::from_millis(expected), "{now}");
        }
    }
}
