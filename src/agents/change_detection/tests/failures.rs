//! A store that cannot be written or that refuses, and bytes that were read while they were young.

use super::*;
use crate::agents::change_detection::changed_paths::{RETRIES_MAX, SOON, TakenPath, TreePath};
use crate::agents::change_detection::pulse::Pulse;
use crate::agents::change_detection::root_identity;
use crate::agents::change_detection::tests::Bed;
use crate::store::{PublishedEvent, WriteError};

type Written = Result<Vec<PublishedEvent>, WriteError>;

/// A loop that has not turned yet.
async fn capture_loop(bed: &Bed) -> CaptureLoop {
    let agent = bed.agent();
    agent.capture_loop(Pulse::default(), None).await.unwrap()
}

/// A loop that has not turned yet, with one path taken.
async fn with_taken(bed: &Bed) -> (CaptureLoop, TakenPath) {
    let capture_loop = capture_loop(bed).await;
    let change = Change::new(ChangePriority::Watch, Instant::now(), Duration::ZERO);
    let queue = &capture_loop.queue;
    queue.add(TreePath::new(0, b"a.md"), change.of_scan(true));
    let taken = take(queue);
    (capture_loop, taken)
}

fn take(queue: &ChangedPaths) -> TakenPath {
    let later = Instant::now() + Duration::from_secs(3600);
    let mut taken = queue.take(ChangePriority::Watch, later, 1, |_| false);
    taken.remove(0)
}

/// The transaction of a path has ended.
fn end(capture_loop: &mut CaptureLoop, taken: TakenPath, written: Written) -> Result<(), Halt> {
    let young = false;
    let in_flight = InFlight::Path { taken, young };
    capture_loop.submitter.note_end(in_flight, written)?;
    capture_loop.take_commits().map(drop)
}

#[tokio::test]
async fn while_the_store_cannot_be_written_paths_stay_queued_and_the_pause_grows() {
    let bed = Bed::made(&[]);
    let (mut capture_loop, mut taken) = with_taken(&bed).await;
    let full = || Err(WriteError::Unavailable("disk full".to_owned()));
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        end(&mut capture_loop, taken, full()).unwrap();
        let queue = &capture_loop.queue;
        assert_eq!((queue.len(), queue.of_scan()), (1, 1));
        assert_eq!(queue.waiting(ChangePriority::Watch), 1);
        assert!(!capture_loop.may_work(ChangePriority::Watch));
        capture_loop.report();
        let held = bed.desk().progress().borrow().held.clone();
        assert_eq!(held.unwrap(), "the store cannot be written: disk full");
        // The pause is over; the next attempt fails too.
        let length = capture_loop.submitter.end_pause();
        assert_eq!(length, Duration::from_secs(seconds));
        assert!(capture_loop.may_work(ChangePriority::Watch));
        taken = take(&capture_loop.queue);
    }
    end(&mut capture_loop, taken, Ok(Vec::new())).unwrap();
    capture_loop.report();
    let queue = &capture_loop.queue;
    assert_eq!((queue.len(), queue.of_scan()), (0, 0));
    assert_eq!(bed.desk().progress().borrow().held, None);
}

