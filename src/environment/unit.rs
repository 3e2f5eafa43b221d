//! Whether the installed service unit gives docent the time that the config asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::EnvironmentReport;
use crate::config::{Config, WATCHDOG_MARGIN, format_duration, shell_word};

/// Where systemd looks for units; the first directory takes precedence.
pub(super) const FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

const UNIT: &str = "docent.service";

/// How long systemd waits for a stop if the unit does not say.
const STOP_DEFAULT: Duration = Duration::from_secs(90);

/// The keys that make the service manager create directories before the service starts, and where these are.
const MADE: [(&str, &str); 5] = [
    ("RuntimeDirectory", "/run"),
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
    ("ConfigurationDirectory", "/etc"),
];

/// How long systemd may take to describe the unit.
const DEADLINE: Duration = Duration::from_secs(5);

/// The unit that is installed.
pub(super) struct Unit {
    path: PathBuf,
    /// What it says, as lines of a unit file.
    text: String,
}

/// The file of the unit that takes precedence.
pub(super) fn path(folders: &[&str]) -> Option<PathBuf> {
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(UNIT));
    paths.find(|unit| unit.exists())
}

/// The unit, if one is installed: as systemd has loaded it, else as its files in these folders say.
pub(super) fn installed(folders: &[&str], report: &mut EnvironmentReport) -> Option<Unit> {
    loaded(report).or_else(|| written(folders, report))
}

/// What systemd, if it runs here, says of the unit.
fn loaded(report: &mut EnvironmentReport) -> Option<Unit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let shown = runtime.block_on(async {
        let mut command = tokio::process::Command::new("systemctl");
        command
            .args(["show", UNIT, "--no-pager"])
            .kill_on_drop(true);
        tokio::time::timeout(DEADLINE, command.output())
            .await
            .ok()?
            .ok()
    })?;
    let text = String::from_utf8(shown.stdout).ok()?;
    let unit = read_shown(&text).filter(|_| shown.status.success())?;
    if property(&text, "NeedDaemonReload") == Some("yes") {
        report.notes.push(format!(
            "systemd has not read the newest {}: run `systemctl daemon-reload`",
            unit.path.display()
        ));
    }
    Some(unit)
}

/// The unit that `systemctl show` tells of, if it is loaded. Its properties have other names than the keys of a unit file.
fn read_shown(text: &str) -> Option<Unit> {
    let path = PathBuf::from(property(text, "FragmentPath").filter(|path| !path.is_empty())?);
    let mut unit = String::new();
    for line in text.lines() {
        // A value may have several lines, but none of those that are used here has.
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let (name, value) = match name {
            "TimeoutStopUSec" => ("TimeoutStopSec", value),
            "WatchdogUSec" => ("WatchdogSec", value),
            "ExecStart" => {
                let program = value.split("path=").nth(1).unwrap_or_default();
                (name, program.split(" ;").next().unwrap_or_default())
            }
            _ => (name, value),
        };
        unit.push_str(&format!("{name}={value}\n"));
    }
    Some(Unit { path, text: unit })
}

fn property<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    lines.find(|line| line.0 == name).map(|line| line.1)
}

/// The unit with its drop-in files, as they are on disk.
fn written(folders: &[&str], report: &mut EnvironmentReport) -> Option<Unit> {
    let path = path(folders)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(Unit {
            text: text + &drop_ins(folders),
            path,
        }),
        Err(cause) => {
            report.notes.push(format!(
                "cannot read {}: {cause}; its times were not compared",
                path.display()
            ));
            None
        }
    }
}

impl Unit {
    /// What makes `folder` when the service starts, if anything does.
    pub(super) fn makes(&self, folder: &Path) -> Option<String> {
        let (key, _) = MADE.into_iter().find(|(key, base)| {
            let mut made = words(&self.text, key).into_iter();
            made.any(|name| folder.starts_with(Path::new(base).join(name)))
        })?;
        Some(format!(
            "{} does not exist yet: {} creates it when the service starts ({key})",
            folder.display(),
            self.path.display()
        ))
    }

