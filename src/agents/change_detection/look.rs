//! Looking at marked paths: what stands there now, and its bytes if they are wanted.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use tokio::time::Instant;

use super::beneath::{self, Id, Kind, Reading};
use super::marks::{Class, Mark, Place};
use super::pulse::Pulse;
use super::roots::Away;
use super::scope::{Closed, Folder, Out};
use super::{Options, Scope, Tree, own, paths, roots};
use crate::document::private_key;
use crate::event::Subject;
use crate::store::{Digest, FileStat, FileState, KnownTree, ManifestRow, pack};

/// Bytes read in one go, about: they are in memory until they are handed over.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the reason of a file begins with that is withheld for what it holds.
const HOLDS_A_KEY: &str = "it holds a private key";

/// A path to look at, with the manifest row that what is found there is compared with.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) place: Place,
    pub(super) mark: Mark,
    pub(super) row: Option<ManifestRow>,
    /// The manifest has rows below the path.
    pub(super) below: bool,
    /// The file's stat, if it has other names: a write through one of them is notified for that one alone.
    pub(super) shared: Option<FileStat>,
}

/// What stands at a path.
#[derive(Debug, PartialEq)]
pub(super) enum Sight {
    /// There is no root to look below.
    Rootless(Rootless),
    /// No file.
    Gone,
    /// Out of scope.
    Out(Out),
    /// The collection is not in the config any more.
    CollectionGone,
    /// A directory.
    Directory,
    /// A directory above it cannot be looked at: nothing is known.
    Unreachable(String),
    /// A directory above it may not be looked at.
    Denied(String),
    /// A file that is not read, and why.
    Listed(FileState, FileStat, String),
    /// A file that cannot be read, and why.
    Unreadable(FileStat, String),
    /// A file that may be read, but reading it failed.
    Failed(FileStat, String),
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
    /// What each tree's root is known to be.
    pub(super) footings: Vec<Footing>,
    /// False while captures stand still.
    pub(super) may_read: bool,
}

impl Looker {
    /// Looks at the paths one after the other; gives those too that there was no time for, without a sight.
    pub(super) fn look(&self, mut tasks: Vec<Task>, pulse: &Pulse) -> Vec<(Task, Option<Sight>)> {
        // In the order of the paths, so that a directory is entered once.
        tasks.sort_by(|a, b| a.place.cmp(&b.place));
        let mut trail: Option<(usize, Result<Trail<'_>, Rootless>)> = None;
        let mut bytes = 0;
        let mut seen = Vec::with_capacity(tasks.len());
        for mut task in tasks {
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
                let footing = &self.footings[task.place.tree];
                trail = Some((task.place.tree, Trail::open(tree, scope, footing)));
            }
            let sight = match &mut trail {
                Some((_, Ok(trail))) => self.look_at(trail, &mut task, pulse),
                Some((_, Err(Rootless::LetGo))) => Sight::Gone,
                Some((_, Err(Rootless::Denied(cause)))) => Sight::Denied(cause.clone()),
                Some((_, Err(rootless))) => Sight::Rootless(rootless.clone()),
                None => Sight::Again,
            };
            if let Sight::Read(read) = &sight {
                bytes += read.stat.size;
            }
            seen.push((task, Some(sight)));
        }
        seen
    }

    fn look_at(&self, trail: &mut Trail<'_>, task: &mut Task, pulse: &Pulse) -> Sight {
        let path = task.place.path.clone();
        let path = &*path;
        if path.is_empty() {
            return Sight::Directory;
        }
        let scope = trail.scope;
        let folder = match trail.folder(paths::parent_of(path)) {
            Ok(folder) => folder,
            Err(Closed::Absent) => return Sight::Gone,
            Err(Closed::Out(out)) => return Sight::Out(out),
            Err(Closed::Rules(_)) => return Sight::Out(Out::Ignored),
            Err(Closed::Denied(cause)) => return Sight::Denied(cause),
            Err(Closed::Unreachable(cause)) => return Sight::Unreachable(cause),
        };
        let name = paths::name_of(path);
        match beneath::kind(&folder.handle, name) {
            Ok(Kind::Directory) => Sight::Directory,
            // A pipe, a device or a link is no document.
            Ok(Kind::Other) | Err(Errno::NOENT) => Sight::Gone,
            Err(errno) if beneath::is_denied(errno) => {
                Sight::Denied(std::io::Error::from(errno).to_string())
            }
            Err(errno) => Sight::Unreachable(std::io::Error::from(errno).to_string()),
            Ok(Kind::File(stat)) => {
                let notified = task.mark.class == Class::Watch;
                task.shared =
                    (notified && beneath::has_other_names(&folder.handle, name)).then_some(stat);
                match scope.file(folder, path) {
                    Some(out) => Sight::Out(out),
                    None => self.look_at_file((scope, folder), task, stat, pulse),
                }
            }
        }
    }

