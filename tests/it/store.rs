//! The store's files in the hands of others, and the data of events as they were written.

use std::fs;

use crate::helper::World;

const ID: &str = "11111111-1111-4111-8111-111111111111";

/// Numbers that a float does not hold, or that it would write otherwise.
const DATA: &str = r#"{"n":[12345678901234567890123,18446744073709551616,-0,1.0,1e5,1E400,0.10000000000000000001]}"#;

#[test]
fn numbers_in_the_data_of_an_event_are_kept_as_they_were_written() {
    let world = World::new("");
    let daemon = world.start();
    let publish = |data: &str| {
        let data = data.to_owned();
        world.cli([
            "publish",
            "report.written",
            "--subject",
            "n",
            "--id",
            ID,
            "--data",
            &data,
        ])
    };
    let first = publish(DATA);
    assert_eq!(first.code(), 0, "{}", first.stderr());
    assert_eq!(
        publish(&DATA.replace(',', " ,\n")).code(),
        0,
        "the same content"
    );
    for other in [
        "...123,",
        "18446744073709551617",
        "1.00",
        "1e400",
        "0.10000000000000000002",
    ] {
        let data = match other {
            "...123," => DATA.replace("0123,", "0124,"),
            "18446744073709551617" => DATA.replace("1616,", "1617,"),
            "1.00" => DATA.replace("1.0,", "1.00,"),
            "1e400" => DATA.replace("1E400", "1e400"),
            _ => DATA.replace("001]", "002]"),
        };
        let run = publish(&data);
        assert_eq!(run.code(), 65, "{other}: {}", run.stderr());
    }
    let kept = format!("\"data\":{DATA}");
    world.until("it is recorded", || {
        world
            .cli(["audit", "list", "--json"])
            .stdout()
            .contains(&kept)
    });
    for verb in [
        vec!["events", "show", ID, "--json"],
        vec!["events", "list", "--json", "--type", "report.written"],
        vec!["audit", "list", "--json"],
    ] {
        let run = world.cli(&verb);
        assert!(
            run.stdout().contains(&kept),
            "{verb:?}: {}{}",
            run.stdout(),
            run.stderr()
        );
    }
    let shown = world.cli(["events", "show", ID]);
    assert!(shown.stdout().contains(DATA), "{}", shown.stdout());
    assert_eq!(world.cli(["audit", "list"]).code(), 0);
    assert_eq!(world.cli(["audit", "verify"]).code(), 0);

    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    for (data, why) in [
        (r#"{"a":1,"a":2}"#, "the key `a` twice"),
        (deep.as_str(), "nested deeper"),
        ("[1]", "not a JSON object"),
    ] {
        let run = world.cli([
            "publish",
            "report.written",
            "--subject",
            "n",
            "--data",
            data,
        ]);
        assert_eq!(run.code(), 65, "{why}");
        assert!(run.stderr().contains(why), "{}", run.stderr());
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_store_whose_files_are_gone_is_noticed_and_written_again_when_they_are_back() {
    let socket = tempfile::tempdir().unwrap();
    let world = World::new(&format!(
        "[control]\nsocket = \"{}/s\"",
        socket.path().display()
    ));
    let daemon = world.start();
    world.wait();
    let publish = || {
        world.cli([
            "publish",
            "report.written",
            "--subject",
            "n",
            "--data",
            "{}",
        ])
    };
    assert_eq!(publish().code(), 0);
    let away = world.path().join("away");
    fs::rename(world.data(), &away).unwrap();
    let refused = publish();
    assert_ne!(refused.code(), 0);
    assert_eq!(refused.stdout(), "");
    for part in ["store.db was removed or renamed", "put the same file back"] {
        assert!(refused.stderr().contains(part), "{}", refused.stderr());
    }
    let issues = world.cli(["health", "--json"]).json().unwrap();
    assert!(
        issues
            .to_string()
            .contains("\"detector\":\"store_replaced\""),
        "{issues}"
    );
    assert_eq!(world.status()["state"], "degraded");
    assert!(
        world.log().contains("store.db was removed or renamed"),
        "{}",
        world.log()
    );

    let (code, said) = world.refused();
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("another docent already runs on"), "{said}");

    fs::remove_dir_all(world.data()).ok();
    fs::rename(&away, world.data()).unwrap();
    world.until("it is written again", || publish().code() == 0);
    // An agent that waited for the store tries again after its pause.
    world.until("status tells no more of it", || {
        !world.status()["wrong"].to_string().contains("store.db")
    });
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_record_that_somebody_made_a_blob_of_is_named_by_verify() {
    let world = World::new("");
    let daemon = world.start();
    world.write("a.md", "# A\n");
    world.wait();
    world.until("there are records", || world.audit().len() >= 3);
    let other = rusqlite::Connection::open(world.data().join("store.db")).unwrap();
    other
        .execute("UPDATE audit SET line = CAST(line AS BLOB) WHERE n = 2", [])
        .unwrap();
    drop(other);
    let run = world.cli(["audit", "verify"]);
    assert_eq!(run.code(), 65);
    assert!(
        run.stdout().contains("broken at record 2: "),
        "{}",
        run.stdout()
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// Has the daemon's own tables changed by another program; `from` becomes `to` in one record of the audit log.
fn change_record(world: &World, n: u64, from: &str, to: &str) {
    let store = rusqlite::Connection::open(world.data().join("store.db")).expect("the store");
    let changed = store.execute(
        "UPDATE audit SET line = replace(line, ?2, ?3) WHERE n = ?1 AND line LIKE '%' || ?2 || '%'",
        rusqlite::params![n, from, to],
    );
    assert_eq!(changed, Ok(1), "record {n} says {from}");
}

#[test]
fn a_broken_chain_of_the_audit_log_is_an_issue_until_a_check_finds_it_whole() {
    let world = World::new("[health]\nprobe = \"1s\"");
    let issues = || world.cli(["health", "--json"]).json().expect("issues")["issues"].clone();
    let is_told = |open: bool| {
        let status = world.status();
        let gauge = format!("\ndocent_audit_broken {}", u8::from(open));
        (status["state"] == "degraded") == open
            && issues().as_array().map(Vec::is_empty) == Some(!open)
            && world.get("/metrics").1.contains(&gauge)
    };
    world.write("a.md", "# Anchor");
    let daemon = world.start();
    world.wait();
    world.settled();
    assert_eq!(issues(), serde_json::json!([]));

    change_record(&world, 2, "\"n\"", "\"m\"");
    assert_eq!(world.cli(["jobs", "run", "maintenance"]).code(), 0);
    world.until("the daily check finds it", || is_told(true));
    let issue = &issues()[0];
    assert_eq!(issue["detector"], "audit_broken");
    assert_eq!(issue["severity"], "error");
    let value = issue["value"].as_str().expect("what was found");
    assert!(value.starts_with("record 2: "), "{value}");
    let status = world.cli(["status"]);
    assert_eq!(status.code(), 1);
    let what = "the chain of the audit log is broken at record 2: ";
    assert!(status.stdout().contains(what), "{}", status.stdout());
    assert!(status.stdout().contains("docent audit verify"));
    assert_eq!(world.events("health.issue").len(), 1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    // It is still open after a restart, and what is still broken is told as it was.
    let daemon = world.start();
    assert_eq!(world.status()["state"], "degraded");
    world.until("it was checked again by itself", || is_told(true));
    assert_eq!(world.events("health.issue").len(), 1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    change_record(&world, 2, "\"m\"", "\"n\"");
    let daemon = world.start();
    world.until("it is whole again", || is_told(false));
    assert_eq!(world.events("health.recovered").len(), 1);

    // A check that an operator asks for counts as well.
    change_record(&world, 3, "\"n\"", "\"m\"");
    assert_eq!(world.cli(["audit", "verify"]).code(), 65);
    world.until("the operator's check found it", || is_told(true));
    change_record(&world, 3, "\"m\"", "\"n\"");
    assert_eq!(world.cli(["audit", "verify"]).code(), 0);
    world.until("the operator's check found it whole", || is_told(false));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
