//! Reads changed paths: opens the directories below the root and takes a snapshot of what is at each path.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::beneath::{self, FileRead, NodeKind};
use super::changed_paths::{ChangePriority, TakenPath};
use super::classifier::Classifier;
use super::context::AgentContext;
use super::paths;
use super::pulse::{Halt, Pulse};
use super::root_identity::{self, ExpectedRoot, RootAway};
use super::scope::{Directory, NotEntered, OutOfScope, Scope};
use super::snapshot::{FileBytes, FileSnapshot};
use super::tree::Tree;
use crate::event::Subject;
use crate::store::{Digest, FileStat, ManifestRow, pack};

const SECOND_NS: i64 = 1_000_000_000;
/// Older than this, no other change has the same time, however coarse times are.
const COARSE_NS: i64 = 3 * SECOND_NS;

/// Bytes read in one batch, approximately: they are in memory until they are submitted.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A path to read, with the manifest row that the snapshot is compared with.
#[derive(Debug)]
pub(super) struct ReadTask {
    pub(super) taken: TakenPath,
    pub(super) row: Option<ManifestRow>,
    /// The manifest has rows below the path, or captures below it are in flight.
    pub(super) rows_below: bool,
}

/// A task that was read.
#[derive(Debug)]
pub(super) struct ReadPath {
    pub(super) task: ReadTask,
    pub(super) snapshot: FileSnapshot,
    /// The stat of a file with other names. A write through one of them is notified for that one alone.
    pub(super) other_names: Option<FileStat>,
}

/// Reads batches of paths.
pub(super) struct FileReader {
    context: AgentContext,
    roots: Vec<ExpectedRoot>,
    /// False while captures are stopped.
    may_read: bool,
}

/// Reads what the manifest says of a path that was taken. `in_flight_below`: captures below it are not committed yet.
pub(super) async fn prepare(
    context: &AgentContext,
    taken: TakenPath,
    in_flight_below: bool,
) -> Result<ReadTask, Halt> {
    let (store, path) = (&context.store, &taken.path().path);
    let name = &context.trees[taken.path().tree].name;
    let row = store.manifest_row(name, path).await?;
    // A walk compares the rows below a directory itself; a notification or a scan request names the directory alone.
    let mut rows_below = false;
    if taken.change().priority == ChangePriority::Watch {
        let prefix = paths::below(path);
        let first = store.manifest_rows(name, &prefix, 1).await?;
        let is_below = |row: &ManifestRow| row.path.starts_with(&prefix);
        rows_below = in_flight_below || first.first().is_some_and(is_below);
    }
    Ok(ReadTask {
        taken,
        row,
        rows_below,
    })
}

impl FileReader {
    pub(super) fn new(context: &AgentContext, roots: Vec<ExpectedRoot>, may_read: bool) -> Self {
        FileReader {
            context: context.clone(),
            roots,
            may_read,
        }
    }

    /// Reads the paths one after the other. Those that there is no time for go back into the queue.
    pub(super) async fn read(self, mut tasks: Vec<ReadTask>) -> Result<Vec<ReadPath>, Halt> {
        // In the order of the paths, so that a directory is entered once.
        tasks.sort_by(|a, b| a.taken.path().cmp(b.taken.path()));
        let context = self.context.clone();
        context
            .blocking(move |pulse| self.read_all(tasks, pulse))
            .await
    }

