//! Where a value came from, and what is wrong with one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// In a file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// Its line, from 1; 0: the file as a whole.
        line: usize,
        /// The character in that line, from 1; 0: the line as a whole.
        column: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// On the command line.
    Flag(String),
}

impl Origin {
    /// A file as a whole.
    pub(crate) fn whole(path: &Path) -> Self {
        Self::File {
            path: Arc::from(path),
            line: 0,
            column: 0,
        }
    }

    /// The file that it is in, if it is in one.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File { path, .. } => Some(path.to_path_buf()),
            _ => None,
        }
    }

    /// The line in its file, from 1; 0 where there is none.
    pub fn line(&self) -> usize {
        match self {
            Self::File { line, .. } => *line,
            _ => 0,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0, .. } => write!(f, "{}", path.display()),
            Self::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One mistake in the config, shown as `FILE:LINE: KEY: what is wrong; what to write`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{what}; {remedy}", Prefix(.key))]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The key with its tables, such as `watch.debounce`; empty where it is not about one key.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to write or do.
    pub remedy: String,
    /// The file is there but may not be read: a matter of permission, not of content.
    pub denied: bool,
}

struct Prefix<'a>(&'a str);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{}: ", self.0)
    }
}

/// What is wrong with a value, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What is wrong.
    pub(crate) what: String,
    /// What to write.
    pub(crate) remedy: String,
}

impl Wrong {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The same, said of `key` at `origin`.
    pub(crate) fn at(self, origin: Origin, key: impl Into<String>) -> Problem {
        Problem {
            origin,
            key: key.into(),
            what: self.what,
            remedy: self.remedy,
            denied: false,
        }
    }
}
