//! Files and directories that come, change, move and go, noticed by the watches alone.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_change_and_go_are_followed() {
    let bed = Bed::with(&[("a.md", "one"), ("sub/b.md", "two"), ("image.png", "-")]).await;
    bed.agrees().await;
    bed.write("new.md", "three");
    bed.write("sub/deep/er/c.md", "four");
    bed.follows().await;
    bed.write("a.md", "one and more");
    fs::remove_file(bed.at("sub/b.md")).unwrap();
    bed.follows().await;
    assert_eq!(bed.removals("sub/b.md").await, ["absent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_same_size_is_seen_and_a_touch_is_no_event() {
    let bed = Bed::with(&[("a.md", "first")]).await;
    let events = bed.events().await.len();
    // Same size, and an mtime set back to what it was: the ctime tells.
    let before = fs::metadata(bed.at("a.md")).unwrap().modified().unwrap();
    bed.write("a.md", "other");
    fs::File::open(bed.at("a.md"))
        .unwrap()
        .set_modified(before)
        .unwrap();
    bed.follows().await;
    assert_eq!(bed.events().await.len(), events + 1);
    fs::File::open(bed.at("a.md"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    bed.follows().await;
    assert_eq!(bed.events().await.len(), events + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn saves_by_rename_and_by_backup_are_edits() {
    let bed = Bed::with(&[("a.md", "one")]).await;
    bed.write(".a.md.tmp", "two");
    fs::rename(bed.at(".a.md.tmp"), bed.at("a.md")).unwrap();
    bed.follows().await;
    fs::rename(bed.at("a.md"), bed.at("a.md~")).unwrap();
    bed.write("a.md", "three");
    fs::remove_file(bed.at("a.md~")).unwrap();
    bed.follows().await;
    let changes = bed
        .events()
        .await
        .into_iter()
        .filter(|e| e.subject.as_str() == "docs/a.md");
    let kinds: Vec<EventType> = changes.map(|e| e.kind).collect();
    assert_eq!(kinds, [EventType::FileChanged; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_move_take_their_files_along_and_stay_watched() {
    let bed = Bed::with(&[("a/x.md", "x"), ("a/deep/y.md", "y"), ("b/z.md", "z")]).await;
    fs::rename(bed.at("a"), bed.at("moved")).unwrap();
    bed.follows().await;
    bed.write("moved/deep/y.md", "y, edited after the move");
    bed.follows().await;
    // Another directory under the old name, at once.
    fs::rename(bed.at("b"), bed.at("c")).unwrap();
    bed.write("b/other.md", "other");
    bed.follows().await;
    bed.write("b/other.md", "edited");
    bed.write("c/z.md", "edited too");
    bed.follows().await;
    // Out of the tree and back.
    fs::rename(bed.at("moved"), bed.dir.path().join("outside")).unwrap();
    bed.follows().await;
    fs::rename(bed.dir.path().join("outside"), bed.at("moved")).unwrap();
    bed.follows().await;
    bed.write("moved/deep/y.md", "edited after its return");
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_may_become_a_file_of_the_same_name_and_back() {
    let bed = Bed::with(&[("x.md/inner.md", "1"), ("y.md", "2")]).await;
    fs::rename(bed.at("x.md"), bed.dir.path().join("aside")).unwrap();
    bed.write("x.md", "a file now");
    fs::remove_file(bed.at("y.md")).unwrap();
    bed.write("y.md/inner.md", "a directory now");
    bed.follows().await;
    fs::remove_file(bed.at("x.md")).unwrap();
    fs::rename(bed.dir.path().join("aside"), bed.at("x.md")).unwrap();
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_switch_of_two_thousand_files_is_followed_there_and_back() {
    let mut bed = Bed::made(&[]);
    let path = |n: usize| format!("dir{}/sub{}/file{n}.md", n % 7, n % 31);
    for n in 0..2000 {
        bed.write(&path(n), &format!("main {n}"));
    }
    bed.start();
    bed.scan().await;
    bed.agrees().await;
    for n in 0..2000 {
        match n % 3 {
            0 => bed.write(&path(n), &format!("branch {n}")),
            1 => fs::remove_file(bed.at(&path(n))).unwrap(),
            _ => bed.write(&format!("only/branch/{n}.md"), "new"),
        }
    }
    bed.follows().await;
    fs::remove_dir_all(bed.at("only")).unwrap();
    for n in 0..2000 {
        bed.write(&path(n), &format!("main {n}"));
    }
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_deleted_and_restored_is_what_it_was() {
    let files: Vec<(String, String)> = (0..200)
        .map(|n| (format!("d{}/e/{n}.md", n % 9), format!("text {n}")))
        .collect();
    let mut bed = Bed::made(&[]);
    let fill = |bed: &Bed| files.iter().for_each(|(path, text)| bed.write(path, text));
    fill(&bed);
    bed.start();
    bed.scan().await;
    for entry in fs::read_dir(bed.root()).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    bed.until("all is gone", Known::is_empty).await;
    bed.follows().await;
    fill(&bed);
    bed.follows().await;
    bed.write("d0/e/0.md", "edited after the restore");
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_regular_file_is_no_document_and_no_link_is_followed() {
    let bed = Bed::with(&[("a.md", "a")]).await;
    let outside = bed.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.md"), "not ours").unwrap();
    mknodat(CWD, bed.at("pipe.md"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    symlink(&outside, bed.at("out")).unwrap();
    symlink(outside.join("secret.md"), bed.at("link.md")).unwrap();
    symlink(".", bed.at("loop")).unwrap();
    bed.write("last.md", "written after all of them");
    bed.follows().await;
    // A document that becomes a link, and a directory that does.
    bed.write("d/e.md", "e");
    bed.follows().await;
    fs::remove_file(bed.at("a.md")).unwrap();
    symlink(outside.join("secret.md"), bed.at("a.md")).unwrap();
    fs::rename(bed.at("d"), outside.join("d")).unwrap();
    symlink(outside.join("d"), bed.at("d")).unwrap();
    bed.follows().await;
    assert_eq!(bed.removals("a.md").await, ["absent"]);
    bed.scan().await;
    bed.agrees().await;
    assert_eq!(bed.known().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_through_one_name_of_a_file_is_seen_under_the_others() {
    let mut bed = Bed::made(&[]);
    bed.write("a/one.md", "one");
    bed.write(".docentignore", "ignored.md\n");
    for name in ["two.md", "b/three.md", "ignored.md"] {
        fs::create_dir_all(bed.at("b")).unwrap();
        fs::hard_link(bed.at("a/one.md"), bed.at(name)).unwrap();
    }
    bed.start();
    bed.scan().await;
    bed.agrees().await;
    assert_eq!(bed.known().await.len(), 4);
    for (name, text) in [("two.md", "2"), ("a/one.md", "first"), ("ignored.md", "x")] {
        bed.write(name, text);
        bed.follows().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_exact_bytes() {
    let bed = Bed::with(&[
        ("A.md", "1"),
        ("a.md", "2"),
        ("a .md", "3"),
        ("ä\\b.md", "4"),
    ])
    .await;
    let raw = std::ffi::OsStr::from_bytes(b"d\xff/\xfe\n.md");
    fs::create_dir(bed.root().join(std::ffi::OsStr::from_bytes(b"d\xff"))).unwrap();
    fs::write(bed.root().join(raw), "5").unwrap();
    bed.follows().await;
    assert!(bed.known().await.contains_key(raw.as_bytes()));
    fs::remove_file(bed.root().join(raw)).unwrap();
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_limit_is_listed_and_comes_in_when_it_shrinks() {
    let bed = Bed::with(&[("a.md", "small")]).await;
    bed.write("a.md", &"x".repeat(100_001));
    bed.follows().await;
    assert_eq!(bed.removals("a.md").await, ["too large"]);
    let row = bed
        .store
        .manifest_row("docs", b"a.md")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        row.reason.unwrap(),
        "the file has 100001 bytes, more than the limit of 100000"
    );
    bed.write("a.md", "small again");
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_cannot_be_a_subject_is_listed_as_unreadable_without_an_event() {
    let bed = Bed::with(&[("a.md", "a")]).await;
    // 16 directories of 250 bytes and a name: over 4 KiB with the collection, but one that the system still opens
    // from its directory.
    let mut at = std::env::current_dir()
        .map(|_| {
            rustix::fs::open(bed.root(), rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap()
        })
        .unwrap();
    for _ in 0..16 {
        let name = "d".repeat(250);
        rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        at = rustix::fs::openat(
            &at,
            name.as_str(),
            rustix::fs::OFlags::DIRECTORY,
            Mode::empty(),
        )
        .unwrap();
    }
    let name = format!("{}.md", "n".repeat(200));
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    rustix::fs::openat(&at, name.as_str(), flags, Mode::RWXU).unwrap();
    bed.scan().await;
    let known = bed.known().await;
    let long = known
        .iter()
        .find(|(path, _)| path.ends_with(name.as_bytes()))
        .unwrap();
    assert_eq!(long.1.0, FileState::Unreadable);
    let events = bed.events().await.len();
    bed.scan().await;
    assert_eq!(
        (bed.events().await.len(), bed.known().await.len()),
        (events, 2)
    );
    rustix::fs::unlinkat(&at, name.as_str(), rustix::fs::AtFlags::empty()).unwrap();
    bed.scan().await;
    bed.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_file_is_told_once_and_tried_again() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything. The cases of `judge` and the path that is too long stand for it.
        return;
    }
    let bed = Bed::with(&[("a.md", "a"), ("b.md", "b")]).await;
    fs::set_permissions(bed.at("a.md"), fs::Permissions::from_mode(0o000)).unwrap();
    bed.until("unreadable", |k| {
        k[b"a.md".as_slice()].0 == FileState::Unreadable
    })
    .await;
    bed.scan().await;
    bed.scan().await;
    let errors = bed
        .events()
        .await
        .into_iter()
        .filter(|e| e.data["error"].is_string());
    assert_eq!(errors.count(), 1);
    fs::set_permissions(bed.at("a.md"), fs::Permissions::from_mode(0o600)).unwrap();
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "somebody else writes, at a pace of their own"
)]
async fn a_file_that_never_rests_is_captured_all_the_same() {
    let bed = Bed::with(&[("log.md", "begin\n")]).await;
    let first = bed.known().await[b"log.md".as_slice()].1.clone();
    let stop = CancellationToken::new();
    let (path, told) = (bed.at("log.md"), stop.clone());
    let writer = tokio::task::spawn_blocking(move || {
        let mut text = String::from("begin\n");
        while !told.is_cancelled() {
            text.push_str("x\n");
            text.truncate(90_000);
            fs::write(&path, &text).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    bed.until("captured while it changes", |k| {
        k[b"log.md".as_slice()].1 != first
    })
    .await;
    stop.cancel();
    writer.await.unwrap();
    bed.follows().await;
}
