//! The header that may open a Markdown file: YAML between two `---` lines, TOML between two `+++` lines, or a JSON object.
//!
//! A header that cannot be read is reported, and is text like any other: what stands below it is found all the same.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use super::lines::split_lines;

/// A header that does not close within this many bytes is text.
const MAX_BLOCK_BYTES: usize = 64 * 1024;
/// The same in lines.
const MAX_BLOCK_LINES: usize = 1_000;
/// Bounds of what the header may say, aliases followed: a few lines of aliases can stand for gigabytes.
const MAX_NODES: usize = 10_000;
const MAX_DEPTH: usize = 64;

/// What was found at the start of a file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FrontMatter {
    /// A mapping, empty if the header is; `None` if there is no header, or none that can be read.
    pub(super) value: Option<Value>,
    /// Its title as it is written there, also where the rest of the header cannot be read.
    pub(super) title: Option<String>,
    /// Bytes of the header, delimiters included; 0 where its end is not known.
    pub(super) bytes: usize,
    /// Lines of the header, delimiters included; 0 where its end is not known.
    pub(super) lines: u32,
    /// What is wrong with it.
    pub(super) finding: Option<String>,
}

impl FrontMatter {
    fn broken(line: usize, cause: &str, remedy: &str) -> Self {
        Self {
            finding: Some(format!(
                "broken front matter: line {line}: {cause}; {remedy} (the text is indexed anyway)"
            )),
            ..Self::default()
        }
    }
}

/// The front matter that opens `text`; nothing if it opens with something else, also with `---` as a rule line.
pub(super) fn read(text: &str) -> FrontMatter {
    let first = split_lines(text).next().unwrap_or_default();
    match first.trim_end() {
        "---" => delimited(text, Syntax::Yaml),
        "+++" => delimited(text, Syntax::Toml),
        "{" => json(text),
        line if line.starts_with("{\"") => json(text),
        _ => FrontMatter::default(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Yaml,
    Toml,
}

impl Syntax {
    fn closes(self, line: &str) -> bool {
        match self {
            Self::Yaml => matches!(line, "---" | "..."),
            Self::Toml => line == "+++",
        }
    }

    /// What stands between a key and its value.
    fn separator(self) -> char {
        match self {
            Self::Yaml => ':',
            Self::Toml => '=',
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Yaml => "correct the YAML between the `---` lines",
            Self::Toml => "correct the TOML between the `+++` lines",
        }
    }
}

fn delimited(text: &str, syntax: Syntax) -> FrontMatter {
    let Some(block) = block(text, syntax) else {
        return open_end(text, syntax);
    };
    let inner = unix_lines(block.inner);
    let read = match syntax {
        Syntax::Yaml => yaml(&inner),
        Syntax::Toml => toml(&inner),
    };
    let mut front = match read {
        Ok(Some(front)) => front,
        // Valid YAML, but a sentence or a list: prose between two rule lines.
        Ok(None) => return FrontMatter::default(),
        Err(_) if syntax == Syntax::Yaml && !looks_like_mapping(&inner) => {
            return FrontMatter::default();
        }
        Err((line, cause)) => {
            let title = written_title(split_lines(&inner), syntax);
            FrontMatter {
                title,
                ..FrontMatter::broken(line, &cause, syntax.remedy())
            }
        }
    };
    (front.bytes, front.lines) = (block.bytes, block.lines);
    front
}

/// A header that does not close is reported if its first line reads like one.
fn open_end(text: &str, syntax: Syntax) -> FrontMatter {
    let body = || split_lines(text).skip(1).take(MAX_BLOCK_LINES);
    let first = body().next().unwrap_or_default();
    let key = first.split_once(syntax.separator()).map(|(key, _)| key);
    let is_key = key.is_some_and(|key| {
        let key = key.trim_end();
        !key.is_empty() && !key.contains(|c: char| !(c.is_alphanumeric() || "_-.\"".contains(c)))
    });
    if !is_key {
        return FrontMatter::default();
    }
    let delimiter = if syntax == Syntax::Yaml { "---" } else { "+++" };
    let cause = format!(
        "no second `{delimiter}` line within {MAX_BLOCK_LINES} lines and {} KiB",
        MAX_BLOCK_BYTES / 1024
    );
    let remedy = format!("close the header with a `{delimiter}` line, or shorten it");
    let header = body().take_while(|line| !line.trim().is_empty());
    FrontMatter {
        title: written_title(header, syntax),
        ..FrontMatter::broken(1, &cause, &remedy)
    }
}

/// A delimited block, not yet read.
struct Block<'a> {
    /// From the opening delimiter, so that line numbers are those of the file, to the closing one, which is left out.
    inner: &'a str,
    bytes: usize,
    lines: u32,
}

fn block(text: &str, syntax: Syntax) -> Option<Block<'_>> {
    let mut bytes = 0;
    for (number, line) in split_lines(text).take(MAX_BLOCK_LINES).enumerate() {
        let inner = &text[..bytes];
        bytes += line.len();
        if bytes > MAX_BLOCK_BYTES {
            return None;
        }
        if number > 0 && syntax.closes(line.trim_end()) {
            return Some(Block {
                inner,
                bytes,
                lines: number as u32 + 1,
            });
        }
    }
    None
}

