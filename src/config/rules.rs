//! The rules between keys.

use super::key_path;
use super::keys::Config;
use super::layers::Layers;
use super::paths::LONGEST_SOCKET;
use super::patterns::Patterns;
use super::private_file::readable_by_others;
use super::table::Node;
use super::units::format_duration;
use super::violation::quote;
use super::violation::{Origin, Reason};
use std::path::Path;
use std::time::Duration;
use toml::Table;

/// Between a handler that stalls and the watchdog there must be time to replace the agent.
pub(crate) const WATCHDOG_MARGIN: Duration = Duration::from_secs(5);

/// How two values compare.
enum Order {
    Below,
    AtMost,
}
use Order::{AtMost, Below};

/// A key, how it compares with another one, and why.
type Relation = (&'static str, Order, &'static str, &'static str);

#[rustfmt::skip] // one entry a line
const RELATIONS: &[Relation] = &[
    ("shutdown_timeout", Below, "supervisor.stop_timeout", "systemd must not kill docent while it stops"),
    ("delivery.backoff_min", AtMost, "delivery.backoff_max", "waits grow from the first to the second"),
    ("delivery.unavailable_min", AtMost, "delivery.unavailable_max", "pauses grow from the first to the second"),
    ("supervisor.restart_backoff_min", AtMost, "supervisor.restart_backoff_max", "pauses grow from the first to the second"),
    ("delivery.event_size", AtMost, "delivery.unsettled_size", "the largest event must fit"),
    ("delivery.event_size", AtMost, "control.body", "the largest event must fit into a request"),
    ("delivery.event_size", AtMost, "redis.inbox_keep_size", "the largest event must fit into the journal"),
    ("documents.file_size", AtMost, "delivery.unsettled_size", "the largest file must fit"),
    ("redis.window_per_subject", AtMost, "redis.window", "it is part of the window"),
    ("watch.debounce", Below, "watch.stable_after", "a file that rests is read first"),
    ("watch.owed_high", AtMost, "watch.owed_high_watch", "scans pause before edits wait"),
    ("index.chunk_overlap", Below, "index.chunk_size", "each chunk must have text of its own"),
];

/// Every rule between keys that documentation names, as a sentence.
#[cfg(test)]
pub(crate) fn sentences() -> Vec<String> {
    let compared = RELATIONS.iter().map(|(low, order, high, why)| {
        let order = match order {
            Below => "less than",
            AtMost => "at most",
        };
        format!("`{low}` is {order} `{high}`: {why}")
    });
    let others = [
        "`delivery.stall_timeout` and 5 s are less than `supervisor.watchdog`: docent must have time to restart an agent before \
         systemd kills it",
        "`delivery.unsettled` and the `concurrency` of each agent together are less than `delivery.capacity`: the table of an \
         agent holds both",
        "the pauses before `supervisor.restarts` restarts fit into `supervisor.restart_window`: otherwise docent would restart \
         an agent forever",
        "`http.tls_certificate` and `http.tls_key` are set together, or neither",
        "`http.listen` is a loopback address, such as `127.0.0.1:9870`, or TLS is on, or `http.insecure` is true: without TLS \
         others on the network can read tokens and documents",
        "`store.password_file` and `store.ca_file` are for `store.url`; others cannot read `store.password_file`",
        "an `[[alert]]` has the limit that its `when` takes and no other, and not both a `command` and a `webhook`; a `webhook` \
         is `https`, or on this machine, and has a `secret_file` that others cannot read; a `ca_file` belongs to a `webhook` that is `https`",
    ];
    compared.chain(others.map(str::to_owned)).collect()
}

/// Reports every rule that does not hold. A rule about a key that has a violation already is left out.
pub(crate) fn check(config: &Config, layers: &mut Layers) {
    let mut rules = Rules { config, layers };
    for relation in RELATIONS {
        rules.compare(relation);
    }
    rules.watchdog();
    rules.capacities();
    rules.restarts();
    rules.patterns();
    rules.socket();
    rules.listener();
    rules.database();
}

struct Rules<'a> {
    config: &'a Config,
    layers: &'a mut Layers,
}

