//! Scans: what they find, when they end, how they are asked for, and what holds them up.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::store::Effect;

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_what_changed_while_nobody_watched() {
    let mut bed = Bed::with(&[
        ("a.md", "a"),
        ("b.md", "b"),
        ("gone/c.md", "c"),
        ("k.md", "keep"),
    ])
    .await;
    bed.stop().await;
    bed.write("a.md", "edited");
    fs::remove_dir_all(bed.at("gone")).unwrap();
    bed.write("new/d.md", "d");
    fs::rename(bed.at("b.md"), bed.at("e.md")).unwrap();
    let events = bed.events().await.len();
    bed.start();
    bed.scan().await;
    // A scan ends when all is captured: no waiting here.
    bed.agrees().await;
    assert_eq!(bed.events().await.len(), events + 5);
    // And a second one has nothing to tell.
    bed.scan().await;
    assert_eq!(bed.events().await.len(), events + 5);
    assert_eq!(bed.desk.progress().borrow().seen, 4);
    assert_eq!(bed.desk.progress().borrow().changed, 0);
}

/// A bed whose files must rest for seconds.
fn slow() -> Bed {
    let mut bed = Bed::made(&[]);
    bed.options.debounce = Duration::from_secs(3);
    bed.options.stable_after = Duration::from_secs(60);
    bed
}