    fn look_at_file(
        &self,
        (scope, folder): (&Scope, &Folder),
        task: &Task,
        stat: FileStat,
        pulse: &Pulse,
    ) -> Sight {
        let path = &*task.place.path;
        if let Err(error) = Subject::file(&self.trees[task.place.tree].name, path) {
            return Sight::Unreadable(stat, format!("the path is too long: {error}"));
        }
        let terms = Terms::new(scope, &self.options);
        if let Some((state, reason)) = terms.unread(path, &stat) {
            return Sight::Listed(state, stat, reason);
        }
        let known = task
            .row
            .as_ref()
            .is_some_and(|row| terms.is_settled(row, &stat));
        if known && !task.mark.reread && beneath::may_read(&folder.handle, paths::name_of(path)) {
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
                Err(errno) => unread(stat, errno),
                Ok(Reading::Another) => Sight::Again,
                Ok(Reading::Changed) if patient => Sight::Young(stat, self.options.debounce),
                Ok(Reading::Changed) => Sight::Failed(
                    stat,
                    "the file changes faster than it can be read".to_owned(),
                ),
                Ok(Reading::Whole(stat, bytes)) => {
                    self.sight_of(scope, path, (stat, bytes), wait.is_some())
                }
            },
        }
    }

    /// What was read, unless it must not be kept.
    fn sight_of(
        &self,
        scope: &Scope,
        path: &[u8],
        (stat, bytes): (FileStat, Vec<u8>),
        young: bool,
    ) -> Sight {
        // Another file may have come to the path, or become docent's own config, since it was looked at.
        if own::holds(&own::ids(&self.options.own_files), &stat) {
            return Sight::Listed(FileState::Withheld, stat, own::OWN.to_owned());
        }
        if !scope.allows(path)
            && let Some(key) = private_key(&bytes)
        {
            let reason = format!("{HOLDS_A_KEY} ({}, line {})", key.form, key.line);
            return Sight::Listed(FileState::Withheld, stat, reason);
        }
        Sight::Read(Bytes {
            stat,
            digest: Digest::of(&bytes),
            packed: pack(&bytes),
            young,
        })
    }

    fn read(&self, folder: &Folder, path: &[u8], pulse: &Pulse) -> Result<Reading, Errno> {
        let file = beneath::open_file(&folder.handle, paths::name_of(path))?;
        beneath::read(&file, self.options.file_size, pulse)
    }
}

/// A file that could not be read.
fn unread(stat: FileStat, errno: Errno) -> Sight {
    let error = format!("the file cannot be read: {}", std::io::Error::from(errno));
    if beneath::is_denied(errno) {
        Sight::Unreadable(stat, error)
    } else {
        Sight::Failed(stat, error)
    }
}

/// By what files of a collection are read or not.
pub(super) struct Terms<'a> {
    scope: &'a Scope,
    options: &'a Options,
    /// docent's own files.
    own: Vec<Id>,
}

impl<'a> Terms<'a> {
    pub(super) fn new(scope: &'a Scope, options: &'a Options) -> Self {
        Terms::with(scope, options, own::ids(&options.own_files))
    }

    pub(super) fn with(scope: &'a Scope, options: &'a Options, own: Vec<Id>) -> Self {
        Terms {
            scope,
            options,
            own,
        }
    }

    /// Why the file is not read, if it is not.
    fn unread(&self, path: &[u8], stat: &FileStat) -> Option<(FileState, String)> {
        if own::holds(&self.own, stat) {
            return Some((FileState::Withheld, own::OWN.to_owned()));
        }
        if let Some(reason) = self.scope.secret(path) {
            return Some((FileState::Withheld, reason));
        }
        if !(self.options.supported)(path) {
            let reason = "docent reads no files of this type".to_owned();
            return Some((FileState::Unsupported, reason));
        }
        let limit = self.options.file_size;
        (stat.size > limit).then(|| {
            let reason = format!(
                "the file has {} bytes, more than the limit of {limit}",
                stat.size
            );
            (FileState::TooLarge, reason)
        })
    }

    /// Whether a file with this stat is as its row says, so that nothing is to be done.
    pub(super) fn is_settled(&self, row: &ManifestRow, stat: &FileStat) -> bool {
        let right = match (self.unread(&row.path, stat), &row.reason) {
            (Some((state, reason)), told) => row.state == state && told.as_ref() == Some(&reason),
            (None, Some(told)) if row.state == FileState::Withheld => {
                told.starts_with(HOLDS_A_KEY) && !self.scope.allows(&row.path)
            }
            // One that is unreadable is tried again whenever somebody comes by.
            (None, _) => row.state == FileState::Captured,
        };
        right && row.stat == *stat
    }
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

/// Why there is no root to look below.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rootless {
    /// It cannot be opened.
    Absent(String),
    /// It may not be opened.
    Denied(String),
    /// It cannot be opened, and its files are to be taken for removed.
    LetGo,
    /// It is not the directory that it was, or was not looked at yet.
    Another,
}

/// What a root is known to be.
#[derive(Debug, Clone)]
pub(super) struct Footing {
    pub(super) known: Option<KnownTree>,
    pub(super) let_go: bool,
}

/// The directories from the root to where the looking is, each entered once.
struct Trail<'a> {
    scope: &'a Scope,
    root: Result<Folder, Closed>,
    below: Vec<(Vec<u8>, Result<Folder, Closed>)>,
}

impl<'a> Trail<'a> {
    fn open(tree: &Tree, scope: &'a Scope, footing: &Footing) -> Result<Self, Rootless> {
        let (root, id) = roots::open(&tree.root).map_err(|away| match away {
            _ if footing.let_go => Rootless::LetGo,
            Away {
                cause,
                denied: true,
            } => Rootless::Denied(cause),
            Away { cause, .. } => Rootless::Absent(cause),
        })?;
        // What is read is read below this very handle.
        let known = footing.known.as_ref();
        if !known.is_some_and(|known| roots::is(known, id)) {
            return Err(Rootless::Another);
        }
        Ok(Trail {
            scope,
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
