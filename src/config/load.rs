//! Loads a config from its sources.

use super::alerts;
use super::collections;
use super::keys::Config;
use super::layers::{FAULT, Layers};
use super::paths::{self, absolute};
use super::rules;
use super::show::{self, ShownSetting};
use super::syntax::SourceText;
use super::table::Setting as _;
use super::violation::{Origin, Reason, Violation};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Bytes of the largest config file that is read.
const LARGEST_FILE: u64 = 1 << 20;

/// Everything that a config comes from; besides, only the file system is read.
///
/// There is no `Debug`, because variables may hold passwords.
#[derive(Default)]
pub(crate) struct Sources {
    /// The config file, if there is one.
    pub file: Option<PathBuf>,
    /// The variable that names the file; none: the command line does, or it is in its usual place.
    pub named_by: Option<&'static str>,
    /// The environment; only what begins with `DOCENT__` is read.
    pub variables: Vec<(OsString, OsString)>,
    /// What the command line sets; of two for one key, the last takes precedence.
    pub overrides: Vec<Override>,
    /// The current directory: `file` is relative to it, and without a file every other path too. Empty if it was removed: then
    /// a relative path is a violation.
    pub directory: PathBuf,
    /// This host's name, which is the default of `instance`.
    pub host_name: Option<String>,
}

/// A key that the command line sets.
pub(crate) struct Override {
    /// The flag as the user wrote it, such as `--data-dir`.
    pub flag: String,
    /// The key with its tables, such as `data_dir` or `redis.url`.
    pub key: String,
    /// The value: strings need no quotes, everything else is TOML.
    pub value: String,
}

/// A config without a mistake.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub config: Config,
    shown: Vec<ShownSetting>,
}

impl Loaded {
    /// Every effective value and where it came from, in the order of the reference, for `config show`.
    /// A password in Redis' URL is hidden.
    pub(crate) fn show(&self) -> &[ShownSetting] {
        &self.shown
    }
}

impl Config {
    /// Applies the layers and checks everything. Reads the file, and resolves paths.
    ///
    /// # Errors
    /// Every violation there is: those of the file by line, then those of variables, then those of flags. A file that is not
    /// TOML is one violation, told alone.
    pub(crate) fn load(sources: Sources) -> Result<Loaded, Vec<Violation>> {
        let mut layers = Layers::defaults();
        let mut base = sources.directory.clone();
        let mut own_files = credentials(&sources);
        if let Some(file) = &sources.file {
            own_files.push(absolute(&sources.directory, file));
            base = paths::base_of(file, &sources.directory);
            match read(file, &absolute(&sources.directory, file), sources.named_by) {
                Ok(text) => match SourceText::parse(file, &text) {
                    Ok(source) => layers.apply_file(&source),
                    // Without the file's values nobody can tell what else is wrong.
                    Err(violation) => return Err(vec![*violation]),
                },
                Err(violation) => layers.violations.push(*violation),
            }
        }
        layers.apply_variables(sources.variables);
        for Override { flag, key, value } in sources.overrides {
            layers.apply_one(&key, &value, Origin::Flag(flag));
        }
        named_files(&layers.values, &base, &mut own_files);
        let mut loaded = finish(layers, &base, sources.host_name.as_deref())?;
        loaded.config.own_files = own_files;
        Ok(loaded)
    }
}

/// The directory of the credentials that the service manager hands over.
fn credentials(sources: &Sources) -> Vec<PathBuf> {
    let variables = sources.variables.iter();
    let directory = variables.filter(|(name, _)| name == "CREDENTIALS_DIRECTORY");
    directory.map(|(_, value)| PathBuf::from(value)).collect()
}

