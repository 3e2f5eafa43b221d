//! The words that a line of code may begin with, and how a line begins.

/// Indentation beyond this many columns counts as this many.
const MAX_INDENT: usize = 1_000;

/// Words before the name of an item.
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

/// Words that may stand before these.
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

/// The identifier that a line begins with.
pub(super) fn first_word(line: &str) -> &str {
    let end = line.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    &line[..end.unwrap_or(line.len())]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_is_bounded() {
        assert_eq!(indent("\t  x"), 6);
        assert_eq!(indent(&" ".repeat(1_000_000)), MAX_INDENT);
    }
}
