//! The open index: one thread changes it, any number search it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use tantivy::{Index as KeywordIndex, IndexReader, ReloadPolicy, TantivyError};

use super::analyse::MAX_QUERY_BYTES;
use super::chunks::{Address, Chunks};
use super::correct::Correction;
use super::error::{IndexError, WhyNew};
use super::fields::{Fields, schema};
use super::folder::{Folder, damaged};
use super::identity::{Identity, IndexPosition};
use super::published::Published;
use super::query::Query;
use super::search::{Found, search};
use super::segments::Segments;
use super::writer::KeywordWriter;
use super::{DocumentId, Replacement};
use crate::store::{ChunkRow, ChunkSource, NewestEvent};

/// The search index of a daemon.
///
/// Dropping it waits for merges that are under way (below a second at 75,000 chunks), so that whoever opens
/// the folder next is alone in it. A process may also just end.
pub(crate) struct Index {
    published: RwLock<Published>,
    changing: Mutex<Changing>,
    stores_chunks: bool,
    // Last: its lock is given back when everything else is closed.
    _folder: Folder,
}

/// An index as [`Index::open`] gives it.
pub(crate) struct Opened {
    pub index: Index,
    /// The position of the store's feed up to which it is complete.
    pub position: u64,
    /// The newest event that the store had then, where that is known.
    pub newest: Option<NewestEvent>,
    /// Why it is a new one; `None` if it is continued.
    pub why_new: Option<WhyNew>,
}

/// How the store and the keyword index agreed at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoadedChunks {
    /// Chunks that both have: these can be found.
    pub chunks: usize,
    /// Chunks of the store that the keyword index does not have: the feed must bring them.
    pub not_indexed: usize,
    /// Chunks of the keyword index that the store does not have: the feed must bring their removal.
    pub dangling: usize,
}

/// What one thread at a time needs to change the index.
struct Changing {
    writer: KeywordWriter,
    reader: IndexReader,
    fields: Fields,
}

impl Index {
    /// Opens the index in `folder`, or begins a new one there at position 0 if there is none that can be
    /// continued: then everything in the folder is removed.
    ///
    /// Every byte of the index is read, to verify its checksums. [`Index::load`] must follow before a search
    /// finds anything of an index that is continued.
    ///
    /// # Errors
    /// The index is open elsewhere, or the folder cannot be used.
    pub(crate) fn open(folder: &Path, identity: &Identity) -> Result<Opened, IndexError> {
        let folder = Folder::take(folder)?;
        let reason = match folder.existing(identity) {
            // Opening the segments is the last thing that can show a damage.
            Ok((keywords, position)) => match Opening::new(keywords, identity) {
                Ok(opening) => return Ok(opening.finish(folder, position, None)),
                Err(e) => damaged(e),
            },
            Err(reason) => reason,
        };
        Self::begin(folder, identity, reason)
    }

    /// Begins a new index in `folder` at position 0, whatever is there.
    ///
    /// # Errors
    /// The index is open elsewhere, or the folder cannot be used.
    pub(crate) fn rebuild(
        folder: &Path,
        identity: &Identity,
        why: WhyNew,
    ) -> Result<Opened, IndexError> {
        Self::begin(Folder::take(folder)?, identity, why)
    }

    fn begin(folder: Folder, identity: &Identity, reason: WhyNew) -> Result<Opened, IndexError> {
        let keywords = folder.begin_anew(identity)?;
        let mut opening = Opening::new(keywords, identity)
            .map_err(IndexError::keyword("open the empty index"))?;
        opening
            .changing
            .writer
            .commit(&[], 0.into())
            .map_err(IndexError::keyword("write the empty index"))?;
        Ok(opening.finish(folder, 0.into(), Some(reason)))
    }

