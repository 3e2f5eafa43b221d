//! What a file says: its kind, title, headings and front matter, and the chunks that search finds.
//!
//! Pure: bytes in, facts out. No I/O, no clock, nothing of the rest of the crate. The same bytes under the same path
//! always give the same document and the same chunks.
//!
//! A *line* ends as in CommonMark: with a line feed, a carriage return, or both in this order. Lines count from 1.
//! A byte order mark at the start of a file is not part of the text.

mod chunk;
mod code;
mod define;
mod front_matter;
mod html;
mod keywords;
mod kind;
mod lines;
mod markdown;
mod parse;
mod role;
mod secrets;
mod split;

pub(crate) use chunk::{CHUNKING, Chunk, ChunkOptions, chunks};
pub(crate) use define::definitions;
pub(crate) use kind::{Kind, LANGUAGES, is_page, kind_of, language_of};
pub(crate) use parse::parse;
pub(crate) use role::{Role, role_of};
pub(crate) use secrets::private_key;

use lines::LineRange;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// How the file was read.
    pub kind: Kind,
    /// The extension of the file, in lower case; empty if it has none.
    extension: String,
    /// The title that the front matter or an HTML file's `<title>` gives, as it is written there; else the first heading,
    /// else the file's name. Never empty unless the path is.
    pub title: String,
    /// The whole text, front matter included, without a byte order mark.
    pub text: String,
    /// The mapping that opens a Markdown file, in YAML, TOML or JSON. An empty block is an empty mapping.
    pub front_matter: Option<serde_json::Value>,
    /// What is wrong with the front matter, for people. A block that cannot be read is text like any other.
    pub finding: Option<String>,
    /// How many lines at the start are front matter, its two delimiters included.
    pub front_matter_lines: u32,
    /// The headings of a Markdown or HTML file that stand outside quotes, lists and code, in the order of lines.
    pub headings: Vec<Heading>,
    /// The line, counted from 0, from which on a very long Markdown file was not searched for headings and blocks.
    outline_end: Option<usize>,
    /// Code blocks and tables, ascending, which a chunk splits only if they are longer than a chunk.
    blocks: Vec<LineRange>,
}

/// A heading of a Markdown file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heading {
    pub level: u8,
    /// Its text without markup, white space collapsed, cut to 200 characters (then ending in `…`).
    pub text: String,
    /// Its first line, counted from 1.
    pub line: u32,
    /// Its last line: another one only where the heading is underlined.
    pub last_line: u32,
}

/// At most this many characters of a heading, title or code signature are kept: they are repeated in every chunk.
const MAX_HEADING_CHARS: usize = 200;

/// `text` with white space collapsed, at most `max` characters long; a cut is shown by `…` as the last one.
fn one_line(text: &str, max: usize) -> String {
    let mut short = String::new();
    let mut count = 0;
    let is_blank = |character: char| character.is_whitespace() || character == '\0';
    for word in text.split(is_blank).filter(|word| !word.is_empty()) {
        let space = (count > 0).then_some(' ');
        for character in space.into_iter().chain(word.chars()) {
            if count == max {
                short.pop();
                short.push('…');
                return short;
            }
            short.push(character);
            count += 1;
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        assert_eq!(one_line("  a \t b\n c ", 10), "a b c");
        assert_eq!(one_line("abcdef", 6), "abcdef");
        assert_eq!(one_line("abcdefg", 6), "abcde…");
        assert_eq!(one_line("", 6), "");
    }
}
