//! Looking at marked paths: what stands there now, and its bytes if they are wanted.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use tokio::time::Instant;

use super::beneath::{self, Kind, Reading};
use super::marks::{Mark, Place};
use super::paths;
use super::pulse::Pulse;
use super::scope::{Closed, Folder, Out};
use super::{Options, Scope, Tree};
use crate::event::Subject;
use crate::store::{Digest, FileStat, FileState, ManifestRow, pack};

/// Bytes read in one go, about: they are in memory until they are handed over.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A path to look at, with the manifest row that what is found there is compared with.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) place: Place,
    pub(super) mark: Mark,
    pub(super) row: Option<ManifestRow>,
    /// The manifest has rows below the path.
    pub(super) below: bool,
}

/// What stands at a path.
#[derive(Debug, PartialEq)]
pub(super) enum Sight {
    /// The root cannot be opened.
    RootAbsent(String),
    /// No file; seen below a root on this device.
    Gone(u64),
    /// Out of scope.
    Out(Out),
    /// The collection is not in the config any more.
    CollectionGone,
    /// A directory.
    Directory,
    /// A directory above it cannot be looked at: nothing is known.
    Unreachable(String),
    /// A file that is not read, and why.
    Listed(FileState, FileStat, String),
    /// A file that cannot be read, and why.
    Unreadable(FileStat, String),
    /// The file that the manifest knows.
    Same,
    /// It changed too recently; look again after so long.
    Young(FileStat, Duration),
    /// It would be read, but captures stand still.
    Held,
    /// Something else came in between: look again.
    Again,
    /// It was read.
    Read(Bytes),
}

/// What was read.
#[derive(Debug, PartialEq)]
pub(super) struct Bytes {
    pub(super) stat: FileStat,
    pub(super) digest: Digest,
    pub(super) packed: Vec<u8>,
    /// The file had not come to rest: a change so soon after the reading could hide behind the same stat.
    pub(super) young: bool,
}

/// What looking needs to know.
#[derive(Clone)]
pub(super) struct Looker {
    pub(super) trees: Arc<Vec<Tree>>,
    pub(super) options: Arc<Options>,
    /// False while captures stand still.
    pub(super) may_read: bool,
}

