//! From text to terms: of chunks when they are indexed, and of queries in the same way.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer,
};
use unicode_normalization::UnicodeNormalization;

use super::phrase::Phrase;
use super::symbols::{Symbols, symbols};
use super::words::{WordKind, WordPieces, visible};

/// How much of a query is read, in bytes. What comes after is left out, and the answer says so.
pub(crate) const MAX_QUERY_BYTES: usize = 64 * 1024;
/// How many distinct terms a query has at most, and how many words and signs its quoted parts have together.
pub(crate) const MAX_QUERY_TERMS: usize = 256;

/// Words so frequent that they say nothing; a query leaves them out unless it has no others.
pub(super) const STOP_WORDS: &str = "a about above after again against all am an and any are as at be \
    because been before being below between both but by can could did do does doing down during each few for \
    from further had has have having he her here hers him his how i if in into is it its itself just me more \
    most my no nor not now of off on once only or other our out over own same she should so some such than \
    that the their them then there these they this those through to too under until up very was we were what \
    when where which while who whom why will with would you your";

/// How many pieces of the chunks after it are known to the index of each chunk, for phrases that run on.
pub(super) const LOOKAHEAD: usize = 24;
/// The same in bytes: a word without an end, such as a dump of bytes in hex, runs on through all chunks after it.
pub(super) const LOOKAHEAD_BYTES: usize = 2048;

static ANALYSER: LazyLock<TextAnalyzer> = LazyLock::new(|| analyser_of(Scored { query: false }));
static QUERY_ANALYSER: LazyLock<TextAnalyzer> =
    LazyLock::new(|| analyser_of(Scored { query: true }));

fn analyser_of(words: Scored) -> TextAnalyzer {
    TextAnalyzer::builder(words)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

static STOP_TERMS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut stop_terms = HashSet::new();
    each_term(STOP_WORDS, |term| {
        stop_terms.insert(term.to_owned());
        true
    });
    stop_terms
});

/// Whether `term` is of a word so frequent that it says nothing.
pub(super) fn is_stop_term(term: &str) -> bool {
    STOP_TERMS.contains(term)
}

/// The term that a word is scored by, if it is one.
pub(super) fn term_of(word: &str) -> Option<String> {
    let mut terms = Vec::new();
    each_term(word, |term| {
        terms.push(term.to_owned());
        terms.len() < 2
    });
    (terms.len() == 1).then(|| terms.remove(0))
}

/// The analyser of what is scored: words without case, accents and endings; no signs. A row of characters of a script
/// without spaces gives each of them and each two neighbours, for its words are not told.
pub(super) fn analyser() -> TextAnalyzer {
    ANALYSER.clone()
}

/// The analyser of what quoted parts are compared with: every piece as it stands. Two steps lie between pieces with white
/// space between them, one between others.
pub(super) fn exact_analyser() -> TextAnalyzer {
    TextAnalyzer::from(Exact)
}

/// Hands the terms of a text to `take`, in order, until it returns false.
pub(super) fn each_term(text: &str, take: impl FnMut(&str) -> bool) {
    each_of(&mut analyser(), text, take);
}

/// The same of a query: of a row of characters without spaces its pairs alone, which say more.
fn each_query_term(text: &str, take: impl FnMut(&str) -> bool) {
    each_of(&mut QUERY_ANALYSER.clone(), text, take);
}

/// Hands the terms that `analyser` gives to `take`, until it returns false. Who has many words keeps an analyser: making one
/// takes as long as a word.
pub(super) fn each_of(analyser: &mut TextAnalyzer, text: &str, mut take: impl FnMut(&str) -> bool) {
    let mut stream = analyser.token_stream(text);
    while stream.advance() && take(&stream.token().text) {}
}

/// Gives the terms of words, before their accents and endings are cut.
#[derive(Clone)]
struct Scored {
    query: bool,
}

impl Tokenizer for Scored {
    type TokenStream<'a> = ScoredStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> ScoredStream<'a> {
        ScoredStream {
            pieces: WordPieces::new(text),
            query: self.query,
            token: Token::default(),
            before: String::new(),
            alone: false,
            next: String::new(),
        }
    }
}

struct ScoredStream<'a> {
    pieces: WordPieces<'a>,
    query: bool,
    token: Token,
    /// The character before, if the next one may make a pair with it; else empty.
    before: String,
    /// Whether `before` is in no pair yet.
    alone: bool,
    /// The term after this one, if it is known already.
    next: String,
}

