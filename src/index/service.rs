//! The way to the index for everybody else: search, how far it has followed, comparison with the store.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::analyse::query_terms;
use super::best::WANTED;
use super::chunk_reader::ChunkReader;
use super::error::SearchError;
use super::marks::Highlighter;
use super::phrase::{Phrase, Shown, extended};
use super::rank::WORTH_LISTING;
use super::{Boost, Candidate, Correction, Found, Index, IndexError, Query, Within};
use crate::embed::EmbeddingTable;
use crate::event::Millis;
use crate::store::{ChunkRow, ChunkSource, Store};

/// Searches at once; more wait.
const SEARCHES: usize = 4;

/// Candidates that are looked at for the hits of one search.
const CANDIDATES: usize = 200;

/// How often a search is made anew without the chunks that turned out not to have a quoted part. The index takes a chunk to have one
/// also where that begins just after it, so each of them stands before one that has it: mostly one round does.
const ROUNDS: usize = 8;

/// Chunks that are named when nothing seems to be about the query.
const NEAREST: usize = 3;

/// The most hits of one search.
pub(crate) const LIMIT_MAX: usize = 100;

/// What is searched for.
#[derive(Debug, Clone)]
pub(crate) struct SearchRequest {
    pub query: String,
    /// Only in this collection.
    pub collection: Option<String>,
    /// At most so many hits, [`LIMIT_MAX`] at the most.
    pub limit: usize,
    /// Only in these files.
    pub within: Within,
    /// Only in files that were changed at this moment or later.
    pub since: Option<Millis>,
    /// No typing error is corrected, and what is quoted must be there whatever else the query has.
    pub exact: bool,
}

/// One place where a chunk stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HitPlace {
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    /// The first line, from 1.
    pub first_line: u32,
    /// The last line, included.
    pub last_line: u32,
    /// The digest of the file's bytes.
    pub digest: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IndexHit {
    pub place: HitPlace,
    /// The headings above it.
    pub heading: String,
    /// The text of just these lines.
    pub text: String,
    /// How well it answers: both legs together, multiplied by all `boosts`.
    pub score: f64,
    /// Its keyword score, as a part of the most that a chunk could have.
    pub keyword: f64,
    /// The cosine of its vector and the query's.
    pub vector: f64,
    /// The factors of its score that are not 1.
    pub boosts: Vec<Boost>,
    /// On the best hit of a file: how many good ones of it stand behind all others.
    pub more: u32,
    /// Byte ranges of `text` whose words are among the query's.
    pub marks: Vec<Range<usize>>,
    /// Other places where the same heading and text stand.
    pub also: Vec<HitPlace>,
}

/// What a search gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub hits: Vec<IndexHit>,
    /// How many of the hits, from the best one on, are worth listing: the others score far below it.
    pub listed: usize,
    /// Whether the topic of the query is likely to be there at all. If not, `hits` have words of it in common and no more.
    pub about: bool,
    /// The nearest chunks without a word of the query, where nothing seems to be about it: no hits.
    pub nearest: Vec<IndexHit>,
    /// What took part: `keyword`, `vector`.
    pub legs: Vec<&'static str>,
    /// Words that were looked for in place of others.
    pub corrected: Vec<Correction>,
    /// A part of the query was too long to be looked for.
    pub cut: bool,
    /// The store did not answer: what is shown is as the index has it.
    pub without_store: bool,
    /// How long it took.
    pub took: Duration,
}

/// The chunks that a search shows, and how.
struct ShownChunks<'a> {
    chunks: ChunkReader<'a>,
    /// The quoted parts.
    phrases: Vec<Phrase>,
    /// The numbers of those that a chunk must have.
    required: Vec<usize>,
    /// For each quoted part, chunks that the index takes to have it and that do not.
    refuted: Vec<HashSet<u64>>,
    highlighter: Highlighter,
}

/// How far the index has followed the store.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct FollowerState {
    /// It can be searched.
    pub ready: bool,
    /// It is complete up to this change of the store's feed.
    pub position: u64,
    pub chunks: u64,
    /// Why it was built anew at this start.
    pub rebuilt: Option<String>,
    /// Why it does not follow at the moment.
    pub stopped: Option<String>,
    /// It was told to stop: it compares nothing any more.
    pub ended: bool,
    /// Comparisons with the store that have ended.
    pub verified: u64,
    /// What the last of them found: chunks that it did not have, chunks that it should not have had.
    pub differences: (u64, u64),
}

