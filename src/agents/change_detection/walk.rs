//! Walking a tree: every file in scope in the order of the paths. A directory is watched before it is read.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::vec::IntoIter;

use rustix::io::Errno;

use super::beneath::{self, DirEntry, NodeKind};
use super::collection::WatchMode;
use super::context::AgentContext;
use super::paths;
use super::pulse::Pulse;
use super::rules::UnusableRules;
use super::scope::{Directory, NotEntered, Scope};
use super::tree::Tree;
use super::watch::{WatchResult, Watches, more_watches};
use crate::store::FileStat;

/// What a walk finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WalkItem {
    /// A file in scope.
    File(Vec<u8>, FileStat),
    /// A file in scope that docent may not read.
    DeniedFile(Vec<u8>),
    /// A directory that cannot be read.
    Unread(UnreadDirectory),
    /// A directory whose rules cannot be used: nothing below it is in scope.
    Closed(Vec<u8>, UnusableRules),
}

/// A directory that cannot be read: nothing is known of what is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnreadDirectory {
    pub(super) path: Vec<u8>,
    pub(super) cause: String,
    /// Because docent may not read it: its files must leave search.
    pub(super) denied: bool,
}

impl WalkItem {
    /// Its position in the order of paths. A directory stands where the first path below it would.
    pub(super) fn key(&self) -> Vec<u8> {
        match self {
            WalkItem::File(path, _) | WalkItem::DeniedFile(path) => path.clone(),
            WalkItem::Unread(directory) => paths::below(&directory.path),
            WalkItem::Closed(path, _) => paths::below(path),
        }
    }
}

/// A tree that is walked, and what that needs.
pub(super) struct WalkedTree<'a> {
    tree: &'a Tree,
    scope: &'a Scope,
    watches: &'a Watches,
}

impl<'a> WalkedTree<'a> {
    /// `None`: the collection is not in the config any more.
    pub(super) fn new(context: &'a AgentContext, tree: usize) -> Option<Self> {
        let tree = &context.trees[tree];
        Some(WalkedTree {
            tree,
            scope: tree.scope.as_ref()?,
            watches: &context.watches,
        })
    }

    /// Watches a directory, unless the config forbids it. Gives the reason why its changes will not be notified.
    fn watch(&self, path: &[u8]) -> Option<String> {
        if self.tree.watch == WatchMode::Poll {
            return None;
        }
        let directory = self.tree.root.join(paths::as_path(path));
        match self.watches.watch(&directory) {
            WatchResult::Watched | WatchResult::Gone => None,
            WatchResult::LimitReached => Some(format!(
                "there are no watches left (fs.inotify.max_user_watches); allow more with: {}",
                more_watches()
            )),
            WatchResult::Failed(cause) => Some(format!(
                "{} cannot be watched: {cause}",
                directory.display()
            )),
        }
    }

    /// Watches files of rules outside the directory that they are about. Gives whether some were not watched before. A
    /// change that is not notified is found by the next scan.
    fn watch_rules(&self, path: &[u8], files: &[PathBuf]) -> bool {
        if self.tree.watch == WatchMode::Poll {
            return false;
        }
        let directory = self.tree.root.join(paths::as_path(path));
        let (mut watched, mut new) = (false, false);
        for file in files {
            if let Some(beside) = file.parent().filter(|beside| **beside != *directory) {
                watched = true;
                new |= self.watches.watch_rules_file(file, &directory);
                if let WatchResult::Failed(cause) = self.watches.watch(beside) {
                    tracing::debug!(file = %file.display(), cause, "changes of an ignore file are not notified");
                }
            }
        }
        if watched {
            // It may be one of those under another name, and is reported by the name that was watched last.
            self.watches.watch(&directory);
        }
        new
    }
}

/// A directory whose entries are being walked.
struct WalkLevel {
    path: Vec<u8>,
    directory: Directory,
    entries: IntoIter<DirEntry>,
}

/// A walk in progress.
pub(super) struct TreeWalk {
    levels: Vec<WalkLevel>,
    /// Found at the beginning.
    first: Option<WalkItem>,
    /// Why the changes of a directory are not notified; of the first such directory.
    unwatched: Option<String>,
    /// The device of the directory that was entered last.
    device: u64,
}

impl TreeWalk {
    /// Begins to walk the directory `base` (empty: everything) below an open root. Finds nothing if `base` is not there or
    /// out of scope.
    pub(super) fn begin(walked: &WalkedTree<'_>, root: &OwnedFd, device: u64, base: &[u8]) -> Self {
        let mut walk = TreeWalk {
            levels: Vec::new(),
            first: None,
            unwatched: match walked.tree.watch {
                WatchMode::Auto => remote(root),
                WatchMode::Native => None,
                WatchMode::Poll => Some("the config says so".to_owned()),
            },
            device,
        };
        walk.first = match walk.reach(walked, root, base) {
            Ok(directory) => walk.descend(directory, base.to_vec()),
            Err((path, not_entered)) => item_of(path, not_entered),
        };
        walk
    }

    /// Continues for about `limit` entries. Gives nothing when the walk has ended.
    pub(super) fn step(
        &mut self,
        walked: &WalkedTree<'_>,
        limit: usize,
        pulse: &Pulse,
    ) -> Vec<WalkItem> {
        let mut items: Vec<WalkItem> = self.first.take().into_iter().collect();
        let mut left = limit;
        while left > 0 && !pulse.is_stopped() {
            let Some(level) = self.levels.last_mut() else {
                break;
            };
            let Some(entry) = level.entries.next() else {
                self.levels.pop();
                continue;
            };
            left -= 1;
            pulse.beat();
            let path = paths::join(&level.path, &entry.name);
            if entry.directory {
                items.extend(self.enter_and_descend(walked, path));
            } else if let Some(item) = file_item(walked.scope, level, &entry, path) {
                if matches!(item, WalkItem::Unread(_)) {
                    self.levels.pop();
                }
                items.push(item);
            }
        }
        items
    }

