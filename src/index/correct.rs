//! Typing errors: a word that nothing has is replaced by the most frequent one that differs from it in one letter.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use tantivy::query::FuzzyTermQuery;
use tantivy::schema::Field;
use tantivy::{InvertedIndexReader, Term};

use super::analyse::{is_stop_term, quoted_parts, term_of};
use super::segments::{Segment, Segments};
use super::words::{WordKind, WordPieces};
use crate::embed::EmbeddingTable;

/// A shorter word is too near to too many others.
const LETTERS_MIN: usize = 4;
/// Longer words are not corrected.
const BYTES_MAX: usize = 128;
/// At most so many words of a query are corrected.
const CORRECTIONS_MAX: usize = 8;
/// Words with one beginning that are looked at.
const ENDINGS_MAX: usize = 256;

/// A word that was looked for in place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Correction {
    /// As it stands in the query.
    pub from: String,
    /// As it stands in the index.
    pub to: String,
}

/// The words of one field.
#[derive(Clone, Copy)]
struct Words {
    field: Field,
    of: fn(&Segment) -> &InvertedIndexReader,
}

impl Segments {
    /// `query` with its typing errors corrected, and the corrections. What is quoted stays.
    pub(super) fn corrected(&self, query: &str) -> io::Result<(String, Vec<Correction>)> {
        let quoted = quoted_parts(query);
        let (mut text, mut corrections) = (String::new(), Vec::new());
        let mut at = 0;
        let mut tried = 0;
        let mut pieces = WordPieces::new(query);
        let mut folded = String::new();
        while let Some(piece) = pieces.next(&mut folded) {
            let is_quoted = |range: &Range<usize>| {
                range.start <= piece.range.start && piece.range.end <= range.end
            };
            let is_word = piece.kind == WordKind::Word && folded.chars().all(char::is_alphabetic);
            if !is_word || tried == CORRECTIONS_MAX || quoted.iter().any(is_quoted) {
                continue;
            }
            let Some(term) = self.missing(&folded)? else {
                continue;
            };
            tried += 1;
            if let Some(to) = self.nearest(&folded, &term)? {
                text.push_str(&query[at..piece.range.start]);
                text.push_str(&to);
                let from = query[piece.range.clone()].to_owned();
                at = piece.range.end;
                corrections.push(Correction { from, to });
            }
        }
        text.push_str(&query[at..]);
        Ok((text, corrections))
    }

    /// The words that are scored, without endings.
    fn scored_words(&self) -> Words {
        Words {
            field: self.fields.text,
            of: |segment| &segment.terms,
        }
    }

    /// The words as they stand.
    fn exact_words(&self) -> Words {
        Words {
            field: self.fields.exact,
            of: |segment| &segment.exact,
        }
    }

    /// The term of `word`, if it is an error: no chunk has it, and it is no common word.
    fn missing(&self, word: &str) -> io::Result<Option<String>> {
        let Some(term) = term_of(word).filter(|_| long(word) && !too_long(word)) else {
            return Ok(None);
        };
        // A whole entry of the table's vocabulary is a word that happens not to be here.
        let known = || EmbeddingTable::embedded().tokens(word).len() == 1;
        let there = is_stop_term(&term) || self.frequency(self.scored_words(), &term)? > 0;
        Ok((!there && !known()).then_some(term))
    }

    /// The most frequent word of the index that is nearest to `word`; the first in the alphabet of equally frequent ones.
    fn nearest(&self, word: &str, term: &str) -> io::Result<Option<String>> {
        let words = self.exact_words();
        let near = self.near(words, word)?;
        if let Some(nearest) = self.most_frequent(words, near, |_| true)? {
            return Ok(Some(nearest));
        }
        if !long(term) {
            return Ok(None);
        }
        // The error is in the stem, and the word has another ending here.
        let near = self.near(self.scored_words(), term)?;
        let Some(stem) = self.most_frequent(self.scored_words(), near, long)? else {
            return Ok(None);
        };
        let endings = self.beginning_with(&stem)?;
        self.most_frequent(words, endings, |word| term_of(word).as_ref() == Some(&stem))
    }

    /// The words that differ from `word` in one letter that is missing, too much or another, or in two neighbours that are
    /// swapped.
    fn near(&self, words: Words, word: &str) -> io::Result<HashSet<String>> {
        let term = Term::from_field_text(words.field, word);
        let automaton = FuzzyTermQuery::new(term, 1, true).automaton();
        let automaton = automaton.map_err(io::Error::other)?;
        let mut letters = word.chars();
        let (Some(first), Some(second)) = (letters.next(), letters.next()) else {
            return Ok(HashSet::new());
        };
        // The first letter is rarely wrong by itself, and words that differ in it have nothing in common.
        let after = (first..=char::MAX).nth(1).unwrap_or(char::MAX);
        let mut found = HashSet::from([format!("{second}{first}{}", letters.as_str())]);
        for segment in self.places.iter().flatten() {
            let near = (words.of)(segment).terms().search(&automaton);
            let near = near.ge(first.to_string()).lt(after.to_string());
            let mut near = near.into_stream()?;
            while near.advance() {
                let near = std::str::from_utf8(near.key()).unwrap_or_default();
                if near.chars().all(char::is_alphabetic) {
                    found.insert(near.to_owned());
                }
            }
        }
        found.remove(word);
        Ok(found)
    }

