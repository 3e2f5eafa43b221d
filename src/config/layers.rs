//! The layers, lowest first: each is checked against the table of keys and replaces what the ones below it set.

use super::key_path;
use super::keys::Config;
use super::shape::with_article;
use super::suggest::suggest;
use super::syntax::SourceText;
use super::table::{Key, Keys as _, Node};
use super::violation::quote;
use super::violation::{Origin, Reason, Violation};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// What begins the name of a variable that sets a key.
const VARIABLE_PREFIX: &str = "DOCENT__";

/// The most tables in one list; the rules between them compare each with each.
const MOST_TABLES: usize = 1_000;

/// Violations after which no more keys are looked at.
const MOST_VIOLATIONS: usize = 1_000;

/// The layers that have been applied so far.
pub(crate) struct Layers {
    /// The values, each checked by itself. A table of a list may lack keys if there is a violation.
    pub(crate) values: Table,
    /// Where each key was set, by the key with its tables; what is not in here is a default.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// Everything that is wrong.
    pub(crate) violations: Vec<Violation>,
    /// Whether there were so many violations that not every key was checked.
    pub(crate) cut: bool,
    /// Keys and tables whose value is not the one that somebody set, because of a violation.
    suspect: BTreeSet<String>,
}

impl Layers {
    pub(crate) fn defaults() -> Self {
        let mut violations = Vec::new();
        let values = defaults(Config::KEYS, &[], &mut violations);
        Layers {
            values,
            origins: BTreeMap::new(),
            violations,
            cut: false,
            suspect: BTreeSet::new(),
        }
    }

    pub(crate) fn apply_file(&mut self, source: &SourceText<'_>) {
        self.apply(source.table.get_ref(), &|at| source.origin(at));
    }

    /// Applies the environment; variables without the prefix belong to others.
    pub(crate) fn apply_variables(&mut self, variables: Vec<(OsString, OsString)>) {
        let mut ours: Vec<(String, OsString)> = variables
            .into_iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        ours.sort();
        let keys = key_path::all();
        for (name, value) in ours {
            let key = name[VARIABLE_PREFIX.len()..]
                .to_lowercase()
                .replace("__", ".");
            // No shell takes the dash that is in some keys.
            let written = |known: &&String| known.replace('-', "_") == key;
            let key = keys.iter().find(written).cloned().unwrap_or(key);
            let origin = Origin::Variable(name);
            match value.to_str() {
                Some(text) => self.apply_one(&key, text, origin),
                None => {
                    let reason = Reason::new("is not UTF-8", "write it in UTF-8");
                    self.violate(reason, origin, &key);
                }
            }
        }
    }

    /// Applies the value of one key, from outside a file.
    pub(crate) fn apply_one(&mut self, key: &str, text: &str, origin: Origin) {
        let value = match value_from_outside(key, text) {
            Ok(value) => value,
            Err(reason) => return self.violate(reason, origin, key),
        };
        // A tree that holds only this value is checked like a file.
        let mut tree = value;
        for name in key.rsplit('.') {
            let mut table = DeTable::new();
            let name = Spanned::new(0..0, name.to_owned().into());
            table.insert(name, Spanned::new(0..0, tree));
            tree = DeValue::Table(table);
        }
        if let DeValue::Table(table) = tree {
            self.apply(&table, &|_| origin.clone());
        }
    }

    fn apply(&mut self, table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) {
        let mut values = std::mem::take(&mut self.values);
        let mut walk = Walk {
            origin,
            layers: self,
        };
        walk.table(Config::KEYS, "", table, &mut values);
        self.values = values;
    }

    /// Adds a violation of `key`.
    pub(crate) fn violate(&mut self, reason: Reason, origin: Origin, key: &str) {
        self.suspect.insert(key.to_owned());
        self.violations.push(reason.at(origin, key));
    }

