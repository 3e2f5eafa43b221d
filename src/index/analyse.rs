//! From text to terms: of passages when they are indexed, and of queries in the same way.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, SimpleTokenizer, Stemmer, TextAnalyzer,
};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// How much of a query is read, in bytes. What comes after is left out, and the answer says so.
pub const MAX_QUERY_BYTES: usize = 64 * 1024;
/// How many distinct terms a query has at most, and how many words its phrases have together.
pub const MAX_QUERY_TERMS: usize = 256;

/// Words so frequent that they say nothing; a query leaves them out unless it has no others.
pub(super) const STOP_WORDS: &str = "a about above after again against all am an and any are as at be \
    because been before being below between both but by can could did do does doing down during each few for \
    from further had has have having he her here hers him his how i if in into is it its itself just me more \
    most my no nor not now of off on once only or other our out over own same she should so some such than \
    that the their them then there these they this those through to too under until up very was we were what \
    when where which while who whom why will with would you your";

static ANALYSER: LazyLock<TextAnalyzer> = LazyLock::new(|| {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
});

static STOP_TERMS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut stop_terms = HashSet::new();
    each_term(STOP_WORDS, |term| {
        stop_terms.insert(term.to_owned());
        true
    });
    stop_terms
});

/// The analyser of the index.
pub(super) fn analyser() -> TextAnalyzer {
    ANALYSER.clone()
}

/// `text` in Unicode's normal form C: otherwise the tokenizer splits at combining marks inside a word.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().collect()),
    }
}

/// Hands the terms of a normalised text to `take`, in order, until it returns false.
pub(super) fn each_term(text: &str, mut take: impl FnMut(&str) -> bool) {
    let mut analyser = analyser();
    let mut stream = analyser.token_stream(text);
    while stream.advance() && take(&stream.token().text) {}
}

/// The pieces of the compound identifiers in `text`, in order: `read`, `HTTP` and `Body` of `readHTTPBody`.
///
/// An identifier is split at underscores; a part of it counts as compound if it changes case or has digits inside.
pub(super) fn identifier_pieces(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_alphabetic() || bytes[at] == b'_') {
            at += 1;
            continue;
        }
        let end = run(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_');
        while at < end {
            let part = at..run(bytes, at, |b| b != b'_').min(end);
            let split = split_at_humps(bytes, part.clone());
            if split.len() > 1 {
                pieces.extend(split);
            }
            at = part.end + 1;
        }
        at = end;
    }
    pieces
}

/// The end of the run from `start` on of bytes that `belongs` accepts.
fn run(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let length = bytes[start..].iter().take_while(|&&b| belongs(b)).count();
    start + length
}

/// Splits letters and digits by `[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+`.
fn split_at_humps(bytes: &[u8], part: Range<usize>) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut at = part.start;
    let run = |from, belongs: fn(&u8) -> bool| run(bytes, from, |b| belongs(&b)).min(part.end);
    while at < part.end {
        let capitals = run(at, u8::is_ascii_uppercase);
        let lower = run(capitals, u8::is_ascii_lowercase);
        let end = match capitals - at {
            _ if lower == capitals && capitals > at => capitals,
            // The last capital begins the next word.
            2.. => capitals - 1,
            _ if lower > capitals => lower,
            _ => run(at, u8::is_ascii_digit),
        };
        pieces.push(at..end);
        at = end;
    }
    pieces
}

/// A query as the index looks for it.
#[derive(Debug, PartialEq)]
pub(super) struct Terms {
    /// The distinct terms of the query and of its identifiers' pieces, without stop words, sorted.
    pub(super) scored: Vec<String>,
    /// The terms of each quoted part, in order; none is empty.
    pub(super) phrases: Vec<Vec<String>>,
    /// A part of the query was left out, because it is longer than [`MAX_QUERY_BYTES`] or has more terms than
    /// [`MAX_QUERY_TERMS`].
    pub(super) cut: bool,
}

/// What the index looks for when asked for `query`. Any text will do.
pub(super) fn query_terms(query: &str) -> Terms {
    let end = query.floor_char_boundary(MAX_QUERY_BYTES);
    let mut cut = end < query.len();
    let text = normalised(&query[..end]);

    let mut scored = Distinct::default();
    each_term(&text, |term| scored.add(term));
    for piece in identifier_pieces(&text) {
        each_term(&text[piece], |term| scored.add(term));
    }
    cut |= scored.full;

    let mut room = MAX_QUERY_TERMS;
    let mut phrases = Vec::new();
    let parts: Vec<&str> = text.split('"').collect();
    // Every second part is quoted; the last one has no closing quote.
    for quoted in parts[..parts.len() - 1].iter().skip(1).step_by(2) {
        let mut phrase = Vec::new();
        each_term(quoted, |term| {
            cut |= room == 0;
            if room > 0 {
                room -= 1;
                phrase.push(term.to_owned());
            }
            room > 0 || !cut
        });
        if !phrase.is_empty() {
            phrases.push(phrase);
        }
    }
    Terms {
        scored: scored.sorted(),
        phrases,
        cut,
    }
}

