//! Searches that wait: what was on disk when they came is in their answer, or the answer says that it may not be.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::helper::{DEADLINE, Daemon, World};
use crate::load::Over;

/// A search that waits 2 seconds: the paths of its hits, and what was not waited for.
fn search(world: &World, query: &str) -> (Vec<String>, Option<String>) {
    search_within(world, query, "2s")
}

/// The same of a search that waits so long.
fn search_within(world: &World, query: &str, wait: &str) -> (Vec<String>, Option<String>) {
    let run = world.cli(["search", query, "--wait", wait, "--json"]);
    let answer = run.json().unwrap_or_else(|| panic!("{}", run.stderr()));
    let path = |hit: &Value| hit["path"].as_str().unwrap().to_owned();
    let hits = answer["hits"].as_array().unwrap().iter().map(path);
    let missing = answer["missing"].as_str().map(str::to_owned);
    assert_eq!(missing.is_some(), !answer["waited"].is_null(), "{answer}");
    (hits.collect(), missing)
}

/// That the next search that waits finds a word first at this path, and that nothing is missing.
fn assert_found(world: &World, path: &str, word: &str) {
    let (hits, missing) = search(world, word);
    let first = hits.first().map(String::as_str);
    assert_eq!((first, missing), (Some(path), None), "{hits:?}");
}

/// A word that no other edit has.
fn word(n: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + u8::try_from(digit).unwrap());
    let letters = [n / 100 % 10, n / 10 % 10, n % 10].map(letter);
    format!("quux{}", letters.iter().collect::<String>())
}

/// Edits the documents in the ways of editors and programs, one after the other; gives where the word of the edit stands.
pub(crate) fn edit(world: &World, n: usize) -> (String, String) {
    let word = word(n);
    let text = format!("# Edit {n}\n\nThe word of it is {word}.\n");
    let path = match n % 4 {
        0 => "place.md".to_owned(),
        1 => "renamed.md".to_owned(),
        2 => format!("new/{n}.md"),
        _ => format!("folder{n}/below/it.md"),
    };
    if n % 4 == 1 {
        world.write("beside.tmp", &text);
        fs::rename(world.docs().join("beside.tmp"), world.docs().join(&path)).unwrap();
    } else {
        world.write(&path, &text);
    }
    (path, word)
}

/// How many scans of everything the daemon has logged.
fn scans(world: &World) -> usize {
    let log = world.log();
    log.matches("a full scan begins").count()
}

#[test]
fn an_edit_is_found_by_the_next_search_that_waits_200_of_200_times_and_nothing_is_scanned() {
    let world = World::new("");
    world.write("place.md", "# Before\n");
    let _daemon = world.start();
    world.wait();
    let (before, mut found) = (scans(&world), 0);
    let began = Instant::now();
    for n in 0..200 {
        let (path, word) = edit(&world, n);
        assert_found(&world, &path, &word);
        found += 1;
    }
    println!("{found} edits in {:?}", began.elapsed());
    assert_eq!((found, scans(&world) - before), (200, 0));
}

#[test]
fn what_is_removed_is_not_in_the_next_answer_that_waited() {
    let world = World::new("");
    for n in 0..20 {
        world.write(&format!("tree{n}/below/a.md"), "# Marmalade\n");
    }
    let _daemon = world.start();
    world.wait();
    for n in 0..20 {
        let tree = world.docs().join(format!("tree{n}"));
        if n % 2 == 0 {
            fs::remove_dir_all(tree).unwrap();
        } else {
            fs::rename(tree, world.path().join(format!("elsewhere{n}"))).unwrap();
        }
        let (hits, missing) = search(&world, "marmalade");
        let gone = format!("tree{n}/below/a.md");
        assert_eq!(missing, None);
        assert!(!hits.contains(&gone), "{hits:?}");
    }
}

#[test]
fn where_no_marker_can_be_made_everything_is_scanned_and_the_edit_is_found() {
    let world = World::new("");
    world.write("place.md", "# Before\n");
    let _daemon = world.start();
    world.wait();
    let markers = world.data().join("markers");
    fs::remove_dir_all(&markers).unwrap();
    fs::write(&markers, "").unwrap();
    let before = scans(&world);
    let (path, word) = edit(&world, 3);
    assert_found(&world, &path, &word);
    assert_eq!(scans(&world), before + 1);
    assert!(world.log().contains("markers do not work"));
    fs::remove_file(&markers).unwrap();
    let before = scans(&world);
    let (path, word) = edit(&world, 7);
    assert_found(&world, &path, &word);
    assert_eq!(scans(&world), before, "markers can be made again");
}

/// Renames a file to and fro until the kernel must have dropped notifications of whoever does not read them.
fn overflow(folder: &Path) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let (to, fro) = (folder.join("to"), folder.join("fro"));
    fs::write(&to, "").unwrap();
    // Four notifications each time, so twice as many as there is room for.
    for _ in 0..=limit / 2 {
        fs::rename(&to, &fro).unwrap();
        fs::rename(&fro, &to).unwrap();
    }
}

/// A daemon that is stopped until this goes, also when a test fails: who waits for its answer must not wait for ever.
struct Stopped<'a>(&'a Daemon);

impl<'a> Stopped<'a> {
    fn new(daemon: &'a Daemon) -> Self {
        daemon.signal("STOP");
        Stopped(daemon)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.signal("CONT");
    }
}