impl ScoredStream<'_> {
    /// Takes note of a character of a script without spaces, which is in the token; whether there is a term for it.
    fn dense(&mut self, spaced: bool) -> bool {
        let character = self.token.text.clone();
        let paired = !spaced && !self.before.is_empty();
        let pair = || format!("{}{character}", self.before);
        let is_term = match (self.query, paired) {
            (false, paired) => {
                self.next = if paired { pair() } else { String::new() };
                true
            }
            (true, true) => {
                self.token.text = pair();
                true
            }
            (true, false) => {
                self.token.text.clone_from(&self.before);
                self.alone && !self.before.is_empty()
            }
        };
        self.alone = !paired;
        self.before = character;
        is_term
    }

    /// Ends a row of such characters; whether the last of them is a term by itself.
    fn end_row(&mut self) -> bool {
        let alone = self.query && self.alone && !self.before.is_empty();
        if alone {
            std::mem::swap(&mut self.next, &mut self.token.text);
            self.token.text.clone_from(&self.before);
        }
        self.before.clear();
        alone
    }
}

impl TokenStream for ScoredStream<'_> {
    fn advance(&mut self) -> bool {
        self.token.position = self.token.position.wrapping_add(1);
        if !self.next.is_empty() {
            self.token.text.clear();
            std::mem::swap(&mut self.next, &mut self.token.text);
            return true;
        }
        while let Some(piece) = self.pieces.next(&mut self.token.text) {
            let is_term = match piece.kind {
                WordKind::Dense => self.dense(piece.spaced),
                WordKind::Word => {
                    self.end_row();
                    cut_accents(&mut self.token.text);
                    true
                }
                WordKind::Sign => {
                    self.token.text.clear();
                    self.end_row()
                }
            };
            if is_term {
                return true;
            }
        }
        self.token.text.clear();
        self.end_row()
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// Cuts what is written above, below or between letters and often left out: accents, vowel points, the stretching of a line. й, ї
/// and ў are letters of their own, and the marks of scripts such as Devanagari are vowels.
fn cut_accents(word: &mut String) {
    if word.is_ascii() || !word.nfd().any(is_accent) {
        return;
    }
    let mut base = ' ';
    let kept = word.nfd().filter(|&part| {
        if !is_accent(part) {
            base = part;
            return true;
        }
        matches!((base, part), ('и' | 'у', '\u{306}') | ('і', '\u{308}'))
    });
    *word = kept.nfc().collect();
}

fn is_accent(part: char) -> bool {
    matches!(part,
        '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5C7}' | '\u{610}'..='\u{61A}' | '\u{640}' | '\u{64B}'..='\u{65F}' | '\u{670}')
}

/// Gives every piece as it stands.
#[derive(Clone)]
struct Exact;

impl Tokenizer for Exact {
    type TokenStream<'a> = ExactStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> ExactStream<'a> {
        // Further from what was added before than two pieces of a text can be.
        let token = Token {
            position: 2,
            ..Token::default()
        };
        ExactStream {
            pieces: WordPieces::new(text),
            token,
        }
    }
}

struct ExactStream<'a> {
    pieces: WordPieces<'a>,
    token: Token,
}

