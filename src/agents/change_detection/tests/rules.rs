//! What is in scope: ignore files, patterns, secrets; a scan and a single look decide alike.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::agents::change_detection::beneath;
use crate::agents::change_detection::scope::{Directory, NotEntered, Scope};

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
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".git/objects/x", ""),
        (".git/refs/x", ""),
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
    let secret = bed.known().await[b"docs/Secrets.md".as_slice()].clone();
    assert_eq!((secret.0, secret.1), (FileState::Withheld, None));
    assert!(bed.known().await.contains_key(b".hidden/h.md".as_slice()));
    bed.stop().await;
    bed.options.collections[0].include = vec!["/docs/".to_owned(), "/README.md".to_owned()];
    bed.options.collections[0].exclude = vec!["old/".to_owned()];
    bed.start();
    bed.scan().await;
    let paths: Vec<Vec<u8>> = bed.known().await.into_keys().collect();
    let expected = [b"README.md".as_slice(), b"docs/Secrets.md", b"docs/a.md"];
    assert_eq!(paths, expected);
    for path in ["docs/old/b.md", "src/c.md"] {
        assert_eq!(bed.removals(path).await, ["excluded"], "{path}");
    }
    bed.told().await;
    bed.write("docs/old/e.md", "e");
    bed.write("docs/f.md", "f");
    bed.until("the new file", |k| k.contains_key(b"docs/f.md".as_slice()))
        .await;
    assert_eq!(bed.known().await.len(), 4);
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
    assert_eq!(error.pattern, "a[");
}

