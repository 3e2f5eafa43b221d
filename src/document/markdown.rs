//! The outline of a Markdown text: its headings, and the blocks that belong together.

use super::lines::{LineRange, Lines};
use super::{Heading, MAX_HEADING_CHARS, one_line};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;

/// Headings are looked for in this many bytes. The parser holds a node for each piece of markup, in the worst case
/// 70 bytes for one of the text, so that the whole of a hostile file could take more memory than all else together.
const MAX_OUTLINE_BYTES: usize = 2 * 1024 * 1024;

/// Headings and blocks in the order of lines.
#[derive(Default)]
pub(super) struct Outline {
    pub(super) headings: Vec<Heading>,
    /// Code blocks and tables.
    pub(super) blocks: Vec<LineRange>,
    /// The line from which on the text was not looked at, if it is longer than `MAX_OUTLINE_BYTES`.
    pub(super) end: Option<usize>,
}

/// Reads the outline of the text from byte `from` on; `lines` indexes the whole text.
pub(super) fn outline(text: &str, from: usize, lines: &Lines<'_>) -> Outline {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_GFM
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let long = text.len() - from > MAX_OUTLINE_BYTES;
    let end = long.then(|| lines.at(from + MAX_OUTLINE_BYTES));
    let markup = &text[from..end.map_or(text.len(), |line| lines.offset(line))];
    let mut outline = Outline {
        end,
        ..Outline::default()
    };
    let mut containers = 0usize;
    let mut images = 0usize;
    let mut open: Option<OpenHeading> = None;
    for (event, range) in Parser::new_ext(markup, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) if containers == 0 => {
                open = Some(OpenHeading {
                    level: level as u8,
                    text: String::new(),
                    lines: span(lines, text, from, &range),
                });
            }
            Event::End(TagEnd::Heading(_)) => {
                outline.headings.extend(open.take().map(OpenHeading::close))
            }
            Event::Start(Tag::CodeBlock(_) | Tag::Table(_)) => {
                outline.blocks.push(span(lines, text, from, &range))
            }
            Event::Start(
                Tag::BlockQuote(_) | Tag::List(_) | Tag::Item | Tag::FootnoteDefinition(_),
            ) => containers += 1,
            Event::End(
                TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item | TagEnd::FootnoteDefinition,
            ) => {
                containers = containers.saturating_sub(1);
            }
            // The text of an image is a badge's label more often than a part of the heading.
            Event::Start(Tag::Image { .. }) => images += 1,
            Event::End(TagEnd::Image) => images = images.saturating_sub(1),
            Event::Text(part) | Event::Code(part) if images == 0 => {
                if let Some(heading) = &mut open {
                    heading.push(&part);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut open {
                    heading.push(" ");
                }
            }
            _ => {}
        }
    }
    outline
}

struct OpenHeading {
    level: u8,
    text: String,
    lines: LineRange,
}

impl OpenHeading {
    /// Adds to the text, but not without bound: a heading can be as long as its file.
    fn push(&mut self, part: &str) {
        if self.text.len() < 16 * MAX_HEADING_CHARS {
            self.text.extend(part.chars().take(16 * MAX_HEADING_CHARS));
        }
    }

    fn close(self) -> Heading {
        Heading {
            level: self.level,
            text: one_line(&self.text, MAX_HEADING_CHARS),
            line: self.lines.start as u32 + 1,
            last_line: self.lines.end as u32,
        }
    }
}

/// The lines of a byte range that counts from `from`, the terminator at its end left out.
fn span(lines: &Lines<'_>, text: &str, from: usize, range: &Range<usize>) -> LineRange {
    let block = &text[from + range.start..from + range.end];
    let last = from + range.start + block.trim_end().len().saturating_sub(1);
    let first = lines.at(from + range.start);
    first..lines.at(last).max(first) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outline {
        outline(text, 0, &Lines::new(text))
    }

    fn headings(text: &str) -> Vec<(u8, String, u32, u32)> {
        read(text)
            .headings
            .into_iter()
            .map(|h| (h.level, h.text, h.line, h.last_line))
            .collect()
    }

    #[test]
    fn headings_have_plain_text_and_exact_lines() {
        let text = "# A *b* `c` [d](e) ![badge](f) <i>g</i> {#id}\n\nSet\next\n===\n### x\r\n## \n";
        let expected: Vec<(u8, String, u32, u32)> = vec![
            (1, "A b c d g".into(), 1, 1),
            (1, "Set ext".into(), 3, 5),
            (3, "x".into(), 6, 6),
            (2, String::new(), 7, 7),
        ];
        assert_eq!(headings(text), expected);
    }

    #[test]
    fn what_only_looks_like_a_heading_is_none() {
        assert!(
            headings("```\n# a\n```\n\n    # b\n\n> # c\n\n- # d\n\n<!--\n# e\n-->\n\n\\# f\n#g\n")
                .is_empty()
        );
    }

    #[test]
    fn an_unclosed_fence_hides_headings_to_the_end() {
        assert_eq!(headings("# a\n```\n# b\n").len(), 1);
    }

    #[test]
    fn blocks_are_fences_and_tables() {
        let text = "a\n\n```rust\nx\n\ny\n```\n\n|a|b|\n|-|-|\n|1|2|\n\n- i\n\n  ~~~\n  z\n  ~~~\n";
        assert_eq!(read(text).blocks, [2..7, 8..11, 14..17]);
    }

    #[test]
    fn a_very_long_text_is_searched_at_its_start() {
        let text = "# a\n".repeat(MAX_OUTLINE_BYTES / 4 + 10);
        let found = read(&text);
        assert_eq!(found.end, Some(MAX_OUTLINE_BYTES / 4));
        assert_eq!(found.headings.len(), MAX_OUTLINE_BYTES / 4);
        assert_eq!(read("# a\n").end, None);
        let one_line = "x".repeat(MAX_OUTLINE_BYTES + 1);
        assert_eq!(read(&one_line).end, Some(0));
    }

    #[test]
    fn a_heading_as_long_as_its_file_is_cut() {
        let found = headings(&format!("# {}\n", "x".repeat(100_000)));
        assert_eq!(found[0].1.chars().count(), MAX_HEADING_CHARS);
        assert!(found[0].1.ends_with('…'));
    }
}
