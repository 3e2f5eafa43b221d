//! What every verb starts from: the global flags, the config that rules, the way to the daemon.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::output::{Color, Output};
use super::which::{Choice, Places, SYSTEM_CONFIG, Why};
use crate::config::{Config, Loaded, Override, Sources, Violation, host_name, shell_word};
use crate::environment;
use crate::error::{Exit, Fatal};
use crate::http::{Client, ClientError, Target};

/// Flags of every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The config file [default: what DOCENT_CONFIG names, else $XDG_CONFIG_HOME/docent/docent.toml (in ~/.config where
    /// that is not set), else /etc/docent/docent.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask the daemon at this address instead of the one on this machine
    #[arg(long, global = true, value_name = "https://HOST:PORT")]
    url: Option<String>,
    /// The file with the token for --url
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The file with the certificates of the authorities to trust with --url, or for a database, in PEM [default: those of the system]
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// The lowest level that the daemon logs: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// The log format: auto, text, json or journald
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// What a verb works with.
pub(super) struct Context {
    global: Global,
    pub(super) out: Output,
    /// Which configs are not seen was said.
    is_noted: Cell<bool>,
}

impl Context {
    /// The context of these flags.
    pub(super) fn new(global: Global) -> Self {
        let out = Output::new(global.color);
        Context {
            global,
            out,
            is_noted: Cell::new(false),
        }
    }

    /// The config file that rules.
    pub(super) fn choice(&self) -> Choice {
        let flag = self.global.config.clone();
        let variable = |name: &str| std::env::var_os(name);
        Places::new(flag, variable, Path::new(SYSTEM_CONFIG)).choose()
    }