/// Distinct terms, stop words apart.
#[derive(Default)]
struct Distinct {
    words: BTreeSet<String>,
    stop_words: BTreeSet<String>,
    full: bool,
}

impl Distinct {
    /// Adds a term; false if there is no room for it.
    fn add(&mut self, term: &str) -> bool {
        if STOP_TERMS.contains(term) {
            self.stop_words.insert(term.to_owned());
        } else if !self.words.contains(term) {
            self.full = self.words.len() == MAX_QUERY_TERMS;
            if !self.full {
                self.words.insert(term.to_owned());
            }
        }
        !self.full
    }

    /// The words; the stop words if there are no others.
    fn sorted(self) -> Vec<String> {
        let terms = if self.words.is_empty() {
            self.stop_words
        } else {
            self.words
        };
        terms.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        identifier_pieces(text)
            .into_iter()
            .map(|piece| &text[piece])
            .collect()
    }

    fn scored(query: &str) -> Vec<String> {
        query_terms(query).scored
    }

    #[test]
    fn identifiers_are_split_where_their_case_changes() {
        assert_eq!(pieces("readBlockPostings"), ["read", "Block", "Postings"]);
        assert_eq!(
            pieces("HTTPServer parseHTTP2Body"),
            ["HTTP", "Server", "parse", "HTTP", "2", "Body"]
        );
        assert_eq!(
            pieces("utf8 ABc aB A1"),
            ["utf", "8", "A", "Bc", "a", "B", "A", "1"]
        );
        assert_eq!(
            pieces("snake_case __init__ plain UPPER Word 42 9lives"),
            [""; 0]
        );
        assert_eq!(pieces("get_maxValue_x2"), ["max", "Value", "x", "2"]);
        assert_eq!(pieces("éaB_ \u{1F600}cD é"), ["a", "B", "c", "D"]);
    }

    #[test]
    fn a_query_is_its_distinct_terms_without_stop_words() {
        assert_eq!(
            scored("How do I Configure the configured ports?"),
            ["configur", "port"]
        );
        assert_eq!(
            scored("what is it"),
            ["is", "it", "what"],
            "nothing else remains"
        );
        assert_eq!(scored("readBlock"), ["block", "read", "readblock"]);
        assert_eq!(scored("cafe\u{301} café CAFÉ"), ["cafe"]);
        assert_eq!(scored(" \"*(!?) "), [""; 0]);
    }

    #[test]
    fn quoted_parts_are_phrases() {
        let phrases = |query| query_terms(query).phrases;
        assert_eq!(
            phrases("a \"Quick foxes\" b \"the\""),
            [vec!["quick", "fox"], vec!["the"]]
        );
        assert_eq!(phrases("\"\" \"*\""), Vec::<Vec<String>>::new());
        assert_eq!(phrases("\"closed\" \"open end"), [["close"]]);
    }

    #[test]
    fn a_query_without_end_is_cut_and_says_so() {
        let words: String = (0..300).map(|i| format!("word{i} ")).collect();
        let terms = query_terms(&words);
        assert_eq!((terms.scored.len(), terms.cut), (MAX_QUERY_TERMS, true));
        let phrase = query_terms(&format!("\"{}\"", "abc ".repeat(MAX_QUERY_TERMS + 1)));
        assert_eq!(
            (phrase.phrases[0].len(), phrase.cut),
            (MAX_QUERY_TERMS, true)
        );
        let whole = query_terms(&format!("\"{}\"", "abc ".repeat(MAX_QUERY_TERMS)));
        assert_eq!(
            (whole.phrases[0].len(), whole.cut),
            (MAX_QUERY_TERMS, false)
        );
        let long = query_terms(&"ü".repeat(MAX_QUERY_BYTES));
        assert_eq!((long.scored.len(), long.cut), (1, true));
    }

    #[test]
    fn the_stop_words_are_the_116_measured() {
        assert_eq!(STOP_WORDS.split(' ').count(), 116);
    }

    proptest! {
        #[test]
        fn any_query_is_within_its_bounds(query in "(\\PC|[\"aB_2 ]){0,200}") {
            let terms = query_terms(&query);
            prop_assert!(terms.scored.is_sorted());
            prop_assert!(terms.phrases.iter().all(|phrase| !phrase.is_empty()));
            prop_assert!(!terms.cut);
        }

        #[test]
        fn pieces_of_a_part_cover_it(text in "[A-Za-z0-9_ ]{0,60}") {
            let pieces = identifier_pieces(&text);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            prop_assert!(pieces.windows(2).all(|two| two[0].end <= two[1].start));
        }
    }
}
