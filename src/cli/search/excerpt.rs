//! The lines of a hit that matter, with the words that were looked for.

use std::ops::Range;

use super::super::text::{Style, tabbed as plain};
use crate::http::wire::Hit;

/// Lines of one hit that are shown.
const LINES_MAX: usize = 6;
/// Lines beside one with a marked word that are shown.
const AROUND: usize = 1;
/// Characters of a line that are shown.
const WIDTH: usize = 160;
/// Of these, before the first marked word.
const LEAD: usize = 40;

/// A line of the text: where it is in it.
struct ExcerptLine {
    index: usize,
    bytes: Range<usize>,
}

/// The lines around the marks with their numbers; where lines are left out that are not blank, an ellipsis.
pub(super) fn render(hit: &Hit, style: Style) -> String {
    let lines = lines(&hit.text);
    let shown = chosen(&lines, &hit.marks);
    let width = hit.lines[1].to_string().len();
    let gap = format!("  {:>width$}  {}\n", "", style.dim("…"));
    let mut text = String::new();
    let mut next = 0;
    for index in shown {
        if index > next {
            text.push_str(&gap);
        }
        let line = &lines[index];
        let number = u64::from(hit.lines[0]) + line.index as u64;
        let number = style.dim(&format!("{number:>width$}"));
        text.push_str(&format!(
            "  {number}  {}\n",
            cut(&hit.text, line, &hit.marks, style)
        ));
        next = index + 1;
    }
    if next < lines.len() {
        text.push_str(&gap);
    }
    text
}

/// The lines that are not blank. A carriage return alone ends a line too.
fn lines(text: &str) -> Vec<ExcerptLine> {
    let mut at = 0;
    let mut lines = Vec::new();
    for index in 0.. {
        let rest = &text[at..];
        if rest.is_empty() {
            break;
        }
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        if !rest[..length].trim().is_empty() {
            lines.push(ExcerptLine {
                index,
                bytes: at..at + length,
            });
        }
        let end = &rest[length..];
        at += length
            + if end.starts_with("\r\n") {
                2
            } else {
                1.min(end.len())
            };
    }
    lines
}

/// Which lines are shown, ascending: those with marks and their neighbours, or the first ones.
fn chosen(lines: &[ExcerptLine], marks: &[[usize; 2]]) -> Vec<usize> {
    let marked = |line: &ExcerptLine| {
        marks
            .iter()
            .any(|mark| overlap(&line.bytes, mark).is_some())
    };
    let hits: Vec<usize> = (0..lines.len())
        .filter(|at| marked(&lines[*at]))
        .take(LINES_MAX)
        .collect();
    if hits.is_empty() {
        return (0..lines.len().min(LINES_MAX / 2)).collect();
    }
    let mut shown: Vec<usize> = hits.clone();
    // Neighbours fill what room there is; the lines that matched come first.
    for distance in 1..=AROUND {
        for at in &hits {
            for neighbour in [at.checked_sub(distance), at.checked_add(distance)]
                .into_iter()
                .flatten()
            {
                if shown.len() < LINES_MAX && neighbour < lines.len() && !shown.contains(&neighbour)
                {
                    shown.push(neighbour);
                }
            }
        }
    }
    shown.sort_unstable();
    shown
}

/// A line with its words marked; a long one is cut to what is around the first of them.
fn cut(text: &str, line: &ExcerptLine, marks: &[[usize; 2]], style: Style) -> String {
    let mut marks: Vec<Range<usize>> = marks
        .iter()
        .filter_map(|mark| overlap(&line.bytes, mark))
        .collect();
    // A range that does not lie on characters marks nothing.
    marks.retain(|mark| text.is_char_boundary(mark.start) && text.is_char_boundary(mark.end));
    let (window, before, after) = window(text, &line.bytes, marks.first());
    let mut shown = String::from(if before { "…" } else { "" });
    let mut at = window.start;
    for mark in marks {
        let (start, end) = (
            mark.start.clamp(at, window.end),
            mark.end.clamp(at, window.end),
        );
        shown.push_str(&plain(&text[at..start]));
        if start < end {
            shown.push_str(&style.mark(&plain(&text[start..end])));
        }
        at = end;
    }
    shown.push_str(&plain(&text[at..window.end]));
    if after {
        shown.push('…');
    }
    shown
}

