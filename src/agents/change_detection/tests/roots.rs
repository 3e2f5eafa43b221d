//! Roots that go and come back, and collections that leave the config.

use std::fs;

use super::*;
use crate::runtime::RootState;

fn away(progress: &crate::runtime::ScanProgress) -> usize {
    progress.absent().len() + progress.removals_held().len()
}

fn absent(bed: &Bed) -> usize {
    away(&bed.desk.progress().borrow())
}

async fn reported(bed: &Bed, count: usize) {
    let mut progress = bed.desk.progress();
    let seen = tokio::time::timeout(DEADLINE, progress.wait_for(|p| away(p) == count)).await;
    seen.expect("the root's state is not reported").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_root_is_no_deletion_and_is_watched_again_when_it_is_back() {
    let bed = Bed::with(&[("a.md", "a"), ("sub/b.md", "b")]).await;
    let before = bed.known().await;
    let aside = bed.dir.path().join("aside");
    fs::rename(bed.root(), &aside).unwrap();
    reported(&bed, 1).await;
    // A scan ends, and nothing is concluded from it.
    bed.scan().await;
    assert_eq!(bed.known().await, before);
    fs::write(aside.join("sub/b.md"), "edited elsewhere").unwrap();
    fs::remove_file(aside.join("a.md")).unwrap();
    fs::rename(&aside, bed.root()).unwrap();
    reported(&bed, 0).await;
    bed.follows().await;
    bed.write("sub/b.md", "edited after its return");
    bed.follows().await;
    assert_eq!(absent(&bed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_absent_at_the_start_is_taken_in_when_it_comes() {
    let mut bed = Bed::made(&[]);
    fs::remove_dir(bed.root()).unwrap();
    bed.start();
    bed.scan().await;
    assert_eq!(absent(&bed), 1);
    bed.write("a.md", "a");
    bed.follows().await;
    bed.write("a.md", "b");
    bed.follows().await;
}

/// A directory beside the tree with a file that is not the collection's.
fn private(bed: &Bed) -> PathBuf {
    let private = bed.dir.path().join("private");
    fs::create_dir_all(private.join("tree")).unwrap();
    for path in ["a.md", "s.md", "tree/s.md"] {
        fs::write(private.join(path), "private").unwrap();
    }
    private
}

#[tokio::test(flavor = "multi_thread")]
async fn another_directory_in_the_place_of_the_root_is_not_read_until_it_is_accepted() {
    let mut bed = Bed::with(&[("a.md", "a"), ("b.md", "b")]).await;
    let before = bed.known().await;
    let (private, aside) = (private(&bed), bed.dir.path().join("aside"));
    fs::rename(bed.root(), &aside).unwrap();
    // A link, or the directory itself; the tree's own files in it do not make it the tree.
    fs::hard_link(aside.join("b.md"), private.join("b.md")).unwrap();
    std::os::unix::fs::symlink(&private, bed.root()).unwrap();
    reported(&bed, 1).await;
    fs::write(private.join("later.md"), "private too").unwrap();
    bed.scan().await;
    bed.request("docs/s.md", "somebody asks for just this one")
        .await;
    bed.fulfilled().await;
    assert_eq!(bed.known().await, before);
    // Also for a run that never saw the other one.
    bed.stop().await;
    bed.start();
    bed.scan().await;
    assert_eq!((bed.known().await, absent(&bed)), (before.clone(), 1));
    fs::remove_file(bed.root()).unwrap();
    fs::rename(&private, bed.root()).unwrap();
    bed.scan().await;
    assert_eq!((bed.known().await, absent(&bed)), (before, 1));
    bed.request("docs", crate::runtime::ACCEPT_REMOVALS).await;
    reported(&bed, 0).await;
    bed.follows().await;
    bed.write("s.md", "edited");
    bed.follows().await;
    // What was accepted is known by the next run.
    bed.stop().await;
    bed.start();
    bed.scan().await;
    bed.agrees().await;
    assert_eq!(absent(&bed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_below_another_parent_is_another_root_and_the_first_is_taken_back() {
    let mut bed = Bed::made(&[]);
    // The path leads through a link from the beginning: that is how it is configured.
    let parent = bed.dir.path().join("parent");
    fs::create_dir(bed.dir.path().join("real")).unwrap();
    fs::rename(bed.root(), bed.dir.path().join("real/tree")).unwrap();
    std::os::unix::fs::symlink("real", &parent).unwrap();
    bed.options.collections[0].root = parent.join("tree");
    bed.write("a.md", "a");
    bed.start();
    bed.scan().await;
    bed.agrees().await;
    let before = bed.known().await;
    let private = private(&bed);
    fs::remove_file(&parent).unwrap();
    std::os::unix::fs::symlink(&private, &parent).unwrap();
    reported(&bed, 1).await;
    bed.scan().await;
    assert_eq!(bed.known().await, before);
    fs::remove_file(&parent).unwrap();
    std::os::unix::fs::symlink("real", &parent).unwrap();
    reported(&bed, 0).await;
    bed.write("a.md", "edited");
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_absent_root_go_when_somebody_says_so_and_its_return_is_taken_in() {
    let bed = Bed::with(&[("a.md", "a"), ("sub/b.md", "b")]).await;
    let aside = bed.dir.path().join("aside");
    fs::rename(bed.root(), &aside).unwrap();
    reported(&bed, 1).await;
    let standing = || bed.desk.progress().borrow().roots[0].state.clone();
    assert!(matches!(standing(), RootState::Absent(_)));
    bed.request("docs", crate::runtime::ACCEPT_REMOVALS).await;
    bed.until("the files go", Known::is_empty).await;
    bed.fulfilled().await;
    assert_eq!(bed.removals("sub/b.md").await, ["absent"]);
    bed.scan().await;
    assert!(matches!(standing(), RootState::LetGo(_)));
    fs::rename(&aside, bed.root()).unwrap();
    reported(&bed, 0).await;
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_are_held_while_the_root_is_on_another_device() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let mut bed = Bed::with(&[("a.md", "a"), ("sub/b.md", "b")]).await;
    let before = bed.known().await;
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(other.path()) == device(&bed.root()) {
        return;
    }
    // As when a volume is not mounted: an empty directory, on another device.
    let empty = other.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let volume = bed.dir.path().join("volume");
    fs::rename(bed.root(), &volume).unwrap();
    std::os::unix::fs::symlink(&empty, bed.root()).unwrap();
    reported(&bed, 1).await;
    bed.scan().await;
    assert_eq!(bed.known().await, before);
    // Also for a run that never saw the volume.
    bed.stop().await;
    bed.start();
    bed.scan().await;
    assert_eq!(bed.known().await, before);
    assert_eq!(absent(&bed), 1);
    // It is back.
    fs::remove_file(bed.root()).unwrap();
    fs::rename(&volume, bed.root()).unwrap();
    reported(&bed, 0).await;
    fs::remove_file(bed.at("a.md")).unwrap();
    bed.follows().await;
    // It is away again, and somebody says that this is meant.
    fs::rename(bed.root(), &volume).unwrap();
    std::os::unix::fs::symlink(&empty, bed.root()).unwrap();
    reported(&bed, 1).await;
    bed.request("docs", crate::runtime::ACCEPT_REMOVALS).await;
    bed.until("the removals go ahead", Known::is_empty).await;
    reported(&bed, 0).await;
    bed.told().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_leaves_the_config_is_removed() {
    let mut bed = Bed::with(&[("a.md", "a"), ("sub/b.md", "b"), ("c.png", "-")]).await;
    bed.stop().await;
    bed.options.collections[0].name = "renamed".to_owned();
    bed.start();
    bed.scan().await;
    assert_eq!(bed.known().await, Known::new());
    assert_eq!(bed.removals("a.md").await, ["collection removed"]);
    assert_eq!(bed.removals("c.png").await, [""; 0]);
    assert_eq!(bed.store.manifest_collections().await.unwrap(), ["renamed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_dir_is_never_in_scope() {
    let mut bed = Bed::made(&[]);
    bed.options.collections[0].root = bed.dir.path().to_owned();
    bed.write("tree/a.md", "a");
    fs::write(bed.options.data_dir.join("notes.md"), "the daemon's own").unwrap();
    bed.start();
    bed.scan().await;
    let paths: Vec<Vec<u8>> = bed.known().await.into_keys().collect();
    assert_eq!(paths, [b"tree/a.md"]);
    let row = bed
        .store
        .manifest_row("docs", b"data/notes.md")
        .await
        .unwrap();
    assert_eq!(row, None);
}
