//! The text of a hit: its lines with their numbers, and the words that were looked for.

use super::super::text::TextLines;

/// Lines of a hit that are shown, and those before the first marked one.
const LINES: usize = 12;
const BEFORE: usize = 3;

/// A line of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MarkedLine {
    pub(super) number: u32,
    pub(super) parts: Vec<MarkedPart>,
}

/// A part of a line: a word that was looked for, or what stands between such words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MarkedPart {
    pub(super) text: String,
    pub(super) marked: bool,
}

/// What is shown of a hit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) lines: Vec<MarkedLine>,
    /// Lines of the hit that are not shown.
    pub(super) left: usize,
}

/// The lines of `text`, whose first one is `first`, around the first of `marks`: byte ranges of the text in their order.
pub(super) fn excerpt(text: &str, first: u32, marks: &[[usize; 2]]) -> Excerpt {
    let all = TextLines::new(text);
    let lines = all.each().map(|(line, shown)| MarkedLine {
        number: first.saturating_add(line - 1),
        parts: parts(shown, all.bytes(line, line).start, marks),
    });
    let lines: Vec<MarkedLine> = lines.collect();
    let is_marked = |line: &MarkedLine| line.parts.iter().any(|part| part.marked);
    let hit = lines.iter().position(is_marked).unwrap_or(0);
    let all = lines.len();
    let skipped = hit.saturating_sub(BEFORE).min(all.saturating_sub(LINES));
    let shown: Vec<MarkedLine> = lines.into_iter().skip(skipped).take(LINES).collect();
    Excerpt {
        left: all - shown.len(),
        lines: shown,
    }
}

/// The parts of a line that begins at this byte of its text.
fn parts(line: &str, begin: usize, marks: &[[usize; 2]]) -> Vec<MarkedPart> {
    let (mut parts, mut at) = (Vec::new(), 0);
    let mut push = |from: usize, to: usize, marked: bool| {
        // What does not fall on characters marks nothing.
        if let Some(text) = line.get(from..to).filter(|text| !text.is_empty()) {
            let text = text.to_owned();
            parts.push(MarkedPart { text, marked });
        }
    };
    for [start, end] in marks {
        let from = start.saturating_sub(begin).clamp(at, line.len());
        let to = end.saturating_sub(begin).min(line.len());
        if from < to && line.is_char_boundary(from) && line.is_char_boundary(to) {
            push(at, from, false);
            push(from, to, true);
            at = to;
        }
    }
    push(at, line.len(), false);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(excerpt: &Excerpt) -> Vec<String> {
        let part = |part: &MarkedPart| match part.marked {
            true => format!("[{}]", part.text),
            false => part.text.clone(),
        };
        let line = |line: &MarkedLine| {
            let parts: String = line.parts.iter().map(part).collect();
            format!("{}:{parts}", line.number)
        };
        excerpt.lines.iter().map(line).collect()
    }

    #[test]
    fn words_are_marked_also_over_the_end_of_a_line() {
        let text = "one two\r\nthree\u{e9} fours\n";
        let found = excerpt(text, 7, &[[4, 14], [17, 21]]);
        assert_eq!(shown(&found), ["7:one [two]", "8:[three]\u{e9} [four]s"]);
        assert_eq!(found.left, 0);
        assert_eq!(excerpt("", 1, &[]).lines, []);
    }

    #[test]
    fn the_lines_around_the_first_word_are_shown() {
        let text: String = (1..=40).map(|n| format!("line {n}\n")).collect();
        let at = text.find("line 30").unwrap();
        let found = excerpt(&text, 1, &[[at, at + 4]]);
        assert_eq!(
            (found.lines[0].number, found.lines.len(), found.left),
            (27, 12, 28)
        );
        let last = text.find("line 40").unwrap();
        assert_eq!(excerpt(&text, 1, &[[last, last + 4]]).lines[0].number, 29);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_said_twice(text in "[aé\n]{0,12}", marks in proptest::collection::vec([0usize..20, 0usize..20], 0..4)) {
            let found = excerpt(&text, 1, &marks);
            let told: Vec<String> = found.lines.iter().map(|line| line.parts.iter().map(|part| part.text.as_str()).collect()).collect();
            let lines: Vec<&str> = text.lines().collect();
            prop_assert_eq!(told, lines);
        }
    }
}
