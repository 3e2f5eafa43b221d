//! The outline of a Markdown text: its headings, and the blocks that belong together.

use super::lines::{LineRange, Lines};
use super::{Heading, MAX_HEADING_CHARS, html, one_line};
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
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_GFM;
    let (markup, end) = window(text, from, lines);
    let mut outline = Outline {
        end,
        ..Outline::default()
    };
    let mut containers = 0usize;
    let mut open: Option<OpenHeading> = None;
    for (event, range) in Parser::new_ext(markup, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) if containers == 0 => {
                let lines = span(lines, text, from, &range);
                open = Some(OpenHeading::new(level as u8, lines));
            }
            Event::End(TagEnd::Heading(_)) => outline
                .headings
                .extend(open.take().map(|heading| heading.close(markup))),
            Event::Start(Tag::HtmlBlock) if containers == 0 => {
                let elements = html::elements(&markup[range.clone()]).into_iter();
                let headings = elements.filter_map(|element| {
                    let lines = span(lines, text, from + range.start, &element.range);
                    html_heading(element, lines)
                });
                outline.headings.extend(headings);
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
            event => {
                if let Some(heading) = &mut open {
                    heading.take(event, range);
                }
            }
        }
    }
    outline
}

/// Reads the outline of an HTML file, and its title.
pub(super) fn html_outline(text: &str, lines: &Lines<'_>) -> (Outline, Option<String>) {
    let (markup, end) = window(text, 0, lines);
    let elements = html::elements(markup);
    let title = elements.iter().find(|element| element.level == 0);
    let title = title.map(|element| element.text.clone());
    let headings = elements.into_iter().filter_map(|element| {
        let lines = span(lines, text, 0, &element.range);
        html_heading(element, lines)
    });
    let outline = Outline {
        headings: headings.collect(),
        end,
        ..Outline::default()
    };
    (outline, title)
}

/// The part of the text that is looked at, and the line at which that ends early.
fn window<'a>(text: &'a str, from: usize, lines: &Lines<'_>) -> (&'a str, Option<usize>) {
    let long = text.len() - from > MAX_OUTLINE_BYTES;
    let end = long.then(|| lines.at(from + MAX_OUTLINE_BYTES));
    let markup = &text[from..end.map_or(text.len(), |line| lines.offset(line).max(from))];
    (markup, end)
}

/// The heading that an element is; a title is none.
fn html_heading(element: html::Element, lines: LineRange) -> Option<Heading> {
    (element.level > 0).then(|| Heading {
        level: element.level,
        text: one_line(&element.text, MAX_HEADING_CHARS),
        line: lines.start as u32 + 1,
        last_line: lines.end as u32,
    })
}

struct OpenHeading {
    level: u8,
    text: String,
    lines: LineRange,
    images: usize,
    /// Where the run of plain text at the end of `text` begins, there and in the source, and where it ends in the source.
    run: (usize, Range<usize>),
}

impl OpenHeading {
    fn new(level: u8, lines: LineRange) -> Self {
        Self {
            level,
            text: String::new(),
            lines,
            images: 0,
            run: (0, 0..0),
        }
    }

    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            // The text of an image is a badge's label more often than a part of the heading.
            Event::Start(Tag::Image { .. }) => self.images += 1,
            Event::End(TagEnd::Image) => self.images = self.images.saturating_sub(1),
            Event::Text(part) if self.images == 0 => {
                // What is not there byte for byte in the source was escaped, or is a reference.
                let literal = part.len() == range.len();
                if self.run.1.end != range.start || !literal {
                    self.run = (self.text.len(), range.start..range.start);
                }
                self.run.1.end = range.end;
                self.push(&part);
            }
            Event::Code(part) if self.images == 0 => self.push_apart(&part),
            Event::InlineHtml(tag) if self.images == 0 && !html::is_markup(&tag) => {
                self.push_apart(&tag);
            }
            Event::SoftBreak | Event::HardBreak => self.push_apart(" "),
            _ => {}
        }
    }

    /// Adds to the text, but not without bound: a heading can be as long as its file.
    fn push(&mut self, part: &str) {
        if self.text.len() < 16 * MAX_HEADING_CHARS {
            self.text.extend(part.chars().take(16 * MAX_HEADING_CHARS));
        }
    }

    /// Adds what is no plain text.
    fn push_apart(&mut self, part: &str) {
        self.push(part);
        self.run = (self.text.len(), 0..0);
    }

    fn close(mut self, source: &str) -> Heading {
        if let Some(brace) = self.attributes(source) {
            self.text.truncate(brace);
        }
        Heading {
            level: self.level,
            text: one_line(&self.text, MAX_HEADING_CHARS),
            line: self.lines.start as u32 + 1,
            last_line: self.lines.end as u32,
        }
    }

    /// Where the block of attributes begins that the heading ends in, such as `{#anchor .class}`.
    fn attributes(&self, source: &str) -> Option<usize> {
        let (start, in_source) = &self.run;
        let run = self.text.get(*start..)?;
        let brace = run.rfind('{')?;
        let inner = run[brace + 1..].trim_end().strip_suffix('}')?;
        let before = &source[..in_source.start + brace];
        let escapes = before.len() - before.trim_end_matches('\\').len();
        (escapes.is_multiple_of(2) && !before.ends_with('{') && are_attributes(inner))
            .then(|| start + brace)
    }
}

