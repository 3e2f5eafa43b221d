//! The one reading of a text that indexing, queries, quoted parts and highlighting share.
//!
//! A text is a row of *pieces*: words, single characters of scripts that are written without spaces, and signs. Pieces
//! are compared *folded*: however a letter is composed, capitalised or as wide, it is the same; what cannot be seen,
//! such as a soft hyphen, is not there. White space only counts as being there or not.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, decompose_compatible, is_combining_mark};

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordKind {
    /// Letters and digits in a row.
    Word,
    /// One character of a script without spaces.
    Dense,
    /// One character that is neither.
    Sign,
}

/// A part of a text that is compared as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WordPiece {
    pub(super) kind: WordKind,
    /// Its bytes in the text.
    pub(super) range: Range<usize>,
    /// Whether white space is in front of it.
    pub(super) spaced: bool,
}

/// Reads the pieces of a text.
pub(super) struct WordPieces<'a> {
    text: &'a str,
    at: usize,
    before: Option<WordKind>,
}

impl<'a> WordPieces<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            before: None,
        }
    }

    /// The next piece; `folded` becomes what it is compared by.
    pub(super) fn next(&mut self, folded: &mut String) -> Option<WordPiece> {
        folded.clear();
        let (mut spaced, mut line_end) = (false, false);
        let (start, kind) = loop {
            let character = self.text[self.at..].chars().next()?;
            let start = self.at;
            if character.is_whitespace() {
                spaced = true;
                line_end |= matches!(character, '\n' | '\r');
                self.at += character.len_utf8();
            } else if let Some(kind) = self.cluster(folded) {
                break (start, kind);
            }
        };
        if kind == WordKind::Word {
            self.rest_of_word(folded);
        }
        // Where there are no spaces between words, the end of a line is none either.
        let wrapped = kind == WordKind::Dense
            && self.before == Some(WordKind::Dense)
            && line_end
            && !folded.starts_with(is_hangul);
        self.before = Some(kind);
        Some(WordPiece {
            kind,
            range: start..self.at,
            spaced: spaced && !wrapped,
        })
    }

    fn rest_of_word(&mut self, folded: &mut String) {
        while let Some(character) = self.text[self.at..].chars().next() {
            if character.is_ascii() && !character.is_ascii_alphanumeric() {
                return;
            }
            let (at, length) = (self.at, folded.len());
            if character.is_whitespace()
                || self
                    .cluster(folded)
                    .is_some_and(|kind| kind != WordKind::Word)
            {
                self.at = at;
                folded.truncate(length);
                return;
            }
        }
    }

    /// Reads one character with what belongs to it; `None` if nothing of it can be seen.
    fn cluster(&mut self, folded: &mut String) -> Option<WordKind> {
        let bytes = self.text.as_bytes();
        let first = bytes[self.at];
        if first.is_ascii() && bytes.get(self.at + 1).is_none_or(u8::is_ascii) {
            self.at += 1;
            folded.push(first.to_ascii_lowercase() as char);
            return Some(match first.is_ascii_alphanumeric() {
                true => WordKind::Word,
                false => WordKind::Sign,
            });
        }
        let rest = &self.text[self.at..];
        let mut characters = rest.char_indices();
        let (_, first) = characters.next()?;
        let end = characters
            .find(|(_, c)| !continues(*c))
            .map_or(rest.len(), |(at, _)| at);
        self.at += end;
        let start = folded.len();
        match plain(first).filter(|_| end == first.len_utf8()) {
            Some(letter) => folded.push(letter),
            None => fold(&rest[..end], folded),
        }
        let shown = folded[start..].chars().next()?;
        Some(if is_dense(shown) && shown.is_alphanumeric() {
            WordKind::Dense
        } else if first.is_alphanumeric() || shown.is_alphanumeric() {
            WordKind::Word
        } else {
            WordKind::Sign
        })
    }
}

/// `text` without what cannot be seen, in Unicode's normal form C.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| !is_invisible(*c)).nfc().collect())
}

/// `text` from the line after its first `lines` ones on.
pub(super) fn after_lines(text: &str, lines: usize) -> &str {
    let mut rest = text;
    for _ in 0..lines {
        let Some(at) = rest.find(['\n', '\r']) else {
            return "";
        };
        let end = at + if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end..];
    }
    rest
}

