//! The text of a config file: its tables, its syntax errors, and which line a byte is in.

use super::keys;
use super::problem::{Origin, Problem, Wrong};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

/// Problems with the syntax that are told. A text with more of them is not a config in which somebody slipped, but
/// something else: nothing of it is taken.
const MOST_PROBLEMS: usize = 100;

/// A parsed text. What could not be read is told in [`Source::problems`] and known to [`Source::is_broken`].
pub(crate) struct Source<'a> {
    text: &'a str,
    path: Arc<Path>,
    /// The byte at which each line begins.
    lines: Vec<usize>,
    pub(crate) table: Spanned<DeTable<'a>>,
    /// In the order of the text.
    errors: Vec<Error>,
    /// What follows a broken header: nobody can tell which table it belongs to. In the order of the text.
    lost: Vec<Range<usize>>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Source<'a> {
    /// Parses `text`, which is the content of `path`.
    pub(crate) fn parse(path: &Path, text: &'a str) -> Self {
        let (table, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(start);
        let newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let mut source = Self {
            text,
            path: Arc::from(path),
            lines: std::iter::once(0).chain(newlines).collect(),
            table,
            lost: lost(text, &errors),
            errors,
            problems: Vec::new(),
        };
        source.problems = source.find_problems();
        if source.problems.len() > MOST_PROBLEMS {
            source.table.get_mut().clear();
        }
        source
    }

    /// Where the byte `at` is.
    pub(crate) fn origin(&self, at: usize) -> Origin {
        let at = self.text.floor_char_boundary(at);
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        Origin::File {
            path: Arc::clone(&self.path),
            line,
            column: self.text[start..at].chars().count() + 1,
        }
    }

    /// Whether a syntax error is in these bytes, so that what was read of them is not what was written.
    pub(crate) fn is_broken(&self, span: Range<usize>) -> bool {
        let next = self
            .errors
            .partition_point(|error| start(error) < span.start);
        let hit = self
            .errors
            .get(next)
            .is_some_and(|error| start(error) <= span.end);
        let lost = self.lost.partition_point(|lost| lost.end <= span.start);
        hit || self
            .lost
            .get(lost)
            .is_some_and(|lost| lost.contains(&span.start))
    }

    /// One problem for each line with a syntax error. A list or a text that never ends is one problem where it
    /// begins, however many lines it swallows.
    fn find_problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        let (mut told_up_to, mut told_line) = (0, 0);
        for error in &self.errors {
            let mut at = start(error);
            if at < told_up_to || self.origin(at).line() == told_line {
                continue;
            }
            if problems.len() == MOST_PROBLEMS {
                let remedy =
                    "correct the TOML (https://toml.io), or name the config file with --config";
                let wrong = Wrong::new("has more errors, so nothing of it was taken", remedy);
                problems.push(wrong.at(Origin::whole(&self.path), ""));
                break;
            }
            let mut message = error.message();
            if let Some(endless) = self.endless(at) {
                at = endless.start;
                told_up_to = endless.end + 1;
                message = "what begins here does not end";
            }
            let (origin, key) = (self.origin(at), self.key_at(at));
            told_line = origin.line();
            problems.push(wrong(message, &key).at(origin, key));
        }
        problems
    }

    /// The bytes of the value, with its key, that the byte `at` is in, if it is one that ends where the text ends.
    fn endless(&self, at: usize) -> Option<Range<usize>> {
        let end = self.text.trim_end().len();
        let endless = value_around(self.table.get_ref(), at)?;
        let unclosed = |error: &Error| start(error) >= end && endless.end >= end;
        let lines = self.text[endless.clone()].trim_end().contains('\n');
        (lines && self.errors.last().is_some_and(unclosed)).then_some(endless)
    }

    /// The key or table, with the tables above it, of the line that the byte `at` is in, as far as it can be told.
    fn key_at(&self, at: usize) -> String {
        let at = self.text.floor_char_boundary(at);
        let end = self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |newline| at + newline);
        let mut table = String::new();
        let mut lists = 0;
        let mut key = String::new();
        for line in self.text[..end].lines() {
            let line = line.trim();
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
        if table.is_empty() || key.is_empty() {
            return table + &key;
        }
        keys::join(&table, &key)
    }
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// From each error in the line of a header to the next header.
fn lost(text: &str, errors: &[Error]) -> Vec<Range<usize>> {
    let mut lost: Vec<Range<usize>> = Vec::new();
    for error in errors {
        let at = text.floor_char_boundary(start(error));
        if lost.last().is_some_and(|last| at < last.end) {
            continue;
        }
        let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if text[line..].trim_start().starts_with('[') {
            let next = text[at..].find("\n[").map_or(text.len(), |next| at + next);
            lost.push(at..next);
        }
    }
    lost
}

