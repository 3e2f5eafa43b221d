//! Watches: the kernel's notifications, one watch a directory. They only say where to look.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Paths that wait to be marked, at most; beyond, everything is scanned.
const INBOX_MAX: usize = 65_536;

/// Files of rules that are watched for directories elsewhere, at most; what is beyond is seen by scans alone.
const DEPENDS_MAX: usize = 50_000;

/// What was notified since the last time.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Where something happened.
    pub(super) paths: HashSet<PathBuf>,
    /// Notifications were lost, with the reason: anything may have changed.
    pub(super) lost: Option<String>,
}

/// Where notify's own thread puts what it hears. It never waits there.
#[derive(Debug, Default)]
struct Inbox {
    news: Mutex<News>,
    arrived: Notify,
}

impl Inbox {
    fn put(&self, event: notify::Result<notify::Event>) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) if event.need_rescan() => {
                news.lost = Some("the kernel's queue of notifications overflowed".to_owned());
            }
            Ok(event) if is_only_looking(&event.kind) => return,
            Ok(event) => {
                news.paths.extend(event.paths);
                if news.paths.len() > INBOX_MAX {
                    news.paths = HashSet::new();
                    news.lost = Some(format!("more than {INBOX_MAX} paths changed at once"));
                }
            }
            Err(error) => news.lost = Some(error.to_string()),
        }
        drop(news);
        self.arrived.notify_one();
    }
}

/// Whether somebody only read: our own reading is notified too.
fn is_only_looking(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

/// What became of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Armed {
    /// Changes in the directory will be notified.
    Yes,
    /// The directory is not there any more.
    Gone,
    /// There are no more watches to be had.
    Limit,
    /// It cannot be watched.
    No(String),
}

/// The watches. Cheap to clone; arming blocks.
#[derive(Clone)]
pub(super) struct Watches {
    inbox: Arc<Inbox>,
    watcher: Arc<Mutex<Result<RecommendedWatcher, String>>>,
    /// Directories that are to be looked at when a file changes, by the file.
    depends: Arc<Mutex<BTreeMap<PathBuf, BTreeSet<PathBuf>>>>,
}

impl Watches {
    /// No watches yet. Without the kernel's help every directory is one that cannot be watched.
    pub(super) fn new() -> Self {
        let inbox = Arc::new(Inbox::default());
        let sink = inbox.clone();
        let watcher = notify::recommended_watcher(move |event| sink.put(event)).map_err(|e| {
            format!("{e}; if too many programs watch files, raise it with: sysctl fs.inotify.max_user_instances=1024")
        });
        Watches {
            inbox,
            watcher: Arc::new(Mutex::new(watcher)),
            depends: Arc::default(),
        }
    }

    /// Watches one directory, not what is below it. One that is watched already is watched on: its watch may be that
    /// of a directory that stood there before.
    pub(super) fn arm(&self, directory: &Path) -> Armed {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        let watcher = match watcher.as_mut() {
            Ok(watcher) => watcher,
            Err(cause) => return Armed::No(cause.clone()),
        };
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => Armed::Yes,
            Err(error) => match error.kind {
                ErrorKind::MaxFilesWatch => Armed::Limit,
                ErrorKind::PathNotFound => Armed::Gone,
                ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::NotFound => Armed::Gone,
                ErrorKind::Io(cause) => Armed::No(cause.to_string()),
                _ => Armed::No(error.to_string()),
            },
        }
    }

    /// Whenever something happens at `file`, the directory is news too. Whether that was not so before.
    pub(super) fn depend(&self, file: &Path, directory: &Path) -> bool {
        let mut depends = self.depends.lock().unwrap_or_else(PoisonError::into_inner);
        let room = depends.len() < DEPENDS_MAX || depends.contains_key(file);
        room && {
            let directories = depends.entry(file.to_owned()).or_default();
            directories.len() < DEPENDS_MAX && directories.insert(directory.to_owned())
        }
    }

    /// What was notified since the last call.
    pub(super) fn take(&self) -> News {
        let mut news = {
            let mut inbox = self
                .inbox
                .news
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *inbox)
        };
        let depends = self.depends.lock().unwrap_or_else(PoisonError::into_inner);
        let directories: Vec<PathBuf> = news
            .paths
            .iter()
            .filter_map(|path| depends.get(path))
            .flatten()
            .cloned()
            .collect();
        news.paths.extend(directories);
        news
    }

    /// Waits until there is something to take.
    pub(super) async fn arrived(&self) {
        self.inbox.arrived.notified().await;
    }
}

/// The command that allows more watches than now.
pub(super) fn more_watches() -> String {
    let now = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    let wanted = now.map_or(524_288, |n| n.saturating_mul(2).max(524_288));
    format!("sysctl fs.inotify.max_user_watches={wanted}")
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, Flag, ModifyKind};

    use super::*;

    fn event(kind: EventKind, path: &str) -> notify::Result<notify::Event> {
        Ok(notify::Event::new(kind).add_path(path.into()))
    }

    fn taken(inbox: &Inbox) -> News {
        std::mem::take(&mut *inbox.news.lock().unwrap())
    }

    #[test]
    fn reading_is_no_news_and_writing_is() {
        let inbox = Inbox::default();
        inbox.put(event(
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            "/a",
        ));
        inbox.put(event(
            EventKind::Access(AccessKind::Close(AccessMode::Read)),
            "/a",
        ));
        assert!(taken(&inbox).paths.is_empty());
        inbox.put(event(
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            "/a",
        ));
        inbox.put(event(EventKind::Modify(ModifyKind::Any), "/b"));
        let news = taken(&inbox);
        assert_eq!(news.paths.len(), 2);
        assert_eq!(news.lost, None);
    }

    #[test]
    fn an_overflow_and_a_full_inbox_mean_that_everything_may_have_changed() {
        let inbox = Inbox::default();
        inbox.put(Ok(
            notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)
        ));
        assert!(taken(&inbox).lost.is_some());
        for n in 0..=INBOX_MAX {
            inbox.put(event(EventKind::Create(CreateKind::File), &format!("/{n}")));
        }
        let news = taken(&inbox);
        assert!(news.lost.is_some());
        assert!(news.paths.is_empty());
    }
}
