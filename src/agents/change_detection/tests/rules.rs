//! What is in scope: ignore files, patterns, secrets; a scan and a single look decide alike.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::agents::change_detection::beneath;
use crate::agents::change_detection::scope::{Closed, Folder, Scope};

#[tokio::test(flavor = "multi_thread")]
async fn changed_ignore_rules_take_files_out_and_in() {
    let bed = Bed::with(&[
        ("a.md", "a"),
        ("b.md", "b"),
        ("sub/a.md", "sa"),
        ("sub/c/d.md", "d"),
    ])
    .await;
    bed.write(".gitignore", "a.md\n");
    bed.follows().await;
    assert_eq!(bed.removals("sub/a.md").await, ["ignored"]);
    bed.write("sub/.gitignore", "!a.md\nc/\n");
    bed.follows().await;
    // While its directory is ignored, what changes in it is nobody's business; after that it is.
    bed.write("sub/c/d.md", "edited in secret");
    bed.write("sub/.docentignore", "!c/\n");
    bed.follows().await;
    assert!(bed.known().await.contains_key(b"sub/c/d.md".as_slice()));
    bed.write("sub/c/d.md", "edited in the open");
    bed.follows().await;
    fs::remove_file(bed.at(".gitignore")).unwrap();
    fs::remove_file(bed.at("sub/.gitignore")).unwrap();
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_never_watched_is_taken_in_when_the_rule_against_it_goes() {
    let files = [
        ("sub/.docentignore", "c/\n"),
        ("sub/c/d/e.md", "e"),
        (".gitignore", "/f/\n"),
        ("f/g.md", "g"),
    ];
    let bed = Bed::with(&files).await;
    bed.agrees().await;
    bed.write("sub/.docentignore", "# c/\n");
    bed.follows().await;
    fs::remove_file(bed.at(".gitignore")).unwrap();
    bed.follows().await;
    bed.write("sub/c/d/e.md", "edited");
    bed.write("f/g.md", "edited");
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gits_own_exclude_file_counts_and_is_watched_and_the_rest_of_git_is_not_looked_at() {
    let bed = Bed::with(&[
        (".git/info/exclude", ""),
        (".git/x.md", "x"),
        ("a.md", "a"),
        ("b.md", "b"),
    ])
    .await;
    bed.agrees().await;
    assert_eq!(bed.known().await.len(), 2);
    bed.write(".git/info/exclude", "/b.md\n");
    bed.follows().await;
    assert_eq!(bed.removals("b.md").await, ["ignored"]);
    bed.write(".git/info/exclude", "");
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_git_only_docents_own_ignore_files_count() {
    let mut bed = Bed::made(&[]);
    bed.options.collections[0].git = false;
    for (path, text) in [
        (".gitignore", "a.md"),
        (".docentignore", "b.md"),
        ("a.md", "a"),
        ("b.md", "b"),
    ] {
        bed.write(path, text);
    }
    bed.start();
    bed.scan().await;
    let documents = bed
        .known()
        .await
        .into_iter()
        .filter(|(_, k)| k.0 == FileState::Captured);
    assert_eq!(documents.map(|(p, _)| p).collect::<Vec<_>>(), [b"a.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_and_secrets_of_the_config_take_out_what_was_in() {
    let files = [
        ("docs/a.md", "a"),
        ("docs/Secrets.md", "s"),
        ("docs/old/b.md", "b"),
        ("src/c.md", "c"),
        ("README.md", "r"),
        (".hidden/h.md", "h"),
    ];
    let mut bed = Bed::with(&files).await;
    // The secret was refused from the beginning, whatever the case of its letters.
    assert!(
        !bed.known()
            .await
            .contains_key(b"docs/Secrets.md".as_slice())
    );
    assert!(bed.known().await.contains_key(b".hidden/h.md".as_slice()));
    bed.stop().await;
    bed.options.collections[0].include = vec!["/docs/".to_owned(), "/README.md".to_owned()];
    bed.options.collections[0].exclude = vec!["old/".to_owned()];
    bed.start();
    bed.scan().await;
    let paths: Vec<Vec<u8>> = bed.known().await.into_keys().collect();
    assert_eq!(paths, [b"README.md".as_slice(), b"docs/a.md"]);
    for path in ["docs/old/b.md", "src/c.md"] {
        assert_eq!(bed.removals(path).await, ["excluded"], "{path}");
    }
    bed.told().await;
    bed.write("docs/old/e.md", "e");
    bed.write("docs/f.md", "f");
    bed.until("the new file", |k| k.contains_key(b"docs/f.md".as_slice()))
        .await;
    assert_eq!(bed.known().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_limits_of_the_config_count_anew_at_a_start() {
    let mut bed = Bed::with(&[("a.md", "a"), ("b.txt", "b")]).await;
    bed.stop().await;
    bed.options.supported = Arc::new(|path: &[u8]| path.ends_with(b".txt"));
    bed.start();
    bed.scan().await;
    bed.agrees().await;
    assert_eq!(bed.removals("a.md").await, ["unsupported"]);
}

/// A store reads on the threads of the runtime that it was opened in.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

#[test]
fn a_pattern_that_cannot_be_understood_is_named() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut bed = Bed::made(&[]);
    bed.options.collections[0].exclude = vec!["fine".to_owned(), "a[".to_owned()];
    let error = bed.options.check().unwrap_err();
    assert_eq!((error.pattern.as_str(), error.place), ("a[", "exclude"));
}

/// Whether one look at `path`, from the root down, finds it in scope.
fn is_in_scope(scope: &Scope, root: &Path, path: &str) -> bool {
    let mut folder: Folder = match scope.enter_root(beneath::open_root(root).unwrap()) {
        Ok(folder) => folder,
        Err(closed) => panic!("{closed:?}"),
    };
    for (slash, _) in path.match_indices('/') {
        match scope.enter(&folder, &path.as_bytes()[..slash]) {
            Ok(next) => folder = next,
            Err(Closed::Out(_)) => return false,
            Err(other) => panic!("{other:?}"),
        }
    }
    scope.file(&folder, path.as_bytes()).is_none()
}

fn rules() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "a", "b/", "/a", "*.md", "!x.md", "!a", "a/b", "**/b", "b/**", "/a/*", "!/a/b", "x*",
        "# no", "", "!*/", "[ab]",
    ]);
    prop::collection::vec(line, 0..4).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rules_decide_as_another_reader_of_them_does(
        files in prop::collection::btree_set("([ab]/){0,3}[xy]\\.md", 1..12),
        ignores in prop::collection::vec(("(|a/|b/|a/b/)", prop::bool::ANY, rules()), 0..4),
    ) {
        let runtime = runtime();
        let _inside = runtime.enter();
        let bed = Bed::made(&[]);
        for file in &files {
            bed.write(file, "text");
        }
        for (directory, ours, text) in &ignores {
            let name = if *ours { ".docentignore" } else { ".gitignore" };
            bed.write(&format!("{directory}{name}"), text);
        }
        let expected = bed.expected();
        let scope = Scope::new(&bed.options.collections[0], &[], None).unwrap();
        for file in &files {
            let own = is_in_scope(&scope, &bed.root(), file);
            prop_assert_eq!(own, expected.contains_key(file.as_bytes()), "{} with {:?}", file, ignores);
        }
    }
}
