//! The title and the headings of HTML, told by their tags alone.

use std::ops::Range;

use pulldown_cmark::{Event, Parser};

/// The longest character reference with a name is `&CounterClockwiseContourIntegral;`.
const MAX_REFERENCE_BYTES: usize = 40;

/// What is inside of these is no text of the page.
const OPAQUE: [&str; 6] = ["script", "style", "template", "textarea", "svg", "noscript"];

/// The elements that mark text inside of a line.
#[rustfmt::skip]
const INLINE: [&str; 41] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "center", "cite", "code", "data", "del", "dfn", "em", "font",
    "i", "img", "ins", "kbd", "mark", "nobr", "picture", "q", "ruby", "s", "samp", "small", "source", "span", "strike",
    "strong", "sub", "sup", "svg", "time", "tt", "u", "var", "video", "wbr",
];

/// A `title` or heading element.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// 1 to 6; 0 for `title`.
    pub(super) level: u8,
    /// Its text without tags, references resolved.
    pub(super) text: String,
    /// Its bytes, tags included.
    pub(super) range: Range<usize>,
}

/// The titles and headings in `html`, in order. One that does not close is none.
pub(super) fn elements(html: &str) -> Vec<Element> {
    // Lower case has the same offsets, for only ASCII changes.
    let lower = html.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut unclosed: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(start) = lower[at..].find('<').map(|open| at + open) {
        at = start + 1;
        if lower[start..].starts_with("<!--") {
            at = lower[start..]
                .find("-->")
                .map_or(lower.len(), |end| start + end + 3);
            continue;
        }
        let name = tag_name(&lower[at..]);
        let level = level(name);
        if (level.is_none() && !OPAQUE.contains(&name)) || unclosed.contains(&name) {
            continue;
        }
        let close = lower[at..].find(&format!("</{name}"));
        let Some(close) = close.map(|close| at + close) else {
            unclosed.push(name);
            continue;
        };
        let end = lower[close..]
            .find('>')
            .map_or(lower.len(), |end| close + end + 1);
        if let Some(level) = level
            && let Some(open) = html[start..close].find('>')
        {
            found.push(Element {
                level,
                text: text(&html[start + open + 1..close]),
                range: start..end,
            });
        }
        at = end;
    }
    found
}

fn level(name: &str) -> Option<u8> {
    match name.as_bytes() {
        b"title" => Some(0),
        [b'h', digit @ b'1'..=b'6'] => Some(digit - b'0'),
        _ => None,
    }
}

/// The name of the tag that begins with `rest`, its `<` and `/` left out; empty if it is no tag.
fn tag_name(rest: &str) -> &str {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
    let name = &rest[..end.unwrap_or(rest.len())];
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        ""
    }
}

/// Whether a tag in a Markdown heading is markup, and no `<T>` or `<id>` that its author means literally.
pub(super) fn is_markup(tag: &str) -> bool {
    let name = tag_name(tag.trim_start_matches(['<', '/']));
    let known = if name.len() == 1 {
        INLINE.contains(&name)
    } else {
        INLINE
            .iter()
            .any(|inline| inline.eq_ignore_ascii_case(name))
    };
    known || tag.starts_with("<!") || tag.starts_with("<?")
}

/// The text between tags.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    let last_end = html.rfind('>').unwrap_or(0);
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (resolved, after) = reference(rest);
            text.push_str(&resolved);
            rest = after;
            continue;
        }
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
        let may_end = is_tag && html.len() - rest.len() < last_end;
        let end = may_end.then(|| rest.find('>')).flatten();
        if end.is_none() {
            text.push('<');
        } else if rest.starts_with("<br") {
            text.push(' ');
        }
        rest = &rest[end.map_or(1, |end| end + 1)..];
    }
    text.push_str(rest);
    text
}

/// What the reference that `rest` begins with stands for, and what follows it; Markdown has the same ones.
fn reference(rest: &str) -> (String, &str) {
    let end = rest.floor_char_boundary(MAX_REFERENCE_BYTES);
    let Some(end) = rest[..end].find(';') else {
        return ("&".to_owned(), &rest[1..]);
    };
    let (reference, after) = rest.split_at(end + 1);
    let resolved = Parser::new(reference).filter_map(|event| match event {
        Event::Text(part) => Some(part.into_string()),
        _ => None,
    });
    (resolved.collect(), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<(u8, String)> {
        elements(html)
            .into_iter()
            .map(|e| (e.level, e.text))
            .collect()
    }

    #[test]
    fn titles_and_headings_are_told_by_their_tags() {
        let html = "<!DOCTYPE html><TITLE>A &amp; B &uuml; &#x2014; &nosuch; &</TITLE>\n<!-- <h1>no</h1> -->\
                    <script>'<h1>no</h1>'</script><svg><title>icon</title></svg>\n<H2 class=\"x\">One <b>two</b><br>3 < 4</H2>";
        assert_eq!(
            found(html),
            [
                (0, "A & B ü — &nosuch; &".to_owned()),
                (2, "One two 3 < 4".to_owned())
            ]
        );
        let one = &elements("ä<h1>x</h1>y")[0];
        assert_eq!(one.range, 2..12);
    }

    #[test]
    fn what_does_not_close_is_none_and_takes_linear_time() {
        assert_eq!(found("<h1>open"), []);
        assert_eq!(found("<h1"), []);
        assert_eq!(found("<h7>x</h7><hr>"), []);
        assert_eq!(found(&"<h1><script><!-".repeat(100_000)), []);
        for open in ["<", "<a", "<!", "&"] {
            let heading = format!("<h1>{}</h1>", open.repeat(1_000_000));
            assert_eq!(found(&heading)[0].1.len(), open.len() * 1_000_000);
        }
    }

    #[test]
    fn only_known_tags_are_markup() {
        for tag in [
            "<b>",
            "</b>",
            "<br/>",
            "<IMG src=x>",
            "<!-- x -->",
            "<kbd class=a>",
        ] {
            assert!(is_markup(tag), "{tag}");
        }
        for tag in ["<T>", "<id>", "</path>", "<String>", "<S>", "<B>"] {
            assert!(!is_markup(tag), "{tag}");
        }
    }
}
