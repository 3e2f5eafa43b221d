//! The text of a config file: its tables or its syntax error, and which line a byte is in.

use super::key_path;
use super::violation::{Origin, Reason, Violation};
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeTable;

pub(crate) struct SourceText<'a> {
    place: Position<'a>,
    pub(crate) table: Spanned<DeTable<'a>>,
}

struct Position<'a> {
    text: &'a str,
    path: Arc<Path>,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl<'a> SourceText<'a> {
    /// Parses `text`, which is the content of `path`; or tells its first syntax error.
    pub(crate) fn parse(path: &Path, text: &'a str) -> Result<Self, Box<Violation>> {
        let newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let place = Position {
            text,
            path: Arc::from(path),
            lines: std::iter::once(0).chain(newlines).collect(),
        };
        match DeTable::parse(text) {
            Ok(table) => Ok(Self { place, table }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let key = place.key_at(at);
                Err(Box::new(
                    reason(error.message(), &key).at(place.origin(at), key),
                ))
            }
        }
    }

    /// Where the byte `at` is.
    pub(crate) fn origin(&self, at: usize) -> Origin {
        self.place.origin(at)
    }
}

impl Position<'_> {
    fn origin(&self, at: usize) -> Origin {
        let at = self.text.floor_char_boundary(at);
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        Origin::File {
            path: Arc::clone(&self.path),
            line,
            column: self.text[start..at].chars().count() + 1,
        }
    }

    /// The key or table, with the tables above it, of the line that the byte `at` is in, as far as it can be told.
    fn key_at(&self, at: usize) -> String {
        let at = self.text.floor_char_boundary(at);
        let line = self.lines.partition_point(|start| *start <= at);
        let (mut table, mut key, mut lists) = (String::new(), String::new(), 0);
        for line in self.text.lines().take(line).map(str::trim) {
            key.clear();
            if let Some(header) = line.strip_prefix("[[") {
                table = format!("{}[{lists}]", plain_name(header));
                lists += 1;
            } else if let Some(header) = line.strip_prefix('[') {
                table = plain_name(header);
            } else {
                key = plain_name(line);
            }
        }
        match key.is_empty() {
            true => table,
            false => key_path::join(&table, &key),
        }
    }
}

/// The characters of `text` that make a name, up to the first that does not.
fn plain_name(text: &str) -> String {
    text.trim()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c))
        .collect()
}

/// The message of the parser quotes nothing of the file, so no password can be in it.
fn reason(message: &str, key: &str) -> Reason {
    let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
    let remedy = if message.contains("duplicate key") {
        "remove all but one".to_owned()
    } else if message.contains("quoted") && !name.is_empty() {
        format!("write {name} = \"…\": texts, durations and sizes stand in quotes")
    } else {
        "correct the TOML (https://toml.io)".to_owned()
    };
    Reason::new(format!("cannot be read as TOML: {message}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_is_told_with_its_key() {
        for (text, line, key) in [
            ("a = 1\n[watch]\ndebounce = 500ms\n", 3, "watch.debounce"),
            (
                "[[collection]]\n[[collection]]\nname = \"a\"\nname = \"b\"\n",
                4,
                "collection[1].name",
            ),
            ("a = 1\n[bus\nmode = 1\n", 2, "bus"),
            ("Dear config, all is well.\n", 1, "Dear"),
        ] {
            let told = SourceText::parse(Path::new("x.toml"), text)
                .err()
                .expect("it is broken");
            assert_eq!(
                (told.origin.line(), told.key.as_str()),
                (line, key),
                "{told}"
            );
        }
    }

    #[test]
    fn counts_lines_and_characters() {
        let source =
            SourceText::parse(Path::new("x.toml"), "\"é\" = 1\nab = 2\n").expect("it is TOML");
        let at = |byte| match source.origin(byte) {
            Origin::File { line, column, .. } => (line, column),
            other => panic!("{other:?}"),
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 2));
        assert_eq!(at(3), (1, 3));
        assert_eq!(at(9), (2, 1));
        assert_eq!(at(15), (2, 7));
        assert_eq!(at(999), (3, 1));
    }
}
