//! Stores that an earlier docent has written, and those that this one must not touch.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::helper::{Run, World};

/// A store of schema 1 with a little of everything, written by the first docent.
const STORE_V1: &str = "tests/it/fixtures/store-v1.db";

fn saved() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(STORE_V1)
}

/// A world with this file as its store, and the tree that it knows.
fn world_with(store: &[u8]) -> World {
    let world = World::new("");
    fs::create_dir(world.data()).expect("the data_dir");
    fs::write(world.data().join("store.db"), store).expect("the store");
    world.write("one.md", "# One\n\nThe first, edited.\n");
    world.write("two.md", "# Two\n\nThe second walrus.\n");
    world.write("bad.yaml", "bad: [\n");
    world.write("pic.png", "x");
    world
}

/// The saved store knows its files on another disk: a root that changed its disk would be held.
fn move_to_the_disk_of(world: &World) {
    let device = fs::metadata(world.docs()).expect("the root").dev();
    let store = Connection::open(world.data().join("store.db")).expect("the store");
    let moved = store.execute("UPDATE manifest SET device = ?1", [device]);
    assert!(moved.expect("the manifest") > 0);
}

#[test]
fn a_store_of_schema_1_is_carried_on_with() {
    let world = world_with(&fs::read(saved()).expect("the saved store"));
    move_to_the_disk_of(&world);
    let daemon = world.start();
    world.wait();
    world.settled();
    let documents = world.documents();
    let versions: Vec<(&str, u64)> = documents
        .iter()
        .map(|(path, d)| (path.as_str(), d["version"].as_u64().expect("a version")))
        .collect();
    assert_eq!(
        versions,
        [
            ("bad.yaml", 1),
            ("one.md", 2),
            ("pic.png", 0),
            ("two.md", 1)
        ]
    );
    assert_eq!(world.search("walrus")[0], "two.md");
    let history = world
        .cli(["history", "docs/one.md", "--json"])
        .json()
        .expect("a history");
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(2));

    // The audit chain goes on where it was: its first records are those that were saved.
    let records = world.audit();
    assert!(records.len() > 24, "{}", records.len());
    assert_eq!(
        records[23]["hash"],
        "7b93e601a1761750330c47ba6e2f9a8efefc17b2a96f4f26028d8649064b086c"
    );
    let numbers: Vec<u64> = records.iter().filter_map(|r| r["n"].as_u64()).collect();
    assert_eq!(numbers, (1..=records.len() as u64).collect::<Vec<_>>());

    let dead = world
        .cli(["dead", "list", "--json"])
        .json()
        .expect("dead letters");
    assert_eq!(dead["dead"].as_array().map(Vec::len), Some(1));
    let letter = "00000000-0000-4000-8000-00000000dead";
    assert_eq!(dead["dead"][0]["event"], letter);
    let jobs = world.cli(["jobs", "--json"]).json().expect("jobs");
    let health = jobs["jobs"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|j| j["name"] == "health");
    assert_eq!(health.expect("the job")["paused"], true);
    // What was dead then can be dropped now.
    assert_eq!(world.cli(["dead", "drop", letter]).code(), 0);
    world.write("three.md", "# Three\n\nA narwhal.\n");
    world.wait();
    let found = world.search("narwhal");
    assert_eq!(
        found.first().map(String::as_str),
        Some("three.md"),
        "{}",
        world.log()
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert_eq!(world.cli(["check"]).code(), 0);
}

/// What `check` says of the store, without a daemon.
fn check(world: &World) -> Run {
    world.cli(["check"])
}

#[test]
fn a_newer_and_a_corrupt_store_are_refused_and_left_as_they_are() {
    let whole = fs::read(saved()).expect("the saved store");
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes()); // `user_version`
    let mut corrupt = whole.clone();
    corrupt[4096..40_960].fill(0xA5);
    for (store, said) in [
        (&newer, ["has schema 99", "run the newer docent"]),
        (&corrupt, ["store.db is damaged", "move it away"]),
    ] {
        let world = world_with(store);
        let (code, text) = world.refused();
        assert_eq!(code, 65, "{text}");
        for part in said {
            assert_eq!(text.matches(part).count(), 1, "{text}");
        }
        assert_eq!(
            text.lines().filter(|l| l.contains("ERROR")).count(),
            0,
            "{text}"
        );
        let check = check(&world);
        assert_eq!(check.code(), 1, "{}{}", check.stdout(), check.stderr());
        assert!(check.stdout().contains(said[0]), "{}", check.stdout());
        let left = fs::read(world.data().join("store.db")).expect("it is there");
        assert!(left == *store, "{}: it is left as it was found", said[0]);
    }
}
