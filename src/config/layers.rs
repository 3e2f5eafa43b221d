//! The layers, lowest first: each is checked against the list of keys and laid over the ones below it.

use super::check::quote;
use super::keys::{self, Field, Node, ROOT};
use super::problem::{Origin, Problem, Wrong};
use super::shape::with_article;
use super::suggest::suggest;
use super::syntax::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// What begins the name of a variable that sets a key.
const VARIABLE_PREFIX: &str = "DOCENT__";

/// Tables in one list; the rules between them compare each with each.
const MOST_TABLES: usize = 1_000;

/// The layers that have been laid so far.
#[derive(Default)]
pub(crate) struct Layers {
    /// The values, each checked by itself. A table of a list may lack keys if there is a problem.
    pub(crate) values: Table,
    /// What was found out about them.
    pub(crate) findings: Findings,
}

/// Problems after which no more keys are looked at.
const MOST_PROBLEMS: usize = 1_000;

/// What reading the layers brought to light.
#[derive(Default)]
pub(crate) struct Findings {
    /// Where each key was set, by the key with its tables.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// Everything that is wrong.
    pub(crate) problems: Vec<Problem>,
    /// Whether there was so much wrong that not everything was looked at.
    pub(crate) cut: bool,
    /// Keys and tables whose value is not what somebody wanted it to be.
    suspect: BTreeSet<String>,
}

impl Findings {
    /// Adds a problem with `key`.
    pub(crate) fn complain(&mut self, wrong: Wrong, origin: Origin, key: &str) {
        self.suspect.insert(key.to_owned());
        self.problems.push(wrong.at(origin, key));
    }

    /// Whether `key` or a table that it is in has a problem, so that a rule about it would only repeat it.
    pub(crate) fn is_suspect(&self, key: &str) -> bool {
        let ends = key.match_indices(['.', '[']).map(|(end, _)| end);
        ends.chain([key.len()])
            .any(|end| self.suspect.contains(&key[..end]))
    }

    /// Where `key` was set.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

impl Layers {
    /// Lays the built-in defaults.
    pub(crate) fn lay_defaults(&mut self, source: &Source<'_>) {
        self.findings.problems.extend_from_slice(&source.problems);
        let place = Place {
            origin: &|_| Origin::Default,
            is_broken: &|span| source.is_broken(span),
        };
        self.lay(source.table.get_ref(), place);
    }

    /// Lays a file.
    pub(crate) fn lay_file(&mut self, source: &Source<'_>) {
        for problem in &source.problems {
            self.findings.suspect.insert(problem.key.clone());
            self.findings.problems.push(problem.clone());
        }
        let place = Place {
            origin: &|at| source.origin(at),
            is_broken: &|span| source.is_broken(span),
        };
        self.lay(source.table.get_ref(), place);
    }

    /// Lays the environment; variables without our prefix are none of ours.
    pub(crate) fn lay_variables(&mut self, variables: Vec<(OsString, OsString)>) {
        let mut ours: Vec<(String, OsString)> = variables
            .into_iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        ours.sort();
        for (name, value) in ours {
            let key = name[VARIABLE_PREFIX.len()..]
                .to_lowercase()
                .replace("__", ".");
            let origin = Origin::Variable(name);
            match value.to_str() {
                Some(text) => self.lay_one(&key, text, origin),
                None => {
                    let wrong = Wrong::new("is not UTF-8", "write it in UTF-8");
                    self.findings.complain(wrong, origin, &key);
                }
            }
        }
    }

    /// Lays one value from outside a file under `key`.
    pub(crate) fn lay_one(&mut self, key: &str, text: &str, origin: Origin) {
        let path: Vec<&str> = key.split('.').collect();
        let value = match value_from_outside(&path, text) {
            Ok(value) => value,
            Err(wrong) => return self.findings.complain(wrong, origin, key),
        };
        // A tree that holds only this value takes the way that a file takes.
        let mut tree = value;
        for name in path.iter().rev() {
            let mut table = DeTable::new();
            let name = Spanned::new(0..0, (*name).to_owned().into());
            table.insert(name, Spanned::new(0..0, tree));
            tree = DeValue::Table(table);
        }
        if let DeValue::Table(table) = tree {
            let place = Place {
                origin: &|_| origin.clone(),
                is_broken: &|_| false,
            };
            self.lay(&table, place);
        }
    }

