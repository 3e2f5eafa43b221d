//! Text to word pieces, as BERT's uncased tokenizer does it, without unknown and special tokens.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use unicode_general_category::{GeneralCategory as Category, get_general_category};
use unicode_normalization::char::decompose_canonical;

/// A word of more code points than this gives nothing.
const MAX_WORD_CHARS: usize = 100;

/// The pieces that words are made of, and the row of each in the table.
#[derive(Default)]
pub(super) struct Vocabulary {
    /// Pieces that begin a word.
    first: Pieces,
    /// Pieces that go on within one, without the `##` in front of them.
    further: Pieces,
}

#[derive(Default)]
struct Pieces {
    rows: HashMap<&'static str, u32, BuildHasherDefault<PieceHasher>>,
    longest: usize,
}

impl Pieces {
    fn add(&mut self, piece: &'static str, row: u32) -> bool {
        self.longest = self.longest.max(piece.len());
        self.rows.insert(piece, row).is_none()
    }

    /// The longest piece that `text` begins with: its length in bytes and its row.
    fn longest_prefix(&self, text: &str) -> Option<(usize, u32)> {
        let longest = text.floor_char_boundary(self.longest);
        (1..=longest)
            .rev()
            .filter(|end| text.is_char_boundary(*end))
            .find_map(|end| self.rows.get(&text[..end]).map(|row| (end, *row)))
    }
}

impl Vocabulary {
    /// Adds a token as the table lists it; false if it was there already.
    pub(super) fn add(&mut self, token: &'static str, row: u32) -> bool {
        match token.strip_prefix("##") {
            Some(piece) if !piece.is_empty() => self.further.add(piece, row),
            _ => self.first.add(token, row),
        }
    }

    /// The rows of the pieces of `text`, in the order of the text.
    pub(super) fn tokens(&self, text: &str) -> Vec<u32> {
        let mut words = WordSplitter {
            vocabulary: self,
            word: String::new(),
            chars: 0,
            rows: Vec::with_capacity(text.len() / 4),
        };
        text.chars().for_each(|character| words.push(character));
        words.end();
        words.rows
    }

    /// Appends the pieces of one word, or nothing if they do not cover it.
    fn word(&self, word: &str, rows: &mut Vec<u32>) {
        let before = rows.len();
        let mut rest = word;
        while !rest.is_empty() {
            let pieces = if rest.len() == word.len() {
                &self.first
            } else {
                &self.further
            };
            let Some((end, row)) = pieces.longest_prefix(rest) else {
                rows.truncate(before);
                return;
            };
            rows.push(row);
            rest = &rest[end..];
        }
    }
}

/// A text on its way through the tokenizer: one word at a time, in one buffer.
struct WordSplitter<'a> {
    vocabulary: &'a Vocabulary,
    word: String,
    /// Code points of the word, counted beyond what is kept of it.
    chars: usize,
    rows: Vec<u32>,
}

impl WordSplitter<'_> {
    /// Takes the next code point of the source.
    fn push(&mut self, character: char) {
        if character.is_ascii() {
            match character {
                ' ' | '\t' | '\n' | '\r' => self.end(),
                '\0'..='\x1f' | '\x7f' => {}
                _ => self.push_clean(character),
            }
            return;
        }
        match get_general_category(character) {
            _ if character == '\u{fffd}' => {}
            Category::Control
            | Category::Format
            | Category::Unassigned
            | Category::PrivateUse
            | Category::Surrogate => {}
            Category::SpaceSeparator | Category::LineSeparator | Category::ParagraphSeparator => {
                self.end()
            }
            _ => {
                let alone = is_cjk(character);
                if alone {
                    self.end();
                }
                decompose_canonical(character, |part| {
                    if get_general_category(part) != Category::NonspacingMark {
                        part.to_lowercase().for_each(|lower| self.push_clean(lower));
                    }
                });
                if alone {
                    self.end();
                }
            }
        }
    }

    /// Takes a code point that was decomposed; upper case only if it is ASCII.
    fn push_clean(&mut self, character: char) {
        if is_punctuation(character) {
            self.end();
            self.vocabulary
                .word(character.encode_utf8(&mut [0; 4]), &mut self.rows);
            return;
        }
        self.chars += 1;
        if self.chars <= MAX_WORD_CHARS {
            self.word.push(character.to_ascii_lowercase());
        }
    }

    /// Ends the word, if there is one.
    fn end(&mut self) {
        if (1..=MAX_WORD_CHARS).contains(&self.chars) {
            self.vocabulary.word(&self.word, &mut self.rows);
        }
        self.word.clear();
        self.chars = 0;
    }
}

fn is_punctuation(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_punctuation();
    }
    matches!(
        get_general_category(character),
        Category::ConnectorPunctuation
            | Category::DashPunctuation
            | Category::OpenPunctuation
            | Category::ClosePunctuation
            | Category::InitialPunctuation
            | Category::FinalPunctuation
            | Category::OtherPunctuation
    )
}

/// Chinese characters, each of which is a word: the blocks that BERT sets apart.
fn is_cjk(character: char) -> bool {
    matches!(character,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2b73f}' | '\u{2b740}'..='\u{2b81f}'
        | '\u{2b920}'..='\u{2ceaf}' | '\u{2f800}'..='\u{2fa1f}')
}

/// A quick hash for short strings (FNV-1a with a final mix). The keys are fixed, so nobody can choose them to collide.
#[derive(Default)]
struct PieceHasher(u64);

impl Hasher for PieceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<u32> {
        let mut vocabulary = Vocabulary::default();
        for (row, token) in ["a", "ab", "##c", "##cd", "-", "é", "e", "中", "##"]
            .into_iter()
            .enumerate()
        {
            assert!(vocabulary.add(token, row as u32));
        }
        vocabulary.tokens(text)
    }

    #[test]
    fn a_token_that_is_there_already_is_told() {
        let mut vocabulary = Vocabulary::default();
        assert!(vocabulary.add("a", 0) && vocabulary.add("##a", 1));
        assert!(!vocabulary.add("##a", 2));
    }

    #[test]
    fn the_longest_piece_is_taken_from_the_left() {
        assert_eq!(tokens("abcd ABC a"), [1, 3, 1, 2, 0]);
        assert_eq!(tokens("a-abc"), [0, 4, 1, 2]);
    }

    #[test]
    fn a_word_that_is_not_covered_gives_nothing() {
        assert_eq!(tokens("abx ab"), [1]);
        assert_eq!(tokens("c"), [0u32; 0]);
    }

    #[test]
    fn accents_go_and_chinese_stands_alone() {
        assert_eq!(tokens("é É e\u{301}"), [6, 6, 6]);
        assert_eq!(tokens("a中a"), [0, 7, 0]);
    }

    #[test]
    fn invisible_characters_join_and_spaces_separate() {
        assert_eq!(tokens("a\u{ad}b\u{200b}c\0\u{7f}\u{fffd}"), [1, 2]);
        assert_eq!(tokens("a\u{a0}a\u{2028}a\ra"), [0, 0, 0, 0]);
    }

    #[test]
    fn a_word_of_more_than_a_hundred_gives_nothing() {
        assert_eq!(tokens(&format!("a{}", "c".repeat(99))).len(), 100);
        assert!(tokens(&format!("a{}", "c".repeat(100))).is_empty());
        assert!(tokens(&"a".repeat(1_000_000)).is_empty());
    }
}
