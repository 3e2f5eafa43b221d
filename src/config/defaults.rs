//! The built-in defaults, by hand, so that the test that compares them with `config/docent.toml` can fail.

use super::choice::{BusMode, Carrier, FileType, LogFormat, LogLevel, Missed};
use super::secret::RedisUrl;
use super::tree::*;
use std::path::PathBuf;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/docent"),
            instance: String::new(),
            shutdown_timeout: seconds(45),
            bus: Bus::default(),
            redis: Redis::default(),
            delivery: Delivery::default(),
            supervisor: Supervisor::default(),
            agents: Agents::default(),
            collections: Vec::new(),
            documents: Documents::default(),
            watch: Watch::default(),
            index: Index::default(),
            store: Store::default(),
            audit: Audit::default(),
            health: Health::default(),
            scheduler: Scheduler::default(),
            jobs: Jobs::default(),
            log: Log::default(),
            control: Control::default(),
            http: Http { listen: None },
            own_files: Vec::new(),
        }
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            mode: BusMode::Auto,
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: RedisUrl::from("redis://localhost:6379"),
            namespace: "docent".to_owned(),
            group: "docent".to_owned(),
            max_retries: 3,
            block_time: seconds(1),
            window: 256,
            window_per_subject: 4,
            inbox_keep: 10_000,
            inbox_keep_size: 64 * MIB,
            ingress_dead_letters: 10_000,
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            concurrency: 16,
            unsettled: 64,
            unsettled_size: 32 * MIB,
            room: 256,
            stall_timeout: seconds(20),
            backoff_min: seconds(1),
            backoff_max: seconds(300),
            unavailable_min: seconds(1),
            unavailable_max: seconds(300),
            ledger_keep: days(1),
            ledger_keep_events: 200_000,
            event_size: 64 * KIB,
        }
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            restarts: 5,
            restart_window: seconds(60),
            restart_backoff_min: seconds(1),
            restart_backoff_max: seconds(30),
            watchdog: seconds(30),
            stop_timeout: seconds(60),
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        // One capture loop and one clock: more permits would do nothing there.
        let single = Agent {
            concurrency: 1,
            ..Agent::default()
        };
        Self {
            change_detection: single.clone(),
            document_management: Agent::default(),
            rag: Agent::default(),
            logging_audit: Agent::default(),
            scheduler: single,
            self_healing: Agent::default(),
            #[cfg(feature = "testing")]
            test: Agent::default(),
        }
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            enabled: true,
            carrier: Carrier::Bus,
            concurrency: 0,
        }
    }
}

impl Default for Documents {
    fn default() -> Self {
        let secrets = [
            ".env",
            ".env.*",
            "*.env",
            ".envrc",
            "*.pem",
            "*.key",
            "*.p8",
            "*.p12",
            "*.pfx",
            "*.jks",
            "*.keystore",
            "*.ppk",
            "*.agekey",
            "*.keytab",
            "*.kdb",
            "*.kdbx",
            "id_rsa*",
            "id_dsa*",
            "id_ecdsa*",
            "id_ed25519*",
            ".gnupg/**",
            "sops/age/keys.txt",
            ".netrc",
            "_netrc",
            ".pgpass",
            "pgpass.conf",
            ".my.cnf",
            ".htpasswd",
            ".git-credentials",
            ".gitcookies",
            ".npmrc",
            ".pypirc",
            ".yarnrc.yml",
            ".s3cfg",
            ".boto",
            ".vault-token",
            ".smbcredentials",
            ".dockercfg",
            ".terraformrc",
            "terraform.rc",
            "rclone.conf",
            "wg*.conf",
            "kubeconfig",
            "*.kubeconfig",
            "wp-config.php",
            ".aws/credentials",
            ".aws/config",
            ".aws/cli/cache/**",
            ".azure/*.json",
            ".cargo/credentials*",
            ".codex/auth.json",
            ".composer/auth.json",
            ".config/gcloud/**",
            ".config/gh/hosts.yml",
            ".config/glab-cli/config.yml",
            ".docker/config.json",
            ".kube/config*",
            "containers/auth.json",
            "credentials",
            "credentials.*",
            ".credentials.*",
            "application_default_credentials.json",
            "client_secret*.json",
            "service-account*.json",
            "service_account*.json",
            "*-service-account.json",
            "secrets.*",
            "secret.cfg",
            "secret.conf",
            "secret.env",
            "secret.ini",
            "secret.json",
            "secret.properties",
            "secret.toml",
            "secret.txt",
            "secret.xml",
            "secret.yaml",
            "secret.yml",
            "passwords",
            "passwords.*",
            "*.tfvars",
            "*.tfvars.json",
            "*.tfstate",
            "*.tfstate.*",
            "shadow",
            "shadow-",
            "gshadow",
            "gshadow-",
            "master.passwd",
        ];
        Self {
            file_types: vec![
                FileType::Markdown,
                FileType::Text,
                FileType::Code,
                FileType::Json,
                FileType::Yaml,
                FileType::Toml,
            ],
            file_size: 8 * MIB,
            versions: 20,
            secrets: secrets.map(str::to_owned).to_vec(),
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(500),
            stable_after: seconds(5),
            rescan: seconds(3_600),
            poll: seconds(30),
            owed_high: 1_000,
            owed_high_watch: 10_000,
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self {
            chunk_size: 1200,
            chunk_overlap: 0,
            commit_interval: Duration::from_millis(250),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            free_space_floor: 256 * MIB,
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            retention: days(30),
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            probe: seconds(10),
            oldest_owed: seconds(300),
            slice: 100,
            fix_attempts: 3,
        }
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            timezone: "UTC".to_owned(),
        }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        let at = |schedule: &str| Job {
            schedule: schedule.to_owned(),
            ..Job::default()
        };
        Self {
            maintenance: at("0 2 * * *"),
            health: at("*/5 * * * *"),
            verify: at("0 * * * *"),
        }
    }
}

