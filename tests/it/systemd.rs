//! The unit, under a real systemd and journald that have a machine's root to themselves. That needs root: `tests/run` runs it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::helper::lines;

const DOCENT: &str = env!("CARGO_BIN_EXE_docent");
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// How long the lab may take.
const SECONDS: &str = "120";

fn shipped(name: &str) -> PathBuf {
    Path::new(REPOSITORY).join("systemd").join(name)
}

/// The unit in a folder of its own, with the binary under test in the place of the installed one.
fn unit(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(shipped("docent.service")).expect("the unit");
    assert!(text.contains("ExecStart=/usr/bin/docent run"), "{text}");
    let path = folder.join("docent.service");
    fs::write(&path, text.replace("/usr/bin/docent", DOCENT)).expect("a copy of the unit");
    path
}

fn analyze(arguments: &[&str], unit: &Path) -> (Option<i32>, String, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output()
        .expect("systemd-analyze runs; it is in the Debian package systemd");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_unit_is_verified_without_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = unit(folder.path());
    let (code, out, err) = analyze(&["verify", "--man=no"], &unit);
    // A key that it does not know is a warning, and code 0.
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), "", ""),
        "{err}"
    );
    let text = fs::read_to_string(&unit).expect("the unit");
    fs::write(&unit, text.replace("WatchdogSec", "WachdogSec")).expect("a mistake");
    let (_, _, err) = analyze(&["verify", "--man=no"], &unit);
    assert!(err.contains("WachdogSec"), "a mistake is not told: {err}");
}

#[test]
fn the_unit_is_hardened() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = unit(folder.path());
    let arguments = ["security", "--offline=yes", "--threshold=15", "--no-pager"];
    let (code, out, _) = analyze(&arguments, &unit);
    assert_eq!(code, Some(0), "{out}");
    let text = fs::read_to_string(&unit).expect("the unit");
    fs::write(&unit, text.replace("ProtectSystem=strict", "")).expect("a weaker unit");
    assert_ne!(analyze(&arguments, &unit).0, Some(0), "it passes anything");
}

#[test]
fn the_config_of_the_unit_is_right_and_the_two_agree() {
    let run = Command::new(DOCENT)
        .args(["check", "--no-environment", "--config"])
        .arg(shipped("docent.toml"))
        .output()
        .expect("check runs");
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    let shown = Command::new(DOCENT)
        .args(["config", "show", "--config"])
        .arg(shipped("docent.toml"))
        .output()
        .expect("config show runs");
    let shown = String::from_utf8(shown.stdout).expect("text");
    let unit = fs::read_to_string(shipped("docent.service")).expect("the unit");
    for (key, line) in [
        ("supervisor.watchdog = \"30s\"", "WatchdogSec=30s\n"),
        ("supervisor.stop_timeout = \"1min\"", "TimeoutStopSec=60s\n"),
        ("data_dir = \"/var/lib/docent\"", "StateDirectory=docent\n"),
        ("control.group = \"docent\"", "Group=docent\n"),
    ] {
        assert!(shown.contains(key), "{key} is not in\n{shown}");
        assert!(unit.contains(line), "{line} is not in the unit");
    }
}

/// The first block of this language after a heading of `docs/scaling.md`.
fn shown(heading: &str, language: &str) -> String {
    let page = Path::new(REPOSITORY).join("docs/scaling.md");
    let page = fs::read_to_string(page).expect("docs/scaling.md");
    let (_, section) = page.split_once(heading).expect("the heading");
    let fence = format!("```{language}\n");
    let (_, block) = section.split_once(&fence).expect("the block");
    block.split("```").next().unwrap_or_default().to_owned()
}

