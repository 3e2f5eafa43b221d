//! Markers: what was changed before one is captured when it has ended.

use super::*;

/// A bed whose files must rest for a minute, with an agent that has scanned it.
async fn patient(files: &[(&str, &str)]) -> Bed {
    let mut bed = Bed::with(files).await;
    bed.stop().await;
    bed.options.stable_after = Duration::from_secs(60);
    bed.options.debounce = Duration::from_secs(60);
    bed.start();
    bed.scan().await;
    bed
}

async fn marked(bed: &Bed) {
    let number = bed.desk.markers().ask();
    let ended = tokio::time::timeout(DEADLINE, bed.desk.markers().ended(number)).await;
    ended.unwrap_or_else(|_| {
        panic!(
            "the marker does not end: {:?}",
            bed.desk.progress().borrow()
        )
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_captures_what_was_changed_before_it_without_a_scan_and_without_the_debounce() {
    let bed = patient(&[("a.md", "a"), ("b.md", "b"), ("sub/c.md", "c")]).await;
    let scan = bed.desk.scans().next();
    for n in 0..20 {
        bed.write("a.md", &format!("again {n}"));
        bed.write(&format!("new{n}/folder/d.md"), &format!("new {n}"));
        std::fs::rename(bed.at("sub"), bed.at("moved")).unwrap();
        marked(&bed).await;
        bed.agrees().await;
        std::fs::rename(bed.at("moved"), bed.at("sub")).unwrap();
        std::fs::remove_dir_all(bed.at(&format!("new{n}"))).unwrap();
        marked(&bed).await;
        bed.agrees().await;
    }
    assert_eq!(bed.desk.scans().next(), scan);
    // Nothing is left of the markers.
    assert!(
        std::fs::read_dir(bed.options.data_dir.join("markers"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_together_shares_a_marker() {
    let bed = patient(&[("a.md", "a")]).await;
    let numbers: Vec<u64> = (0..100).map(|_| bed.desk.markers().ask()).collect();
    let last = *numbers.last().unwrap();
    assert!(last - numbers[0] <= 1, "{numbers:?}");
    let ended = tokio::time::timeout(DEADLINE, bed.desk.markers().ended(last)).await;
    ended.unwrap();
    assert!(bed.desk.markers().next() <= last + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_waits_for_the_scan_that_no_notification_makes_up_for() {
    let mut bed = Bed::made(&[]);
    bed.write("a.md", "a");
    // Asked for before anything is watched.
    let number = bed.desk.markers().ask();
    bed.start();
    let ended = tokio::time::timeout(DEADLINE, bed.desk.markers().ended(number)).await;
    ended.unwrap();
    bed.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_handed_in_is_read_by_the_next_marker_though_nothing_was_notified() {
    let mut bed = Bed::made(&[]);
    bed.options.collections[0].watch = crate::agents::change_detection::WatchMode::Poll;
    bed.write("a.md", "a");
    bed.start();
    bed.scan().await;
    bed.write("a.md", "again");
    marked(&bed).await;
    assert_ne!(
        bed.known().await,
        bed.expected(),
        "it was walked a moment ago"
    );
    bed.desk
        .hand_in(vec![("docs".to_owned(), b"a.md".to_vec())]);
    marked(&bed).await;
    bed.agrees().await;
}
