//! The task that looks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::State;
use super::super::history::{History, STEP};
use super::super::wire::{Overview, Problem, ProblemKind};
use super::counters::{CounterSample, LastMinute};
use super::look::{CountedRows, look};
use super::sampler::point;
use super::shared::{EVERY, Latest, OverviewEvent, SeenOverview};
use crate::event::Millis;
use crate::json;
use crate::log_once::LogOnce;

/// How much of the time looking may take where it is slow: one part of so many.
const LOOKING: u32 = 4;

/// Samples every ten seconds, and looks once a second while somebody looks, until `stop`.
pub(crate) async fn observe(state: State, stop: CancellationToken) {
    let mut observer = Observer::new(state);
    let mut sample_at = Instant::now();
    let mut look_at = sample_at;
    loop {
        let overviews = observer.state.overviews.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(sample_at) => {
                observer.sample();
                sample_at = Instant::now() + until_next_step(Millis::now());
            }
            () = sleep_until(look_at), if overviews.is_wanted() => {
                let began = Instant::now();
                // It only reads, so it may be dropped at any moment.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = observer.look() => {}
                }
                look_at = began + EVERY.max(began.elapsed() * LOOKING);
            }
            () = overviews.wanted() => {}
        }
    }
}

/// How long it is until the middle of the next step: far from its ends, so that none is hit twice or missed.
fn until_next_step(now: Millis) -> Duration {
    let step = STEP * 1000;
    let next = (now.0.div_euclid(step) + 1) * step + step / 2;
    Millis(next).since(now)
}

/// What the task remembers from one look to the next.
struct Observer {
    state: State,
    minute: LastMinute,
    history: History,
    /// Points of the history so far.
    points: u64,
    /// The history as it was written last, with the number of its points then.
    written: Option<(u64, OverviewEvent)>,
    rows: CountedRows,
    /// What was seen last, without the time.
    last: Option<Overview>,
    version: u64,
    /// Why the last look failed.
    failing: LogOnce<Option<String>>,
}

impl Observer {
    fn new(state: State) -> Self {
        Observer {
            state,
            minute: LastMinute::default(),
            history: History::default(),
            points: 0,
            written: None,
            rows: CountedRows::default(),
            last: None,
            version: 0,
            failing: LogOnce::default(),
        }
    }

    fn sample(&mut self) {
        let now = CounterSample::now(&self.state);
        let passed = self.minute.newest().map(|before| now.since(before));
        let point = point(&self.state, passed.as_ref());
        self.history
            .push(Millis::now().0.div_euclid(STEP * 1000), point);
        self.points += 1;
        self.minute.push(now);
    }

    async fn look(&mut self) {
        let seen = self.seen().await.map(Arc::new);
        let failing = seen.as_ref().err().map(ToString::to_string);
        if self.failing.is_new(failing.clone()) {
            match failing {
                Some(cause) => tracing::warn!(cause, "cannot look how docent stands"),
                None => tracing::info!("how docent stands can be looked at again"),
            }
        }
        self.state.overviews.tell(Latest {
            at: Instant::now(),
            seen,
        });
    }

    async fn seen(&mut self) -> Result<SeenOverview, Problem> {
        let passed = self.minute.passed(&CounterSample::now(&self.state));
        let overview = look(&self.state, &self.rows, &passed).await?;
        let text = json::to_string(&overview).map_err(unwritable)?;
        let timeless = without_time(overview);
        if self.last.as_ref() != Some(&timeless) {
            self.version += 1;
            self.last = Some(timeless);
        }
        Ok(SeenOverview::new(
            OverviewEvent::overview(&text),
            self.history()?,
            self.version,
            self.points,
        ))
    }

    fn history(&mut self) -> Result<OverviewEvent, Problem> {
        if let Some((points, written)) = &self.written
            && *points == self.points
        {
            return Ok(written.clone());
        }
        let text = json::to_string(&self.history.view()).map_err(unwritable)?;
        let message = OverviewEvent::history(&text);
        self.written = Some((self.points, message.clone()));
        Ok(message)
    }
}

fn unwritable(error: serde_json::Error) -> Problem {
    let detail = format!("cannot write how docent stands as JSON: {error}");
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
    overview
}

#[cfg(test)]
mod tests {
    use super::*;

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
