//! The follower: applies the store's feed to the index, in order, and commits each batch together with the position it has
//! reached. **FOLLOW-1**: a kill at any moment resumes exactly there; an index that cannot be trusted is built anew.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::{IndexError, WhyNew};
use super::folder::is_gone;
use super::{
    DocumentId, Identity, Index, IndexPosition, LoadedChunks, Opened, Replacement, Searcher,
};
use crate::store::{ChunkRow, ChunkSource, Feed, Head, NewestEvent, Store, WriteError};

/// Chunks in one batch, about: it must fit the writer's memory.
pub(super) const BATCH: usize = 2000;

/// Chunks read at once when the vectors are loaded.
const LOAD: usize = 1000;

/// The name under which the store remembers the event that asked all hosts to compare their indexes last, and how often that is
/// looked for.
pub(crate) const VERIFY: &str = "index_verify";
const REQUESTS: Duration = Duration::from_secs(10);

/// Pauses after a batch that could not be applied.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// The longest where the store is in a database, which comes back at any moment.
const RETRY_MAX_SHARED: Duration = Duration::from_secs(2);

/// How long an index that is let go may still be used by a search, at most.
const FREE: Duration = Duration::from_secs(5);

/// How the follower works.
#[derive(Debug, Clone)]
pub(crate) struct FollowerOptions {
    /// The folder of the index.
    pub folder: PathBuf,
    /// What the index is made with.
    pub identity: Identity,
    /// While changes keep coming, at most one commit in this time.
    pub commit_interval: Duration,
}

/// Follows until told to stop. `alive` is called at least every second.
///
/// # Errors
/// The index is open elsewhere or its folder cannot be used, or the store cannot be read.
pub(crate) async fn follow(
    searcher: Searcher,
    options: FollowerOptions,
    stop: CancellationToken,
    alive: impl Fn() + Send + Sync + Clone + 'static,
) -> Result<(), String> {
    let mut follower = Follower {
        store: searcher.store().clone(),
        searcher,
        options,
        retry: RETRY_MIN,
        alive: Arc::new(alive),
        prune_to: None,
        seen: None,
        losses: 0,
        requests: VerifyRequests::default(),
    };
    let _ended = EndOfFollowing::of(&follower.searcher);
    let mut head = follower.store.head();
    follower.losses = head.borrow().losses;
    follower.open().await?;
    while !stop.is_cancelled() {
        (follower.alive)();
        let began = Instant::now();
        let Head { change, losses, .. } = *head.borrow_and_update();
        let newest = change;
        if std::mem::replace(&mut follower.losses, losses) != losses {
            follower.rebuild(WhyNew::CommitsLost).await?;
        }
        let more = follower.step(newest).await;
        if more == FollowStep::Lost {
            follower.begin_anew().await?;
        } else if more == FollowStep::Caught {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follower.searcher.verify_wanted() => follower.verify().await?,
                _ = head.changed() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    follower.prune().await;
                    follower.verify_as_all().await?;
                }
            }
        } else {
            let pause = match more {
                FollowStep::Failed => follower.retry,
                // A lone change is there at once; a stream of them shares commits.
                _ => follower
                    .options
                    .commit_interval
                    .saturating_sub(began.elapsed()),
            };
            wait(pause, &stop, follower.alive.as_ref()).await;
            if more == FollowStep::Failed && follower.folder_is_gone() {
                follower.reopen().await?;
            }
        }
    }
    Ok(())
}

/// Says that nobody follows any more, however that came.
struct EndOfFollowing(Searcher);

impl EndOfFollowing {
    fn of(searcher: &Searcher) -> Self {
        searcher.report(|state| state.ended = false);
        EndOfFollowing(searcher.clone())
    }
}

impl Drop for EndOfFollowing {
    fn drop(&mut self) {
        self.0.report(|state| state.ended = true);
    }
}

/// Opens the index once the last search that still uses the one before has ended.
fn when_free(open: impl Fn() -> Result<Opened, IndexError>) -> Result<Opened, IndexError> {
    let until = Instant::now() + FREE;
    loop {
        match open() {
            Err(IndexError::Busy(_)) if Instant::now() < until => {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            ended => return ended,
        }
    }
}

/// Waits in steps that show that somebody is alive.
async fn wait(pause: Duration, stop: &CancellationToken, alive: &(dyn Fn() + Send + Sync)) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !stop.is_cancelled() {
        alive();
        let step = (until - Instant::now()).min(Duration::from_secs(1));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(step) => {}
        }
    }
}

