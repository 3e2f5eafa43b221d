//! The index follows the store: whatever happens to its folder, it is built anew from the store and answers as before.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::helper::World;

const QUERIES: &[&str] = &[
    "a lighthouse at night",
    "\"polished mirror\"",
    "harpsichord tuning",
    "number 23",
];

/// A world with an index of several commits, replaced and removed chunks among them.
fn filled() -> World {
    let world = World::new("");
    let write = |n: usize, salt: usize| {
        let subject = ["lighthouse", "mirror", "harpsichord", "glacier", "orchard"][(n + salt) % 5];
        let adjective = ["polished", "silent", "old"][(n * salt + n) % 3];
        let text = format!(
            "# The {subject}\n\nThe {adjective} {subject} of night {n}, number {salt}.\n\n## Care\n\n{}",
            format!("Tuning the {adjective} {subject}. ").repeat(1 + n % 4)
        );
        world.write(&format!("{}/{n}.md", n % 3), text);
    };
    (0..40).for_each(|n| write(n, 0));
    let daemon = world.start();
    world.wait();
    (5..20).for_each(|n| write(n, 1));
    world.wait();
    for n in 30..33 {
        fs::remove_file(world.docs().join(format!("{}/{n}.md", n % 3))).unwrap();
    }
    world.wait();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    world
}

fn folder(world: &World) -> PathBuf {
    world.data().join("index")
}

/// Starts, waits, and gives what is known, why the index was built anew at this start, and how often documents were indexed.
fn look(world: &World) -> (Value, Option<String>, usize) {
    let daemon = world.start();
    world.wait();
    let known = world.knowledge(QUERIES);
    let rebuilt = world.status()["index"]["rebuilt"]
        .as_str()
        .map(str::to_owned);
    let shown = world.cli(["status"]).stdout();
    if let Some(why) = &rebuilt {
        let line = format!("rebuilt at this start: {why}");
        assert!(shown.contains(&line), "{shown}");
        assert!(
            world
                .log()
                .contains("docent rebuilds the index from the store")
        );
    }
    let indexed = world.events("index.updated").len();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    (known, rebuilt, indexed)
}

/// The files of the segments that the newest commit names, one of each kind.
fn segment_files(folder: &Path) -> Vec<PathBuf> {
    let meta = fs::read_to_string(folder.join("meta.json")).unwrap();
    let last = meta.lines().last().unwrap_or_default().len();
    let meta: Value = serde_json::from_str(meta[..meta.len() - last - 1].trim()).unwrap();
    let segment = &meta["segments"][0];
    let name = segment["segment_id"].as_str().unwrap().replace('-', "");
    let files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&name)
        })
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    files
}

#[test]
fn an_index_that_is_gone_cut_or_garbage_is_built_anew_and_answers_as_before() {
    let world = filled();
    let (before, rebuilt, indexed) = look(&world);
    assert_eq!(rebuilt, None, "what is whole is continued");
    let folder = folder(&world);
    let check = |damage: &str, said: &str| {
        let (known, rebuilt, again) = look(&world);
        assert_eq!(known, before, "{damage}\n{}", world.log());
        let why = rebuilt.unwrap_or_else(|| panic!("{damage}: the index was not built anew"));
        assert!(why.contains(said), "{damage}: {why}");
        assert_eq!(
            again, indexed,
            "{damage}: no document is chunked or embedded again"
        );
    };

    fs::remove_dir_all(&folder).unwrap();
    check("no folder", "there was no index");

    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file").unwrap();
    check("a file in its place", "not a folder");

    let files = segment_files(&folder);
    let cut = &files[0];
    let bytes = fs::read(cut).unwrap();
    fs::write(cut, &bytes[..bytes.len() / 2]).unwrap();
    check("a file that is cut", "the index is damaged");

    for file in segment_files(&folder) {
        let length = fs::metadata(&file).unwrap().len() as usize;
        fs::write(&file, vec![0xA5; length]).unwrap();
    }
    check("garbage in the files of a segment", "the index is damaged");

    fs::write(folder.join("meta.json"), b"{\"segments\": [\x00\xff").unwrap();
    check("garbage in the list of segments", "the index is damaged");

    fs::remove_file(segment_files(&folder).last().unwrap()).unwrap();
    check("a file that is missing", "the index is damaged");

    let (known, rebuilt, _) = look(&world);
    assert_eq!((known, rebuilt), (before, None));
}