impl Rules<'_> {
    /// Unless `holds`, reports the first of `keys` that was set by somebody.
    fn require(&mut self, holds: bool, keys: &[&str], reason: impl FnOnce() -> Reason) {
        if holds || keys.iter().any(|key| self.layers.is_suspect(key)) {
            return;
        }
        let set = |key: &&&str| self.layers.origin(key) != Origin::Default;
        let Some(key) = keys.iter().find(set).or(keys.first()) else {
            return;
        };
        let origin = self.layers.origin(key);
        // Not suspect from now on: another rule about the same key is another mistake.
        self.layers.violations.push(reason().at(origin, *key));
    }

    fn compare(&mut self, relation: &Relation) {
        let (low, order, high, _) = relation;
        let amount = |key| amount(&self.layers.values, key);
        let (Some(small), Some(large)) = (amount(low), amount(high)) else {
            return;
        };
        let (holds, is, remedy) = match order {
            Below => (small.0 < large.0, "not less than", "less than"),
            AtMost => (small.0 <= large.0, "more than", "at most"),
        };
        self.require(holds, &[low, high], || {
            Reason::new(
                format!("{low} ({}) is {is} {high} ({})", small.1, large.1),
                format!("write a value {remedy} that, or raise {high}"),
            )
        });
    }

    fn watchdog(&mut self) {
        let (stall, watchdog) = (
            self.config.delivery.stall_timeout,
            self.config.supervisor.watchdog,
        );
        let keys = ["delivery.stall_timeout", "supervisor.watchdog"];
        self.require(stall + WATCHDOG_MARGIN < watchdog, &keys, || {
            let margin = format_duration(WATCHDOG_MARGIN);
            Reason::new(
                format!(
                    "delivery.stall_timeout (\"{}\") and {margin} more are not less than supervisor.watchdog (\"{}\")",
                    format_duration(stall),
                    format_duration(watchdog)
                ),
                format!("write a stall_timeout more than {margin} below the watchdog"),
            )
        });
    }

    fn capacities(&mut self) {
        self.capacity("delivery.concurrency", self.config.delivery.concurrency);
        for (name, agent) in self.config.agents.all() {
            // 0 stands for the common value, which has just been looked at.
            if agent.concurrency > 0 {
                self.capacity(&format!("agents.{name}.concurrency"), agent.concurrency);
            }
        }
    }

    /// A runner's table holds what is running and what is submitted, and something besides.
    fn capacity(&mut self, key: &str, permits: usize) {
        let delivery = &self.config.delivery;
        let needed = permits + delivery.unsettled;
        let keys = ["delivery.capacity", key, "delivery.unsettled"];
        self.require(delivery.capacity > needed, &keys, || {
            Reason::new(
                format!(
                    "delivery.capacity ({}) is not more than {key} ({permits}) and delivery.unsettled ({}) together",
                    delivery.capacity, delivery.unsettled
                ),
                format!("write a capacity of {} or more", needed + 1),
            )
        });
    }

    fn restarts(&mut self) {
        let supervisor = &self.config.supervisor;
        let mut pause = supervisor.restart_backoff_min;
        let mut pauses = Duration::ZERO;
        for _ in 0..supervisor.restarts {
            pauses += pause;
            pause = (pause * 2).min(supervisor.restart_backoff_max);
        }
        let keys = [
            "supervisor.restart_window",
            "supervisor.restarts",
            "supervisor.restart_backoff_min",
            "supervisor.restart_backoff_max",
        ];
        self.require(pauses < supervisor.restart_window, &keys, || {
            let (window, pauses) = (format_duration(supervisor.restart_window), format_duration(pauses));
            Reason::new(
                format!(
                    "the pauses before {} restarts can take \"{pauses}\", so they do not fit into a restart_window of \"{window}\" and the agent would never be parked",
                    supervisor.restarts
                ),
                format!("write a restart_window of more than \"{pauses}\", or fewer restarts"),
            )
        });
    }

    /// Each pattern was checked by itself; this is about all of a list.
    fn patterns(&mut self) {
        let config = self.config;
        let secrets = "documents.secrets";
        if self.layers.origin(secrets) != Origin::Default {
            self.together(secrets, &config.documents.secrets, true);
        }
        for (n, collection) in config.collections.iter().enumerate() {
            for (name, list) in [
                ("include", &collection.include),
                ("exclude", &collection.exclude),
            ] {
                let key = format!("collection[{n}].{name}");
                self.together(&key, list, false);
                let only_not = !list.is_empty() && list.iter().all(|p| p.starts_with('!'));
                self.require(!only_not, &[&key], || {
                    Reason::new(
                        format!("has only patterns with `!`, so {name} matches nothing"),
                        "write the patterns that they are exceptions from before them",
                    )
                });
                let root = &collection.path;
                let absolute = list.iter().find(|p| {
                    root.parent().is_some()
                        && Path::new(p.trim_start_matches('!')).starts_with(root)
                });
                let path = format!("collection[{n}].path");
                self.require(absolute.is_none(), &[&key, &path], || {
                    Reason::new(
                        format!(
                            "{} begins with the collection's path, and patterns count from there",
                            quote(absolute.map_or("", String::as_str))
                        ),
                        format!("leave {} out", root.display()),
                    )
                });
            }
        }
    }

    fn together(&mut self, key: &str, list: &[String], any_case: bool) {
        if let Err(error) = Patterns::new(list, any_case) {
            self.require(false, &[key], || Reason::new(error.what, error.remedy));
        }
    }

    fn socket(&mut self) {
        let socket = self.config.socket_path();
        let bytes = socket.as_os_str().len();
        let keys = ["control.socket", "data_dir"];
        self.require(bytes <= LONGEST_SOCKET, &keys, || {
            Reason::new(
                format!(
                    "the control socket's path {} has {bytes} bytes, more than the {LONGEST_SOCKET} of a socket",
                    socket.display()
                ),
                "write a short path as [control] socket",
            )
        });
    }
}

