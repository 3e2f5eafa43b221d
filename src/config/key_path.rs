//! The path of a key, such as `watch.debounce`: its parts joined, what stands under it, and the list of all.

use super::keys::Config;
use super::table::{Key, Keys, Node};

/// The key called `name` among `keys`.
pub(crate) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// What stands under the key `path`, such as `watch.debounce`; none where it is unknown or leads into a value or a list.
pub(crate) fn node_at(path: &str) -> Option<&'static Node> {
    let mut names = path.split('.');
    let first = find(Config::KEYS, names.next()?)?;
    names.try_fold(&first.node, |node, name| match node {
        Node::Table {
            keys, list: false, ..
        } => find(keys, name).map(|key| &key.node),
        _ => None,
    })
}

/// `prefix.name`, or `name` at the top.
pub(crate) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Every key of a value with its tables, in the order of the table; those of a list without a number (`collection.path`).
pub(crate) fn all() -> Vec<String> {
    fn collect(keys: &'static [Key], prefix: &str, into: &mut Vec<String>) {
        for key in keys {
            let path = join(prefix, key.name);
            match key.node {
                Node::Value { .. } => into.push(path),
                Node::Table { keys, .. } => collect(keys, &path, into),
            }
        }
    }
    let mut all = Vec::new();
    collect(Config::KEYS, "", &mut all);
    all
}
