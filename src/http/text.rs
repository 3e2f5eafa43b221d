//! The lines of a document's text, numbered as everywhere: a line ends with a line feed, a carriage return, or both.

use std::ops::Range;

/// Where the lines of a text are. Lines count from 1.
pub(super) struct TextLines<'a> {
    text: &'a str,
    /// Byte offset of each line, and of the end of the text. A captured text is far shorter than 4 GiB.
    starts: Vec<u32>,
}

impl<'a> TextLines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut starts = vec![0];
        let mut at = 0;
        while at < text.len() {
            at += line_length(&text[at..]);
            starts.push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        TextLines { text, starts }
    }

    /// How many there are; an empty text has none.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).unwrap_or(u32::MAX)
    }

    /// The bytes of these lines, with their ends.
    pub(super) fn bytes(&self, first: u32, last: u32) -> Range<usize> {
        let start = |line: u32| self.starts[line as usize] as usize;
        start(first - 1)..start(last)
    }

    /// These lines as they are, without the end of the last one.
    pub(super) fn text(&self, first: u32, last: u32) -> &'a str {
        without_end(&self.text[self.bytes(first, last)])
    }

    /// Each line with its number, without its end.
    pub(super) fn each(&self) -> impl Iterator<Item = (u32, &'a str)> {
        (1..=self.count()).map(|line| (line, self.text(line, line)))
    }
}

/// Bytes of the first line of a text that is not empty, its end included.
fn line_length(text: &str) -> usize {
    match text.find(['\n', '\r']) {
        None => text.len(),
        Some(at) if text[at..].starts_with("\r\n") => at + 2,
        Some(at) => at + 1,
    }
}

fn without_end(line: &str) -> &str {
    let end = if line.ends_with("\r\n") {
        2
    } else {
        usize::from(line.ends_with(['\n', '\r']))
    };
    &line[..line.len() - end]
}

/// The longest beginning of `text` of at most `max` bytes that cuts no character.
pub(super) fn beginning(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// How much of a text an answer may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// A part of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TextPart<'a> {
    /// First and last line of which something is in `text`; both 0: there is none.
    pub(super) lines: [u32; 2],
    pub(super) text: &'a str,
    /// Lines that are not there, or not to their end.
    pub(super) lines_left: u32,
    /// Bytes that are not there.
    pub(super) bytes_left: usize,
    /// The line to go on with, if the part ends at the end of a line.
    pub(super) next: Option<u32>,
}

/// The lines `wanted` (the whole text, where none are) of `text`, as far as there is room, and how many lines it has.
/// No part: the text ends before its first line.
pub(super) fn part(
    text: &str,
    wanted: Option<(u32, u32)>,
    room: Room,
) -> (u32, Option<TextPart<'_>>) {
    let lines = TextLines::new(text);
    let total = lines.count();
    let (first, last) = wanted.unwrap_or((1.min(total), total));
    if wanted.is_some() && first > total {
        return (total, None);
    }
    if total == 0 {
        return (total, Some(TextPart::default()));
    }
    let last = last.min(total);
    // The end of a whole text belongs to it.
    let up_to = |line: u32| match wanted {
        None if line == total => text,
        _ => lines.text(first, line),
    };
    let most = u32::try_from(room.lines).unwrap_or(u32::MAX);
    let mut fitting = (first..=last.min(first.saturating_add(most - 1))).rev();
    let end = fitting.find(|line| up_to(*line).len() <= room.bytes);
    let shown = match end {
        Some(line) => up_to(line),
        None => beginning(lines.text(first, first), room.bytes),
    };
    let part = TextPart {
        lines: [first, end.unwrap_or(first)],
        text: shown,
        lines_left: last + 1 - end.map_or(first, |line| line + 1),
        bytes_left: up_to(last).len() - shown.len(),
        next: end.filter(|line| *line < last).map(|line| line + 1),
    };
    (total, Some(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room {
        lines: 100,
        bytes: 1000,
    };

    fn shown(text: &str, wanted: Option<(u32, u32)>, room: Room) -> (&str, [u32; 2], Option<u32>) {
        let part = part(text, wanted, room).1.unwrap();
        (part.text, part.lines, part.next)
    }

    #[test]
    fn a_whole_text_is_as_it_is_and_a_part_ends_with_its_last_line() {
        let text = "a\r\nb\rc\n";
        assert_eq!(shown(text, None, ROOM), (text, [1, 3], None));
        assert_eq!(shown(text, Some((1, 2)), ROOM), ("a\r\nb", [1, 2], None));
        assert_eq!(shown(text, Some((3, 99)), ROOM), ("c", [3, 3], None));
        assert_eq!(part(text, Some((4, 4)), ROOM), (3, None));
        assert_eq!(shown("", None, ROOM), ("", [0, 0], None));
        assert_eq!(part("", Some((1, 1)), ROOM), (0, None));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_where_it_goes_on_is_said() {
        let text = "one\ntwo\nthree\n";
        let room = |lines, bytes| Room { lines, bytes };
        assert_eq!(
            shown(text, None, room(2, 99)),
            ("one\ntwo", [1, 2], Some(3))
        );
        assert_eq!(shown(text, None, room(9, 9)), ("one\ntwo", [1, 2], Some(3)));
        assert_eq!(shown(text, None, room(9, 14)), (text, [1, 3], None));
        let cut = part("é-long\nx", None, room(9, 3)).1.unwrap();
        let expected = TextPart {
            lines: [1, 1],
            text: "é-",
            lines_left: 2,
            bytes_left: 6,
            next: None,
        };
        assert_eq!(cut, expected);
    }

    proptest! {
        #[test]
        fn parts_that_follow_each_other_have_every_line_once(text in "[ab\n\ré]{0,40}", lines in 1usize..4, bytes in 8usize..20) {
            let count = TextLines::new(&text).count();
            let mut next = (count > 0).then_some(1);
            let mut seen = Vec::new();
            while let Some(first) = next {
                let part = part(&text, Some((first, count)), Room { lines, bytes }).1.unwrap();
                prop_assert!(part.text.len() <= bytes);
                prop_assert_eq!(part.lines[0], first);
                seen.extend(part.lines[0]..=part.lines[1]);
                next = part.next;
                if part.bytes_left > 0 && next.is_none() {
                    // A line that is longer than the room.
                    next = (part.lines[1] < count).then_some(part.lines[1] + 1);
                }
            }
            prop_assert_eq!(seen, (1..=count).collect::<Vec<_>>());
        }

        #[test]
        fn lines_are_counted_as_chunks_count_them(text in "[ab \n\r]{0,60}") {
            let document = crate::document::parse(crate::document::Kind::Text, b"a.txt", text.as_bytes()).unwrap();
            let options = crate::document::ChunkOptions { size: 8, overlap: 0 };
            let lines = TextLines::new(&text);
            for chunk in crate::document::chunks(&document, &options) {
                prop_assert_eq!(lines.text(chunk.first_line, chunk.last_line), chunk.text);
            }
        }
    }
}