    fn most_frequent(
        &self,
        words: Words,
        candidates: impl IntoIterator<Item = String>,
        fits: impl Fn(&str) -> bool,
    ) -> io::Result<Option<String>> {
        let mut best: Option<(u64, String)> = None;
        for candidate in candidates {
            let frequency = self.frequency(words, &candidate)?;
            let better = best.as_ref().is_none_or(|(most, first)| {
                frequency > *most || (frequency == *most && candidate < *first)
            });
            if frequency > 0 && better && fits(&candidate) {
                best = Some((frequency, candidate));
            }
        }
        Ok(best.map(|(_, word)| word))
    }

    /// How many chunks alive have a word.
    fn frequency(&self, words: Words, word: &str) -> io::Result<u64> {
        let term = Term::from_field_text(words.field, word);
        let mut frequency = 0;
        for segment in self.places.iter().flatten() {
            let index = (words.of)(segment);
            frequency += segment.live_df(index, &term)?;
        }
        Ok(frequency)
    }

    /// Words, as they stand, that begin with `stem`.
    fn beginning_with(&self, stem: &str) -> io::Result<HashSet<String>> {
        let mut found = HashSet::new();
        for segment in self.places.iter().flatten() {
            let range = segment.exact.terms().range().ge(stem);
            let mut words = range.into_stream()?;
            while found.len() < ENDINGS_MAX && words.advance() {
                match std::str::from_utf8(words.key()) {
                    Ok(word) if word.starts_with(stem) => found.insert(word.to_owned()),
                    _ => break,
                };
            }
        }
        Ok(found)
    }
}

/// What finds its neighbours takes memory by its length, and it is no word.
fn too_long(word: &str) -> bool {
    word.len() > BYTES_MAX
}

fn long(word: &str) -> bool {
    word.chars().nth(LETTERS_MIN - 1).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{open, replacement, text_chunk};

    #[test]
    fn a_near_word_differs_in_a_letter_or_a_swap_and_begins_alike() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let near = ["act", "ca", "cart", "cats", "ct", "cut"];
        let far = "dogs tac carts bat at scat cat ca7";
        let text = format!("{} {far}", near.join(" "));
        let batch = [replacement(1, [text_chunk(1, &text)])];
        index.apply(&batch, 1).unwrap();
        let published = index.published();
        let segments = &published.segments;
        let found = segments.near(segments.exact_words(), "cat").unwrap();
        assert_eq!(found, near.map(str::to_owned).into());
    }

    #[test]
    fn a_word_that_nothing_has_is_replaced_by_the_most_frequent_near_one() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let batch = [
            replacement(1, [text_chunk(1, "the connection is closed")]),
            replacement(2, [text_chunk(2, "one scanner scans a connection")]),
            replacement(3, [text_chunk(3, "a spanner")]),
            replacement(4, [text_chunk(4, "one spanner")]),
        ];
        index.apply(&batch, 1).unwrap();
        let of = |query: &str| {
            let (text, corrections) = index.corrected(query).unwrap();
            let pairs = corrections
                .into_iter()
                .map(|c| format!("{} {}", c.from, c.to));
            (text, pairs.collect::<Vec<_>>())
        };
        let none = |query: &str| (query.to_owned(), Vec::new());
        assert_eq!(
            of("Why is my conection clsoed?"),
            (
                "Why is my connection closed?".to_owned(),
                vec![
                    "conection connection".to_owned(),
                    "clsoed closed".to_owned()
                ]
            )
        );
        // Another ending than the index has.
        assert_eq!(of("conections").1, ["conections connection"]);
        assert_eq!(of("sanner").1, ["sanner spanner"], "the more frequent one");
        let endless = "conection".repeat(10_000);
        for query in [
            endless.as_str(),
            "connections",
            "zzqqxx",
            "cat",
            "conn3ction",
            "\"conection\"",
            "",
        ] {
            assert_eq!(of(query), none(query));
        }
        // What is deleted is no word any more.
        index
            .apply(&[2, 3, 4].map(|document| replacement(document, [])), 2)
            .unwrap();
        assert_eq!(of("sanner"), none("sanner"));
    }
}
