//! Quoted parts of a query: what they are, and where a text has them as they stand.

use std::ops::Range;

use super::words::{WordPieces, after_lines};

/// A piece of a text as it is compared: with or without white space in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) spaced: bool,
    pub(super) folded: String,
}

/// A quoted part of a query: the pieces that must stand in a row, with white space where it has some. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase {
    pub(super) parts: Vec<Part>,
}

/// A part of a text with its bytes.
type Placed = (Part, Range<usize>);

/// The parts of `text`, as many as are asked for.
fn parts(text: &str) -> impl Iterator<Item = Placed> {
    let mut pieces = WordPieces::new(text);
    std::iter::from_fn(move || {
        let mut folded = String::new();
        let piece = pieces.next(&mut folded)?;
        let part = Part {
            spaced: piece.spaced,
            folded,
        };
        Some((part, piece.range))
    })
}

impl Phrase {
    /// The phrase that `text` is; nothing where it is blank. Of a longer one than `most` parts the first ones.
    pub(super) fn new(text: &str, most: usize) -> Option<Self> {
        let mut parts: Vec<Part> = parts(text).take(most).map(|(part, _)| part).collect();
        parts.first_mut()?.spaced = false;
        Some(Self { parts })
    }

    /// Whether a letter or a digit is in it.
    pub(super) fn has_words(&self) -> bool {
        let mut folded = self.parts.iter().flat_map(|part| part.folded.chars());
        folded.any(char::is_alphanumeric)
    }

    /// The places of the phrase in `text`, apart from each other.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        let placed: Vec<Placed> = parts(text).collect();
        let mut found: Vec<Range<usize>> = Vec::new();
        for row in placed.windows(self.parts.len()) {
            let range = row[0].1.start..row[row.len() - 1].1.end;
            let apart = found.last().is_none_or(|before| before.end <= range.start);
            if apart && self.is(row) {
                found.push(range);
            }
        }
        found
    }

    fn is(&self, row: &[Placed]) -> bool {
        let same = |at: usize| {
            let (part, wanted) = (&row[at].0, &self.parts[at]);
            part.folded == wanted.folded && (at == 0 || part.spaced == wanted.spaced)
        };
        row.len() == self.parts.len() && (0..row.len()).all(same)
    }

    /// Whether `text` may end in the midst of the phrase, also in the midst of a word of it.
    pub(super) fn may_run_on(&self, text: &str) -> bool {
        let placed: Vec<Part> = parts(text).map(|(part, _)| part).collect();
        (1..=self.parts.len().min(placed.len())).any(|count| {
            let tail = &placed[placed.len() - count..];
            tail.iter()
                .zip(&self.parts)
                .enumerate()
                .all(|(at, (part, wanted))| {
                    let same = if at + 1 == count {
                        wanted.folded.starts_with(&part.folded)
                    } else {
                        wanted.folded == part.folded
                    };
                    same && (at == 0 || part.spaced == wanted.spaced)
                })
        })
    }

    /// Where the phrase ends in `document` that begins in the first `length` bytes from `start` on.
    fn end_after(&self, document: &str, start: usize, length: usize) -> Option<usize> {
        let count = self.parts.len();
        let mut row: Vec<Placed> = Vec::new();
        // No further than the phrase may reach, white space included: a line may be as long as a file.
        let letters: usize = self.parts.iter().map(|part| part.folded.len()).sum();
        let reach = length + 4 * letters + REACH_BYTES;
        let end = document.len().min(start + reach);
        let text = &document[start..document.floor_char_boundary(end)];
        for placed in parts(text) {
            if placed.1.end == text.len() && start + text.len() < document.len() {
                return None; // it may go on
            }
            row.push(placed);
            if row.len() > count {
                row.remove(0);
            }
            if row.len() == count {
                if row[0].1.start >= length {
                    return None;
                }
                if self.is(&row) {
                    return Some(start + row[count - 1].1.end);
                }
            }
        }
        None
    }
}

/// A chunk of a document as a hit shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) first_line: u32,
    pub(super) last_line: u32,
    pub(super) text: String,
}

/// White space and marks that a phrase may have beyond its letters, in bytes.
const REACH_BYTES: usize = 16 * 1024;

/// So many places are looked at where a chunk's text stands again and again in its lines.
const ALIKE_MAX: usize = 64;

/// A line up to this many bytes is shown to its end.
const WHOLE_LINE_BYTES: usize = 400;