    /// Takes vectors and places of the chunks from the store, instead of all that are known; heading and text are not needed. Only chunks that
    /// the keyword index has are taken.
    ///
    /// # Errors
    /// An earlier change broke off half-way, or what is known cannot be read to its end: then nothing is taken.
    pub(crate) fn load<E: From<IndexError>>(
        &self,
        known: impl Iterator<Item = Result<Replacement, E>>,
    ) -> Result<LoadedChunks, E> {
        let _alone = self.changing.lock().map_err(|_| IndexError::Broken)?;
        let mut indexed: HashMap<u64, Address> = {
            let published = self.published.read().map_err(|_| IndexError::Broken)?;
            let segments = &published.segments;
            (0..segments.places())
                .flat_map(|place| segments.chunks(place))
                .collect()
        };
        let mut chunks = Chunks::default();
        let mut not_indexed = 0;
        for known in known {
            let known = known?;
            for chunk in &known.chunks {
                match indexed.remove(&chunk.number) {
                    Some(address) => chunks.load(&known, chunk, address),
                    None => not_indexed += 1,
                }
            }
        }
        let loaded = LoadedChunks {
            chunks: chunks.slots().len(),
            not_indexed,
            dangling: indexed.len(),
        };
        let mut published = self.published.write().map_err(|_| IndexError::Broken)?;
        published.chunks = chunks;
        Ok(loaded)
    }

    /// Replaces the chunks of documents, one after the other, and moves to `position`.
    ///
    /// All of it is committed, and then shown to searches, at once. The same batch may be applied again.
    ///
    /// # Errors
    /// Nothing of the batch is published. After [`IndexError::Keyword`] the same batch may be tried again; if it
    /// keeps failing, the folder is beyond use: drop the index and open it anew.
    pub(crate) fn apply(
        &self,
        batch: &[Replacement],
        position: impl Into<IndexPosition>,
    ) -> Result<(), IndexError> {
        let position = position.into();
        let mut changing = self.changing.lock().map_err(|_| IndexError::Broken)?;
        let read = || self.published.read().map_err(|_| IndexError::Broken);
        check_numbers(&read()?.chunks, batch)?;
        changing
            .writer
            .commit(batch, position)
            .map_err(IndexError::keyword("commit to the index"))?;
        changing
            .reader
            .reload()
            .map_err(IndexError::keyword("open what was committed to the index"))?;
        let (segments, new) = Segments::open(
            &changing.reader.searcher(),
            changing.fields,
            Some(&read()?.segments),
        )
        .map_err(IndexError::keyword("read what was committed to the index"))?;
        let placed: Vec<(u64, Address)> = new
            .into_iter()
            .flat_map(|place| segments.chunks(place))
            .collect();

        let mut published = self.published.write().map_err(|_| IndexError::Broken)?;
        for replacement in batch {
            published.chunks.replace(replacement);
        }
        for (number, address) in placed {
            published.chunks.place(number, address);
        }
        published.chunks.trim();
        published.position = position.change;
        // The old segments are closed after the lock is given back: freeing their memory takes time.
        let old = std::mem::replace(&mut published.segments, segments);
        drop(published);
        drop(old);
        Ok(())
    }

    /// `query` with its typing errors corrected, and what was corrected.
    ///
    /// # Errors
    /// The keyword index cannot be read, or an earlier change broke off half-way.
    pub(crate) fn corrected(&self, query: &str) -> Result<(String, Vec<Correction>), IndexError> {
        let published = self.published.read().map_err(|_| IndexError::Broken)?;
        let end = query.floor_char_boundary(MAX_QUERY_BYTES);
        let corrected = published.segments.corrected(&query[..end]);
        let (text, corrections) =
            corrected
                .map_err(TantivyError::from)
                .map_err(IndexError::keyword(
                    "look for words like those of the query",
                ))?;
        if corrections.is_empty() {
            return Ok((query.to_owned(), corrections));
        }
        Ok((text + &query[end..], corrections))
    }

    /// Searches what is published.
    ///
    /// # Errors
    /// The keyword index cannot be read, or an earlier change broke off half-way.
    pub(crate) fn search(&self, query: &Query<'_>) -> Result<Found, IndexError> {
        let published = self.published.read().map_err(|_| IndexError::Broken)?;
        search(&published, query)
    }

    /// Whether it has the chunks themselves.
    pub(crate) fn stores_chunks(&self) -> bool {
        self.stores_chunks
    }

