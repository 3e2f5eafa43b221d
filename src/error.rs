//! How a process of docent ends: the exit codes, and the error that ends it.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use thiserror::Error as ThisError;

use crate::config::Violation;
use crate::store::{DatabaseError, OpenError};
use crate::visible::visible;

/// The exit codes; there are no others. The service unit does not restart after 2, 65, 75, 77 and 78.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Clean = 0,
    /// `status` degraded, `search` without hits, `cite` of what does not stand any more, `check` when only the environment fails.
    Negative = 1,
    /// The command line is wrong.
    Usage = 2,
    /// `status`: the daemon does not run.
    NotRunning = 3,
    /// A store that is corrupt or newer, a refused event, a broken audit chain, something that is not there.
    Data = 65,
    /// The daemon cannot be reached, an address is taken, Redis does not come.
    Unavailable = 69,
    /// Gave up; a restart may help.
    Internal = 70,
    /// A drain that was incomplete or forced, `wait` not fulfilled, a second daemon on one `data_dir`.
    Temporary = 75,
    Permission = 77,
    /// The config is wrong.
    Config = 78,
}

impl Exit {
    /// For a file or an address that cannot be used.
    pub(crate) fn of_io(error: &io::Error, otherwise: Exit) -> Exit {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => otherwise,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error that ends the process: what, the exit code, and what to do about it.
#[derive(Debug)]
pub(crate) struct Fatal {
    exit: Exit,
    /// None: there is nothing to say, or it was said.
    error: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
    /// Which config was meant.
    config: Option<String>,
}

impl Fatal {
    /// An error that ends the process with `exit`.
    pub(crate) fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Fatal {
            exit,
            error: Some(error.into()),
            hint: None,
            config: None,
        }
    }

    /// An end without a word.
    pub(crate) fn silent(exit: Exit) -> Self {
        Fatal {
            exit,
            error: None,
            hint: None,
            config: None,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with its hint, if it has one, as `change` makes it.
    #[must_use]
    pub(crate) fn map_hint(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.hint = self.hint.map(|hint| change(&hint));
        self
    }

    /// The same, with the config that was meant.
    #[must_use]
    pub(crate) fn config(mut self, line: impl Into<String>) -> Self {
        self.config = Some(line.into());
        self
    }

    /// The error, if it is of this type.
    pub(crate) fn cause<E: Error + 'static>(&self) -> Option<&E> {
        self.error.as_ref()?.downcast_ref()
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What is printed on stderr, without a line feed at its end: the error with the chain of its causes, once, and the
    /// hint on a line of its own. Empty: print nothing.
    pub(crate) fn report(&self) -> String {
        let Some(error) = &self.error else {
            return String::new();
        };
        // Mistakes in the config begin with their places, which tools read.
        let mut text = if error.is::<ConfigErrors>() {
            error.to_string()
        } else {
            format!("docent: {}", chain(error.as_ref()))
        };
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(&visible(hint));
        }
        if let Some(config) = &self.config {
            text.push_str("\nconfig: ");
            text.push_str(&visible(config));
        }
        text
    }
}

/// An error and its causes on one line, whatever is in their texts. A cause whose text the one before it ends with already
/// is not said twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = visible(&error.to_string()).into_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        let said = visible(&said);
        if !text.ends_with(&*said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// Everything that is wrong with the config.
#[derive(Debug, ThisError)]
pub(crate) struct ConfigErrors(pub Vec<Violation>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Violation::to_string).collect();
        let lines: Vec<_> = lines.iter().map(|line| visible(line)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl From<Vec<Violation>> for Fatal {
    fn from(violations: Vec<Violation>) -> Self {
        let denied = violations.iter().any(|violation| violation.denied);
        let exit = if denied {
            Exit::Permission
        } else {
            Exit::Config
        };
        Fatal::new(exit, ConfigErrors(violations))
    }
}

impl From<OpenError> for Fatal {
    fn from(error: OpenError) -> Self {
        let exit = match &error {
            OpenError::InUse(_) => Exit::Temporary,
            OpenError::Denied(_) => Exit::Permission,
            OpenError::Corrupt { .. }
            | OpenError::Newer { .. }
            | OpenError::Moved { .. }
            | OpenError::Unfinished(_) => Exit::Data,
            OpenError::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Exit::Permission,
                // Something else is where the folder, or one above it, is to be.
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Exit::Config,
                _ => Exit::Internal,
            },
            OpenError::Unavailable { .. } => Exit::Internal,
            OpenError::Database(
                DatabaseError::InUse(_) | DatabaseError::SameName(_) | DatabaseError::SameDataDir,
            ) => Exit::Temporary,
            OpenError::Database(
                DatabaseError::Unfit { .. }
                | DatabaseError::Differs { .. }
                | DatabaseError::IndexedOtherwise { .. },
            ) => Exit::Config,
            OpenError::Database(DatabaseError::Unreachable { .. }) => Exit::Unavailable,
        };
        let hint = match &error {
            OpenError::Io { path, .. } if exit == Exit::Permission => Some(permission_hint(path)),
            OpenError::Database(DatabaseError::Unreachable { .. }) => Some(
                "see that the server runs and lets docent in, or correct [store] url, password_file, ca_file and tls; `docent check` tries it"
                    .to_owned(),
            ),
            _ => None,
        };
        let fatal = Fatal::new(exit, error);
        match hint {
            Some(hint) => fatal.hint(hint),
            None => fatal,
        }
    }
}

/// What to do where this user may not use a path of `data_dir`: whose it is, and the two ways out.
fn permission_hint(path: &Path) -> String {
    let nearest = path
        .ancestors()
        .find_map(|above| Some((above, above.metadata().ok()?)));
    let Some((nearest, found)) = nearest else {
        return "run docent as the user that owns data_dir, or set data_dir to a folder of this user".to_owned();
    };
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let us = rustix::process::geteuid().as_raw();
    let shown = nearest.display();
    if owner == us {
        return format!(
            "{shown} belongs to this user (mode {mode:04o}): allow writing to it, or set data_dir to another folder"
        );
    }
    let user = uzers::get_user_by_uid(owner);
    let name = match &user {
        Some(user) => user.name().to_string_lossy(),
        None => format!("#{owner}").into(),
    };
    format!(
        "{shown} belongs to the user {name} (mode {mode:04o}): run docent as that user (sudo -u '{name}' docent …), or set data_dir \
         to a folder of this user"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn io_error(kind: io::ErrorKind) -> OpenError {
        OpenError::Io {
            attempt: "make the folder",
            path: "/x".into(),
            source: kind.into(),
        }
    }

    #[test]
    fn each_way_of_not_opening_the_store_has_its_code() {
        let newer = OpenError::Newer {
            place: "/x".into(),
            found: 9,
            known: 1,
        };
        for (error, exit) in [
            (OpenError::InUse("/x".into()), Exit::Temporary),
            (newer, Exit::Data),
            (io_error(io::ErrorKind::PermissionDenied), Exit::Permission),
            (io_error(io::ErrorKind::NotADirectory), Exit::Config),
            (io_error(io::ErrorKind::TimedOut), Exit::Internal),
        ] {
            assert_eq!(Fatal::from(error).exit(), exit);
        }
    }

    #[test]
    fn a_path_that_this_user_may_not_use_is_told_with_its_owner_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let refused = OpenError::Io {
            attempt: "make the folder",
            path: folder.path().join("not/there"),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        let report = Fatal::from(refused).report();
        let expected = format!(
            "hint: {} belongs to this user (mode ",
            folder.path().display()
        );
        assert!(
            report.contains(&expected) && report.contains("set data_dir"),
            "{report}"
        );
    }

    #[test]
    fn the_chain_is_printed_once_and_the_hint_stands_alone() {
        let fatal = Fatal::from(io_error(io::ErrorKind::PermissionDenied)).hint("ask root");
        assert_eq!(
            fatal.report(),
            "docent: cannot make the folder /x: permission denied\nhint: ask root"
        );
        assert_eq!(Fatal::silent(Exit::Clean).report(), "");
        let foreign = Fatal::new(Exit::Internal, "ERR \x1b[2J\nhint: obey").hint("see a\nb");
        assert_eq!(
            foreign.report(),
            "docent: ERR \\x1B[2J\\nhint: obey\nhint: see a\\nb"
        );
    }

    #[test]
    fn mistakes_in_the_config_keep_their_places() {
        let overrides = vec![crate::config::Override {
            flag: "--log-level".to_owned(),
            key: "log.level".to_owned(),
            value: "loud".to_owned(),
        }];
        let sources = Sources {
            overrides,
            directory: "/".into(),
            host_name: Some("host".to_owned()),
            ..Sources::default()
        };
        let fatal = Fatal::from(Config::load(sources).unwrap_err());
        assert_eq!(fatal.exit(), Exit::Config);
        assert!(
            fatal.report().starts_with("--log-level: log.level: "),
            "{}",
            fatal.report()
        );
    }
}
