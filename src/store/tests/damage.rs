//! Rows that somebody changed behind docent's back.

use super::*;

/// Publishes events that get a record each.
async fn recorded(store: &Store, events: u64) {
    for n in 1..=events {
        let seq = store.publish(report("a")).await.unwrap().seq;
        let body = format!(
            "{{\"seq\":{},\"type\":\"report.written\",\"x\":{n}}}",
            seq.0
        );
        let record = Effect::Audit(AuditRecord { event: seq.0, body });
        let outcome = Outcome::nothing().effect(record);
        settle(store, seq, Settlement::Done(outcome)).await.unwrap();
    }
}

#[tokio::test]
async fn an_audit_record_that_is_not_as_it_was_written_is_broken_whatever_its_type_is() {
    let opened = open();
    let store = &opened.store;
    recorded(store, 5).await;
    assert_eq!(records(store).await, Ok(5));
    change(store, "CREATE TABLE kept AS SELECT * FROM audit");
    for (sql, broken_at) in [
        ("UPDATE audit SET line = CAST(line AS BLOB) WHERE n = 3", 3),
        ("UPDATE audit SET line = 7 WHERE n = 3", 3),
        ("UPDATE audit SET line = line || char(0) WHERE n = 3", 3),
        (
            "UPDATE audit SET line = CAST(CAST(line AS BLOB) || x'ff' AS TEXT) WHERE n = 3",
            3,
        ),
        (
            "UPDATE audit SET line = replace(line, ',', ' ,') WHERE n = 3",
            3,
        ),
        ("UPDATE audit SET hash = CAST(hash AS BLOB) WHERE n = 3", 3),
        ("UPDATE audit SET hash = hash || char(0) WHERE n = 3", 3),
        ("UPDATE audit SET hash = upper(hash) WHERE n = 5", 5),
        ("UPDATE audit SET event = NULL WHERE n = 3", 3),
        ("UPDATE audit SET event = 100 WHERE n = 3", 3),
        ("UPDATE audit SET event = 'x' WHERE n = 3", 3),
        ("UPDATE audit SET event = -1 WHERE n = 3", 3),
        ("UPDATE audit SET at = x'00' WHERE n = 3", 3),
        ("UPDATE audit SET n = -3 WHERE n = 3", 0),
        ("UPDATE audit SET n = 30 WHERE n = 3", 4),
        (
            "UPDATE audit SET n = 9 WHERE n = 2; UPDATE audit SET n = 2 WHERE n = 3; UPDATE audit SET n = 3 WHERE n = 9",
            2,
        ),
        ("DELETE FROM audit WHERE n = 3", 4),
        ("DELETE FROM audit WHERE n = 1", 2),
        ("DELETE FROM audit WHERE n = 5", 5),
        (
            "INSERT INTO audit SELECT 0, NULL, line, hash, at FROM audit WHERE n = 3",
            0,
        ),
        ("UPDATE counter SET value = 4 WHERE name = 'audit'", 5),
    ] {
        change(store, sql);
        let verdict = store.verify_audit().await.unwrap();
        assert_eq!(verdict.unwrap_err().n, broken_at, "{sql}");
        change(
            store,
            "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; UPDATE counter SET value = 5 WHERE name = 'audit'",
        );
        assert_eq!(records(store).await, Ok(5), "{sql}");
    }
    change(
        store,
        "UPDATE audit SET line = CAST(line AS BLOB) WHERE n = 3",
    );
    let listed = store.audit_lines(0, 10).await.unwrap_err().to_string();
    assert!(
        listed.contains("table audit, the row with n 3: column line"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_holds_up_nothing_else() {
    let opened = open();
    let store = &opened.store;
    let first_event = report("a");
    let one = store.publish(first_event.clone()).await.unwrap().seq;
    let other = store.publish(report("b")).await.unwrap().seq;
    for (column, value, why) in [
        ("data", "CAST(data AS BLOB)", "column data is of type Blob"),
        ("data", "'{'", "column data: the data is not JSON"),
        ("type", "'nothing'", "there is no event type `nothing`"),
        ("subject", "''", "column subject"),
        ("id", "'7'", "column id: it is not a UUID"),
        ("time", "'noon'", "column time is of type Text"),
    ] {
        change(
            store,
            &format!(
                "CREATE TABLE kept AS SELECT * FROM event; UPDATE event SET {column} = {value} WHERE seq = {}",
                one.0
            ),
        );
        let error = store
            .events_after(Seq(0), 10)
            .await
            .unwrap_err()
            .to_string();
        let named = format!(
            "the store is damaged: table event, the row with seq {}: ",
            one.0
        );
        for part in [
            named.as_str(),
            why,
            "restore a backup of the store, or move store.db away",
        ] {
            assert!(error.contains(part), "{column}: {error}");
        }
        let damage = store.standing().damage.unwrap();
        assert!(damage.contains("table event"), "{damage}");
        // The delivery of the other event is answered.
        let due = DueBy::new(Millis::now(), Duration::from_secs(1));
        let classes = store.classify(AUDIT, vec![one, other], due).await.unwrap();
        let damaged = OfferClass::Damaged(Some(Subject::parse("a").unwrap()));
        assert_eq!(classes[0], damaged, "{column}");
        assert!(matches!(classes[1], OfferClass::Due { .. }), "{column}");
        if column == "data" {
            let again = store.publish(first_event.clone()).await.unwrap_err();
            assert!(
                again.to_string().contains("the store is damaged"),
                "{again}"
            );
        }
        change(
            store,
            "DELETE FROM event; INSERT INTO event SELECT * FROM kept; DROP TABLE kept",
        );
    }
    change(
        store,
        &format!(
            "UPDATE delivery SET subject = x'00' WHERE event = {}",
            one.0
        ),
    );
    assert_eq!(first(store).await, [other]);
}