    /// The chunks of these numbers as the index has them, without their vectors, in the order asked for. What is no longer there
    /// is left out; so is everything, if it does not store chunks.
    ///
    /// # Errors
    /// The keyword index cannot be read, or an earlier change broke off half-way.
    pub(crate) fn stored_chunks(
        &self,
        numbers: &[u64],
    ) -> Result<Vec<(ChunkSource, ChunkRow)>, IndexError> {
        let published = self.published.read().map_err(|_| IndexError::Broken)?;
        published
            .stored_chunks(numbers)
            .map_err(IndexError::keyword("read chunks of the index"))
    }

    /// The position of the store's feed up to which searches are complete.
    ///
    /// # Errors
    /// An earlier change broke off half-way.
    #[cfg(test)]
    pub(crate) fn position(&self) -> Result<u64, IndexError> {
        Ok(self
            .published
            .read()
            .map_err(|_| IndexError::Broken)?
            .position)
    }

    /// How many chunks the keyword index has.
    ///
    /// # Errors
    /// An earlier change broke off half-way.
    pub(crate) fn chunks(&self) -> Result<u64, IndexError> {
        let published = self.published.read().map_err(|_| IndexError::Broken)?;
        Ok(published.segments.alive())
    }
}

#[cfg(test)]
impl Index {
    /// What is published, for tests that look inside.
    pub(super) fn published(&self) -> std::sync::RwLockReadGuard<'_, Published> {
        self.published.read().unwrap()
    }
}

/// A number belongs to one chunk of one document, for good.
fn check_numbers(chunks: &Chunks, batch: &[Replacement]) -> Result<(), IndexError> {
    let mut given: HashMap<u64, DocumentId> = HashMap::new();
    for replacement in batch {
        let document = replacement.document;
        let mut own = HashSet::new();
        for chunk in &replacement.chunks {
            let number = chunk.number;
            let slot = chunks.slot(number).map(|slot| &chunks.slots()[slot]);
            let had = slot.map(|slot| chunks.owner(slot).document);
            let owners = [had, given.insert(number, document)];
            let foreign = owners.into_iter().flatten().any(|owner| owner != document);
            if foreign || !own.insert(number) {
                return Err(IndexError::NumberTaken { number, document });
            }
        }
    }
    Ok(())
}

/// An index that is being opened.
struct Opening {
    changing: Changing,
    segments: Segments,
}

impl Opening {
    fn new(keywords: KeywordIndex, identity: &Identity) -> tantivy::Result<Self> {
        let (_, fields) = schema(identity.stores_chunks);
        let reader: IndexReader = keywords
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        let (segments, _) = Segments::open(&reader.searcher(), fields, None)?;
        let changing = Changing {
            writer: KeywordWriter::new(keywords, fields, identity.clone()),
            reader,
            fields,
        };
        Ok(Self { changing, segments })
    }

