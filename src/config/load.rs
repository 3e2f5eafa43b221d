//! From sources to a config.

use super::collections;
use super::layers::{Findings, Layers};
use super::paths::{self, absolute};
use super::problem::{Origin, Problem, Wrong};
use super::rules;
use super::show::{self, Shown};
use super::syntax::Source;
use super::tree::Config;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use toml::Value;

/// The built-in defaults and the reference of every key: the content of `config/docent.toml`.
pub const REFERENCE: &str = include_str!("../../config/docent.toml");

/// Bytes of the largest config file that is read.
const LARGEST_FILE: u64 = 1 << 20;

/// What a config is made of. Nothing else is looked at but the file system.
///
/// There is no `Debug`, because variables may hold passwords.
#[derive(Default)]
pub struct Sources {
    /// The config file, if there is one.
    pub file: Option<PathBuf>,
    /// The variable that names the file; none: the command line does, or it is in its place.
    pub named_by: Option<&'static str>,
    /// The environment; what does not begin with `DOCENT__` is left alone.
    pub variables: Vec<(OsString, OsString)>,
    /// What the command line sets; of two for one key the last wins.
    pub overrides: Vec<Override>,
    /// The current directory: `file` counts from it, and where there is no file every relative path does. Empty where it was
    /// removed: then a relative path is a problem.
    pub directory: PathBuf,
    /// This host's name, which is the default of `instance`.
    pub host_name: Option<String>,
}

/// A key that the command line sets.
pub struct Override {
    /// The flag as the user wrote it, such as `--data-dir`.
    pub flag: String,
    /// The key with its tables, such as `data_dir` or `redis.url`.
    pub key: String,
    /// The value: texts need no quotes, all else is TOML.
    pub value: String,
}

/// A config without a mistake.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values that rule.
    pub config: Config,
    /// Where each was set, by the key with its tables (`collection[0].path`); what is not in here is a default.
    pub origins: BTreeMap<String, Origin>,
    shown: Vec<Shown>,
}

impl Loaded {
    /// Every value that rules and where it came from, in the order of the reference, for `config show`.
    /// A password in Redis' URL is hidden.
    pub fn show(&self) -> &[Shown] {
        &self.shown
    }

