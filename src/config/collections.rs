//! The rules between collections. They apply to what was written, because a collection with one mistake may have a second
//! one.

use super::layers::Layers;
use super::paths::{absolute, real};
use super::violation::quote;
use super::violation::{Origin, Reason};
use std::path::{Path, PathBuf};
use toml::Value;

/// A collection as far as it could be read.
struct Seen {
    number: usize,
    name: Option<String>,
    path: Option<PathBuf>,
}

/// Reports names that are not unique and trees that share files with another one or with `data_dir`.
/// Paths are relative to `base`.
pub(crate) fn check(layers: &mut Layers, base: &Path) {
    let seen = seen(&layers.values, base);
    let data_dir = layers
        .values
        .get("data_dir")
        .and_then(Value::as_str)
        .filter(|_| !layers.is_suspect("data_dir"))
        .map(|path| real(&absolute(base, Path::new(path))));
    for (nth, later) in seen.iter().enumerate() {
        let earlier = &seen[..nth];
        check_name(layers, earlier, later);
        check_path(layers, earlier, later, data_dir.as_deref());
    }
}

fn seen(values: &toml::Table, base: &Path) -> Vec<Seen> {
    let list = values.get("collection").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .enumerate()
        .map(|(number, collection)| {
            let text = |key| collection.get(key).and_then(Value::as_str);
            Seen {
                number,
                name: text("name").map(str::to_owned),
                path: text("path").map(|path| real(&absolute(base, Path::new(path)))),
            }
        })
        .collect()
}

fn check_name(layers: &mut Layers, earlier: &[Seen], later: &Seen) {
    let Some(name) = &later.name else { return };
    let Some(first) = earlier.iter().find(|seen| seen.name.as_ref() == Some(name)) else {
        return;
    };
    let key = format!("collection[{}].name", later.number);
    let reason = Reason::new(
        format!(
            "{} is also the name of {}",
            quote(name),
            place(layers, first)
        ),
        "write another name",
    );
    let origin = layers.origin(&key);
    layers.violate(reason, origin, &key);
}

fn check_path(layers: &mut Layers, earlier: &[Seen], later: &Seen, data_dir: Option<&Path>) {
    let Some(path) = &later.path else { return };
    let key = format!("collection[{}].path", later.number);
    let reason = if let Some(first) = earlier
        .iter()
        .find(|seen| seen.path.as_ref().is_some_and(|other| overlap(other, path)))
    {
        Reason::new(
            format!(
                "{} overlaps with {}, so files would be in both",
                quote(&path.to_string_lossy()),
                place(layers, first)
            ),
            "write a path outside of it, or remove one of the two",
        )
    } else if data_dir.is_some_and(|data_dir| path.starts_with(data_dir)) {
        Reason::new(
            format!(
                "{} is in data_dir, which docent never indexes",
                quote(&path.to_string_lossy())
            ),
            "write a path outside of it",
        )
    } else {
        return;
    };
    let origin = layers.origin(&key);
    layers.violate(reason, origin, &key);
}

/// Whether one is the other or in it.
fn overlap(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The name of a collection in a message.
fn place(layers: &Layers, seen: &Seen) -> String {
    let name = match &seen.name {
        Some(name) => format!("the collection {}", quote(name)),
        None => "a collection".to_owned(),
    };
    match layers.origin(&format!("collection[{}]", seen.number)) {
        Origin::File { line, .. } if line > 0 => format!("{name} (line {line})"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::{load, violations};

    fn collections(paths: &[(&str, &str)]) -> String {
        let one = |(name, path): &(&str, &str)| {
            format!("[[collection]]\nname = \"{name}\"\npath = \"{path}\"\n")
        };
        paths.iter().map(one).collect()
    }

    #[test]
    fn trees_side_by_side_are_fine() {
        let text = collections(&[("a", "/srv/a"), ("b", "/srv/ab"), ("c", "/srv/a.b")]);
        let loaded = load(&text).expect("none is in another");
        let mut shown = loaded.show().iter();
        let path = shown.find(|shown| shown.key == "collection[1].path");
        assert_eq!(path.expect("it is set").origin.to_string(), "docent.toml:6");
        let keys: Vec<&str> = loaded
            .show()
            .iter()
            .map(|shown| shown.key.as_str())
            .filter(|key| key.starts_with("collection[2]"))
            .collect();
        let names = [
            "name",
            "path",
            "include",
            "exclude",
            "allow_secrets",
            "git",
            "watch",
        ];
        assert_eq!(keys, names.map(|name| format!("collection[2].{name}")));
    }

    #[test]
    fn overlaps_are_told_at_the_later_one() {
        for (a, b) in [
            ("/srv/a", "/srv/a"),
            ("/srv/a", "/srv/a/b"),
            ("/srv/a/b", "/srv/x/../a/"),
            ("/", "/srv"),
        ] {
            let told = violations(&collections(&[("a", a), ("b", b)]));
            assert_eq!(told.len(), 1, "{told:#?}");
            assert!(
                told[0].starts_with("docent.toml:6: collection[1].path: "),
                "{told:#?}"
            );
            assert!(
                told[0].contains("overlaps with the collection \"a\" (line 1)"),
                "{told:#?}"
            );
        }
    }

    #[test]
    fn a_link_to_another_tree_is_that_tree() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("a")).expect("writable");
        std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("b")).expect("writable");
        let path = |name| dir.path().join(name).display().to_string();
        let told = violations(&collections(&[("a", &path("a")), ("b", &path("b"))]));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("overlaps"), "{told:#?}");
    }

    #[test]
    fn a_name_is_taken_once() {
        let told = violations(&collections(&[
            ("a", "/srv/a"),
            ("b", "/srv/b"),
            ("a", "/srv/c"),
        ]));
        assert_eq!(
            told,
            [
                "docent.toml:8: collection[2].name: \"a\" is also the name of the collection \"a\" (line 1); write another name"
            ]
        );
    }

    #[test]
    fn a_collection_in_data_dir_is_refused_and_data_dir_in_a_collection_is_not() {
        let inside = collections(&[("a", "/srv/data/docs")]);
        let told = violations(&format!("data_dir = \"/srv/data\"\n{inside}"));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(
            told[0].starts_with("docent.toml:4: collection[0].path: "),
            "{told:#?}"
        );
        let around = collections(&[("a", "/srv")]);
        assert!(load(&format!("data_dir = \"/srv/data\"\n{around}")).is_ok());
    }

    #[test]
    fn a_collection_with_one_mistake_may_have_another() {
        let text = "[[collection]]\nname = \"a\"\npath = \"/srv\"\n\
                    [[collection]]\nname = \"B\"\npath = \"/srv/b\"\n\
                    [[collection]]\nname = \"c\"\n\
                    [[collection]]\nname = \"d\"\npath = [\"/srv/d\"]\n\
                    [[collection]]\nname = \"c\"\npath = \"/x\"\n";
        let told = violations(text);
        let starts: Vec<String> = told
            .iter()
            .map(|told| told.split(": ").take(2).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            starts,
            [
                "docent.toml:5 collection[1].name",
                "docent.toml:6 collection[1].path",
                "docent.toml:7 collection[2].path",
                "docent.toml:11 collection[3].path",
                "docent.toml:13 collection[4].name",
            ],
            "{told:#?}"
        );
    }
}
