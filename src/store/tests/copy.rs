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

/// Copies to `engine` from the other one; gives the two places, and what was copied.
async fn copied_onto(engine: Engine) -> (Place, Place, CopySummary) {
    let (source, _) = filled().await;
    let target = Place::new(Engine::Database);
    let made = copied(folder(&source), database(&target)).await.unwrap();
    match engine {
        Engine::Database => (source, target, made),
        Engine::File => {
            let home = Place::new(Engine::File);
            let made = copied(database(&target), folder(&home)).await.unwrap();
            (target, home, made)
        }
    }
}

async fn copied_to(source: &Place, target: &Place) -> Result<CopySummary, CopyError> {
    let place = |place: &Place| match place.database {
        Some(_) => database(place),
        None => folder(place),
    };
    copied(place(source), place(target)).await
}

/// Makes of a finished copy one that was interrupted just before.
fn unfinish(target: &Place) {
    match target.database {
        Some(_) => target.change("INSERT INTO meta (name, value) VALUES ('unfinished', 'yes')"),
        None => {
            let path = target.dir.path().join("store.db");
            std::fs::rename(&path, path.with_extension("db-copy")).unwrap();
        }
    }
}

fn is_moved(result: &Result<CopySummary, CopyError>) -> bool {
    matches!(result, Err(CopyError::Open(OpenError::Moved { .. })))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_source_was_not_marked_is_replaced_by_what_the_source_is_now() {
    for engine in [Engine::File, Engine::Database] {
        let (source, target, made) = copied_onto(engine).await;
        unfinish(&target);
        source.change("DELETE FROM meta WHERE name = 'moved_to'");
        let opened = source.open(options()).await;
        opened.store.publish(report("later")).await.unwrap();
        let source = closed(opened).await;
        let again = copied_to(&source, &target).await.unwrap();
        assert_eq!(rows(&again, "event"), rows(&made, "event") + 1);
        let opened = target.open(options()).await;
        assert_eq!(opened.store.counts(AUDIT).owed, 150);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_source_was_marked_is_finished_by_copying_again() {
    for engine in [Engine::File, Engine::Database] {
        let (source, target, made) = copied_onto(engine).await;
        unfinish(&target);
        let elsewhere = copied_to(&source, &Place::new(Engine::Database)).await;
        assert!(is_moved(&elsewhere), "{elsewhere:?}");
        assert_eq!(copied_to(&source, &target).await.unwrap(), made);
        let finished = copied_to(&source, &target).await;
        assert!(is_moved(&finished), "{finished:?}");
        let opened = target.open(options()).await;
        assert_eq!(opened.store.counts(AUDIT).owed, 149);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_not_finished_is_not_used_and_only_its_own_source_replaces_it() {
    let (_, target, _) = copied_onto(Engine::Database).await;
    unfinish(&target);
    let refused = target.try_open(options()).await.map(drop).unwrap_err();
    assert!(matches!(&refused, OpenError::Unfinished(_)), "{refused}");
    let (another, _) = filled().await;
    let occupied = copied_to(&another, &target).await;
    assert!(
        matches!(occupied, Err(CopyError::Occupied(_))),
        "{occupied:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_that_was_killed_had_taken_is_free_in_the_copy() {
    let (_, source, _) = copied_onto(Engine::Database).await;
    source.change("UPDATE delivery SET holder = 'a host that is gone', token = 7");
    let target = Place::new(Engine::Database);
    copied_to(&source, &target).await.unwrap();
    let database = target.database.as_ref().unwrap();
    let held = database.run("SELECT COUNT(*) FROM delivery WHERE holder IS NOT NULL");
    assert_eq!(held.trim(), "0");
}

/// Has the database change a row of the table `event` when it is inserted.
const SPOIL: &str = "
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF NEW.seq = 77 THEN NEW.source = ''x''; END IF; RETURN NEW; END';
CREATE FUNCTION spoil_events() RETURNS event_trigger LANGUAGE plpgsql AS
    'BEGIN
        IF EXISTS (SELECT 1 FROM pg_event_trigger_ddl_commands() WHERE object_identity = ''public.event'') THEN
            CREATE TRIGGER spoil BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION spoil();
        END IF;
    END';
CREATE EVENT TRIGGER spoil_events ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION spoil_events();";

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_differs_is_not_kept_and_the_source_is_as_it_was() {
    let (source, _) = filled().await;
    let target = Place::new(Engine::Database);
    target.change(SPOIL);
    let differs = copied_to(&source, &target).await;
    assert!(
        matches!(differs, Err(CopyError::Differs("event"))),
        "{differs:?}"
    );
    let source = closed(source.open(options()).await).await;
    target.change("DROP EVENT TRIGGER spoil_events");
    copied_to(&source, &target).await.unwrap();
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
