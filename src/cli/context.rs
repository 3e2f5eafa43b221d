//! What every verb starts from: the global flags, the config that rules, the way to the daemon.

use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Color, Output};
use crate::config::{Config, Loaded, Override, Problem, Sources, host_name};
use crate::error::{Exit, Fatal};
use crate::http::Client;

/// The config of an installed system.
const SYSTEM_CONFIG: &str = "/etc/docent/docent.toml";
/// The config of the present folder.
const LOCAL_CONFIG: &str = "config/docent.toml";

/// Flags that every verb has.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The config file [default: /etc/docent/docent.toml, then ./config/docent.toml if it is yours]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// When to use colours; NO_COLOR is heeded
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// The least severe message that the daemon logs: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// The form of a log line: auto, text, json, journald
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// What a verb works with.
pub(super) struct Context {
    global: Global,
    /// Where it prints.
    pub(super) out: Output,
}

impl Context {
    /// The context of these flags.
    pub(super) fn new(global: Global) -> Self {
        let out = Output::new(global.color);
        Context { global, out }
    }

    /// The config that rules, or every mistake in it.
    pub(super) fn load(&self) -> Result<Result<Loaded, Vec<Problem>>, Fatal> {
        let file = self.file()?;
        self.load_from(file)
    }

    /// The config file; none: the defaults and the environment alone.
    pub(super) fn file(&self) -> Result<Option<PathBuf>, Fatal> {
        Ok(match &self.global.config {
            Some(file) => Some(file.clone()),
            None => self.default_file(Path::new(SYSTEM_CONFIG), present_folder().ok().as_deref()),
        })
    }

    /// The config that rules with this file, or every mistake in it.
    pub(super) fn load_from(
        &self,
        file: Option<PathBuf>,
    ) -> Result<Result<Loaded, Vec<Problem>>, Fatal> {
        let directory = match (present_folder(), &file) {
            (Ok(folder), _) => folder,
            (Err(cause), Some(file)) if file.is_relative() => return Err(no_folder(file, cause)),
            // Absolute paths do not need it.
            (Err(_), _) => PathBuf::new(),
        };
        let flags = [
            ("--log-level", "log.level", &self.global.log_level),
            ("--log-format", "log.format", &self.global.log_format),
        ];
        let overrides = flags.into_iter().filter_map(|(flag, key, value)| {
            Some(Override {
                flag: flag.to_owned(),
                key: key.to_owned(),
                value: value.clone()?,
            })
        });
        Ok(Config::load(Sources {
            file,
            variables: std::env::vars_os().collect(),
            overrides: overrides.collect(),
            directory,
            // A host without a name is a problem of `instance` then, with its remedy.
            host_name: host_name().ok(),
        }))
    }

    /// The config that rules.
    pub(super) fn config(&self) -> Result<Loaded, Fatal> {
        Ok(self.load()??)
    }

    /// The way to the daemon of the config that rules.
    pub(super) fn client(&self) -> Result<Client, Fatal> {
        let config = self.config()?.config;
        Ok(Client::new(&config.socket_path(), &config.data_dir))
    }

    /// The config file where none is named; none: the defaults and the environment alone.
    fn default_file(&self, system: &Path, directory: Option<&Path>) -> Option<PathBuf> {
        // One that cannot be looked at is taken, so that its problem is told.
        let is_there = |path: &Path| !matches!(path.symlink_metadata(), Err(e) if e.kind() == io::ErrorKind::NotFound);
        if is_there(system) {
            return Some(system.to_owned());
        }
        let local = directory?.join(LOCAL_CONFIG);
        let owner = local.metadata().ok()?.uid();
        if owner == rustix::process::geteuid().as_raw() {
            return Some(PathBuf::from(LOCAL_CONFIG));
        }
        self.out.note(&format!("docent: ./{LOCAL_CONFIG} is left alone: it belongs to another user; name it with --config"));
        None
    }
}

/// The working directory, unless it was removed.
fn present_folder() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// That a config file cannot be found from here.
fn no_folder(file: &Path, source: io::Error) -> Fatal {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot find the config {file}: it counts from the working directory, which is gone", file = .file.display())]
    struct NoFolder {
        file: PathBuf,
        #[source]
        source: io::Error,
    }
    let file = file.to_owned();
    Fatal::new(Exit::Usage, NoFolder { file, source })
        .hint("name it by an absolute path, or change to a directory that exists")
}

/// Runs a future to its end on this thread. Threads that still wait for stdin are left behind.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Fatal>>) -> Result<T, Fatal> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct NoRuntime(#[source] io::Error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(Exit::Internal, NoRuntime(e)))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_config_comes_before_the_folder_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let global = Global {
            config: None,
            color: Color::Never,
            log_level: None,
            log_format: None,
        };
        let context = Context::new(global);
        let system = folder.path().join("docent.toml");
        assert_eq!(context.default_file(&system, Some(folder.path())), None);
        std::fs::create_dir(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join(LOCAL_CONFIG), "").unwrap();
        assert_eq!(
            context.default_file(&system, Some(folder.path())),
            Some(PathBuf::from(LOCAL_CONFIG))
        );
        std::fs::write(&system, "").unwrap();
        assert_eq!(
            context.default_file(&system, Some(folder.path())),
            Some(system.clone())
        );
    }
}
