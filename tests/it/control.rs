//! The control socket, and what happens to the process that serves it from outside.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::helper::{Daemon, Run, World};

/// The command line in a working directory that was removed.
fn from_a_removed_directory(world: &World, arguments: &[&str], config: &str) -> Run {
    let gone = world.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let docent = world.command(["--version"]);
    let script = format!(
        "cd '{0}' && rmdir '{0}' && exec '{1}' {2} {config}",
        gone.display(),
        docent.get_program().display(),
        arguments.join(" "),
    );
    Run::of(Command::new("sh").args(["-c", &script]))
}

#[test]
fn absolute_paths_need_no_working_directory() {
    let world = World::new("");
    world.write("a.md", "# Anchor");
    let _daemon = world.start();
    world.wait();
    let absolute = format!("--config {}", world.config().display());
    for arguments in [
        &["status"][..],
        &["wait"],
        &["search", "anchor"],
        &["check"],
        &["config", "show"],
        &["documents", "--json"],
    ] {
        let run = from_a_removed_directory(&world, arguments, &absolute);
        assert_eq!(run.code(), 0, "{arguments:?}: {}", run.stderr());
    }
    let run = from_a_removed_directory(&world, &["status"], "--config docent.toml");
    assert_eq!(run.code(), 2);
    assert!(
        run.stderr()
            .contains("it is relative to the working directory, which no longer exists"),
        "{}",
        run.stderr()
    );
}

#[test]
fn a_daemon_runs_from_a_working_directory_that_was_removed() {
    let world = World::new("");
    world.write("a.md", "# Anchor");
    let gone = world.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let mut command = world.command(["run"]);
    command.current_dir(&gone);
    let _daemon = world.spawn_as(command);
    fs::remove_dir(&gone).unwrap();
    world.until("it runs", || world.cli(["status"]).code() == 0);
    world.wait();
    assert_eq!(world.search("anchor"), ["a.md"]);
}

#[test]
fn a_process_that_was_frozen_says_so_and_blames_nobody() {
    let world = World::new("[delivery]\nstall_timeout = \"3s\"\n");
    world.write("a.md", "# Anchor");
    let daemon = world.start();
    world.wait();
    daemon.signal("STOP");
    for n in 0..30 {
        world.write(&format!("{n}.md"), format!("# New {n}"));
    }
    // Longer than a handler, a duty (5 s more) and an unsteady machine may take.
    std::thread::sleep(Duration::from_secs(12));
    daemon.signal("CONT");
    world.wait();
    world.until("the log says it", || {
        world.log().contains("this process was stopped for")
    });
    let agents = world.cli(["agent", "list", "--json"]).json().unwrap();
    for agent in agents["agents"].as_array().unwrap() {
        assert_eq!(agent["restarts"], 0, "{agent}");
        assert_eq!(agent["failed"], 0, "{agent}");
    }
    let log = world.log();
    assert!(!log.contains("made no progress"), "{log}");
    assert!(world.events("agent.restarted").is_empty());
    assert!(world.events("health.issue").is_empty());
}

#[test]
fn a_control_socket_that_disappears_is_bound_again() {
    let world = World::new("");
    let daemon = world.start();
    let socket = world.data().join("docent.sock");
    let answers = || world.cli(["status"]).code() == 0;
    fs::remove_file(&socket).unwrap();
    world.until("it is bound again", answers);
    assert!(world.log().contains("it is bound again"), "{}", world.log());

    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "foreign").unwrap();
    world.until("the log says why it cannot be bound", || {
        world.log().contains("cannot be bound again") && world.log().contains("is not a socket")
    });
    assert_eq!(fs::read_to_string(&socket).unwrap(), "foreign");
    fs::remove_file(&socket).unwrap();
    world.until("it is bound again", answers);
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(daemon.stop(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_socket_in_a_folder_that_others_may_write_to_is_refused() {
    let world = World::new("[control]\nsocket = \"run/docent.sock\"\n");
    let run = world.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
    let check = world.cli(["check"]);
    assert_eq!(check.code(), 1);
    assert!(
        check
            .stdout()
            .contains("users other than its owner may write to"),
        "{}",
        check.stdout()
    );
    let (code, said) = world.refused();
    assert_eq!(code, 77, "{said}");
    assert!(
        said.contains("users other than its owner may write to"),
        "{said}"
    );
}

/// What a process holds in memory, in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn readers_that_do_not_read_cost_little_memory_and_shut_nobody_out() {
    let world = World::new("");
    let daemon = world.start();
    let text = "y".repeat(60_000);
    let lines: String = (0..300)
        .map(|n| format!("{{\"type\":\"report.written\",\"subject\":\"{n}\",\"data\":{{\"x\":\"{text}\"}}}}\n"))
        .collect();
    fs::write(world.path().join("events"), lines).unwrap();
    let mut publish = world.command(["publish", "--stdin"]);
    publish.stdin(fs::File::open(world.path().join("events")).unwrap());
    assert!(publish.stdout(Stdio::null()).status().unwrap().success());
    world.settled();

    let before = resident(&daemon);
    let targets = ["/events", "/audit", "/events?type=report.written"];
    let readers: Vec<UnixStream> = (0..200)
        .map(|n| {
            let mut reader = UnixStream::connect(world.data().join("docent.sock")).unwrap();
            let request = format!("GET /api/v1{} HTTP/1.1\r\nHost: x\r\n\r\n", targets[n % 3]);
            reader.write_all(request.as_bytes()).unwrap();
            reader
        })
        .collect();
    for mut reader in &readers {
        reader.read_exact(&mut [0; 15]).unwrap();
    }
    assert_eq!(world.cli(["status"]).code(), 0);
    let held = resident(&daemon).saturating_sub(before) / 1024;
    assert!(held < 200, "200 readers hold {held} MiB");
    // Nobody who reads is any the worse for it.
    let listed = world.cli(["events", "list", "--json", "--type", "report.written"]);
    assert_eq!(listed.stdout().lines().count(), 300);
}

#[test]
fn json_hides_nothing() {
    let world = World::new("");
    let _daemon = world.start();
    let hidden = "\u{7f}\u{9b}2J\u{202e}\u{200b}";
    let data = format!("{{\"x\":\"{hidden}\"}}");
    let published = world.cli([
        "publish",
        "report.written",
        "--subject",
        "x",
        "--data",
        &data,
    ]);
    assert_eq!(published.code(), 0, "{}", published.stderr());
    world.settled();
    let id = published.stdout().trim().to_owned();
    for arguments in [
        &["events", "list", "--json"][..],
        &["events", "show", &id, "--json"],
        &["audit", "list", "--json"],
    ] {
        let text = world.cli(arguments).stdout();
        assert!(
            !text.contains(['\u{7f}', '\u{9b}', '\u{202e}', '\u{200b}']),
            "{text}"
        );
    }
    assert_eq!(world.events("report.written")[0]["data"]["x"], hidden);
    assert_eq!(world.cli(["audit", "verify"]).code(), 0);
}