#[derive(PartialEq, Eq)]
enum FollowStep {
    Caught,
    /// A batch was applied.
    Applied,
    /// A batch could not be applied; it is tried again.
    Failed,
    /// The store no longer has what the index has seen.
    Lost,
}

struct Follower {
    store: Store,
    searcher: Searcher,
    options: FollowerOptions,
    retry: Duration,
    alive: Arc<dyn Fn() + Send + Sync>,
    /// What was replaced up to here is no longer looked for by any search.
    prune_to: Option<u64>,
    /// The newest event that the store had when the index was written last, if that is known.
    seen: Option<NewestEvent>,
    /// How often the store had lost commits when the index was opened or built anew.
    losses: u64,
    requests: VerifyRequests,
}

/// Comparisons that were asked of all hosts of a store.
#[derive(Default)]
struct VerifyRequests {
    /// The last one that is known; `None`: the store was not asked yet.
    last: Option<Option<String>>,
    asked_at: Option<Instant>,
    verified_at: Option<Instant>,
}

impl Follower {
    /// Opens the index, or goes on with the one that an earlier follower of this process left open.
    async fn open(&mut self) -> Result<(), String> {
        if self.searcher.index().is_some() && self.searcher.state().borrow().ready {
            return Ok(());
        }
        let (folder, identity) = (self.options.folder.clone(), self.options.identity.clone());
        let opened = self
            .blocking(move || when_free(|| Index::open(&folder, &identity)))
            .await??;
        self.adopt(opened).await
    }

    async fn adopt(&mut self, opened: Opened) -> Result<(), String> {
        let why = opened.why_new.as_ref().map(ToString::to_string);
        if let Some(why) = &why {
            tracing::info!(why, folder = %self.options.folder.display(), "docent rebuilds the index from the store");
        }
        self.searcher.report(|state| {
            state.ready = false;
            state.position = opened.position;
            state.rebuilt = why.clone();
        });
        let index = Arc::new(opened.index);
        self.seen = opened.newest;
        if !self.is_of_this_history().await? {
            drop(index);
            return Box::pin(self.begin_anew()).await;
        }
        let loaded = self.load(index.clone(), opened.position).await?;
        if loaded.not_indexed + loaded.dangling > 0 {
            tracing::warn!(
                missing = loaded.not_indexed,
                surplus = loaded.dangling,
                "the index differs from the store; docent rebuilds it"
            );
            drop(index);
            return Box::pin(self.rebuild(WhyNew::Requested)).await;
        }
        self.searcher.set_index(Some(index));
        self.searcher
            .report(|state| state.chunks = loaded.chunks as u64);
        if why.is_none() {
            self.searcher.report(|state| state.ready = true);
        }
        Ok(())
    }

    /// Waits for the store, which is not the follower's fault however long that takes.
    async fn asking<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            (self.alive)();
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Whether the store still has the event that was its newest one when the index was written.
    async fn is_of_this_history(&self) -> Result<bool, String> {
        match &self.seen {
            None => Ok(true),
            Some(newest) => {
                let has = self.asking(self.store.has_had(*newest)).await;
                has.map_err(|error| error.to_string())
            }
        }
    }

    /// Builds the index anew of a store that has lost commits.
    async fn begin_anew(&mut self) -> Result<(), String> {
        tracing::error!(
            "the store no longer has what the index has seen: it was restored from a backup, or its database failed over to a replica that was behind; check that no token that was revoked is back (`docent token list`)"
        );
        self.store.figures().miss_commits();
        self.rebuild(WhyNew::CommitsLost).await
    }

    /// Whether somebody removed the index while it was open: what is in memory answers, but nothing can be committed to it.
    fn folder_is_gone(&self) -> bool {
        is_gone(&self.options.folder)
    }

    /// Opens what is in the folder now, in place of the open index.
    async fn reopen(&mut self) -> Result<(), String> {
        self.searcher.report(|state| state.ready = false);
        self.searcher.set_index(None);
        self.open().await
    }