#[test]
fn an_edit_whose_notification_is_lost_while_a_marker_is_under_way_is_found_by_the_next_search_that_waits()
 {
    let world = World::new("");
    world.write("place.md", "# Before\n");
    let daemon = world.start();
    world.wait();
    // The folder of the markers is there.
    search(&world, "before");
    let markers = world.data().join("markers");
    let made = || fs::metadata(&markers).unwrap().modified().unwrap();
    let losses = || world.log().matches("notifications were lost").count();
    // Each way of editing once. Of more than five losses the log may be silent.
    for n in 0..4 {
        let (last, lost) = (made(), losses());
        std::thread::scope(|scope| {
            let first = scope.spawn(|| search(&world, "before"));
            let deadline = Instant::now() + DEADLINE;
            while made() == last {
                assert!(
                    Instant::now() < deadline,
                    "no marker within {DEADLINE:?}\n{}",
                    world.log()
                );
                std::thread::yield_now();
            }
            let stopped = Stopped::new(&daemon);
            overflow(&world.docs());
            let (path, word) = edit(&world, n);
            drop(stopped);
            let (hits, missing) = search_within(&world, &word, "60s");
            assert_eq!((hits.first(), missing), (Some(&path), None), "{hits:?}");
            first.join().expect("the search before it is answered too");
        });
        assert!(losses() > lost, "{}", world.log());
    }
}

#[test]
fn answers_while_files_change_without_a_pause_have_the_edit_or_say_that_it_may_be_missing() {
    let world = World::new("");
    world.write("place.md", "# Before\n");
    let _daemon = world.start();
    world.wait();
    let stop = AtomicBool::new(false);
    let (mut path, mut word) = Default::default();
    std::thread::scope(|scope| {
        let _ends = Over(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                overflow(&world.docs());
            }
        });
        for n in 0..8 {
            (path, word) = edit(&world, n);
            let (hits, missing) = search(&world, &word);
            assert!(hits.first() == Some(&path) || missing.is_some(), "{hits:?}");
        }
    });
    let (hits, missing) = search_within(&world, &word, "60s");
    assert_eq!((hits.first(), missing), (Some(&path), None), "{hits:?}");
}

#[test]
fn a_root_that_is_polled_is_walked_for_searches_that_wait_once_in_10_s_and_they_say_so() {
    let world = World::new("watch = \"poll\"\n[watch]\npoll = \"1h\"\n");
    world.write("place.md", "# Before\n");
    let _daemon = world.start();
    world.wait();
    let mut found_at = Vec::new();
    for n in 0..2 {
        let (path, word) = edit(&world, 4 * n + 2);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let (hits, missing) = search(&world, &word);
            if hits.first() == Some(&path) {
                break;
            }
            let missing = missing.expect("an answer without the edit says so");
            assert!(missing.contains("are not notified"), "{missing}");
            assert!(Instant::now() < deadline, "never found");
        }
        found_at.push(Instant::now());
    }
    assert!(found_at[1] - found_at[0] > Duration::from_secs(9));
    // Of a file that an answer shows, it is seen without any notification that it has changed.
    world.write("place.md", "# Before and after\n");
    assert_eq!(search(&world, "before").0[0], "place.md");
    let read = world
        .cli(["read", "docs/place.md", "--json"])
        .json()
        .unwrap();
    assert_eq!(read["text"], "# Before and after\n");
}

#[test]
fn a_root_that_is_replaced_is_noticed_by_the_next_search_that_waits() {
    let world = World::new("");
    world.write("place.md", "# Marmalade\n");
    let _daemon = world.start();
    world.wait();
    let aside = world.path().join("aside");
    fs::rename(world.docs(), &aside).unwrap();
    let (_, missing) = search(&world, "marmalade");
    assert!(missing.is_some(), "the file cannot be looked at");
    fs::rename(&aside, world.docs()).unwrap();
    let (path, word) = edit(&world, 2);
    assert_found(&world, &path, &word);
}

#[test]
fn a_folder_that_was_renamed_is_still_watched_when_its_old_path_comes_and_goes() {
    let world = World::new("");
    world.write("old/below/a.md", "# Before\n");
    let _daemon = world.start();
    world.wait();
    let old = world.docs().join("old");
    fs::rename(&old, world.docs().join("new")).unwrap();
    assert_found(&world, "new/below/a.md", "before");
    fs::create_dir(&old).unwrap();
    assert_found(&world, "new/below/a.md", "before");
    fs::create_dir(old.join("below")).unwrap();
    fs::remove_dir(old.join("below")).unwrap();
    assert_found(&world, "new/below/a.md", "before");
    world.write("new/below/b.md", "# Marmalade\n");
    assert_found(&world, "new/below/b.md", "marmalade");
}

#[test]
fn while_changes_keep_coming_it_is_told_up_to_when_all_of_them_are_searchable() {
    let world = World::new("");
    world.write("first.md", "# First\n");
    let daemon = world.start();
    world.wait();
    let began = jiff::Timestamp::now();
    let over = AtomicBool::new(false);
    // When each page was there.
    let written = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let write = || {
            for n in 0..1000 {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let text = format!("# A page\n\nIts word is {}.\n", word(n));
                world.write(&format!("page{n}.md"), text);
                written.lock().unwrap().push(jiff::Timestamp::now());
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        scope.spawn(write);
        let _over = Over(&over);
        world.until(
            "it has come on by seconds while changes are pending",
            || {
                let freshness = world.status()["freshness"].clone();
                let complete = freshness["complete_to"].as_str().unwrap_or_default();
                let complete: jiff::Timestamp = complete.parse().unwrap_or(began);
                // What is written is noticed a moment later.
                let noticed = complete - jiff::SignedDuration::from_millis(500);
                let newest = written.lock().unwrap().iter().rposition(|at| *at < noticed);
                if let Some(n) = newest {
                    let found = world.search(&format!("\"{}\"", word(n)));
                    assert!(!found.is_empty(), "page {n}, complete to {complete}");
                }
                let is_pending = freshness["pending"].as_u64() > Some(0);
                is_pending && complete.duration_since(began).as_secs() >= 5
            },
        );
    });
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
