//! No circles: among the children of a module, none leads back to itself by what the files name of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::architecture::product;

/// A module's path below `src`, such as `["store", "audit"]`.
type Module = Vec<String>;

/// The paths that begin with `text`: one, or all those of a list in braces.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        return items(list).into_iter().flat_map(paths).collect();
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    if name.is_empty() {
        return Vec::new();
    }
    let mut tails = rest.strip_prefix("::").map(paths).unwrap_or_default();
    if tails.is_empty() {
        tails.push(Vec::new());
    }
    let with_name = |tail: Vec<String>| [vec![name.to_owned()], tail].concat();
    tails.into_iter().map(with_name).collect()
}

/// The items of a list up to its closing brace.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                found.push(&list[begin..at]);
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Every path that a file names from `crate` or from a module above it, in full.
fn named(module: &Module, text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        found.extend(paths(&text[at + "crate::".len()..]));
    }
    for (at, _) in text.match_indices("super::") {
        if text[..at].ends_with("super::") {
            continue;
        }
        let (mut rest, mut above) = (&text[at..], 0);
        while let Some(behind) = rest.strip_prefix("super::") {
            (rest, above) = (behind, above + 1);
        }
        let base = &module[..module.len().saturating_sub(above)];
        found.extend(paths(rest).iter().map(|path| [base, path].concat()));
    }
    found
}

fn below(module: &[String], name: &str) -> Module {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// What each module re-exports of its children: the name, and the child.
fn exports(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    for (module, text) in modules {
        for (at, _) in text.match_indices("use ") {
            for path in paths(&text[at + "use ".len()..]) {
                let [child, .., name] = path.as_slice() else {
                    continue;
                };
                if modules.contains_key(&below(module, child)) {
                    let name = below(module, name);
                    found.insert(name, child.clone());
                }
            }
        }
    }
    found
}

/// Parent module → child → the children of the same parent that it names.
type Arrows = BTreeMap<Module, BTreeMap<String, BTreeSet<String>>>;

fn arrows(modules: &BTreeMap<Module, String>) -> Arrows {
    let exports = exports(modules);
    let mut arrows = Arrows::new();
    for (module, text) in modules {
        for path in named(module, text) {
            let common = module.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(common), path.get(common)) else {
                continue;
            };
            let parent = module[..common].to_vec();
            let full = below(&parent, to);
            let to = match exports.get(&full) {
                _ if modules.contains_key(&full) => to,
                Some(child) => child,
                None => continue,
            };
            if from != to {
                let children = arrows.entry(parent).or_default();
                children.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    arrows
}

/// The children that lead back to themselves.
fn circle(children: &BTreeMap<String, BTreeSet<String>>) -> Vec<&String> {
    let leads_back = |start: &&String| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&String> = children[*start].iter().collect();
        while let Some(child) = next.pop() {
            if seen.insert(child) {
                next.extend(children.get(child).into_iter().flatten());
            }
        }
        seen.contains(*start)
    };
    children.keys().filter(leads_back).collect()
}

fn modules(files: &[(&str, &str)]) -> BTreeMap<Module, String> {
    let module = |path: &str| {
        let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').map(str::to_owned).collect()
    };
    let code = |text: &str| {
        let lines = text.lines();
        let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let files = files.iter();
    files.map(|(p, text)| (module(p), code(text))).collect()
}

/// Each circle as a line.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (parent, children) in arrows(&modules(files)) {
        let circle = circle(&children);
        if !circle.is_empty() {
            let parent = parent.join("::");
            found.push(format!("{parent}: {circle:?} lead back to themselves"));
        }
    }
    found
}

#[test]
fn a_circle_is_found_directly_and_by_what_a_parent_re_exports() {
    let straight = [
        ("a/mod.rs", "mod b; mod c; pub use c::{Cup, Saucer};"),
        ("a/b.rs", "use super::{Cup, c::d};"),
        ("a/c.rs", "use crate::x::Y;\n// use super::b::B;"),
    ];
    assert_eq!(circles(&straight), Vec::<String>::new());
    let mut round = straight;
    round[2].1 = "fn f() { crate::a::b::make() }";
    let expected = "a: [\"b\", \"c\"] lead back to themselves";
    assert_eq!(circles(&round), [expected]);
    round[2].1 = "use super::super::a::{b::{B, C}};";
    assert_eq!(circles(&round), [expected]);
}

#[test]
fn no_module_has_a_circle_among_its_children() {
    let product = product();
    let files: Vec<(&str, &str)> = product
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .filter(|(path, _)| !matches!(*path, "lib.rs" | "main.rs"))
        .collect();
    assert_eq!(circles(&files), Vec::<String>::new());
}
