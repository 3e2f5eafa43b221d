//! What is written from the table of keys for people: `config/docent.toml`, and the table in `docs/configuration.md`.

use super::key_path;
use super::keys::Config;
use super::rules;
use super::shape::{Shape, TextCheck};
use super::table::{Key, Keys as _, Node};
use toml::Value;

const HEAD: &str = "\
# docent: every key with its default. Written from src/config/keys.rs.
#
# A config file needs only the keys that it changes. Every other key has the default shown here.
# Environment variables such as DOCENT__REDIS__URL and DOCENT__WATCH__DEBOUNCE set keys too, and override the file.
# `docent check` reports every mistake. `docent config show` prints the effective values, and where each is set.
#
# A duration is a whole number with ms, s, min, h or d. A size is a whole number with B, KiB, MiB, GiB or TiB.
# Relative paths are relative to the directory of the config file.
";

/// Columns of the longest line.
const WIDTH: usize = 120;

/// Keys and tables that exist only for tests.
fn is_public(key: &&Key) -> bool {
    key.name != "test"
}

/// The content of `config/docent.toml`.
pub(crate) fn reference() -> String {
    let mut text = HEAD.to_owned();
    text.push('\n');
    table(Config::KEYS, "", &[], "", &mut text);
    text
}

/// The keys of a table and the tables below it; `mark` begins each line that is not a comment.
fn table(keys: &'static [Key], prefix: &str, own: &[(&str, &str)], mark: &str, into: &mut String) {
    for key in keys.iter().filter(is_public) {
        let path = key_path::join(prefix, key.name);
        let comment: String = key.text.iter().map(|line| format!("#{line}\n")).collect();
        match &key.node {
            Node::Value { default, .. } => {
                let own = own.iter().find(|(name, _)| *name == key.name);
                let default = own.map(|(_, text)| *text).or(*default).unwrap_or("\"\"");
                into.push_str(&comment);
                into.push_str(&format!(
                    "{mark}{} = {}\n",
                    key.name,
                    wrapped(key.name, default)
                ));
            }
            Node::Table {
                keys,
                list,
                defaults,
            } => {
                into.push('\n');
                into.push_str(&comment);
                let (mark, header) = match list {
                    true => ("#", format!("#\n#[[{path}]]\n")),
                    false => ("", format!("[{path}]\n")),
                };
                // One that holds nothing but tables needs no header.
                if keys
                    .iter()
                    .any(|key| matches!(key.node, Node::Value { .. }))
                {
                    into.push_str(&header);
                }
                table(keys, &path, defaults, mark, into);
            }
        }
    }
}

/// A default as TOML; a list that is too long for a line has many.
fn wrapped(name: &str, default: &str) -> String {
    let value: Value = default.parse().expect("a default is TOML");
    let line = value.to_string();
    let Value::Array(items) = value else {
        return default.to_owned();
    };
    if name.len() + line.len() + 3 <= WIDTH {
        return line;
    }
    let (mut text, mut rest) = ("[".to_owned(), 0);
    for item in items.iter().map(|item| format!(" {item},")) {
        if rest < item.len() {
            text.push_str("\n   ");
            rest = WIDTH - 3;
        }
        rest -= item.len();
        text.push_str(&item);
    }
    text + "\n]"
}

/// The table of every key, and the rules between them, for `docs/configuration.md`.
pub(crate) fn documentation() -> String {
    let mut text = "| key | type | default | what it does |\n|---|---|---|---|\n".to_owned();
    rows(Config::KEYS, "", &mut text);
    text.push_str(
        "\nThese rules apply between keys; `docent check` reports each one that is broken:\n\n",
    );
    for sentence in rules::sentences() {
        text.push_str(&format!("* {sentence}\n"));
    }
    text
}

