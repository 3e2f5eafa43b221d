//! Where a piece of source code belongs: the signatures of the items around it, told by keywords and indentation.
//!
//! No grammar is used. A line that cannot be told is no item, and a piece without items is headed by its file alone.

use super::define::{MAX_PARAMETER_LINES, method};
use super::keywords::{KEYWORDS, MODIFIERS, first_word, indent};
use super::lines::{LineRange, Lines};
use super::one_line;

/// At most this many characters of a signature, and this many signatures of a path, are kept.
const MAX_SIGNATURE_CHARS: usize = 120;
const MAX_DEPTH: usize = 4;
/// An item is looked for in this many bytes of a line.
const MAX_HEAD_BYTES: usize = 512;

/// For each of the ascending `pieces` of a file with this extension, the signatures of the items that it belongs to, outermost
/// first.
pub(super) fn item_paths(
    lines: &Lines<'_>,
    extension: &str,
    pieces: &[LineRange],
) -> Vec<Vec<String>> {
    let code = Code { lines, extension };
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut paths = Vec::with_capacity(pieces.len());
    let mut line = 0;
    for piece in pieces {
        while line < piece.start {
            code.enter(&mut open, line);
            line += 1;
        }
        paths.push(code.path(&open, piece));
    }
    paths
}

/// The lines of a file with this extension.
struct Code<'a> {
    lines: &'a Lines<'a>,
    extension: &'a str,
}

impl Code<'_> {
    /// Follows one line: closes the items that it ends, opens the one that it begins.
    fn enter(&self, open: &mut Vec<(usize, String)>, line: usize) {
        let text = self.head(line);
        let content = text.trim();
        if content.is_empty() || is_remark(content) || continues(content) {
            return;
        }
        let indent = indent(text);
        while open.last().is_some_and(|(outer, _)| *outer >= indent) {
            open.pop();
        }
        if let Some(signature) = self.signature(line) {
            open.push((indent, signature));
        }
    }

    fn path(&self, open: &[(usize, String)], piece: &LineRange) -> Vec<String> {
        let first = indent(self.head(piece.start));
        let outer = open
            .iter()
            .filter(|(indent, _)| *indent < first)
            .map(|(_, signature)| signature.clone());
        let mut path: Vec<String> = outer.collect();
        let mut lines = piece.clone();
        let begins = |line: &usize| {
            let content = self.head(*line).trim();
            !content.is_empty() && !is_remark(content)
        };
        let leading = lines.find(begins).and_then(|line| self.signature(line));
        // A piece that begins in front of all items, with imports as a rule, is headed by the first item in it.
        let own = leading.or_else(|| {
            if path.is_empty() {
                lines.find_map(|line| self.signature(line))
            } else {
                None
            }
        });
        path.extend(own);
        path.split_off(path.len().saturating_sub(MAX_DEPTH))
    }

    /// The beginning of a line. A minified file is one line and many pieces, each of which looks at it.
    fn head(&self, line: usize) -> &str {
        let text = self.lines.line(line);
        &text[..text.floor_char_boundary(MAX_HEAD_BYTES)]
    }

    /// The signature of the item that a line begins.
    fn signature(&self, line: usize) -> Option<String> {
        let text = self.head(line);
        let content = text.trim();
        signature(content).or_else(|| {
            let end = self.lines.count().min(line + 1 + MAX_PARAMETER_LINES);
            let following = (line + 1..end).map(|line| self.head(line));
            method(text, self.extension, following).map(|_| shown(content))
        })
    }
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
    Some(shown(content))
}

/// What of the line that begins an item is shown.
fn shown(content: &str) -> String {
    let head = content.split('{').next().unwrap_or(content);
    let head = head.trim_end().trim_end_matches([':', ';', '(', ',']);
    one_line(head, MAX_SIGNATURE_CHARS)
}

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
        let paths = item_paths(&lines, "rs", &pieces);
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
    fn a_method_without_a_keyword_heads_its_pieces() {
        let text = "import a;\n\npublic class Cart {\n    @Override\n    public int size() {\n        log(\"x\");\n        return n;\n    }\n\n    private void add(Item item,\n            int count) {\n        if (count > 0) {\n            items.put(item);\n        }\n    }\n}\n";
        let lines = Lines::new(text);
        let paths = item_paths(&lines, "java", &[0..3, 3..8, 6..7, 9..15, 12..13]);
        let shown: Vec<String> = paths.iter().map(|path| path.join(" > ")).collect();
        assert_eq!(
            shown,
            [
                "public class Cart",
                "public class Cart > public int size()",
                "public class Cart > public int size()",
                "public class Cart > private void add(Item item",
                "public class Cart > private void add(Item item",
            ]
        );
    }
}