    /// Whether `key` or a table that it is in has a violation, so that a rule about it would only repeat it.
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

/// The defaults of a table; `own` are those of this table alone. They are not checked, which takes as long as all else that a
/// command does before it asks the daemon: a test checks them.
fn defaults(
    keys: &'static [Key],
    own: &[(&str, &'static str)],
    violations: &mut Vec<Violation>,
) -> Table {
    let mut table = Table::new();
    for key in keys {
        let value = match &key.node {
            Node::Table { list: true, .. } => Value::Array(Vec::new()),
            Node::Table {
                keys,
                defaults: own,
                ..
            } => Value::Table(defaults(keys, own, violations)),
            Node::Value { default, .. } => {
                let own = own.iter().find(|(name, _)| *name == key.name);
                let Some(text) = own.map(|(_, text)| *text).or(*default) else {
                    continue; // only in lists, which are empty
                };
                let Ok(value) = text.parse() else {
                    let reason = Reason::new("has a default that is not TOML", FAULT);
                    violations.push(reason.at(Origin::Default, key.name));
                    continue;
                };
                value
            }
        };
        table.insert(key.name.to_owned(), value);
    }
    table
}

/// What to do where the table of keys contradicts itself; tests make sure that it does not.
pub(crate) const FAULT: &str = "report this as a fault of docent";

/// The value that `text` means for a key: strings need no quotes, everything else is TOML.
fn value_from_outside<'t>(key: &str, text: &'t str) -> Result<DeValue<'t>, Reason> {
    let parsed = DeValue::parse(text).map(Spanned::into_inner);
    let remedy = match key_path::node_at(key) {
        Some(Node::Value { shape, .. }) if shape.is_text() => {
            return Ok(match parsed {
                Ok(quoted @ DeValue::String(_)) => quoted,
                _ => DeValue::String(text.into()),
            });
        }
        // The walk reports what is wrong with it, or that there is no such key.
        Some(Node::Value { .. }) | None => {
            return Ok(parsed.unwrap_or(DeValue::String(text.into())));
        }
        Some(Node::Table { list: false, .. }) => "set its keys one by one",
        Some(Node::Table { list: true, .. }) => {
            "write the whole list, such as [{ name = \"a\", path = \"/srv/a\" }]"
        }
    };
    parsed.map_err(|error| {
        let what = format!("cannot be read as TOML: {}", error.message());
        Reason::new(what, remedy)
    })
}

/// One walk through the tables of a layer.
struct Walk<'a> {
    /// The origin of what is at a byte of the layer's text.
    origin: &'a dyn Fn(usize) -> Origin,
    /// Without its values, which the walk changes.
    layers: &'a mut Layers,
}

impl Walk<'_> {
    /// Checks what `table` sets, and copies it to `into`; both are the table called `prefix`.
    fn table(&mut self, keys: &'static [Key], prefix: &str, table: &DeTable<'_>, into: &mut Table) {
        for (name, value) in table {
            if self.layers.violations.len() >= MOST_VIOLATIONS {
                self.layers.cut = true;
                return;
            }
            let (at, name) = (name.span().start, name.get_ref().as_ref());
            let path = key_path::join(prefix, name);
            let Some(key) = key_path::find(keys, name) else {
                let suggestion = suggest(keys, prefix, name);
                self.layers.suspect.insert(suggestion.key);
                let reason = Reason::new("is not a key", suggestion.remedy);
                self.violate(reason, at, &key_path::join(prefix, &shown(name)));
                continue;
            };
            match &key.node {
                Node::Value { shape, .. } => match shape.take(value.get_ref(), value.span()) {
                    Ok(taken) => {
                        self.set(&path, at);
                        into.insert(name.to_owned(), taken);
                    }
                    Err(reasons) => {
                        for (span, reason) in reasons {
                            self.violate(reason, span.start, &path);
                        }
                    }
                },
                Node::Table {
                    keys, list: true, ..
                } => {
                    if let Some(list) = self.list(keys, &path, at, value.get_ref()) {
                        into.insert(name.to_owned(), Value::Array(list));
                    }
                }
                Node::Table { keys, .. } => match (value.get_ref(), into.get_mut(name)) {
                    (DeValue::Table(table), Some(Value::Table(below))) => {
                        self.table(keys, &path, table, below);
                    }
                    (other, _) => {
                        let what = format!("is {}, not a table", with_article(other.type_str()));
                        let remedy = format!("write [{path}] and its keys below it");
                        self.violate(Reason::new(what, remedy), at, &path);
                    }
                },
            }
        }
    }

    /// Checks a list of tables. A list replaces the one of the layer below as a whole.
    fn list(
        &mut self,
        keys: &'static [Key],
        path: &str,
        at: usize,
        value: &DeValue<'_>,
    ) -> Option<Vec<Value>> {
        let reason = match value {
            DeValue::Array(items) if items.len() <= MOST_TABLES => {
                let below = format!("{path}[");
                let origins = &mut self.layers.origins;
                origins.retain(|key, _| !key.starts_with(&below));
                let items = items.iter().enumerate();
                let list = items.map(|(number, item)| {
                    Value::Table(self.list_item(keys, &format!("{path}[{number}]"), item))
                });
                let list = list.collect();
                self.set(path, at);
                return Some(list);
            }
            DeValue::Array(items) => Reason::new(
                format!("holds {} tables", items.len()),
                format!("write at most {MOST_TABLES}"),
            ),
            other => Reason::new(
                format!(
                    "is {}, not a list of tables",
                    with_article(other.type_str())
                ),
                format!("write [[{path}]] for each of them"),
            ),
        };
        self.violate(reason, at, path);
        None
    }

    /// The defaults of a table in a list, and what `item` sets.
    fn list_item(
        &mut self,
        keys: &'static [Key],
        path: &str,
        item: &Spanned<DeValue<'_>>,
    ) -> Table {
        let at = item.span().start;
        let mut taken = defaults(keys, &[], &mut self.layers.violations);
        let DeValue::Table(table) = item.get_ref() else {
            let what = format!(
                "is {}, not a table",
                with_article(item.get_ref().type_str())
            );
            self.violate(Reason::new(what, "write a table"), at, path);
            return taken;
        };
        self.table(keys, path, table, &mut taken);
        self.set(path, at);
        for name in keys.iter().map(|key| key.name) {
            let key = key_path::join(path, name);
            if !taken.contains_key(name) && !self.layers.is_suspect(&key) {
                let reason = Reason::new("is missing", format!("write {name} = \"…\""));
                self.violate(reason, at, &key);
            }
        }
        taken
    }

    fn set(&mut self, path: &str, at: usize) {
        let origin = (self.origin)(at);
        self.layers.origins.insert(path.to_owned(), origin);
    }

    fn violate(&mut self, reason: Reason, at: usize, path: &str) {
        let origin = (self.origin)(at);
        self.layers.violate(reason, origin, path);
    }
}

