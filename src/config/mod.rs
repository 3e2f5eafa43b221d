//! What can be set, how it is set, and everything that is wrong with it at once.
//!
//! `keys` is the table of every key; what else is known of one follows from there. Four layers, the last one wins: the
//! defaults; a file; variables such as `DOCENT__REDIS__URL`, where a double underscore leads into a table; flags. Each layer is
//! compared with the table of keys (`layers`), so that one run reports every unknown key, wrong type, bad unit and value out of
//! range, with its line. Then come the rules between keys (`rules`, `collections`); a rule is not checked on a value that is
//! wrong by itself. A file that is not TOML is one violation.
//!
//! A loaded [`Config`] has absolute paths and an instance name. A password in Redis' URL is hidden in everything that shows it;
//! only [`RedisUrl::expose`] tells it.

mod check;
mod choice;
mod collections;
mod groups;
mod keys;
mod layers;
mod load;
mod paths;
mod patterns;
mod redis_url;
#[cfg(test)]
mod reference;
mod rules;
mod schema;
mod secret;
mod shape;
mod show;
mod suggest;
mod syntax;
mod table;
mod trust;
mod units;
mod violation;

pub use check::parse_schedule;
pub use choice::{BusMode, Carrier, FileType, LogFormat, LogLevel, Missed, WatchMode};
pub use groups::group_id;
pub use keys::{
    Agent, Agents, Audit, Bus, Collection, Config, Control, Delivery, Documents, Health, Http,
    Index, Job, Jobs, Log, Redis, Scheduler, Store, Supervisor, Watch,
};
pub use load::{Loaded, Override, Sources};
pub use paths::{host_name, shell_word};
pub use patterns::{PatternError, Patterns, mistake as pattern_mistake};
#[cfg(test)]
pub(crate) use redis_url::tests::GOOD as REDIS_URLS;
pub use rules::WATCHDOG_MARGIN;
pub use schema::schema;
pub use secret::{RedisUrl, redact};
pub use show::Shown;
pub use trust::{Untrusted, trusted};
pub use units::{UnitError, format_duration, format_size, parse_duration, parse_size};
pub use violation::{Origin, Violation};

use std::path::PathBuf;

impl Config {
    /// The control socket: `[control] socket`, else `/run/docent/docent.sock` for the `data_dir` of an installed
    /// system and `docent.sock` in any other one.
    pub fn socket_path(&self) -> PathBuf {
        if self.control.socket.as_os_str().is_empty() {
            paths::default_socket(&self.data_dir)
        } else {
            self.control.socket.clone()
        }
    }

    /// The permits that `agent`, one of [`Config::agents`], has.
    pub fn concurrency_of(&self, agent: &Agent) -> usize {
        match agent.concurrency {
            0 => self.delivery.concurrency,
            own => own,
        }
    }

    /// What carries the deliveries of `agent`, one of [`Config::agents`].
    pub fn mode_of(&self, agent: &Agent) -> BusMode {
        match agent.carrier {
            Carrier::Bus => self.bus.mode,
            Carrier::Auto => BusMode::Auto,
            Carrier::Redis => BusMode::Redis,
            Carrier::Embedded => BusMode::Embedded,
        }
    }
}

impl Agents {
    /// Every agent with its name.
    pub fn all(&self) -> Vec<(&'static str, &Agent)> {
        // Without `..`, so that an agent that is forgotten here does not compile.
        let Self {
            change_detection,
            document_management,
            rag,
            logging_audit,
            scheduler,
            self_healing,
            #[cfg(feature = "testing")]
            test,
        } = self;
        vec![
            ("change_detection", change_detection),
            ("document_management", document_management),
            ("rag", rag),
            ("logging_audit", logging_audit),
            ("scheduler", scheduler),
            ("self_healing", self_healing),
            #[cfg(feature = "testing")]
            ("test", test),
        ]
    }

    /// The agent called `name`; none where there is no such agent.
    pub fn get(&self, name: &str) -> Option<&Agent> {
        let mut all = self.all().into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, agent)| agent)
    }
}

impl Jobs {
    /// Every job with its name.
    pub fn all(&self) -> [(&'static str, &Job); 3] {
        let Self {
            maintenance,
            health,
            verify,
        } = self;
        [
            ("maintenance", maintenance),
            ("health", health),
            ("verify", verify),
        ]
    }
}