/// The folded form of a letter of those that occur most, without the detour of [`fold`].
fn plain(letter: char) -> Option<char> {
    match letter {
        'À'..='Þ' | 'à'..='ÿ' | 'Ѐ'..='џ' => letter.to_lowercase().next(),
        'ก'..='ฮ' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '㐀'..='䶿' | '一'..='鿿' | '가'..='힣' => {
            Some(letter)
        }
        _ => None,
    }
}

/// Adds the folded form of one character with its marks to `folded`.
fn fold(cluster: &str, folded: &mut String) {
    let mut letters = String::new();
    for character in cluster.chars().filter(|c| !is_invisible(*c)) {
        decompose(character, |part| {
            // Down, up and down again is a full case folding: ß and ẞ become ss, a final sigma a sigma.
            for letter in part
                .to_lowercase()
                .flat_map(char::to_uppercase)
                .flat_map(char::to_lowercase)
            {
                // The dot of a capital İ: it is an i.
                if !(letter == '\u{307}' && letters.ends_with('i')) {
                    letters.push(letter);
                }
            }
        });
    }
    folded.extend(letters.nfc());
}

/// Takes a character apart: a ligature, a digraph or a letter of another width into its plain letters too.
fn decompose(character: char, mut take: impl FnMut(char)) {
    let plain = |part: char| part.is_alphanumeric() || is_combining_mark(part);
    let form = matches!(character, '\u{FF01}'..='\u{FFEE}');
    let mut compatible = form || character.is_alphanumeric();
    if compatible {
        decompose_compatible(character, |part| {
            compatible &= plain(part) || (form && !part.is_whitespace());
        });
    }
    // Thai and Lao AM would fall apart into a mark and a vowel.
    if compatible && !matches!(character, '\u{E33}' | '\u{EB3}') {
        decompose_compatible(character, &mut take);
    } else {
        decompose_canonical(character, &mut take);
    }
}

/// Whether a character belongs to the one before it.
fn continues(character: char) -> bool {
    !character.is_ascii()
        && (is_combining_mark(character)
            || is_invisible(character)
            // The vowels and finals of a Hangul syllable, the voicing marks of narrow katakana.
            || matches!(character, '\u{1160}'..='\u{11FF}' | '\u{FF9E}' | '\u{FF9F}'))
}

/// Whether a character is not shown: Unicode's Default_Ignorable_Code_Point.
#[rustfmt::skip]
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

fn is_hangul(character: char) -> bool {
    matches!(character, '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}')
}

