//! What the agent is configured with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::collection::Collection;
use super::scope::Scope;
use crate::config::PatternError;

/// Whether docent reads files of the type that a path (exact bytes) names.
pub(crate) type Supported = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

#[derive(Clone)]
pub(crate) struct WatchOptions {
    pub collections: Vec<Collection>,
    /// Which types of files docent reads.
    pub supported: Supported,
    /// Patterns of file names, or of the ends of paths, that are never read. Case does not matter.
    pub secrets: Vec<String>,
    /// docent's own config and credentials, never read under any name. A directory stands for the files in it.
    pub own_files: Vec<PathBuf>,
    /// The largest file that is read, in bytes.
    pub file_size: u64,
    /// How long a file must be unchanged before it is read.
    pub debounce: Duration,
    /// A file that keeps changing is read after this time, if it holds still while it is read.
    pub stable_after: Duration,
    /// Time between full scans.
    pub rescan: Duration,
    /// Time between scans of a collection whose changes are not notified, or whose removals are held.
    pub poll: Duration,
    /// Unprocessed captures above which scanning pauses.
    pub owed_high: u64,
    /// Unprocessed captures above which edits that a watch saw wait too.
    pub owed_high_watch: u64,
    /// Free bytes under which captures stop.
    pub free_space_floor: u64,
    /// The daemon's own directory, never in scope.
    pub data_dir: PathBuf,
    /// The name of this process in the source of its events.
    pub instance: String,
}

impl WatchOptions {
    /// Checks every pattern.
    ///
    /// # Errors
    /// The first pattern that cannot be understood.
    pub(crate) fn check(&self) -> Result<(), PatternError> {
        for collection in &self.collections {
            Scope::new(collection, &self.secrets, None)?;
        }
        Ok(())
    }

    pub(super) fn has(&self, collection: &str) -> bool {
        self.collections.iter().any(|c| c.name == collection)
    }
}
