//! The values that rule, as `config show` lists them.

use super::keys::{self, Field, Node, ROOT};
use super::layers::Findings;
use super::problem::Origin;
use super::secret::redact;
use super::tree::Config;
use toml::Value;

/// One value that rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The key with its tables, such as `redis.url` or `collection[0].path`.
    pub key: String,
    /// The value as it would stand in a file; passwords are hidden.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// Every value of `config` in the order of the list of keys.
pub(crate) fn all(config: &Config, findings: &Findings) -> Result<Vec<Shown>, toml::ser::Error> {
    let values = Value::try_from(config)?;
    let mut shown = Vec::new();
    table(ROOT, "", &values, findings, &mut shown);
    Ok(shown)
}

fn table(
    fields: &'static [Field],
    prefix: &str,
    values: &Value,
    findings: &Findings,
    into: &mut Vec<Shown>,
) {
    for field in fields {
        let key = keys::join(prefix, field.name);
        let Some(value) = values.get(field.name) else {
            continue; // cannot be: a test compares the list of keys with the tree
        };
        match &field.node {
            Node::Value(_) => into.push(Shown {
                value: redact(&value.to_string()),
                origin: findings.origin(&key),
                key,
            }),
            Node::Table(fields) => table(fields, &key, value, findings, into),
            Node::Tables { fields, .. } => {
                for (number, value) in value.as_array().into_iter().flatten().enumerate() {
                    table(fields, &format!("{key}[{number}]"), value, findings, into);
                }
            }
        }
    }
}