/// The chunk `shown` of `document`, made longer until it holds each of `phrases`, all of which begin in it; nothing if
/// one of them does not.
pub(super) fn extended(document: &str, shown: &Shown, phrases: &[&Phrase]) -> Option<Shown> {
    let offset = |line: u32| document.len() - after_lines(document, line as usize).len();
    let from = offset(shown.first_line.saturating_sub(1));
    let lines = &document[from..offset(shown.last_line)];
    // A chunk is a part of its line only where that is too long; which part is told by its text.
    lines
        .match_indices(shown.text.as_str())
        .take(ALIKE_MAX)
        .find_map(|(at, text)| {
            let start = from + at;
            let ends = phrases
                .iter()
                .map(|phrase| phrase.end_after(document, start, text.len()));
            let ends: Option<Vec<usize>> = ends.collect();
            let end = ends?.into_iter().max()?.max(start + text.len());
            let line_end = document[end..].find(['\n', '\r']);
            let line_end = end + line_end.unwrap_or(document.len() - end);
            let end = if line_end - end <= WHOLE_LINE_BYTES {
                line_end
            } else {
                end
            };
            let text = &document[start..end];
            Some(Shown {
                first_line: shown.first_line,
                last_line: shown.first_line + line_ends(text),
                text: text.to_owned(),
            })
        })
}

/// How many lines end in `text`.
fn line_ends(text: &str) -> u32 {
    let mut rest = text;
    let mut count = 0;
    while rest.contains(['\n', '\r']) {
        rest = after_lines(rest, 1);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(text: &str) -> Phrase {
        Phrase::new(text, 100).unwrap()
    }

    fn is_in(quoted: &str, text: &str) -> bool {
        !phrase(quoted).places(text).is_empty()
    }

    #[test]
    fn a_phrase_stands_in_a_text_as_it_is_written() {
        for (quoted, text) in [
            ("C++", "in c++17 here"),
            ("🎉", "party 🎉🎉"),
            ("->", "a->b"),
            ("a.b", "x A.B.c"),
            ("quick  brown", "a Quick\n\tbrown fox"),
            ("Donaudampf", "Do\u{AD}naudampf"),
            ("虚拟机", "正常的虚拟\n机数据"),
            ("art", "the art"),
            ("snake_case", "a snake_case_name"),
            ("STRASSE", "Straße"),
        ] {
            assert!(is_in(quoted, text), "{quoted} {text}");
        }
        for (quoted, text) in [
            ("C++", "Vitamin C is good"),
            ("C++", "C + +"),
            ("a.b", "a. b"),
            ("a b", "a.b"),
            ("art", "party"),
            ("quick brown", "quick, brown"),
            ("fox", "foxes"),
            ("cafe", "café"),
        ] {
            assert!(!is_in(quoted, text), "{quoted} {text}");
        }
        assert_eq!(phrase("a a").places("a a a a"), [0..3, 4..7]);
        assert_eq!(Phrase::new(" \u{AD}", 9), None);
    }

    #[test]
    fn a_text_may_end_in_the_midst_of_a_phrase() {
        let quick = phrase("quick brown fox");
        for text in ["the quick", "the quick brown", "quick br", "a q"] {
            assert!(quick.may_run_on(text), "{text}");
        }
        for text in ["the quick brown dog", "quick fox", "", "the quick."] {
            assert!(!quick.may_run_on(text), "{text}");
        }
    }

    #[test]
    fn a_chunk_is_made_longer_by_the_rest_of_a_phrase() {
        let document = "one two\rthree four\r\nfive six\nseven\n";
        let shown = |first_line, last_line, text: &str| Shown {
            first_line,
            last_line,
            text: text.to_owned(),
        };
        let first = shown(1, 2, "one two\rthree four");
        assert_eq!(
            extended(document, &first, &[&phrase("four five")]),
            Some(shown(1, 3, "one two\rthree four\r\nfive six"))
        );
        assert_eq!(
            extended(
                document,
                &first,
                &[&phrase("two three"), &phrase("four five six seven")]
            ),
            Some(shown(1, 4, "one two\rthree four\r\nfive six\nseven"))
        );
        assert_eq!(extended(document, &first, &[&phrase("five six")]), None);
        // In a line that is all alike the phrase is looked for at few places, and not further than it reaches.
        let alike = "a".repeat(1 << 20);
        let part = shown(1, 1, &alike[..1200]);
        let quoted = Phrase::new(&alike[..3248], 100).unwrap();
        assert_eq!(extended(&alike, &part, &[&quoted]), None);
        let long = format!("x\n{}\ny", "ab cd ".repeat(200));
        let part = shown(2, 2, &"ab cd ".repeat(50));
        let found = extended(&long, &part, &[&phrase("cd ab cd")]).unwrap();
        assert_eq!((found.first_line, found.last_line), (2, 2));
        assert!(found.text.starts_with(&part.text));
    }
}