#[tokio::test]
async fn a_path_that_the_store_refuses_is_read_again_ever_later() {
    let bed = Bed::made(&[]);
    let (mut capture_loop, mut taken) = with_taken(&bed).await;
    let mut waits = Vec::new();
    for attempt in 0..10 {
        let refused = Err(WriteError::Invalid("somebody was faster".to_owned()));
        let now = Instant::now();
        end(&mut capture_loop, taken, refused).unwrap();
        // The scan that found it goes on without it at last.
        assert_eq!(capture_loop.queue.of_scan(), usize::from(attempt < 2));
        assert!(!capture_loop.submitter.is_paused());
        let due = capture_loop.queue.next_due(ChangePriority::Watch);
        waits.push((due.unwrap() - now).as_secs());
        taken = take(&capture_loop.queue);
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 32, 32, 32]);
    let closed = end(&mut capture_loop, taken, Err(WriteError::Closed));
    assert!(closed.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_runs_waits_for_a_commit_or_a_file_and_never_for_a_tick_alone() {
    let bed = Bed::made(&[]);
    bed.write("a.md", "one");
    bed.write("b.md", "two");
    let mut capture_loop = capture_loop(&bed).await;
    let mut captured = 0;
    loop {
        while capture_loop.step().await.unwrap() {}
        if !capture_loop.scanner.is_scanning() {
            break;
        }
        let waits = |priority: &ChangePriority| {
            capture_loop.scanner.has_work(*priority)
                || capture_loop.queue.next_due(*priority).is_some()
        };
        let commits = capture_loop.submitter.commits_in_flight();
        captured = captured.max(commits);
        assert!(
            commits > 0 || ChangePriority::ALL.iter().any(waits),
            "the scan waits for nothing, and ends with the next tick"
        );
        capture_loop.wait().await.unwrap();
    }
    assert!(captured > 0, "nothing was captured");
}

#[tokio::test]
async fn what_was_read_while_it_was_young_is_read_again() {
    let bed = Bed::made(&[]);
    let (mut capture_loop, taken) = with_taken(&bed).await;
    let young = true;
    let (in_flight, written) = (InFlight::Path { taken, young }, Ok(Vec::new()));
    capture_loop.submitter.note_end(in_flight, written).unwrap();
    capture_loop.take_commits().unwrap();
    let queue = &capture_loop.queue;
    assert_eq!((queue.len(), queue.of_scan()), (1, 0));
    assert!(take(queue).change().reread);
}

#[tokio::test]
async fn a_path_that_cannot_be_reached_is_read_again_and_left_to_the_scans_at_last() {
    let bed = Bed::made(&[]);
    // The rules of its directory cannot be read: whether the file is in scope is unknown.
    for folder in ["objects", "refs"] {
        std::fs::create_dir_all(bed.at("sub/.git").join(folder)).unwrap();
    }
    std::fs::write(bed.at("sub/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
    let config = format!("[core]\nexcludesFile = {}\n", "x".repeat(300));
    std::fs::write(bed.at("sub/.git/config"), config).unwrap();
    std::fs::write(bed.at("sub/a.md"), "a").unwrap();
    let mut capture_loop = capture_loop(&bed).await;
    let (_, id) = root_identity::open(&bed.root()).unwrap();
    capture_loop.roots.adopt(0, id);
    let queue = capture_loop.queue.clone();
    let change = Change::new(ChangePriority::Watch, Instant::now(), Duration::ZERO);
    queue.add(TreePath::new(0, b"sub/a.md"), change.of_scan(true));
    for failures in 0..RETRIES_MAX {
        take(&queue).put_back(|change| {
            assert_eq!(change.failures, failures);
            change.due = Instant::now();
        });
        assert!(capture_loop.capture(ChangePriority::Watch).await.unwrap());
        // No scan waits for the next attempt.
        assert_eq!((queue.len(), queue.of_scan()), (1, 0));
        let wait = queue.next_due(ChangePriority::Watch).unwrap() - Instant::now();
        assert!(wait > SOON / 2, "{wait:?}");
    }
    take(&queue).put_back(|change| change.due = Instant::now());
    assert!(capture_loop.capture(ChangePriority::Watch).await.unwrap());
    assert_eq!(queue.len(), 0);
}

#[tokio::test]
async fn a_capture_in_flight_below_a_directory_that_went_is_read_again() {
    let bed = Bed::made(&[]);
    let mut capture_loop = capture_loop(&bed).await;
    let (_, id) = root_identity::open(&bed.root()).unwrap();
    capture_loop.roots.adopt(0, id);
    let urgent = || Change::new(ChangePriority::Watch, Instant::now(), Duration::ZERO);
    let file = TreePath::new(0, b"d/x.md");
    for path in [file.clone(), TreePath::new(0, b"dx.md")] {
        capture_loop.queue.add(path, urgent());
        let (taken, young) = (take(&capture_loop.queue), false);
        let in_flight = InFlight::Path { taken, young };
        let transaction = CaptureTransaction::default();
        let submitted = capture_loop.submitter.submit(in_flight, transaction, None);
        submitted.await.unwrap();
    }
    capture_loop.queue.add(TreePath::new(0, b"d"), urgent());
    assert!(capture_loop.capture(ChangePriority::Watch).await.unwrap());
    let CaptureLoop {
        scanner,
        roots,
        submitter,
        queue,
        ..
    } = &mut capture_loop;
    assert!(scanner.has_work(ChangePriority::Watch));
    let in_flight = submitter.paths_in_flight();
    let advanced = scanner.advance(ChangePriority::Watch, roots, in_flight);
    assert!(advanced.await.unwrap());
    let again = take(queue);
    assert_eq!(again.path(), &file);
    assert_eq!(queue.waiting(ChangePriority::Watch), 0);
}
