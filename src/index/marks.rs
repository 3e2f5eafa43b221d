//! Which words of a text a query means: for a terminal to highlight.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use tantivy::tokenizer::TextAnalyzer;

use super::analyse::{Terms, analyser, each_of, identifier_pieces};
use super::phrase::Phrase;
use super::words::{WordKind, WordPiece, WordPieces};

/// Marks the words of texts that one query looks for.
///
/// Words are compared as the index compares them: without case, accents and endings. Of a compound identifier
/// that is not looked for as a whole, the pieces that are looked for are marked; a quoted part is marked as it stands.
pub(super) struct Highlighter {
    terms: HashSet<String>,
    /// Which bytes the terms begin with.
    firsts: [bool; 256],
    phrases: Vec<Phrase>,
    /// The words that were judged before: most stand in many texts.
    judged: HashMap<String, bool>,
    analyser: TextAnalyzer,
}

impl Highlighter {
    pub(super) fn new(query: Terms) -> Self {
        let mut firsts = [false; 256];
        for first in query.scored.iter().filter_map(|term| term.bytes().next()) {
            firsts[usize::from(first)] = true;
        }
        Self {
            terms: query.scored.into_iter().collect(),
            firsts,
            phrases: query.phrases,
            judged: HashMap::new(),
            analyser: analyser(),
        }
    }

    /// The byte ranges of the words of `text` that are looked for, ascending and apart from each other.
    pub(super) fn marks(&mut self, text: &str) -> Vec<Range<usize>> {
        let mut marks = self.words(text);
        let mut pieces = identifier_pieces(text);
        pieces.retain(|piece| self.wants(&text[piece.clone()]) && !covered(&marks, piece));
        marks.extend(pieces);
        marks.extend(self.phrases.iter().flat_map(|phrase| phrase.places(text)));
        marks.sort_by_key(|mark| (mark.start, mark.end));
        marks.dedup_by(|next, before| {
            let overlap = next.start < before.end;
            if overlap {
                before.end = before.end.max(next.end);
            }
            overlap
        });
        marks
    }

    /// Whether a word is looked for.
    fn wants(&mut self, word: &str) -> bool {
        // Of a word in ASCII only the end is cut, so most are told by their first letter.
        let may_be = |first: u8| self.firsts[usize::from(first.to_ascii_lowercase())];
        if word.is_ascii() && !word.bytes().next().is_some_and(may_be) {
            return false;
        }
        if let Some(judged) = self.judged.get(word) {
            return *judged;
        }
        let mut found = false;
        each_of(&mut self.analyser, word, |term| {
            found = self.terms.contains(term);
            !found
        });
        self.judged.insert(word.to_owned(), found);
        found
    }

    /// The words of `text` that are looked for, and the characters of scripts without spaces.
    fn words(&mut self, text: &str) -> Vec<Range<usize>> {
        let mut marks: Vec<Range<usize>> = Vec::new();
        let mut pieces = WordPieces::new(text);
        let mut folded = String::new();
        // The character before, if it is of a script without spaces.
        let mut before: Option<(WordPiece, String)> = None;
        while let Some(piece) = pieces.next(&mut folded) {
            let range = piece.range.clone();
            match piece.kind {
                WordKind::Word if self.wants(&text[range.clone()]) => marks.push(range),
                WordKind::Dense => {
                    let pair = before
                        .take()
                        .filter(|_| !piece.spaced)
                        .filter(|(_, first)| self.terms.contains(&format!("{first}{folded}")));
                    let start = match pair {
                        Some((first, _)) => first.range.start,
                        None if self.terms.contains(&folded) => range.start,
                        None => range.end,
                    };
                    match marks.last_mut().filter(|last| last.end >= start) {
                        Some(last) if start < range.end => last.end = range.end,
                        None if start < range.end => marks.push(start..range.end),
                        _ => {}
                    }
                }
                _ => {}
            }
            before = (piece.kind == WordKind::Dense).then(|| (piece, folded.clone()));
        }
        marks
    }
}

/// Whether one of `marks`, which ascend, contains `piece`.
fn covered(marks: &[Range<usize>], piece: &Range<usize>) -> bool {
    let after = marks.partition_point(|mark| mark.start <= piece.start);
    after > 0 && marks[after - 1].end >= piece.end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::analyse::{each_term, query_terms};
    use super::*;

    fn marked<'a>(query: &str, text: &'a str) -> Vec<&'a str> {
        Highlighter::new(query_terms(query))
            .marks(text)
            .into_iter()
            .map(|mark| &text[mark])
            .collect()
    }

    #[test]
    fn words_are_marked_in_whatever_form_they_stand() {
        let text = "Configure it; the confusion is configured. A CONFIGURING café.";
        assert_eq!(
            marked("how to configure", text),
            ["Configure", "configured", "CONFIGURING"]
        );
        assert_eq!(marked("\"confusions of a file\"", text), ["confusion"]);
        assert_eq!(marked("cafe", text), ["café"]);
        assert_eq!(marked("café", "a cafe\u{301}, twice"), ["cafe\u{301}"]);
        assert_eq!(marked("nothing", text), [""; 0]);
    }

    #[test]
    fn what_is_written_without_spaces_or_in_quotes_is_marked_too() {
        assert_eq!(marked("虚拟机", "这是一个虚拟机数据"), ["虚拟机"]);
        assert_eq!(marked("天気", "天と明日の天気は気"), ["天気"]);
        assert_eq!(marked("気", "天気は気"), ["気", "気"]);
        assert_eq!(
            marked("donauschiff", "Do\u{AD}nau\u{AD}schiff!"),
            ["Do\u{AD}nau\u{AD}schiff"]
        );
        assert_eq!(marked("\"C++\"", "in C++ and C"), ["C++", "C"]);
        assert_eq!(marked("party \"🎉\"", "Party 🎉"), ["Party", "🎉"]);
    }

    #[test]
    fn an_identifier_is_marked_whole_or_by_its_pieces() {
        let text = "call readBlockPostings(x) or read_block";
        assert_eq!(marked("readBlockPostings", text)[0], "readBlockPostings");
        assert_eq!(marked("block", text), ["Block", "block"]);
    }

    #[test]
    fn irregular_forms_are_marked_too() {
        for (query, word) in [
            ("die", "dying"),
            ("sky", "Skies"),
            ("idle", "idly"),
            ("4th", "4th"),
        ] {
            let same = query_terms(query).scored == query_terms(word).scored;
            assert_eq!(!marked(query, word).is_empty(), same, "{query} {word}");
        }
    }

    proptest! {
        #[test]
        fn the_first_letter_of_a_word_in_ascii_is_that_of_its_term(word in "[a-zA-Z0-9]{1,12}") {
            each_term(&word, |term| {
                assert_eq!(term.as_bytes()[0], word.as_bytes()[0].to_ascii_lowercase());
                true
            });
        }

        #[test]
        fn marks_ascend_apart_and_on_boundaries(query in "[a-cA-C_ ]{0,12}", text in "([a-cA-C_ é]|\u{301}|\\PC){0,60}") {
            let marks = Highlighter::new(query_terms(&query)).marks(&text);
            prop_assert!(marks.iter().all(|mark| text.get(mark.clone()).is_some_and(|word| !word.is_empty())));
            prop_assert!(marks.windows(2).all(|two| two[0].end <= two[1].start));
        }
    }
}