    fn finish(self, folder: Folder, position: IndexPosition, why_new: Option<WhyNew>) -> Opened {
        let published = Published {
            position: position.change,
            segments: self.segments,
            chunks: Chunks::default(),
        };
        let index = Index {
            published: RwLock::new(published),
            stores_chunks: self.changing.fields.stored.is_some(),
            changing: Mutex::new(self.changing),
            _folder: folder,
        };
        Opened {
            index,
            position: position.change,
            newest: position.newest,
            why_new,
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let changing = self
            .changing
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = changing.writer.finish() {
            tracing::warn!(%error, "index closed while a merge failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::super::testing::{
        chunk, generated, identity, known, numbers, open, replacement, stored, text_chunk, vector,
        words,
    };
    use super::*;

    #[test]
    fn a_new_index_says_why_and_an_old_one_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/index");
        let opened = open(&path);
        assert_eq!((opened.position, opened.why_new), (0, Some(WhyNew::Absent)));
        opened.index.apply(&[generated(1, 1, 10)], 7).unwrap();
        drop(opened.index);

        let opened = open(&path);
        assert_eq!((opened.position, opened.why_new), (7, None));
        let chunks = generated(1, 1, 10).chunks.len();
        let loaded = opened
            .index
            .load(known(&[generated(1, 1, 10), generated(2, 2, 50)]))
            .unwrap();
        assert_eq!((loaded.chunks, loaded.dangling), (chunks, 0));
        assert_eq!(loaded.not_indexed, generated(2, 2, 50).chunks.len());
        assert_eq!(opened.index.chunks().unwrap(), chunks as u64);
        drop(opened.index);

        let opened = Index::rebuild(&path, &identity(), WhyNew::Requested).unwrap();
        assert_eq!(
            (opened.position, opened.why_new),
            (0, Some(WhyNew::Requested))
        );
        assert_eq!(opened.index.chunks().unwrap(), 0);
    }

    #[test]
    fn an_index_of_another_identity_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let opened = open(folder.path());
        opened.index.apply(&[generated(1, 1, 10)], 7).unwrap();
        drop(opened.index);
        let other = Identity {
            embedder: "another".to_owned(),
            ..identity()
        };
        let opened = Index::open(folder.path(), &other).unwrap();
        assert_eq!(opened.position, 0);
        assert!(matches!(opened.why_new, Some(WhyNew::Changed { what, .. }) if what == "embedder"));
    }

    #[test]
    fn a_second_handle_is_refused_and_harms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).index;
        first.apply(&[generated(1, 1, 10)], 7).unwrap();
        for second in [
            Index::open(folder.path(), &identity()),
            Index::rebuild(folder.path(), &identity(), WhyNew::Requested),
        ] {
            assert!(matches!(second, Err(IndexError::Busy(path)) if path == folder.path()));
        }
        first.apply(&[generated(1, 2, 20)], 8).unwrap();
        drop(first);
        assert_eq!(open(folder.path()).position, 8);
    }

    #[test]
    fn a_replacement_takes_the_place_of_all_chunks_of_its_document() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let batch = [
            replacement(1, [text_chunk(10, "apple"), text_chunk(11, "pear")]),
            replacement(2, [text_chunk(20, "apple")]),
        ];
        index.apply(&batch, 1).unwrap();
        assert_eq!(numbers(&index, &words("apple")), [10, 20]);
        // Twice in one batch: the last one counts.
        let batch = [
            replacement(1, [text_chunk(12, "apple")]),
            replacement(1, [text_chunk(13, "apple pie")]),
            replacement(2, []),
        ];
        index.apply(&batch, 2).unwrap();
        assert_eq!(numbers(&index, &words("apple")), [13]);
        assert_eq!(numbers(&index, &words("pear")), [0; 0]);
        assert_eq!((index.chunks().unwrap(), index.position().unwrap()), (1, 2));
        index.apply(&[], 3).unwrap();
        assert_eq!(numbers(&index, &words("apple")), [13]);
        assert_eq!(index.position().unwrap(), 3);
        index.apply(&[replacement(1, [])], 4).unwrap();
        assert_eq!(numbers(&index, &words("apple")), [0; 0]);
    }

    #[test]
    fn a_number_that_is_taken_is_refused_before_anything_changes() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        index.apply(&[replacement(1, [chunk(10)])], 1).unwrap();
        for batch in [
            vec![replacement(1, []), replacement(2, [chunk(10)])],
            vec![replacement(2, [chunk(10)])],
            vec![replacement(2, [chunk(20), chunk(20)])],
            vec![replacement(2, [chunk(20)]), replacement(3, [chunk(20)])],
        ] {
            assert!(matches!(
                index.apply(&batch, 2),
                Err(IndexError::NumberTaken { .. })
            ));
        }
        assert_eq!(index.position().unwrap(), 1);
        index.apply(&[replacement(1, [chunk(10)])], 2).unwrap();
        assert_eq!(numbers(&index, &words("chunk")), [10]);
    }

    #[test]
    fn after_an_error_the_old_state_stands_and_the_same_batch_goes_through() {
        let parent = tempfile::tempdir().unwrap();
        let (path, away) = (parent.path().join("index"), parent.path().join("away"));
        let index = open(&path).index;
        index
            .apply(&[replacement(1, [text_chunk(10, "apple")])], 1)
            .unwrap();
        let batch = [replacement(1, [text_chunk(11, "pear")])];
        fs::rename(&path, &away).unwrap();
        for _ in 0..3 {
            assert!(matches!(
                index.apply(&batch, 2),
                Err(IndexError::Keyword { .. })
            ));
            assert_eq!(numbers(&index, &words("apple")), [10]);
            assert_eq!(index.position().unwrap(), 1);
        }
        fs::rename(&away, &path).unwrap();
        index.apply(&batch, 2).unwrap();
        assert_eq!(numbers(&index, &words("apple pear")), [11]);
        drop(index);
        let opened = open(&path);
        assert_eq!((opened.position, opened.why_new), (2, None));
        assert_eq!(opened.index.chunks().unwrap(), 1);
    }

    #[test]
    fn a_commit_that_broke_off_at_its_end_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let content = [
            replacement(1, [text_chunk(10, "apple")]),
            replacement(2, [text_chunk(20, "apple")]),
        ];
        index.apply(&content, 1).unwrap();
        // The list of segments cannot be written; everything before it in a commit can, the deletions too.
        let obstacle = folder.path().join("meta.json.new");
        fs::create_dir(&obstacle).unwrap();
        for document in [1, 1, 2] {
            let batch = [replacement(document, [text_chunk(30, "pear")])];
            let error = index.apply(&batch, 2).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains("Is a directory"), "{source}");
            assert_eq!(numbers(&index, &words("apple pear")), [10, 20]);
        }
        fs::remove_dir(&obstacle).unwrap();
        // As many operations as before, so tantivy gives the file of the deletions the name that it had before.
        index
            .apply(&[replacement(1, [text_chunk(11, "pear")])], 2)
            .unwrap();
        assert_eq!(numbers(&index, &words("apple pear")), [11, 20]);
        drop(index);
        let opened = open(folder.path());
        assert_eq!((opened.position, opened.why_new), (2, None));
        let content = [replacement(1, [text_chunk(11, "pear")]), content[1].clone()];
        let loaded = opened.index.load(known(&content)).unwrap();
        assert_eq!((loaded.chunks, loaded.dangling), (2, 0));
    }

    #[test]
    fn what_the_store_does_not_know_is_left_out_until_the_feed_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let batch = [
            replacement(1, [text_chunk(10, "apple")]),
            replacement(2, [text_chunk(20, "apple")]),
        ];
        index.apply(&batch, 1).unwrap();
        drop(index);
        let index = open(folder.path()).index;
        let found = index.search(&words("apple")).unwrap();
        assert_eq!(found.candidates.len(), 0);
        let loaded = index.load(known(&batch[..1])).unwrap();
        let expected = LoadedChunks {
            chunks: 1,
            not_indexed: 0,
            dangling: 1,
        };
        assert_eq!(loaded, expected);
        let broken_off = known(&batch[1..]).chain([Err(IndexError::Broken)]);
        assert!(matches!(index.load(broken_off), Err(IndexError::Broken)));
        let found = index.search(&words("apple")).unwrap();
        assert_eq!(found.candidates.len(), 1);
        index.apply(&[replacement(2, [])], 2).unwrap();
        let found = index.search(&words("apple")).unwrap();
        assert_eq!(found.candidates.len(), 1);
    }

    #[test]
    fn a_search_sees_one_position_while_batches_are_applied() {
        const DOCUMENTS: u8 = 5;
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let batch_at = |position: u64| -> Vec<Replacement> {
            let documents = 0..DOCUMENTS;
            documents
                .map(|document| {
                    let mut chunk = text_chunk(position * 10 + u64::from(document), "apple");
                    chunk.vector = Some(stored(1));
                    replacement(document, [chunk])
                })
                .collect()
        };
        index.apply(&batch_at(1), 1).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let searches: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let vector = vector(1);
                        let query = Query {
                            vector: Some(&vector),
                            ..words("apple")
                        };
                        let mut seen = HashSet::new();
                        while !done.load(Ordering::Acquire) {
                            let found = index.search(&query).unwrap();
                            assert_eq!(found.candidates.len(), usize::from(DOCUMENTS));
                            for candidate in &found.candidates {
                                assert_eq!(candidate.number / 10, found.position);
                                assert!(candidate.keyword > 0.0 && candidate.cosine > 0.99);
                            }
                            seen.insert(found.position);
                        }
                        seen.len()
                    })
                })
                .collect();
            for position in 2..16 {
                index.apply(&batch_at(position), position).unwrap();
            }
            done.store(true, Ordering::Release);
            for search in searches {
                assert!(
                    search.join().unwrap() > 1,
                    "the searches went on during the changes"
                );
            }
        });
    }
}
