//! What can be set, how it is set, and everything that is wrong with it at once.
//!
//! `keys` is the table of every key; what else is known of one follows from there. Four layers, the last one wins: the
//! defaults; a file; variables such as `DOCENT__REDIS__URL`, where a double underscore leads into a table; flags. Each layer is
//! compared with the table of keys (`layers`), so that one run reports every unknown key, wrong type, bad unit and value out of
//! range, with its line. Then come the rules between keys (`rules`, `collections`); a rule is not checked on a value that is
//! wrong by itself. A file that is not TOML is one violation.
//!
//! A loaded [`Config`] has absolute paths and an instance name. A password in Redis' URL is hidden in everything that shows it;
//! only `RedisUrl::expose` tells it. So are the path and query of a webhook's address.

mod alerts;
mod check;
mod choice;
mod collections;
mod groups;
mod key_path;
mod database_url;
mod keys;
mod layers;
mod limit;
mod load;
mod paths;
mod patterns;
mod private_file;
mod public_url;
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
mod webhook_url;

pub(crate) use check::parse_schedule;
pub(crate) use choice::Carrier;
pub(crate) use choice::{AlertSeverity, AlertWhen};
pub(crate) use choice::{BusMode, LogFormat, LogLevel, MetricsAccess, Missed, StoreTls, WatchMode};
pub(crate) use database_url::{database_url, is_local as is_local_database};
pub(crate) use groups::group_id;
pub(crate) use keys::Agent;
pub(crate) use keys::{Agents, Alert, Collection, Config, Job, Jobs, Log};
pub(crate) use limit::Limit;
pub(crate) use load::{Loaded, Override, Sources};
pub(crate) use paths::{host_name, shell_word};
pub(crate) use patterns::{PatternError, Patterns, mistake as pattern_mistake};
pub(crate) use public_url::PublicUrl;
#[cfg(test)]
pub(crate) use redis_url::tests::GOOD as REDIS_URLS;
pub(crate) use rules::WATCHDOG_MARGIN;
pub(crate) use schema::schema;
pub(crate) use show::ShownSetting;
pub(crate) use trust::{Untrusted, trusted};
pub(crate) use units::{UnitError, format_duration, format_size, parse_duration};
pub(crate) use violation::Violation;
pub(crate) use webhook_url::WebhookUrl;

use std::path::PathBuf;

impl Config {
    /// The control socket: `[control] socket`, else `/run/docent/docent.sock` for the `data_dir` of an installed
    /// system and `docent.sock` in any other one.
    pub(crate) fn socket_path(&self) -> PathBuf {
        if self.control.socket.as_os_str().is_empty() {
            paths::default_socket(&self.data_dir)
        } else {
            self.control.socket.clone()
        }
    }

    /// The permits that `agent`, one of [`Config::agents`], has.
    pub(crate) fn concurrency_of(&self, agent: &Agent) -> usize {
        match agent.concurrency {
            0 => self.delivery.concurrency,
            own => own,
        }
    }
}

impl Agents {
    /// Every agent with its name.
    pub(crate) fn all(&self) -> Vec<(&'static str, &Agent)> {
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
}

impl Jobs {
    /// Every job with its name.
    pub(crate) fn all(&self) -> Vec<(&'static str, &Job)> {
        let Self {
            maintenance,
            health,
            verify,
            weekly_report,
        } = self;
        vec![
            ("maintenance", maintenance),
            ("health", health),
            ("verify", verify),
            ("weekly-report", weekly_report),
        ]
    }
}
