//! The queue of changed paths.

use super::*;

const MS: Duration = Duration::from_millis(1);

fn queue() -> ChangedPaths {
    ChangedPaths::new(3, 100 * MS)
}

#[test]
fn a_path_is_taken_when_it_is_due_and_not_while_it_is_busy() {
    let (queue, now) = (queue(), Instant::now());
    let path = TreePath::new(0, b"a.md");
    queue.add(
        path.clone(),
        Change::new(ChangePriority::Watch, now, 50 * MS),
    );
    assert!(
        queue
            .take(ChangePriority::Watch, now, 9, |_| false)
            .is_empty()
    );
    assert_eq!(queue.next_due(ChangePriority::Watch), Some(now + 50 * MS));
    let later = now + 50 * MS;
    assert!(
        queue
            .take(ChangePriority::Watch, later, 9, |_| true)
            .is_empty()
    );
    let taken = queue
        .take(ChangePriority::Watch, later, 9, |_| false)
        .remove(0);
    assert_eq!(taken.path(), &path);
    assert_eq!((queue.len(), queue.waiting(ChangePriority::Watch)), (1, 0));
    taken.settle();
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_taken_path_that_is_not_settled_goes_back() {
    let (queue, now) = (queue(), Instant::now());
    let change = Change::new(ChangePriority::Scan, now, MS).of_scan(true);
    queue.add(TreePath::new(0, b"a.md"), change.clone());
    let take = || queue.take(ChangePriority::Scan, now + 9 * MS, 9, |_| false);
    drop(take());
    assert_eq!((queue.len(), queue.of_scan()), (1, 1));
    assert_eq!(take()[0].change(), &change);
    take().remove(0).put_back(|change| change.due += 5 * MS);
    assert_eq!(queue.next_due(ChangePriority::Scan), Some(now + 6 * MS));
    assert_eq!((queue.len(), queue.of_scan()), (1, 1));
}

#[test]
fn queueing_again_puts_the_reading_off_but_not_beyond_the_patience() {
    let (queue, now) = (queue(), Instant::now());
    for ms in (0..1000).step_by(40) {
        let change = Change::new(ChangePriority::Watch, now + ms * MS, 50 * MS);
        queue.add(TreePath::new(0, b"a"), change);
    }
    assert_eq!(queue.next_due(ChangePriority::Watch), Some(now + 100 * MS));
}

#[test]
fn a_scan_waits_for_its_paths_and_a_watch_makes_one_urgent() {
    let (queue, now) = (queue(), Instant::now());
    let path = TreePath::new(0, b"a");
    let of_scan = || Change::new(ChangePriority::Scan, now, MS).of_scan(true);
    queue.add(path.clone(), of_scan());
    queue.add(path.clone(), of_scan());
    assert_eq!(queue.of_scan(), 1);
    queue.add(path.clone(), Change::new(ChangePriority::Watch, now, MS));
    let waiting = ChangePriority::ALL.map(|p| queue.waiting(p));
    assert_eq!(waiting, [1, 0]);
    let taken = queue.take(ChangePriority::Watch, now + MS, 9, |_| false);
    // Queued again while it is taken: the scan waits for both.
    queue.add(path, of_scan());
    assert_eq!(queue.of_scan(), 2);
    drop(taken);
    assert_eq!((queue.of_scan(), queue.len()), (1, 1));
    queue.clear(0);
    assert_eq!((queue.of_scan(), queue.len()), (0, 0));
}

#[test]
fn a_marker_waits_for_its_paths_and_makes_them_due() {
    let (queue, now) = (queue(), Instant::now());
    let path = TreePath::new(0, b"a");
    let noticed = || Change::new(ChangePriority::Watch, now, 50 * MS);
    queue.add(path.clone(), noticed().before(Some(3)));
    queue.add(TreePath::new(0, b"b"), noticed());
    queue.hurry(2, now);
    assert_eq!(queue.next_due(ChangePriority::Watch), Some(now + 50 * MS));
    queue.hurry(3, now);
    assert_eq!(queue.first_marker(), Some(3));
    let taken = queue.take(ChangePriority::Watch, now, 9, |_| false);
    assert_eq!(taken.len(), 1, "nobody waits for the other");
    // Changed again while it is read: the first marker waits for what was taken, and then for both.
    queue.add(path.clone(), noticed().before(Some(4)));
    assert_eq!(queue.first_marker(), Some(3));
    drop(taken);
    assert_eq!(queue.first_marker(), Some(3));
    let taken = queue.take(ChangePriority::Watch, now, 9, |_| false);
    taken.into_iter().for_each(TakenPath::settle);
    assert_eq!(queue.first_marker(), None);
    // What is found for a marker that has arrived is due at once.
    queue.add(path, noticed().before(Some(3)));
    assert_eq!(queue.next_due(ChangePriority::Watch), Some(now));
    queue.clear(0);
    assert_eq!(queue.first_marker(), None);
}

#[test]
fn there_is_room_for_so_many_and_no_more() {
    let (queue, now) = (queue(), Instant::now());
    let add = |name| {
        queue.add(
            TreePath::new(0, name),
            Change::new(ChangePriority::Watch, now, MS),
        )
    };
    for name in [b"a", b"b", b"c", b"a"] {
        add(name);
    }
    assert!(!queue.take_overflow());
    add(b"d");
    assert_eq!(queue.len(), 3);
    assert!(queue.take_overflow() && !queue.take_overflow());
}

#[test]
fn the_first_change_that_was_noticed_is_known_until_it_is_settled_unless_one_may_be_older() {
    let (queue, now) = (queue(), Instant::now());
    let path = |name: &str| TreePath::new(0, name.as_bytes());
    let noticed = |at| Change::new(ChangePriority::Watch, at, Duration::ZERO);
    let take = |priority| {
        let mut taken = queue.take(priority, now + 99 * MS, 1, |_| false);
        taken.remove(0)
    };
    assert_eq!(queue.first_noticed(), None);
    queue.add(path("a"), noticed(now));
    queue.add(path("b"), noticed(now + 5 * MS));
    queue.add(path("a"), noticed(now + 7 * MS));
    assert_eq!(queue.first_noticed(), Some(now));
    let first = take(ChangePriority::Watch);
    assert_eq!(queue.first_noticed(), Some(now), "it is under way");
    let path_taken = first.path().clone();
    first.settle();
    let left = if path_taken == path("a") {
        now + 5 * MS
    } else {
        now
    };
    assert_eq!(queue.first_noticed(), Some(left));
    let found = Change::new(ChangePriority::Scan, now + 8 * MS, Duration::ZERO);
    queue.add(path("c"), found);
    assert_eq!(queue.first_noticed(), None, "a scan found one");
    take(ChangePriority::Scan).settle();
    assert_eq!(queue.first_noticed(), Some(left));
    take(ChangePriority::Watch).put_back(|change| change.put_off(now));
    assert_eq!(queue.first_noticed(), None, "an attempt at it failed");
    queue.clear(0);
    queue.add(path("d"), noticed(now));
    assert_eq!(queue.first_noticed(), Some(now), "nothing else is counted");
}
