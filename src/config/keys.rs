//! Every key of the config: the one place in code that states its name, type, default, shape, and what it does.
//!
//! A row is `name: type = default, shape;` below what operators read about it ([`table`](super::table) has the form). From
//! here come the structs that the rest of docent uses, the defaults, the check, `config/docent.toml`, the table in
//! `docs/configuration.md` and `docent config schema`. After a change, this writes the two files anew:
//!
//! ```sh
//! cargo test --lib config::reference::tests::write -- --ignored
//! ```

use super::check::{self, COLLECTION_NAME, GROUP, INSTANCE, LONGEST_INSTANCE, REDIS_NAME};
use super::choice::{
    AlertSeverity, AlertWhen, BusMode, Carrier, FileType, LogFormat, LogLevel, MetricsAccess,
    Missed, StoreTls, WatchMode,
};
use super::database_url::database_url;
use super::limit::Limit;
use super::redis_url::RedisUrl;
use super::redis_url::redis_url;
use super::shape::Shape::{self, Choice, Count, List, Name, Size, Switch, Text, Time};
use super::table::{Key, Keys, Node, Setting, tables};
use super::units::{DAY, GIB, HOUR, KIB, MIB, MINUTE, MS, SECOND, TIB, YEAR};
use super::webhook_url::{WebhookUrl, webhook_url};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

