//! Volumes that go and come back. They are mounted for the test, so these need root: `tests/run` runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::helper::World;

/// A mount, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(arguments: &[&str], at: &Path) -> Self {
        fs::create_dir_all(at).expect("the mount point");
        let mounted = Command::new("mount").args(arguments).arg(at).status();
        assert!(
            mounted.expect("mount runs").success(),
            "cannot mount {arguments:?}; run this as root"
        );
        Mount(at.to_owned())
    }

    /// Unmounts it as an operator does: it must not be in use.
    fn unmount(self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(done.expect("umount runs").success(), "a file is kept open");
        std::mem::forget(self);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// A volume of its own, and the folder in it that is mounted where the documents are.
fn volume(world: &World) -> (Mount, PathBuf) {
    let at = world.path().join("volume");
    let mount = Mount::new(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], &at);
    let tree = at.join("tree");
    fs::create_dir(&tree).expect("the tree");
    (mount, tree)
}

fn bind(tree: &Path, docs: &Path) -> Mount {
    Mount::new(&["--bind", tree.to_str().expect("a plain path")], docs)
}

fn collection(world: &World) -> Value {
    world.status()["collections"][0].clone()
}

fn until_held(world: &World) {
    world.until("the removals are held", || {
        collection(world)["root"] == "removals held"
    });
}

#[test]
#[ignore = "needs root to mount a volume"]
fn what_an_unmounted_volume_leaves_behind_is_no_removal() {
    let world = World::new("");
    let (_volume, tree) = volume(&world);
    let mounted = bind(&tree, &world.docs());
    world.write("a.md", "# One\n\nA sextant.\n");
    world.write("deep/b.md", "# Two\n\nAn astrolabe.\n");
    let mut daemon = world.start();
    world.wait();
    let before = world.documents();
    assert_eq!(before.len(), 2);

    mounted.unmount();
    until_held(&world);
    world.until("the health issue is open", || {
        world
            .cli(["health"])
            .stdout()
            .contains("removals_held docs ")
    });
    let status = world.cli(["status"]);
    assert_eq!(status.code(), 1);
    for part in [
        "the removals in docs are held",
        "docent scan docs --accept-removals",
        "another device",
    ] {
        assert!(status.stdout().contains(part), "{}", status.stdout());
    }
    assert_eq!(world.cli(["scan"]).code(), 0);
    assert_eq!(world.documents(), before, "nothing is taken for removed");
    // A daemon that never saw the volume concludes nothing either.
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    daemon = world.start();
    until_held(&world);
    assert_eq!(world.cli(["scan"]).code(), 0);
    assert_eq!(world.documents(), before);
    assert_eq!(world.search("sextant")[0], "a.md");

    // It is back, with an edit and a removal that were made elsewhere.
    fs::remove_file(tree.join("a.md")).expect("removed");
    fs::write(tree.join("deep/b.md"), "# Two\n\nA theodolite.\n").expect("edited");
    let mounted = bind(&tree, &world.docs());
    world.until("the root is there", || {
        collection(&world)["root"] == "there"
    });
    world.wait();
    assert_eq!(world.documents().keys().collect::<Vec<_>>(), ["deep/b.md"]);
    assert_eq!(world.search("theodolite")[0], "deep/b.md");
    world.write("c.md", "# Three\n\nA quadrant.\n");
    world.wait();
    assert_eq!(world.search("quadrant")[0], "c.md");
    world.until("nothing is wrong any more", || {
        world.cli(["status"]).code() == 0
    });
    let refused = world.cli(["scan", "docs", "--accept-removals"]);
    assert_eq!(refused.code(), 65);
    assert!(refused.stderr().contains("no removals are held in docs"));

    // It goes for good, and somebody says so.
    mounted.unmount();
    until_held(&world);
    let accepted = world.cli(["scan", "docs", "--accept-removals"]);
    assert_eq!(accepted.code(), 0, "{}", accepted.stderr());
    world.wait();
    assert_eq!(world.documents().len(), 0);
    world.until("nothing is wrong any more", || {
        world.cli(["status"]).code() == 0
    });
    world.settled();
    let audit = world.audit();
    let acts: Vec<&Value> = audit
        .iter()
        .filter(|r| r["type"] == "operator.acted")
        .collect();
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0]["data"]["verb"], "scan --accept-removals");
    assert_eq!(acts[0]["data"]["uid"], json!(0));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
#[ignore = "needs root to take the kernel's watches away"]
fn where_no_watches_are_left_a_collection_is_scanned_often_and_says_so() {
    let world = World::new("[watch]\npoll = \"1s\"");
    for n in 0..12 {
        world.write(
            &format!("{n:02}/a.md"),
            format!("# Number {n}\n\nA sextant.\n"),
        );
    }
    // In a user namespace of its own the daemon may have four watches; nobody else is touched.
    let script = "echo 4 > /proc/sys/user/max_inotify_watches && exec \"$0\" run --config \"$1\"";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_docent"))
        .arg(world.config());
    let daemon = world.spawn_as(command);
    world.until("the daemon is running", || {
        let status = world.cli(["status", "--json"]).json();
        status.is_some_and(|s| s["state"] != "starting")
    });
    world.wait();
    let seen = collection(&world);
    assert_eq!(seen["watch"], "poll", "{seen}");
    let why = seen["why_poll"].as_str().expect("a reason");
    assert!(
        why.contains("no watches left") && why.contains("sysctl"),
        "{why}"
    );
    // Where no watch is: seen by itself all the same.
    world.write("11/a.md", "# Number 11\n\nA theodolite.\n");
    world.until("the edit is searchable", || {
        world
            .search("theodolite")
            .first()
            .is_some_and(|p| p == "11/a.md")
    });
    assert_eq!(
        world.log().matches("not all changes are notified").count(),
        1
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
