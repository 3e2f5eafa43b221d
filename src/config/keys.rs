//! The list of known keys with the shape of each value: what a file may hold, before serde sees it.

use super::check;
use super::choice::{BusMode, Carrier, LogFormat, LogLevel, Missed, WatchMode};
use super::redis_url::redis_url;
use super::shape::Shape::{self, Choice, Count, List, Size, Switch, Text, Time};
use std::time::Duration;

/// A key and what may stand under it.
pub(crate) struct Field {
    /// Its name in its table.
    pub(crate) name: &'static str,
    /// What stands under it.
    pub(crate) node: Node,
}

/// What stands under a key.
pub(crate) enum Node {
    /// One value.
    Value(Shape),
    /// A table of keys.
    Table(&'static [Field]),
    /// A list of tables with these keys. Only the top of the tree may hold one.
    Tables {
        /// The keys of each.
        fields: &'static [Field],
        /// Those that each must have.
        required: &'static [&'static str],
    },
}

const fn key(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        node: Node::Value(shape),
    }
}

const fn table(name: &'static str, fields: &'static [Field]) -> Field {
    Field {
        name,
        node: Node::Table(fields),
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEARS: Duration = Duration::from_secs(100 * 365 * 86_400);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The keys of the whole file.
pub(crate) static ROOT: &[Field] = &[
    key("data_dir", Text(check::path)),
    key("instance", Text(check::instance)),
    key("shutdown_timeout", Time(SECOND, HOUR)),
    table("bus", &[key("mode", Choice(BusMode::NAMES))]),
    table("redis", REDIS),
    table("delivery", DELIVERY),
    table("supervisor", SUPERVISOR),
    table("agents", AGENTS),
    Field {
        name: "collection",
        node: Node::Tables {
            fields: COLLECTION,
            required: &["name", "path"],
        },
    },
    table("documents", DOCUMENTS),
    table("watch", WATCH),
    table("index", INDEX),
    table("store", &[key("free_space_floor", Size(0, TIB))]),
    table("audit", &[key("retention", Time(DAY, YEARS))]),
    table("health", HEALTH),
    table("scheduler", &[key("timezone", Text(check::time_zone))]),
    table("jobs", JOBS),
    table("log", LOG),
    table("control", CONTROL),
    table("http", &[key("listen", Text(check::listen))]),
];

const REDIS: &[Field] = &[
    key("url", Text(redis_url)),
    key("namespace", Text(check::redis_name)),
    key("group", Text(check::redis_name)),
    key("max_retries", Count(0, 100)),
    key("block_time", Time(ms(10), MINUTE)),
    key("window", Count(1, 100_000)),
    key("window_per_subject", Count(1, 1_000)),
    key("inbox_keep", Count(0, 100_000_000)),
    key("inbox_keep_size", Size(0, TIB)),
    key("ingress_dead_letters", Count(1, 10_000_000)),
];

const DELIVERY: &[Field] = &[
    key("concurrency", Count(1, 1_024)),
    key("unsettled", Count(1, 10_000)),
    key("unsettled_size", Size(MIB, 16 * GIB)),
    key("room", Count(2, 100_000)),
    key("stall_timeout", Time(SECOND, HOUR)),
    key("backoff_min", Time(ms(1), HOUR)),
    key("backoff_max", Time(ms(1), DAY)),
    key("unavailable_min", Time(ms(1), HOUR)),
    key("unavailable_max", Time(ms(1), DAY)),
    key("ledger_keep", Time(SECOND, YEARS)),
    key("ledger_keep_events", Count(0, 1_000_000_000)),
    key("event_size", Size(8 * KIB, MIB)),
];

const SUPERVISOR: &[Field] = &[
    key("restarts", Count(0, 1_000)),
    key("restart_window", Time(SECOND, DAY)),
    key("restart_backoff_min", Time(ms(1), HOUR)),
    key("restart_backoff_max", Time(ms(1), DAY)),
    key("watchdog", Time(SECOND, HOUR)),
    key("stop_timeout", Time(SECOND, DAY)),
];

const AGENTS: &[Field] = &[
    table("change_detection", AGENT),
    table("document_management", AGENT),
    table("rag", AGENT),
    table("logging_audit", AGENT),
    table("scheduler", AGENT),
    table("self_healing", AGENT),
    #[cfg(feature = "testing")]
    table("test", AGENT),
];

const AGENT: &[Field] = &[
    key("enabled", Switch),
    key("carrier", Choice(Carrier::NAMES)),
    key("concurrency", Count(0, 1_024)),
];

const COLLECTION: &[Field] = &[
    key("name", Text(check::collection_name)),
    key("path", Text(check::path)),
    key("include", List(check::glob)),
    key("exclude", List(check::glob)),
    key("allow_secrets", List(check::glob)),
    key("git", Switch),
    key("watch", Choice(WatchMode::NAMES)),
];

const DOCUMENTS: &[Field] = &[
    key("file_types", List(check::file_type)),
    key("file_size", Size(KIB, GIB)),
    key("versions", Count(1, 100_000)),
    key("secrets", List(check::secret_glob)),
];

const WATCH: &[Field] = &[
    key("debounce", Time(ms(10), MINUTE)),
    key("stable_after", Time(ms(100), HOUR)),
    key("rescan", Time(MINUTE, DAY)),
    key("poll", Time(SECOND, DAY)),
    key("owed_high", Count(1, 1_000_000)),
    key("owed_high_watch", Count(1, 10_000_000)),
];

const INDEX: &[Field] = &[
    key("chunk_size", Count(100, 100_000)),
    key("chunk_overlap", Count(0, 50_000)),
    key("commit_interval", Time(ms(1), MINUTE)),
];

const HEALTH: &[Field] = &[
    key("probe", Time(SECOND, HOUR)),
    key("oldest_owed", Time(SECOND, DAY)),
    key("slice", Count(1, 100_000)),
    key("fix_attempts", Count(1, 100)),
];

const JOBS: &[Field] = &[
    table("maintenance", JOB),
    table("health", JOB),
    table("verify", JOB),
];

const JOB: &[Field] = &[
    key("schedule", Text(check::schedule)),
    key("enabled", Switch),
    key("missed", Choice(Missed::NAMES)),
];

const LOG: &[Field] = &[
    key("level", Choice(LogLevel::NAMES)),
    key("format", Choice(LogFormat::NAMES)),
];

const CONTROL: &[Field] = &[
    key("socket", Text(check::socket)),
    key("group", Text(check::group)),
    key("requests", Count(1, 100_000)),
    key("body", Size(KIB, GIB)),
];

/// The field called `name` among `fields`.
pub(crate) fn find(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name == name)
}

/// What stands under the key `path` below `fields`; none where the path is unknown or leads into a value or a list.
pub(crate) fn node_at(fields: &'static [Field], path: &[&str]) -> Option<&'static Node> {
    let (first, rest) = path.split_first()?;
    let node = &find(fields, first)?.node;
    match node {
        _ if rest.is_empty() => Some(node),
        Node::Table(fields) => node_at(fields, rest),
        Node::Value(_) | Node::Tables { .. } => None,
    }
}

/// `prefix.name`, or `name` at the top.
pub(crate) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Every key of a value below `fields` with its tables, in the order of the list; those of a list of tables
/// without a number (`collection.path`).
pub(crate) fn all(fields: &'static [Field]) -> Vec<String> {
    fn collect(fields: &'static [Field], prefix: &str, into: &mut Vec<String>) {
        for field in fields {
            let path = join(prefix, field.name);
            match field.node {
                Node::Value(_) => into.push(path),
                Node::Table(fields) | Node::Tables { fields, .. } => collect(fields, &path, into),
            }
        }
    }
    let mut keys = Vec::new();
    collect(fields, "", &mut keys);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_is_listed_once() {
        let keys = all(ROOT);
        let unique: BTreeSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len());
        for key in [
            "data_dir",
            "redis.url",
            "agents.rag.enabled",
            "collection.path",
            "jobs.verify.missed",
        ] {
            assert!(keys.iter().any(|k| k == key), "{key}");
        }
    }
}