/// Whether one look at `path`, from the root down, finds it in scope.
fn is_in_scope(scope: &Scope, root: &Path, path: &str) -> bool {
    let opened = beneath::open_root(root).unwrap();
    let mut directory: Directory = match scope.enter_root(&opened, &mut || {}) {
        Ok(directory) => directory,
        // Git ignores the root itself.
        Err(NotEntered::UnusableRules(rules)) if rules.why.starts_with("is ignored by git") => {
            return false;
        }
        Err(other) => panic!("{other:?}"),
    };
    for (slash, _) in path.match_indices('/') {
        match scope.enter(&directory, &path.as_bytes()[..slash], &mut || {}) {
            Ok(next) => directory = next,
            Err(NotEntered::OutOfScope(_)) => return false,
            Err(other) => panic!("{other:?}"),
        }
    }
    scope.file(&directory, path.as_bytes()).is_none()
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

/// Makes a repository without the help of git.
fn make_repository(git_dir: &Path, config: &str, exclude: &str) {
    for folder in ["objects", "refs", "info"] {
        fs::create_dir_all(git_dir.join(folder)).unwrap();
    }
    fs::write(git_dir.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let config = format!("[core]\n\trepositoryformatversion = 0\n\tbare = false\n{config}");
    fs::write(git_dir.join("config"), config).unwrap();
    fs::write(git_dir.join("info/exclude"), exclude).unwrap();
}

/// Which of the names in a directory git ignores.
fn ignored_by_git(directory: &Path, names: &std::collections::BTreeSet<String>) -> Vec<String> {
    use std::io::Write as _;
    let mut git = std::process::Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["check-ignore", "--no-index", "--stdin", "-z"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let list: String = names.iter().map(|name| format!("./{name}\0")).collect();
    git.stdin
        .take()
        .unwrap()
        .write_all(list.as_bytes())
        .unwrap();
    let output = git.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 1: none is ignored.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let names = stdout.split('\0').filter(|name| !name.is_empty());
    names
        .map(|name| name.trim_start_matches("./").to_owned())
        .collect()
}

/// Of the files below `root`, those that git ignores: they, or a directory above them down from the root's own.
fn all_ignored_by_git(root: &Path, files: &std::collections::BTreeSet<String>) -> Vec<String> {
    use std::collections::{BTreeMap, BTreeSet};
    let mut asked: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        for (end, _) in file.match_indices('/').chain([(file.len(), "")]) {
            let path = root.join(&file[..end]);
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            asked
                .entry(path.parent().unwrap().to_owned())
                .or_default()
                .insert(name);
        }
    }
    if !root.join(".git").exists() {
        let name = root.file_name().unwrap().to_str().unwrap().to_owned();
        asked
            .entry(root.parent().unwrap().to_owned())
            .or_default()
            .insert(name);
    }
    let mut ignored: BTreeSet<PathBuf> = BTreeSet::new();
    for (directory, names) in &asked {
        let found = ignored_by_git(directory, names);
        ignored.extend(found.iter().map(|name| directory.join(name)));
    }
    let is_ignored = |file: &&String| {
        let path = root.join(file);
        path.ancestors()
            .take_while(|p| p.starts_with(root))
            .any(|p| ignored.contains(p))
    };
    files.iter().filter(is_ignored).cloned().collect()
}

/// Texts of ignore files that try what is peculiar to git's patterns.
fn peculiar() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "a",
        "b/",
        "/a",
        "*.md",
        "!x.md",
        "!a",
        "a/b",
        "**/b",
        "b/**",
        "/a/*",
        "!/a/b",
        "x*",
        "# no",
        "",
        "!*/",
        "[ab]",
        "[",
        "[a",
        "\\#x",
        "\\!x",
        "x.md ",
        "x.md\\ ",
        "{x,y}.md",
        "a/**/x.md",
        "**",
        "*",
        "X.MD",
        "[[:alpha:]].md",
        "[^x].md",
        "[!x].md",
        "?.md",
        "\\x.md",
        "x.md\\",
        "a//b",
        "./x.md",
        "//a",
        "***/x.md",
        "a**/x.md",
        "x\\*.md",
        "**/",
        "/**/x.md",
        "!a/",
        "x.md/",
        "[]x].md",
        "x.md\r",
        "/*",
        "!/a/",
        "!/a/b/",
        "a/b/",
        "*/x.md",
        "!b",
        "[a-b]/**",
        "a/*/b",
        "ü*",
    ]);
    prop::collection::vec(line, 0..5).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn git_decides_alike(
        files in prop::collection::btree_set("([ab]/){0,3}(x\\.md|y\\.md|X\\.md|#x|!x|\\{x,y\\}\\.md|x\\.md |ü)", 1..10),
        ignores in prop::collection::vec(("(|a/|b/|a/b/|a/a/)", peculiar()), 0..4),
        (exclude, nested_exclude) in (peculiar(), peculiar()),
        (nested, fold) in (prop::option::of("(a/|b/|a/b/)"), prop::bool::ANY),
        below in "(|a/|a/b/)",
    ) {
        let runtime = runtime();
        let _inside = runtime.enter();
        let mut bed = Bed::made(&[]);
        let top = bed.root();
        let config = format!("\tignorecase = {fold}\n");
        make_repository(&top.join(".git"), &config, &exclude);
        for file in &files {
            bed.write(file, "text");
        }
        fs::create_dir_all(top.join(&below)).unwrap();
        for (directory, text) in &ignores {
            bed.write(&format!("{directory}.gitignore"), text);
        }
        if let Some(nested) = &nested {
            make_repository(&top.join(nested).join(".git"), "", &nested_exclude);
        }
        let root = top.join(below.trim_end_matches('/'));
        bed.options.collections[0].root = root.clone();
        let scope = Scope::new(&bed.options.collections[0], &[], None).unwrap();
        let files: std::collections::BTreeSet<String> =
            files.iter().filter_map(|f| f.strip_prefix(&below)).map(str::to_owned).collect();
        let own: Vec<String> = files.iter().filter(|f| !is_in_scope(&scope, &root, f)).cloned().collect();
        prop_assert_eq!(own, all_ignored_by_git(&root, &files));
    }
}