    /// Compares the unit's times with those of the config. Tells root what only the service's user can try. `again`: the
    /// arguments of this check.
    pub(super) fn relations(&self, config: &Config, again: &str, report: &mut EnvironmentReport) {
        let (unit, text) = (self.path.display(), &self.text);
        if let Some(user) = user(text).filter(|_| rustix::process::geteuid().is_root()) {
            report.notes.push(format!(
                "this is root, but {unit} runs docent as {user}: whether that user may read the collections was not checked. \
                 To check it: `runuser -u {user} -- {} {again}`",
                shell_word(&program(text))
            ));
        }
        let stop = value(text, "TimeoutStopSec").unwrap_or(Some(STOP_DEFAULT));
        let needed = config.shutdown_timeout;
        if let Some(stop) = stop.filter(|stop| *stop <= needed) {
            let what = format!(
                "the unit: {unit} has TimeoutStopSec {}, but a stop may take shutdown_timeout = \"{}\": systemd would kill docent before it ends",
                format_duration(stop),
                format_duration(needed)
            );
            let enough = (needed + Duration::from_secs(15)).as_secs();
            let remedy = edit(&format!("TimeoutStopSec={enough}"), "shutdown_timeout");
            report.unmet("unit", what, remedy);
        }
        let needed = config.delivery.stall_timeout + WATCHDOG_MARGIN;
        // Zero is none, as for systemd.
        let watchdog = value(text, "WatchdogSec")
            .flatten()
            .filter(|w| !w.is_zero());
        if let Some(watchdog) = watchdog.filter(|watchdog| *watchdog <= needed) {
            let what = format!(
                "the unit: {unit} has WatchdogSec {}, which is not more than delivery.stall_timeout (\"{}\") plus {}: systemd would kill docent before it replaces an agent",
                format_duration(watchdog),
                format_duration(config.delivery.stall_timeout),
                format_duration(WATCHDOG_MARGIN)
            );
            let enough = (needed + WATCHDOG_MARGIN).as_secs();
            let remedy = edit(&format!("WatchdogSec={enough}"), "stall_timeout");
            report.unmet("unit", what, remedy);
        }
    }
}

/// How to change the unit, or the config instead.
fn edit(line: &str, key: &str) -> String {
    format!("run `systemctl edit docent` and write {line} below [Service], or set a shorter {key}")
}

/// The program that the service runs, if it exists, else this one.
fn program(text: &str) -> PathBuf {
    let started = text.lines().rev().find_map(|line| {
        let command = line.trim().strip_prefix("ExecStart=")?;
        let program = command.trim_start_matches(['@', '-', ':', '+', '!']);
        program.split_whitespace().next().map(PathBuf::from)
    });
    let this = || std::env::args_os().next().map(PathBuf::from);
    let started = started.filter(|program| program.is_file());
    started
        .or_else(this)
        .unwrap_or_else(|| PathBuf::from("docent"))
}

/// The user that the unit names, unless it is root.
fn user(text: &str) -> Option<&str> {
    let mut lines = text.lines().rev();
    let user = lines.find_map(|line| line.trim().strip_prefix("User="))?;
    Some(user.trim()).filter(|user| !user.is_empty() && *user != "root")
}

/// The words of a key that may occur several times; an empty value resets it. The name of a link, after a colon, is left out.
fn words<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let mut words = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        if name.trim() != key {
            continue;
        }
        if value.trim().is_empty() {
            words.clear();
        }
        let names = value.split_whitespace().map(|word| word.split(':').next());
        words.extend(names.flatten().filter(|name| !name.is_empty()));
    }
    words
}

/// The texts of the unit's drop-in files, by name. Of two with the same name, the one in the first folder counts, as for systemd.
fn drop_ins(folders: &[&str]) -> String {
    let mut files = BTreeMap::new();
    for folder in folders {
        let folder = Path::new(folder).join(format!("{UNIT}.d"));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        for path in paths.filter(|path| path.extension().is_some_and(|e| e == "conf")) {
            let name = path.file_name().map(ToOwned::to_owned);
            files.entry(name).or_insert(path);
        }
    }
    let texts = files.values();
    let texts = texts.filter_map(|path| std::fs::read_to_string(path).ok());
    texts.map(|text| format!("\n{text}")).collect()
}

/// The last value of a key; the inner `None` is `infinity`. One that is not understood is left out.
fn value(text: &str, key: &str) -> Option<Option<Duration>> {
    text.lines().rev().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| span(value.trim()))?
    })
}

