//! A disk that is full. The file system is a tmpfs of its own, so these need root: `tests/run` runs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::helper::World;

/// A small tmpfs, unmounted when dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path, size: &str) -> Self {
        fs::create_dir_all(at).expect("the mount point");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status();
        assert!(
            mounted.expect("mount runs").success(),
            "cannot mount a tmpfs; run this as root"
        );
        Small(at)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Lazily: a daemon that is being killed may still have files open there.
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

/// Fills the file system that `file` is on.
fn fill(file: &Path) {
    use std::io::Write;
    let mut ballast = fs::File::create(file).expect("the ballast");
    let block = vec![0u8; 64 * 1024];
    while ballast.write_all(&block).is_ok() {}
    while ballast.write_all(&[0]).is_ok() {}
}

#[test]
#[ignore = "needs root to mount a file system of its own"]
fn a_full_disk_under_the_store_loses_nothing_and_work_goes_on_by_itself() {
    let world = World::new("[store]\nfree_space_floor = \"64KiB\"");
    let data = world.data();
    let _small = Small::mount(&data, "24m");
    let daemon = world.start();
    world.write("a.md", "# Before\n\nWritten while there was room.\n");
    world.wait();
    let ballast = data.join("ballast");
    fill(&ballast);
    let publish = |n: usize| {
        let data = format!("{{\"n\": {n}, \"text\": \"{}\"}}", "x".repeat(30_000));
        world.cli([
            "publish",
            "report.written",
            "--subject",
            "disk",
            "--data",
            &data,
        ])
    };
    // The log of the store may have a little room left; it is used up soon.
    let mut printed: Vec<String> = Vec::new();
    let mut n = 0;
    world.until("publishing answers with an error", || {
        n += 1;
        let run = publish(n);
        if run.code() == 0 {
            printed.push(run.stdout().trim().to_owned());
            return false;
        }
        assert!(
            run.stderr().contains("cannot be written"),
            "{}",
            run.stderr()
        );
        true
    });
    world.write("b.md", "# During\n\nWritten while the disk was full.\n");
    fs::remove_file(&ballast).expect("the ballast goes");
    world.until("publishing works again", || {
        n += 1;
        let run = publish(n);
        let done = run.code() == 0;
        if done {
            printed.push(run.stdout().trim().to_owned());
        }
        done
    });
    world.wait();
    world.settled();
    assert_eq!(world.search("written while the disk was full")[0], "b.md");
    assert_eq!(world.status()["bus"]["dead"], 0);
    let audit = world.audit();
    for id in &printed {
        let count = audit
            .iter()
            .filter(|record| record["event"] == id.as_str())
            .count();
        assert_eq!(count, 1, "the event {id}");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
