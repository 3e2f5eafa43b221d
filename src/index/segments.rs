//! The segments of the keyword index as one commit left them, and what is counted over them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use tantivy::columnar::Column;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::index::SegmentId;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{InvertedIndexReader, Searcher, SegmentReader, TantivyDocument, Term};

use super::chunks::Address;
use super::fields::{Fields, NUMBER};

/// Blocks of stored chunks that are unpacked at once.
const STORE_BLOCKS: usize = 1;

#[derive(Clone)]
pub(super) struct Segment {
    pub(super) reader: SegmentReader,
    pub(super) terms: Arc<InvertedIndexReader>,
    pub(super) exact: Arc<InvertedIndexReader>,
    pub(super) titles: Arc<InvertedIndexReader>,
    pub(super) title_lengths: FieldNormReader,
    pub(super) names: Arc<InvertedIndexReader>,
    pub(super) lengths: FieldNormReader,
    numbers: Column<u64>,
}

impl Segment {
    fn open(reader: &SegmentReader, fields: Fields) -> tantivy::Result<Self> {
        Ok(Self {
            terms: reader.inverted_index(fields.text)?,
            exact: reader.inverted_index(fields.exact)?,
            titles: reader.inverted_index(fields.title)?,
            title_lengths: reader.get_fieldnorms_reader(fields.title)?,
            names: reader.inverted_index(fields.names)?,
            lengths: reader.get_fieldnorms_reader(fields.text)?,
            numbers: reader.fast_fields().u64(NUMBER)?,
            reader: reader.clone(),
        })
    }

    fn is_alive(&self, doc: u32) -> bool {
        self.reader
            .alive_bitset()
            .is_none_or(|alive| alive.is_alive(doc))
    }

    /// How many chunks alive have `term` in the postings `index`, which are of this segment.
    pub(super) fn live_df(&self, index: &InvertedIndexReader, term: &Term) -> io::Result<u64> {
        match index.get_term_info(term)? {
            Some(info) => self.live_df_of(index, &info),
            None => Ok(0),
        }
    }

    /// The same of a term that was looked up.
    pub(super) fn live_df_of(
        &self,
        index: &InvertedIndexReader,
        info: &TermInfo,
    ) -> io::Result<u64> {
        if self.reader.alive_bitset().is_none() {
            return Ok(u64::from(info.doc_freq));
        }
        let mut live = 0;
        each_block_of(index, info, |postings| {
            live += postings
                .docs()
                .iter()
                .filter(|&&doc| self.is_alive(doc))
                .count() as u64;
        })?;
        Ok(live)
    }
}

/// Hands each block of the postings of `term` to `take`.
pub(super) fn each_block(
    index: &InvertedIndexReader,
    term: &Term,
    take: impl FnMut(&BlockSegmentPostings),
) -> io::Result<()> {
    match index.get_term_info(term)? {
        Some(info) => each_block_of(index, &info, take),
        None => Ok(()),
    }
}

/// The same of a term that was looked up.
pub(super) fn each_block_of(
    index: &InvertedIndexReader,
    info: &TermInfo,
    mut take: impl FnMut(&BlockSegmentPostings),
) -> io::Result<()> {
    let mut postings =
        index.read_block_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?;
    while !postings.docs().is_empty() {
        take(&postings);
        postings.advance();
    }
    Ok(())
}

/// The segments of one commit and what is counted over them.
///
/// A segment keeps its place from commit to commit, so the addresses of its chunks last as long as it does.
pub(super) struct Segments {
    pub(super) fields: Fields,
    pub(super) places: Vec<Option<Segment>>,
    pub(super) alive: u64,
    /// Sum of the lengths of the chunks alive, in terms, each as its one-byte norm gives it back.
    pub(super) length: u64,
}

