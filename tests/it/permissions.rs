//! What the daemon's user may not read. It runs as `nobody`, so these need root: `tests/run` runs them.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::helper::World;
use crate::mcp::Mcp;

/// Runs a command as the user `nobody`, who may read only what everybody may.
fn as_nobody(command: &Command) -> Command {
    let mut nobody = Command::new("setpriv");
    nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(command.get_program())
        .args(command.get_args())
        .env("NO_COLOR", "1");
    nobody
}

#[test]
#[ignore = "needs root to become a user who may not read everything"]
fn what_may_not_be_read_is_not_searchable_and_is_again_when_it_may_be() {
    let world = World::new("");
    // The world, but nothing more, is the other user's.
    let own = |path: &std::path::Path| {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("given to nobody");
    };
    let mode = |path: &str, mode: u32| {
        let path = world.docs().join(path);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path, mode).expect("the mode");
    };
    world.write("open.md", "# Open\n\nA barometer.\n");
    world.write("closed/inside.md", "# Inside\n\nA hygrometer.\n");
    world.write("secret.md", "# Secret\n\nAn anemometer.\n");
    for path in [world.path(), &world.docs()] {
        own(path);
    }
    // The binary must be one that nobody may run: the build folder may be closed to others.
    let binary = world.path().join("docent");
    fs::copy(env!("CARGO_BIN_EXE_docent"), &binary).expect("a copy of the binary");
    let mut run = Command::new(&binary);
    run.args(["run", "--config"]).arg(world.config());
    let daemon = world.spawn_as(as_nobody(&run));
    world.until("the daemon is running", || {
        world
            .cli(["status", "--json"])
            .json()
            .is_some_and(|s| s["state"] != "starting")
    });
    world.wait();
    assert_eq!(world.documents().len(), 3);

    let state = |path: &str| world.documents()[path]["state"].clone();
    mode("closed", 0o000);
    mode("secret.md", 0o000);
    // By the notifications alone.
    for (path, word) in [
        ("closed/inside.md", "hygrometer"),
        ("secret.md", "anemometer"),
    ] {
        world.until("the file is told to be unreadable", || {
            state(path) == "unreadable"
        });
        world.until("it is not searchable", || {
            !world.search(word).iter().any(|found| found == path)
        });
    }
    assert_eq!(world.cli(["scan"]).code(), 0);
    let reason = world.documents()["closed/inside.md"]["reason"].clone();
    assert!(
        reason.as_str().is_some_and(|r| r.contains("denied")),
        "{reason}"
    );
    let locked = world.docs().join("closed").display().to_string();
    let waited = world.cli(["wait"]);
    assert!(waited.stderr().contains(&locked), "{}", waited.stderr());
    assert_eq!(world.status()["collections"][0]["unlisted"][0], locked);
    world.until("health names the directory", || {
        world.cli(["health"]).stdout().contains(&locked)
    });
    let said = world.log().matches("a directory cannot be read").count();
    assert_eq!(said, 1, "{}", world.log());
    world.write("new.md", "# New\n\nA chronometer.\n");
    world.wait();
    assert_eq!(world.search("chronometer")[0], "new.md", "the rest goes on");

    mode("closed", 0o755);
    mode("secret.md", 0o644);
    let found = |word: &str, path: &str| world.search(word).first().is_some_and(|p| p == path);
    world.until("the file in the directory is back", || {
        found("hygrometer", "closed/inside.md")
    });
    world.until("the file is back", || found("anemometer", "secret.md"));

    // The root itself is closed, as a home is by its owner.
    mode("", 0o000);
    world.until("nothing of it may be read", || {
        state("open.md") == "unreadable"
    });
    world.until("nothing is searchable", || {
        world.search("barometer").is_empty()
    });
    assert!(
        world
            .cli(["status"])
            .stdout()
            .contains("let docent's user read it")
    );
    mode("", 0o755);
    world.until("all is back", || found("barometer", "open.md"));
    world.wait();
    assert_eq!(state("closed/inside.md"), "stored");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
#[ignore = "needs root to make files of another user"]
fn a_file_of_the_store_that_belongs_to_another_user_is_named_with_the_remedy() {
    let world = World::new("");
    let own = |path: &std::path::Path, uid: u32| {
        std::os::unix::fs::chown(path, Some(uid), Some(uid)).expect("another owner");
    };
    for path in [world.path(), &world.docs()] {
        own(path, 65534);
    }
    let binary = world.path().join("docent");
    fs::copy(env!("CARGO_BIN_EXE_docent"), &binary).expect("a copy of the binary");
    let nobody = |verb: &str| {
        let mut command = Command::new(&binary);
        command.arg(verb).arg("--config").arg(world.config());
        as_nobody(&command)
    };
    // Killed, so that it leaves its log behind.
    let daemon = world.spawn_as(nobody("run"));
    world.until("the daemon is running", || {
        world.cli(["status"]).code() <= 1 && world.data().join("index").is_dir()
    });
    daemon.kill();
    for name in [
        "store.db",
        "store.db-wal",
        "store.db-shm",
        "docent.lock",
        "index",
        "",
    ] {
        let path = world.data().join(name);
        let path = path.strip_prefix("").unwrap();
        own(path, 0);
        let before = world.log().len();
        let code = world.spawn_as(nobody("run")).ended();
        let said = world.log().split_off(before);
        let shown = path.display().to_string();
        let shown = shown.trim_end_matches('/');
        assert_eq!(code, Some(77), "{name}: {said}");
        for part in [
            format!("cannot use {shown}"),
            format!("chown 65534 {shown}"),
        ] {
            assert!(said.contains(&part), "{name}: {said}");
        }
        let check = nobody("check").output().expect("check runs");
        let said = String::from_utf8_lossy(&check.stdout).into_owned()
            + &String::from_utf8_lossy(&check.stderr);
        assert!(
            !check.status.success() && said.contains(shown),
            "{name}: {said}"
        );
        own(path, 65534);
    }
    let daemon = world.spawn_as(nobody("run"));
    world.until("the daemon is running", || {
        world.cli(["status"]).code() <= 1
    });
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
#[ignore = "needs root to become a user who may not use the socket"]
fn an_agent_that_may_not_use_the_socket_is_told_in_one_sentence_what_admits_it() {
    let world = World::new("");
    world.write("a.md", "# Anchor\n");
    let _daemon = world.start();
    world.wait();
    // Everybody may read the config and run the binary; the socket is root's alone.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(world.path(), mode).expect("the mode");
    let binary = world.path().join("docent");
    fs::copy(env!("CARGO_BIN_EXE_docent"), &binary).expect("a copy of the binary");
    let mut command = Command::new(&binary);
    command.args(["mcp", "--config"]).arg(world.config());
    let mut mcp = Mcp::start_as(as_nobody(&command));
    for (tool, arguments) in [
        ("search", json!({"query": "anchor"})),
        ("read", json!({"ref": "docs/a.md"})),
        ("cite", json!({"ref": "docs/a.md", "quote": "anchor"})),
        ("status", json!({})),
    ] {
        let why = mcp.refusal(tool, arguments);
        assert!(
            why.contains("may not") && why.contains("[control] group"),
            "{why}"
        );
    }
}