impl Rules<'_> {
    fn listener(&mut self) {
        let http = &self.config.http;
        let (certificate, key) = (&http.tls_certificate, &http.tls_key);
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        let (has_certificate, has_key) = (is_set(certificate), is_set(key));
        let pair = ["http.tls_certificate", "http.tls_key"];
        self.require(has_certificate == has_key, &pair, || {
            let (there, missing) = match has_key {
                true => ("tls_key", "tls_certificate"),
                false => ("tls_certificate", "tls_key"),
            };
            Reason::new(
                format!("{there} is set, and {missing} is not"),
                format!("write {missing} too, or neither of them"),
            )
        });
        let open = http
            .listen
            .is_some_and(|address| !address.ip().is_loopback());
        let safe = !open || http.insecure || has_certificate || has_key;
        self.require(safe, &["http.listen"], || {
            Reason::new(
                "other machines reach this address, and TLS is off: others on the network could read tokens and documents",
                "write tls_certificate and tls_key, or listen on 127.0.0.1; insecure = true allows it anyway",
            )
        });
    }
}

impl Rules<'_> {
    fn database(&mut self) {
        let store = &self.config.store;
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        for (key, file) in [
            ("store.password_file", &store.password_file),
            ("store.ca_file", &store.ca_file),
        ] {
            self.require(!store.url.is_empty() || !is_set(file), &[key], || {
                Reason::new(
                    "is for a database, but the store is a file",
                    "write [store] url, or remove this key",
                )
            });
        }
        let readable =
            readable_by_others(&store.password_file).filter(|_| is_set(&store.password_file));
        self.require(readable.is_none(), &["store.password_file"], || {
            let file = store.password_file.display();
            Reason::new(
                format!("others can read {file}"),
                format!("run `chmod 600 {file}`, and give the database user a new password"),
            )
        });
    }
}

