//! What is counted and measured here for [`metrics`](super::metrics): searches, and rows of the store.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::index::Answer;
use crate::metrics::{Histogram, LabelledCounts, label};
use crate::store::{ListedState, ReadError, Store};

// Measured with a debug build on two busy cores, 300 files: a search took 10 to 100 ms.
const SEARCH_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// How a search ends.
const RESULTS: [&str; 3] = ["hits", "none", "error"];

/// Searches since the start.
#[derive(Debug)]
pub(super) struct SearchFigures {
    pub(super) seconds: Histogram,
    pub(super) results: LabelledCounts,
}

impl Default for SearchFigures {
    fn default() -> Self {
        let results = LabelledCounts::default();
        for result in RESULTS {
            drop(results.get_or_create(&label("result", result)));
        }
        SearchFigures {
            seconds: Histogram::new(SEARCH_BUCKETS),
            results,
        }
    }
}

impl SearchFigures {
    /// A search was answered.
    pub(super) fn answered(&self, answer: &Answer) {
        // What only shares words with the query is not what was looked for.
        let result = match answer.about && !answer.hits.is_empty() {
            true => "hits",
            false => "none",
        };
        self.count(result);
        self.seconds.observe(answer.took.as_secs_f64());
    }

    pub(super) fn failed(&self) {
        self.count("error");
    }

    /// Searches so far, those that failed among them.
    pub(super) fn total(&self) -> u64 {
        let of = |result| self.results.get_or_create(&label("result", result)).get();
        RESULTS.iter().map(of).sum()
    }

    fn count(&self, result: &str) {
        self.results.get_or_create(&label("result", result)).inc();
    }
}

/// How much of the time counting may take: one part of so many.
const COUNTING: u32 = 20;

/// Whoever asks waits for a count that takes no longer.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Files are counted by themselves for so long after somebody asked for their counts.
const KEPT: Duration = Duration::from_secs(600);

/// A count that needs a look at many rows. They are counted again only where something was committed since, and then no
/// oftener than keeps counting to a small part of the time.
#[derive(Debug)]
pub(super) struct Counted<T> {
    last: Mutex<Option<LastCount<T>>>,
}

#[derive(Debug, Clone)]
struct LastCount<T> {
    /// The commits that it saw.
    commits: u64,
    took: Duration,
    again: Instant,
    counts: T,
}

impl<T> LastCount<T> {
    /// Whether it is good enough for now, after so many commits.
    fn is_good(&self, commits: u64) -> bool {
        self.commits == commits || Instant::now() < self.again
    }
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Counted {
            last: Mutex::default(),
        }
    }
}

impl<T: Clone> Counted<T> {
    fn last(&self) -> MutexGuard<'_, Option<LastCount<T>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted last, or what `counting` gives now. `commits`: how often what is counted may have changed so far.
    pub(super) async fn counted<E>(
        &self,
        commits: u64,
        counting: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let last = self.last().clone();
        if let Some(last) = last.filter(|last| last.is_good(commits)) {
            return Ok(last.counts);
        }
        let began = Instant::now();
        let counts = counting.await?;
        let now = Instant::now();
        *self.last() = Some(LastCount {
            commits,
            took: now - began,
            again: now + (now - began) * COUNTING,
            counts: counts.clone(),
        });
        Ok(counts)
    }
}

/// Files and chunks.
#[derive(Debug, Clone, Default)]
pub(super) struct FileCounts {
    /// By collection and state.
    pub(super) files: BTreeMap<String, BTreeMap<ListedState, u64>>,
    pub(super) chunks: u64,
}

/// Files and chunks as they were counted last. Where that is quick, whoever asks counts; where it is not, [`FileFigures::keep`]
/// does so after each change for as long as somebody asks, and only who asks first waits for it.
#[derive(Debug, Default)]
pub(super) struct FileFigures {
    counted: Counted<FileCounts>,
    asked: Mutex<Option<Instant>>,
    wanted: Notify,
}

impl FileFigures {
    pub(super) async fn files(&self, store: &Store) -> Result<FileCounts, ReadError> {
        // What was counted before is kept up to date only while somebody asks.
        let is_kept = self.is_wanted();
        *self.asked() = Some(Instant::now());
        if !is_kept {
            self.wanted.notify_one();
        }
        let last = self.counted.last().clone();
        match last.filter(|last| is_kept && last.took > AT_ONCE) {
            Some(last) => Ok(last.counts),
            None => self.count(store).await,
        }
    }

    /// The same for the history, which alone is no reason to keep files counted.
    pub(super) async fn sampled(&self, store: &Store) -> Result<FileCounts, ReadError> {
        self.count(store).await
    }

    /// Counts again where something changed.
    pub(super) async fn keep(&self, store: &Store) {
        if let Err(error) = self.count(store).await {
            tracing::debug!(%error, "files cannot be counted");
            // Whoever asks next counts, and is told why that fails.
            *self.counted.last() = None;
        }
    }

    /// Waits until somebody asks after a time in which nobody did.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Whether somebody asked lately.
    pub(super) fn is_wanted(&self) -> bool {
        let asked = *self.asked();
        asked.is_some_and(|asked| asked.elapsed() < KEPT)
    }

    async fn count(&self, store: &Store) -> Result<FileCounts, ReadError> {
        let counting = async {
            Ok(FileCounts {
                files: store.file_states_by_collection().await?,
                chunks: store.chunk_count().await?,
            })
        };
        let commits = store.figures().file_commits.get();
        self.counted.counted(commits, counting).await
    }

    fn asked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts `now`, unless what was counted before is good enough.
    async fn counted(counts: &Counted<u64>, commits: u64, now: u64) -> u64 {
        let counting = std::future::ready(Ok::<_, ()>(now));
        counts.counted(commits, counting).await.unwrap()
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_counted_again_and_what_takes_long_not_often() {
        let counts = Counted::default();
        assert_eq!(counted(&counts, 7, 1).await, 1);
        assert_eq!(counted(&counts, 7, 2).await, 1);
        let again = |at| counts.last().as_mut().unwrap().again = at;
        again(Instant::now() + KEPT);
        assert_eq!(counted(&counts, 8, 2).await, 1);
        again(Instant::now());
        assert_eq!(counted(&counts, 8, 2).await, 2);
    }

    #[test]
    fn files_are_kept_counted_only_while_somebody_asks() {
        let figures = FileFigures::default();
        assert!(!figures.is_wanted());
        *figures.asked() = Some(Instant::now());
        assert!(figures.is_wanted());
    }
}
