//! The effective values, as `config show` lists them.

use super::key_path;
use super::keys::Config;
use super::layers::Layers;
use super::table::{Key, Keys as _, Node};
use super::violation::Origin;
use toml::{Table, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownSetting {
    /// The key with its tables, such as `redis.url` or `collection[0].path`.
    pub key: String,
    /// The value as it would stand in a file; passwords, and the path and query of a webhook, are hidden.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// Every value in the order of the table of keys.
pub(crate) fn all(layers: &Layers) -> Vec<ShownSetting> {
    let mut shown = Vec::new();
    table(Config::KEYS, "", &layers.values, layers, &mut shown);
    shown
}

fn table(
    keys: &'static [Key],
    prefix: &str,
    values: &Table,
    layers: &Layers,
    into: &mut Vec<ShownSetting>,
) {
    for key in keys {
        let path = key_path::join(prefix, key.name);
        match (&key.node, values.get(key.name)) {
            (Node::Value { shape, .. }, Some(value)) => into.push(ShownSetting {
                value: shape.shown(value),
                origin: layers.origin(&path),
                key: path,
            }),
            (Node::Table { keys, .. }, Some(Value::Table(values))) => {
                table(keys, &path, values, layers, into);
            }
            (Node::Table { keys, .. }, Some(Value::Array(list))) => {
                for (number, values) in list.iter().filter_map(Value::as_table).enumerate() {
                    table(keys, &format!("{path}[{number}]"), values, layers, into);
                }
            }
            // Cannot be: every key has a value of its form by now.
            (Node::Table { .. }, Some(_)) | (_, None) => {}
        }
    }
}