    /// Begins an empty index; the next steps fill it. Until it has caught up nothing is found in it, so nothing is asked of it.
    async fn rebuild(&mut self, why: WhyNew) -> Result<(), String> {
        self.searcher.report(|state| state.ready = false);
        self.searcher.set_index(None);
        let (folder, identity) = (self.options.folder.clone(), self.options.identity.clone());
        let opened = self
            .blocking(move || when_free(|| Index::rebuild(&folder, &identity, why.clone())))
            .await??;
        self.adopt(opened).await
    }

    /// Takes the vectors of the chunks that an index at `position` has from the store.
    async fn load(&self, index: Arc<Index>, position: u64) -> Result<LoadedChunks, String> {
        let (store, handle, alive) = (self.store.clone(), Handle::current(), self.alive.clone());
        self.blocking(move || {
            let mut after = (String::new(), 0);
            let pages = std::iter::from_fn(|| {
                alive();
                match handle.block_on(store.chunks_at(position, after.clone(), LOAD)) {
                    Ok(page) => {
                        after = page.last().map(|(s, c)| (s.document.clone(), c.number))?;
                        let known = |(source, chunk)| replacement(&source, vec![chunk]);
                        Some(page.into_iter().map(known).collect())
                    }
                    Err(error) => Some(vec![Err(error.to_string())]),
                }
            });
            index.load(pages.flat_map(Vec::into_iter))
        })
        .await?
    }

    /// Applies the next batch of the feed, if the store has something newer than the index.
    async fn step(&mut self, newest: u64) -> FollowStep {
        let (position, ready) = {
            let state = self.searcher.state();
            let state = state.borrow();
            (state.position, state.ready && state.stopped.is_none())
        };
        if ready && newest <= position {
            return FollowStep::Caught;
        }
        let feed = match self.asking(self.store.feed(position, BATCH)).await {
            Ok(feed) => feed,
            Err(error) => return self.failed(&error.to_string()),
        };
        match self.is_of_this_history().await {
            Ok(true) => {}
            Ok(false) => return FollowStep::Lost,
            Err(error) => return self.failed(&error),
        }
        if feed.changes.is_empty() {
            // The newest changes may be of documents that are forgotten: there is nothing of them to apply.
            self.searcher.report(|state| {
                state.position = state.position.max(newest);
                state.ready = true;
                state.stopped = None;
            });
            return FollowStep::Caught;
        }
        match self.apply(&feed).await {
            Ok(chunks) => self.applied(&feed, chunks).await,
            Err(error) => self.failed(&error),
        }
    }

    async fn apply(&self, feed: &Feed) -> Result<u64, String> {
        let Some(index) = self.searcher.index() else {
            return Err("the index is not open".to_owned());
        };
        let batch: Vec<Replacement> = feed
            .changes
            .iter()
            .map(|change| replacement(&change.source, change.chunks.clone()))
            .collect::<Result<_, _>>()?;
        let position = IndexPosition {
            change: feed.position,
            newest: feed.newest,
        };
        self.blocking(move || {
            index.apply(&batch, position)?;
            index.chunks()
        })
        .await?
        .map_err(String::from)
    }

    async fn applied(&mut self, feed: &Feed, chunks: u64) -> FollowStep {
        self.retry = RETRY_MIN;
        self.seen = feed.newest;
        self.searcher.report(|state| {
            state.position = feed.position;
            state.chunks = chunks;
            state.stopped = None;
            state.ready |= !feed.more;
        });
        for change in &feed.changes {
            let source = &change.source;
            let figures = self.store.figures();
            figures.searchable(&source.collection, &source.path);
        }
        // A search that began before this commit may still look for what the batch replaced, but not for what earlier ones did.
        self.prune().await;
        self.prune_to = Some(feed.position);
        FollowStep::Applied
    }

    /// Removes chunks that were replaced and that no search looks for any more, a slice of them.
    async fn prune(&mut self) {
        let Some(position) = self.prune_to else {
            let position = self.searcher.state().borrow().position;
            return self.store.follows_to(position);
        };
        match self.asking(self.store.prune_chunks(position)).await {
            Ok(0) => self.prune_to = None,
            Ok(_) | Err(WriteError::Unavailable(_) | WriteError::Closed) => {}
            Err(error) => tracing::warn!(%error, "chunks that were replaced could not be removed"),
        }
    }

