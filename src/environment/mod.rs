//! What the config needs from this machine, tried without a daemon and without changing anything. Each topic has a file.
//!
//! A requirement that is not met is an [`Unmet`]: what was tried, on what, why it fails, and what to do. What could not be
//! tried, and why, is a note.

mod alerts;
mod listener;
mod paths;
mod redis;
mod store;
mod unit;
mod watches;

use std::path::Path;

use crate::config::Loaded;

/// Something that the config needs and this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unmet {
    /// Its topic, one word.
    pub check: &'static str,
    /// What was tried, on what, and why it fails.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EnvironmentReport {
    /// What is not met.
    pub unmet: Vec<Unmet>,
    /// What was not tried, and why.
    pub notes: Vec<String>,
}

impl EnvironmentReport {
    fn unmet(&mut self, check: &'static str, what: impl Into<String>, remedy: impl Into<String>) {
        self.unmet.push(Unmet {
            check,
            what: what.into(),
            remedy: remedy.into(),
        });
    }
}

/// Whether docent is installed as a service of the system.
pub(crate) fn is_service() -> bool {
    unit::path(unit::FOLDERS).is_some()
}

/// Tries everything. `again`: the arguments that repeat this check.
pub(crate) fn examine(loaded: &Loaded, again: &str) -> EnvironmentReport {
    let config = &loaded.config;
    let mut report = EnvironmentReport::default();
    let unit = unit::installed(unit::FOLDERS, &mut report);
    let makes = |folder: &Path| unit.as_ref().and_then(|unit| unit.makes(folder));
    paths::collections(config, &mut report);
    paths::data_dir(&config.data_dir, &makes, &mut report);
    paths::socket(&config.socket_path(), &makes, &mut report);
    paths::group(&config.control.group, &mut report);
    paths::certificate(config, &mut report);
    alerts::receivers(config, &mut report);
    watches::room(config, &mut report);
    let runs = store::store(loaded, &mut report);
    listener::address(config, runs, &mut report);
    store::free_space(config, &mut report);
    if let Some(unit) = &unit {
        unit.relations(config, again, &mut report);
    }
    redis::reachable(config, &mut report);
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    /// The config of a text in a file of `folder`.
    pub(in crate::environment) fn config(folder: &Path, text: &str) -> Config {
        loaded(folder, text).config
    }

    /// The same with where each value came from.
    pub(in crate::environment) fn loaded(folder: &Path, text: &str) -> Loaded {
        let file = folder.join("docent.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources {
            file: Some(file),
            directory: folder.to_owned(),
            host_name: Some("host".to_owned()),
            ..Sources::default()
        };
        Config::load(sources).unwrap()
    }

    #[test]
    fn what_is_there_lacks_nothing_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        let text = "data_dir = \"new/one\"\n[bus]\nmode = \"embedded\"\n[store]\nfree_space_floor = \"1B\"\n[[collection]]\nname = \"docs\"\npath = \"docs\"\n";
        let mut report = examine(&loaded(folder.path(), text), "check");
        // Whether docent is installed on the machine that runs this is not the question.
        report.unmet.retain(|unmet| unmet.check != "unit");
        assert_eq!(report.unmet, []);
        assert!(!folder.path().join("new").exists());
    }
}
