//! What an unknown key was probably meant to be.

use super::keys::{self, Field, Node, ROOT};

/// A known key that is near to an unknown one.
pub(crate) struct Suggestion {
    /// The key with its tables.
    pub(crate) key: String,
    /// What to do.
    pub(crate) remedy: String,
}

/// Looks for what `name` in the table `prefix`, which knows `fields`, was meant to be: a key of this table that
/// is spelt alike, then the same key in another table, then one spelt alike anywhere.
pub(crate) fn suggest(fields: &'static [Field], prefix: &str, name: &str) -> Suggestion {
    if let Some(field) = nearest(fields.iter().map(|field| field.name), name) {
        return Suggestion {
            key: keys::join(prefix, field),
            remedy: format!("write `{field}`"),
        };
    }
    // Only what belongs to one table for certain: `enabled` or `concurrency` could be anybody's.
    let all = keys::all(ROOT);
    let mut same = all.iter().filter(|key| last(key) == name);
    if let (Some(key), None) = (same.next(), same.next()) {
        return elsewhere(key);
    }
    if let Some(table) = ROOT.iter().find(|field| field.name == name) {
        return Suggestion {
            key: name.to_owned(),
            remedy: match table.node {
                Node::Tables { .. } => format!("write it as [[{name}]]"),
                _ => format!("write it as [{name}]"),
            },
        };
    }
    if let Some(key) = all
        .iter()
        .filter(|key| nearest(std::iter::once(last(key)), name).is_some())
        .min_by_key(|key| distance(last(key), name))
    {
        return elsewhere(key);
    }
    Suggestion {
        key: keys::join(prefix, name),
        remedy: match fields {
            [] => "remove it".to_owned(),
            _ => format!("remove it, or write one of {}", names(fields)),
        },
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

fn names(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    names.join(", ")
}

/// The name nearest to `name`, if it is near: a third of its letters may differ.
fn nearest<'a>(names: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    names
        .map(|candidate| (distance(candidate, name), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3).min(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out, replaced or swapped with the next to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    /// Longer ones are no slip of a key's name, and the work grows with the square.
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (
        a.chars().take(LONGEST).collect(),
        b.chars().take(LONGEST).collect(),
    );
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1; b.len() + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> &'static [Field] {
        match keys::find(ROOT, name).map(|field| &field.node) {
            Some(Node::Table(fields)) => fields,
            _ => panic!("{name} is a table"),
        }
    }

    #[test]
    fn counts_slips() {
        for (a, b, n) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("debounce", "deboucne", 1),
            ("mode", "modus", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), n, "{a} {b}");
            assert_eq!(distance(b, a), n, "{b} {a}");
        }
    }

    #[test]
    fn finds_what_was_meant() {
        let slip = suggest(table("watch"), "watch", "deboucne");
        assert_eq!(
            (slip.key.as_str(), slip.remedy.as_str()),
            ("watch.debounce", "write `debounce`")
        );
        let misplaced = suggest(ROOT, "", "debounce");
        assert_eq!(misplaced.remedy, "write `debounce` in [watch]");
        let top = suggest(table("bus"), "bus", "data_dir");
        assert_eq!(top.remedy, "write `data_dir` above the first table");
        let both = suggest(ROOT, "", "max_retrys");
        assert_eq!(both.key, "redis.max_retries");
        let nothing = suggest(table("bus"), "bus", "zzzzzz");
        assert_eq!(nothing.remedy, "remove it, or write one of mode");
    }
}