    /// Where `key` (`redis.url`, `collection[0].path`) was set.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

impl Config {
    /// Lays the layers over each other and checks everything. Reads the file, and looks where paths lead to.
    ///
    /// # Errors
    /// Every mistake there is: those of the file by line, then those of variables, then those of flags.
    pub fn load(sources: Sources) -> Result<Loaded, Vec<Problem>> {
        let mut layers = Layers::default();
        layers.lay_defaults(&Source::parse(Path::new("docent.toml"), REFERENCE));
        let mut base = sources.directory.clone();
        let mut own_files = credentials(&sources);
        if let Some(file) = &sources.file {
            own_files.push(absolute(&sources.directory, file));
            base = paths::base_of(file, &sources.directory);
            match read(file, &absolute(&sources.directory, file), sources.named_by) {
                Ok(text) => layers.lay_file(&Source::parse(file, &text)),
                Err(problem) => layers.findings.problems.push(*problem),
            }
        }
        layers.lay_variables(sources.variables);
        for Override { flag, key, value } in sources.overrides {
            layers.lay_one(&key, &value, Origin::Flag(flag));
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
fn named_files(table: &toml::Table, base: &Path, files: &mut Vec<PathBuf>) {
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

/// Reads a config file that is called `name` and is at `path`; a variable may have named it.
fn read(name: &Path, path: &Path, named_by: Option<&str>) -> Result<String, Box<Problem>> {
    let unreadable = |error: io::Error| {
        let remedy = match (error.kind(), named_by) {
            (io::ErrorKind::PermissionDenied, _) => "let this user read it".to_owned(),
            (_, Some(variable)) => format!(
                "{variable} names it, which is {} here: set that to a file that is there, or unset it",
                path.display()
            ),
            (io::ErrorKind::NotFound, None) => "name a file that is there with --config".to_owned(),
            (_, None) => "name a file with --config".to_owned(),
        };
        let wrong = Wrong::new(format!("cannot be read: {error}"), remedy);
        Box::new(Problem {
            denied: error.kind() == io::ErrorKind::PermissionDenied,
            ..wrong.at(Origin::whole(name), "")
        })
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let what = "is larger than 1 MiB, which no config is";
        let wrong = Wrong::new(what, "name the config file with --config");
        return Err(Box::new(wrong.at(Origin::whole(name), "")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let origin = Origin::File {
            path: name.into(),
            line,
            column: 0,
        };
        Box::new(Wrong::new("is not UTF-8", "save the file as UTF-8").at(origin, ""))
    })
}

/// Makes a config of layers, or tells all that is wrong.
fn finish(
    mut layers: Layers,
    base: &Path,
    host_name: Option<&str>,
) -> Result<Loaded, Vec<Problem>> {
    collections::check(&mut layers, base);
    let Layers {
        mut values,
        mut findings,
    } = layers;
    if let Some(Value::Array(list)) = values.get_mut("collection") {
        // What lacks a key has a problem by now; without it the other rules can still be checked.
        list.retain(|collection| {
            ["name", "path"]
                .iter()
                .all(|key| collection.get(key).is_some())
        });
    }
    let mut config: Config = match Value::Table(values).try_into() {
        Ok(config) => config,
        Err(error) => return Err(failed(findings, &error.to_string())),
    };
    resolve(&mut config, &mut findings, base, host_name);
    rules::check(&config, &mut findings);
    if !findings.problems.is_empty() {
        return Err(sorted(findings));
    }
    match show::all(&config, &findings) {
        Ok(shown) => Ok(Loaded {
            config,
            origins: findings.origins,
            shown,
        }),
        Err(error) => Err(failed(findings, &error.to_string())),
    }
}

/// Makes every path absolute and gives the process a name.
fn resolve(config: &mut Config, findings: &mut Findings, base: &Path, host_name: Option<&str>) {
    config.data_dir = absolute(base, &config.data_dir);
    for collection in &mut config.collections {
        collection.path = absolute(base, &collection.path);
    }
    config.control.socket = absolute(base, &config.socket_path());
    let homeless = [
        ("data_dir", &config.data_dir),
        ("control.socket", &config.control.socket),
    ];
    // The socket's place may follow from that of data_dir: then it is said once.
    if let Some((key, path)) = homeless.iter().find(|(_, path)| path.is_relative()) {
        let what = format!(
            "`{}` counts from the working directory, which is gone",
            path.display()
        );
        let remedy = "write an absolute path, or change to a directory that exists";
        let origin = findings.origin(key);
        findings.complain(Wrong::new(what, remedy), origin, key);
    }
    if config.instance.is_empty() && !findings.is_suspect("instance") {
        match host_name.and_then(paths::instance_of) {
            Some(name) => config.instance = name,
            None => {
                let wrong = Wrong::new(
                    "is not set, and this host has no name to take instead",
                    "write a name, such as instance = \"docs-1\"",
                );
                let origin = findings.origin("instance");
                findings.complain(wrong, origin, "instance");
            }
        }
    }
}

/// The problems so far and that the list of keys and the tree of structs do not agree.
fn failed(mut findings: Findings, cause: &str) -> Vec<Problem> {
    if findings.problems.is_empty() {
        let what = format!("the config cannot be taken over: {}", cause.trim());
        let wrong = Wrong::new(what, "report this as a fault of docent");
        findings.problems.push(wrong.at(Origin::Default, ""));
    }
    sorted(findings)
}

fn sorted(findings: Findings) -> Vec<Problem> {
    let mut problems = findings.problems;
    if findings.cut {
        let what = "there is so much wrong that not everything was looked at";
        let wrong = Wrong::new(what, "correct this and look again");
        problems.push(wrong.at(Origin::Default, ""));
    }
    problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, column, .. } => (0, line, column),
        Origin::Variable(_) => (1, 0, 0),
        Origin::Flag(_) => (2, 0, 0),
        Origin::Default => (3, 0, 0),
    });
    problems
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
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
        let problems = load("data").expect_err("it counts from nowhere");
        let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("`data` counts from the working directory, which is gone"),
            "{told:?}"
        );
    }

    /// Loads a file with this text, called `docent.toml`.
    pub(crate) fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
        Config::load(sources(text).1)
    }

    /// What is wrong with a file with this text, line by line as it is printed.
    pub(crate) fn problems(text: &str) -> Vec<String> {
        match load(text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(Problem::to_string).collect(),
        }
    }

    fn with_variables(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
        let (_dir, mut sources) = sources(text);
        sources.variables = variables
            .iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        Config::load(sources)
    }