#[test]
fn a_git_directory_elsewhere_counts_as_in_git() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let bed = Bed::made(&[]);
    let main = bed.dir.path().join("main");
    let own = main.join(".git/worktrees/w");
    make_repository(
        &main.join(".git"),
        "\texcludesFile = ../main/mine\n",
        "hidden.md\n",
    );
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("HEAD"), "ref: refs/heads/w\n").unwrap();
    fs::write(own.join("commondir"), "../..\n").unwrap();
    fs::write(
        own.join("gitdir"),
        format!("{}\n", bed.at(".git").display()),
    )
    .unwrap();
    fs::write(main.join("mine"), "mine.md\n").unwrap();
    let files = [
        "hidden.md",
        "mine.md",
        "open.md",
        "sub/hidden.md",
        "sub/open.md",
    ];
    for file in files {
        bed.write(file, "text");
    }
    let scope = Scope::new(&bed.options.collections[0], &[], None).unwrap();
    for gitdir in [
        own.display().to_string(),
        "../main/.git/worktrees/w".to_owned(),
    ] {
        bed.write(".git", &format!("gitdir: {gitdir}\n"));
        let files = files.map(str::to_owned).into();
        let ignored = all_ignored_by_git(&bed.root(), &files);
        assert_eq!(ignored, ["hidden.md", "mine.md", "sub/hidden.md"]);
        for file in files {
            assert_eq!(
                !is_in_scope(&scope, &bed.root(), &file),
                ignored.contains(&file),
                "{file}"
            );
        }
    }
    let refused = || {
        let root = beneath::open_root(&bed.root()).unwrap();
        let Err(NotEntered::UnusableRules(rules)) = scope.enter_root(&root, &mut || {}) else {
            panic!("open");
        };
        rules.to_string()
    };
    let dot = bed.at(".git").display().to_string();
    for text in ["gitdir: /nowhere\n", "nonsense"] {
        bed.write(".git", text);
        assert!(refused().starts_with(&dot), "{}", refused());
    }
}