    fn lay(&mut self, table: &DeTable<'_>, place: Place<'_>) {
        let mut walk = Walk {
            place,
            findings: &mut self.findings,
        };
        walk.table(ROOT, "", table, &mut self.values);
    }
}

/// The value that `text` means for the key `path`: a text needs no quotes, all else is TOML.
fn value_from_outside<'t>(path: &[&str], text: &'t str) -> Result<DeValue<'t>, Wrong> {
    let parsed = DeValue::parse(text).map(Spanned::into_inner);
    let remedy = match keys::node_at(ROOT, path) {
        Some(Node::Value(shape)) if shape.is_text() => {
            return Ok(match parsed {
                Ok(quoted @ DeValue::String(_)) => quoted,
                _ => DeValue::String(text.into()),
            });
        }
        // What is wrong with it, or that there is no such key, is told by the walk.
        Some(Node::Value(_)) | None => return Ok(parsed.unwrap_or(DeValue::String(text.into()))),
        Some(Node::Table(_)) => "set its keys one by one",
        Some(Node::Tables { .. }) => {
            "write the whole list, such as [{ name = \"a\", path = \"/srv/a\" }]"
        }
    };
    parsed.map_err(|error| {
        Wrong::new(
            format!("cannot be read as TOML: {}", error.message()),
            remedy,
        )
    })
}

/// Where the values of a layer stand.
struct Place<'a> {
    /// The origin of what is at a byte of the layer's text.
    origin: &'a dyn Fn(usize) -> Origin,
    /// Whether a syntax error is in these bytes; it is told already.
    is_broken: &'a dyn Fn(Range<usize>) -> bool,
}

