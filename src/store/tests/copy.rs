//! Copying a store from one engine to the other.

use super::*;

/// Closes the store; gives where it was.
async fn closed(opened: Opened) -> Place {
    let Opened {
        store,
        closer,
        place,
    } = opened;
    drop(store);
    let closing = tokio::task::spawn_blocking(|| closer.close());
    assert!(closing.await.unwrap());
    place
}

async fn copied(from: StorePlace, to: StorePlace) -> Result<CopySummary, CopyError> {
    let copying = tokio::task::spawn_blocking(move || copy(&from, &to, |_, _| ()));
    copying.await.unwrap()
}

fn folder(place: &Place) -> StorePlace {
    StorePlace::Folder(place.dir.path().to_owned())
}

fn database(place: &Place) -> StorePlace {
    let database = place.database.as_ref().unwrap();
    StorePlace::Database(std::sync::Arc::new(database.reached()))
}

fn rows(summary: &CopySummary, table: &str) -> u64 {
    let found = summary.tables.iter().find(|copied| copied.name == table);
    found.unwrap().rows
}

/// A store in a file, with more events than are written at a time.
async fn filled() -> (Place, String) {
    let opened = open();
    let store = &opened.store;
    for n in 0..150 {
        store.publish(report(&format!("s{n}"))).await.unwrap();
    }
    let record = AuditRecord {
        event: 1,
        body: r#"{"type":"report.written"}"#.to_owned(),
    };
    let audited = Outcome::nothing().effect(Effect::Audit(record));
    settle(store, Seq(1), Settlement::Done(audited))
        .await
        .unwrap();
    let lost = Settlement::Permanent("broken: \u{1F4A5}".to_owned());
    settle(store, Seq(2), lost).await.unwrap();
    let id = store.id().to_owned();
    (closed(opened).await, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_copied_to_a_database_and_back_and_what_was_copied_does_not_open_any_more() {
    let (source, id) = filled().await;
    let target = Place::new(Engine::Database);
    let there = copied(folder(&source), database(&target)).await.unwrap();
    let expected = [("event", 151), ("delivery", 152), ("audit", 1)];
    for (table, count) in expected {
        assert_eq!(rows(&there, table), count, "{table}");
    }
    let refused = Store::open(source.dir.path(), options())
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(&refused, OpenError::Moved { to, .. } if to.starts_with("postgres://")),
        "{refused}"
    );

    let opened = target.open(options()).await;
    let store = &opened.store;
    assert!(store.id() != id && store.identity().is_copy_of(&id));
    assert_eq!(first(store).await.len(), 100);
    assert_eq!(store.counts(AUDIT).owed, 149);
    assert_eq!(store.counts(AUDIT).dead, 1);
    assert!(store.verify_audit().await.unwrap().is_ok());
    assert_eq!(store.publish(report("new")).await.unwrap().seq, Seq(152));
    let target = closed(opened).await;

    let home = Place::new(Engine::File);
    let back = copied(database(&target), folder(&home)).await.unwrap();
    assert_eq!(rows(&back, "event"), 152);
    let opened = home.open(options()).await;
    assert!(opened.store.identity().is_copy_of(&id));
    assert_eq!(opened.store.counts(AUDIT).owed, 150);
    assert!(opened.store.verify_audit().await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_made_before_its_source_was_marked_is_compared_and_counts_only_if_it_is_equal()
 {
    let (source, _) = filled().await;
    let target = Place::new(Engine::Database);
    let made = copied(folder(&source), database(&target)).await.unwrap();
    source.change("DELETE FROM meta WHERE name = 'moved_to'");
    let again = copied(folder(&source), database(&target)).await.unwrap();
    assert_eq!(made, again);
    source.change("DELETE FROM meta WHERE name = 'moved_to'");
    target.change("UPDATE event SET source = 'x' WHERE seq = 77");
    let differs = copied(folder(&source), database(&target)).await;
    assert!(
        matches!(differs, Err(CopyError::Differs("event"))),
        "{differs:?}"
    );
    // The source is as it was.
    Store::open(source.dir.path(), options()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_copied_over_another_store_or_from_nothing() {
    let (source, _) = filled().await;
    let taken = closed(open_on(Engine::Database).await).await;
    let occupied = copied(folder(&source), database(&taken)).await;
    assert!(
        matches!(occupied, Err(CopyError::Occupied(_))),
        "{occupied:?}"
    );
    let occupied = copied(database(&taken), folder(&source)).await;
    assert!(
        matches!(occupied, Err(CopyError::Occupied(_))),
        "{occupied:?}"
    );
    let nothing = Place::new(Engine::Database);
    let absent = copied(folder(&nothing), database(&nothing)).await;
    assert!(matches!(absent, Err(CopyError::Absent(_))), "{absent:?}");
    let absent = copied(database(&nothing), folder(&nothing)).await;
    assert!(matches!(absent, Err(CopyError::Absent(_))), "{absent:?}");
    let opened = source.open(options()).await;
    let in_use = copied(folder(&opened.place), database(&nothing)).await;
    assert!(
        matches!(in_use, Err(CopyError::Open(OpenError::InUse(_)))),
        "{in_use:?}"
    );
}