/// Every file that a value names: keys that end in `_file` or `_key`, such as those of passwords and of TLS.
fn named_files(table: &Table, base: &Path, files: &mut Vec<PathBuf>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => named_files(inner, base, files),
            Value::Array(list) => {
                let tables = list.iter().filter_map(Value::as_table);
                tables.for_each(|inner| named_files(inner, base, files));
            }
            Value::String(path)
                if !path.is_empty() && (key.ends_with("_file") || key.ends_with("_key")) =>
            {
                files.push(absolute(base, Path::new(path)));
            }
            _ => {}
        }
    }
}

/// Reads the config file at `path`, which the user calls `name`; a variable may have named it.
fn read(name: &Path, path: &Path, named_by: Option<&str>) -> Result<String, Box<Violation>> {
    let unreadable = |error: io::Error| {
        let remedy = match (error.kind(), named_by) {
            (io::ErrorKind::PermissionDenied, _) => "let this user read it".to_owned(),
            (_, Some(variable)) => format!(
                "{variable} names it, which is {} here: set it to an existing file, or unset it",
                path.display()
            ),
            (io::ErrorKind::NotFound, None) => "name an existing file with --config".to_owned(),
            (_, None) => "name a file with --config".to_owned(),
        };
        let reason = Reason::new(format!("cannot be read: {error}"), remedy);
        Box::new(Violation {
            denied: error.kind() == io::ErrorKind::PermissionDenied,
            ..reason.at(Origin::whole(name), "")
        })
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let what = "is larger than 1 MiB, so it is not a config";
        let reason = Reason::new(what, "name the config file with --config");
        return Err(Box::new(reason.at(Origin::whole(name), "")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let origin = Origin::File {
            path: name.into(),
            line,
            column: 0,
        };
        Box::new(Reason::new("is not UTF-8", "save the file as UTF-8").at(origin, ""))
    })
}

/// Makes a config of the layers, or reports every violation.
fn finish(
    mut layers: Layers,
    base: &Path,
    host_name: Option<&str>,
) -> Result<Loaded, Vec<Violation>> {
    collections::check(&mut layers, base);
    if let Some(Value::Array(list)) = layers.values.get_mut("collection") {
        // One that lacks a key has a violation by now; with something in its place the other rules can still be checked.
        for collection in list.iter_mut().filter_map(Value::as_table_mut) {
            for name in ["name", "path"] {
                collection.entry(name).or_insert_with(|| Value::from(""));
            }
        }
    }
    if let Some(Value::Array(list)) = layers.values.get_mut("alert") {
        for alert in list.iter_mut().filter_map(Value::as_table_mut) {
            for (name, value) in [("name", ""), ("when", "parked")] {
                alert.entry(name).or_insert_with(|| Value::from(value));
            }
        }
    }
    let Some(mut config) = Config::read(&Value::Table(layers.values.clone())) else {
        let reason = Reason::new("cannot use the config", FAULT);
        layers.violations.push(reason.at(Origin::Default, ""));
        return Err(sorted(layers));
    };
    resolve(&mut config, &mut layers, base, host_name);
    rules::check(&config, &mut layers);
    alerts::check(&config, &mut layers);
    if !layers.violations.is_empty() {
        return Err(sorted(layers));
    }
    write_back(&config, &mut layers.values);
    Ok(Loaded {
        shown: show::all(&layers),
        config,
    })
}

/// Makes every path absolute and gives the process a name.
fn resolve(config: &mut Config, layers: &mut Layers, base: &Path, host_name: Option<&str>) {
    config.data_dir = absolute(base, &config.data_dir);
    for collection in &mut config.collections {
        collection.path = absolute(base, &collection.path);
    }
    config.control.socket = absolute(base, &config.socket_path());
    for file in [
        &mut config.http.tls_certificate,
        &mut config.http.tls_key,
        &mut config.store.password_file,
        &mut config.store.ca_file,
    ] {
        if !file.as_os_str().is_empty() {
            *file = absolute(base, file);
        }
    }
    for alert in &mut config.alerts {
        for file in [&mut alert.secret_file, &mut alert.ca_file] {
            if !file.as_os_str().is_empty() {
                *file = absolute(base, file);
            }
        }
    }
    let homeless = [
        ("data_dir", &config.data_dir),
        ("control.socket", &config.control.socket),
    ];
    // The socket's path may follow from data_dir: then one violation is enough.
    if let Some((key, path)) = homeless.iter().find(|(_, path)| path.is_relative()) {
        let what = format!(
            "`{}` is relative to the working directory, which no longer exists",
            path.display()
        );
        let remedy = "write an absolute path, or change to a directory that exists";
        let origin = layers.origin(key);
        layers.violate(Reason::new(what, remedy), origin, key);
    }
    if config.instance.is_empty() && !layers.is_suspect("instance") {
        match host_name.and_then(paths::instance_of) {
            Some(name) => config.instance = name,
            None => {
                let reason = Reason::new(
                    "is not set, and this host has no name to use instead",
                    "write a name, such as instance = \"docs-1\"",
                );
                let origin = layers.origin("instance");
                layers.violate(reason, origin, "instance");
            }
        }
    }
}

/// Copies what [`resolve`] changed to the values, which `config show` prints.
fn write_back(config: &Config, values: &mut Table) {
    let path = |path: &Path| Value::from(path.to_string_lossy().into_owned());
    values.insert("data_dir".to_owned(), path(&config.data_dir));
    let instance = Value::from(config.instance.clone());
    values.insert("instance".to_owned(), instance);
    if let Some(Value::Table(control)) = values.get_mut("control") {
        control.insert("socket".to_owned(), path(&config.control.socket));
    }
    if let Some(Value::Table(http)) = values.get_mut("http") {
        http.insert(
            "tls_certificate".to_owned(),
            path(&config.http.tls_certificate),
        );
        http.insert("tls_key".to_owned(), path(&config.http.tls_key));
    }
    if let Some(Value::Table(store)) = values.get_mut("store") {
        store.insert(
            "password_file".to_owned(),
            path(&config.store.password_file),
        );
        store.insert("ca_file".to_owned(), path(&config.store.ca_file));
    }
    if let Some(Value::Array(list)) = values.get_mut("collection") {
        let tables = list.iter_mut().filter_map(Value::as_table_mut);
        for (table, collection) in tables.zip(&config.collections) {
            table.insert("path".to_owned(), path(&collection.path));
        }
    }
    if let Some(Value::Array(list)) = values.get_mut("alert") {
        let tables = list.iter_mut().filter_map(Value::as_table_mut);
        for (table, alert) in tables.zip(&config.alerts) {
            table.insert("secret_file".to_owned(), path(&alert.secret_file));
            table.insert("ca_file".to_owned(), path(&alert.ca_file));
        }
    }
}

/// The violations: those of the file by line, then those of variables, then those of flags.
fn sorted(layers: Layers) -> Vec<Violation> {
    let mut violations = layers.violations;
    if layers.cut {
        let what = "there are so many mistakes that not everything was checked";
        let reason = Reason::new(what, "correct these and check again");
        violations.push(reason.at(Origin::Default, ""));
    }
    violations.sort_by_key(|violation| match violation.origin {
        Origin::File { line, column, .. } => (0, line, column),
        Origin::Variable(_) => (1, 0, 0),
        Origin::Flag(_) => (2, 0, 0),
        Origin::Default => (3, 0, 0),
    });
    violations
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::reference;
    use tempfile::TempDir;

    /// Sources of a file with this text, called `docent.toml`, and of nothing else.
    fn sources(text: &str) -> (TempDir, Sources) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("docent.toml"), text).expect("writable");
        let sources = Sources {
            file: Some(PathBuf::from("docent.toml")),
            directory: dir.path().to_owned(),
            host_name: Some("Host-1".to_owned()),
            ..Sources::default()
        };
        (dir, sources)
    }

    #[test]
    fn without_a_working_directory_only_what_counts_from_it_is_wrong() {
        let load = |data_dir: &str| {
            Config::load(Sources {
                variables: vec![("DOCENT__DATA_DIR".into(), data_dir.into())],
                host_name: Some("host".to_owned()),
                ..Sources::default()
            })
        };
        assert!(load("/srv/data").is_ok());
        let violations = load("data").expect_err("it counts from nowhere");
        let told: Vec<String> = violations.iter().map(Violation::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("`data` is relative to the working directory, which no longer exists"),
            "{told:?}"
        );
    }

    /// Loads a file with this text, called `docent.toml`.
    pub(crate) fn load(text: &str) -> Result<Loaded, Vec<Violation>> {
        Config::load(sources(text).1)
    }

    /// What is wrong with a file with this text, line by line as it is printed.
    pub(crate) fn violations(text: &str) -> Vec<String> {
        match load(text) {
            Ok(_) => Vec::new(),
            Err(violations) => violations.iter().map(Violation::to_string).collect(),
        }
    }

    fn with_variables(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<Violation>> {
        let (_dir, mut sources) = sources(text);
        sources.variables = variables
            .iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        Config::load(sources)
    }

    fn texts(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(Violation::to_string).collect()
    }

    fn flag(flag: &str, key: &str, value: &str) -> Override {
        Override {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let loaded = load("").expect("there is nothing wrong with nothing");
        let config = &loaded.config;
        assert_eq!(config.instance, "host-1");
        assert_eq!(config.socket_path(), Path::new("/run/docent/docent.sock"));
        assert_eq!(config.watch.debounce, std::time::Duration::from_millis(500));
        assert_eq!(config.agents.scheduler.concurrency, 1);
        assert_eq!(config.jobs.verify.schedule, "0 * * * *");
        assert!(
            loaded
                .show()
                .iter()
                .all(|shown| shown.origin == Origin::Default)
        );
    }

    #[test]
    fn the_first_run_file_watches_the_checkout() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().canonicalize().expect("it exists");
        std::fs::create_dir(root.join("config")).expect("writable");
        let text = include_str!("../../config/first-run.toml");
        std::fs::write(root.join("config/first-run.toml"), text).expect("writable");
        let loaded = Config::load(Sources {
            file: Some(PathBuf::from("config/first-run.toml")),
            directory: root.clone(),
            host_name: Some("h".to_owned()),
            ..Sources::default()
        })
        .expect("it has no mistake");
        assert_eq!(loaded.config.data_dir, root.join(".docent"));
        assert_eq!(
            loaded.config.socket_path(),
            root.join(".docent/docent.sock")
        );
        assert_eq!(loaded.config.collections.len(), 1);
        assert_eq!(loaded.config.collections[0].path, root);
        assert_eq!(loaded.config.bus.mode, super::super::BusMode::Embedded);
    }

    #[test]
    fn ten_mistakes_are_ten_violations_each_with_its_line() {
        let text = r#"data_dir = ""
shutdown_timeout = 45
[bus]
mode = "kafka"
[redis]
max_retrys = 5
[delivery]
concurrency = "many"
stall_timeout = "2min"
[[collection]]
name = "Docs"
path = "/srv/docs"
[watch]
debounce = "500m"
[index]
chunk_overlap = 1300
[jobs.health]
schedule = "61 * * * *"
[http]
listen = "localhost"
"#;
        assert_eq!(
            violations(text),
            [
                "docent.toml:1: data_dir: \"\" is not a path; write a path; a relative one is relative to the config file's directory",
                "docent.toml:2: shutdown_timeout: 45 has no unit; write a whole number and one of ms, s, min, h, d, such as \"30s\"",
                "docent.toml:4: bus.mode: \"kafka\" is not one of \"auto\", \"redis\" or \"embedded\"; write \"auto\", \"redis\" or \"embedded\"",
                "docent.toml:6: redis.max_retrys: is not a key; write `max_retries`",
                "docent.toml:8: delivery.concurrency: is a text, not a whole number; write a whole number from 1 to 1024, without quotes",
                "docent.toml:9: delivery.stall_timeout: delivery.stall_timeout (\"2min\") and 5s more are not less than supervisor.watchdog (\"30s\"); write a stall_timeout more than 5s below the watchdog",
                "docent.toml:11: collection[0].name: \"Docs\" is not a name; write 1 to 64 of the characters a-z 0-9 _ -",
                "docent.toml:14: watch.debounce: \"500m\" is not a duration: it has the unknown unit `m`; write \"500min\" if that is meant, or a whole number and one of ms, s, min, h, d",
                "docent.toml:16: index.chunk_overlap: index.chunk_overlap (1300) is not less than index.chunk_size (1200); write a value less than that, or raise index.chunk_size",
                "docent.toml:18: jobs.health.schedule: \"61 * * * *\" is not a schedule: Component error: Number out of bounds; write minute, hour, day, month and weekday, such as \"0 2 * * *\" for 02:00",
                "docent.toml:20: http.listen: \"localhost\" is not an address with a port; write one such as \"127.0.0.1:9870\" or \"[::1]:9870\", or \"\" for none",
            ]
        );
    }

    #[test]
    fn a_syntax_error_is_told_alone_with_its_place() {
        let text = "shutdown_timeout = 5\n[watch]\ndebounce = 500ms\n[log]\nlevel = \"loud\"\n";
        let told = violations(text);
        assert_eq!(told.len(), 1, "{told:#?}");
        let start = "docent.toml:3: watch.debounce: cannot be read as TOML: ";
        assert!(
            told[0].starts_with(start) && told[0].contains("quotes"),
            "{told:#?}"
        );
        let told = violations("[log]\nlevel = \"loud\"\nlevel = \"info\"\n");
        let start = "docent.toml:3: log.level: cannot be read as TOML: duplicate key; remove";
        assert!(told[0].starts_with(start), "{told:#?}");
    }

    #[test]
    fn a_rule_is_not_checked_on_a_value_that_is_wrong_by_itself() {
        // With the default of 60 s in the place of what could not be read, 100 s would be too much.
        let told =
            violations("shutdown_timeout = \"100s\"\n[supervisor]\nstop_timeout = \"200 s\"\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told =
            violations("shutdown_timeout = \"100s\"\n[supervisor]\nstop_timout = \"200s\"\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told = violations("shutdown_timeout = \"100s\"\n[supervisor]\nstop_timeout = 200s\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told =
            violations("shutdown_timeout = \"100s\"\n[supervisor\nstop_timeout = \"200s\"\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told = violations("shutdown_timeout = \"100s\"\n");
        assert!(
            told[0].contains("docent.toml:1: shutdown_timeout: "),
            "{told:#?}"
        );
    }

    #[test]
    fn the_files_of_a_config_and_of_its_credentials_are_its_own() {
        let (dir, mut sources) = sources("");
        sources.variables = vec![("CREDENTIALS_DIRECTORY".into(), "/run/credentials/x".into())];
        let loaded = Config::load(sources).expect("there is no mistake");
        let file = dir.path().join("docent.toml");
        assert_eq!(
            loaded.config.own_files,
            [PathBuf::from("/run/credentials/x"), file]
        );
        let named = "a_file = \"x\"\nb_key = \"\"\n[t]\nc_key = \"/y\"\nd = \"z\"\n[[l]]\ne_file = \"../w\"\n";
        let (table, mut files) = (named.parse().expect("TOML"), Vec::new());
        named_files(&table, Path::new("/etc/docent"), &mut files);
        files.sort();
        let expected = ["/etc/docent/x", "/etc/w", "/y"].map(PathBuf::from);
        assert_eq!(files, expected);
    }

    #[test]
    fn layers_win_in_order() {
        let (_dir, mut sources) =
            sources("[redis]\nmax_retries = 1\ngroup = \"file\"\nnamespace = \"file\"\n");
        sources.variables = vec![
            ("DOCENT__REDIS__GROUP".into(), "variable".into()),
            ("DOCENT__REDIS__NAMESPACE".into(), "\"variable\"".into()),
            ("DOCENT_TEST_LOG".into(), "/elsewhere".into()),
            ("HOME".into(), "/root".into()),
        ];
        sources.overrides = vec![
            flag("--group", "redis.group", "flag"),
            flag("--log-level", "log.level", "debug"),
        ];
        let loaded = Config::load(sources).expect("there is no mistake");
        let redis = &loaded.config.redis;
        assert_eq!((redis.max_retries, redis.window), (1, 256));
        assert_eq!(
            (redis.group.as_str(), redis.namespace.as_str()),
            ("flag", "variable")
        );
        let origin = |key| {
            let mut shown = loaded.show().iter();
            shown
                .find(|shown| shown.key == key)
                .map(|shown| shown.origin.to_string())
        };
        let set = |place: &str| Some(place.to_owned());
        assert_eq!(origin("redis.window"), set("default"));
        assert_eq!(origin("redis.max_retries"), set("docent.toml:2"));
        assert_eq!(origin("redis.namespace"), set("DOCENT__REDIS__NAMESPACE"));
        assert_eq!(origin("redis.group"), set("--group"));
        assert_eq!(origin("log.level"), set("--log-level"));
    }

    #[test]
    fn variables_set_every_type() {
        let variables = [
            ("DOCENT__DATA_DIR", "123"),
            ("DOCENT__AGENTS__CHANGE_DETECTION__ENABLED", "false"),
            ("DOCENT__DELIVERY__CONCURRENCY", "8"),
            ("DOCENT__JOBS__WEEKLY_REPORT__ENABLED", "false"),
            ("DOCENT__DELIVERY__EVENT_SIZE", "32KiB"),
            ("DOCENT__WATCH__DEBOUNCE", "1s"),
            ("DOCENT__DOCUMENTS__SECRETS", "[\"*.x\"]"),
            (
                "DOCENT__COLLECTION",
                "[{name = \"a\", path = \"a\"}, {name = \"b\", path = \"/b\", git = false}]",
            ),
            ("DOCENT__JOBS__HEALTH__SCHEDULE", "0 * * * *"),
            ("DOCENT__LOG", "{level = \"warn\"}"),
        ];
        let text = "[[collection]]\nname = \"gone\"\npath = \"/gone\"\nexclude = [\"x\"]\n";
        let config = with_variables(text, &variables)
            .expect("there is no mistake")
            .config;
        assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("123"));
        assert!(!config.agents.change_detection.enabled);
        assert!(!config.jobs.weekly_report.enabled);
        assert_eq!(config.delivery.concurrency, 8);
        assert_eq!(config.delivery.event_size, 32_768);
        assert_eq!(config.watch.debounce, std::time::Duration::from_secs(1));
        assert_eq!(config.documents.secrets, ["*.x"]);
        assert_eq!(config.jobs.health.schedule, "0 * * * *");
        assert_eq!(config.log.level, super::super::LogLevel::Warn);
        let names: Vec<_> = config
            .collections
            .iter()
            .map(|c| (c.name.as_str(), c.git))
            .collect();
        assert_eq!(names, [("a", true), ("b", false)]);
        assert!(config.collections[0].path.is_absolute());
        assert!(config.collections[0].exclude.is_empty());
    }

    #[test]
    fn variables_are_checked_like_files() {
        use std::os::unix::ffi::OsStringExt as _;
        let (_dir, mut sources) = sources("[bus]\nmod = \"auto\"\n");
        let not_utf8 = OsString::from_vec(vec![b'a', 0xff]);
        sources.variables = vec![
            ("DOCENT__BUS__MODE".into(), "kafka".into()),
            ("DOCENT__COLLECTION".into(), "docs".into()),
            ("DOCENT__COLLECTION__0__PATH".into(), "/x".into()),
            ("DOCENT__DELIVERY__CONCURRENCY".into(), "many".into()),
            ("DOCENT__INSTANCE".into(), not_utf8),
            ("DOCENT__REDIS__URI".into(), "redis://x".into()),
            ("DOCENT__WATCH__DEBOUNCE".into(), "5".into()),
        ];
        sources.overrides = vec![flag("--mode", "bus.mode", "x")];
        let violations = Config::load(sources).expect_err("there are mistakes");
        let told = texts(&violations);
        let starts = [
            "docent.toml:2: bus.mod: is not a key; write `mode`",
            "DOCENT__BUS__MODE: bus.mode: \"kafka\" is not one of",
            "DOCENT__COLLECTION: collection: cannot be read as TOML",
            "DOCENT__COLLECTION__0__PATH: collection: is a table, not a list of tables",
            "DOCENT__DELIVERY__CONCURRENCY: delivery.concurrency: is a text",
            "DOCENT__INSTANCE: instance: is not UTF-8",
            "DOCENT__REDIS__URI: redis.uri: is not a key; write `url`",
            "DOCENT__WATCH__DEBOUNCE: watch.debounce: \"5\" is not a duration: it has no unit",
            "--mode: bus.mode: \"x\" is not one of",
        ];
        assert_eq!(told.len(), starts.len(), "{told:#?}");
        for (told, start) in told.iter().zip(starts) {
            assert!(told.starts_with(start), "{told}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_violation_and_variables_are_still_checked() {
        let (dir, mut sources) = sources("");
        sources.file = Some(PathBuf::from("absent.toml"));
        sources.variables = vec![("DOCENT__BUS__MODE".into(), "kafka".into())];
        let violations = Config::load(sources).expect_err("there is no file");
        let told = texts(&violations);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(
            told[0].starts_with("absent.toml: cannot be read: No such file"),
            "{told:#?}"
        );
        assert!(!violations[0].denied);
        for (name, bytes, start) in [
            (
                "latin.toml",
                &b"a = 1\nb = \"\xe4\"\n"[..],
                "latin.toml:2: is not UTF-8",
            ),
            (
                "large.toml",
                &vec![b'#'; (1 << 20) + 1][..],
                "large.toml: is larger",
            ),
        ] {
            std::fs::write(dir.path().join(name), bytes).expect("writable");
            let (_other, mut sources) = super::tests::sources("");
            sources.file = Some(dir.path().join(name));
            let told = texts(&Config::load(sources).expect_err("it cannot be read"));
            assert_eq!(told.len(), 1, "{told:#?}");
            assert!(told[0].contains(start), "{told:#?}");
        }
    }

    #[test]
    fn a_password_shows_nowhere() {
        let secret = "s3cret";
        let url = format!("redis://me:{secret}@db:6379");
        let loaded = load(&format!("[redis]\nurl = \"{url}\"\n")).expect("there is no mistake");
        assert_eq!(loaded.config.redis.url.expose(), url);
        let all = format!("{loaded:?} {:#?} {:?}", loaded.config, loaded.show());
        assert!(!all.contains(secret), "{all}");
        let shown = loaded.show().iter().find(|shown| shown.key == "redis.url");
        assert_eq!(
            shown.map(|shown| shown.value.as_str()),
            Some("\"redis://***@db:6379\"")
        );

        for text in [
            format!("[redis]\nurl = {url}\n"),
            format!("[redis]\nurl = \"{url}\n"),
            format!("[redis]\nurl = \"http://me:{secret}@db\"\n"),
            format!("[redis]\nurl = \"{url}x\"\n"),
            format!("[redis]\nurl = [\"{url}\"]\n"),
            format!("[redis]\nuri = \"{url}\"\n"),
            format!("[redis]\n\"{url}\" = 1\n"),
            format!("[redis]\nnamespace = \"{url}\"\n"),
            format!("[http]\nlisten = \"{url}\"\n"),
            format!("[watch]\ndebounce = \"{url}\"\n"),
            format!("[bus]\nmode = \"{url}\"\n"),
            format!("[documents]\nfile_types = [\"{url}\"]\n"),
            format!("[scheduler]\ntimezone = \"{url}\"\n"),
            format!("[jobs.health]\nschedule = \"{url}\"\n"),
            format!("[[collection]]\nname = \"{url}\"\npath = \"/x\"\n"),
        ] {
            let violations = load(&text).expect_err("there is a mistake");
            let told = format!("{violations:?} {:?}", texts(&violations));
            assert!(!told.contains(secret), "{text}{told}");
        }
        for variable in [
            "DOCENT__REDIS__URI",
            "DOCENT__REDIS__GROUP",
            "DOCENT__REDIS",
            "DOCENT__COLLECTION",
        ] {
            let violations =
                with_variables("", &[(variable, &url)]).expect_err("there is a mistake");
            let told = format!("{violations:?} {:?}", texts(&violations));
            assert!(!told.contains(secret), "{told}");
        }
    }

    #[test]
    fn an_instance_needs_a_name() {
        let (_dir, mut sources) = sources("");
        sources.host_name = None;
        let told = texts(&Config::load(sources).expect_err("there is no name"));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("instance"), "{told:#?}");
        let told = violations("instance = \"Web 1\"\n");
        assert!(
            told[0].starts_with("docent.toml:1: instance: \"Web 1\" is not a name"),
            "{told:#?}"
        );
        assert_eq!(
            load("instance = \"web-1\"")
                .expect("a name")
                .config
                .instance,
            "web-1"
        );
    }

    proptest::proptest! {
        /// Whatever happens to a file, it is read or what is wrong is told with a line that it has.
        #[test]
        fn a_damaged_file_is_told_with_its_lines(at in 0.0..1.0, gone in 0_usize..40, put in "[\\[\\]\"'{}=#,.a-z0-9é\n]{0,8}") {
            let text = reference::reference().replace("\n#[[", "\n[[").replace("\n#name", "\nname").replace("\n#path", "\npath");
            let start = text.floor_char_boundary((text.len() as f64 * at) as usize);
            let end = text.floor_char_boundary((start + gone).min(text.len()));
            let damaged = format!("{}{put}{}", &text[..start], &text[end..]);
            let mut layers = Layers::defaults();
            let read = SourceText::parse(Path::new("x.toml"), &damaged).map(|source| layers.apply_file(&source));
            let ended = match read {
                Ok(()) => finish(layers, Path::new("/etc"), Some("h")).err(),
                Err(violation) => Some(vec![*violation]),
            };
            let lines = damaged.matches('\n').count() + 1;
            for violation in ended.unwrap_or_default() {
                let line = violation.origin.line();
                proptest::prop_assert!((1..=lines).contains(&line), "{violation}");
                proptest::prop_assert!(!violation.what.is_empty() && !violation.remedy.is_empty());
            }
        }
    }

    #[test]
    fn relative_paths_count_from_the_file() {
        let (dir, mut sources) = sources("");
        let root = dir.path().canonicalize().expect("it exists");
        std::fs::create_dir(root.join("etc")).expect("writable");
        let text = "data_dir = \"data\"\n[control]\nsocket = \"../run/s\"\n[[collection]]\nname = \"a\"\npath = \"../a\"\n";
        std::fs::write(root.join("etc/x.toml"), text).expect("writable");
        sources.file = Some(PathBuf::from("etc/x.toml"));
        let config = Config::load(sources).expect("there is no mistake").config;
        assert_eq!(config.data_dir, root.join("etc/data"));
        assert_eq!(config.socket_path(), root.join("run/s"));
        assert_eq!(config.collections[0].path, root.join("a"));
    }
}