/// Waits until the report says of which files the rules cannot be used.
async fn shut(bed: &Bed, files: &[&str]) {
    let mut progress = bed.desk.progress();
    let holds = |progress: &crate::runtime::ScanProgress| {
        let shut = progress.roots.first().map_or(&[][..], |root| &root.shut);
        let named =
            |(said, file): (&String, &&str)| said.starts_with(&bed.at(file).display().to_string());
        shut.len() == files.len() && shut.iter().zip(files).all(named)
    };
    let waited = tokio::time::timeout(DEADLINE, progress.wait_for(|p| holds(p))).await;
    assert!(waited.is_ok(), "{:?}", bed.desk.progress().borrow().roots);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_cannot_be_used_close_their_directory_until_they_are_mended() {
    let bed = Bed::with(&[("ok.md", "ok"), ("sub/a.md", "a"), ("sub/c/d.md", "d")]).await;
    bed.agrees().await;
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 6] = [
        (".gitignore", |path| {
            fs::write(path, "# long\n".repeat(200_000)).unwrap()
        }),
        (".docentignore", |path| {
            fs::write(path, "a.md\n[a\n").unwrap()
        }),
        (".gitignore", |path| fs::create_dir(path).unwrap()),
        (".docentignore", |path| {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RWXU,
                0,
            )
            .unwrap();
        }),
        (".gitignore", |path| {
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap()
        }),
        (".docentignore", |path| {
            fs::write(path, b"a\0.md\n").unwrap()
        }),
    ];
    for (n, (name, spoil)) in spoil.into_iter().enumerate() {
        let file = format!("sub/{name}");
        spoil(&bed.at(&file));
        shut(&bed, &[&file]).await;
        bed.until("only what is open", |k| {
            k.contains_key(b"ok.md".as_slice()) && !k.keys().any(|p| p.starts_with(b"sub/"))
        })
        .await;
        assert_eq!(bed.removals("sub/a.md").await, vec!["ignored"; n + 1]);
        // What changes below meanwhile is nobody's business.
        bed.write("sub/c/d.md", &format!("edited {n}"));
        if bed.at(&file).is_dir() {
            fs::remove_dir(bed.at(&file)).unwrap();
        } else {
            fs::remove_file(bed.at(&file)).unwrap();
        }
        bed.follows().await;
        shut(&bed, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_rules_that_is_mended_in_place_opens_its_directory() {
    let bed = Bed::with(&[("a.md", "a"), ("sub/b.md", "b")]).await;
    for n in 0..5 {
        bed.write("sub/.docentignore", "[b.md\n");
        shut(&bed, &["sub/.docentignore"]).await;
        bed.until("the directory has left", |k| k.len() == 1).await;
        assert_eq!(bed.removals("sub/b.md").await.len(), n + 1);
        // The file is truncated before it is written: for a moment there are no rules.
        bed.write("sub/.docentignore", "# fine\n");
        bed.follows().await;
        shut(&bed, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_rules_could_not_be_read_for_a_while_is_read_again_without_a_notification()
 {
    let mut bed = Bed::made(&[]);
    // Nothing is notified here, and the next scan is far off.
    bed.options.collections[0].watch = crate::agents::change_detection::WatchMode::Poll;
    bed.options.poll = Duration::from_secs(3600);
    bed.write("a.md", "a");
    bed.write("sub/a.md", "a");
    // No file can have such a name: reading the rules fails, and says nothing about the files.
    let config = format!("\texcludesFile = {}\n", "x".repeat(300));
    make_repository(&bed.at("sub/.git"), &config, "");
    bed.start();
    bed.scan().await;
    let progress = bed.desk.progress().borrow().clone();
    assert_eq!(progress.unlisted().len(), 1, "{progress:?}");
    assert!(!bed.known().await.contains_key(b"sub/a.md".as_slice()));
    make_repository(&bed.at("sub/.git"), "", "");
    bed.follows().await;
    let mut progress = bed.desk.progress();
    let read = progress.wait_for(|p| p.unlisted().is_empty());
    tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
}

#[test]
fn a_directory_is_watched_before_its_rules_are_read() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let bed = Bed::made(&[]);
    bed.write("sub/a.md", "a");
    let scope = Scope::new(&bed.options.collections[0], &[], None).unwrap();
    let root = beneath::open_root(&bed.root()).unwrap();
    // The watch is set when the directory is opened. A change after that is notified; one before that is read.
    let mut opened = || bed.write(".docentignore", "x.md\n");
    let directory = scope.enter_root(&root, &mut opened).unwrap();
    assert!(scope.file(&directory, b"x.md").is_some());
    let mut opened = || bed.write("sub/.docentignore", "a.md\n");
    let directory = scope.enter(&directory, b"sub", &mut opened).unwrap();
    assert!(scope.file(&directory, b"sub/a.md").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_above_the_root_count_and_a_change_of_them_is_noticed() {
    let mut bed = Bed::made(&[]);
    let top = bed.root();
    make_repository(&top.join(".git"), "", "x.md\n");
    for file in ["docs/a.md", "docs/b.md", "docs/x.md", "docs/sub/a.md"] {
        bed.write(file, file);
    }
    bed.write(".gitignore", "/docs/a.md\n");
    bed.options.collections[0].root = top.join("docs");
    bed.start();
    bed.scan().await;
    let known = |paths: &'static [&'static str]| {
        move |known: &Known| {
            known
                .keys()
                .map(Vec::as_slice)
                .eq(paths.iter().map(|p| p.as_bytes()))
        }
    };
    bed.until("a.md above is ignored", known(&["b.md", "sub/a.md"]))
        .await;
    fs::write(top.join(".gitignore"), "/docs/b.md\n").unwrap();
    bed.until("b.md is ignored", known(&["a.md", "sub/a.md"]))
        .await;
    fs::write(top.join(".git/info/exclude"), "sub/\n").unwrap();
    bed.until("sub is ignored", known(&["a.md", "x.md"])).await;
    fs::write(top.join(".gitignore"), "docs/\n").unwrap();
    bed.until("the root is ignored", known(&[])).await;
    let progress = bed.desk.progress().borrow().clone();
    assert!(
        progress.shut()[0].1.contains("is ignored by git"),
        "{progress:?}"
    );
    fs::remove_file(top.join(".gitignore")).unwrap();
    bed.until("it is open again", known(&["a.md", "b.md", "x.md"]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_made_in_the_tree_goes_by_its_own_rules() {
    let bed = Bed::with(&[
        (".gitignore", "a.md\n"),
        ("sub/a.md", "a"),
        ("sub/b.md", "b"),
    ])
    .await;
    bed.until("the rule counts", |k| {
        !k.contains_key(b"sub/a.md".as_slice())
    })
    .await;
    make_repository(&bed.at("sub/.git"), "", "b.md\n");
    bed.until("only its own rules count", |k| {
        k.contains_key(b"sub/a.md".as_slice()) && !k.contains_key(b"sub/b.md".as_slice())
    })
    .await;
    fs::remove_dir_all(bed.at("sub/.git")).unwrap();
    bed.until("the other's rules count again", |k| {
        !k.contains_key(b"sub/a.md".as_slice()) && k.contains_key(b"sub/b.md".as_slice())
    })
    .await;
}