#[test]
fn an_index_that_is_removed_under_a_running_daemon() {
    let world = filled();
    let daemon = world.start();
    world.wait();
    let before = world.knowledge(QUERIES);
    let folder = folder(&world);

    // Searches go on, and asked for a comparison it builds the index anew.
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(world.knowledge(QUERIES), before);
    let asked = world.cli(["publish", "index.verify_requested", "--subject", "index"]);
    assert_eq!(asked.code(), 0, "{}", asked.stderr());
    world.until("the repair is told", || {
        world.events("index.repaired").len() == 1
    });
    world.wait();
    assert!(folder.join("meta.json").is_file());
    assert_eq!(world.knowledge(QUERIES), before);
    let repaired = &world.events("index.repaired")[0]["data"];
    assert_eq!(repaired["requested_by"], asked.stdout().trim());
    assert_eq!(world.status()["index"]["rebuilt"], "there was no index");

    // Nobody asks; the next change cannot be committed to what is not there any more.
    fs::remove_dir_all(&folder).unwrap();
    world.write("new.md", "# Sextants\n\nA sextant measures angles.\n");
    world.wait();
    assert_eq!(world.search("sextant angles")[0], "new.md");
    assert!(folder.join("meta.json").is_file());
    fs::remove_file(world.docs().join("new.md")).unwrap();
    world.wait();
    assert_eq!(world.knowledge(QUERIES), before);

    // Garbage under a running daemon harms nobody, and is found at the next start.
    for file in segment_files(&folder) {
        fs::write(file, "garbage").unwrap();
    }
    assert_eq!(world.knowledge(QUERIES), before);
    assert_eq!(world.status()["state"], "running", "{}", world.log());
    daemon.kill();
    let (known, rebuilt, _) = look(&world);
    assert_eq!(known, before);
    assert!(rebuilt.is_some_and(|why| why.contains("the index is damaged")));
}

#[test]
fn a_store_that_was_restored_and_written_on_is_told_from_the_one_that_the_index_has_seen() {
    let world = World::new("");
    world.write("first.md", "# First\n\nThe lighthouse.\n");
    let live = |write: &dyn Fn()| {
        let daemon = world.start();
        write();
        world.wait();
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    };
    let store = world.data().join("store.db");
    let (backup, seen) = (world.path().join("backup.db"), world.path().join("seen"));
    live(&|| ());
    fs::copy(&store, &backup).unwrap();
    live(&|| world.write("lost.md", "# Lost\n\nThe harpsichord.\n"));
    // The store goes on from the backup, under an index of its own: what it gives out has the numbers of what is lost.
    fs::rename(folder(&world), &seen).unwrap();
    fs::copy(&backup, &store).unwrap();
    fs::remove_file(world.docs().join("lost.md")).unwrap();
    live(&|| world.write("found.md", "# Found\n\nThe orchard.\n"));
    fs::remove_dir_all(folder(&world)).unwrap();
    fs::rename(&seen, folder(&world)).unwrap();

    let daemon = world.start();
    world.wait();
    assert_eq!(
        world.status()["index"]["rebuilt"],
        "the store no longer has what the index has seen"
    );
    assert_eq!(world.search("orchard")[0], "found.md");
    world.until("it is an issue", || {
        let issues = world.cli(["health", "--json"]).json().expect("JSON");
        issues["issues"][0]["detector"] == "commits_lost"
    });
    world.until_audited("health.issue", 1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
