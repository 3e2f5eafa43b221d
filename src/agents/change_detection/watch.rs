//! Watches: the kernel's notifications, one watch a directory. They only say which paths to read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Notified paths that wait to be taken, at most; beyond, everything is scanned.
const PATHS_MAX: usize = 65_536;

/// Files of rules that are watched for directories elsewhere, at most; scans alone notice changes of others.
const RULES_FILES_MAX: usize = 50_000;

/// What was notified since the last time.
#[derive(Debug, Default)]
pub(super) struct Notified {
    /// The paths where something happened.
    pub(super) paths: HashSet<PathBuf>,
    /// Why notifications were lost, if they were: anything may have changed.
    pub(super) lost: Option<String>,
    /// The last marker that was notified: everything that was notified before it is here, or was taken.
    pub(super) marker: Option<u64>,
}

/// What notify's own thread has received. That thread never waits here.
#[derive(Debug, Default)]
struct NotifyInbox {
    /// Where markers are written.
    markers: PathBuf,
    notified: Mutex<Notified>,
    arrived: Notify,
}

impl NotifyInbox {
    fn put(&self, event: notify::Result<notify::Event>) {
        let mut notified = locked(&self.notified);
        match event {
            Ok(event) if event.need_rescan() => {
                notified.lost = Some("the kernel's queue of notifications overflowed".to_owned());
            }
            Ok(event) if is_only_reading(&event.kind) => return,
            Ok(event)
                if event
                    .paths
                    .iter()
                    .any(|path| path.starts_with(&self.markers)) =>
            {
                let EventKind::Create(_) = event.kind else {
                    return;
                };
                let names = event
                    .paths
                    .iter()
                    .filter_map(|path| path.file_name()?.to_str());
                let arrived = names.filter_map(|name| name.parse().ok());
                notified.marker = notified.marker.max(arrived.max());
            }
            Ok(event) => {
                notified.paths.extend(event.paths);
                if notified.paths.len() > PATHS_MAX {
                    notified.paths = HashSet::new();
                    notified.lost = Some(format!("more than {PATHS_MAX} paths changed at once"));
                }
            }
            Err(error) => notified.lost = Some(error.to_string()),
        }
        drop(notified);
        self.arrived.notify_one();
    }
}

/// Whether somebody only read a file. docent's own reading is notified too.
fn is_only_reading(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

/// How setting a watch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WatchResult {
    /// Changes in the directory will be notified.
    Watched,
    /// The directory is not there any more.
    Gone,
    /// The kernel's limit of watches is reached.
    LimitReached,
    /// It cannot be watched, with the cause.
    Failed(String),
}

/// The watches. Cheap to clone. Setting one blocks.
#[derive(Clone)]
pub(super) struct Watches {
    inbox: Arc<NotifyInbox>,
    watcher: Arc<Mutex<Result<RecommendedWatcher, String>>>,
    /// Files of rules, each with the directories that are to be read when it changes.
    rules_files: Arc<Mutex<BTreeMap<PathBuf, BTreeSet<PathBuf>>>>,
}

impl Watches {
    /// No watches yet. If the kernel gives no help, no directory can be watched. `markers`: the folder in which files are
    /// made to learn how far the notifications have come.
    pub(super) fn new(markers: PathBuf) -> Self {
        let inbox = Arc::new(NotifyInbox {
            markers,
            ..NotifyInbox::default()
        });
        let sink = inbox.clone();
        let watcher = notify::recommended_watcher(move |event| sink.put(event)).map_err(|e| {
            format!("{e}; if too many programs watch files, raise it with: sysctl fs.inotify.max_user_instances=1024")
        });
        Watches {
            inbox,
            watcher: Arc::new(Mutex::new(watcher)),
            rules_files: Arc::default(),
        }
    }