/// `text` with a line feed in place of each carriage return that ends a line by itself: the readers know no such lines.
fn unix_lines(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    let mut unix = String::with_capacity(text.len());
    for line in split_lines(text) {
        match line.strip_suffix('\r') {
            Some(content) => unix.extend([content, "\n"]),
            None => unix.push_str(line),
        }
    }
    Cow::Owned(unix)
}

/// Whether someone meant a block that is no YAML as front matter: the line after the delimiter is not blank, and the
/// first one that is no comment has a colon or opens as no sentence does.
fn looks_like_mapping(inner: &str) -> bool {
    let mut body = inner.lines().skip(1).peekable();
    if body.peek().is_none_or(|line| line.trim().is_empty()) {
        return false;
    }
    body.find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .is_some_and(|line| {
            line.contains(':') || line.starts_with(['{', '[', '"', '\'', '&', '?', '%', '!', '\t'])
        })
}

/// The title in the lines of a header that cannot be read as a whole.
fn written_title<'a>(mut lines: impl Iterator<Item = &'a str>, syntax: Syntax) -> Option<String> {
    let value = lines.find_map(|line| {
        let rest = line.strip_prefix("title")?.trim_start();
        rest.strip_prefix(syntax.separator())
    })?;
    let value = value.trim();
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some(quoted.unwrap_or(value).to_owned())
}

type Read = Result<Option<FrontMatter>, (usize, String)>;

fn yaml(inner: &str) -> Read {
    let strict = parse_yaml::<Value>(inner, DuplicateKeyPolicy::Error);
    let (value, finding) = match strict {
        Ok(value) => (value, None),
        // Where a key stands twice, the later one counts, and it is reported; nothing helps against other faults.
        Err(twice) => match parse_yaml::<Value>(inner, DuplicateKeyPolicy::LastWins) {
            Ok(value) => (value, Some(twice)),
            Err(broken) => return Err(broken),
        },
    };
    let value = match value {
        Value::Null => Value::Object(serde_json::Map::new()),
        value @ Value::Object(_) => value,
        _ => return Ok(None),
    };
    let title = match value.get("title") {
        None | Some(Value::Object(_) | Value::Array(_)) => None,
        Some(Value::String(title)) => Some(title.clone()),
        // `title: 1.10` is a number to YAML and a text to its author.
        Some(_) => parse_yaml::<Title>(inner, DuplicateKeyPolicy::LastWins)
            .ok()
            .and_then(|title| title.0),
    };
    let finding = finding.map(|(line, cause)| {
        format!("front matter: line {line}: {cause}; the last one counts; remove the others")
    });
    Ok(Some(FrontMatter {
        value: Some(value),
        title,
        finding,
        ..FrontMatter::default()
    }))
}

fn parse_yaml<T: for<'de> Deserialize<'de>>(
    inner: &str,
    duplicate_keys: DuplicateKeyPolicy,
) -> Result<T, (usize, String)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_total_scalar_bytes: MAX_BLOCK_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        duplicate_keys: duplicate_keys,
        // Lenient where a reader of the file would not be misled: `.nan` is null.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        null_as_string: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(inner, options).map_err(|error| {
        let message = error.to_string();
        let Some(at) = error.location() else {
            return (1, message);
        };
        let place = format!(" at line {}, column {}", at.line(), at.column());
        let cause = message.strip_suffix(&place).unwrap_or(&message).to_owned();
        (usize::try_from(at.line()).unwrap_or(1), cause)
    })
}

/// The scalar `title` of a mapping, as it is written.
struct Title(Option<String>);

impl<'de> Deserialize<'de> for Title {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FrontMatterKeys;
        impl<'de> Visitor<'de> for FrontMatterKeys {
            type Value = Title;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Title, A::Error> {
                let mut title = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "title" {
                        title = Some(map.next_value::<String>()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Title(title))
            }
        }
        deserializer.deserialize_map(FrontMatterKeys)
    }
}

