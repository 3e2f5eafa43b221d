//! A collection as the config describes it.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection {
    pub name: String,
    pub root: PathBuf,
    /// Patterns, as in a `.gitignore`, of the files that are in scope; without any, all files are.
    pub include: Vec<String>,
    /// Patterns of the files and directories that are out of scope.
    pub exclude: Vec<String>,
    /// Patterns of the files that are read although they look like secrets.
    pub allow_secrets: Vec<String>,
    /// Whether git's ignore rules count.
    pub git: bool,
    /// How its changes are noticed.
    pub watch: WatchMode,
}

/// How the changes of a collection are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchMode {
    /// By notifications where they work, else by frequent scans.
    Auto,
    /// By notifications, whatever the file system is.
    Native,
    Poll,
}