/// What a key amounts to, and as it is written.
fn amount(values: &Table, key: &str) -> Option<(u64, String)> {
    let Some(Node::Value { shape, .. }) = key_path::node_at(key) else {
        return None;
    };
    let mut names = key.split('.');
    let first = values.get(names.next()?)?;
    let value = names.try_fold(first, |value, name| value.get(name));
    let amount = shape.amount(value?)?;
    Some((amount, shape.written(amount)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::{load, violations};

    /// A file that breaks one rule, and how the violation begins: with the line where the key was set.
    #[rustfmt::skip] // one entry a line
    const BROKEN: &[(&str, &str)] = &[
        ("shutdown_timeout = \"60s\"", "1: shutdown_timeout: shutdown_timeout (\"1min\") is not less than supervisor.stop_timeout (\"1min\"); write a value less than that, or raise supervisor.stop_timeout"),
        ("[supervisor]\nstop_timeout = \"30s\"", "2: supervisor.stop_timeout: shutdown_timeout (\"45s\") is not less"),
        ("[delivery]\nstall_timeout = \"25s\"", "2: delivery.stall_timeout: delivery.stall_timeout (\"25s\") and 5s more"),
        ("[supervisor]\nwatchdog = \"25s\"", "2: supervisor.watchdog: delivery.stall_timeout (\"20s\") and 5s more"),
        ("[delivery]\ncapacity = 80", "2: delivery.capacity: delivery.capacity (80) is not more than delivery.concurrency (16) and delivery.unsettled (64) together; write a capacity of 81 or more"),
        ("[delivery]\nconcurrency = 192", "2: delivery.concurrency: delivery.capacity (256) is not more than delivery.concurrency (192)"),
        ("[delivery]\nunsettled = 240", "2: delivery.unsettled: delivery.capacity (256)"),
        ("[agents.rag]\nconcurrency = 192", "2: agents.rag.concurrency: delivery.capacity (256) is not more than agents.rag.concurrency (192)"),
        ("[delivery]\nbackoff_min = \"6min\"", "2: delivery.backoff_min: delivery.backoff_min (\"6min\") is more than delivery.backoff_max (\"5min\")"),
        ("[delivery]\nunavailable_max = \"500ms\"", "2: delivery.unavailable_max: delivery.unavailable_min (\"1s\") is more"),
        ("[documents]\nfile_size = \"64MiB\"", "2: documents.file_size: documents.file_size (\"64MiB\") is more than delivery.unsettled_size (\"32MiB\")"),
        ("[control]\nbody = \"32KiB\"", "2: control.body: delivery.event_size (\"64KiB\") is more than control.body (\"32KiB\")"),
        ("[redis]\nwindow = 3", "2: redis.window: redis.window_per_subject (4) is more than redis.window (3)"),
        ("[redis]\ninbox_keep_size = \"1KiB\"", "2: redis.inbox_keep_size: delivery.event_size (\"64KiB\") is more"),
        ("[supervisor]\nrestart_backoff_min = \"31s\"\nrestarts = 1", "2: supervisor.restart_backoff_min: supervisor.restart_backoff_min (\"31s\") is more"),
        ("[supervisor]\nrestarts = 6", "2: supervisor.restarts: the pauses before 6 restarts can take \"61s\""),
        ("[supervisor]\nrestart_window = \"31s\"", "2: supervisor.restart_window: the pauses before 5 restarts can take \"31s\""),
        ("[watch]\ndebounce = \"5s\"", "2: watch.debounce: watch.debounce (\"5s\") is not less than watch.stable_after (\"5s\")"),
        ("[watch]\nowed_high_watch = 900", "2: watch.owed_high_watch: watch.owed_high (1000) is more"),
        ("[index]\nchunk_size = 200\nchunk_overlap = 200", "3: index.chunk_overlap: index.chunk_overlap (200) is not less"),
        ("[http]\ntls_key = \"key.pem\"", "2: http.tls_key: tls_key is set, and tls_certificate is not; write tls_certificate too"),
        ("[http]\nlisten = \"0.0.0.0:9870\"", "2: http.listen: other machines reach this address, and TLS is off: others on the network could read tokens and documents; write tls_certificate"),
        ("[[collection]]\nname = \"a\"\npath = \"/srv/a\"\ninclude = [\"!x.md\"]", "4: collection[0].include: has only patterns with `!`, so include matches nothing"),
        ("[[collection]]\nname = \"a\"\npath = \"/srv/a\"\nexclude = [\"/srv/a/x.md\"]", "4: collection[0].exclude: \"/srv/a/x.md\" begins with the collection's path"),
    ];

    #[test]
    fn every_rule_is_told_at_the_key_that_breaks_it() {
        for (text, start) in BROKEN {
            let told = violations(text);
            assert_eq!(told.len(), 1, "{text}: {told:#?}");
            let start = format!("docent.toml:{start}");
            assert!(told[0].starts_with(&start), "{text}: {told:#?}");
        }
    }

    #[test]
    fn what_a_rule_just_allows_is_allowed() {
        for text in [
            "shutdown_timeout = \"59s\"",
            "[delivery]\ncapacity = 81",
            "[delivery]\nstall_timeout = \"24s\"",
            "[delivery]\nbackoff_min = \"5min\"",
            "[supervisor]\nrestart_window = \"32s\"",
            "[bus]\nmode = \"auto\"\n[agents.rag]\ncarrier = \"embedded\"",
            "[http]\nlisten = \"[::1]:9870\"",
            "[http]\nlisten = \"0.0.0.0:9870\"\ninsecure = true",
            "[http]\nlisten = \"0.0.0.0:9870\"\ntls_certificate = \"a\"\ntls_key = \"b\"",
        ] {
            assert!(load(text).is_ok(), "{text}: {:#?}", violations(text));
        }
    }

    #[test]
    fn a_socket_path_that_is_too_long_is_told_where_it_comes_from() {
        let long = format!("/{}", "x".repeat(107));
        let told = violations(&format!("[control]\nsocket = \"{long}\""));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(
            told[0].starts_with("docent.toml:2: control.socket: "),
            "{told:#?}"
        );
        assert!(told[0].contains("108 bytes"), "{told:#?}");
        let told = violations(&format!("data_dir = \"{long}\""));
        assert!(
            told[0].starts_with("docent.toml:1: data_dir: "),
            "{told:#?}"
        );
        let fits = format!("[control]\nsocket = \"/{}\"", "x".repeat(106));
        assert!(load(&fits).is_ok());
    }

    #[test]
    fn every_relation_is_between_two_keys_with_an_amount() {
        let values = Layers::defaults().values;
        for (low, _, high, why) in RELATIONS {
            assert!(amount(&values, low).is_some(), "{low}");
            assert!(amount(&values, high).is_some(), "{high}");
            assert!(!why.is_empty());
        }
    }
}