/// The bytes of the value, with its key, that the byte `at` is in. A table under a header is not one: it is looked into.
fn value_around(table: &DeTable<'_>, at: usize) -> Option<Range<usize>> {
    table.iter().find_map(|(key, value)| {
        let span = key.span().start..value.span().end;
        // The key in a header comes after the beginning of the header, which is that of the table.
        if span.start < value.span().start {
            return (span.start <= at && at <= span.end).then_some(span);
        }
        match value.get_ref() {
            DeValue::Table(table) => value_around(table, at),
            DeValue::Array(items) => items
                .iter()
                .filter_map(|item| item.get_ref().as_table())
                .find_map(|table| value_around(table, at)),
            _ => None,
        }
    })
}

/// The characters of `text` that make a name, up to the first that does not.
fn plain_name(text: &str) -> String {
    text.trim()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c))
        .collect()
}

/// The message of the parser quotes nothing of the file, so no password can be in it.
fn wrong(message: &str, key: &str) -> Wrong {
    let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
    let remedy = if message.contains("duplicate key") {
        "remove all but one".to_owned()
    } else if message.contains("quoted") && !name.is_empty() {
        format!("write {name} = \"…\": texts, durations and sizes stand in quotes")
    } else {
        "correct the TOML (https://toml.io)".to_owned()
    };
    Wrong::new(format!("cannot be read as TOML: {message}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(usize, String)> {
        let source = Source::parse(Path::new("x.toml"), text);
        let told = |problem: &Problem| (problem.origin.line(), problem.key.clone());
        source.problems.iter().map(told).collect()
    }

    #[test]
    fn tells_each_broken_line_with_its_key() {
        let text = "a = 1\n[watch]\ndebounce = 500ms\n\n[[collection]]\nname = \"a\"\nname = \"b\"\n[bus\nmode = 1\n";
        assert_eq!(
            problems(text),
            [
                (3, "watch.debounce".to_owned()),
                (7, "collection[0].name".to_owned()),
                (8, "bus".to_owned())
            ]
        );
    }

    #[test]
    fn what_never_ends_is_one_problem_where_it_begins() {
        let rest = "\n[bus]\nmode = \"auto\"\n[redis]\ngroup = \"x\"\n";
        for start in [
            "secrets = [\"a\",",
            "secrets = [",
            "secrets = {",
            "secrets = [{",
            "secrets = \"\"\"a",
            "secrets = '''a",
        ] {
            let text = format!("[watch]\ndebounce = 5s\n[documents]\n{start}{rest}");
            let expected = [
                (2, "watch.debounce".to_owned()),
                (4, "documents.secrets".to_owned()),
            ];
            assert_eq!(problems(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_follows_a_broken_header_is_lost_up_to_the_next_one() {
        let text = "a = 1\n[bus\nb = 1\n[c]\nd = 1\n";
        let source = Source::parse(Path::new("x.toml"), text);
        let broken = |name: &str| {
            let at = text.find(name).expect("it is there");
            source.is_broken(at..at + 5)
        };
        assert!(!broken("a = 1") && broken("b = 1") && !broken("d = 1"));
    }

    #[test]
    fn a_text_that_is_no_config_is_told_briefly() {
        let text = "Dear config, all is well.\n".repeat(20_000);
        let source = Source::parse(Path::new("letter.txt"), &text);
        let told = &source.problems;
        assert_eq!(told.len(), MOST_PROBLEMS + 1);
        assert_eq!(told[MOST_PROBLEMS - 1].origin.line(), MOST_PROBLEMS);
        assert!(
            told[MOST_PROBLEMS].what.starts_with("has more errors"),
            "{}",
            told[MOST_PROBLEMS]
        );
        assert!(source.table.get_ref().is_empty());
    }

    #[test]
    fn counts_lines_and_characters() {
        let source = Source::parse(Path::new("x.toml"), "é = 1\nab = 2\n");
        let at = |byte| match source.origin(byte) {
            Origin::File { line, column, .. } => (line, column),
            other => panic!("{other:?}"),
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 1));
        assert_eq!(at(2), (1, 2));
        assert_eq!(at(7), (2, 1));
        assert_eq!(at(13), (2, 7));
        assert_eq!(at(999), (3, 1));
    }
}
