//! `docent check`: the config, and what it needs of this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::helper::{Run, World};

fn check(world: &World) -> (i32, Value) {
    let run = world.cli(["check", "--json"]);
    let found = run.json().unwrap_or_else(|| panic!("{}", run.stderr()));
    (run.code(), found)
}

/// Of what was found missing: the topics.
fn topics(found: &Value) -> Vec<&str> {
    let lacks = found["environment"].as_array().expect("a list").iter();
    lacks
        .map(|lack| lack["check"].as_str().expect("a topic"))
        .collect()
}

#[test]
fn what_the_machine_lacks_is_told_with_what_to_do() {
    let world = World::new("[store]\nfree_space_floor = \"1KiB\"");
    world.write("a.md", "# A\n");
    let (code, found) = check(&world);
    assert_eq!((code, topics(&found).len()), (0, 0), "{found}");
    assert!(!world.data().exists(), "a check makes nothing");
    let file = found["file"].as_str().expect("the file that was read");
    assert!(file.ends_with("docent.toml"), "{file}");

    // A running daemon has the store.
    let daemon = world.start();
    world.wait();
    let (code, found) = check(&world);
    assert_eq!((code, topics(&found).len()), (0, 0), "{found}");
    assert!(
        found["notes"][0]
            .as_str()
            .is_some_and(|n| n.contains("a daemon is using")),
        "{found}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    // Nobody has it: its pages and the index's checksums are looked at.
    let (code, found) = check(&world);
    assert_eq!((code, &found["notes"]), (0, &json!([])), "{found}");
    let index = world.data().join("index");
    let files = fs::read_dir(&index).expect("the index").flatten();
    let segment = files
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "store"));
    let segment = segment.expect("a file of a segment");
    let mut bytes = fs::read(&segment).expect("read");
    bytes[0] ^= 0xFF;
    fs::write(&segment, bytes).expect("written");
    fs::set_permissions(world.data(), fs::Permissions::from_mode(0o755)).expect("the mode");
    fs::rename(world.docs(), world.path().join("aside")).expect("moved");
    fs::write(world.data().join("docent.sock"), "").expect("written");
    let (code, found) = check(&world);
    assert_eq!(code, 1);
    assert_eq!(
        topics(&found),
        ["collections", "data_dir", "socket", "index"],
        "{found}"
    );
    for lack in found["environment"].as_array().expect("a list") {
        let text = |key: &str| lack[key].as_str().unwrap_or_default().len();
        assert!(text("what") > 20 && text("remedy") > 10, "{lack}");
    }
    let text = world.cli(["check"]);
    assert!(text.stdout().contains("chmod 700"), "{}", text.stdout());
    // The file alone is right.
    assert_eq!(world.cli(["check", "--no-environment"]).code(), 0);
    world.configure("shutdown_timeout = 5");
    assert_eq!(check(&world).0, 78);
}

#[test]
fn without_a_config_file_it_says_that_none_was_read() {
    let world = World::new("");
    if std::path::Path::new("/etc/docent/docent.toml").exists() {
        return; // docent is installed here: then there is a file
    }
    let check = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docent"));
        command.args(["check", "--no-environment"]).args(more);
        Run::of(command.env_clear().current_dir(world.path()))
    };
    let run = check(&[]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    assert!(
        run.stderr().contains("no config file was read"),
        "{}",
        run.stderr()
    );
    let found = check(&["--json"]).json().expect("JSON");
    assert_eq!(found["file"], Value::Null);
}

#[test]
fn a_pattern_that_run_refuses_is_a_mistake_with_its_line() {
    let world = World::new("exclude = [\"[a\"]\ninclude = [\n  \"*.md\",\n  \"../x\",\n]");
    let (code, found) = check(&world);
    assert_eq!(code, 78, "{found}");
    let problems = found["problems"].as_array().expect("a list");
    let told: Vec<(&str, &str)> = problems
        .iter()
        .map(|p| {
            (
                p["key"].as_str().unwrap_or(""),
                p["what"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(told.len(), 2, "{found}");
    assert_eq!(
        (told[0].0, told[1].0),
        ("collection[0].exclude", "collection[0].include")
    );
    assert!(
        told[0].1.contains("\"[a\"") && told[1].1.contains("\"../x\""),
        "{found}"
    );
    let (code, log) = world.refused();
    assert_eq!(code, 78, "{log}");
}