impl Looker {
    /// Looks at the paths one after the other; gives those too that there was no time for, without a sight.
    pub(super) fn look(&self, mut tasks: Vec<Task>, pulse: &Pulse) -> Vec<(Task, Option<Sight>)> {
        // In the order of the paths, so that a directory is entered once.
        tasks.sort_by(|a, b| a.place.cmp(&b.place));
        let mut trail: Option<(usize, Result<Trail<'_>, String>)> = None;
        let mut bytes = 0;
        let mut seen = Vec::with_capacity(tasks.len());
        for task in tasks {
            if pulse.stopped() || bytes >= BATCH_BYTES_MAX {
                seen.push((task, None));
                continue;
            }
            pulse.beat();
            let tree = &self.trees[task.place.tree];
            let Some(scope) = &tree.scope else {
                seen.push((task, Some(Sight::CollectionGone)));
                continue;
            };
            if trail.as_ref().is_none_or(|(of, _)| *of != task.place.tree) {
                trail = Some((task.place.tree, Trail::open(tree, scope)));
            }
            let sight = match &mut trail {
                Some((_, Ok(trail))) => self.look_at(trail, &task, pulse),
                Some((_, Err(cause))) => Sight::RootAbsent(cause.clone()),
                None => Sight::Again,
            };
            if let Sight::Read(read) = &sight {
                bytes += read.stat.size;
            }
            seen.push((task, Some(sight)));
        }
        seen
    }

    fn look_at(&self, trail: &mut Trail<'_>, task: &Task, pulse: &Pulse) -> Sight {
        let path = &*task.place.path;
        if path.is_empty() {
            return Sight::Directory;
        }
        let device = trail.device;
        let scope = trail.scope;
        let folder = match trail.folder(paths::parent_of(path)) {
            Ok(folder) => folder,
            Err(Closed::Absent) => return Sight::Gone(device),
            Err(Closed::Out(out)) => return Sight::Out(out),
            Err(Closed::Rules(_)) => return Sight::Out(Out::Ignored),
            Err(Closed::Unreachable(cause)) => return Sight::Unreachable(cause),
        };
        match beneath::kind(&folder.handle, paths::name_of(path)) {
            Ok(Kind::Directory) => Sight::Directory,
            // A pipe, a device or a link is no document.
            Ok(Kind::Other) | Err(Errno::NOENT) => Sight::Gone(device),
            Err(errno) => Sight::Unreachable(std::io::Error::from(errno).to_string()),
            Ok(Kind::File(stat)) => match scope.file(folder, path) {
                Some(out) => Sight::Out(out),
                None => self.look_at_file(folder, task, stat, pulse),
            },
        }
    }

    fn look_at_file(&self, folder: &Folder, task: &Task, stat: FileStat, pulse: &Pulse) -> Sight {
        let path = &*task.place.path;
        if let Err(error) = Subject::file(&self.trees[task.place.tree].name, path) {
            return Sight::Unreadable(stat, format!("the path is too long: {error}"));
        }
        if !(self.options.supported)(path) {
            return Sight::Listed(
                FileState::Unsupported,
                stat,
                "docent reads no files of this type".to_owned(),
            );
        }
        let limit = self.options.file_size;
        if stat.size > limit {
            let reason = format!(
                "the file has {} bytes, more than the limit of {limit}",
                stat.size
            );
            return Sight::Listed(FileState::TooLarge, stat, reason);
        }
        let known = task
            .row
            .as_ref()
            .is_some_and(|row| is_settled(row, &stat, &self.options));
        if known && !task.mark.reread {
            return Sight::Same;
        }
        if !self.may_read {
            return Sight::Held;
        }
        let patient = task.mark.since.elapsed() < self.options.stable_after;
        let wait = rest_needed(
            &stat,
            task.mark.seen.as_ref(),
            wall_clock_ns(),
            self.options.debounce,
        );
        match wait {
            Some(wait) if patient => Sight::Young(stat, wait),
            wait => match self.read(folder, path, pulse) {
                Err(Errno::NOENT | Errno::LOOP) => Sight::Again,
                Err(errno) => {
                    let error = std::io::Error::from(errno);
                    Sight::Unreadable(stat, format!("the file cannot be read: {error}"))
                }
                Ok(Reading::Another) => Sight::Again,
                Ok(Reading::Changed) if patient => Sight::Young(stat, self.options.debounce),
                Ok(Reading::Changed) => Sight::Unreadable(
                    stat,
                    "the file changes faster than it can be read".to_owned(),
                ),
                Ok(Reading::Whole(stat, bytes)) => Sight::Read(Bytes {
                    stat,
                    digest: Digest::of(&bytes),
                    packed: pack(&bytes),
                    young: wait.is_some(),
                }),
            },
        }
    }

    fn read(&self, folder: &Folder, path: &[u8], pulse: &Pulse) -> Result<Reading, Errno> {
        let file = beneath::open_file(&folder.handle, paths::name_of(path))?;
        beneath::read(&file, self.options.file_size, pulse)
    }
}

/// Whether a file with this stat is as its row says, so that nothing is to be done.
pub(super) fn is_settled(row: &ManifestRow, stat: &FileStat, options: &Options) -> bool {
    let supported = (options.supported)(&row.path);
    let fits = stat.size <= options.file_size;
    let right = match row.state {
        FileState::Captured => supported && fits,
        FileState::TooLarge => supported && !fits,
        FileState::Unsupported => !supported,
        // It is tried again whenever somebody comes by.
        FileState::Unreadable => false,
    };
    right && row.stat == *stat
}

/// How long a file must still be left alone before it is read; `None`: it has come to rest. It has when its last change
/// (whatever its mtime says, the ctime tells) is older than the debounce, or the stat is that of a look a debounce ago.
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

fn wall_clock_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The directories from the root to where the looking is, each entered once.
struct Trail<'a> {
    scope: &'a Scope,
    device: u64,
    root: Result<Folder, Closed>,
    below: Vec<(Vec<u8>, Result<Folder, Closed>)>,
}

impl<'a> Trail<'a> {
    fn open(tree: &Tree, scope: &'a Scope) -> Result<Self, String> {
        let root = beneath::open_root(&tree.root).map_err(|e| e.to_string())?;
        let id = beneath::id(&root).map_err(|e| std::io::Error::from(e).to_string())?;
        Ok(Trail {
            scope,
            device: id.device,
            root: scope.enter_root(root),
            below: Vec::new(),
        })
    }

    /// The directory at `path`.
    fn folder(&mut self, path: &[u8]) -> Result<&Folder, Closed> {
        let leads = |to: &[u8]| {
            let rest = path.strip_prefix(to);
            rest.is_some_and(|r| r.is_empty() || r.starts_with(b"/"))
        };
        while self.below.last().is_some_and(|(at, _)| !leads(at)) {
            self.below.pop();
        }
        let mut at = self.below.last().map_or(Vec::new(), |(at, _)| at.clone());
        let rest = path[at.len()..].to_vec();
        for name in rest.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            at = paths::join(&at, name);
            let above = self.below.last().map_or(&self.root, |(_, folder)| folder);
            let next = match above {
                Ok(above) => self.scope.enter(above, &at),
                Err(closed) => Err(closed.clone()),
            };
            self.below.push((at.clone(), next));
        }
        let last = self.below.last().map_or(&self.root, |(_, folder)| folder);
        last.as_ref().map_err(Clone::clone)
    }
}

/// How long a mark has been waiting for its file to come to rest.
pub(super) fn put_off(mark: Mark, stat: FileStat, wait: Duration, now: Instant) -> Mark {
    Mark {
        due: now + wait,
        seen: Some(stat),
        ..mark
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
