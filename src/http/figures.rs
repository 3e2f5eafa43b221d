//! What is counted and measured here for [`metrics`](super::metrics): searches, and rows of the store.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

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
        let result = if answer.hits.is_empty() {
            "none"
        } else {
            "hits"
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
    again: Instant,
    counts: T,
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Counted {
            last: Mutex::default(),
        }
    }
}

impl<T: Clone> Counted<T> {
    /// What was counted last, or what `counting` gives now.
    pub(super) async fn counted<E>(
        &self,
        store: &Store,
        counting: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let (began, commits) = (Instant::now(), store.figures().commits.get());
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(last) = last.filter(|last| last.commits == commits || began < last.again) {
            return Ok(last.counts);
        }
        let counts = counting.await?;
        let now = Instant::now();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastCount {
            commits,
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

impl Counted<FileCounts> {
    pub(super) async fn files(&self, store: &Store) -> Result<FileCounts, ReadError> {
        let counting = async {
            Ok(FileCounts {
                files: store.file_states_by_collection().await?,
                chunks: store.chunk_count().await?,
            })
        };
        self.counted(store, counting).await
    }
}