/// A time span as systemd writes it: `45`, `1min 30s`, `infinity`.
fn span(text: &str) -> Option<Option<Duration>> {
    if text == "infinity" {
        return Some(None);
    }
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "" | "s" | "sec" | "second" | "seconds" => Duration::from_secs(1),
            "ms" | "msec" => Duration::from_millis(1),
            "us" | "usec" => Duration::from_micros(1),
            "m" | "min" | "minute" | "minutes" => Duration::from_secs(60),
            "h" | "hr" | "hour" | "hours" => Duration::from_secs(3600),
            "d" | "day" | "days" => Duration::from_secs(86_400),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(u32::try_from(number).ok()?)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(Some(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::config;

    #[test]
    fn spans_are_read_as_systemd_writes_them() {
        let seconds = |n| Some(Some(Duration::from_secs(n)));
        assert_eq!(span("45"), seconds(45));
        assert_eq!(span("1min 30s"), seconds(90));
        assert_eq!(span("1min30"), seconds(90));
        assert_eq!(span("infinity"), Some(None));
        assert_eq!(span("soon"), None);
        assert_eq!(span(""), None);
    }

    #[test]
    fn what_the_service_manager_makes_is_not_missing() {
        let unit = Unit {
            path: PathBuf::from("/etc/systemd/system/docent.service"),
            text: "[Service]\nRuntimeDirectory=docent other/deep:link\nStateDirectory=gone\nStateDirectory=\n StateDirectory = docent\n"
                .to_owned(),
        };
        for (folder, key) in [
            ("/run/docent", Some("RuntimeDirectory")),
            ("/run/docent/below", Some("RuntimeDirectory")),
            ("/run/other/deep", Some("RuntimeDirectory")),
            ("/var/lib/docent", Some("StateDirectory")),
            ("/run/docent-too", None),
            ("/run/other", None),
            ("/var/lib/gone", None),
            ("/srv/docent", None),
        ] {
            let made = unit.makes(Path::new(folder));
            assert_eq!(made.is_some(), key.is_some(), "{folder}: {made:?}");
            assert!(
                made.is_none_or(|made| made.contains(key.unwrap())),
                "{folder}"
            );
        }
    }

    #[test]
    fn the_units_program_is_named_where_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("docent");
        let text = format!("[Service]\nExecStart=-{} run --config x\n", there.display());
        assert_ne!(program(&text), there);
        std::fs::write(&there, "").unwrap();
        assert_eq!(program(&text), there);
    }

    #[test]
    fn the_units_user_is_the_last_that_is_named() {
        assert_eq!(user("[Service]\nUser=docent\n"), Some("docent"));
        assert_eq!(user("User=a\nUser=root"), None);
        assert_eq!(user("[Service]\n"), None);
    }

    #[test]
    fn a_unit_that_leaves_too_little_time_is_told_and_a_drop_in_rules() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "shutdown_timeout = \"45s\"\n");
        let at = folder.path().to_str().unwrap();
        let look = || {
            let mut report = EnvironmentReport::default();
            let unit = written(&["/no/such/folder", at], &mut report);
            if let Some(unit) = unit {
                unit.relations(&config, "check", &mut report);
            }
            let what = report.unmet.into_iter().map(|l| l.what);
            what.collect::<Vec<_>>()
        };
        assert_eq!(look(), [""; 0], "no unit, nothing to compare");
        let unit = folder.path().join(UNIT);
        std::fs::write(&unit, "[Service]\nTimeoutStopSec=60\nWatchdogSec=30s\n").unwrap();
        assert_eq!(look(), [""; 0]);
        std::fs::write(&unit, "[Service]\nTimeoutStopSec=45\nWatchdogSec=25\n").unwrap();
        let found = look();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("TimeoutStopSec 45s"), "{found:?}");
        assert!(found[1].contains("WatchdogSec 25s"), "{found:?}");
        let drop_in = folder.path().join("docent.service.d");
        std::fs::create_dir(&drop_in).unwrap();
        let text = "[Service]\nTimeoutStopSec=infinity\nWatchdogSec=0\n";
        std::fs::write(drop_in.join("times.conf"), text).unwrap();
        assert_eq!(look(), [""; 0]);
    }

    #[test]
    fn of_two_drop_ins_with_one_name_the_one_in_the_first_folder_counts() {
        let folder = tempfile::tempdir().unwrap();
        let place = |folder_name: &str, name: &str, text: &str| {
            let drop_ins = folder.path().join(folder_name).join("docent.service.d");
            std::fs::create_dir_all(&drop_ins).unwrap();
            std::fs::write(drop_ins.join(name), text).unwrap();
        };
        place("etc", "20-times.conf", "WatchdogSec=1");
        place("lib", "20-times.conf", "WatchdogSec=2");
        place("lib", "10-first.conf", "TimeoutStopSec=3\nWatchdogSec=4");
        let folders = ["etc", "lib"].map(|name| folder.path().join(name));
        let folders = folders.each_ref().map(|path| path.to_str().unwrap());
        let text = drop_ins(&folders);
        let seconds = |n| Some(Some(Duration::from_secs(n)));
        assert_eq!(value(&text, "WatchdogSec"), seconds(1));
        assert_eq!(value(&text, "TimeoutStopSec"), seconds(3));
    }

    #[test]
    fn what_systemctl_shows_is_read() {
        let shown = "Type=notify\nTimeoutStopUSec=1min 30s\nWatchdogUSec=infinity\n\
            ExecStart={ path=/usr/bin/docent ; argv[]=/usr/bin/docent run ; ignore_errors=no }\n\
            User=docent\nStateDirectory=docent\nNeedDaemonReload=no\n\
            FragmentPath=/usr/lib/systemd/system/docent.service\n";
        let unit = read_shown(shown).unwrap();
        assert_eq!(
            unit.path,
            Path::new("/usr/lib/systemd/system/docent.service")
        );
        let stop = value(&unit.text, "TimeoutStopSec");
        assert_eq!(stop, Some(Some(Duration::from_secs(90))));
        assert_eq!(value(&unit.text, "WatchdogSec"), Some(None));
        assert_eq!(user(&unit.text), Some("docent"));
        assert!(unit.text.contains("ExecStart=/usr/bin/docent\n"));
        assert!(unit.makes(Path::new("/var/lib/docent")).is_some());
        assert!(read_shown("FragmentPath=\nLoadState=not-found\n").is_none());
    }
}