impl Default for Job {
    fn default() -> Self {
        Self {
            schedule: String::new(),
            enabled: true,
            missed: Missed::Once,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Auto,
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            socket: PathBuf::new(),
            group: String::new(),
            requests: 256,
            body: MIB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{self, ROOT};
    use crate::config::layers::Layers;
    use crate::config::load::REFERENCE;
    use crate::config::syntax::Source;
    use std::path::Path;
    use toml::{Table, Value};

    /// The keys of the values below `table`, with their tables; those of a list of tables without a number.
    fn keys_of(table: &Table, prefix: &str, into: &mut Vec<String>) {
        for (name, value) in table {
            let key = keys::join(prefix, name);
            match value {
                Value::Table(table) => keys_of(table, &key, into),
                Value::Array(items) if items.iter().any(Value::is_table) => {
                    items
                        .iter()
                        .filter_map(Value::as_table)
                        .for_each(|t| keys_of(t, &key, into));
                }
                _ => into.push(key),
            }
        }
        into.sort();
    }

    fn listed(without: &[&str]) -> Vec<String> {
        let mut keys = keys::all(ROOT);
        keys.retain(|key| !without.iter().any(|prefix| key.starts_with(prefix)));
        keys.sort();
        keys
    }

    /// The reference with what it shows commented out put in force.
    fn with_examples() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        };
        REFERENCE.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_reference_has_no_mistake_and_is_the_defaults() {
        let mut layers = Layers::default();
        layers.lay_defaults(&Source::parse(Path::new("docent.toml"), REFERENCE));
        assert_eq!(layers.findings.problems, []);
        let config: Config = Value::Table(layers.values)
            .try_into()
            .expect("the list of keys fits the tree");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_reference_shows_every_key() {
        let mut shown = Vec::new();
        let table: Table = with_examples().parse().expect("it is TOML");
        keys_of(&table, "", &mut shown);
        assert_eq!(shown, listed(&["agents.test."]));
    }

    #[test]
    fn the_example_collection_shows_the_defaults() {
        let example: Config = toml::from_str(&with_examples()).expect("it is a config");
        let minimal: Collection =
            toml::from_str("name = \"handbook\"\npath = \"/srv/handbook\"").expect("it is one");
        assert_eq!(example.collections, [minimal]);
    }

    #[test]
    fn the_list_of_keys_is_the_tree() {
        let mut config: Config = toml::from_str(&with_examples()).expect("it is a config");
        config.instance = "x".to_owned();
        let mut keys = Vec::new();
        let values = Value::try_from(&config).expect("it can be written");
        keys_of(
            values.as_table().expect("a config is a table"),
            "",
            &mut keys,
        );
        assert_eq!(keys, listed(&[]));
    }

    #[test]
    fn the_reference_says_something_about_every_key() {
        let mut before = "";
        for line in REFERENCE.lines() {
            let is_key = line
                .trim_start_matches('#')
                .split_once(" = ")
                .is_some_and(|(name, _)| {
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                });
            if is_key {
                assert!(line.contains(" # ") || before.starts_with("# "), "{line}");
            }
            before = line;
        }
    }
}
