//! Where the lines of a text are, and how long they are in characters.

use std::ops::Range;

/// Line numbers, counted from 0, the end excluded.
pub(super) type LineRange = Range<usize>;

/// An index of the lines of a text. Line numbers count from 0 here.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Byte offset of each line, and of the end of the text.
    starts: Vec<u32>,
    /// Characters before each line, and in the whole text.
    chars: Vec<u32>,
}

impl<'a> Lines<'a> {
    /// Indexes `text`, which is at most `MAX_BYTES` long: offsets are kept in 32 bits.
    pub(super) fn new(text: &'a str) -> Self {
        let mut starts = vec![0];
        let mut chars = vec![0];
        let (mut byte_count, mut char_count) = (0u32, 0u32);
        for line in split_lines(text) {
            byte_count += line.len() as u32;
            char_count += line.chars().count() as u32;
            starts.push(byte_count);
            chars.push(char_count);
        }
        Self {
            text,
            starts,
            chars,
        }
    }

    /// How many lines there are; an empty text has none.
    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The line that holds the byte at `offset`; the last line for an offset at or after the end.
    pub(super) fn at(&self, offset: usize) -> usize {
        let after = self
            .starts
            .partition_point(|start| *start as usize <= offset);
        after.saturating_sub(1).min(self.count().saturating_sub(1))
    }

    /// The byte offset of a line's first character; for the line after the last, the length of the text.
    pub(super) fn offset(&self, line: usize) -> usize {
        self.starts[line] as usize
    }

    /// The text of these lines as in the source, without the last terminator.
    pub(super) fn text(&self, range: &LineRange) -> &'a str {
        let text = &self.text[self.offset(range.start)..self.offset(range.end)];
        &text[..text.len() - terminator(text)]
    }

    /// The text of one line, without its terminator.
    pub(super) fn line(&self, line: usize) -> &'a str {
        self.text(&(line..line + 1))
    }

    /// How many characters `text` gives for these lines, in constant time.
    pub(super) fn width(&self, range: &LineRange) -> usize {
        if range.is_empty() {
            return 0;
        }
        let text = &self.text[self.offset(range.start)..self.offset(range.end)];
        (self.chars[range.end] - self.chars[range.start]) as usize - terminator(text)
    }

    /// Whether the line holds nothing but white space.
    pub(super) fn is_blank(&self, line: usize) -> bool {
        self.line(line).chars().all(char::is_whitespace)
    }

    /// `range` without the blank lines at both ends.
    pub(super) fn trimmed(&self, range: LineRange) -> LineRange {
        let LineRange { mut start, mut end } = range;
        while start < end && self.is_blank(start) {
            start += 1;
        }
        while start < end && self.is_blank(end - 1) {
            end -= 1;
        }
        start..end
    }
}

/// The lines of a text, terminators included. As in CommonMark, a line ends with a line feed, with a carriage return, or
/// with both in this order.
pub(super) fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let end = at + first_terminator(&rest[at..]);
        let (line, after) = rest.split_at(end);
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

/// How many bytes of `text` are the terminator that it begins with.
fn first_terminator(text: &str) -> usize {
    if text.starts_with("\r\n") {
        2
    } else {
        usize::from(text.starts_with(['\n', '\r']))
    }
}

/// How many bytes, which here are characters too, end the last line of `text`.
fn terminator(text: &str) -> usize {
    if text.ends_with("\r\n") {
        2
    } else {
        usize::from(text.ends_with(['\n', '\r']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_where_an_editor_shows_them() {
        let lines = Lines::new("é\r\nb\n\n \t\nlast");
        assert_eq!(lines.count(), 5);
        assert_eq!(lines.text(&(0..2)), "é\r\nb");
        assert_eq!(lines.width(&(0..2)), 4);
        assert_eq!(lines.width(&(0..1)), 1);
        assert_eq!(lines.width(&(4..5)), 4);
        assert_eq!(lines.line(2), "");
        assert_eq!(lines.trimmed(2..5), 4..5);
        assert!(lines.trimmed(2..4).is_empty());
        assert_eq!(
            (
                lines.at(0),
                lines.at(3),
                lines.at(4),
                lines.at(5),
                lines.at(999)
            ),
            (0, 0, 1, 1, 4)
        );
    }

    #[test]
    fn an_end_without_a_line_feed_makes_no_difference() {
        assert_eq!(Lines::new("").count(), 0);
        assert_eq!(Lines::new("a").count(), 1);
        assert_eq!(Lines::new("a\n").count(), 1);
        assert_eq!(Lines::new("a\r").line(0), "a");
    }

    #[test]
    fn each_of_the_three_line_ends_ends_a_line() {
        let parts: Vec<&str> = split_lines("a\rb\r\rc\r\nd\n\re\r\r\nf").collect();
        assert_eq!(
            parts,
            ["a\r", "b\r", "\r", "c\r\n", "d\n", "\r", "e\r", "\r\n", "f"]
        );
        let lines = Lines::new("é\rb\r\n\rc\r");
        assert_eq!(lines.count(), 4);
        assert_eq!(lines.text(&(0..2)), "é\rb");
        assert_eq!((lines.width(&(0..2)), lines.line(3)), (3, "c"));
        // Neither a form feed nor a Unicode separator ends one.
        assert_eq!(split_lines("a\u{c}b\u{85}c\u{2028}d").count(), 1);
    }
}
