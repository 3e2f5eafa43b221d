//! What an unknown key was probably meant to be.

use super::key_path;
use super::keys::Config;
use super::table::{Key, Keys as _, Node};
use strsim::damerau_levenshtein;

/// A known key that is near to an unknown one.
pub(crate) struct Suggestion {
    /// The key with its tables.
    pub(crate) key: String,
    pub(crate) remedy: String,
}

/// Looks for what `name` in the table `prefix`, which knows `keys`, was meant to be: a key of this table that is spelt alike,
/// then the same key in another table, then one spelt alike anywhere.
pub(crate) fn suggest(keys: &'static [Key], prefix: &str, name: &str) -> Suggestion {
    if let Some(key) = nearest(keys.iter().map(|key| key.name), name, |known| {
        known.div_ceil(3)
    }) {
        return Suggestion {
            key: key_path::join(prefix, key),
            remedy: format!("write `{key}`"),
        };
    }
    // Only what belongs to one table for certain: `enabled` or `concurrency` could be anybody's.
    let all = key_path::all();
    let mut same = all.iter().filter(|key| last(key) == name);
    if let (Some(key), None) = (same.next(), same.next()) {
        return elsewhere(key);
    }
    if let Some(Node::Table { list, .. }) = key_path::find(Config::KEYS, name).map(|key| &key.node)
    {
        let header = if *list {
            format!("[[{name}]]")
        } else {
            format!("[{name}]")
        };
        return Suggestion {
            key: name.to_owned(),
            remedy: format!("write it as {header}"),
        };
    }
    // So many keys are in other tables that one of them is alike by chance.
    if let Some(near) = nearest(all.iter().map(|key| last(key)), name, |known| known / 4)
        && let Some(key) = all.iter().find(|key| last(key) == near)
    {
        return elsewhere(key);
    }
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    Suggestion {
        key: key_path::join(prefix, name),
        remedy: format!("remove it, or write one of {}", names.join(", ")),
    }
}

fn elsewhere(key: &str) -> Suggestion {
    let remedy = match key.rsplit_once('.') {
        None => format!("write `{key}` above the first table"),
        Some(("collection", name)) => format!("write `{name}` in a [[collection]]"),
        Some((table, name)) => format!("write `{name}` in [{table}]"),
    };
    Suggestion {
        key: key.to_owned(),
        remedy,
    }
}

fn last(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}

/// The name nearest to `name`, if it is near: of a name with so many letters `slips` may differ, and four at the most.
fn nearest<'a>(
    names: impl Iterator<Item = &'a str>,
    name: &str,
    slips: impl Fn(usize) -> usize,
) -> Option<&'a str> {
    /// Longer ones are no slip of a key's name, and the work grows with the square.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    names
        .map(|known| (damerau_levenshtein(known, name), known))
        .filter(|(distance, known)| *distance <= slips(known.len()).min(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> &'static [Key] {
        match key_path::find(Config::KEYS, name).map(|key| &key.node) {
            Some(Node::Table { keys, .. }) => keys,
            _ => panic!("{name} is a table"),
        }
    }

    #[test]
    fn counts_slips() {
        let near =
            |known, written| nearest(std::iter::once(known), written, |n: usize| n.div_ceil(3));
        for (known, written) in [("debounce", "deboucne"), ("mode", "modus"), ("url", "uri")] {
            assert_eq!(near(known, written), Some(known));
        }
        for (known, written) in [("mode", ""), ("url", "ulster"), ("mode", "kitten")] {
            assert_eq!(near(known, written), None);
        }
    }

    #[test]
    fn finds_what_was_meant() {
        let slip = suggest(table("watch"), "watch", "deboucne");
        assert_eq!(
            (slip.key.as_str(), slip.remedy.as_str()),
            ("watch.debounce", "write `debounce`")
        );
        let misplaced = suggest(Config::KEYS, "", "debounce");
        assert_eq!(misplaced.remedy, "write `debounce` in [watch]");
        let top = suggest(table("bus"), "bus", "data_dir");
        assert_eq!(top.remedy, "write `data_dir` above the first table");
        let both = suggest(Config::KEYS, "", "max_retrys");
        assert_eq!(both.key, "redis.max_retries");
        for (prefix, name) in [("", "foo"), ("jobs", "nope")] {
            let keys = if prefix.is_empty() {
                Config::KEYS
            } else {
                table(prefix)
            };
            let chance = suggest(keys, prefix, name).remedy;
            assert!(
                chance.starts_with("remove it, or write one of "),
                "{chance}"
            );
        }
        let nothing = suggest(table("bus"), "bus", "zzzzzz");
        assert_eq!(nothing.remedy, "remove it, or write one of mode");
    }
}