fn rows(keys: &'static [Key], prefix: &str, into: &mut String) {
    for key in keys.iter().filter(is_public) {
        let path = key_path::join(prefix, key.name);
        match &key.node {
            Node::Value { shape, default } => {
                let default = default.map_or("required".to_owned(), short);
                let (kind, sentence) = (kind(shape), key.sentence());
                into.push_str(&format!("| `{path}` | {kind} | {default} | {sentence} |\n"));
            }
            Node::Table { keys, .. } => match alike(keys) {
                Some(inner) => {
                    for key in keys.iter().filter(is_public) {
                        let (name, sentence) = (key.name, key.sentence());
                        into.push_str(&format!("| `[{path}.{name}]` | table | | {sentence} |\n"));
                    }
                    group(keys, inner, &path, into);
                }
                None => rows(keys, &path, into),
            },
        }
    }
}

/// The keys that all tables of a table have, if it holds nothing else.
fn alike(keys: &'static [Key]) -> Option<&'static [Key]> {
    match &keys.first()?.node {
        Node::Table { keys, .. } => Some(keys),
        Node::Value { .. } => None,
    }
}

/// One row for each key that several tables have.
fn group(tables: &'static [Key], inner: &'static [Key], path: &str, into: &mut String) {
    for key in inner {
        let Node::Value { shape, default } = &key.node else {
            continue;
        };
        let mut defaults: Vec<String> = default.iter().copied().map(short).collect();
        for table in tables.iter().filter(is_public) {
            let Node::Table { defaults: own, .. } = &table.node else {
                continue;
            };
            let own = own.iter().find(|(name, _)| *name == key.name);
            defaults.extend(own.map(|(_, text)| format!("{} for {}", short(text), table.name)));
        }
        let (name, kind, sentence) = (key.name, kind(shape), key.sentence());
        let default = defaults.join("; ");
        into.push_str(&format!(
            "| `{path}.NAME.{name}` | {kind} | {default} | {sentence} |\n"
        ));
    }
}

/// A default in a cell.
fn short(default: &str) -> String {
    match default.len() {
        ..=80 => format!("`{default}`"),
        _ => "see [`config/docent.toml`](../config/docent.toml)".to_owned(),
    }
}

fn kind(shape: &Shape) -> String {
    let quoted = |names: &[&str]| {
        let words: Vec<String> = names.iter().map(|name| format!("`\"{name}\"`")).collect();
        words.join(", ")
    };
    match shape {
        Shape::Text(_) | Shape::Webhook(_) => "text".to_owned(),
        Shape::Name(characters, _, longest) => {
            format!("up to {longest} of the characters `{characters}`")
        }
        Shape::Count(min, max) => format!("whole number from {min} to {max}"),
        Shape::Switch => "`true` or `false`".to_owned(),
        Shape::Choice(names) => format!("one of {}", quoted(names)),
        Shape::Time(min, max) | Shape::Size(min, max) => {
            let noun = match shape {
                Shape::Time(..) => "duration",
                _ => "size",
            };
            let ends = [*min, *max].map(|end| shape.written(end).replace('"', ""));
            format!("{noun} from {} to {}", ends[0], ends[1])
        }
        Shape::Limit => "number, duration or size".to_owned(),
        Shape::List(Shape::Choice(names)) => format!("list of {}", quoted(names)),
        Shape::List(Shape::Text(check))
            if std::ptr::fn_addr_eq(*check, super::check::argument as TextCheck) =>
        {
            "list of texts".to_owned()
        }
        Shape::List(_) => "list of patterns".to_owned(),
    }
}

pub(crate) mod tests {
    use super::*;
    use crate::config::layers::Layers;
    use crate::config::load::tests::load;
    use crate::config::syntax::SourceText;
    use std::fs;
    use std::path::{Path, PathBuf};
    use toml::Table;

    /// What stands around the table in `docs/configuration.md`.
    const MARKS: [&str; 2] = [
        "<!-- keys: written from src/config/keys.rs -->\n",
        "<!-- end of keys -->\n",
    ];

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    /// `docs/configuration.md`: before the table, the table, behind it.
    fn page() -> [String; 3] {
        let text = fs::read_to_string(file("docs/configuration.md")).expect("it is there");
        let (before, rest) = text.split_once(MARKS[0]).expect("the table begins");
        let (table, behind) = rest.split_once(MARKS[1]).expect("the table ends");
        [before, table, behind].map(str::to_owned)
    }

    /// Writes both files anew.
    #[test]
    #[ignore = "it writes files of the checkout"]
    fn write() {
        fs::write(file("config/docent.toml"), reference()).expect("writable");
        let [before, _, behind] = page();
        let text = [
            &before,
            MARKS[0],
            "\n",
            &documentation(),
            "\n",
            MARKS[1],
            &behind,
        ]
        .concat();
        fs::write(file("docs/configuration.md"), text).expect("writable");
    }

    #[test]
    fn the_files_are_what_is_written_from_the_table() {
        let how = "cargo test --lib config::reference::tests::write -- --ignored";
        let found = fs::read_to_string(file("config/docent.toml")).expect("it is there");
        assert!(found == reference(), "config/docent.toml is old: {how}");
        let table = format!("\n{}\n", documentation());
        assert!(page()[1] == table, "docs/configuration.md is old: {how}");
    }

    /// The keys of the values below `table`, with their tables; those of a list of tables without a number.
    fn keys_of(table: &Table, prefix: &str, into: &mut Vec<String>) {
        for (name, value) in table {
            let key = key_path::join(prefix, name);
            match value {
                Value::Table(table) => keys_of(table, &key, into),
                Value::Array(items) if items.iter().any(Value::is_table) => {
                    let tables = items.iter().filter_map(Value::as_table);
                    tables.for_each(|table| keys_of(table, &key, into));
                }
                _ => into.push(key),
            }
        }
    }

    /// The reference with what it shows commented out put in force.
    fn with_examples() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        };
        reference().lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_reference_has_no_mistake_and_is_the_defaults() {
        let text = reference();
        let source = SourceText::parse(Path::new("docent.toml"), &text).expect("it is TOML");
        let (mut layers, defaults) = (Layers::defaults(), Layers::defaults());
        layers.apply_file(&source);
        assert_eq!((layers.violations, defaults.violations), (vec![], vec![]));
        assert_eq!(layers.values, defaults.values);
    }

    #[test]
    fn the_reference_shows_every_key() {
        let mut shown = Vec::new();
        keys_of(
            &with_examples().parse().expect("it is TOML"),
            "",
            &mut shown,
        );
        let mut keys = key_path::all();
        keys.retain(|key| !key.starts_with("agents.test."));
        shown.sort();
        keys.sort();
        assert_eq!(shown, keys);
    }

    #[test]
    fn the_example_collection_shows_the_defaults() {
        let example = load(&with_examples()).expect("it is a config").config;
        let minimal = "[[collection]]\nname = \"handbook\"\npath = \"/srv/handbook\"";
        let minimal = load(minimal).expect("it is one").config;
        assert_eq!(example.collections, minimal.collections);
    }

    #[test]
    fn the_list_of_keys_is_the_tree() {
        let text = "instance = \"x\"\n".to_owned()
            + "[[collection]]\nname = \"a\"\npath = \"/a\"\n[[alert]]\nname = \"b\"\nwhen = \"parked\"";
        let loaded = load(&text).expect("it is a config");
        let shown = loaded
            .show()
            .iter()
            .map(|shown| shown.key.replace("[0]", ""));
        assert_eq!(shown.collect::<Vec<_>>(), key_path::all());
    }

    #[test]
    fn the_reference_says_something_about_every_key() {
        let text = reference();
        let mut before = "";
        for line in text.lines() {
            let is_key = line
                .trim_start_matches('#')
                .split_once(" = ")
                .is_some_and(|(name, _)| {
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                });
            if is_key {
                assert!(before.starts_with("# "), "{line}");
            }
            before = line;
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