    pub(super) fn is_over(&self) -> bool {
        self.levels.is_empty() && self.first.is_none()
    }

    /// Why changes in a part of what was walked will not be notified.
    pub(super) fn unwatched(&self) -> Option<&str> {
        self.unwatched.as_deref()
    }

    /// Enters `base` from the root, or gives the directory that could not be entered.
    fn reach(
        &mut self,
        walked: &WalkedTree<'_>,
        root: &OwnedFd,
        base: &[u8],
    ) -> Result<Directory, (Vec<u8>, NotEntered)> {
        let scope = walked.scope;
        let mut path = Vec::new();
        let enter_root = |opened: &mut dyn FnMut()| scope.enter_root(root, opened);
        let mut directory = self
            .enter(walked, &path, enter_root)
            .map_err(|e| (Vec::new(), e))?;
        for name in base.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            path = paths::join(&path, name);
            let enter = |opened: &mut dyn FnMut()| scope.enter(&directory, &path, opened);
            directory = self
                .enter(walked, &path, enter)
                .map_err(|e| (path.clone(), e))?;
        }
        Ok(directory)
    }

    fn enter_and_descend(&mut self, walked: &WalkedTree<'_>, path: Vec<u8>) -> Option<WalkItem> {
        let above = self.levels.pop()?;
        let enter = |opened: &mut dyn FnMut()| walked.scope.enter(&above.directory, &path, opened);
        let entered = self.enter(walked, &path, enter);
        self.levels.push(above);
        match entered {
            Ok(directory) => self.descend(directory, path),
            Err(not_entered) => item_of(path, not_entered),
        }
    }

    /// Enters a directory with `enter`. It is watched before its rules are read: what changes later is notified.
    fn enter(
        &mut self,
        walked: &WalkedTree<'_>,
        path: &[u8],
        enter: impl Fn(&mut dyn FnMut()) -> Result<Directory, NotEntered>,
    ) -> Result<Directory, NotEntered> {
        let mut entered = enter(&mut || self.note_unwatched(walked.watch(path)));
        let elsewhere = match &entered {
            Ok(directory) => walked.watch_rules(path, &directory.depends),
            Err(NotEntered::UnusableRules(rules)) => {
                walked.watch_rules(path, std::slice::from_ref(&rules.file))
            }
            Err(_) => return entered,
        };
        // Rules elsewhere may have changed before they were watched.
        if elsewhere {
            entered = enter(&mut || {});
        }
        if let Ok(directory) = &entered {
            self.note_device(walked, directory, path);
        }
        entered
    }

    fn note_unwatched(&mut self, cause: Option<String>) {
        self.unwatched = self.unwatched.take().or(cause);
    }

    /// Examines the file system where the walk crosses into another one.
    fn note_device(&mut self, walked: &WalkedTree<'_>, directory: &Directory, path: &[u8]) {
        let Ok(id) = beneath::id(&directory.handle) else {
            return;
        };
        let crossed = std::mem::replace(&mut self.device, id.device) != id.device;
        if crossed && walked.tree.watch == WatchMode::Auto {
            let path = String::from_utf8_lossy(path);
            self.note_unwatched(remote(&directory.handle).map(|cause| format!("{path}: {cause}")));
        }
    }

    /// Lists a directory that was entered.
    fn descend(&mut self, directory: Directory, path: Vec<u8>) -> Option<WalkItem> {
        match beneath::list(&directory.handle) {
            Ok(entries) => {
                self.levels.push(WalkLevel {
                    path,
                    directory,
                    entries: entries.into_iter(),
                });
                None
            }
            Err(error) => Some(WalkItem::Unread(UnreadDirectory {
                path,
                denied: error.kind() == std::io::ErrorKind::PermissionDenied,
                cause: error.to_string(),
            })),
        }
    }
}

/// Why the changes in a directory are not notified, if its file system does not support that.
fn remote(directory: &OwnedFd) -> Option<String> {
    beneath::is_remote(directory).map(|kind| format!("the file system is {kind}"))
}

/// The file of an entry, if it is in scope and still there.
fn file_item(
    scope: &Scope,
    level: &WalkLevel,
    entry: &DirEntry,
    path: Vec<u8>,
) -> Option<WalkItem> {
    if scope.file(&level.directory, &path).is_some() {
        return None;
    }
    let handle = &level.directory.handle;
    match beneath::kind(handle, &entry.name) {
        Ok(NodeKind::File(_)) if !beneath::may_read(handle, &entry.name) => {
            Some(WalkItem::DeniedFile(path))
        }
        Ok(NodeKind::File(stat)) => Some(WalkItem::File(path, stat)),
        Ok(_) | Err(Errno::NOENT) => None,
        // The directory's names can be listed, but its files cannot be examined.
        Err(errno) => Some(WalkItem::Unread(UnreadDirectory {
            path: level.path.clone(),
            cause: std::io::Error::from(errno).to_string(),
            denied: beneath::is_denied(errno),
        })),
    }
}

/// What a walk finds where it cannot enter a directory.
fn item_of(path: Vec<u8>, not_entered: NotEntered) -> Option<WalkItem> {
    let (cause, denied) = match not_entered {
        NotEntered::Denied(cause) => (cause, true),
        NotEntered::Unreachable(cause) => (cause, false),
        NotEntered::UnusableRules(rules) => return Some(WalkItem::Closed(path, rules)),
        NotEntered::Absent | NotEntered::OutOfScope(_) => return None,
    };
    Some(WalkItem::Unread(UnreadDirectory {
        path,
        cause,
        denied,
    }))
}