    fn read_all(&self, tasks: Vec<ReadTask>, pulse: &Pulse) -> Vec<ReadPath> {
        let mut opened: Option<(usize, Result<OpenDirectories<'_>, FileSnapshot>)> = None;
        let mut bytes = 0;
        let mut read = Vec::with_capacity(tasks.len());
        for task in tasks {
            if pulse.is_stopped() || bytes >= BATCH_BYTES_MAX {
                break;
            }
            pulse.beat();
            let tree = task.taken.path().tree;
            let directories = match opened.take() {
                Some((of, directories)) if of == tree => directories,
                _ => OpenDirectories::open(&self.context.trees[tree], &self.roots[tree]),
            };
            let (_, directories) = opened.insert((tree, directories));
            let (snapshot, other_names) = match directories {
                Ok(directories) => (
                    self.snapshot(directories, &task, pulse),
                    directories.other_names(&task),
                ),
                Err(snapshot) => (snapshot.clone(), None),
            };
            if let FileSnapshot::Read(read) = &snapshot {
                bytes += read.stat.size;
            }
            read.push(ReadPath {
                task,
                snapshot,
                other_names,
            });
        }
        read
    }

    fn snapshot(
        &self,
        directories: &mut OpenDirectories<'_>,
        task: &ReadTask,
        pulse: &Pulse,
    ) -> FileSnapshot {
        let path = &*task.taken.path().path;
        if path.is_empty() {
            return FileSnapshot::Directory;
        }
        let scope = directories.scope;
        let directory = match directories.directory(paths::parent_of(path)) {
            Ok(directory) => directory,
            Err(NotEntered::Absent) => return FileSnapshot::Gone,
            Err(NotEntered::OutOfScope(out)) => return FileSnapshot::OutOfScope(out),
            Err(NotEntered::UnusableRules(_)) => {
                return FileSnapshot::OutOfScope(OutOfScope::Ignored);
            }
            Err(NotEntered::Denied(cause)) => return FileSnapshot::Denied(cause),
            Err(NotEntered::Unreachable(cause)) => return FileSnapshot::Unreachable(cause),
        };
        match beneath::kind(&directory.handle, paths::name_of(path)) {
            Ok(NodeKind::Directory) => FileSnapshot::Directory,
            // A pipe, a device or a link is no document.
            Ok(NodeKind::Other) | Err(Errno::NOENT) => FileSnapshot::Gone,
            Err(errno) if beneath::is_denied(errno) => {
                FileSnapshot::Denied(std::io::Error::from(errno).to_string())
            }
            Err(errno) => FileSnapshot::Unreachable(std::io::Error::from(errno).to_string()),
            Ok(NodeKind::File(stat)) => match scope.file(directory, path) {
                Some(out) => FileSnapshot::OutOfScope(out),
                None => self.file_snapshot(
                    &FoundFile {
                        scope,
                        directory,
                        task,
                        stat,
                    },
                    pulse,
                ),
            },
        }
    }

    fn file_snapshot(&self, file: &FoundFile<'_>, pulse: &Pulse) -> FileSnapshot {
        let (path, stat, change) = (file.path(), file.stat, file.task.taken.change());
        let tree = &self.context.trees[file.task.taken.path().tree];
        let max = self.context.subject_max();
        match Subject::file(&tree.name, path) {
            Ok(subject) if subject.as_str().len() <= max => {}
            _ => {
                let why =
                    format!("the path is too long: with its collection it may have {max} bytes");
                return FileSnapshot::Unreadable(stat, why);
            }
        }
        let options = &self.context.options;
        let classifier = Classifier::new(file.scope, options);
        if let Some(unread) = classifier.classify(path, &stat) {
            return FileSnapshot::Listed(stat, unread);
        }
        let row = file.task.row.as_ref();
        let is_current = row.is_some_and(|row| classifier.is_current(row, &stat));
        let handle = &file.directory.handle;
        if is_current && !change.reread && beneath::may_read(handle, paths::name_of(path)) {
            return FileSnapshot::Unchanged;
        }
        if !self.may_read {
            return FileSnapshot::Stopped;
        }
        let (debounce, patience) = change.rest(options.debounce, options.stable_after);
        let patient = change.since.elapsed() < patience;
        let rest = rest_needed(&stat, change.seen.as_ref(), wall_clock_ns(), debounce);
        match rest {
            Some(rest) if patient => FileSnapshot::Young(stat, rest),
            rest => match self.read_file(file, pulse) {
                Err(Errno::NOENT | Errno::LOOP) | Ok(FileRead::Another) => {
                    FileSnapshot::Interrupted
                }
                Err(errno) => unread(stat, errno),
                Ok(FileRead::Changed) if patient => FileSnapshot::Young(stat, debounce),
                Ok(FileRead::Changed) => FileSnapshot::Failed(
                    stat,
                    "the file changes faster than it can be read".to_owned(),
                ),
                Ok(FileRead::Whole(stat, bytes)) => {
                    // Another file may have come to the path, or become docent's own config.
                    let classifier = Classifier::new(file.scope, options);
                    match classifier.classify_content(path, &stat, &bytes) {
                        Some(unread) => FileSnapshot::Listed(stat, unread),
                        None => FileSnapshot::Read(FileBytes {
                            stat,
                            digest: Digest::of(&bytes),
                            packed: pack(&bytes),
                            young: rest.is_some() || may_change_unseen(&stat, wall_clock_ns()),
                        }),
                    }
                }
            },
        }
    }

    fn read_file(&self, file: &FoundFile<'_>, pulse: &Pulse) -> Result<FileRead, Errno> {
        let name = paths::name_of(file.path());
        let opened = beneath::open_file(&file.directory.handle, name)?;
        beneath::read(&opened, self.context.options.file_size, pulse)
    }
}

/// A file in scope that was found at a path.
struct FoundFile<'a> {
    scope: &'a Scope,
    directory: &'a Directory,
    task: &'a ReadTask,
    stat: FileStat,
}

impl FoundFile<'_> {
    fn path(&self) -> &[u8] {
        &self.task.taken.path().path
    }
}

/// A file that could not be read.
fn unread(stat: FileStat, errno: Errno) -> FileSnapshot {
    let error = format!("the file cannot be read: {}", std::io::Error::from(errno));
    if beneath::is_denied(errno) {
        FileSnapshot::Unreadable(stat, error)
    } else {
        FileSnapshot::Failed(stat, error)
    }
}

