//! From a file's bytes to a document, or the reason why it is none.

use super::front_matter::{self, FrontMatter};
use super::kind::file_name;
use super::lines::Lines;
use super::markdown::{self, Outline};
use super::{Document, Heading, Kind, MAX_HEADING_CHARS, one_line};
use serde_json::Value;

/// The longest file that can be parsed, in bytes. Collections set a lower limit; this one keeps line numbers in 32 bits.
pub const MAX_BYTES: usize = 1 << 30;

/// Why a file is not taken in. The text names the cause, the place and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
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
        "binary content: {what} at offset {offset} (line {line}); rename the file to what it is or exclude it"
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
    /// Front matter that is not YAML, or goes beyond its bounds.
    #[error("broken front matter: line {line}: {cause}; correct the YAML between the `---` lines")]
    FrontMatter {
        /// The line of the file, counted from 1.
        line: u32,
        /// What the YAML reader says.
        cause: String,
    },
}

/// Reads `bytes`, the content of the file at `path`, as a document of this kind.
///
/// JSON, YAML and TOML are read as text: a file that is broken as such is still searchable.
///
/// # Errors
/// A `Rejection` if the content is no text, or is Markdown with broken front matter.
pub fn parse(kind: Kind, path: &[u8], bytes: &[u8]) -> Result<Document, Rejection> {
    let text = decode(bytes)?;
    let front = if kind == Kind::Markdown {
        read_front_matter(text)?
    } else {
        None
    };
    let outline = if kind == Kind::Markdown {
        let from = front.as_ref().map_or(0, |front| front.bytes);
        markdown::outline(text, from, &Lines::new(text))
    } else {
        Outline::default()
    };
    let title = title(front.as_ref(), &outline.headings, path);
    Ok(Document {
        kind,
        title,
        text: text.to_owned(),
        front_matter_lines: front.as_ref().map_or(0, |front| front.lines),
        front_matter: front.map(|front| front.value),
        headings: outline.headings,
        outline_end: outline.end,
        blocks: outline.blocks,
    })
}

fn read_front_matter(text: &str) -> Result<Option<FrontMatter>, Rejection> {
    front_matter::read(text).map_err(|broken| Rejection::FrontMatter {
        line: broken.line,
        cause: broken.cause,
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
    1 + bytes[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count() as u32
}

fn title(front: Option<&FrontMatter>, headings: &[Heading], path: &[u8]) -> String {
    let named = front.and_then(|front| match front.value.get("title") {
        Some(Value::String(title)) => Some(one_line(title, MAX_HEADING_CHARS)),
        // `title: 2024` is a number to YAML and a title to its author.
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    });
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
                "binary content: a NUL byte at offset 4 (line 2); rename the file to what it is or exclude it",
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
                b"---\na: [\n---\n",
                "broken front matter: line 2: unclosed bracket '['; correct the YAML between the `---` lines",
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