impl Segments {
    /// The segments of `searcher`, and the places of those that `before` does not have: their chunks must be
    /// placed anew.
    pub(super) fn open(
        searcher: &Searcher,
        fields: Fields,
        before: Option<&Segments>,
    ) -> tantivy::Result<(Self, Vec<u32>)> {
        let held: HashMap<SegmentId, usize> = before
            .iter()
            .flat_map(|before| before.places.iter().enumerate())
            .filter_map(|(place, segment)| Some((segment.as_ref()?.reader.segment_id(), place)))
            .collect();
        // A place that `before` uses is not given to another segment yet: old addresses still point to it.
        let mut places: Vec<Option<Segment>> = vec![None; before.map_or(0, |b| b.places.len())];
        let mut free = (0..).filter(|&place| {
            before.is_none_or(|b| b.places.get(place).is_none_or(Option::is_none))
        });
        let mut new = Vec::new();
        let (mut alive, mut length) = (0, 0);
        for reader in searcher.segment_readers() {
            let segment = Segment::open(reader, fields)?;
            alive += u64::from(reader.num_docs());
            length += (0..reader.max_doc())
                .filter(|&doc| segment.is_alive(doc))
                .map(|doc| u64::from(segment.lengths.fieldnorm(doc)))
                .sum::<u64>();
            let place = match held.get(&reader.segment_id()) {
                Some(&place) => place,
                None => {
                    let place = free.next().expect("the places are without end");
                    new.push(place as u32);
                    place
                }
            };
            if place >= places.len() {
                places.resize(place + 1, None);
            }
            places[place] = Some(segment);
        }
        let segments = Self {
            fields,
            places,
            alive,
            length,
        };
        Ok((segments, new))
    }

    pub(super) fn alive(&self) -> u64 {
        self.alive
    }

    /// How many places for segments there are, empty ones among them.
    pub(super) fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// The chunks alive in the segment at `place`: number and address.
    pub(super) fn chunks(&self, place: u32) -> impl Iterator<Item = (u64, Address)> {
        let segment = self.places.get(place as usize).and_then(Option::as_ref);
        segment.into_iter().flat_map(move |segment| {
            (0..segment.reader.max_doc())
                .filter(|&doc| segment.is_alive(doc))
                .filter_map(move |doc| {
                    let address = Address {
                        segment: place,
                        doc,
                    };
                    Some((segment.numbers.first(doc)?, address))
                })
        })
    }

    /// The number of the chunk at `address`.
    pub(super) fn number(&self, address: Address) -> Option<u64> {
        let segment = self.places.get(address.segment as usize)?.as_ref()?;
        segment.numbers.first(address.doc)
    }

    /// What is stored of the chunk at `address`.
    pub(super) fn document(&self, address: Address) -> tantivy::Result<Option<TantivyDocument>> {
        let segment = self.places.get(address.segment as usize);
        let Some(segment) = segment.and_then(Option::as_ref) else {
            return Ok(None);
        };
        let store = segment.reader.get_store_reader(STORE_BLOCKS)?;
        store.get(address.doc).map(Some)
    }

    /// Whether the chunk at `address` is alive; one that was replaced is not.
    pub(super) fn is_alive(&self, address: Address) -> bool {
        let segment = self.places.get(address.segment as usize);
        segment.is_some_and(|s| s.as_ref().is_some_and(|s| s.is_alive(address.doc)))
    }

    /// One `value` for each chunk of each segment, deleted ones among them.
    pub(super) fn per_doc<T: Clone>(&self, value: T) -> Vec<Vec<T>> {
        let lengths = self.places.iter().map(|place| {
            place
                .as_ref()
                .map_or(0, |segment| segment.reader.max_doc() as usize)
        });
        lengths.map(|length| vec![value.clone(); length]).collect()
    }
}

#[cfg(test)]
impl Segments {
    /// Whether deleted chunks are still in it.
    pub(super) fn has_deletions(&self) -> bool {
        self.places
            .iter()
            .flatten()
            .any(|segment| segment.reader.has_deletes())
    }
}
