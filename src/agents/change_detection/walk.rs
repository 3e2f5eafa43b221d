//! Walking a tree: every file in scope in the order of the paths, and every directory watched before it is listed.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::vec::IntoIter;

use rustix::io::Errno;

use super::beneath::{self, Entry, Kind};
use super::paths;
use super::pulse::Pulse;
use super::rules::Refused;
use super::scope::{Closed, Folder};
use super::watch::{Armed, Watches};
use super::{Scope, Tree, WatchMode};
use crate::store::FileStat;

/// What a walk comes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A file in scope.
    File(Vec<u8>, FileStat),
    /// A file in scope that docent may not read.
    Closed(Vec<u8>),
    /// A directory that cannot be looked at: nothing is known of what is below it.
    Gap(Gap),
    /// A directory whose rules cannot be used: nothing below it is in scope.
    Shut(Vec<u8>, Refused),
}

/// A directory that cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) path: Vec<u8>,
    pub(super) cause: String,
    /// Because docent may not: what was read below it before must not be shown any more.
    pub(super) denied: bool,
}

impl Gap {
    fn new(path: Vec<u8>, errno: Errno) -> Self {
        Gap {
            path,
            cause: std::io::Error::from(errno).to_string(),
            denied: beneath::is_denied(errno),
        }
    }
}

impl Item {
    /// Where it stands in the order of paths: a gap where the first path below it would.
    pub(super) fn key(&self) -> Vec<u8> {
        match self {
            Item::File(path, _) | Item::Closed(path) => path.clone(),
            Item::Gap(gap) => paths::below(&gap.path),
            Item::Shut(path, _) => paths::below(path),
        }
    }
}

/// A directory that is being walked.
struct Frame {
    path: Vec<u8>,
    folder: Folder,
    entries: IntoIter<Entry>,
}

/// A walk under way.
pub(super) struct Walk {
    frames: Vec<Frame>,
    /// Found while beginning.
    early: Option<Item>,
    /// The first directory that cannot be watched, and why.
    unwatched: Option<String>,
    /// The device of the directory that was entered last.
    device: u64,
}

/// A tree that is walked: what it needs for that.
pub(super) struct Ground<'a> {
    pub(super) tree: &'a Tree,
    pub(super) scope: &'a Scope,
    pub(super) watches: &'a Watches,
}

impl Walk {
    /// Begins a walk of the directory `base` (empty: of everything) below an open root. One that is not there or out of
    /// scope is walked without finding anything.
    pub(super) fn begin(ground: &Ground<'_>, root: OwnedFd, device: u64, base: &[u8]) -> Walk {
        let mut walk = Walk {
            frames: Vec::new(),
            early: None,
            unwatched: match ground.tree.watch {
                WatchMode::Auto => remote(&root),
                WatchMode::Native => None,
                WatchMode::Poll => Some("the config says so".to_owned()),
            },
            device,
        };
        match reach(ground.scope, root, base) {
            Ok(folder) => {
                walk.depend(ground, base, &folder.depends);
                walk.early = walk.push(ground, folder, base.to_vec()).err();
            }
            Err((path, closed)) => {
                if let Closed::Rules(refused) = &closed {
                    walk.arm_shut(ground, &path, refused);
                }
                walk.early = not_entered(path, closed);
            }
        }
        walk
    }

    /// Goes on for about `limit` entries. Gives nothing when the walk has come to its end.
    pub(super) fn step(&mut self, ground: &Ground<'_>, limit: usize, pulse: &Pulse) -> Vec<Item> {
        let mut items: Vec<Item> = self.early.take().into_iter().collect();
        let mut left = limit;
        while left > 0 && !pulse.stopped() {
            let Some(frame) = self.frames.last_mut() else {
                break;
            };
            let Some(entry) = frame.entries.next() else {
                self.frames.pop();
                continue;
            };
            left -= 1;
            pulse.beat();
            let path = paths::join(&frame.path, &entry.name);
            if entry.directory {
                items.extend(self.descend(ground, path));
            } else if let Some(item) = look(ground.scope, frame, &entry, path) {
                if matches!(item, Item::Gap(_)) {
                    self.frames.pop();
                }
                items.push(item);
            }
        }
        items
    }

    /// Whether there is nothing more to come.
    pub(super) fn is_over(&self) -> bool {
        self.frames.is_empty() && self.early.is_none()
    }

    /// Why changes in a part of what was walked will not be notified.
    pub(super) fn unwatched(&self) -> Option<&str> {
        self.unwatched.as_deref()
    }

    fn descend(&mut self, ground: &Ground<'_>, path: Vec<u8>) -> Option<Item> {
        let above = &self.frames.last()?.folder;
        let mut entered = ground.scope.enter(above, &path);
        // What changed before the watch was there would not be notified: it is entered anew.
        let anew = match &entered {
            Ok(folder) => self.depend(ground, &path, &folder.depends),
            Err(Closed::Rules(refused)) => {
                self.arm_shut(ground, &path, &refused.clone());
                true
            }
            Err(_) => false,
        };
        if anew {
            entered = ground.scope.enter(&self.frames.last()?.folder, &path);
        }
        match entered {
            Ok(folder) => self.push(ground, folder, path).err(),
            Err(closed) => not_entered(path, closed),
        }
    }

