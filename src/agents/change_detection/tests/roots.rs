//! Roots that go and come back, and collections that leave the config.

use std::fs;

use super::*;

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

#[tokio::test(flavor = "multi_thread")]
async fn another_directory_in_the_place_of_the_root_is_the_tree_now() {
    let bed = Bed::with(&[("a.md", "a"), ("b.md", "b")]).await;
    let other = bed.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("b.md"), "b, the other").unwrap();
    fs::rename(bed.root(), bed.dir.path().join("aside")).unwrap();
    fs::rename(&other, bed.root()).unwrap();
    bed.follows().await;
    bed.write("b.md", "edited");
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
    // Also for a life that never saw the volume.
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
