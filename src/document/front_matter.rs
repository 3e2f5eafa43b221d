//! The YAML block between two `---` lines that may open a Markdown file.

use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

/// A block that opens a file with `---` and does not close within this many bytes is a rule line and text.
const MAX_BLOCK_BYTES: usize = 64 * 1024;
/// The same in lines.
const MAX_BLOCK_LINES: usize = 1_000;
/// Bounds of what the block may say, aliases followed: a few lines of aliases can stand for gigabytes.
const MAX_NODES: usize = 10_000;
const MAX_DEPTH: usize = 64;

/// What was found at the start of a file.
#[derive(Debug, PartialEq)]
pub(super) struct FrontMatter {
    /// A mapping; empty if the block is.
    pub(super) value: Value,
    /// Bytes of the block, delimiters included.
    pub(super) bytes: usize,
    /// Lines of the block, delimiters included.
    pub(super) lines: u32,
}

/// Why a block that is meant as front matter cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Line of the file, counted from 1.
    pub(super) line: u32,
    pub(super) cause: String,
}

/// The front matter that opens `text`; `None` if it opens with something else, also with `---` as a rule line.
pub(super) fn read(text: &str) -> Result<Option<FrontMatter>, Broken> {
    let Some(block) = block(text) else {
        return Ok(None);
    };
    match parse(block.yaml) {
        Ok(Value::Null) => Ok(Some(block.with(Value::Object(serde_json::Map::new())))),
        Ok(value @ Value::Object(_)) => Ok(Some(block.with(value))),
        // Valid YAML, but a sentence or a list: prose between two rule lines.
        Ok(_) => Ok(None),
        Err(_) if !block.looks_like_mapping() => Ok(None),
        Err(broken) => Err(broken),
    }
}

/// A delimited block, not yet read.
struct Block<'a> {
    /// From the opening `---`, so that line numbers are those of the file, to the closing delimiter, which is left out.
    yaml: &'a str,
    bytes: usize,
    lines: u32,
}

impl Block<'_> {
    fn with(&self, value: Value) -> FrontMatter {
        FrontMatter {
            value,
            bytes: self.bytes,
            lines: self.lines,
        }
    }

    /// Whether someone meant this as front matter, although it cannot be read: the line after the delimiter is not
    /// blank, and the first one that is no comment has a colon or opens as no sentence does.
    fn looks_like_mapping(&self) -> bool {
        let mut body = self.yaml.lines().skip(1);
        if self
            .yaml
            .lines()
            .nth(1)
            .is_none_or(|line| line.trim().is_empty())
        {
            return false;
        }
        body.find(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .is_some_and(|line| {
                line.contains(':')
                    || line.starts_with(['{', '[', '"', '\'', '&', '?', '%', '!', '\t'])
            })
    }
}

fn block(text: &str) -> Option<Block<'_>> {
    let mut bytes = 0;
    for (number, line) in text.split_inclusive('\n').take(MAX_BLOCK_LINES).enumerate() {
        let content = line.trim_end();
        if number == 0 && content != "---" {
            return None;
        }
        let yaml = &text[..bytes];
        bytes += line.len();
        if bytes > MAX_BLOCK_BYTES {
            return None;
        }
        if number > 0 && matches!(content, "---" | "...") {
            return Some(Block {
                yaml,
                bytes,
                lines: number as u32 + 1,
            });
        }
    }
    None
}

fn parse(yaml: &str) -> Result<Value, Broken> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_total_scalar_bytes: MAX_BLOCK_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        // Lenient where a reader of the file would not be misled: the later of two equal keys wins, `.nan` is null.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| {
        let message = error.to_string();
        let Some(at) = error.location() else {
            return Broken {
                line: 1,
                cause: message,
            };
        };
        let place = format!(" at line {}, column {}", at.line(), at.column());
        let cause = message
            .strip_suffix(&place)
            .map(str::to_owned)
            .unwrap_or(message);
        Broken {
            line: u32::try_from(at.line()).unwrap_or(1),
            cause,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Option<Value> {
        read(text).unwrap().map(|front| front.value)
    }

    #[test]
    fn a_mapping_between_delimiters_is_front_matter() {
        let front = read("---\ntitle: A b\ntags: [x, 2]\n---\n# h\n")
            .unwrap()
            .unwrap();
        assert_eq!(front.value, json!({"title": "A b", "tags": ["x", 2]}));
        assert_eq!((front.bytes, front.lines), (32, 4));
        assert_eq!(
            value("---\r\na: b\r\n---  \r\ntext"),
            Some(json!({"a": "b"}))
        );
        assert_eq!(value("---\na: b\n..."), Some(json!({"a": "b"})));
        assert_eq!(value("---\n---\n"), Some(json!({})));
        assert_eq!(value("---\n\na: b\n---\n"), Some(json!({"a": "b"})));
        assert_eq!(
            value("---\n1: a\nd: 2024-01-01\nd: x\nn: .nan\n---\n"),
            Some(json!({"1": "a", "d": "x", "n": null}))
        );
    }

    #[test]
    fn a_rule_line_is_not() {
        for text in [
            "",
            "--- \n",
            "---",
            "----\na: b\n---\n",
            " ---\na: b\n---\n",
            "text\n---\na: b\n---\n",
            "---\nprose\n---\n",
            "---\n- a\n---\n",
            "---\nprose without a colon\nthen: this: that\n---\n",
            "---\n\nNote: this: that\n---\n",
        ] {
            assert_eq!(read(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn a_block_that_does_not_close_is_not() {
        let lines = "a: b\n".repeat(MAX_BLOCK_LINES);
        assert_eq!(read(&format!("---\n{lines}---\n")), Ok(None));
        let bytes = format!("a: {}\n", "x".repeat(MAX_BLOCK_BYTES));
        assert_eq!(read(&format!("---\n{bytes}---\n")), Ok(None));
        assert_eq!(read("---\na: [\n"), Ok(None));
    }

    #[test]
    fn broken_yaml_names_the_line_of_the_file() {
        let table = [
            ("---\ntitle: [open\n---\n", 2, "unclosed bracket '['"),
            (
                "---\na: b\n\nb: c: d\n---\n",
                4,
                "mapping values are not allowed in this context",
            ),
            (
                "---\r\na: b\r\nb: *no\r\n---\r\n",
                3,
                "alias references unknown anchor",
            ),
            ("---\n{ no\n---\n", 2, "unclosed bracket '{'"),
            ("---\n[no\n---\n", 2, "unclosed bracket '['"),
            (
                "---\n# comment\nt: {{ x }}\n---\n",
                3,
                "expected string scalar",
            ),
        ];
        for (text, line, cause) in table {
            assert_eq!(
                read(text),
                Err(Broken {
                    line,
                    cause: cause.to_owned()
                }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn aliases_and_nesting_stay_bounded() {
        let mut bomb = String::from("---\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(",");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        bomb += "---\n";
        assert!(read(&bomb).unwrap_err().cause.contains("limit exceeded"));

        let long = format!(
            "---\na: &a {}\nb: [{}]\n---\n",
            "x".repeat(30_000),
            vec!["*a"; 9_000].join(",")
        );
        assert!(read(&long).unwrap_err().cause.contains("budget"));

        let deep = format!("---\na: {}\n---\n", "[".repeat(60_000));
        assert!(read(&deep).is_err());
    }
}