fn toml(inner: &str) -> Read {
    let start = split_lines(inner).next().unwrap_or_default().len();
    let body = &inner[start..];
    let at = |span: Option<std::ops::Range<usize>>| {
        let end = body.floor_char_boundary(span.map_or(0, |span| span.start));
        1 + inner[..start + end].matches('\n').count()
    };
    let table: HashMap<String, toml::Spanned<toml::Value>> =
        toml::from_str(body).map_err(|e| (at(e.span()), e.message().to_owned()))?;
    let title = table.get("title").and_then(|title| match title.get_ref() {
        toml::Value::String(title) => Some(title.clone()),
        toml::Value::Table(_) | toml::Value::Array(_) => None,
        _ => body.get(title.span()).map(str::to_owned),
    });
    let mut value: serde_json::Map<String, Value> = table
        .into_iter()
        .map(|(key, value)| (key, from_toml(value.into_inner())))
        .collect();
    value.sort_keys();
    Ok(Some(FrontMatter {
        value: Some(Value::Object(value)),
        title,
        ..FrontMatter::default()
    }))
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is) => is.into(),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(values) => values.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => {
            let rows = table
                .into_iter()
                .map(|(key, value)| (key, from_toml(value)));
            Value::Object(rows.collect())
        }
    }
}

