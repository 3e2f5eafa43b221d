//! What the templates show: text from outside on one line, moments, and links.

use crate::http::percent;
use crate::visible::visible;

/// A line of a text from outside. A tabulator stays: it commands nothing.
pub(super) fn line(text: impl AsRef<str>) -> String {
    let parts: Vec<_> = text.as_ref().split('\t').map(visible).collect();
    parts.join("\t")
}

/// A moment of the API without its fraction.
pub(super) fn clock(moment: impl AsRef<str>) -> String {
    let moment = moment.as_ref();
    let short = moment.get(..19).filter(|_| moment.ends_with('Z'));
    short.map_or_else(|| line(moment), |short| short.replace('T', " "))
}

/// The beginning of a digest or an id.
pub(super) fn short(text: &str) -> String {
    line(text.get(..12).unwrap_or(text))
}

/// The last part of an id: ids that are made one after the other begin alike.
pub(super) fn tail(id: &str) -> String {
    line(&id[id.len().saturating_sub(8)..])
}

/// A link with those parameters that have a value.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let given = given.map(|(name, value)| format!("{name}={}", percent::encode(value.as_bytes())));
    let given: Vec<String> = given.collect();
    match given.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", given.join("&")),
    }
}

/// Lines of a document on one page.
pub(super) const LINES: u32 = 500;

/// Lines that are shown above one that a link leads to.
const LINES_ABOVE: u32 = 3;

/// The page of a document that begins with this line; `path` as the API tells it.
pub(super) fn document_from(collection: &str, path: &str, first: u32) -> String {
    let place = percent::encode(format!("{collection}/{path}").as_bytes());
    match first {
        0 | 1 => format!("/documents/{place}"),
        _ => format!("/documents/{place}?from={first}"),
    }
}

/// The page of a document, at a line if one is given.
pub(super) fn document_link(collection: &str, path: &str, at: Option<u32>) -> String {
    let from = |line: u32| document_from(collection, path, line);
    match at {
        Some(at) => format!("{}#L{at}", from(at.saturating_sub(LINES_ABOVE))),
        None => from(1),
    }
}

/// The page of an event.
pub(super) fn event_link(id: &str) -> String {
    format!("/events/{}", percent::encode(id.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_safe_and_keeps_its_tabulators() {
        assert_eq!(line("a\tb\u{202e}c\x1b"), "a\tb\\u{202E}c\\x1B");
        assert_eq!(clock("2026-01-31T12:00:00.123Z"), "2026-01-31 12:00:00");
        assert_eq!(clock("soon"), "soon");
        assert_eq!(tail("é"), "é");
    }

    #[test]
    fn links_lead_to_odd_names_and_to_the_page_of_a_line() {
        assert_eq!(
            link("/events", &[("type", ""), ("subject", "a b&c")]),
            "/events?subject=a%20b%26c"
        );
        assert_eq!(link("/events", &[("type", "")]), "/events");
        assert_eq!(
            document_link("docs", "a?#%\\xFF.md", Some(1)),
            "/documents/docs/a%3F%23%25%5CxFF.md#L1"
        );
        assert_eq!(document_link("docs", "a", Some(4)), "/documents/docs/a#L4");
        assert_eq!(
            document_link("docs", "a", Some(501)),
            "/documents/docs/a?from=498#L501"
        );
        assert_eq!(
            document_from("docs", "a b", 501),
            "/documents/docs/a%20b?from=501"
        );
        assert_eq!(document_from("docs", "a", 1), "/documents/docs/a");
    }
}
