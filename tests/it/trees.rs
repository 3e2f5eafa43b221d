//! Whatever happens to a tree, what is known of it afterwards is what a new daemon would find there.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::helper::World;

/// Files that the branch switch changes.
const SWITCHED: usize = 2000;

const QUERIES: &[&str] = &[
    "harbour lantern",
    "\"copper kettle\"",
    "how does the compass find north",
    "orchard 17",
    "chapter 1200",
];

const WORDS: &[&str] = &[
    "harbour", "lantern", "copper", "kettle", "compass", "north", "orchard", "saddle", "velvet",
    "thunder", "granite", "meadow", "anchor",
];

/// A document of its own for every (`n`, `salt`).
fn text(n: usize, salt: usize) -> String {
    let word = |i: usize| WORDS[(n * 7 + salt * 5 + i * (1 + n % 11)) % WORDS.len()];
    let body: Vec<&str> = (0..12 + (n + salt) % 17).map(word).collect();
    format!(
        "# Chapter {n}\n\n{}.\n\n## The {} {salt}\n\n{} {n}.\n",
        body.join(" "),
        word(3),
        word(4)
    )
}

fn git(folder: &Path, arguments: &[&str]) {
    let run = Command::new("git")
        .args([
            "-c",
            "user.name=docent",
            "-c",
            "user.email=docent@example.org",
        ])
        .args(["-c", "commit.gpgsign=false", "-c", "gc.auto=0"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect("git runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "git {arguments:?}: {said}");
}

/// After `wait`: what is known is what a new daemon finds.
fn assert_as_new(world: &World) {
    let known = world.knowledge(QUERIES);
    let new = world.clean_build(QUERIES);
    assert_same(&known, &new, world);
}

fn assert_same(left: &Value, right: &Value, world: &World) {
    for part in ["documents", "hits"] {
        let (one, other) = (left[part].as_array(), right[part].as_array());
        let (one, other) = (one.expect("a list"), other.expect("a list"));
        for (one, other) in one.iter().zip(other) {
            assert_eq!(one, other, "{part}\n{}", world.log());
        }
        assert_eq!(one.len(), other.len(), "{part}\n{}", world.log());
    }
    assert_eq!(left["chunks"], right["chunks"], "{}", world.log());
}

#[test]
fn a_branch_switch_that_changes_two_thousand_files() {
    let world = World::new("");
    let docs = world.docs();
    git(&docs, &["init", "--quiet", "--initial-branch", "main"]);
    let path = |n: usize| format!("part{}/section{}/{n}.md", n % 7, n % 13);
    // Of the other branch: a tenth is not there, a tenth is new, the rest differs.
    let tenth = SWITCHED / 10;
    for n in 0..SWITCHED - tenth {
        world.write(&path(n), text(n, 0));
    }
    world.write("same.md", text(9999, 9));
    git(&docs, &["add", "."]);
    git(&docs, &["commit", "--quiet", "-m", "one"]);
    git(&docs, &["switch", "--quiet", "-c", "other"]);
    for n in 0..SWITCHED {
        match n {
            _ if n < tenth => fs::remove_file(docs.join(path(n))).expect("a file goes"),
            _ => world.write(&path(n), text(n, 1)),
        }
    }
    git(&docs, &["add", "--all", "."]);
    git(&docs, &["commit", "--quiet", "-m", "two"]);
    git(&docs, &["switch", "--quiet", "main"]);

    let daemon = world.start();
    world.wait();
    let main = world.knowledge(QUERIES);
    assert_eq!(world.documents().len(), SWITCHED - tenth + 1);

    let began = Instant::now();
    git(&docs, &["switch", "--quiet", "other"]);
    let switched = began.elapsed();
    world.wait();
    let searchable = began.elapsed();
    println!("a switch of {SWITCHED} files: git {switched:.1?}, searchable after {searchable:.1?}");
    let listed = world.documents();
    assert_eq!(listed.len(), SWITCHED - tenth + 1);
    assert_eq!(listed["same.md"]["version"], 1);
    assert_eq!(listed[&path(tenth)]["version"], 2);
    assert!(listed.keys().all(|path| !path.starts_with(".git/")));
    assert_as_new(&world);

    git(&docs, &["switch", "--quiet", "main"]);
    world.wait();
    // What a daemon that saw `main` first knew: the way here has left no trace.
    assert_same(&world.knowledge(QUERIES), &main, &world);
    assert_eq!(world.documents()[&path(tenth)]["version"], 3);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_tree_that_goes_and_comes_back() {
    let world = World::new("");
    for n in 0..60 {
        world.write(&format!("tree/{}/{n}.md", n % 5), text(n, 0));
        world.write(&format!("rest/{n}.txt"), text(n, 2));
    }
    let daemon = world.start();
    world.wait();
    let whole = world.knowledge(QUERIES);
    let copy = world.path().join("copy");
    let copied = Command::new("cp")
        .arg("-a")
        .args([&world.docs(), &copy])
        .status();
    assert!(copied.expect("cp runs").success());

    fs::remove_dir_all(world.docs().join("tree")).expect("rm -r");
    world.wait();
    assert_eq!(world.documents().len(), 60);
    assert_as_new(&world);
    let removed = world.events("document.removed");
    assert_eq!(removed.len(), 60);
    assert!(
        removed.iter().all(|e| e["data"]["reason"] == "absent"),
        "{removed:?}"
    );

    let restored = Command::new("cp")
        .arg("-a")
        .args([copy.join("tree"), world.docs().join("tree")])
        .status();
    assert!(restored.expect("cp runs").success());
    world.wait();
    assert_same(&world.knowledge(QUERIES), &whole, &world);
    // The same content again is no other version.
    assert!(world.documents().values().all(|d| d["version"] == 1));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_directory_that_is_renamed() {
    let world = World::new("");
    for n in 0..40 {
        world.write(&format!("old/{}/{n}.md", n % 4), text(n, 0));
    }
    let outside = world.path().join("outside");
    let daemon = world.start();
    world.wait();
    let (old, new) = (world.docs().join("old"), world.docs().join("new"));
    fs::rename(&old, &new).expect("a rename");
    world.wait();
    let paths: Vec<String> = world.documents().into_keys().collect();
    assert_eq!(paths.len(), 40);
    assert!(
        paths.iter().all(|path| path.starts_with("new/")),
        "{paths:?}"
    );
    assert_as_new(&world);

    // It is watched under its new name, at every depth.
    world.write("new/3/3.md", text(3, 8));
    world.write("new/3/below/fresh.md", text(77, 8));
    world.until(
        "an edit below the new name is noticed without being asked for",
        || {
            world
                .documents()
                .get("new/3/below/fresh.md")
                .is_some_and(|d| d["state"] == "stored")
        },
    );
    world.wait();
    assert_as_new(&world);

    // Out of the tree, and in again under another name: a file now stands where the directory stood.
    fs::rename(&new, &outside).expect("a rename out of the tree");
    world.write("new", "not a directory any more");
    world.wait();
    assert_eq!(world.documents().into_keys().collect::<Vec<_>>(), ["new"]);
    assert_as_new(&world);
    fs::remove_file(&new).expect("the file goes");
    fs::rename(&outside, &new).expect("a rename into the tree");
    world.wait();
    assert_eq!(world.documents().len(), 41);
    assert_as_new(&world);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// The versions of a document, newest first.
fn versions(world: &World, path: &str) -> Vec<Value> {
    let history = world.cli(["history", &format!("docs/{path}"), "--json"]);
    let history = history.json().expect("a history");
    history["versions"].as_array().expect("a list").clone()
}

#[test]
fn an_editor_that_saves_by_rename() {
    let world = World::new("");
    world.write(
        "guide.md",
        "# Guide\n\nThe first draft speaks of a sundial.\n",
    );
    for n in 0..5 {
        world.write(&format!("{n}.md"), text(n, 0));
    }
    let daemon = world.start();
    world.wait();
    let (guide, temporary) = (
        world.docs().join("guide.md"),
        world.docs().join(".guide.md.tmp"),
    );

    // Write beside, rename over; without being asked for.
    fs::write(
        &temporary,
        "# Guide\n\nThe second draft speaks of a theodolite.\n",
    )
    .unwrap();
    fs::rename(&temporary, &guide).unwrap();
    let began = Instant::now();
    world.until("the new text is found", || {
        let found = world.cli(["search", "theodolite", "--json"]).json();
        found.is_some_and(|f| {
            f["hits"][0]["text"]
                .as_str()
                .is_some_and(|t| t.contains("theodolite"))
        })
    });
    let after = began.elapsed();
    println!("a save by rename is searchable after {after:.2?}");
    // The issue names 3 s; the machine of a test is shared.
    assert!(after < Duration::from_secs(15), "{after:?}");
    assert_eq!(versions(&world, "guide.md").len(), 2);
    assert_as_new(&world);

    // The old file is moved away, the new one written in its place, the old one removed.
    let backup = world.docs().join("guide.md~");
    fs::rename(&guide, &backup).unwrap();
    fs::write(
        &guide,
        "# Guide\n\nThe third draft speaks of a barometer.\n",
    )
    .unwrap();
    fs::remove_file(&backup).unwrap();
    world.wait();
    assert_eq!(world.search("barometer draft")[0], "guide.md");
    assert_eq!(versions(&world, "guide.md").len(), 3);
    assert_as_new(&world);

    // A rename over with the same bytes is no other version.
    fs::copy(&guide, &temporary).unwrap();
    fs::rename(&temporary, &guide).unwrap();
    world.wait();
    assert_eq!(versions(&world, "guide.md").len(), 3);
    assert_eq!(world.documents()["guide.md"]["version"], 3);
    assert_as_new(&world);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_touch_and_a_restart_make_no_version() {
    let world = World::new("");
    for n in 0..8 {
        world.write(&format!("{n}.md"), text(n, 0));
    }
    let daemon = world.start();
    world.wait();
    world.settled();
    let told = world.events("file.changed").len();
    assert_eq!(told, 8);
    let touch = |seconds: u64| {
        for n in 0..8 {
            let file = File::options()
                .write(true)
                .open(world.docs().join(format!("{n}.md")));
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
            file.unwrap().set_modified(time).expect("a touch");
        }
    };
    touch(0);
    world.wait();
    // Opened for writing and closed, and written anew with the same bytes.
    world.write("3.md", text(3, 0));
    world.wait();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    touch(60);
    let daemon = world.start();
    world.wait();
    world.settled();
    assert_eq!(world.events("file.changed").len(), told);
    assert_eq!(world.events("document.stored").len(), told);
    assert!(world.documents().values().all(|d| d["version"] == 1));
    assert_as_new(&world);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn ignore_rules_that_change() {
    let world = World::new("");
    git(&world.docs(), &["init", "--quiet"]);
    for n in 0..6 {
        world.write(&format!("drafts/{n}.md"), text(n, 0));
        world.write(&format!("notes/deep/{n}.txt"), text(n, 1));
        world.write(&format!("{n}.md"), text(n, 2));
    }
    let daemon = world.start();
    world.wait();
    let count = |prefix: &str| {
        let listed = world.documents();
        listed
            .keys()
            .filter(|path| path.starts_with(prefix))
            .count()
    };
    assert_eq!((count("drafts/"), count("notes/")), (6, 6));

    // The rules alone change, none of the files that they speak of; nobody asks for a scan.
    world.write(".gitignore", "drafts/\n");
    world.until("what git ignores has left", || count("drafts/") == 0);
    world.wait();
    let removed = world.events("document.removed");
    assert_eq!(removed.len(), 6);
    assert!(
        removed.iter().all(|e| e["data"]["reason"] == "ignored"),
        "{removed:?}"
    );
    assert_as_new(&world);

    // A rule of a folder's own, with an exception; git's is undone by docent's.
    world.write("notes/.docentignore", "*.txt\n!3.txt\n");
    world.write(".docentignore", "!drafts/\n/0.md\n");
    world.until("docent's own rules rule", || {
        (count("drafts/"), count("notes/deep/"), count("0.md")) == (6, 1, 0)
    });
    world.wait();
    assert_as_new(&world);

    // Rules that go.
    for path in [".gitignore", ".docentignore", "notes/.docentignore"] {
        fs::remove_file(world.docs().join(path)).unwrap();
    }
    world.until("everything is back", || world.documents().len() == 18);
    world.wait();
    assert_as_new(&world);

    // Rules that change while nobody looks.
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    world.write(".docentignore", "drafts/\n*.txt\n");
    let daemon = world.start();
    world.wait();
    assert_eq!((count("drafts/"), count("notes/")), (0, 0));
    assert_as_new(&world);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_collection_that_is_scanned_often_is_followed_without_notifications() {
    let world = World::new("watch = \"poll\"\n[watch]\npoll = \"1s\"");
    world.write("a.md", "# One\n\nA sundial.\n");
    let daemon = world.start();
    world.wait();
    let seen = &world.status()["collections"][0];
    assert_eq!(
        (&seen["watch"], &seen["why_poll"]),
        (&"poll".into(), &"the config says so".into()),
        "{seen}"
    );
    // No wait, no scan: the edit is seen by itself.
    world.write("a.md", "# One\n\nAn hourglass.\n");
    world.until("the edit is searchable", || {
        world
            .search("hourglass")
            .first()
            .is_some_and(|p| p == "a.md")
    });
    fs::remove_file(world.docs().join("a.md")).expect("removed");
    world.until("the removal is seen", || world.documents().is_empty());
    let text = world.cli(["status"]).stdout();
    assert!(
        text.contains("scanned often (the config says so)"),
        "{text}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_collection_that_leaves_the_config_leaves_the_search_and_says_why() {
    let world = World::new("");
    world.write("a.md", "# One\n\nA sundial.\n");
    let daemon = world.start();
    world.wait();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let config = fs::read_to_string(world.config()).expect("the config");
    fs::write(
        world.config(),
        config.replace("name = \"docs\"", "name = \"wiki\""),
    )
    .expect("written");
    let daemon = world.start();
    world.wait();
    world.until("it is gone under its old name", || {
        world.documents().len() == 1
    });
    let listed = &world.documents()["a.md"];
    assert_eq!(listed["collection"], "wiki");
    let removed = world.events("file.removed");
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!(
        (&removed[0]["subject"], &removed[0]["data"]["reason"]),
        (&"docs/a.md".into(), &"collection removed".into())
    );
    assert_eq!(world.search("sundial").len(), 1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn the_users_own_rules_of_git_count_and_rules_that_cannot_be_used_are_an_issue() {
    let world = World::new("");
    let home = world.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join(".gitconfig"), "[core]\n\texcludesFile = ~/mine\n").unwrap();
    fs::write(home.join("mine"), "private.md\n").unwrap();
    git(&world.docs(), &["init", "--quiet"]);
    world.write("private.md", "# Private\n\nA narwhal.\n");
    world.write("sub/open.md", "# Open\n\nA narwhal.\n");
    let mut run = world.command(["run"]);
    run.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
    let daemon = world.spawn_as(run);
    world.until("the daemon is running", || {
        world
            .cli(["status", "--json"])
            .json()
            .is_some_and(|s| s["state"] != "starting")
    });
    world.wait();
    assert_eq!(world.search("narwhal"), ["sub/open.md"]);

    // The rule moves to a file that cannot be used.
    fs::write(home.join("mine"), "").unwrap();
    world.until("the rule is gone", || world.search("narwhal").len() == 2);
    world.write("sub/.docentignore", "[open.md\n");
    world.until("its directory has left", || {
        world.search("narwhal") == ["private.md"]
    });
    let file = world.docs().join("sub/.docentignore").display().to_string();
    world.until("health names the file", || {
        world.cli(["health"]).stdout().contains(&file)
    });
    assert!(
        world.status()["collections"][0]["shut"][0]
            .as_str()
            .is_some_and(|said| said.starts_with(&file) && said.contains("line 1"))
    );
    world.write("sub/.docentignore", "# fine\n");
    // The file of rules is a document now too, and may be found a little way behind the others.
    world.until("it is open again", || {
        world.search("narwhal").contains(&"sub/open.md".to_owned())
    });
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
