//! Where a piece of source code belongs: the signatures of the items around it, told by keywords and indentation.
//!
//! No grammar is used. A line that cannot be told is no item, and a piece without items is headed by its file alone.

use super::lines::{LineRange, Lines};
use super::one_line;

/// At most this many characters of a signature, and this many signatures of a path, are kept.
const MAX_SIGNATURE_CHARS: usize = 120;
const MAX_DEPTH: usize = 4;
/// An item is looked for in this many bytes of a line.
const MAX_HEAD_BYTES: usize = 512;
/// Indentation beyond this many columns counts as this many.
const MAX_INDENT: usize = 1_000;

/// For each of the ascending `pieces`, the signatures of the items that it belongs to, outermost first.
pub(super) fn item_paths(lines: &Lines<'_>, pieces: &[LineRange]) -> Vec<Vec<String>> {
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut paths = Vec::with_capacity(pieces.len());
    let mut line = 0;
    for piece in pieces {
        while line < piece.start {
            enter(&mut open, head(lines, line));
            line += 1;
        }
        paths.push(path(&open, lines, piece));
    }
    paths
}

/// Follows one line: closes the items that it ends, opens the one that it begins.
fn enter(open: &mut Vec<(usize, String)>, line: &str) {
    let content = line.trim();
    if content.is_empty() || is_remark(content) || continues(content) {
        return;
    }
    let indent = indent(line);
    while open.last().is_some_and(|(outer, _)| *outer >= indent) {
        open.pop();
    }
    if let Some(signature) = signature(content) {
        open.push((indent, signature));
    }
}

fn path(open: &[(usize, String)], lines: &Lines<'_>, piece: &LineRange) -> Vec<String> {
    let first = indent(head(lines, piece.start));
    let outer = open
        .iter()
        .filter(|(indent, _)| *indent < first)
        .map(|(_, signature)| signature.clone());
    let mut path: Vec<String> = outer.collect();
    let mut content = piece.clone().map(|line| head(lines, line).trim());
    let leading = content
        .find(|line| !line.is_empty() && !is_remark(line))
        .and_then(signature);
    // A piece that begins in front of all items, with imports as a rule, is headed by the first item in it.
    let own = leading.or_else(|| {
        if path.is_empty() {
            content.find_map(signature)
        } else {
            None
        }
    });
    path.extend(own);
    path.split_off(path.len().saturating_sub(MAX_DEPTH))
}

/// The beginning of a line. A minified file is one line and many pieces, each of which looks at it.
fn head<'a>(lines: &Lines<'a>, line: usize) -> &'a str {
    let text = lines.line(line);
    &text[..text.floor_char_boundary(MAX_HEAD_BYTES)]
}

/// The columns of white space in front of a line; a tab counts four.
pub(super) fn indent(line: &str) -> usize {
    let mut columns = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns += 4,
            _ => break,
        }
        if columns >= MAX_INDENT {
            return MAX_INDENT;
        }
    }
    columns
}

/// Whether a trimmed line ends or continues what stands above it at the same indentation.
pub(super) fn continues(content: &str) -> bool {
    content.starts_with([')', '}', ']', '{'])
        || matches!(
            first_word(content),
            "where" | "end" | "else" | "then" | "do"
        )
}

/// Whether a trimmed line is a comment, an attribute, a decorator or a directive: it belongs to what follows.
pub(super) fn is_remark(content: &str) -> bool {
    ["//", "#", "/*", "*", "@", "--", ";", "\"\"\"", "'''", "%"]
        .iter()
        .any(|mark| content.starts_with(mark))
}

/// The signature in a trimmed line that begins an item: `pub fn f(x: u8) -> u8 {` gives `pub fn f(x: u8) -> u8`.
fn signature(content: &str) -> Option<String> {
    let mut rest = content;
    // `pub(crate) async unsafe fn`: a few words may stand in front of the keyword.
    for _ in 0..6 {
        let word = first_word(rest);
        if KEYWORDS.contains(&word) {
            return item(content, rest[word.len()..].trim_start());
        }
        if !MODIFIERS.contains(&word) {
            return None;
        }
        rest = rest[word.len()..].trim_start();
        if let Some(scope) = rest.strip_prefix('(') {
            rest = scope.split_once(')')?.1.trim_start();
        }
        if let Some(abi) = rest.strip_prefix('"') {
            rest = abi.split_once('"')?.1.trim_start();
        }
    }
    None
}