/// Writes the rest of `a.md` after a while that is far shorter than the debounce; gives what a scan that was asked for
/// before that comes to.
async fn rest_is_written(bed: &Bed) {
    let number = bed.desk.scans().ask();
    // The scan has seen it, has had time to read it, and is not through with it.
    let mut progress = bed.desk.progress();
    let marked = progress.wait_for(|p| p.changed == 1);
    tokio::time::timeout(DEADLINE, marked)
        .await
        .unwrap()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bed.events().await.len(), 0);
    bed.write("a.md", "half and the rest");
    tokio::time::timeout(DEADLINE, bed.desk.scans().ended(number))
        .await
        .unwrap();
    bed.agrees().await;
    assert_eq!(bed.events().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_file_that_a_watch_saw_is_not_captured_and_a_scan_waits_for_its_rest() {
    let mut bed = slow();
    bed.start();
    bed.scan().await;
    bed.write("a.md", "half");
    rest_is_written(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_file_that_only_a_scan_saw_is_not_captured_either() {
    let mut bed = slow();
    bed.write("a.md", "half");
    bed.start();
    rest_is_written(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_a_collection_and_for_paths_are_fulfilled_and_go() {
    let bed = Bed::with(&[("a.md", "a"), ("sub/b.md", "b")]).await;
    for subject in [
        "docs",
        "docs/a.md",
        "docs/sub",
        "docs/sub/",
        "docs/no/such.md",
    ] {
        bed.request(subject, "test").await;
    }
    assert_eq!(bed.store.scan_requests().await.unwrap().len(), 5);
    bed.fulfilled().await;
    let row = bed.store.scans().await.unwrap().remove(0);
    assert_eq!((row.collection.as_str(), row.files), ("docs", 2));
    bed.request("docs/a.md", "test").await;
    bed.fulfilled().await;
    // One of a path leaves the record of the whole one.
    let after = bed.store.scans().await.unwrap().remove(0);
    assert_eq!((after.began_at, after.files), (row.began_at, 2));
    // What is no place in a collection asks for nothing.
    for subject in [
        "nothing",
        "nothing/a.md",
        "docs/../etc/passwd",
        "docs//a.md",
        "docs/a\\x00.md",
        "store",
    ] {
        bed.request(subject, "test").await;
    }
    assert!(bed.store.scan_requests().await.unwrap().is_empty());
    bed.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_collection_that_is_gone_does_not_stay() {
    let bed = Bed::with(&[]).await;
    let request = Effect::ScanRequested {
        collection: "gone".to_owned(),
        path: None,
        reason: "test".to_owned(),
    };
    write(&bed.store, vec![request], Vec::new()).await;
    bed.fulfilled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scanning_pauses_while_too_much_is_owed_and_edits_go_on() {
    let mut bed = Bed::made(&[AgentName::DocumentManagement]);
    bed.options.owed_high = 20;
    for n in 0..400 {
        bed.write(&format!("{n}.md"), "text");
    }
    tokio::time::sleep(bed.options.debounce * 2).await;
    bed.start();
    let captured = |known: &Known| {
        known
            .values()
            .filter(|k| k.0 == FileState::Captured)
            .count()
    };
    bed.until("some are captured", |k| captured(k) > 20).await;
    // Nobody takes what is owed. An edit passes, and when it has, the rest still waits.
    bed.until("it has stopped at a batch or two", |k| captured(k) >= 64)
        .await;
    bed.write("0.md", "edited");
    let edited = Digest::of(b"edited");
    bed.until("the edit", |k| {
        k.values().any(|v| v.1.as_ref() == Some(&edited))
    })
    .await;
    assert!(
        captured(&bed.known().await) < 300,
        "{}",
        captured(&bed.known().await)
    );
    assert!(bed.desk.progress().borrow().pending > 0);
    assert!(bed.desk.progress().borrow().scanning.is_some());
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_stop_under_the_floor_of_free_space_and_removals_go_on() {
    let mut bed = Bed::with(&[("a.md", "a"), ("b.md", "b")]).await;
    bed.stop().await;
    bed.options.free_space_floor = u64::MAX;
    bed.start();
    let mut progress = bed.desk.progress();
    tokio::time::timeout(DEADLINE, progress.wait_for(|p| p.held.is_some()))
        .await
        .unwrap()
        .unwrap();
    bed.write("new.md", "n");
    fs::remove_file(bed.at("b.md")).unwrap();
    bed.until("the removal", |k| !k.contains_key(b"b.md".as_slice()))
        .await;
    assert!(!bed.known().await.contains_key(b"new.md".as_slice()));
    assert!(bed.desk.progress().borrow().pending > 0);
    bed.stop().await;
    bed.options.free_space_floor = 0;
    bed.start();
    bed.scan().await;
    bed.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_anywhere_is_made_up_for_by_the_next() {
    let mut bed = Bed::made(&[]);
    for n in 0..600 {
        bed.write(&format!("d{}/{n}.md", n % 5), &format!("text {n}"));
    }
    for round in 0..5 {
        bed.start();
        let some = 100 * round + 1;
        bed.until("some are captured", |k| k.len() > some).await;
        // Not told to stop: dropped where it stands, as when it stalls.
        let (_, task) = bed.run.take().unwrap();
        task.abort();
        bed.write(&format!("d0/{round}.md"), "edited meanwhile");
    }
    bed.start();
    bed.scan().await;
    bed.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_small_files_are_captured_quickly() {
    let mut bed = Bed::made(&[]);
    for n in 0..1000 {
        bed.write(
            &format!("d{}/{n}.md", n % 20),
            &"word ".repeat(200 + n % 300),
        );
    }
    tokio::time::sleep(bed.options.debounce * 2).await;
    let began = std::time::Instant::now();
    bed.start();
    bed.scan().await;
    let took = began.elapsed();
    bed.agrees().await;
    // A quarter of a second on an idle machine; a commit each would take many times the bound.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[derive(Debug, Clone)]
enum Deed {
    Write(String, u8),
    Remove(String),
    Move(String, String),
    Ignore(String, &'static str),
    Wait,
}

fn deed() -> impl Strategy<Value = Deed> {
    let path = || "([abc]/){0,2}[xyz]\\.(md|md|txt)";
    let directory = || "[abc](/[abc])?";
    prop_oneof![
        5 => (path(), any::<u8>()).prop_map(|(p, n)| Deed::Write(p, n)),
        2 => path().prop_map(Deed::Remove),
        1 => directory().prop_map(Deed::Remove),
        2 => (directory(), directory()).prop_map(|(a, b)| Deed::Move(a, b)),
        1 => (path(), path()).prop_map(|(a, b)| Deed::Move(a, b)),
        1 => ("(|a/|b/c/)", prop::sample::select(vec!["x.md\n", "b/\n", "!x.md\n", ""]))
            .prop_map(|(d, t)| Deed::Ignore(d, t)),
        1 => Just(Deed::Wait),
    ]
}

/// Does it if it can be done; what stands in its way is part of the game.
async fn perform(bed: &Bed, deed: &Deed) {
    let done = match deed {
        Deed::Write(path, n) => {
            let path = bed.at(path);
            fs::create_dir_all(path.parent().unwrap())
                .and_then(|()| fs::write(path, [b'a' + n % 4]))
        }
        Deed::Remove(path) if bed.at(path).is_dir() => fs::remove_dir_all(bed.at(path)),
        Deed::Remove(path) => fs::remove_file(bed.at(path)),
        Deed::Move(from, to) => fs::rename(bed.at(from), bed.at(to)),
        Deed::Ignore(directory, text) => fs::write(bed.at(&format!("{directory}.gitignore")), text),
        Deed::Wait => {
            tokio::time::sleep(Duration::from_millis(80)).await;
            Ok(())
        }
    };
    done.ok(); // a directory in the way, nothing there: the next deed follows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_tree_the_manifest_follows(deeds in prop::collection::vec(deed(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut bed = Bed::with(&[("a/x.md", "1"), ("b/c/y.md", "2")]).await;
            for deed in &deeds {
                perform(&bed, deed).await;
            }
            bed.follows().await;
            bed.scan().await;
            bed.agrees().await;
            bed.stop().await;
        });
    }
}