/// How long a file must still be left alone before it is read; `None`: it has come to rest. It has if its last change is
/// older than the debounce (the ctime tells, whatever the mtime says), or if its stat was the same a debounce ago.
fn rest_needed(
    stat: &FileStat,
    seen: Option<&FileStat>,
    now_ns: i64,
    debounce: Duration,
) -> Option<Duration> {
    let age = u64::try_from(now_ns.saturating_sub(stat.ctime_ns))
        .ok()
        .map(Duration::from_nanos);
    match age {
        Some(age) if age >= debounce => None,
        _ if seen == Some(stat) => None,
        Some(age) => Some(debounce - age),
        // From the future: the clock was set back, or is another host's.
        None => Some(debounce),
    }
}

/// Whether another change may follow that leaves the stat as it is: on a file system that tells times to the second or to two.
fn may_change_unseen(stat: &FileStat, now_ns: i64) -> bool {
    let age = now_ns.saturating_sub(stat.ctime_ns);
    stat.ctime_ns % SECOND_NS == 0 && (0..COARSE_NS).contains(&age)
}

fn wall_clock_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The directories from the root to the path that is read, each entered once.
struct OpenDirectories<'a> {
    scope: &'a Scope,
    root: Result<Directory, NotEntered>,
    below: Vec<OpenDirectory>,
}

struct OpenDirectory {
    path: Vec<u8>,
    entered: Result<Directory, NotEntered>,
}

impl<'a> OpenDirectories<'a> {
    /// Opens the root, or gives the snapshot of all paths below one that must not be read.
    fn open(tree: &'a Tree, expected: &ExpectedRoot) -> Result<Self, FileSnapshot> {
        let Some(scope) = &tree.scope else {
            return Err(FileSnapshot::CollectionGone);
        };
        let (root, id) = root_identity::open(&tree.root).map_err(|away| match away {
            _ if expected.let_go => FileSnapshot::Gone,
            RootAway {
                cause,
                denied: true,
            } => FileSnapshot::Denied(cause),
            RootAway { cause, .. } => FileSnapshot::RootAbsent(cause),
        })?;
        // Everything is read below this very handle.
        let known = expected.known.as_ref();
        if !known.is_some_and(|known| root_identity::is(known, id)) {
            return Err(FileSnapshot::RootUnknown);
        }
        Ok(OpenDirectories {
            scope,
            root: scope.enter_root(&root, &mut || {}),
            below: Vec::new(),
        })
    }

    /// The directory at `path`.
    fn directory(&mut self, path: &[u8]) -> Result<&Directory, NotEntered> {
        let leads_to_path = |to: &[u8]| {
            let rest = path.strip_prefix(to);
            rest.is_some_and(|r| r.is_empty() || r.starts_with(b"/"))
        };
        while self.below.last().is_some_and(|d| !leads_to_path(&d.path)) {
            self.below.pop();
        }
        let mut at = self.below.last().map_or(Vec::new(), |d| d.path.clone());
        let rest = path[at.len()..].to_vec();
        for name in rest.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            at = paths::join(&at, name);
            let entered = match self.last() {
                Ok(above) => self.scope.enter(above, &at, &mut || {}),
                Err(not_entered) => Err(not_entered.clone()),
            };
            self.below.push(OpenDirectory {
                path: at.clone(),
                entered,
            });
        }
        self.last().as_ref().map_err(Clone::clone)
    }

    fn last(&self) -> &Result<Directory, NotEntered> {
        self.below.last().map_or(&self.root, |d| &d.entered)
    }

    /// See [`ReadPath::other_names`]. A scan comes by all names anyway.
    fn other_names(&mut self, task: &ReadTask) -> Option<FileStat> {
        let path = &task.taken.path().path;
        if task.taken.change().priority != ChangePriority::Watch || path.is_empty() {
            return None;
        }
        let directory = self.directory(paths::parent_of(path)).ok()?;
        beneath::stat_with_other_names(&directory.handle, paths::name_of(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_file_rests_when_its_last_change_is_older_than_the_debounce_or_was_seen_before() {
        let debounce = Duration::from_millis(500);
        let stat = |ctime_ns| FileStat {
            ctime_ns,
            ..FileStat::default()
        };
        let rest = |ctime, seen: Option<i64>| {
            rest_needed(&stat(ctime), seen.map(stat).as_ref(), 10 * SECOND, debounce)
        };
        assert_eq!(rest(9 * SECOND, None), None);
        assert_eq!(
            rest(10 * SECOND - SECOND / 10, None),
            Some(Duration::from_millis(400))
        );
        assert_eq!(rest(10 * SECOND, Some(10 * SECOND)), None);
        assert_eq!(rest(10 * SECOND, Some(9 * SECOND)), Some(debounce));
        // A clock that was set back must not make a file young for ever.
        assert_eq!(rest(99 * SECOND, None), Some(debounce));
        assert_eq!(rest(99 * SECOND, Some(99 * SECOND)), None);
    }
}