/// The part of a line that is shown, and whether something is left out before and after it.
fn window(
    text: &str,
    line: &Range<usize>,
    mark: Option<&Range<usize>>,
) -> (Range<usize>, bool, bool) {
    let content = &text[line.clone()];
    let starts: Vec<usize> = content
        .char_indices()
        .map(|(at, _)| line.start + at)
        .collect();
    if starts.len() <= WIDTH {
        return (line.clone(), false, false);
    }
    let first = mark.map_or(0, |mark| starts.partition_point(|at| *at < mark.start));
    let from = first.saturating_sub(LEAD).min(starts.len() - WIDTH);
    let to = from + WIDTH;
    let end = starts.get(to).copied().unwrap_or(line.end);
    (starts[from]..end, from > 0, to < starts.len())
}

/// What of `mark` is in `line`.
fn overlap(line: &Range<usize>, mark: &[usize; 2]) -> Option<Range<usize>> {
    let part = mark[0].max(line.start)..mark[1].min(line.end);
    (part.start < part.end).then_some(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::hit;
    use super::*;

    #[test]
    fn lines_around_the_marks_are_shown_with_their_numbers() {
        let text: String = (0..20).map(|n| format!("line {n} w{n}\n")).collect();
        let shown = render(&hit(&text, &["w5", "w15"]), Style::new(false));
        let expected = "      …\n  16  line 4 w4\n  17  line 5 w5\n  18  line 6 w6\n      …\n  26  line 14 w14\n  27  line 15 w15\n  28  line 16 w16\n      …\n";
        assert_eq!(shown, expected);
        let unmarked = render(&hit(&text, &[]), Style::new(false));
        assert_eq!(
            unmarked,
            "  12  line 0 w0\n  13  line 1 w1\n  14  line 2 w2\n      …\n"
        );
    }

    #[test]
    fn blank_lines_are_not_shown_and_leave_no_gap() {
        let shown = render(
            &hit("# Title\n\nfirst\n \nsecond word\n\nlast\n", &["word"]),
            Style::new(false),
        );
        let expected = "      …\n  14  first\n  16  second word\n  18  last\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn each_line_end_counts_one_line() {
        let shown = render(&hit("a\rb\r\n\rc\nd", &[]), Style::new(false));
        assert_eq!(shown, "  12  a\n  13  b\n  15  c\n      …\n");
    }

    #[test]
    fn words_are_marked_on_a_terminal_and_nothing_else_commands_it() {
        let shown = render(
            &hit("a wörd\x1b[2J and more", &["wörd", "more"]),
            Style::new(true),
        );
        assert_eq!(
            shown,
            "  \x1b[2m12\x1b[0m  a \x1b[1;33mwörd\x1b[0m\\x1B[2J and \x1b[1;33mmore\x1b[0m\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_its_first_word() {
        let text = format!("{}needle{}", "ä".repeat(300), "b".repeat(300));
        let shown = render(&hit(&text, &["needle"]), Style::new(false));
        let expected = format!(
            "  12  …{}needle{}…\n",
            "ä".repeat(LEAD),
            "b".repeat(WIDTH - LEAD - 6)
        );
        assert_eq!(shown, expected);
    }

    proptest! {
        #[test]
        fn whatever_text_and_marks_there_are_something_is_shown(text in "[aé\r\n]{0,400}", marks in proptest::collection::vec((0usize..500, 0usize..500), 0..6)) {
            let mut found = hit("x", &[]);
            found.marks = marks.into_iter().map(|(a, b)| [a, b]).collect();
            found.text = text;
            let shown = render(&found, Style::new(false));
            prop_assert!(shown.lines().count() <= 2 * LINES_MAX + 1);
        }
    }
}