    /// Watches a directory, then lists it: what comes into it later is notified.
    fn push(&mut self, ground: &Ground<'_>, folder: Folder, path: Vec<u8>) -> Result<(), Item> {
        self.cross(ground, &folder, &path);
        self.arm(ground, &path);
        let entries = match beneath::list(&folder.handle) {
            Ok(entries) => entries,
            Err(error) => {
                let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
                let cause = error.to_string();
                return Err(Item::Gap(Gap {
                    path,
                    cause,
                    denied,
                }));
            }
        };
        self.frames.push(Frame {
            path,
            folder,
            entries: entries.into_iter(),
        });
        Ok(())
    }

    /// Watches a directory that stays closed until its rules are mended.
    fn arm_shut(&mut self, ground: &Ground<'_>, path: &[u8], refused: &Refused) {
        self.arm(ground, path);
        self.depend(ground, path, std::slice::from_ref(&refused.file));
    }

    /// Watches files of rules that are not in the directory that they are about; whether some were not watched before.
    /// A change that is not notified is seen by the next scan.
    fn depend(&self, ground: &Ground<'_>, path: &[u8], files: &[PathBuf]) -> bool {
        if ground.tree.watch == WatchMode::Poll {
            return false;
        }
        let mut some = false;
        let directory = ground.tree.root.join(paths::as_path(path));
        for file in files {
            if let Some(beside) = file.parent().filter(|beside| **beside != *directory) {
                some |= ground.watches.depend(file, &directory);
                if let Armed::No(cause) = ground.watches.arm(beside) {
                    tracing::debug!(file = %file.display(), cause, "changes of a file of rules are not notified");
                }
            }
        }
        some
    }

    /// Looks at the file system where the walk comes to another one.
    fn cross(&mut self, ground: &Ground<'_>, folder: &Folder, path: &[u8]) {
        let Ok(id) = beneath::id(&folder.handle) else {
            return;
        };
        let crossed = std::mem::replace(&mut self.device, id.device) != id.device;
        if crossed
            && ground.tree.watch == WatchMode::Auto
            && let Some(cause) = remote(&folder.handle)
        {
            let path = String::from_utf8_lossy(path).into_owned();
            self.unwatched.get_or_insert(format!("{path}: {cause}"));
        }
    }

    /// Watches a directory, unless the config says that it is not to be.
    fn arm(&mut self, ground: &Ground<'_>, path: &[u8]) {
        if ground.tree.watch == WatchMode::Poll {
            return;
        }
        let directory = ground.tree.root.join(paths::as_path(path));
        let cause = match ground.watches.arm(&directory) {
            Armed::Yes | Armed::Gone => return,
            Armed::Limit => format!(
                "there are no watches left (fs.inotify.max_user_watches); allow more with: {}",
                super::watch::more_watches()
            ),
            Armed::No(cause) => format!("{} cannot be watched: {cause}", directory.display()),
        };
        self.unwatched.get_or_insert(cause);
    }
}

/// Why the changes of a directory are not notified, if its file system is one that does not.
fn remote(directory: &OwnedFd) -> Option<String> {
    beneath::is_remote(directory).map(|kind| format!("the file system is {kind}"))
}

/// Enters `base` from the root, or gives the directory where that ended.
fn reach(scope: &Scope, root: OwnedFd, base: &[u8]) -> Result<Folder, (Vec<u8>, Closed)> {
    let mut folder = scope
        .enter_root(root)
        .map_err(|closed| (Vec::new(), closed))?;
    let mut path = Vec::new();
    for name in base.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
        path = paths::join(&path, name);
        folder = match scope.enter(&folder, &path) {
            Ok(next) => next,
            Err(closed) => return Err((path, closed)),
        };
    }
    Ok(folder)
}

/// The file of an entry, if it is in scope and still there.
fn look(scope: &Scope, frame: &Frame, entry: &Entry, path: Vec<u8>) -> Option<Item> {
    if scope.file(&frame.folder, &path).is_some() {
        return None;
    }
    match beneath::kind(&frame.folder.handle, &entry.name) {
        Ok(Kind::File(_)) if !beneath::may_read(&frame.folder.handle, &entry.name) => {
            Some(Item::Closed(path))
        }
        Ok(Kind::File(stat)) => Some(Item::File(path, stat)),
        Ok(_) | Err(Errno::NOENT) => None,
        // Names can be listed, but nothing can be asked about them.
        Err(errno) => Some(Item::Gap(Gap::new(frame.path.clone(), errno))),
    }
}

/// What a walk comes by where it cannot enter a directory.
fn not_entered(path: Vec<u8>, closed: Closed) -> Option<Item> {
    let (cause, denied) = match closed {
        Closed::Denied(cause) => (cause, true),
        Closed::Unreachable(cause) => (cause, false),
        Closed::Rules(refused) => return Some(Item::Shut(path, refused)),
        Closed::Absent | Closed::Out(_) => return None,
    };
    Some(Item::Gap(Gap {
        path,
        cause,
        denied,
    }))
}
