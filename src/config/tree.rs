//! The config as a tree of plain structs. `config/docent.toml` describes the same keys for people.
//!
//! Fields have no defaults of their own: that file is the lowest layer and holds every key, with the exceptions
//! that are named here.

use super::choice::{BusMode, Carrier, FileType, LogFormat, LogLevel, Missed, WatchMode};
use super::secret::RedisUrl;
use super::units;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the store and the index live. Absolute in a loaded config.
    pub data_dir: PathBuf,
    /// Name of this process among others on one Redis, `[a-z0-9_.-]+`. Empty only before loading: then the host's name.
    pub instance: String,
    /// How long a drain may take.
    #[serde(with = "units::duration")]
    pub shutdown_timeout: Duration,
    /// How deliveries are carried.
    pub bus: Bus,
    /// Redis, where it carries; `max_retries` rules the direct carrier too.
    pub redis: Redis,
    /// The runners.
    pub delivery: Delivery,
    /// Restarts and watchdog.
    pub supervisor: Supervisor,
    /// Each agent.
    pub agents: Agents,
    /// The watched trees.
    #[serde(rename = "collection", default)] // there is none in `config/docent.toml`
    pub collections: Vec<Collection>,
    /// Which files become documents.
    pub documents: Documents,
    /// Noticing changes on disk.
    pub watch: Watch,
    /// Chunks and the search index.
    pub index: Index,
    /// The store's disk.
    pub store: Store,
    /// The audit log.
    pub audit: Audit,
    /// The probes of `self_healing`.
    pub health: Health,
    /// The clock of the jobs.
    pub scheduler: Scheduler,
    /// Each job.
    pub jobs: Jobs,
    /// The log.
    pub log: Log,
    /// The control socket.
    pub control: Control,
    /// The TCP listener.
    pub http: Http,
    /// The files that this config was read from, and those with credentials that it names: no documents. Absolute; a
    /// directory stands for the files in it.
    #[serde(skip)]
    pub own_files: Vec<PathBuf>,
}

/// `[bus]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// What carries deliveries to the agents.
    pub mode: BusMode,
}

/// `[redis]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Where Redis is.
    pub url: RedisUrl,
    /// Prefix of every key.
    pub namespace: String,
    /// Name of the consumer group that all agents share.
    pub group: String,
    /// Attempts after the first, until a delivery is dead.
    pub max_retries: u32,
    /// How long one read of a stream may wait for entries.
    #[serde(with = "units::duration")]
    pub block_time: Duration,
    /// Deliveries of one agent that are carried at a time.
    pub window: usize,
    /// Of these, deliveries of one subject.
    pub window_per_subject: usize,
    /// Entries that the journal keeps.
    pub inbox_keep: u64,
    /// Bytes that the journal keeps.
    #[serde(with = "units::size")]
    pub inbox_keep_size: u64,
    /// Entries from outside that nobody could read which are kept; the oldest give way.
    pub ingress_dead_letters: u64,
}

/// `[delivery]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Permits of an agent that sets no `concurrency` of its own.
    pub concurrency: usize,
    /// Transactions that an agent or source may have with the writer.
    pub unsettled: usize,
    /// Bytes of these transactions.
    #[serde(with = "units::size")]
    pub unsettled_size: u64,
    /// Deliveries that a runner's table may hold; above `concurrency` + `unsettled` of every agent.
    pub room: usize,
    /// A handler without progress for this long is stopped.
    #[serde(with = "units::duration")]
    pub stall_timeout: Duration,
    /// Largest wait before the second attempt.
    #[serde(with = "units::duration")]
    pub backoff_min: Duration,
    /// Largest wait before any attempt.
    #[serde(with = "units::duration")]
    pub backoff_max: Duration,
    /// First pause of an agent whose handler ended *unavailable*.
    #[serde(with = "units::duration")]
    pub unavailable_min: Duration,
    /// Longest such pause.
    #[serde(with = "units::duration")]
    pub unavailable_max: Duration,
    /// Age at which an event that is done everywhere leaves the ledger.
    #[serde(with = "units::duration")]
    pub ledger_keep: Duration,
    /// Count of done events above which the oldest leave the ledger.
    pub ledger_keep_events: u64,
    /// Bytes of the largest event.
    #[serde(with = "units::size")]
    pub event_size: u64,
}

/// `[supervisor]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervisor {
    /// Restarts of an agent within `restart_window`; the next end parks it.
    pub restarts: u32,
    /// Length of that window.
    #[serde(with = "units::duration")]
    pub restart_window: Duration,
    /// Pause before the first restart; doubles.
    #[serde(with = "units::duration")]
    pub restart_backoff_min: Duration,
    /// Longest pause before a restart.
    #[serde(with = "units::duration")]
    pub restart_backoff_max: Duration,
    /// systemd's `WatchdogSec`.
    #[serde(with = "units::duration")]
    pub watchdog: Duration,
    /// systemd's `TimeoutStopSec`.
    #[serde(with = "units::duration")]
    pub stop_timeout: Duration,
}