/// The way to the index. Cheap to clone. Outlives the follower, so searches go on while that is started again.
#[derive(Clone)]
pub(crate) struct Searcher {
    store: Store,
    index: Arc<RwLock<Option<Arc<Index>>>>,
    state: Arc<watch::Sender<FollowerState>>,
    verify: Arc<Notify>,
    permits: Arc<Semaphore>,
}

impl Searcher {
    /// A way to an index that a follower will open.
    pub(crate) fn new(store: Store) -> Self {
        Searcher {
            store,
            index: Arc::default(),
            state: Arc::new(watch::Sender::new(FollowerState::default())),
            verify: Arc::default(),
            permits: Arc::new(Semaphore::new(SEARCHES)),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// How far the index has followed, to read or to watch.
    pub(crate) fn state(&self) -> watch::Receiver<FollowerState> {
        self.state.subscribe()
    }

    /// Searches.
    ///
    /// # Errors
    /// The index is not ready, or it or the store cannot be read.
    pub(crate) async fn search(&self, request: SearchRequest) -> Result<Answer, SearchError> {
        let began = Instant::now();
        let mut refuted = Vec::new();
        let mut rounds = 1..=ROUNDS;
        loop {
            let (mut answer, further) = self.answer(&request, &refuted).await?;
            let is_right = further.iter().all(HashSet::is_empty);
            if is_right || rounds.next().is_none() {
                answer.took = began.elapsed();
                return Ok(answer);
            }
            refuted.resize_with(further.len(), HashSet::new);
            for (refuted, further) in refuted.iter_mut().zip(further) {
                refuted.extend(further);
            }
        }
    }

    /// The answer if nothing but `refuted` lacks the quoted parts that the index takes it to have; and what turned out to.
    async fn answer(
        &self,
        request: &SearchRequest,
        refuted: &[HashSet<u64>],
    ) -> Result<(Answer, Vec<HashSet<u64>>), SearchError> {
        let limit = request.limit.clamp(1, LIMIT_MAX);
        let candidates = self.candidates(request.clone(), refuted.to_vec());
        let (query, corrected, mut found) = candidates.await?;
        // Vectors have no "no": below the threshold they tell what is nearest, not what is there.
        let by_vector_alone = |c: &Candidate| !found.about && c.keyword <= 0.0;
        let candidates = std::mem::take(&mut found.candidates);
        let is_full = candidates.len() >= WANTED;
        let (nearest, candidates) = candidates.into_iter().partition(by_vector_alone);
        found.candidates = candidates;
        let terms = query_terms(&query);
        let required = terms.required(request.exact);
        let is_quoted = !required.is_empty();
        let mut shown = ShownChunks {
            required,
            refuted: vec![HashSet::new(); terms.phrases.len()],
            phrases: terms.phrases.clone(),
            highlighter: Highlighter::new(terms),
            chunks: ChunkReader::new(&self.store, self.index()),
        };
        let hits = self.hits(&mut shown, &found, limit).await?;
        let refuted = match is_quoted && (hits.len() >= limit || !is_full) {
            // What lacks a part that must be there was left out, and there is no more to be found.
            true => Vec::new(),
            false => shown.refuted.clone(),
        };
        found.candidates = nearest;
        let nearest = NEAREST.min(limit);
        let nearest = self.hits(&mut shown, &found, nearest).await?;
        let mut legs = Vec::new();
        if found.legs.keyword {
            legs.push("keyword");
        }
        if found.legs.vector {
            legs.push("vector");
        }
        let answer = Answer {
            listed: listed(&hits, is_quoted),
            about: found.about && (!is_quoted || !hits.is_empty()),
            hits,
            nearest,
            legs,
            corrected,
            cut: found.cut,
            without_store: shown.chunks.is_without_store(),
            took: Duration::ZERO,
        };
        Ok((answer, refuted))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a search keeps a processor busy; the semaphore bounds the threads"
    )]
    async fn candidates(
        &self,
        mut request: SearchRequest,
        refuted: Vec<HashSet<u64>>,
    ) -> Result<(String, Vec<Correction>, Found), SearchError> {
        let failed = |e: &dyn std::fmt::Display| SearchError::Failed(e.to_string());
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|e| failed(&e))?;
        let index = self.index().ok_or(SearchError::NotReady)?;
        if !self.state.borrow().ready {
            return Err(SearchError::NotReady);
        }
        if let Some(since) = request.since {
            let files = self.store.files_since(since).await?;
            request.within = request.within.only_files(files);
        }
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let (text, corrected) = match request.exact || request.within.is_limited() {
                true => (request.query, Vec::new()),
                false => index.corrected(&request.query)?,
            };
            let vector = EmbeddingTable::embedded()
                .embed(&text)
                .map(|v| v.quantise());
            let everywhere = request.within == Within::default();
            let query = Query {
                text: &text,
                vector: vector.as_ref(),
                collection: request.collection.as_deref(),
                within: (!everywhere).then_some(&request.within),
                exact: request.exact,
                refuted: &refuted,
                limit: CANDIDATES,
            };
            let found = index.search(&query)?;
            Ok::<_, IndexError>((text, corrected, found))
        });
        let found = task.await.map_err(|e| failed(&e))?;
        found.map_err(|e| failed(&e))
    }

    /// The hits of the best candidates that have the quoted parts: those of the same heading and text are one.
    async fn hits(
        &self,
        shown: &mut ShownChunks<'_>,
        found: &Found,
        limit: usize,
    ) -> Result<Vec<IndexHit>, SearchError> {
        let mut hits: Vec<IndexHit> = Vec::new();
        for candidates in found.candidates.chunks(limit.max(10)) {
            let numbers = candidates.iter().map(|c| c.number).collect();
            for (source, chunk) in shown.chunks.read(numbers).await? {
                let of_chunk = |c: &&Candidate| c.number == chunk.number;
                let Some(candidate) = candidates.iter().find(of_chunk) else {
                    continue;
                };
                let Some(chunk) = self.quoted(shown, &source, chunk, candidate).await? else {
                    continue;
                };
                let place = place(source, &chunk);
                let same =
                    |hit: &&mut IndexHit| hit.heading == chunk.heading && hit.text == chunk.text;
                if let Some(hit) = hits.iter_mut().find(same) {
                    hit.also.push(place);
                } else if hits.len() < limit {
                    hits.push(hit(
                        &mut shown.highlighter,
                        place,
                        chunk,
                        candidate,
                        found.bound,
                    ));
                }
            }
            // An order that must be made anew is made anew without all that is wrong.
            let is_right = shown.refuted.iter().all(HashSet::is_empty);
            if hits.len() >= limit && (is_right || !shown.required.is_empty()) {
                break;
            }
        }
        Ok(hits)
    }

    /// The chunk, if all quoted parts that must be are in its heading or its text; longer, if they begin in it and run on in its
    /// document. Those that are not, although the index takes it to have them, are noted.
    async fn quoted(
        &self,
        shown: &mut ShownChunks<'_>,
        source: &ChunkSource,
        mut chunk: ChunkRow,
        candidate: &Candidate,
    ) -> Result<Option<ChunkRow>, SearchError> {
        let (heading, text) = (&chunk.heading, &chunk.text);
        let is_in = |phrase: &Phrase, text| !phrase.places(text).is_empty();
        let parts = candidate.quoted.iter().copied();
        let mut lacking: Vec<usize> = parts
            .filter(|&n| !is_in(&shown.phrases[n], text) && !is_in(&shown.phrases[n], heading))
            .collect();
        if lacking.iter().any(|&n| shown.phrases[n].may_run_on(text)) {
            let document = shown.chunks.document(&source.digest).await?;
            if document.is_none() && shown.chunks.is_without_store() {
                // What is shown is as the index has it.
                lacking.retain(|&n| !shown.phrases[n].may_run_on(text));
            }
            let document = document.unwrap_or_default();
            let part = Shown {
                first_line: chunk.first_line,
                last_line: chunk.last_line,
                text: text.clone(),
            };
            let runs_on = |&n: &usize| extended(&document, &part, &[&shown.phrases[n]]).is_some();
            let running: Vec<usize> = lacking.extract_if(.., |n| runs_on(n)).collect();
            let running: Vec<&Phrase> = running.iter().map(|&n| &shown.phrases[n]).collect();
            if let Some(longer) = extended(&document, &part, &running) {
                chunk.last_line = longer.last_line;
                chunk.text = longer.text;
            }
        }
        for &n in &lacking {
            shown.refuted[n].insert(chunk.number);
        }
        let has = |n: &usize| candidate.quoted.contains(n) && !lacking.contains(n);
        Ok(shown.required.iter().all(has).then_some(chunk))
    }

    /// Whether it can answer while the store is away.
    pub(crate) fn can_do_without_store(&self) -> bool {
        self.index().is_some_and(|index| index.stores_chunks())
    }

    /// Asks the follower to compare the index with the store, and waits for the result: how many chunks the index did not
    /// have, and how many it should not have had. Differences are repaired by building it anew from the store.
    ///
    /// # Errors
    /// The follower does not run, or does not follow at the moment.
    pub(crate) async fn verify(&self) -> Result<(u64, u64), SearchError> {
        let mut state = self.state();
        let before = state.borrow_and_update().verified;
        self.verify.notify_one();
        let told = state.wait_for(|s| s.verified > before || s.stopped.is_some() || s.ended);
        match told.await.map(|now| now.clone()) {
            Ok(now) if now.verified > before => Ok(now.differences),
            Ok(now) if now.ended => Err(SearchError::NotReady),
            // It compares nothing while it tries to go on.
            Ok(now) => Err(SearchError::Failed(now.stopped.unwrap_or_default())),
            Err(_) => Err(SearchError::NotReady),
        }
    }

    pub(super) fn index(&self) -> Option<Arc<Index>> {
        self.index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_index(&self, index: Option<Arc<Index>>) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }

    /// Lets the index go, for a clean end: merges that are under way are waited for. Nobody searches any more.
    pub(crate) fn close(&self) {
        self.report(|state| state.ready = false);
        self.set_index(None);
    }

    pub(super) fn report(&self, change: impl FnOnce(&mut FollowerState)) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    pub(super) async fn verify_wanted(&self) {
        self.verify.notified().await;
    }
}