/// Whether a character is of a script in which words are not, or not only, told by spaces.
#[rustfmt::skip]
fn is_dense(character: char) -> bool {
    is_hangul(character) || matches!(character,
        // Thai, Lao, Tibetan, Myanmar, Khmer, Tai Le, Tai Lue, Tai Tham, Balinese, Javanese, Cham, Tai Viet
        '\u{E00}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{1950}'..='\u{19FF}' | '\u{1A20}'..='\u{1AAF}'
        | '\u{1B00}'..='\u{1B7F}' | '\u{A980}'..='\u{A9FF}' | '\u{AA00}'..='\u{AADF}'
        // Han, Hiragana, Katakana, Bopomofo, Yi
        | '\u{2E80}'..='\u{2FDF}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{303C}'
        | '\u{3041}'..='\u{312F}' | '\u{31A0}'..='\u{31BF}' | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{A4CF}' | '\u{F900}'..='\u{FAFF}'
        // Cuneiform, hieroglyphs, Tangut, Nushu, Khitan, supplements of kana and Han
        | '\u{12000}'..='\u{1467F}' | '\u{16FE0}'..='\u{18DFF}' | '\u{1AFF0}'..='\u{1B2FF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The folded pieces of a text, with a space in front of those that have one.
    fn pieces(text: &str) -> Vec<String> {
        let (mut pieces, mut folded) = (WordPieces::new(text), String::new());
        let mut found = Vec::new();
        while let Some(piece) = pieces.next(&mut folded) {
            found.push(format!("{}{folded}", if piece.spaced { " " } else { "" }));
        }
        found
    }

    fn folded(text: &str) -> String {
        pieces(text).concat()
    }

    #[test]
    fn words_signs_and_single_characters() {
        assert_eq!(
            pieces("C++ is_a  x2\n🎉→"),
            ["c", "+", "+", " is", "_", "a", " x2", " 🎉", "→"]
        );
        assert_eq!(pieces("A型 天気,ok"), ["a", "型", " 天", "気", ",", "ok"]);
        assert_eq!(pieces("สวัสดี"), ["ส", "วั", "ส", "ดี"]);
        assert_eq!(pieces("हिन्दी में"), ["हिन्दी", " में"]);
        assert_eq!(pieces("naïve Łódź"), ["naïve", " łódź"]);
        assert_eq!(pieces(" \u{AD} \u{301}x"), [" \u{301}", "x"]);
        assert!(pieces("\u{FEFF} \u{200B}").is_empty());
    }

    #[test]
    fn the_end_of_a_line_is_no_space_between_characters_without_spaces() {
        assert_eq!(pieces("虚拟\r\n  机 x\ny"), ["虚", "拟", "机", " x", " y"]);
        assert_eq!(pieces("虚 拟"), ["虚", " 拟"]);
        assert_eq!(pieces("데이\n터"), ["데", "이", " 터"]);
    }

    #[test]
    fn the_same_word_is_the_same_however_it_is_written() {
        for (a, b) in [
            ("Do\u{AD}nau\u{AD}dampf", "donaudampf"),
            ("word\u{2060}joined", "WordJoined"),
            ("می\u{200C}خواهم", "میخواهم"),
            ("a\u{200B}b\u{FEFF}c\u{200D}d", "abcd"),
            ("❤\u{FE0F}", "❤"),
            ("\u{202B}abc\u{202C}", "abc"),
            ("cafe\u{301}", "CAFÉ"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("ΟΔΟΣ", "οδος"),
            ("οδός", "ΟΔΌΣ"),
            ("İstanbul", "istanbul"),
            ("I\u{307}stanbul", "İSTANBUL"),
            ("ﬁnal ﬃ", "FINAL FFI"),
            ("Ｃ＋＋ ｆｕｌｌ", "c++ full"),
            ("ﾀﾞﾀｰ", "ダター"),
            ("ǅ Ǆ", "ǆ dž"),
            ("한글", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}"),
            ("ệ", "e\u{323}\u{302}"),
            ("e\u{302}\u{323}", "Ệ"),
            ("Å", "\u{212B}"),
        ] {
            assert_eq!(folded(a), folded(b), "{a} {b}");
        }
        // What is no letter stays apart from the word before it.
        assert_eq!(pieces("Docent™"), ["docent", "™"]);
        assert_ne!(folded("cafe"), folded("café"));
    }

    #[test]
    fn the_short_way_gives_the_same() {
        for letter in '\u{80}'..=char::MAX {
            if let Some(short) = plain(letter) {
                let mut long = String::new();
                fold(&letter.to_string(), &mut long);
                assert_eq!(short.to_string(), long, "{letter}");
            }
        }
    }

    #[test]
    fn lines_are_counted_by_all_three_ends() {
        assert_eq!(after_lines("a\rb\r\nc\nd", 3), "d");
        assert_eq!(after_lines("a\rb", 0), "a\rb");
        assert_eq!(after_lines("a\rb", 2), "");
    }

    proptest! {
        #[test]
        fn pieces_ascend_on_boundaries_and_nothing_seen_is_left_out(text in "([a-zA-ZéİßΣ ﬁﾀﾞ虚天ก้\u{AD}\u{301}\n🎉+]|\\PC){0,60}") {
            let (mut pieces, mut folded) = (WordPieces::new(&text), String::new());
            let mut end = 0;
            while let Some(piece) = pieces.next(&mut folded) {
                prop_assert!(!folded.is_empty());
                prop_assert!(piece.range.start >= end && piece.range.start < piece.range.end);
                let between = &text[end..piece.range.start];
                prop_assert!(between.chars().all(|c| c.is_whitespace() || is_invisible(c)), "{between:?}");
                end = piece.range.end;
                prop_assert!(text.get(piece.range).is_some());
            }
            prop_assert!(text[end..].chars().all(|c| c.is_whitespace() || is_invisible(c)));
        }
    }
}