/// One walk through the tables of a layer.
struct Walk<'a> {
    place: Place<'a>,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    /// Takes what `table` sets over into `into`; both stand for the table called `prefix`.
    fn table(
        &mut self,
        fields: &'static [Field],
        prefix: &str,
        table: &DeTable<'_>,
        into: &mut Table,
    ) {
        for (name, value) in table {
            if self.findings.problems.len() >= MOST_PROBLEMS {
                self.findings.cut = true;
                return;
            }
            let (at, name) = (name.span().start, name.get_ref().as_ref());
            let key = keys::join(prefix, name);
            let field = keys::find(fields, name);
            // The bytes of a list of tables are those of everything below it: looked at one by one there.
            let is_list = field.is_some_and(|field| matches!(field.node, Node::Tables { .. }));
            let end = value.span().end.max(at);
            if !is_list && (self.place.is_broken)(at..end) {
                self.findings.suspect.insert(key);
                continue;
            }
            let Some(field) = field else {
                let suggestion = suggest(fields, prefix, name);
                self.findings.suspect.insert(suggestion.key);
                let wrong = Wrong::new("is not a key", suggestion.remedy);
                self.complain(wrong, at, &keys::join(prefix, &shown(name)));
                continue;
            };
            match &field.node {
                Node::Value(shape) => match shape.take(value.get_ref(), value.span()) {
                    Ok(taken) => {
                        let origin = (self.place.origin)(at);
                        self.findings.origins.insert(key, origin);
                        into.insert(name.to_owned(), taken);
                    }
                    Err(misfits) => {
                        for (span, wrong) in misfits {
                            self.complain(wrong, span.start, &key);
                        }
                    }
                },
                Node::Table(fields) => self.inner_table(fields, &key, (at, value.get_ref()), into),
                Node::Tables { fields, required } => {
                    let list = self.list(fields, required, &key, (at, value.get_ref()));
                    if let Some(list) = list {
                        into.insert(name.to_owned(), Value::Array(list));
                    }
                }
            }
        }
    }

    fn inner_table(
        &mut self,
        fields: &'static [Field],
        key: &str,
        (at, value): (usize, &DeValue<'_>),
        into: &mut Table,
    ) {
        let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
        let below = into
            .entry(name)
            .or_insert_with(|| Value::Table(Table::new()));
        match (value, below) {
            (DeValue::Table(table), Value::Table(below)) => self.table(fields, key, table, below),
            (other, _) => {
                let wrong = Wrong::new(
                    format!("is {}, not a table", with_article(other.type_str())),
                    format!("write [{key}] and its keys below it"),
                );
                self.complain(wrong, at, key);
            }
        }
    }

    /// Takes a list of tables over. A list replaces the one of the layer below as a whole.
    fn list(
        &mut self,
        fields: &'static [Field],
        required: &[&str],
        key: &str,
        (at, value): (usize, &DeValue<'_>),
    ) -> Option<Vec<Value>> {
        let remedy = format!("write [[{key}]] for each of them");
        let wrong = match value {
            DeValue::Array(items) if items.len() > MOST_TABLES => Wrong::new(
                format!("holds {} tables", items.len()),
                format!("write at most {MOST_TABLES}"),
            ),
            DeValue::Array(items) => {
                let below = format!("{key}[");
                self.findings
                    .origins
                    .retain(|key, _| !key.starts_with(&below));
                let mut list = Vec::with_capacity(items.len());
                for (number, item) in items.iter().enumerate() {
                    let key = format!("{key}[{number}]");
                    list.push(Value::Table(self.list_item(fields, required, &key, item)));
                }
                let origin = (self.place.origin)(at);
                self.findings.origins.insert(key.to_owned(), origin);
                return Some(list);
            }
            other => Wrong::new(
                format!(
                    "is {}, not a list of tables",
                    with_article(other.type_str())
                ),
                remedy,
            ),
        };
        self.complain(wrong, at, key);
        None
    }

    fn list_item(
        &mut self,
        fields: &'static [Field],
        required: &[&str],
        key: &str,
        item: &Spanned<DeValue<'_>>,
    ) -> Table {
        let mut taken = Table::new();
        let at = item.span().start;
        let DeValue::Table(table) = item.get_ref() else {
            let what = format!(
                "is {}, not a table",
                with_article(item.get_ref().type_str())
            );
            self.complain(Wrong::new(what, "write a table"), at, key);
            return taken;
        };
        if (self.place.is_broken)(item.span()) {
            self.findings.suspect.insert(key.to_owned());
            return taken;
        }
        self.table(fields, key, table, &mut taken);
        let origin = (self.place.origin)(at);
        self.findings.origins.insert(key.to_owned(), origin);
        for name in required {
            let key = keys::join(key, name);
            if !taken.contains_key(*name) && !self.findings.is_suspect(&key) {
                let wrong = Wrong::new("is missing", format!("write {name} = \"…\""));
                self.complain(wrong, at, &key);
            }
        }
        taken
    }

    fn complain(&mut self, wrong: Wrong, at: usize, key: &str) {
        let origin = (self.place.origin)(at);
        self.findings.complain(wrong, origin, key);
    }
}

/// A name from outside as it may stand in a message: an unknown one can hold anything.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        name.to_owned()
    } else {
        quote(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::problems;

    #[test]
    fn unknown_keys_and_tables_are_told_with_what_was_meant() {
        for (text, told) in [
            (
                "x = 1",
                "1: x: is not a key; remove it, or write one of data_dir, instance,",
            ),
            (
                "[watch]\ndebouce = \"1s\"",
                "2: watch.debouce: is not a key; write `debounce`",
            ),
            (
                "[wacth]\ndebounce = \"1s\"",
                "1: wacth: is not a key; write `watch`",
            ),
            (
                "[agents.ragg]\nenabled = true",
                "1: agents.ragg: is not a key; write `rag`",
            ),
            (
                "[jobs.weekly-report]\nenabled = true",
                "1: jobs.weekly-report: is not a key; remove it, or write one of maintenance, health, verify",
            ),
            (
                "[bus]\ndata_dir = \"/x\"",
                "2: bus.data_dir: is not a key; write `data_dir` above the first table",
            ),
            (
                "debounce = \"1s\"",
                "1: debounce: is not a key; write `debounce` in [watch]",
            ),
            (
                "[[collection]]\nname = \"a\"\npath = \"/a\"\nexcludes = []",
                "4: collection[0].excludes: is not a key; write `exclude`",
            ),
            ("\"a b\" = 1", "1: \"a b\": is not a key"),
        ] {
            let all = problems(text);
            assert_eq!(all.len(), 1, "{all:#?}");
            assert!(
                all[0].starts_with(&format!("docent.toml:{told}")),
                "{all:#?}"
            );
        }
    }

    #[test]
    fn a_table_in_the_wrong_form_is_told() {
        for (text, told) in [
            (
                "bus = 5",
                "1: bus: is an integer, not a table; write [bus] and its keys below it",
            ),
            (
                "[[bus]]\nmode = \"auto\"",
                "1: bus: is an array, not a table; write [bus] and its keys below it",
            ),
            (
                "[collection]\nname = \"a\"",
                "1: collection: is a table, not a list of tables; write [[collection]] for each of them",
            ),
            (
                "collection = [1]",
                "1: collection[0]: is an integer, not a table; write a table",
            ),
            (
                "[bus.mode]\nx = 1",
                "1: bus.mode: is a table, not one of the words it may be;",
            ),
            (
                "[[collection]]",
                "1: collection[0].name: is missing; write name = \"…\"",
            ),
        ] {
            let all = problems(text);
            assert!(
                all[0].starts_with(&format!("docent.toml:{told}")),
                "{all:#?}"
            );
        }
    }

    #[test]
    fn a_list_of_tables_is_bounded() {
        let mut text = String::new();
        for number in 0..=MOST_TABLES {
            text.push_str(&format!(
                "[[collection]]\nname = \"c{number}\"\npath = \"/c{number}\"\n"
            ));
        }
        let all = problems(&text);
        assert_eq!(
            all,
            ["docent.toml:1: collection: holds 1001 tables; write at most 1000"]
        );
    }

    #[test]
    fn no_more_problems_are_told_than_anybody_reads() {
        let text: String = (0..20_000)
            .map(|number| format!("unknown_{number} = 1\n"))
            .collect();
        let all = problems(&text);
        assert_eq!(all.len(), MOST_PROBLEMS + 1);
        assert!(
            all[MOST_PROBLEMS].contains("not everything was looked at"),
            "{}",
            all[MOST_PROBLEMS]
        );
    }

    #[test]
    fn dotted_keys_and_inline_tables_are_the_same_keys() {
        let all = problems("redis.max_retries = -1\nbus = { mode = \"x\" }\n");
        assert_eq!(all.len(), 2, "{all:#?}");
        assert!(
            all[0].starts_with("docent.toml:1: redis.max_retries: "),
            "{all:#?}"
        );
        assert!(all[1].starts_with("docent.toml:2: bus.mode: "), "{all:#?}");
    }

    #[test]
    fn what_is_below_a_suspect_key_is_suspect() {
        let mut findings = Findings::default();
        findings.complain(Wrong::new("x", "y"), Origin::Default, "collection[0]");
        findings.complain(Wrong::new("x", "y"), Origin::Default, "bus");
        assert!(findings.is_suspect("bus") && findings.is_suspect("bus.mode"));
        assert!(findings.is_suspect("collection[0].path"));
        assert!(!findings.is_suspect("collection[1].path") && !findings.is_suspect("business"));
    }
}
