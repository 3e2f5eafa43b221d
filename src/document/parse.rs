//! From a file's bytes to a document, or the reason why it is none.

use super::front_matter::{self, FrontMatter};
use super::kind::{extension, file_name, is_html};
use super::lines::Lines;
use super::markdown::{self, Outline};
use super::{Document, Heading, Kind, MAX_HEADING_CHARS, one_line};

/// The longest file that can be parsed, in bytes. Collections set a lower limit; this one keeps line numbers in 32 bits.
pub(crate) const MAX_BYTES: usize = 1 << 30;

/// Why a file is not taken in. The text names the cause, the place and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// The file is longer than `MAX_BYTES`.
    #[error(
        "too long: {bytes} bytes, at most {MAX_BYTES} can be parsed; split the file or exclude it"
    )]
    TooLong {
        /// Length of the file.
        bytes: usize,
    },
    /// UTF-16, told by its byte order mark.
    #[error("UTF-16 text (byte order mark at offset 0); convert the file to UTF-8 or exclude it")]
    Utf16,
    /// A NUL byte, or too many control bytes.
    #[error(
        "binary content: {what} at offset {offset} (line {line}); give the file its right extension or exclude it"
    )]
    Binary {
        /// What gave it away.
        what: &'static str,
        /// Where the first of it is, in bytes from 0.
        offset: usize,
        /// The line of that byte, counted from 1.
        line: u32,
    },
    /// Bytes that are not UTF-8.
    #[error(
        "not UTF-8: byte 0x{byte:02x} at offset {offset} (line {line}); convert the file to UTF-8 or exclude it"
    )]
    NotUtf8 {
        /// The first byte that does not fit.
        byte: u8,
        /// Its place, in bytes from 0.
        offset: usize,
        /// Its line, counted from 1.
        line: u32,
    },
}

/// Reads `bytes`, the content of the file at `path`, as a document of this kind.
///
/// JSON, YAML and TOML are read as text: a file that is broken as such is still searchable. So is one whose front matter
/// cannot be read; the document's finding tells of it.
///
/// # Errors
/// A `Rejection` if the content is no text.
pub(crate) fn parse(kind: Kind, path: &[u8], bytes: &[u8]) -> Result<Document, Rejection> {
    let text = decode(bytes)?;
    let mut front = FrontMatter::default();
    let mut outline = Outline::default();
    if kind == Kind::Markdown {
        front = front_matter::read(text);
        outline = markdown::outline(text, front.bytes, &Lines::new(text));
    } else if is_html(path) {
        (outline, front.title) = markdown::html_outline(text, &Lines::new(text));
    }
    let title = title(front.title, &outline.headings, path);
    let read = front.value.is_some();
    Ok(Document {
        kind,
        extension: extension(path),
        title,
        text: text.to_owned(),
        front_matter_lines: if read { front.lines } else { 0 },
        front_matter: front.value,
        finding: front.finding,
        headings: outline.headings,
        outline_end: outline.end,
        blocks: outline.blocks,
    })
}

/// The text without its byte order mark.
fn decode(bytes: &[u8]) -> Result<&str, Rejection> {
    if bytes.len() > MAX_BYTES {
        return Err(Rejection::TooLong { bytes: bytes.len() });
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Rejection::Utf16);
    }
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Rejection::Binary {
            what: "a NUL byte",
            offset,
            line: line_of(bytes, offset),
        });
    }
    // Backspace, form feed and escape occur in manual pages, in listings and in captured terminal output.
    let control = |byte: &u8| matches!(*byte, 0x01..=0x07 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    if bytes.iter().filter(|byte| control(byte)).count() > bytes.len() / 10 {
        let offset = bytes.iter().position(control).unwrap_or(0);
        let what = "more than one byte in ten is a control character, the first";
        return Err(Rejection::Binary {
            what,
            offset,
            line: line_of(bytes, offset),
        });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let offset = error.valid_up_to();
            Err(Rejection::NotUtf8 {
                byte: bytes[offset],
                offset,
                line: line_of(bytes, offset),
            })
        }
    }
}

fn line_of(bytes: &[u8], offset: usize) -> u32 {
    let before = &bytes[..offset];
    let feeds = before.iter().filter(|byte| **byte == b'\n').count();
    let returns = before
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    1 + (feeds + returns.count()) as u32
}