    /// The config that rules with this choice of a file, or every mistake in it.
    pub(super) fn load(&self, choice: &Choice) -> Result<Result<Loaded, Vec<Violation>>, Fatal> {
        let directory = match (present_folder(), &choice.file) {
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
            file: choice.file.clone(),
            named_by: choice.named_by(),
            variables: std::env::vars_os().collect(),
            overrides: overrides.collect(),
            directory,
            // A host without a name is a problem of `instance` then, with its remedy.
            host_name: host_name().ok(),
        }))
    }

    /// The config that rules.
    pub(super) fn config(&self) -> Result<Loaded, Fatal> {
        let choice = self.choice();
        let is_noted = self.is_noted.replace(true);
        for unseen in choice.unseen.iter().filter(|_| !is_noted) {
            self.out.note(&format!(
                "docent: {unseen}; the config is {}",
                choice.shown()
            ));
        }
        Ok(self.load(&choice)??)
    }

    /// The way to the daemon that `--url` names, else to that of the config that rules.
    pub(super) fn client(&self) -> Result<Client, Fatal> {
        if let Some(url) = &self.global.url {
            let ca_file = self.global.ca_file.as_deref();
            return Ok(Client::over_network(url, &self.token()?, ca_file)?);
        }
        self.no_address()?;
        let config = self.config()?.config;
        Ok(Client::new(&config.socket_path(), &config.data_dir))
    }

    /// What the daemon answers to a question.
    pub(super) fn get<T: DeserializeOwned>(&self, target: &Target) -> Result<T, Fatal> {
        self.get_within(target, Duration::ZERO)
    }

    /// The same, where that takes as long as it takes.
    pub(super) fn get_slowly<T: DeserializeOwned>(&self, target: &Target) -> Result<T, Fatal> {
        let client = self.client()?;
        block_on(async { Ok(client.get_slowly(target).await?) })
    }

    /// The same, where the answer may begin so much later than others.
    pub(super) fn get_within<T: DeserializeOwned>(
        &self,
        target: &Target,
        later: Duration,
    ) -> Result<T, Fatal> {
        let client = self.client()?;
        block_on(async { Ok(client.get_within(target, later).await?) })
    }

    /// What it answers when it has done something.
    pub(super) fn post<T: DeserializeOwned>(&self, target: &Target) -> Result<T, Fatal> {
        let client = self.client()?;
        block_on(async { Ok(client.post(target).await?) })
    }

    /// The same, where it is sent something.
    pub(super) fn send<T: DeserializeOwned>(
        &self,
        target: &Target,
        value: &impl Serialize,
    ) -> Result<T, Fatal> {
        let body = serde_json::to_vec(value).map_err(|e| Fatal::new(Exit::Internal, e))?;
        let client = self.client()?;
        block_on(async { Ok(client.post_body(target, Bytes::from(body)).await?) })
    }

    /// The token for another machine.
    fn token(&self) -> Result<String, Fatal> {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the token file {file}", file = .file.display())]
        struct UnreadableTokenFile {
            file: PathBuf,
            #[source]
            source: io::Error,
        }
        let Some(file) = &self.global.token_file else {
            return Err(Fatal::new(Exit::Usage, "--url needs a token")
                .hint("write the token to a file and name the file with --token-file; on docent's machine, docent token create NAME --role read creates one"));
        };
        let text = std::fs::read_to_string(file).map_err(|source| {
            let exit = Exit::of_io(&source, Exit::Data);
            let file = file.clone();
            Fatal::new(exit, UnreadableTokenFile { file, source })
        })?;
        Ok(text.trim().to_owned())
    }

    /// That nothing is said about another machine without its address.
    fn no_address(&self) -> Result<(), Fatal> {
        let flags = [
            ("--token-file", &self.global.token_file),
            ("--ca-file", &self.global.ca_file),
        ];
        match flags.iter().find(|(_, file)| file.is_some()) {
            Some((flag, _)) => {
                let text = format!("{flag} is for --url, which is not given");
                Err(Fatal::new(Exit::Usage, text))
            }
            None => Ok(()),
        }
    }

    /// That `verb`, which needs this machine, is not meant for another one.
    pub(super) fn here_only(&self, verb: &str) -> Result<(), Fatal> {
        match &self.global.url {
            Some(_) => {
                let text = format!("`{verb}` works only on the machine where docent runs");
                Err(Fatal::new(Exit::Usage, text).hint("run it there, without --url"))
            }
            // It also names the authorities of a database.
            None if verb == "store" => Ok(()),
            None => self.no_address(),
        }
    }

    /// The file that names the authorities to trust.
    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.global.ca_file.as_deref()
    }

    /// What makes a command reach the same daemon.
    pub(super) fn flags(&self) -> String {
        let Some((url, files)) = self.other_machine() else {
            return self.choice().flag();
        };
        let mut flags = format!(" --url {}", shell_word(Path::new(url)));
        for (flag, file) in files {
            flags.push_str(&format!(" {flag} {}", shell_word(file)));
        }
        flags
    }

    /// The address of another machine, and the flags and files that go with it; `None`: the daemon is on this one.
    pub(super) fn other_machine(
        &self,
    ) -> Option<(&str, impl Iterator<Item = (&'static str, &Path)>)> {
        let global = &self.global;
        let files = [
            ("--token-file", global.token_file.as_deref()),
            ("--ca-file", global.ca_file.as_deref()),
        ];
        let files = files
            .into_iter()
            .filter_map(|(flag, file)| Some((flag, file?)));
        Some((global.url.as_deref()?, files))
    }

    /// The name that this program was called by, as a shell takes it.
    pub(super) fn program() -> String {
        let name = std::env::args_os()
            .next()
            .unwrap_or_else(|| "docent".into());
        shell_word(Path::new(&name))
    }

    /// Advice with its commands, which stand as `` `docent …` ``, made such that they reach the same daemon when they are pasted.
    pub(super) fn advice(&self, text: &str) -> String {
        pasteable(text, &self.flags())
    }

    /// The same end of the process with advice that can be pasted; where the daemon that was meant does not answer, with
    /// the config that says which one was meant.
    pub(super) fn explained(&self, fatal: Fatal) -> Fatal {
        let away = match fatal.cause::<ClientError>() {
            Some(ClientError::Unreachable { .. }) => true,
            Some(ClientError::Foreign { .. } | ClientError::Forbidden { .. }) => false,
            _ => return fatal.map_hint(|hint| self.advice(hint)),
        };
        let fatal = if away {
            fatal.hint(self.start())
        } else {
            fatal
        };
        fatal.config(self.choice().line())
    }

    /// How the daemon of the config that rules is started.
    pub(super) fn start(&self) -> String {
        let choice = self.choice();
        match choice.why {
            Why::System if environment::is_service() => {
                "start it with `systemctl start docent`".to_owned()
            }
            Why::Nothing => format!(
                "name the config of the daemon that you mean, with --config FILE or in DOCENT_CONFIG; or start one with `{} run`",
                Self::program()
            ),
            _ => format!("start it with `{} run{}`", Self::program(), choice.flag()),
        }
    }
}

/// Advice whose commands name this program, and the config by this flag.
pub(super) fn pasteable(text: &str, flag: &str) -> String {
    let mut parts = text.split('`');
    let mut advice = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        advice.push('`');
        match part.strip_prefix("docent ") {
            Some(rest) if number % 2 == 0 => {
                advice.push_str(&format!("{} {rest}{flag}", Context::program()));
            }
            _ => advice.push_str(part),
        }
    }
    advice
}

/// The working directory, unless it was removed.
fn present_folder() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// That a config file cannot be found from here.
fn no_folder(file: &Path, source: io::Error) -> Fatal {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot find the config {file}: it is relative to the working directory, which no longer exists", file = .file.display())]
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
    let runtime = runtime()?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

/// A runtime for what a verb waits for.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Fatal> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct NoRuntime(#[source] io::Error);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(Exit::Internal, NoRuntime(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_advice_reach_the_same_daemon() {
        let global = Global {
            config: Some(PathBuf::from("/srv/my notes.toml")),
            url: None,
            token_file: None,
            ca_file: None,
            color: Color::Never,
            log_level: None,
            log_format: None,
        };
        let context = Context::new(global);
        let program = Context::program();
        assert_eq!(
            context.advice(
                "see `docent dead list`; `enabled = false` is what docent says, `docent health`"
            ),
            format!(
                "see `{program} dead list --config '/srv/my notes.toml'`; `enabled = false` is what docent says, \
                 `{program} health --config '/srv/my notes.toml'`"
            )
        );
        assert_eq!(context.advice("free space"), "free space");
    }
}
