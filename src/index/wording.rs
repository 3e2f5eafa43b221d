//! How far a chunk has the wording of a query: which neighbouring words of the query are neighbours in it too. Who pastes a message
//! or a sentence looks for the place where it stands.

use std::collections::{BTreeMap, HashMap};
use std::io;

use tantivy::postings::Postings as _;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet as _, Term};

use super::analyse::{is_stop_term, term_of};
use super::chunks::Address;
use super::phrase::{Part, Phrase};
use super::segments::{Segment, Segments};

/// Of a longer query only so many pieces are compared.
const PIECES: usize = 64;
/// A query of fewer words has no wording of its own.
const WORDS_MIN: usize = 3;

/// Two neighbours in a query.
struct Pair {
    /// Where the first of them stands.
    first: usize,
    /// How far the second is from it: see [`exact_analyser`](super::analyse::exact_analyser).
    step: u32,
    /// How many of the two are words that say something.
    weight: u32,
}

/// For each of some chunks, the part of a query's pairs that it has, or the beginning of what comes after it.
#[derive(Default)]
pub(super) struct Wording {
    shares: BTreeMap<Address, f64>,
}

impl Wording {
    /// What the chunks at `addresses` have of the wording of `query`.
    pub(super) fn read(
        segments: &Segments,
        query: Option<&Phrase>,
        addresses: impl Iterator<Item = Address>,
    ) -> io::Result<Self> {
        let parts = query.map_or(&[][..], |query| &query.parts);
        let parts = &parts[..parts.len().min(PIECES)];
        let says = |part: &Part| {
            let term = term_of(&part.folded);
            term.is_some_and(|term| !is_stop_term(&term))
        };
        let words: Vec<bool> = parts.iter().map(says).collect();
        if words.iter().filter(|word| **word).count() < WORDS_MIN {
            return Ok(Self::default());
        }
        let pairs = (0..parts.len() - 1).map(|first| Pair {
            first,
            step: if parts[first + 1].spaced { 2 } else { 1 },
            weight: u32::from(words[first]) + u32::from(words[first + 1]),
        });
        let pairs: Vec<Pair> = pairs.filter(|pair| pair.weight > 0).collect();
        let all: u32 = pairs.iter().map(|pair| pair.weight).sum();

        let mut by_segment: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for Address { segment, doc } in addresses {
            by_segment.entry(segment).or_default().push(doc);
        }
        let mut shares = BTreeMap::new();
        for (place, mut docs) in by_segment {
            let Some(Some(segment)) = segments.places.get(place as usize) else {
                continue;
            };
            docs.sort_unstable();
            let places = places(segments, segment, parts, &docs)?;
            for (at, doc) in docs.into_iter().enumerate() {
                let of = |piece: usize| &places[parts[piece].folded.as_str()][at];
                let has = |pair: &&Pair| {
                    let second = of(pair.first + 1);
                    let mut firsts = of(pair.first).iter();
                    firsts.any(|first| second.binary_search(&(first + pair.step)).is_ok())
                };
                let found: u32 = pairs.iter().filter(has).map(|pair| pair.weight).sum();
                let address = Address {
                    segment: place,
                    doc,
                };
                shares.insert(address, f64::from(found) / f64::from(all));
            }
        }
        Ok(Self { shares })
    }

    /// The part of the query's pairs that the chunk has, 0 to 1.
    pub(super) fn share(&self, address: Address) -> f64 {
        self.shares.get(&address).copied().unwrap_or_default()
    }
}

/// Where each piece stands in each of `docs`, which are in order.
fn places<'a>(
    segments: &Segments,
    segment: &Segment,
    parts: &'a [Part],
    docs: &[u32],
) -> io::Result<HashMap<&'a str, Vec<Vec<u32>>>> {
    let mut places = HashMap::new();
    for part in parts {
        let piece = part.folded.as_str();
        if places.contains_key(piece) {
            continue;
        }
        let mut of_docs = vec![Vec::new(); docs.len()];
        let term = Term::from_field_text(segments.fields.exact, piece);
        let option = IndexRecordOption::WithFreqsAndPositions;
        if let Some(mut postings) = segment.exact.read_postings(&term, option)? {
            for (doc, positions) in docs.iter().zip(&mut of_docs) {
                if postings.doc() < *doc {
                    postings.seek(*doc);
                }
                if postings.doc() == *doc {
                    postings.positions(positions);
                }
            }
        }
        places.insert(piece, of_docs);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbers, open, replacement, text_chunk, words};

    #[test]
    fn a_message_that_is_pasted_is_found_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let filler = "Other lines of the file stand around it and say other things. ".repeat(8);
        let message = "return error(\"cannot open the lock file: permission denied\")";
        let stands = text_chunk(1, &format!("{filler}\n{message}\n{filler}"));
        let alike =
            "The lock is a file. Permission to open the file is denied: no lock cannot open. ";
        let others = (2..9).map(|n| replacement(n, [text_chunk(n.into(), alike)]));
        let batch: Vec<_> = others.chain([replacement(1, [stands])]).collect();
        index.apply(&batch, 1).unwrap();
        for query in [
            "cannot open the lock file: permission denied",
            "Cannot open the lock file: permission denied (os error 13)",
        ] {
            assert_eq!(numbers(&index, &words(query))[0], 1, "{query}");
        }
        let reordered = "denied permission: file lock the open cannot";
        assert_ne!(numbers(&index, &words(reordered))[0], 1);
    }
}
