//! A text in which every run of white space is one space, and where its lines are in that.

use std::ops::Range;

use memchr::memmem;

use super::super::text::TextLines;

/// A text with its white space folded: none at either end.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    push_folded(&mut folded, text);
    folded
}

fn push_folded(folded: &mut String, text: &str) {
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
}

/// A document's text, folded.
pub(super) struct Folded<'a> {
    /// The lines as they are.
    pub(super) lines: TextLines<'a>,
    pub(super) text: String,
    /// Where the first word of each line that has one is, and the line's number.
    starts: Vec<(usize, u32)>,
}

impl<'a> Folded<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let lines = TextLines::new(text);
        let mut folded = String::with_capacity(text.len());
        let mut starts = Vec::new();
        for (number, line) in lines.each() {
            let before = folded.len();
            push_folded(&mut folded, line);
            if folded.len() > before {
                // Behind the space that divides it from the line before.
                let start = if before == 0 { 0 } else { before + 1 };
                starts.push((start, number));
            }
        }
        Folded {
            lines,
            text: folded,
            starts,
        }
    }

    /// The line in which the byte at `at` stands.
    pub(super) fn line_at(&self, at: usize) -> u32 {
        let after = self.starts.partition_point(|(start, _)| *start <= at);
        self.starts[..after].last().map_or(1, |(_, line)| *line)
    }

    /// First and last line of these bytes.
    pub(super) fn lines_of(&self, bytes: Range<usize>) -> [u32; 2] {
        [self.line_at(bytes.start), self.line_at(bytes.end - 1)]
    }

    /// Where the first word at or after the beginning of `line` is.
    pub(super) fn start_of(&self, line: u32) -> usize {
        let before = self.starts.partition_point(|(_, number)| *number < line);
        self.starts
            .get(before)
            .map_or(self.text.len(), |(start, _)| *start)
    }

    /// The bytes of each line that has a word, with its number.
    pub(super) fn worded(&self) -> &[(usize, u32)] {
        &self.starts
    }

    /// Where the quote stands, if it begins in line `first` (with `last` 0), or stands in lines `first` to `last`.
    pub(super) fn find_in(&self, first: u32, last: u32, quote: &str) -> Option<usize> {
        let start = self.start_of(first);
        let end = self.start_of(first.max(last).saturating_add(1));
        // A quote that only begins here may end further on.
        let beyond = if last == 0 { quote.len() } else { 0 };
        let bytes = &self.text.as_bytes()[..(end + beyond).min(self.text.len())];
        let found = memmem::find(bytes.get(start..)?, quote.as_bytes())?;
        (start + found < end).then_some(start + found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_where_its_first_word_is() {
        let folded = Folded::new("\n  one\ttwo \r\n\r\nthree\n four");
        assert_eq!(folded.text, "one two three four");
        assert_eq!(folded.worded(), [(0, 2), (8, 4), (14, 5)]);
        assert_eq!((folded.line_at(6), folded.line_at(8)), (2, 4));
        assert_eq!(folded.lines_of(4..13), [2, 4]);
        assert_eq!(
            [1, 2, 3, 5, 6].map(|line| folded.start_of(line)),
            [0, 0, 8, 14, 18]
        );
        assert_eq!(fold(" \u{a0}a\u{3000}b\n"), "a b");
        assert_eq!(Folded::new(" \n").text, "");
    }

    #[test]
    fn a_quote_is_found_only_where_it_is_expected() {
        let folded = Folded::new("a b\nb c\n\nb d\n");
        let find = |(first, last), quote| folded.find_in(first, last, quote);
        assert_eq!(find((1, 1), "b"), Some(2));
        assert_eq!(find((2, 2), "b c"), Some(4));
        assert_eq!(find((2, 2), "b c b"), None);
        assert_eq!(find((2, 4), "c b"), Some(6));
        assert_eq!(find((2, 0), "b c b"), Some(4), "it begins there");
        assert_eq!(find((1, 0), "c"), None);
        assert_eq!(find((3, 3), "b"), None, "a line without words");
        assert_eq!(find((9, 9), "b"), None);
        assert_eq!(find((0, 1), "a"), Some(0));
    }
}