/// Whether this is what stands between the braces of attributes: an anchor or a class, and nothing that is no attribute.
fn are_attributes(inner: &str) -> bool {
    let inner = inner.strip_prefix(':').unwrap_or(inner);
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.contains(['#', '{', '}', '"', '\'', '`', '<', '>', '/', '$', '(', ')'])
    };
    let mut names = 0;
    inner.split_whitespace().all(|word| {
        if let Some(anchor) = word.strip_prefix('#') {
            names += 1;
            is_name(anchor)
        } else if let Some(class) = word.strip_prefix('.') {
            names += 1;
            is_name(class) && !class.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        } else {
            word.split_once('=').is_some_and(|(key, _)| is_name(key))
        }
    }) && names > 0
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
    fn a_heading_is_shown_as_it_is_written() {
        let text = |heading: &str| {
            read(&format!("{heading}\n\ntext\n")).headings[0]
                .text
                .clone()
        };
        let table = [
            ("# GET /users/{id}", "GET /users/{id}"),
            ("# {only}", "{only}"),
            ("# `{#id}`", "{#id}"),
            ("# a `b` {x=y}", "a b {x=y}"),
            ("# a \\{#id}", "a {#id}"),
            ("# a {{#if}}", "a {{#if}}"),
            ("# a {{ .Name }}", "a {{ .Name }}"),
            ("# a ${.x} {#}", "a ${.x} {#}"),
            ("# a {#b c}", "a {#b c}"),
            ("# a {}", "a {}"),
            ("# a {.5}", "a {.5}"),
            ("# a {#id} b", "a {#id} b"),
            ("# set {1, 2}", "set {1, 2}"),
            ("# a {#id}", "a"),
            ("# a {#id_of_it}", "a"),
            ("# a{.class}  ", "a"),
            ("# a {#id .b x=\"y\"} ##", "a"),
            ("# a {: #id .b }", "a"),
            ("# `a` {#id}", "a"),
            ("a {.b}\n===", "a"),
            ("# a \\\\ b {#id}", "a \\ b"),
            ("# Vec<T> and /users/<id>", "Vec<T> and /users/<id>"),
            ("# <a id=\"x\"></a>a <kbd>b</kbd><!-- c -->", "a b"),
            ("# \\*a\\* &amp; &lt;b&gt; __c__ ~~d~~", "*a* & <b> c ~~d~~"),
            ("# [a `b`](c) <https://d.e> [f]", "a b https://d.e [f]"),
            ("# snake_case_name 2*3*4 C#", "snake_case_name 234 C#"),
        ];
        for (written, shown) in table {
            assert_eq!(text(written), shown, "{written}");
        }
    }

    #[test]
    fn html_headings_in_markdown_are_headings() {
        let text = "<h1 align=\"center\">\n  <img src=\"x\">\n  Docent\n</h1>\n\ntext\n\n<div><h2>Two</h2></div>\n\n> <h1>quoted</h1>\n\n`<h1>code</h1>`\n";
        let expected: Vec<(u8, String, u32, u32)> =
            vec![(1, "Docent".into(), 1, 4), (2, "Two".into(), 8, 8)];
        assert_eq!(headings(text), expected);
    }

    #[test]
    fn a_carriage_return_alone_ends_a_line() {
        let expected: Vec<(u8, String, u32, u32)> = vec![
            (1, "One".into(), 1, 1),
            (2, "Two".into(), 5, 6),
            (3, "x".into(), 8, 8),
        ];
        assert_eq!(headings("# One\r\rtext\r\rTwo\r---\r\n\n### x\r"), expected);
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