impl TokenStream for ExactStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(piece) = self.pieces.next(&mut self.token.text) else {
            return false;
        };
        self.token.position += if piece.spaced { 2 } else { 1 };
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
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
            let part = at..run(&bytes[..end], at, |b| b != b'_');
            let before = pieces.len();
            split_at_humps(bytes, part.clone(), &mut pieces);
            if pieces.len() == before + 1 {
                pieces.pop();
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

/// Splits letters and digits by `[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+`, and adds the pieces.
fn split_at_humps(bytes: &[u8], part: Range<usize>, pieces: &mut Vec<Range<usize>>) {
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
}

/// A query as the index looks for it.
#[derive(Debug, PartialEq)]
pub(super) struct Terms {
    /// The distinct terms of the query and of its identifiers' pieces, without stop words, sorted.
    pub(super) scored: Vec<String>,
    /// The words as they are written, without case.
    pub(super) words: Vec<String>,
    /// The quoted parts, in order.
    pub(super) phrases: Vec<Phrase>,
    /// There is nothing but quoted parts.
    pub(super) all_quoted: bool,
    /// The query as it stands, if it has words and no quoted part.
    pub(super) verbatim: Option<Phrase>,
    /// The names of code.
    pub(super) symbols: Symbols,
    /// A part of the query was left out, because it is longer than [`MAX_QUERY_BYTES`] or has more terms than
    /// [`MAX_QUERY_TERMS`].
    pub(super) cut: bool,
}

impl Terms {
    /// The numbers of the quoted parts that must be contained: all of them where there is nothing else or `exact` is asked for,
    /// else those without a word. Such a part has no other meaning than itself.
    pub(super) fn required(&self, exact: bool) -> Vec<usize> {
        let phrases = self.phrases.iter().enumerate();
        let required = phrases.filter(|(_, phrase)| self.requires(phrase, exact));
        required.map(|(number, _)| number).collect()
    }

    /// Whether one of them must be contained.
    pub(super) fn requires(&self, phrase: &Phrase, exact: bool) -> bool {
        exact || self.all_quoted || !phrase.has_words()
    }
}

/// What the index looks for when asked for `query`. Any text will do.
pub(super) fn query_terms(query: &str) -> Terms {
    let end = query.floor_char_boundary(MAX_QUERY_BYTES);
    let mut cut = end < query.len();
    let query = &query[..end];

    let mut scored = Distinct::default();
    each_query_term(query, |term| scored.add(term));
    let text = visible(query);
    for piece in identifier_pieces(&text) {
        each_query_term(&text[piece], |term| scored.add(term));
    }
    cut |= scored.full;
    let scored = scored.sorted();

    let words = query.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words = words.take(MAX_QUERY_TERMS).map(str::to_lowercase).collect();

    let ranges = quoted_parts(query);
    let mut quoted: Vec<&str> = ranges.iter().map(|range| &query[range.clone()]).collect();
    let mut all_quoted = !quoted.is_empty() && is_blank(&without(query, &ranges));
    if scored.is_empty() && quoted.is_empty() {
        // Signs alone can only mean themselves.
        quoted.push(query.trim_matches(|c: char| c.is_whitespace() || closing(c).is_some()));
        all_quoted = true;
    }
    let mut room = MAX_QUERY_TERMS;
    let mut phrases = Vec::new();
    for quoted in quoted {
        if let Some(mut phrase) = Phrase::new(quoted, room + 1) {
            cut |= phrase.parts.len() > room;
            phrase.parts.truncate(room);
            room -= phrase.parts.len();
            if !phrase.parts.is_empty() && !phrases.contains(&phrase) {
                phrases.push(phrase);
            }
        }
    }
    let verbatim = match phrases.is_empty() {
        true => Phrase::new(query, MAX_QUERY_TERMS).filter(Phrase::has_words),
        false => None,
    };
    Terms {
        scored,
        words,
        phrases,
        all_quoted,
        verbatim,
        symbols: symbols(query),
        cut,
    }
}

/// Whether there is nothing but white space and quotation marks in a query.
pub(crate) fn is_blank(text: &str) -> bool {
    let counts = |c: char| !c.is_whitespace() && closing(c).is_none() && !matches!(c, '」' | '』');
    !text.chars().any(counts)
}

/// `text` with a space in the place of each of `ranges`.
fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let mut rest = String::new();
    let mut at = 0;
    for range in ranges {
        rest.push_str(&text[at..range.start]);
        rest.push(' ');
        at = range.end;
    }
    rest.push_str(&text[at..]);
    rest
}

/// What stands between quotation marks, straight or typographic. A mark that is not closed is none.
pub(super) fn quoted_parts(query: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some((open, mark)) = query[at..].char_indices().find_map(|(offset, c)| {
        let inches = c == '"' && query[..at + offset].ends_with(|c: char| c.is_ascii_digit());
        closing(c).filter(|_| !inches).map(|_| (at + offset, c))
    }) {
        let inner = open + mark.len_utf8();
        let closing = closing(mark).unwrap_or_default();
        match query[inner..].find(closing) {
            Some(length) => {
                parts.push(inner..inner + length);
                let close = query[inner + length..].chars().next();
                at = inner + length + close.map_or(0, char::len_utf8);
            }
            None => at = inner,
        }
    }
    parts
}

