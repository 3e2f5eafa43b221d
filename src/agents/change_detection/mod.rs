//! The edge that captures: notices every change in the watched trees and commits bytes, manifest row and event together.
//!
//! Watches and scans only *mark* paths. One loop looks at what is marked, decides by what the file system says at that
//! moment, and hands one transaction a path to the store. Nothing is concluded from a notification but where to look.
//!
//! - A file is read once, below its root, through directory handles that follow no link.
//! - A scan ends when every file that it saw is captured or reported.
//! - An absent root is never a deletion of its files. Another directory in its place is not read until it is accepted.
//! - What docent may no longer read leaves search. Any other error leaves what is known as it is.
//! - What holds a secret is listed and never stored.
//! - Two transactions of one path are never under way at once.

mod beneath;
mod captures;
mod edge;
mod git;
mod judge;
mod look;
mod marks;
mod own;
mod paths;
mod pulse;
mod roots;
mod rules;
mod scans;
mod scope;
mod survey;
mod upkeep;
mod walk;
mod walks;
mod watch;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::config::PatternError;
use crate::event::{AgentName, Event, EventType};
use crate::runtime::{Agent, Boxed, Compute, Duty, DutyError, Ending, Handling, ScanDesk, Source};
use crate::store::{Effect, Outcome, ReadError, Store};
use pulse::Pulse;
use scope::Scope;

/// A named tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// Its root, absolute.
    pub root: PathBuf,
    /// Patterns, as in a `.gitignore`, of the files that count; none: all.
    pub include: Vec<String>,
    /// Patterns of the files and directories that do not count.
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
pub enum WatchMode {
    /// By notifications where they work, else by frequent scans.
    Auto,
    /// By notifications, whatever the file system is.
    Native,
    /// By frequent scans.
    Poll,
}

/// Whether the file at a path (exact bytes) is of a type that docent reads.
pub type Supported = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// How the edge works.
#[derive(Clone)]
pub struct Options {
    /// The trees.
    pub collections: Vec<Collection>,
    /// Whether docent reads files of this type.
    pub supported: Supported,
    /// Patterns of file names, or of the ends of paths, that are never read, in any case of letters.
    pub secrets: Vec<String>,
    /// docent's own config and credentials, never read under any name; a directory stands for the files in it.
    pub own_files: Vec<PathBuf>,
    /// The largest file that is read, in bytes.
    pub file_size: u64,
    /// How long a file must be unchanged before it is read.
    pub debounce: Duration,
    /// A file that never rests is read after so long, if it holds still for the reading.
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

impl Options {
    /// Whether every pattern can be understood.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<(), PatternError> {
        for collection in &self.collections {
            Scope::new(collection, &self.secrets, None)?;
        }
        Ok(())
    }

    fn has(&self, collection: &str) -> bool {
        self.collections.iter().any(|c| c.name == collection)
    }
}

/// A collection at work.
#[derive(Debug)]
struct Tree {
    name: String,
    root: PathBuf,
    watch: WatchMode,
    /// By what its files are found to be secrets or not: another text, and they are all to be read again.
    judged_by: String,
    /// `None`: the collection is not in the config any more.
    scope: Option<Scope>,
}

/// The agent.
pub struct ChangeDetection {
    options: Arc<Options>,
    store: Store,
    source: Source,
    desk: ScanDesk,
    compute: Compute,
    /// A scan was requested just now: its wish is about to be in the store.
    wished: Arc<Notify>,
}

impl ChangeDetection {
    /// One life of the agent. Patterns that [`Options::check`] refuses end its duty with an error.
    pub fn new(
        options: Options,
        store: Store,
        source: Source,
        desk: ScanDesk,
        compute: Compute,
    ) -> Self {
        ChangeDetection {
            options: Arc::new(options),
            store,
            source,
            desk,
            compute,
            wished: Arc::default(),
        }
    }

    /// The wish of a `scan.requested`; one for what is no collection and no path asks for nothing.
    fn wish(&self, event: &Event) -> Outcome {
        let (collection, path) = event.subject.as_place();
        let path = path.map(|p| p.strip_suffix(b"/").map_or(p.clone(), <[u8]>::to_vec));
        if !self.options.has(collection) || path.as_ref().is_some_and(|p| !paths::is_relative(p)) {
            return Outcome::nothing();
        }
        self.wished.notify_one();
        Outcome::nothing().effect(Effect::ScanWanted {
            collection: collection.to_owned(),
            path,
            reason: event.data["reason"]
                .as_str()
                .unwrap_or("requested")
                .to_owned(),
        })
    }
}

impl Agent for ChangeDetection {
    fn name(&self) -> AgentName {
        AgentName::ChangeDetection
    }

    fn handle<'a>(&'a self, event: &'a Event, _: &'a Handling) -> Boxed<'a, Ending> {
        let outcome = match event.kind {
            EventType::ScanRequested => self.wish(event),
            _ => Outcome::nothing(),
        };
        Box::pin(async move { Ending::Outcome(outcome) })
    }

    fn duties(self: Arc<Self>) -> Vec<Duty> {
        vec![Duty::new("capture", move |context| async move {
            match edge::run(&self, context.into()).await {
                Ok(()) | Err(Halt::Stop) => Ok(()),
                Err(Halt::Failed(error)) => Err(error),
            }
        })]
    }
}

/// Why the loop ends.
#[derive(Debug)]
enum Halt {
    /// It was told to.
    Stop,
    /// It cannot go on.
    Failed(DutyError),
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        Halt::Failed(error.into())
    }
}

/// Runs what blocks, and shows life until it has begun; from then on the work does that itself.
async fn blocking<T: Send + 'static>(
    compute: &Compute,
    pulse: &Pulse,
    work: impl FnOnce(&Pulse) -> T + Send + 'static,
) -> Result<T, Halt> {
    let begun = Arc::new(AtomicBool::new(false));
    let (flag, own) = (begun.clone(), pulse.clone());
    let run = compute.run(move || {
        flag.store(true, Ordering::SeqCst);
        own.beat();
        work(&own)
    });
    tokio::pin!(run);
    loop {
        tokio::select! {
            result = &mut run => return result.map_err(|e| Halt::Failed(DutyError::Failed(e))),
            () = pulse.stop() => return Err(Halt::Stop),
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                if !begun.load(Ordering::SeqCst) {
                    pulse.beat();
                }
            }
        }
    }
}
