//! What somebody does to the files of a store that is open.

use std::path::PathBuf;

use super::*;

/// Waits until something is so.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Opened {
    fn file(&self, name: &str) -> PathBuf {
        self.place.dir.path().join(name)
    }

    fn close(self) -> TempDir {
        drop(self.store);
        assert!(self.closer.close());
        self.place.dir
    }
}

fn refused(result: Result<PublishedEvent, WriteError>, file: &str, how: &str) {
    let Err(WriteError::Unavailable(cause)) = result else {
        panic!("it was published: {result:?}");
    };
    for part in [file, how, PUT_BACK] {
        assert!(cause.contains(part), "{cause}");
    }
}

#[tokio::test]
async fn nothing_is_written_while_a_file_is_not_in_its_place_and_all_goes_on_when_it_is_back() {
    let opened = open();
    let store = &opened.store;
    store.publish(report("before")).await.unwrap();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let (file, away) = (opened.file(name), opened.file("away"));
        std::fs::rename(&file, &away).unwrap();
        let known = || store.standing().replaced.is_some();
        until("it is noticed though nobody writes", known).await;
        refused(
            store.publish(report("meanwhile")).await,
            name,
            "was removed or renamed",
        );
        std::fs::copy(&away, &file).unwrap();
        refused(
            store.publish(report("meanwhile")).await,
            name,
            "was replaced by another file",
        );
        std::fs::rename(&away, &file).unwrap();
        store.publish(report("after")).await.unwrap();
        assert_eq!(store.standing().replaced, None);
    }
    let subjects = |events: Vec<Event>| -> Vec<String> {
        events.iter().map(|e| e.subject.to_string()).collect()
    };
    let written = store.events_after(Seq(0), 10).await.unwrap();
    assert_eq!(subjects(written), ["before", "after", "after", "after"]);
}

#[tokio::test]
async fn a_folder_that_was_replaced_is_noticed_and_no_second_store_is_opened_in_its_place() {
    let opened = open();
    let path = opened.place.dir.path().to_owned();
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    refused(
        opened.store.publish(report("a")).await,
        "store.db",
        "was removed or renamed",
    );
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(
        Store::open(&path, options()),
        Err(OpenError::InUse(_))
    ));
    let dir = opened.close();
    let (store, closer) = Store::open(&path, options()).unwrap();
    store.publish(report("a")).await.unwrap();
    drop(store);
    assert!(closer.close());
    drop(dir);
    std::fs::remove_dir_all(away).unwrap();
}

#[tokio::test]
async fn the_end_leaves_alone_what_others_put_in_the_place_of_its_files() {
    let opened = open();
    opened.store.publish(report("a")).await.unwrap();
    let put = ["store.db", "store.db-wal", "store.db-shm"].map(|name| opened.file(name));
    for file in &put {
        std::fs::remove_file(file).unwrap();
        std::fs::write(file, "another's").unwrap();
    }
    let dir = opened.close();
    for file in &put {
        assert_eq!(
            std::fs::read(file).unwrap(),
            b"another's",
            "{}",
            file.display()
        );
    }
    drop(dir);
}

#[tokio::test]
async fn what_a_removed_log_held_is_written_into_the_store() {
    let opened = open();
    opened.store.publish(report("a")).await.unwrap();
    std::fs::remove_file(opened.file("store.db-wal")).unwrap();
    std::fs::remove_file(opened.file("store.db-shm")).unwrap();
    let dir = opened.close();
    let (store, _closer) = Store::open(dir.path(), options()).unwrap();
    assert_eq!(store.events_after(Seq(0), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_log_is_cut_when_nobody_reads_it_and_who_holds_it_is_told() {
    let opened = open();
    let store = &opened.store;
    let log = opened.file("store.db-wal");
    let bytes = || std::fs::metadata(&log).map_or(0, |found| found.len());
    let reader = rusqlite::Connection::open(store.path()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT COUNT(*) FROM event")
        .unwrap();
    let mut written = 0;
    while bytes() <= 2 * sqlite::LOG_TOLD {
        let text = "x".repeat(60_000);
        let event = |_| {
            let mut event = report("a");
            event.data = json!({"text": text}).into();
            event
        };
        let events: Vec<NewEvent> = (0..100).map(event).collect();
        written += events.len();
        write(store, Vec::new(), events).await;
    }
    until("the held log is told", || {
        store.standing().held_log.is_some()
    })
    .await;
    drop(reader);
    until("the log is cut", || bytes() == 0).await;
    until("nothing holds it", || store.standing().held_log.is_none()).await;
    assert_eq!(store.counts(AUDIT).owed, written as i64);
}