/// A JSON object that opens the file, with text below it. One that is all of the file is that file's text.
fn json(text: &str) -> FrontMatter {
    let window = &text[..text.floor_char_boundary(MAX_BLOCK_BYTES)];
    let mut values = serde_json::Deserializer::from_str(window).into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) => {
            let message = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            let cause = message.strip_suffix(&place).unwrap_or(&message);
            return FrontMatter::broken(
                error.line(),
                cause,
                "correct the JSON at the start of the file, at most 64 KiB of it",
            );
        }
        None => return FrontMatter::default(),
    };
    let end = values.byte_offset();
    let rest = split_lines(&text[end..]).next().unwrap_or_default();
    let bytes = end + rest.len();
    if !rest.trim().is_empty() || text[bytes..].trim().is_empty() {
        return FrontMatter::default();
    }
    let title = value.get("title").and_then(|title| match title {
        Value::String(title) => Some(title.clone()),
        Value::Object(_) | Value::Array(_) => None,
        other => Some(other.to_string()),
    });
    FrontMatter {
        value: Some(value),
        title,
        bytes,
        lines: split_lines(&text[..bytes]).count() as u32,
        finding: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Option<Value> {
        let front = read(text);
        assert_eq!(front.finding, None, "{text:?}");
        front.value
    }

    fn finding(text: &str) -> String {
        read(text).finding.unwrap_or_default()
    }

    fn title(text: &str) -> Option<String> {
        read(text).title
    }

    #[test]
    fn a_mapping_between_delimiters_is_front_matter() {
        let front = read("---\ntitle: A b\ntags: [x, 2]\n---\n# h\n");
        assert_eq!(front.value, Some(json!({"title": "A b", "tags": ["x", 2]})));
        assert_eq!((front.bytes, front.lines), (32, 4));
        assert_eq!(
            value("---\r\na: b\r\n---  \r\ntext"),
            Some(json!({"a": "b"}))
        );
        assert_eq!(
            value("---\ra: b\rc: d\r---\rtext"),
            Some(json!({"a": "b", "c": "d"}))
        );
        assert_eq!(value("---\na: b\n..."), Some(json!({"a": "b"})));
        assert_eq!(value("---\n---\n"), Some(json!({})));
        assert_eq!(value("---\n\na: b\n---\n"), Some(json!({"a": "b"})));
        assert_eq!(
            value("---\n1: a\nd: 2024-01-01\nn: .nan\n---\n"),
            Some(json!({"1": "a", "d": "2024-01-01", "n": null}))
        );
    }

    #[test]
    fn toml_and_json_are_read_like_yaml() {
        let front = read("+++\ntitle = 'A'\nd = 2024-01-01\n[x]\ny = [1, 2.5]\n+++\ntext\n");
        assert_eq!(
            front.value,
            Some(json!({"title": "A", "d": "2024-01-01", "x": {"y": [1, 2.5]}}))
        );
        assert_eq!((front.title.as_deref(), front.lines), (Some("A"), 6));
        assert_eq!(value("+++\r+++\rtext"), Some(json!({})));
        let front = read("{\n\"title\": \"A\"\n}\n\ntext\n");
        assert_eq!((front.title.as_deref(), front.lines), (Some("A"), 3));
        assert_eq!(front.value, Some(json!({"title": "A"})));
        assert_eq!(value("{\"a\": 1}\n"), None, "the file is nothing but JSON");
        assert_eq!(value("{\"a\": 1} is JSON\n\ntext"), None);
        assert_eq!(value("{% raw %}\ntext"), None);
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
            "---\nA sentence: it goes on.\n",
            "+++\nnothing\n",
        ] {
            assert_eq!(read(text), FrontMatter::default(), "{text:?}");
        }
    }

    #[test]
    fn a_header_that_does_not_close_is_text_and_reported() {
        for (text, delimiter) in [
            ("---\ntitle: A b\n\ntext\n".to_owned(), "---"),
            (
                format!("---\ntitle: A b\n{}---\n", "a: b\n".repeat(MAX_BLOCK_LINES)),
                "---",
            ),
            (
                format!("---\ntitle: A b\na: {}\n---\n", "x".repeat(MAX_BLOCK_BYTES)),
                "---",
            ),
            ("+++\ntitle = 'A b'\ntext\n".to_owned(), "+++"),
        ] {
            let front = read(&text);
            assert_eq!((front.value, front.bytes), (None, 0), "{text:.40}");
            assert_eq!(front.title.as_deref(), Some("A b"));
            let expected = format!("broken front matter: line 1: no second `{delimiter}` line ");
            assert!(front.finding.unwrap().starts_with(&expected));
        }
    }

    #[test]
    fn a_broken_header_names_the_line_of_the_file() {
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
            (
                "---\ra: b\rb: *no\r---\r",
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
            ("+++\na = 1\nb = \n+++\n", 3, "string values must be quoted"),
            ("+++\na = 1\na = 2\n+++\n", 3, "duplicate key"),
            ("{\n\"a\": x\n}\ntext", 2, "expected value"),
        ];
        for (text, line, cause) in table {
            let expected = format!("broken front matter: line {line}: {cause}");
            assert!(finding(text).starts_with(&expected), "{}", finding(text));
            assert_eq!(read(text).value, None);
        }
        assert!(finding("---\na:\n\tb: c\n---\n").starts_with("broken front matter: line "));
    }

    #[test]
    fn of_equal_keys_the_last_counts_and_it_is_reported() {
        let front = read("---\na: 1\nb: 2\na: 3\n---\n");
        assert_eq!(front.value, Some(json!({"a": 3, "b": 2})));
        let finding = front.finding.unwrap();
        assert!(
            finding.starts_with("front matter: line 4: duplicate"),
            "{finding}"
        );
    }

    #[test]
    fn a_title_is_what_is_written() {
        for written in [
            "1.10",
            "007",
            "1e3",
            "0x1F",
            "0o17",
            "1_000",
            "yes",
            "true",
            "null",
            "~",
            "2024-01-02",
            "12:30:00",
            ".inf",
            "-0",
            "+1",
            "1.0",
            "A b",
        ] {
            let text = format!("---\na: b\ntitle: {written} # remark\n---\n");
            assert_eq!(title(&text).as_deref(), Some(written));
            assert_eq!(
                title(&format!("---\n{{title: {written}, a: 1}}\n---\n")).as_deref(),
                Some(written)
            );
        }
        for written in ["1.10", "0x1F", "1_000", "true", "2024-01-02", "1e3"] {
            let text = format!("+++\ntitle = {written} # remark\n+++\n");
            assert_eq!(title(&text).as_deref(), Some(written));
        }
        assert_eq!(
            title("---\ntitle: \"1.10\"\n---\n").as_deref(),
            Some("1.10")
        );
        assert_eq!(title("---\ntitle: 'A: b'\n---\n").as_deref(), Some("A: b"));
        assert_eq!(title("---\ntitle:\n---\n").as_deref(), Some(""));
        assert_eq!(title("---\ntitle: [a]\n---\n"), None);
        // Also where the rest cannot be read.
        assert_eq!(title("---\ntitle: A: b\n---\n").as_deref(), Some("A: b"));
        assert_eq!(title("+++\ntitle = 'A'\nb =\n+++\n").as_deref(), Some("A"));
    }

    #[test]
    fn aliases_and_nesting_stay_bounded() {
        let mut bomb = String::from("---\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(",");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        bomb += "---\n";
        assert!(finding(&bomb).contains("limit exceeded"));

        let long = format!(
            "---\na: &a {}\nb: [{}]\n---\n",
            "x".repeat(30_000),
            vec!["*a"; 9_000].join(",")
        );
        assert!(finding(&long).contains("budget"));

        let deep = format!("---\na: {}\n---\n", "[".repeat(60_000));
        assert!(!finding(&deep).is_empty());
        let deep = format!("+++\na = {}\n+++\n", "[".repeat(60_000));
        assert!(!finding(&deep).is_empty());
        let deep = format!("{{\"a\": {}\n", "[".repeat(60_000));
        assert!(!finding(&deep).is_empty());
    }
}
