//! Where a value came from, and what is wrong with one.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::secret::redact;

/// A value as it is quoted in a message: in quotes, short, on one line, without a password.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let shown = redact(text);
    if shown.chars().count() <= LONGEST {
        return format!("{shown:?}");
    }
    let start: String = shown.chars().take(LONGEST).collect();
    format!("{start:?}…")
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
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

    /// Whether nobody set it.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }

    /// The line in its file, from 1; 0 where there is none.
    #[cfg(test)]
    pub(crate) fn line(&self) -> usize {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub origin: Origin,
    /// The key with its tables, such as `watch.debounce`; empty where it is not about one key.
    pub key: String,
    pub what: String,
    /// What to write or do.
    pub remedy: String,
    /// The file is there but may not be read: a matter of permission, not of content.
    pub denied: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// Why a value cannot be used, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Reason {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The same, said of `key` at `origin`.
    pub(crate) fn at(self, origin: Origin, key: impl Into<String>) -> Violation {
        Violation {
            origin,
            key: key.into(),
            what: self.what,
            remedy: self.remedy,
            denied: false,
        }
    }
}