    fn texts(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(Problem::to_string).collect()
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
        let expected = Config {
            instance: "host-1".to_owned(),
            control: super::super::Control {
                socket: PathBuf::from("/run/docent/docent.sock"),
                ..Default::default()
            },
            own_files: loaded.config.own_files.clone(),
            ..Config::default()
        };
        assert_eq!(loaded.config, expected);
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
    fn ten_mistakes_are_ten_problems_each_with_its_line() {
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
            problems(text),
            [
                "docent.toml:1: data_dir: \"\" is not a path; write a path; a relative one counts from the config file's directory",
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
    fn syntax_errors_do_not_hide_what_else_is_wrong() {
        let text = "[watch]\ndebounce = 500ms\nrescan = \"1s\"\n[bus\nmode = 1\n[log]\nlevel = \"loud\"\nlevel = \"info\"\n";
        let told = problems(text);
        let starts: Vec<&str> = told
            .iter()
            .map(|p| p.split(": ").next().unwrap_or(""))
            .collect();
        assert_eq!(
            starts,
            [
                "docent.toml:2",
                "docent.toml:3",
                "docent.toml:4",
                "docent.toml:7",
                "docent.toml:8"
            ],
            "{told:#?}"
        );
        assert!(
            told[0].contains("watch.debounce: ") && told[0].contains("quotes"),
            "{told:#?}"
        );
        assert!(
            told[4].contains("log.level: ") && told[4].contains("duplicate key; remove"),
            "{told:#?}"
        );
    }

    #[test]
    fn a_rule_is_not_checked_on_a_value_that_is_wrong_by_itself() {
        // With the default of 60 s in the place of what could not be read, 100 s would be too much.
        let told =
            problems("shutdown_timeout = \"100s\"\n[supervisor]\nstop_timeout = \"200 s\"\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told = problems("shutdown_timeout = \"100s\"\n[supervisor]\nstop_timout = \"200s\"\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told = problems("shutdown_timeout = \"100s\"\n[supervisor]\nstop_timeout = 200s\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told = problems("shutdown_timeout = \"100s\"\n[supervisor\nstop_timeout = \"200s\"\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        let told = problems("shutdown_timeout = \"100s\"\n");
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
        let origin = |key| loaded.origin(key).to_string();
        assert_eq!(origin("redis.window"), "default");
        assert_eq!(origin("redis.max_retries"), "docent.toml:2");
        assert_eq!(origin("redis.namespace"), "DOCENT__REDIS__NAMESPACE");
        assert_eq!(origin("redis.group"), "--group");
        assert_eq!(origin("log.level"), "--log-level");
    }

    #[test]
    fn variables_set_every_type() {
        let variables = [
            ("DOCENT__DATA_DIR", "123"),
            ("DOCENT__AGENTS__CHANGE_DETECTION__ENABLED", "false"),
            ("DOCENT__DELIVERY__CONCURRENCY", "8"),
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
        let problems = Config::load(sources).expect_err("there are mistakes");
        let told = texts(&problems);
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
    fn a_file_that_cannot_be_read_is_one_problem_and_variables_are_still_checked() {
        let (dir, mut sources) = sources("");
        sources.file = Some(PathBuf::from("absent.toml"));
        sources.variables = vec![("DOCENT__BUS__MODE".into(), "kafka".into())];
        let problems = Config::load(sources).expect_err("there is no file");
        let told = texts(&problems);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(
            told[0].starts_with("absent.toml: cannot be read: No such file"),
            "{told:#?}"
        );
        assert!(!problems[0].denied);
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
            let problems = load(&text).expect_err("there is a mistake");
            let told = format!("{problems:?} {:?}", texts(&problems));
            assert!(!told.contains(secret), "{text}{told}");
        }
        for variable in [
            "DOCENT__REDIS__URI",
            "DOCENT__REDIS__GROUP",
            "DOCENT__REDIS",
            "DOCENT__COLLECTION",
        ] {
            let problems = with_variables("", &[(variable, &url)]).expect_err("there is a mistake");
            let told = format!("{problems:?} {:?}", texts(&problems));
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
        let told = problems("instance = \"Web 1\"\n");
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
        /// Whatever happens to a file, it is read or what is wrong is told with a line that it has. Only that there
        /// is more than is told stands for the file as a whole.
        #[test]
        fn a_damaged_file_is_told_with_its_lines(at in 0.0..1.0, gone in 0_usize..40, put in "[\\[\\]\"'{}=#,.a-z0-9é\n]{0,8}") {
            let text = REFERENCE.replace("\n#[[", "\n[[").replace("\n#name", "\nname").replace("\n#path", "\npath");
            let start = text.floor_char_boundary((text.len() as f64 * at) as usize);
            let end = text.floor_char_boundary((start + gone).min(text.len()));
            let damaged = format!("{}{put}{}", &text[..start], &text[end..]);
            let mut layers = Layers::default();
            layers.lay_defaults(&Source::parse(Path::new("docent.toml"), REFERENCE));
            layers.lay_file(&Source::parse(Path::new("x.toml"), &damaged));
            let lines = damaged.matches('\n').count() + 1;
            if let Err(problems) = finish(layers, Path::new("/etc"), Some("h")) {
                proptest::prop_assert!(!problems.is_empty());
                let count = problems.len();
                for problem in problems {
                    let line = problem.origin.line();
                    let is_rest = count > 100 && problem.what.starts_with("has more errors");
                    proptest::prop_assert!(is_rest || (1..=lines).contains(&line), "{problem}");
                    proptest::prop_assert!(!problem.what.is_empty() && !problem.remedy.is_empty());
                }
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