    /// Watches one directory, not those below it. One that is watched already is watched again: its watch may be that of
    /// another directory that had the path before.
    pub(super) fn watch(&self, directory: &Path) -> WatchResult {
        let mut watcher = locked(&self.watcher);
        let watcher = match watcher.as_mut() {
            Ok(watcher) => watcher,
            Err(cause) => return WatchResult::Failed(cause.clone()),
        };
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => WatchResult::Watched,
            Err(error) => match error.kind {
                ErrorKind::MaxFilesWatch => WatchResult::LimitReached,
                ErrorKind::PathNotFound => WatchResult::Gone,
                ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                    WatchResult::Gone
                }
                ErrorKind::Io(cause) => WatchResult::Failed(cause.to_string()),
                _ => WatchResult::Failed(error.to_string()),
            },
        }
    }

    /// Makes a file with the number of a marker, and removes it again. Its notification comes after those of all that
    /// happened before this call. Blocks.
    pub(super) fn mark(&self, number: u64) -> Result<(), String> {
        let folder = &self.inbox.markers;
        let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
        if let Err(error) = made.or_else(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(e),
        }) {
            return Err(format!("cannot make {}: {error}", folder.display()));
        }
        // The folder may be another one than the last time.
        match self.watch(folder) {
            WatchResult::Watched => {}
            WatchResult::Gone => return Err(format!("{} is gone", folder.display())),
            WatchResult::LimitReached => return Err(more_watches()),
            WatchResult::Failed(cause) => return Err(cause),
        }
        let file = folder.join(number.to_string());
        let made = match std::fs::File::create_new(&file) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                // An earlier run was killed at this moment.
                std::fs::remove_file(&file).and_then(|()| std::fs::File::create_new(&file))
            }
            made => made,
        };
        let removed = made.and_then(|_| std::fs::remove_file(&file));
        removed.map_err(|e| format!("cannot make and remove {}: {e}", file.display()))
    }

    /// From now on a change of `file` counts as a change of the directory too. Gives whether that is new.
    pub(super) fn watch_rules_file(&self, file: &Path, directory: &Path) -> bool {
        let mut files = locked(&self.rules_files);
        let room = files.len() < RULES_FILES_MAX || files.contains_key(file);
        room && {
            let directories = files.entry(file.to_owned()).or_default();
            directories.len() < RULES_FILES_MAX && directories.insert(directory.to_owned())
        }
    }

    /// What was notified since the last call.
    pub(super) fn take(&self) -> Notified {
        let mut notified = std::mem::take(&mut *locked(&self.inbox.notified));
        let files = locked(&self.rules_files);
        let directories = notified.paths.iter().filter_map(|path| files.get(path));
        let directories: Vec<PathBuf> = directories.flatten().cloned().collect();
        notified.paths.extend(directories);
        notified
    }

    /// Waits until there is something to take.
    pub(super) async fn arrived(&self) {
        self.inbox.arrived.notified().await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    use notify::event::{CreateKind, Flag, ModifyKind, RemoveKind};

    use super::*;

    fn event(kind: EventKind, path: &str) -> notify::Result<notify::Event> {
        Ok(notify::Event::new(kind).add_path(path.into()))
    }

    fn taken(inbox: &NotifyInbox) -> Notified {
        std::mem::take(&mut *inbox.notified.lock().unwrap())
    }

    fn inbox() -> NotifyInbox {
        NotifyInbox {
            markers: "/markers".into(),
            ..NotifyInbox::default()
        }
    }

    #[test]
    fn a_marker_is_no_path_and_comes_when_its_file_is_made() {
        let inbox = inbox();
        inbox.put(event(EventKind::Remove(RemoveKind::File), "/markers/6"));
        assert_eq!(taken(&inbox).marker, None);
        inbox.put(event(EventKind::Create(CreateKind::File), "/markers/7"));
        let notified = taken(&inbox);
        assert_eq!((notified.marker, notified.paths.len()), (Some(7), 0));
    }

    #[test]
    fn reading_is_no_news_and_writing_is() {
        let inbox = inbox();
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
        let notified = taken(&inbox);
        assert_eq!(notified.paths.len(), 2);
        assert_eq!(notified.lost, None);
    }

    #[test]
    fn an_overflow_and_a_full_inbox_mean_that_everything_may_have_changed() {
        let inbox = inbox();
        inbox.put(Ok(
            notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)
        ));
        assert!(taken(&inbox).lost.is_some());
        for n in 0..=PATHS_MAX {
            inbox.put(event(EventKind::Create(CreateKind::File), &format!("/{n}")));
        }
        let notified = taken(&inbox);
        assert!(notified.lost.is_some());
        assert!(notified.paths.is_empty());
    }

    #[test]
    fn a_marker_made_before_the_kernel_drops_notifications_comes_and_one_made_then_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, markers) = (folder.path().join("tree"), folder.path().join("markers"));
        std::fs::create_dir(&tree).unwrap();
        let watches = Watches::new(markers.clone());
        assert_eq!(watches.watch(&tree), WatchResult::Watched);

        // While this is held, the notification of the marker waits, and the kernel's queue fills.
        let held = locked(&watches.inbox.notified);
        watches.mark(1).unwrap();
        let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let (to, fro) = (tree.join("to"), tree.join("fro"));
        std::fs::write(&to, "").unwrap();
        // Four notifications each time, so twice as many as there is room for.
        for _ in 0..=limit.trim().parse::<usize>().unwrap() / 2 {
            std::fs::rename(&to, &fro).unwrap();
            std::fs::rename(&fro, &to).unwrap();
        }
        std::fs::write(markers.join("2"), "").unwrap();
        drop(held);

        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut marker = None;
        loop {
            let notified = watches.take();
            marker = marker.max(notified.marker);
            if notified.lost.is_some() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{marker:?}");
            std::thread::yield_now();
        }
        assert_eq!(marker, Some(1));
        // What comes after the loss is notified again.
        watches.mark(3).unwrap();
        while watches.take().marker != Some(3) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