/// The marks that may close what this one opens; languages use the same ones in different ways.
fn closing(mark: char) -> Option<&'static [char]> {
    Some(match mark {
        '"' | '\u{FF02}' => &['"', '\u{FF02}'],
        '“' | '„' | '‟' | '”' => &['“', '”', '‟', '"'],
        '«' => &['»'],
        '»' => &['«', '»'],
        '「' => &['」'],
        '『' => &['』'],
        _ => return None,
    })
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
        assert_eq!(scored("Ελλάδα ΕΛΛΑΔΑ ελλαδα"), ["ελλαδα"]);
        assert_eq!(scored("ёлка елка за\u{301}мок замок"), ["елка", "замок"]);
        assert_eq!(scored("мой моі їжак іжак"), ["мой", "моі", "іжак", "їжак"]);
        assert_eq!(scored("مُحَمَّد محمد محـمد"), ["محمد"]);
        assert_eq!(scored("שָׁלוֹם שלום"), ["שלום"]);
        assert_eq!(scored("हिन्दी").len(), 1);
        assert_ne!(scored("हिन्दी"), scored("हनद"));
        assert_eq!(scored(" \"*(!?) "), [""; 0]);
    }

    fn phrases(query: &str) -> Vec<String> {
        let shown = |phrase: &Phrase| {
            let parts = phrase.parts.iter();
            let parts = parts.map(|p| format!("{}{}", if p.spaced { " " } else { "" }, p.folded));
            parts.collect()
        };
        query_terms(query).phrases.iter().map(shown).collect()
    }

    #[test]
    fn quoted_parts_are_phrases() {
        assert_eq!(
            phrases("a \"Quick  foxes\" b \"the\""),
            ["quick foxes", "the"]
        );
        assert_eq!(
            phrases("\"C++\" \"🎉\" \"a.b ->\""),
            ["c++", "🎉", "a.b ->"]
        );
        assert_eq!(phrases("\"\" \" \" \"*\""), ["*"]);
        for query in [
            "x “a b” y",
            "x „a b“ y",
            "x „a b” y",
            "x ”a b” y",
            "x «a b» y",
            "x »a b« y",
            "x »a b» y",
            "x “a b\" y",
            "x＂a b＂y",
            "查找「a b」",
            "查找\"a b\"",
        ] {
            assert_eq!(phrases(query), ["a b"], "{query}");
        }
    }

    #[test]
    fn a_mark_that_is_not_closed_is_none() {
        assert_eq!(phrases("\"closed\" \"open end"), ["closed"]);
        assert_eq!(phrases("a 5\" disk or a 6\" one"), [""; 0]);
        assert_eq!(phrases("a \"5\" disk"), ["5"]);
        assert_eq!(phrases("« a"), [""; 0]);
        assert_eq!(phrases("it's 'so'"), [""; 0]);
    }

    #[test]
    fn signs_alone_mean_themselves() {
        assert_eq!(phrases(" -> "), ["->"]);
        assert_eq!(phrases("🎉"), ["🎉"]);
        assert_eq!(phrases("\""), [""; 0]);
        assert_eq!(phrases("a ->"), [""; 0]);
    }

    #[test]
    fn of_characters_without_spaces_pairs_are_looked_for() {
        let terms = |text: &str| {
            let mut terms = Vec::new();
            each_term(text, |term| {
                terms.push(term.to_owned());
                true
            });
            terms
        };
        assert_eq!(
            terms("虚拟机 VM型,x"),
            ["虚", "拟", "虚拟", "机", "拟机", "vm", "型", "x"]
        );
        assert_eq!(scored("虚拟机"), ["拟机", "虚拟"]);
        assert_eq!(scored("机"), ["机"]);
        assert_eq!(
            scored("a机b 数,据 天 気"),
            ["b", "天", "据", "数", "机", "気"]
        );
        assert_eq!(scored("機x天気"), ["x", "天気", "機"]);
        assert_eq!(scored("อากาศ"), ["กา", "อา", "าก", "าศ"]);
        for (written, found) in [
            ("ﾀﾞﾀ", "ダタ"),
            ("Do\u{AD}nau", "donau"),
            ("Ｆｕｌｌ", "full"),
        ] {
            assert_eq!(scored(written), scored(found), "{written}");
        }
    }

    #[test]
    fn the_exact_analyser_tells_where_white_space_is() {
        let mut analyser = exact_analyser();
        let mut stream = analyser.token_stream("C++ a.b");
        let mut positions = Vec::new();
        while stream.advance() {
            positions.push((stream.token().text.clone(), stream.token().position));
        }
        let expected = [("c", 3), ("+", 4), ("+", 5), ("a", 7), (".", 8), ("b", 9)];
        assert_eq!(positions, expected.map(|(text, at)| (text.to_owned(), at)));
    }

    #[test]
    fn a_query_without_end_is_cut_and_says_so() {
        let words: String = (0..300).map(|i| format!("word{i} ")).collect();
        let terms = query_terms(&words);
        assert_eq!((terms.scored.len(), terms.cut), (MAX_QUERY_TERMS, true));
        let phrase = query_terms(&format!("\"{}\"", "abc ".repeat(MAX_QUERY_TERMS + 1)));
        assert_eq!(
            (phrase.phrases[0].parts.len(), phrase.cut),
            (MAX_QUERY_TERMS, true)
        );
        let whole = query_terms(&format!("\"{}\"", "abc ".repeat(MAX_QUERY_TERMS)));
        assert_eq!(
            (whole.phrases[0].parts.len(), whole.cut),
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
            prop_assert!(terms.phrases.iter().all(|phrase| !phrase.parts.is_empty()));
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