/// `[agents.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// Notices changes on disk.
    pub change_detection: Agent,
    /// Keeps documents and their versions.
    pub document_management: Agent,
    /// Chunks, embeds, searches.
    pub rag: Agent,
    /// Keeps the audit log.
    pub logging_audit: Agent,
    /// Starts jobs.
    pub scheduler: Agent,
    /// Finds faults and mends them.
    pub self_healing: Agent,
    /// The agent that does what a test tells it to.
    #[cfg(feature = "testing")]
    #[serde(default)]
    // not in `config/docent.toml`, which is the same with and without the feature
    pub test: Agent,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// Whether it runs.
    pub enabled: bool,
    /// What carries its deliveries.
    pub carrier: Carrier,
    /// Its permits; 0: as `[delivery] concurrency` says.
    pub concurrency: usize,
}

/// `[[collection]]`: one watched tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// Its name, `[a-z0-9_-]+`, unique.
    pub name: String,
    /// Its root. Absolute in a loaded config.
    pub path: PathBuf,
    /// Patterns, as in a `.gitignore`, of the files that count; empty: all.
    #[serde(default)]
    pub include: Vec<String>,
    /// Patterns, as in a `.gitignore`, of the files that do not count.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Patterns, as in a `.gitignore`, of the files that are read although they look like secrets.
    #[serde(default)]
    pub allow_secrets: Vec<String>,
    /// Whether git's ignore rules count.
    #[serde(default = "yes")]
    pub git: bool,
    /// How its changes are noticed.
    #[serde(default = "auto")]
    pub watch: WatchMode,
}

fn auto() -> WatchMode {
    WatchMode::Auto
}

fn yes() -> bool {
    true
}

/// `[documents]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Documents {
    /// Kinds of files that become documents.
    pub file_types: Vec<FileType>,
    /// Bytes of the largest file that is read.
    #[serde(with = "units::size")]
    pub file_size: u64,
    /// Versions of a document that are kept.
    pub versions: u32,
    /// Patterns of file names, or of the ends of paths, that are never read.
    pub secrets: Vec<String>,
}

/// `[watch]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// How long a file must be unchanged before it is read.
    #[serde(with = "units::duration")]
    pub debounce: Duration,
    /// After so long of constant change it is read all the same.
    #[serde(with = "units::duration")]
    pub stable_after: Duration,
    /// Time between full scans.
    #[serde(with = "units::duration")]
    pub rescan: Duration,
    /// Time between scans of a collection whose changes are not notified.
    #[serde(with = "units::duration")]
    pub poll: Duration,
    /// Unprocessed captures above which scanning pauses.
    pub owed_high: u64,
    /// Unprocessed captures above which edits that a watch saw wait too.
    pub owed_high_watch: u64,
}

/// `[index]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Characters of a chunk.
    pub chunk_size: usize,
    /// Characters that a chunk repeats of the one before it.
    pub chunk_overlap: usize,
    /// How long changes are gathered before they are made searchable together.
    #[serde(with = "units::duration")]
    pub commit_interval: Duration,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Bytes free on its disk below which nothing more is captured.
    #[serde(with = "units::size")]
    pub free_space_floor: u64,
}

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Age at which records are removed.
    #[serde(with = "units::duration")]
    pub retention: Duration,
}

/// `[health]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Time between probes.
    #[serde(with = "units::duration")]
    pub probe: Duration,
    /// Age of an owed delivery above which there is an issue.
    #[serde(with = "units::duration")]
    pub oldest_owed: Duration,
    /// Files compared with the index in one probe.
    pub slice: usize,
    /// Attempts at fixing one issue before it is left to an operator.
    pub fix_attempts: u32,
}

/// `[scheduler]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduler {
    /// IANA name of the time zone in which schedules are read.
    pub timezone: String,
}

/// `[jobs.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Prunes and checks what each agent owns.
    pub maintenance: Job,
    /// Probes everything.
    pub health: Job,
    /// Compares index and store.
    pub verify: Job,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// When it runs: a cron pattern of five fields.
    pub schedule: String,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// What becomes of runs that were missed.
    pub missed: Missed,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least severe message that is logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// `[control]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The socket's path; empty only before loading: see [`Config::socket_path`].
    pub socket: PathBuf,
    /// Group that may use the socket; empty: only the daemon's own user.
    pub group: String,
    /// Requests served at once.
    pub requests: usize,
    /// Bytes of the largest request body.
    #[serde(with = "units::size")]
    pub body: u64,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address of the TCP listener; none: there is no TCP.
    #[serde(with = "listen")]
    pub listen: Option<SocketAddr>,
}

/// An address in which the empty text means none.
mod listen {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use std::net::SocketAddr;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<SocketAddr>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(D::Error::custom)
    }
}