    fn failed(&mut self, error: &str) -> FollowStep {
        let known = self.searcher.state().borrow().stopped.is_some();
        if !known {
            tracing::warn!(
                error,
                "the index cannot follow the store; searches see its older state, and docent keeps trying"
            );
        }
        self.searcher
            .report(|state| state.stopped = Some(error.to_owned()));
        let longest = match self.store.leases().are_shared() {
            true => RETRY_MAX_SHARED,
            false => RETRY_MAX,
        };
        self.retry = if known {
            (self.retry * 2).min(longest)
        } else {
            RETRY_MIN
        };
        FollowStep::Failed
    }

    /// Compares the index with the store if that was asked of all hosts, and was not done here just now.
    async fn verify_as_all(&mut self) -> Result<(), String> {
        let is_recent =
            |at: Option<Instant>, time: Duration| at.is_some_and(|at| at.elapsed() < time);
        let requests = &mut self.requests;
        if !self.store.leases().are_shared() || is_recent(requests.asked_at, REQUESTS) {
            return Ok(());
        }
        requests.asked_at = Some(Instant::now());
        // A store that cannot be read is asked again.
        let Ok(asked) = self.asking(self.store.remembered(VERIFY)).await else {
            return Ok(());
        };
        let requests = &mut self.requests;
        let before = requests.last.replace(asked.clone());
        let is_new = before.is_some_and(|before| before != asked);
        if is_new && !is_recent(requests.verified_at, REQUESTS * 2) {
            self.verify().await?;
        }
        Ok(())
    }

    /// Compares the index with the store at its position, and builds it anew if they differ or if it is not there any more.
    async fn verify(&mut self) -> Result<(), String> {
        self.requests.verified_at = Some(Instant::now());
        let differences = match self.searcher.index() {
            Some(index) if self.folder_is_gone() => {
                let missing = self.searcher.state().borrow().chunks;
                tracing::warn!(missing, "the index was removed; docent rebuilds it");
                drop(index); // it holds the folder's lock
                self.reopen().await?;
                (missing, 0)
            }
            Some(index) => match self.compare(index).await? {
                Some(differences) => differences,
                None => return Ok(()),
            },
            None => (0, 0),
        };
        self.searcher.report(|state| {
            state.verified += 1;
            state.differences = differences;
        });
        Ok(())
    }

    /// How they differ; `None` if the store could not be read, which whoever waits is told.
    async fn compare(&mut self, index: Arc<Index>) -> Result<Option<(u64, u64)>, String> {
        let position = self.searcher.state().borrow().position;
        let loaded = match self.load(index, position).await {
            Ok(loaded) => loaded,
            Err(error) => {
                self.failed(&error);
                return Ok(None);
            }
        };
        let differences = (loaded.not_indexed as u64, loaded.dangling as u64);
        if differences != (0, 0) {
            tracing::warn!(
                missing = differences.0,
                surplus = differences.1,
                "the index differs from the store; docent rebuilds it"
            );
            self.rebuild(WhyNew::Requested).await?;
        }
        Ok(Some(differences))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the index blocks; one such call at a time"
    )]
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let mut task = tokio::task::spawn_blocking(work);
        loop {
            tokio::select! {
                done = &mut task => return done.map_err(|e| format!("the index's thread ended: {e}")),
                // A long commit or merge is no stall.
                () = tokio::time::sleep(Duration::from_secs(1)) => (self.alive)(),
            }
        }
    }
}

fn document_id(text: &str) -> Result<DocumentId, String> {
    uuid::Uuid::parse_str(text)
        .map(uuid::Uuid::into_bytes)
        .map_err(|_| format!("the document id {text} in the store is not a UUID"))
}

fn replacement(source: &ChunkSource, chunks: Vec<ChunkRow>) -> Result<Replacement, String> {
    Ok(Replacement {
        document: document_id(&source.document)?,
        collection: source.collection.as_str().into(),
        path: source.path.as_slice().into(),
        digest: source.digest.as_str().into(),
        chunks,
    })
}
