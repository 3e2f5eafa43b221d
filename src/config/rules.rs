//! The rules between keys.

use super::check::quote;
use super::layers::Findings;
use super::paths::LONGEST_SOCKET;
use super::patterns::Patterns;
use super::problem::{Origin, Wrong};
use super::tree::Config;
use super::units::{format_duration, format_size};
use std::path::Path;
use std::time::Duration;

/// Between a handler that stalls and the watchdog there must be time to replace the agent.
pub const WATCHDOG_MARGIN: Duration = Duration::from_secs(5);

/// Complains about every rule that does not hold. A rule about a key that has a problem already is left out.
pub(crate) fn check(config: &Config, findings: &mut Findings) {
    let mut rules = Rules { config, findings };
    rules.timeouts();
    rules.delivery();
    rules.redis();
    rules.restarts();
    rules.documents();
    rules.patterns();
    rules.socket();
}

struct Rules<'a> {
    config: &'a Config,
    findings: &'a mut Findings,
}

/// What a key that is compared with another one is called, and its value as text.
type Named<'a> = (&'a str, String);

impl Rules<'_> {
    /// Unless `holds`, complains about the first of `keys` that was set by somebody.
    fn require(&mut self, holds: bool, keys: &[&str], wrong: impl FnOnce() -> Wrong) {
        if holds || keys.iter().any(|key| self.findings.is_suspect(key)) {
            return;
        }
        let set = |key: &&&str| self.findings.origin(key) != Origin::Default;
        let Some(key) = keys.iter().find(set).or(keys.first()) else {
            return;
        };
        let origin = self.findings.origin(key);
        // Not suspect from now on: another rule about the same key is another mistake.
        self.findings.problems.push(wrong().at(origin, *key));
    }

    /// Requires that a value is less than another, or at most that.
    fn ordered<T: PartialOrd>(
        &mut self,
        (low, high): (&T, &T),
        equal: bool,
        names: (&str, &str),
        show: impl Fn(&T) -> String,
    ) {
        let holds = low < high || (equal && low == high);
        let (low, high): (Named<'_>, Named<'_>) = ((names.0, show(low)), (names.1, show(high)));
        self.require(holds, &[low.0, high.0], || compared(&low, &high, equal));
    }

    fn durations(&mut self, values: (Duration, Duration), equal: bool, names: (&str, &str)) {
        self.ordered((&values.0, &values.1), equal, names, |d| {
            format!("\"{}\"", format_duration(*d))
        });
    }

    fn sizes(&mut self, values: (u64, u64), names: (&str, &str)) {
        self.ordered((&values.0, &values.1), true, names, |size| {
            format!("\"{}\"", format_size(*size))
        });
    }

    fn counts(&mut self, values: (u64, u64), names: (&str, &str)) {
        self.ordered((&values.0, &values.1), true, names, u64::to_string);
    }

    fn timeouts(&mut self) {
        let (config, supervisor) = (self.config, &self.config.supervisor);
        self.durations(
            (config.shutdown_timeout, supervisor.stop_timeout),
            false,
            ("shutdown_timeout", "supervisor.stop_timeout"),
        );
        let stall = config.delivery.stall_timeout;
        self.require(
            stall + WATCHDOG_MARGIN < supervisor.watchdog,
            &["delivery.stall_timeout", "supervisor.watchdog"],
            || {
                let margin = format_duration(WATCHDOG_MARGIN);
                Wrong::new(
                    format!(
                        "delivery.stall_timeout (\"{}\") and {margin} more are not less than supervisor.watchdog (\"{}\")",
                        format_duration(stall),
                        format_duration(supervisor.watchdog)
                    ),
                    format!("write a stall_timeout more than {margin} below the watchdog"),
                )
            },
        );
    }

    fn delivery(&mut self) {
        let delivery = &self.config.delivery;
        self.room("delivery.concurrency", delivery.concurrency);
        for (name, agent) in self.config.agents.all() {
            // 0 stands for the common value, which has just been looked at.
            if agent.concurrency > 0 {
                self.room(&format!("agents.{name}.concurrency"), agent.concurrency);
            }
        }
        self.durations(
            (delivery.backoff_min, delivery.backoff_max),
            true,
            ("delivery.backoff_min", "delivery.backoff_max"),
        );
        self.durations(
            (delivery.unavailable_min, delivery.unavailable_max),
            true,
            ("delivery.unavailable_min", "delivery.unavailable_max"),
        );
        self.sizes(
            (delivery.event_size, delivery.unsettled_size),
            ("delivery.event_size", "delivery.unsettled_size"),
        );
        self.sizes(
            (delivery.event_size, self.config.control.body),
            ("delivery.event_size", "control.body"),
        );
    }

    /// A runner's table holds what is running and what is submitted, and something besides.
    fn room(&mut self, key: &str, permits: usize) {
        let delivery = &self.config.delivery;
        let needed = permits + delivery.unsettled;
        let keys = ["delivery.room", key, "delivery.unsettled"];
        self.require(delivery.room > needed, &keys, || {
            Wrong::new(
                format!(
                    "delivery.room ({}) is not more than {key} ({permits}) and delivery.unsettled ({}) together",
                    delivery.room, delivery.unsettled
                ),
                format!("write a room of {} or more", needed + 1),
            )
        });
    }

    fn redis(&mut self) {
        let (redis, delivery) = (&self.config.redis, &self.config.delivery);
        self.counts(
            (redis.window_per_subject as u64, redis.window as u64),
            ("redis.window_per_subject", "redis.window"),
        );
        self.sizes(
            (delivery.event_size, redis.inbox_keep_size),
            ("delivery.event_size", "redis.inbox_keep_size"),
        );
    }

    fn restarts(&mut self) {
        let supervisor = &self.config.supervisor;
        self.durations(
            (
                supervisor.restart_backoff_min,
                supervisor.restart_backoff_max,
            ),
            true,
            (
                "supervisor.restart_backoff_min",
                "supervisor.restart_backoff_max",
            ),
        );
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
            Wrong::new(
                format!(
                    "the pauses before {} restarts can take \"{pauses}\", so they do not fit into a restart_window of \"{window}\" and the agent would never be parked",
                    supervisor.restarts
                ),
                format!("write a restart_window of more than \"{pauses}\", or fewer restarts"),
            )
        });
    }

    fn documents(&mut self) {
        let config = self.config;
        self.sizes(
            (config.documents.file_size, config.delivery.unsettled_size),
            ("documents.file_size", "delivery.unsettled_size"),
        );
        self.durations(
            (config.watch.debounce, config.watch.stable_after),
            false,
            ("watch.debounce", "watch.stable_after"),
        );
        self.counts(
            (config.watch.owed_high, config.watch.owed_high_watch),
            ("watch.owed_high", "watch.owed_high_watch"),
        );
        self.ordered(
            (&config.index.chunk_overlap, &config.index.chunk_size),
            false,
            ("index.chunk_overlap", "index.chunk_size"),
            usize::to_string,
        );
    }

    /// Each pattern was looked at by itself; this is about all of a list.
    fn patterns(&mut self) {
        let config = self.config;
        self.together("documents.secrets", &config.documents.secrets, true);
        for (n, collection) in config.collections.iter().enumerate() {
            for (name, list) in [
                ("include", &collection.include),
                ("exclude", &collection.exclude),
            ] {
                let key = format!("collection[{n}].{name}");
                self.together(&key, list, false);
                let only_not = !list.is_empty() && list.iter().all(|p| p.starts_with('!'));
                self.require(!only_not, &[&key], || {
                    Wrong::new(
                        format!("has only patterns with `!`, so {name} matches nothing"),
                        "write the patterns that they are exceptions from before them",
                    )
                });
                let root = &collection.path;
                let absolute = list.iter().find(|p| {
                    root.parent().is_some()
                        && Path::new(p.trim_start_matches('!')).starts_with(root)
                });
                self.require(absolute.is_none(), &[&key], || {
                    Wrong::new(
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
            self.require(false, &[key], || Wrong::new(error.what, error.remedy));
        }
    }

    fn socket(&mut self) {
        let socket = self.config.socket_path();
        let bytes = socket.as_os_str().len();
        self.require(
            bytes <= LONGEST_SOCKET,
            &["control.socket", "data_dir"],
            || {
                Wrong::new(
                    format!(
                        "the control socket's path {} has {bytes} bytes, and a socket's may have {LONGEST_SOCKET}",
                        socket.display()
                    ),
                    "write a short path as [control] socket",
                )
            },
        );
    }
}

fn compared(low: &Named<'_>, high: &Named<'_>, equal: bool) -> Wrong {
    let (what, remedy) = if equal {
        ("more than", "at most")
    } else {
        ("not less than", "less than")
    };
    Wrong::new(
        format!("{} ({}) is {what} {} ({})", low.0, low.1, high.0, high.1),
        format!("write a value {remedy} that, or raise {}", high.0),
    )
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::{load, problems};

    /// A file that breaks one rule, and how the problem begins: with the line where the key was set.
    const BROKEN: &[(&str, &str)] = &[
        (
            "shutdown_timeout = \"60s\"",
            "1: shutdown_timeout: shutdown_timeout (\"1min\") is not less than supervisor.stop_timeout (\"1min\"); write a value less than that, or raise supervisor.stop_timeout",
        ),
        (
            "[supervisor]\nstop_timeout = \"30s\"",
            "2: supervisor.stop_timeout: shutdown_timeout (\"45s\") is not less",
        ),
        (
            "[delivery]\nstall_timeout = \"25s\"",
            "2: delivery.stall_timeout: delivery.stall_timeout (\"25s\") and 5s more",
        ),
        (
            "[supervisor]\nwatchdog = \"25s\"",
            "2: supervisor.watchdog: delivery.stall_timeout (\"20s\") and 5s more",
        ),
        (
            "[delivery]\nroom = 80",
            "2: delivery.room: delivery.room (80) is not more than delivery.concurrency (16) and delivery.unsettled (64) together; write a room of 81 or more",
        ),
        (
            "[delivery]\nconcurrency = 192",
            "2: delivery.concurrency: delivery.room (256) is not more than delivery.concurrency (192)",
        ),
        (
            "[delivery]\nunsettled = 240",
            "2: delivery.unsettled: delivery.room (256)",
        ),
        (
            "[agents.rag]\nconcurrency = 192",
            "2: agents.rag.concurrency: delivery.room (256) is not more than agents.rag.concurrency (192)",
        ),
        (
            "[delivery]\nbackoff_min = \"6min\"",
            "2: delivery.backoff_min: delivery.backoff_min (\"6min\") is more than delivery.backoff_max (\"5min\")",
        ),
        (
            "[delivery]\nunavailable_max = \"500ms\"",
            "2: delivery.unavailable_max: delivery.unavailable_min (\"1s\") is more",
        ),
        (
            "[documents]\nfile_size = \"64MiB\"",
            "2: documents.file_size: documents.file_size (\"64MiB\") is more than delivery.unsettled_size (\"32MiB\")",
        ),
        (
            "[control]\nbody = \"32KiB\"",
            "2: control.body: delivery.event_size (\"64KiB\") is more than control.body (\"32KiB\")",
        ),
        (
            "[redis]\nwindow = 3",
            "2: redis.window: redis.window_per_subject (4) is more than redis.window (3)",
        ),
        (
            "[redis]\ninbox_keep_size = \"1KiB\"",
            "2: redis.inbox_keep_size: delivery.event_size (\"64KiB\") is more",
        ),
        (
            "[supervisor]\nrestart_backoff_min = \"31s\"\nrestarts = 1",
            "2: supervisor.restart_backoff_min: supervisor.restart_backoff_min (\"31s\") is more",
        ),
        (
            "[supervisor]\nrestarts = 6",
            "2: supervisor.restarts: the pauses before 6 restarts can take \"61s\"",
        ),
        (
            "[supervisor]\nrestart_window = \"31s\"",
            "2: supervisor.restart_window: the pauses before 5 restarts can take \"31s\"",
        ),
        (
            "[watch]\ndebounce = \"5s\"",
            "2: watch.debounce: watch.debounce (\"5s\") is not less than watch.stable_after (\"5s\")",
        ),
        (
            "[watch]\nowed_high_watch = 900",
            "2: watch.owed_high_watch: watch.owed_high (1000) is more",
        ),
        (
            "[index]\nchunk_size = 200\nchunk_overlap = 200",
            "3: index.chunk_overlap: index.chunk_overlap (200) is not less",
        ),
        (
            "[[collection]]\nname = \"a\"\npath = \"/srv/a\"\ninclude = [\"!x.md\"]",
            "4: collection[0].include: has only patterns with `!`, so include matches nothing",
        ),
        (
            "[[collection]]\nname = \"a\"\npath = \"/srv/a\"\nexclude = [\"/srv/a/x.md\"]",
            "4: collection[0].exclude: \"/srv/a/x.md\" begins with the collection's path",
        ),
    ];

    #[test]
    fn every_rule_is_told_at_the_key_that_breaks_it() {
        for (text, start) in BROKEN {
            let told = problems(text);
            assert_eq!(told.len(), 1, "{text}: {told:#?}");
            let start = format!("docent.toml:{start}");
            assert!(told[0].starts_with(&start), "{text}: {told:#?}");
        }
    }

    #[test]
    fn what_a_rule_just_allows_is_allowed() {
        for text in [
            "shutdown_timeout = \"59s\"",
            "[delivery]\nroom = 81",
            "[delivery]\nstall_timeout = \"24s\"",
            "[delivery]\nbackoff_min = \"5min\"",
            "[supervisor]\nrestart_window = \"32s\"",
            "[bus]\nmode = \"auto\"\n[agents.rag]\ncarrier = \"embedded\"",
        ] {
            assert!(load(text).is_ok(), "{text}: {:#?}", problems(text));
        }
    }

    #[test]
    fn a_socket_path_that_is_too_long_is_told_where_it_comes_from() {
        let long = format!("/{}", "x".repeat(107));
        let told = problems(&format!("[control]\nsocket = \"{long}\""));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(
            told[0].starts_with("docent.toml:2: control.socket: "),
            "{told:#?}"
        );
        assert!(told[0].contains("108 bytes"), "{told:#?}");
        let told = problems(&format!("data_dir = \"{long}\""));
        assert!(
            told[0].starts_with("docent.toml:1: data_dir: "),
            "{told:#?}"
        );
        let fits = format!("[control]\nsocket = \"/{}\"", "x".repeat(106));
        assert!(load(&fits).is_ok());
    }
}