/// The signature, if what follows the keyword is a name and the line does not read like a sentence.
fn item(content: &str, name: &str) -> Option<String> {
    if !name.starts_with(|character: char| {
        character.is_alphabetic() || matches!(character, '_' | '<' | '(' | '*' | '!')
    }) {
        return None;
    }
    let sentence = !content.contains(['(', '{', ':', ';', '=', '<'])
        && name.split_whitespace().nth(1).is_some();
    if sentence {
        return None;
    }
    let head = content.split('{').next().unwrap_or(content);
    Some(one_line(
        head.trim_end().trim_end_matches([':', ';', '(', ',']),
        MAX_SIGNATURE_CHARS,
    ))
}

/// The identifier that a line begins with.
pub(super) fn first_word(line: &str) -> &str {
    let end = line.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    &line[..end.unwrap_or(line.len())]
}

pub(super) const KEYWORDS: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "trait",
    "impl",
    "mod",
    "macro_rules",
    "union",
    "class",
    "interface",
    "def",
    "defp",
    "defmodule",
    "func",
    "fun",
    "function",
    "module",
    "namespace",
    "object",
    "record",
    "protocol",
    "extension",
    "sub",
    "proc",
    "type",
    "contract",
    "message",
    "service",
];

pub(super) const MODIFIERS: &[&str] = &[
    "pub",
    "async",
    "unsafe",
    "const",
    "extern",
    "default",
    "export",
    "public",
    "private",
    "protected",
    "internal",
    "static",
    "abstract",
    "final",
    "sealed",
    "data",
    "inline",
    "open",
    "override",
    "virtual",
    "partial",
    "case",
    "local",
    "declare",
    "suspend",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_several_languages() {
        let table = [
            (
                "pub(crate) async fn run(x: &str) -> u8 {",
                Some("pub(crate) async fn run(x: &str) -> u8"),
            ),
            (
                "unsafe extern \"C\" fn call(",
                Some("unsafe extern \"C\" fn call"),
            ),
            (
                "impl<T> Trait for Thing<T> {",
                Some("impl<T> Trait for Thing<T>"),
            ),
            ("class Foo(Base):", Some("class Foo(Base)")),
            ("def run(self,", Some("def run(self")),
            ("class Foo < Bar", Some("class Foo < Bar")),
            ("module Foo", Some("module Foo")),
            (
                "func (s *Server) Run() error {",
                Some("func (s *Server) Run() error"),
            ),
            (
                "export default class View {",
                Some("export default class View"),
            ),
            ("type Point struct {", Some("type Point struct")),
            ("class of things that are the same", None),
            ("function", None),
            ("let x = 1;", None),
            ("classify(x)", None),
            ("const MAX: usize = 1;", None),
            ("type = 3", None),
            ("public int size() {", None),
        ];
        for (line, expected) in table {
            assert_eq!(signature(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_piece_is_headed_by_what_is_around_it() {
        let text = "use a;\n\nimpl Foo {\n    /// Does.\n    #[inline]\n    fn a(\n        x: u8,\n    ) {\n        one();\n\n        two();\n    }\n\n    fn b() {}\n}\n\nfn c() {\n    x();\n}\n";
        let lines = Lines::new(text);
        let pieces = [0..2, 0..15, 3..9, 10..12, 13..15, 16..19, 17..18];
        let paths = item_paths(&lines, &pieces);
        let shown: Vec<String> = paths.iter().map(|path| path.join(" > ")).collect();
        assert_eq!(
            shown,
            [
                "",
                "impl Foo",
                "impl Foo > fn a",
                "impl Foo > fn a",
                "impl Foo > fn b()",
                "fn c()",
                "fn c()"
            ]
        );
    }

    #[test]
    fn indentation_is_bounded() {
        assert_eq!(indent("\t  x"), 6);
        assert_eq!(indent(&" ".repeat(1_000_000)), MAX_INDENT);
    }
}