tables! {
    /// The whole file. In a loaded config every path is absolute.
    Config {
        /// The directory of the store and the search index. Only docent's user may read it.
        data_dir: PathBuf = "/var/lib/docent", Text(check::path);
        /// The name of this process in events and on Redis; `""` means the name of the host. Set it if two hosts have the
        /// same name.
        instance: String = "", Name(INSTANCE, 0, LONGEST_INSTANCE);
        /// How long stopping may take. Work that is still unfinished continues after the next start.
        shutdown_timeout: Duration = "45s", Time(SECOND, HOUR);
        /// How events reach the agents.
        bus: Bus;
        /// The Redis server, if there is one. Without Redis, only `max_retries` applies.
        redis: Redis;
        /// How agents handle events.
        delivery: Delivery;
        /// Restarts of agents, and the limits of systemd.
        supervisor: Supervisor;
        /// The agents.
        agents: Agents;
        /// The trees that docent watches, one `[[collection]]` each. There is none until you write one. No tree may be inside
        /// another one. docent never reads its own `data_dir`.
        collections as "collection": Vec<Collection> { name = "handbook", path = "/srv/handbook" };
        /// Which files become documents.
        documents: Documents;
        /// How docent notices changes on disk.
        watch: Watch;
        /// The search index.
        index: Index;
        /// The disk under `data_dir`.
        store: Store;
        /// The audit log.
        audit: Audit;
        /// The probes of `self_healing`.
        health: Health;
        /// When jobs run.
        scheduler: Scheduler;
        /// The jobs.
        jobs: Jobs;
        /// The rules of alerts, one `[[alert]]` each. There is none until you write one.
        alerts as "alert": Vec<Alert> { name = "space", when = "disk_free", below = "1GiB" };
        /// The log.
        log: Log;
        /// The control socket, which the command line uses.
        control: Control;
        /// The API over TCP, for those who have a token, and the probes `/livez` and `/readyz`.
        http: Http;
    } + {
        /// The files that this config was read from, and those with credentials that it names: they never become documents. A
        /// directory stands for the files in it.
        own_files: Vec<PathBuf>
    }

    /// `[bus]`
    Bus {
        /// What carries events to the agents: `"auto"` uses Redis while it answers and the ledger otherwise, `"redis"` uses
        /// Redis alone, so that without it events wait, and `"embedded"` never connects to Redis.
        mode: BusMode = "auto", Choice(BusMode::NAMES);
    }

    /// `[redis]`
    Redis {
        /// The address of Redis: `"redis://HOST:PORT"`, `"rediss://…"` for TLS, or `"redis+unix:///run/redis/redis.sock"` for a
        /// Unix socket. In full: `"redis://USER:PASSWORD@HOST:PORT/DATABASE"`. Percent-encode special characters (`#` is `%23`,
        /// `/` is `%2F`). TLS trusts the authorities of the system, or those in the file that `SSL_CERT_FILE` names in docent's
        /// environment. docent never shows a password.
        url: RedisUrl = "redis://localhost:6379", Text(redis_url);
        /// The prefix of every key that docent writes. Give each store its own.
        namespace: String = "docent", Name(REDIS_NAME, 1, 64);
        /// The consumer group that all agents share.
        group: String = "docent", Name(REDIS_NAME, 1, 64);
        /// Attempts after the first before a delivery is dead. This applies without Redis too.
        max_retries: u32 = 3, Count(0, 100);
        /// How long one read waits for entries.
        block_time: Duration = "1s", Time(10 * MS, MINUTE);
        /// How many deliveries of one agent Redis holds at a time.
        window: usize = 256, Count(1, 100_000);
        /// How many of these may be about one subject.
        window_per_subject: usize = 4, Count(1, 1_000);
        /// How many entries of the journal of all events docent keeps for other programs.
        inbox_keep: u64 = 10_000, Count(0, 100_000_000);
        /// The size up to which docent keeps them.
        inbox_keep_size: u64 = "64MiB", Size(0, TIB);
        /// How many entries of other programs that are unreadable or too large docent keeps. It drops the oldest first.
        ingress_dead_letters: u64 = 10_000, Count(1, 10_000_000);
    }

    /// `[delivery]`
    Delivery {
        /// How many events an agent handles at once, unless it has a `concurrency` of its own. Raise it if cores are idle while
        /// events wait.
        concurrency: usize = 16, Count(1, 1_024);
        /// How many transactions of one agent may wait for the disk.
        unsettled: usize = 64, Count(1, 10_000);
        /// The size of these transactions. It must hold the largest file.
        unsettled_size: u64 = "32MiB", Size(MIB, 16 * GIB);
        /// How many deliveries one agent may have in hand.
        capacity: usize = 256, Count(2, 100_000);
        /// docent stops a handler, and restarts an agent, that makes no progress for this long.
        stall_timeout: Duration = "20s", Time(SECOND, HOUR);
        /// The longest wait before the second attempt. It doubles with each attempt.
        backoff_min: Duration = "1s", Time(MS, HOUR);
        /// The longest wait before any attempt.
        backoff_max: Duration = "5min", Time(MS, DAY);
        /// The first pause of an agent when something that it needs is unavailable. It doubles.
        unavailable_min: Duration = "1s", Time(MS, HOUR);
        /// The longest such pause.
        unavailable_max: Duration = "5min", Time(MS, DAY);
        /// How long an event stays in the ledger after every agent has handled it.
        ledger_keep: Duration = "1d", Time(SECOND, 100 * YEAR);
        /// How many such events stay at most.
        ledger_keep_events: u64 = 200_000, Count(0, 1_000_000_000);
        /// The size of the largest event.
        event_size: u64 = "64KiB", Size(8 * KIB, MIB);
    }

    /// `[supervisor]`
    Supervisor {
        /// How often docent restarts an agent within the window. After that the agent stays down until you restart it.
        restarts: u32 = 5, Count(0, 1_000);
        /// The length of this window.
        restart_window: Duration = "1min", Time(SECOND, DAY);
        /// The pause before the first restart. It doubles.
        restart_backoff_min: Duration = "1s", Time(MS, HOUR);
        /// The longest pause before a restart.
        restart_backoff_max: Duration = "30s", Time(MS, DAY);
        /// `WatchdogSec` of the systemd unit. Change both together.
        watchdog: Duration = "30s", Time(SECOND, HOUR);
        /// `TimeoutStopSec` of the systemd unit. Change both together.
        stop_timeout: Duration = "1min", Time(SECOND, DAY);
    }

    /// `[agents.NAME]`
    Agents {
        /// Notices changes on disk.
        change_detection: Agent { concurrency = 1 };
        /// Validates documents and keeps their versions.
        document_management: Agent;
        /// Cuts documents into chunks, embeds them, and keeps the search index up to date.
        rag: Agent;
        /// Writes every event to the audit log.
        logging_audit: Agent;
        /// Starts jobs when they are due.
        scheduler: Agent { concurrency = 1 };
        /// Finds faults and fixes them.
        self_healing: Agent;
        /// Does what a test tells it to.
        #[cfg(feature = "testing")]
        test: Agent;
    }

    /// One agent.
    Agent {
        /// Whether the agent runs.
        enabled: bool = true, Switch;
        /// What carries its events; `""` means as `[bus] mode` says.
        carrier: Carrier = "", Choice(Carrier::NAMES);
        /// How many events it handles at once; 0 means as `[delivery] concurrency` says.
        concurrency: usize = 0, Count(0, 1_024);
    }

    /// `[[collection]]`: one watched tree.
    Collection {
        /// Its name in commands, events and search results.
        name: String, Name(COLLECTION_NAME, 1, 64);
        /// Its root directory.
        path: PathBuf, Text(check::path);
        /// Patterns, as in a `.gitignore`, of the files that belong to it; an empty list means all. Patterns are relative to the
        /// root, and `{a,b}` stands for alternatives.
        include: Vec<String> = [], List(&Text(check::glob));
        /// Patterns, as in a `.gitignore`, of the files that do not belong to it, in addition to those in `.docentignore`
        /// files.
        exclude: Vec<String> = [], List(&Text(check::glob));
        /// Patterns, as in a `.gitignore`, of the files that docent reads although they match `[documents] secrets` or hold a
        /// private key.
        allow_secrets: Vec<String> = [], List(&Text(check::glob));
        /// Whether git's own ignore rules apply: `.gitignore`, `info/exclude` and `core.excludesFile`.
        git: bool = true, Switch;
        /// How docent notices changes: `"native"` uses notifications of the kernel, `"poll"` scans often, and `"auto"` uses
        /// notifications, but scans often on network file systems and FUSE and where the kernel has no more watches.
        watch: WatchMode = "auto", Choice(WatchMode::NAMES);
    }

    /// `[documents]`
    Documents {
        /// The kinds of files that become documents.
        file_types: Vec<FileType> = ["markdown", "text", "code", "json", "yaml", "toml"], List(&Choice(FileType::NAMES));
        /// The size of the largest file that docent reads.
        file_size: u64 = "8MiB", Size(KIB, GIB);
        /// How many versions of a document docent keeps.
        versions: u32 = 20, Count(1, 100_000);
        /// Patterns of files that usually hold secrets: file names or ends of paths, in capitals or not. docent never reads them
        /// and lists them as withheld, unless `allow_secrets` of the collection names them. It withholds a file with a private
        /// key whatever its name is.
        secrets: Vec<String> = [
            ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk",
            "*.agekey", "*.keytab", "*.kdb", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".gnupg/**",
            "sops/age/keys.txt", ".netrc", "_netrc", ".pgpass", "pgpass.conf", ".my.cnf", ".htpasswd", ".git-credentials",
            ".gitcookies", ".npmrc", ".pypirc", ".yarnrc.yml", ".s3cfg", ".boto", ".vault-token", ".smbcredentials",
            ".dockercfg", ".terraformrc", "terraform.rc", "rclone.conf", "wg*.conf", "kubeconfig", "*.kubeconfig",
            "wp-config.php", ".aws/credentials", ".aws/config", ".aws/cli/cache/**", ".azure/*.json", ".cargo/credentials*",
            ".codex/auth.json", ".composer/auth.json", ".config/gcloud/**", ".config/gh/hosts.yml",
            ".config/glab-cli/config.yml", ".docker/config.json", ".kube/config*", "containers/auth.json", "credentials",
            "credentials.*", ".credentials.*", "application_default_credentials.json", "client_secret*.json",
            "service-account*.json", "service_account*.json", "*-service-account.json", "secrets.*", "secret.cfg",
            "secret.conf", "secret.env", "secret.ini", "secret.json", "secret.properties", "secret.toml", "secret.txt",
            "secret.xml", "secret.yaml", "secret.yml", "passwords", "passwords.*", "*.tfvars", "*.tfvars.json", "*.tfstate",
            "*.tfstate.*", "shadow", "shadow-", "gshadow", "gshadow-", "master.passwd"
        ], List(&Text(check::secret_glob));
    }

    /// `[watch]`
    Watch {
        /// How long a file must be unchanged before docent reads it. Raise it for programs that write slowly.
        debounce: Duration = "500ms", Time(10 * MS, MINUTE);
        /// docent reads a file that changes all the time after this long, if it does not change during the read.
        stable_after: Duration = "5s", Time(100 * MS, HOUR);
        /// The time between full scans, which find changes without a notification.
        rescan: Duration = "1h", Time(MINUTE, DAY);
        /// The time between scans of a collection without notifications.
        poll: Duration = "30s", Time(SECOND, DAY);
        /// Scanning pauses while more changes than this are unprocessed.
        owed_high: u64 = 1_000, Count(1, 1_000_000);
        /// Edits wait too while more changes than this are unprocessed.
        owed_high_watch: u64 = 10_000, Count(1, 10_000_000);
    }

    /// `[index]`
    Index {
        /// The maximum number of characters in a chunk, the part of a document that a search finds. docent cuts longer
        /// sections. A change makes docent index everything again.
        chunk_size: usize = 1200, Count(100, 100_000);
        /// How many characters a chunk repeats of the one before it. A change makes docent index everything again.
        chunk_overlap: usize = 0, Count(0, 50_000);
        /// How long docent gathers changes before it makes them searchable together.
        commit_interval: Duration = "250ms", Time(MS, MINUTE);
    }

    /// `[store]`
    Store {
        /// docent stops taking in files while less space than this is free.
        free_space_floor: u64 = "256MiB", Size(0, TIB);
        /// Where the store is. `""` means the file `store.db` in `data_dir`. `postgres://USER@HOST/DATABASE` means a database of
        /// PostgreSQL 15 or newer. The URL must not contain a password.
        url: String = "", Text(database_url);
        /// The file with the password of the database user, on one line. Only docent's user may be able to read it.
        password_file: PathBuf = "", Text(check::optional_path);
        /// The file with the certificate authorities that docent trusts for the database server, as PEM; `""` means those of
        /// the system.
        ca_file: PathBuf = "", Text(check::optional_path);
        /// How the database server proves who it is. A socket on this machine needs no proof.
        tls: StoreTls = "verify-full", Choice(StoreTls::NAMES);
    }

    /// `[audit]`
    Audit {
        /// How long docent keeps audit records and removed documents.
        retention: Duration = "30d", Time(DAY, 100 * YEAR);
    }

    /// `[health]`
    Health {
        /// The time between probes.
        probe: Duration = "10s", Time(SECOND, HOUR);
        /// docent opens an issue when an event has waited this long for an agent.
        oldest_owed: Duration = "5min", Time(SECOND, DAY);
        /// How many files one probe compares with the index.
        slice: usize = 100, Count(1, 100_000);
        /// How often docent tries to fix an issue before it leaves it to you.
        fix_attempts: u32 = 3, Count(1, 100);
    }

    /// `[scheduler]`
    Scheduler {
        /// The time zone of the schedules: an IANA name such as `"Europe/Berlin"`.
        timezone: String = "UTC", Text(check::time_zone);
    }

    /// `[jobs.NAME]`
    Jobs {
        /// Prunes what is older than its retention, and checks the store.
        maintenance: Job { schedule = "0 2 * * *" };
        /// Probes everything.
        health: Job { schedule = "*/5 * * * *" };
        /// Compares the search index with the store.
        verify: Job { schedule = "0 * * * *" };
        /// Writes the report of the last seven days.
        weekly_report as "weekly-report": Job { schedule = "0 6 * * SUN" };
    }

    /// One job.
    Job {
        /// When the job runs: minute, hour, day, month, weekday.
        schedule: String, Text(check::schedule);
        /// Whether the job runs by itself.
        enabled: bool = true, Switch;
        /// What happens to runs that were missed while docent was down: `"skip"` runs none, `"once"` one for all of them, `"all"`
        /// each.
        missed: Missed = "once", Choice(Missed::NAMES);
    }

    /// `[[alert]]`: one rule, which raises an alert while something is so.
    Alert {
        /// Its name in events, messages and the log. No collection may have the same name.
        name: String, Name(COLLECTION_NAME, 1, 64);
        /// What it watches: `"oldest_owed"`, how long an event has waited for an agent; `"dead"`, the number of dead letters;
        /// `"error_rate"`, the share of attempts in the last five minutes that failed; `"silent"`, how long an agent with work
        /// has finished none; `"job_missed"`, how long a job has been due; `"disk_free"`, the free space; `"parked"`, an agent
        /// that is no longer started; `"redis_away"`, a Redis that cannot carry events; `"issue"`, an open health issue.
        when: AlertWhen, Choice(AlertWhen::NAMES);
        /// The agent to watch; `""` means each. For `oldest_owed`, `dead`, `error_rate`, `silent` and `parked`.
        agent: String = "", Text(check::anything);
        /// The job to watch; `""` means each. For `job_missed`.
        job: String = "", Text(check::anything);
        /// The limit above which the alert is raised: a duration for `oldest_owed`, `silent` and `job_missed`, a whole number
        /// for `dead`, and a share such as `0.1` or `"10%"` for `error_rate`.
        above: Option<Limit> = "", Shape::Limit;
        /// The limit below which the alert is raised: a size for `disk_free`.
        below: Option<Limit> = "", Shape::Limit;
        /// How long the condition must hold before the alert is raised.
        hold as "for": Duration = "1min", Time(0, DAY);
        /// How long after its end docent does not raise the alert again.
        cooldown: Duration = "10min", Time(0, 30 * DAY);
        /// How severe the alert is. For `issue`, issues that are less severe do not count.
        severity: AlertSeverity = "warning", Choice(AlertSeverity::NAMES);
        /// The program to run, and its arguments; docent does not use a shell. Without a command and a webhook the alert is
        /// only an event and a line in the log.
        command: Vec<String> = [], List(&Text(check::argument));
        /// The address that gets a signed POST.
        webhook: Option<WebhookUrl> = "", Shape::Webhook(webhook_url);
        /// The file with the secret that signs messages to the webhook.
        secret_file: PathBuf = "", Text(check::optional_path);
        /// The file with the certificates in PEM of the authorities that docent trusts for the webhook, instead of those of
        /// the system.
        ca_file: PathBuf = "", Text(check::optional_path);
    }

    /// `[log]`
    Log {
        /// The least severe message that docent logs.
        level: LogLevel = "info", Choice(LogLevel::NAMES);
        /// The form of the log: `"text"` for people, `"json"` for one object a line, `"journald"` for the journal of systemd,
        /// with fields. `"auto"` means the journal if the service manager connected stderr to it, text on a terminal, and JSON
        /// otherwise.
        format: LogFormat = "auto", Choice(LogFormat::NAMES);
    }

    /// `[control]`
    Control {
        /// The path of the socket, at most 107 bytes. `""` means `/run/docent/docent.sock` for the `data_dir` `/var/lib/docent`,
        /// and `docent.sock` in any other `data_dir`.
        socket: PathBuf = "", Text(check::optional_path);
        /// The group whose members may use the socket; `""` means nobody but docent's own user and root.
        group: String = "", Name(GROUP, 0, 32);
        /// How many requests docent serves at once. Long ones, such as tail, wait, scan and publish --stdin, may take three
        /// quarters. docent's own user and root have 16 more.
        requests: usize = 256, Count(1, 100_000);
        /// The size of the largest request.
        body: u64 = "1MiB", Size(KIB, GIB);
    }

    /// `[http]`
    Http {
        /// The address and port to listen on, such as `"127.0.0.1:9870"`; `""` means none.
        listen: Option<SocketAddr> = "", Text(check::listen);
        /// The address that clients use, if it is not `listen`, for example behind a proxy: `"https://docs.example.org"`.
        /// docent accepts requests for this name and for its own address.
        public_url: String = "", Text(check::public_url);
        /// The file with the certificate and its intermediate certificates, in PEM. It turns TLS on. docent notices when the
        /// file changes.
        tls_certificate: PathBuf = "", Text(check::optional_path);
        /// The file with the certificate's private key, in PEM.
        tls_key: PathBuf = "", Text(check::optional_path);
        /// Whether docent may listen without TLS where other machines reach it. Others on the network can then read tokens and
        /// documents.
        insecure: bool = false, Switch;
        /// Who may read `/metrics` besides users of the control socket. `"loopback"`: programs on this machine, if `listen` is
        /// a loopback address, else whoever has a token that is not limited to collections. `"open"`: everybody who reaches
        /// `listen`; the metrics name collections. `"off"`: nobody, not even on the control socket.
        metrics: MetricsAccess = "loopback", Choice(MetricsAccess::NAMES);
    }
}