/// A name from outside that is safe in a message: an unknown one can hold anything.
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
    use crate::config::load::tests::violations;

    #[test]
    fn unknown_keys_and_tables_are_told_with_what_was_meant() {
        #[rustfmt::skip] // one case a line
        let cases = [
            ("x = 1", "1: x: is not a key; remove it, or write one of data_dir, instance,"),
            ("[watch]\ndebouce = \"1s\"", "2: watch.debouce: is not a key; write `debounce`"),
            ("[wacth]\ndebounce = \"1s\"", "1: wacth: is not a key; write `watch`"),
            ("[agents.ragg]\nenabled = true", "1: agents.ragg: is not a key; write `rag`"),
            ("[jobs.sweep]\nenabled = true", "1: jobs.sweep: is not a key; remove it, or write one of maintenance, health, verify, weekly-report"),
            ("[bus]\ndata_dir = \"/x\"", "2: bus.data_dir: is not a key; write `data_dir` above the first table"),
            ("debounce = \"1s\"", "1: debounce: is not a key; write `debounce` in [watch]"),
            ("[[collection]]\nname = \"a\"\npath = \"/a\"\nexcludes = []", "4: collection[0].excludes: is not a key; write `exclude`"),
            ("\"a b\" = 1", "1: \"a b\": is not a key"),
        ];
        for (text, told) in cases {
            let all = violations(text);
            assert_eq!(all.len(), 1, "{all:#?}");
            assert!(
                all[0].starts_with(&format!("docent.toml:{told}")),
                "{all:#?}"
            );
        }
    }

    #[test]
    fn a_table_in_the_wrong_form_is_told() {
        #[rustfmt::skip] // one case a line
        let cases = [
            ("bus = 5", "1: bus: is an integer, not a table; write [bus] and its keys below it"),
            ("[[bus]]\nmode = \"auto\"", "1: bus: is an array, not a table; write [bus] and its keys below it"),
            ("[collection]\nname = \"a\"", "1: collection: is a table, not a list of tables; write [[collection]] for each of them"),
            ("collection = [1]", "1: collection[0]: is an integer, not a table; write a table"),
            ("[bus.mode]\nx = 1", "1: bus.mode: is a table, not one of the words it may be;"),
            ("[[collection]]", "1: collection[0].name: is missing; write name = \"…\""),
        ];
        for (text, told) in cases {
            let all = violations(text);
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
        let all = violations(&text);
        assert_eq!(
            all,
            ["docent.toml:1: collection: holds 1001 tables; write at most 1000"]
        );
    }

    #[test]
    fn no_more_violations_are_told_than_anybody_reads() {
        let text: String = (0..20_000)
            .map(|number| format!("unknown_{number} = 1\n"))
            .collect();
        let all = violations(&text);
        assert_eq!(all.len(), MOST_VIOLATIONS + 1);
        assert!(
            all[MOST_VIOLATIONS].contains("not everything was checked"),
            "{}",
            all[MOST_VIOLATIONS]
        );
    }

    #[test]
    fn dotted_keys_and_inline_tables_are_the_same_keys() {
        let all = violations("redis.max_retries = -1\nbus = { mode = \"x\" }\n");
        assert_eq!(all.len(), 2, "{all:#?}");
        assert!(
            all[0].starts_with("docent.toml:1: redis.max_retries: "),
            "{all:#?}"
        );
        assert!(all[1].starts_with("docent.toml:2: bus.mode: "), "{all:#?}");
    }

    #[test]
    fn what_is_below_a_suspect_key_is_suspect() {
        let mut layers = Layers::defaults();
        layers.violate(Reason::new("x", "y"), Origin::Default, "collection[0]");
        layers.violate(Reason::new("x", "y"), Origin::Default, "bus");
        assert!(layers.is_suspect("bus") && layers.is_suspect("bus.mode"));
        assert!(layers.is_suspect("collection[0].path"));
        assert!(!layers.is_suspect("collection[1].path") && !layers.is_suspect("business"));
    }
}