fn title(named: Option<String>, headings: &[Heading], path: &[u8]) -> String {
    let named = named.map(|title| one_line(&title, MAX_HEADING_CHARS));
    let headed = headings.iter().map(|heading| heading.text.clone());
    named
        .into_iter()
        .chain(headed)
        .find(|title| !title.is_empty())
        .unwrap_or_else(|| one_line(&String::from_utf8_lossy(file_name(path)), MAX_HEADING_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn markdown(bytes: &[u8]) -> Result<Document, Rejection> {
        parse(Kind::Markdown, b"dir/file.md", bytes)
    }

    #[test]
    fn the_title_comes_from_front_matter_then_heading_then_name() {
        let title = |text: &str| markdown(text.as_bytes()).unwrap().title;
        assert_eq!(title("---\ntitle: Front\n---\n# Head\n"), "Front");
        assert_eq!(title("---\ntitle: 2024\n---\n# Head\n"), "2024");
        assert_eq!(title("---\ntitle: ''\n---\n# Head\n"), "Head");
        assert_eq!(title("---\ntitle: [a]\n---\ntext\n"), "file.md");
        assert_eq!(title("#\n\n## Second\n"), "Second");
        assert_eq!(title(""), "file.md");
        assert_eq!(
            parse(Kind::Text, b"NOTES", b"# no heading here")
                .unwrap()
                .title,
            "NOTES"
        );
    }

    #[test]
    fn a_broken_header_is_reported_and_its_text_is_there() {
        let document = markdown(b"---\ntitle: A: b\n---\n# Head\n\ntext\n").unwrap();
        let finding = document.finding.unwrap();
        assert!(
            finding.starts_with("broken front matter: line 2: "),
            "{finding}"
        );
        assert_eq!(
            (document.front_matter, document.front_matter_lines),
            (None, 0)
        );
        assert_eq!(document.title, "A: b");
        // The header is no underlined heading.
        assert_eq!((document.headings.len(), document.headings[0].line), (1, 4));
    }

    #[test]
    fn an_html_file_has_a_title_and_headings() {
        let page = |text: &str| parse(Kind::Code, b"a/b.HTML", text.as_bytes()).unwrap();
        let both = page("<title>A &amp;\n b</title>\r<body>\r<h1>One</h1>\r<p>x");
        assert_eq!(both.title, "A & b");
        assert_eq!(
            (both.headings[0].text.as_str(), both.headings[0].line),
            ("One", 4)
        );
        assert_eq!(page("<h2>x</h2><H1 id=a>One <i>two</i></H1>").title, "x");
        assert_eq!(page("<title> </title><h1>One</h1>").title, "One");
        assert_eq!(page("<p>x").title, "b.HTML");
        assert_eq!(
            parse(Kind::Code, b"a.vue", b"<h1>x</h1>").unwrap().title,
            "a.vue"
        );
    }

    #[test]
    fn a_byte_order_mark_shifts_nothing() {
        let document = markdown("\u{feff}---\na: 1\n---\n# H\n".as_bytes()).unwrap();
        assert_eq!(document.front_matter, Some(json!({"a": 1})));
        assert_eq!(document.front_matter_lines, 3);
        assert_eq!(document.headings[0].line, 4);
        assert!(document.text.starts_with("---"));
    }

    #[test]
    fn carriage_returns_shift_nothing() {
        let document = markdown(b"---\r\ntitle: x\r\n---\r\n\r\n# A\r\n\r\n## B\r\n").unwrap();
        let lines: Vec<u32> = document
            .headings
            .iter()
            .map(|heading| heading.line)
            .collect();
        assert_eq!(lines, [5, 7]);
    }

    #[test]
    fn what_is_no_text_is_rejected_with_its_place() {
        let table: Vec<(&[u8], &str)> = vec![
            (
                b"ab\nc\0d",
                "binary content: a NUL byte at offset 4 (line 2); give the file its right extension or exclude it",
            ),
            (
                b"\xff\xfea\0",
                "UTF-16 text (byte order mark at offset 0); convert the file to UTF-8 or exclude it",
            ),
            (
                b"a\nb\xff",
                "not UTF-8: byte 0xff at offset 3 (line 2); convert the file to UTF-8 or exclude it",
            ),
            (
                b"a\xe2\x82",
                "not UTF-8: byte 0xe2 at offset 1 (line 1); convert the file to UTF-8 or exclude it",
            ),
            (
                b"a\rb\r\nc\0",
                "binary content: a NUL byte at offset 6 (line 3); give the file its right extension or exclude it",
            ),
        ];
        for (bytes, message) in table {
            assert_eq!(markdown(bytes).unwrap_err().to_string(), message);
        }
        let control = markdown(b"ok\x01\x02\x03").unwrap_err();
        assert!(
            matches!(
                control,
                Rejection::Binary {
                    offset: 2,
                    line: 1,
                    ..
                }
            ),
            "{control}"
        );
        assert!(markdown(b"one \x07 bell is fine in a line").is_ok());
        assert!(markdown(b"N\x08NA\x08AM\x08ME\x08E").is_ok());
    }

    #[test]
    fn front_matter_is_read_in_markdown_only() {
        assert!(parse(Kind::Yaml, b"a.yml", b"---\na: [\n---\n").is_ok());
        assert!(parse(Kind::Json, b"a.json", b"{broken").is_ok());
        assert!(parse(Kind::Toml, b"a.toml", b"= = =").is_ok());
    }
}