/// How many of `hits` are worth listing: up to the last one that is by its score without factors. What factors raised before it
/// is listed too. What has the quoted parts of a query always is.
fn listed(hits: &[IndexHit], quoted: bool) -> usize {
    let base = |hit: &IndexHit| {
        let factors: f64 = hit.boosts.iter().map(|boost| boost.factor).product();
        hit.score / factors
    };
    let best = hits.iter().map(base).fold(0.0, f64::max);
    let worth = |hit: &IndexHit| quoted || base(hit) >= WORTH_LISTING * best;
    hits.iter().rposition(worth).map_or(0, |last| last + 1)
}

fn place(source: ChunkSource, chunk: &ChunkRow) -> HitPlace {
    HitPlace {
        collection: source.collection,
        path: source.path,
        first_line: chunk.first_line,
        last_line: chunk.last_line,
        digest: source.digest,
    }
}

fn hit(
    highlighter: &mut Highlighter,
    place: HitPlace,
    chunk: ChunkRow,
    candidate: &Candidate,
    bound: f64,
) -> IndexHit {
    IndexHit {
        place,
        marks: highlighter.marks(&chunk.text),
        heading: chunk.heading,
        text: chunk.text,
        score: candidate.score,
        keyword: if bound > 0.0 {
            candidate.keyword / bound
        } else {
            0.0
        },
        vector: f64::from(candidate.cosine),
        boosts: candidate.boosts.clone(),
        more: candidate.more,
        also: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::options;

    #[tokio::test]
    async fn who_waits_for_a_comparison_is_told_when_the_follower_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _closer) = Store::open(folder.path(), options()).unwrap();
        let searcher = Searcher::new(store);
        let ends = async { searcher.report(|state| state.ended = true) };
        let (compared, ()) = tokio::join!(searcher.verify(), ends);
        assert!(matches!(compared, Err(SearchError::NotReady)));
    }
}