#[test]
fn the_drop_in_and_the_config_of_a_host_are_right() {
    const HEADING: &str = "\n## Hosts under systemd\n";
    let folder = tempfile::tempdir().expect("a folder");
    let unit = unit(folder.path());
    let drop_in = folder.path().join("docent.service.d/host.conf");
    fs::create_dir(folder.path().join("docent.service.d")).expect("a folder");
    let text = shown(HEADING, "ini");
    fs::write(&drop_in, &text).expect("the drop-in");
    let (code, out, err) = analyze(&["verify", "--man=no"], &unit);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), "", ""),
        "{err}"
    );
    fs::write(&drop_in, text.replace("LoadCredential", "LoadCredentail")).expect("a mistake");
    let (_, _, err) = analyze(&["verify", "--man=no"], &unit);
    assert!(
        err.contains("LoadCredentail"),
        "the drop-in is not read: {err}"
    );
    // The config with what the drop-in adds to it, as systemd hands it over.
    let config = folder.path().join("docent.toml");
    fs::write(&config, shown(HEADING, "toml")).expect("the config");
    let credentials = "/run/credentials/docent.service";
    let variables = text
        .lines()
        .filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
        .map(|(name, value)| (name, value.replace("%d", credentials)));
    let run = Command::new(DOCENT)
        .args(["config", "show", "--config"])
        .arg(&config)
        .envs(variables)
        .output()
        .expect("config show runs");
    let shown = String::from_utf8(run.stdout).expect("text");
    for line in [
        "instance = \"docs-1\"",
        "store.password_file = \"/run/credentials/docent.service/database-password\"",
        "store.ca_file = \"/etc/docent/database-ca.pem\"",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

/// What the lab has left.
struct Lab(tempfile::TempDir);

impl Lab {
    /// Boots it and waits for its end.
    fn boot() -> Lab {
        let lab = Lab(tempfile::tempdir().expect("a folder"));
        fs::set_permissions(lab.0.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let boot = Path::new(REPOSITORY).join("tests/it/systemd/boot");
        let run = Command::new(boot)
            .args([DOCENT, REPOSITORY])
            .arg(lab.0.path())
            .arg(SECONDS)
            .output()
            .expect("the lab boots");
        let done = run.status.success() && lab.0.path().join("done").exists();
        let told = [
            "failed",
            "inside.log",
            "status.txt",
            "journal.txt",
            "boot.log",
        ];
        let told: Vec<String> = told.iter().map(|name| lab.text(name)).collect();
        let err = String::from_utf8_lossy(&run.stderr);
        assert!(done, "the lab failed: {err}\n{}", told.join("\n--\n"));
        lab
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    /// What `systemctl show` said at a step.
    fn shown(&self, step: &str) -> BTreeMap<String, String> {
        let text = self.text(step);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn unit_is(&self, step: &str, expected: &[(&str, &str)]) {
        let shown = self.shown(step);
        for (key, value) in expected {
            assert_eq!(shown[*key], *value, "{step}: {shown:?}");
        }
    }
}

#[test]
#[ignore = "needs root to boot a systemd of its own"]
fn systemd_starts_watches_and_stops_it_and_the_journal_has_its_fields() {
    let lab = Lab::boot();
    // Before the first start nothing that systemd makes is missing, and root is told how the service's user looks for itself.
    let checked = lab.text("check-as");
    assert!(
        checked.contains("no mistakes")
            && checked.contains("exit 0")
            && checked.contains("(StateDirectory)"),
        "{}{checked}",
        lab.text("check")
    );
    // Type=notify: it is active because READY=1 came.
    let running = ("SubState", "running");
    lab.unit_is(
        "started",
        &[("ActiveState", "active"), running, ("NRestarts", "0")],
    );
    lab.unit_is(
        "working",
        &[("StatusText", "7/7 agents, 0 owed, 1 documents")],
    );
    assert_eq!(
        lab.text("files").lines().collect::<Vec<_>>(),
        [
            "/run/docent docent docent 750",
            "/run/docent/docent.sock docent docent 660",
            "/var/lib/docent docent docent 700",
        ]
    );
    let found: Value = serde_json::from_str(&lab.text("search")).expect("an answer");
    assert_eq!(found["hits"][0]["path"], "plants.md", "{found}");
    assert!(
        lab.text("member").contains("exit 0"),
        "{}",
        lab.text("member")
    );
    assert!(
        lab.text("stranger").contains("exit 77"),
        "{}",
        lab.text("stranger")
    );
    lab.unit_is("killed", &[running, ("NRestarts", "1")]);
    // A process that hangs sends no pings: it is killed and started again.
    lab.unit_is("hung", &[running, ("NRestarts", "2")]);
    // Two threads are lost to handlers that block: exit 70, and a new process gets them back.
    lab.unit_is("gave_up", &[running, ("NRestarts", "3")]);
    lab.unit_is(
        "stopped",
        &[
            ("SubState", "dead"),
            ("Result", "success"),
            ("ExecMainStatus", "0"),
        ],
    );
    lab.unit_is(
        "refused",
        &[
            ("SubState", "failed"),
            ("ExecMainStatus", "78"),
            ("NRestarts", "0"),
        ],
    );
    journal(&lab);
}

/// What the journal has of docent, by field.
fn journal(lab: &Lab) {
    let journal = lines(&lab.text("journal"));
    let ours: Vec<&Value> = journal
        .iter()
        .filter(|line| line["_COMM"] == "docent")
        .collect();
    let line = |message: &str| -> &Value {
        let found = ours.iter().find(|line| {
            line["MESSAGE"]
                .as_str()
                .is_some_and(|m| m.starts_with(message))
        });
        found.unwrap_or_else(|| panic!("no line says {message:?}: {ours:#?}"))
    };
    for (message, priority) in [
        ("started", "5"),
        ("ready", "5"),
        ("stopping: ", "5"),
        ("stopped", "5"),
        ("a full scan begins", "6"),
        ("SIGHUP has no effect", "4"),
        ("a delivery failed for good", "3"),
        ("/etc/docent/docent.toml:1: nonsense: ", "3"),
    ] {
        let line = line(message);
        assert_eq!(line["PRIORITY"], priority, "{line:#}");
        assert_eq!(line["SYSLOG_IDENTIFIER"], "docent", "{line:#}");
    }
    let dead = line("a delivery failed for good");
    assert_eq!(dead["DOCENT_AGENT"], "test", "{dead:#}");
    assert_eq!(dead["DOCENT_SUBJECT"], "lab");
    assert_eq!(dead["DOCENT_EVENT"], lab.text("dead").trim());
    let table = include_str!("../../src/telemetry/lines.rs");
    for (name, line) in [
        ("docent.started", line("started")),
        ("docent.ready", line("ready")),
        ("event.dead_lettered", dead),
    ] {
        let row = table.split("    line(\"").find(|row| row.starts_with(name));
        let id = row.and_then(|row| row.split('"').nth(2)).expect("its id");
        assert_eq!(line["MESSAGE_ID"], id, "{name}");
    }
    for ended in [
        "Watchdog timeout",
        "status=9/KILL",
        "status=70",
        "status=78",
    ] {
        let told = |line: &Value| line["MESSAGE"].as_str().is_some_and(|m| m.contains(ended));
        assert!(journal.iter().any(told), "systemd does not say {ended}");
    }
    assert!(lab.text("by-agent").contains("failed for good"));
    let severe = lab.text("by-priority");
    assert!(
        severe.contains("failed for good") && !severe.contains("full scan"),
        "{severe}"
    );
}
