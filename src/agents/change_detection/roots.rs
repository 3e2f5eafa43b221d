//! The state of every root: which directory it is, whether it can be read, and when it was walked.
//!
//! The directory that the files of a collection were taken from is remembered in the store. An absent root says nothing
//! about its files, and another directory at its path is not read until somebody accepts it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::beneath::RootId;
use super::changed_paths::ChangedPaths;
use super::collection::WatchMode;
use super::context::AgentContext;
use super::findings::WalkFindings;
use super::pulse::Halt;
use super::root_identity::{self, ExpectedRoot, RootAway};
use super::tree::Tree;
use super::unreadable::Unreadable;
use super::walk::UnreadDirectory;
use crate::event::Millis;
use crate::runtime::{RootReport, RootState};
use crate::store::{Effect, KnownTree};

/// Whether a root can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Presence {
    /// It can, or nobody has tried yet.
    There,
    Away(RootAway),
    /// Another directory is at its path and left alone, with the reason.
    Held(String),
}

#[derive(Debug)]
struct Root {
    /// The directory that the manifest's files are from, once that is certain.
    known: Option<KnownTree>,
    /// `known` is not in the store yet.
    unsaved: bool,
    presence: Presence,
    /// The manifest has files of it.
    has_files: bool,
    /// While it is away its files count as removed: somebody accepted that.
    let_go: bool,
    /// The next walk of everything takes the root as it is.
    accept: bool,
    /// Every file is to be read again: the rules that make a file a secret have changed.
    reread: bool,
    /// Why not all changes are notified: it is scanned often.
    unwatched: Option<String>,
    /// When the last walk of all of it began that has ended.
    walked: Option<(Instant, Millis)>,
    /// What in it cannot be read.
    unreadable: Unreadable,
    /// Files that the walks of the running scan have seen.
    seen: u64,
}

/// All roots, by the index of their tree.
#[derive(Debug)]
pub(super) struct Roots {
    trees: Arc<Vec<Tree>>,
    /// How often a root is scanned whose changes are not notified.
    poll: Duration,
    roots: Vec<Root>,
}

impl Roots {
    /// `known`: what the store remembers of each tree's root.
    pub(super) fn new(
        trees: Arc<Vec<Tree>>,
        poll: Duration,
        known: Vec<Option<KnownTree>>,
    ) -> Self {
        let root = |known| Root {
            known,
            unsaved: false,
            presence: Presence::There,
            has_files: true,
            let_go: false,
            accept: false,
            reread: false,
            unwatched: None,
            walked: None,
            unreadable: Unreadable::default(),
            seen: 0,
        };
        Roots {
            trees,
            poll,
            roots: known.into_iter().map(root).collect(),
        }
    }

    /// The directory that the manifest's files are from.
    pub(super) fn known(&self, tree: usize) -> Option<KnownTree> {
        self.roots[tree].known.clone()
    }

    /// What each root has to be.
    pub(super) fn expected(&self) -> Vec<ExpectedRoot> {
        let expected = |root: &Root| ExpectedRoot {
            known: root.known.clone(),
            let_go: root.let_go,
        };
        self.roots.iter().map(expected).collect()
    }

    pub(super) fn is_held(&self, tree: usize) -> bool {
        matches!(self.roots[tree].presence, Presence::Held(_))
    }

    /// Whether the root has to be scanned often.
    pub(super) fn needs_poll(&self, tree: usize) -> bool {
        self.roots[tree].unwatched.is_some() || self.is_held(tree)
    }

    /// Whether somebody who waits has the root walked now: its changes are not notified, and the last walk is older than
    /// this.
    pub(super) fn needs_walk(&self, tree: usize, older: Duration) -> bool {
        let walked = self.roots[tree].walked;
        self.needs_poll(tree) && walked.is_none_or(|(began, _)| began.elapsed() >= older)
    }

    /// The next walk of everything takes the root as it is: somebody accepted its removals.
    pub(super) fn accept(&mut self, tree: usize) {
        self.roots[tree].accept = true;
    }

    pub(super) fn take_accept(&mut self, tree: usize) -> bool {
        std::mem::take(&mut self.roots[tree].accept)
    }

    /// The root is this directory from now on. Files that were read by other rules are read again.
    pub(super) fn adopt(&mut self, tree: usize, id: RootId) {
        let own = &self.trees[tree];
        let path = own.root.as_os_str().as_encoded_bytes();
        let root = &mut self.roots[tree];
        let before = root.known.take();
        let same = before
            .as_ref()
            .is_some_and(|known| root_identity::is(known, id) && known.path == path);
        let judged_by = before.map(|known| known.judged_by).unwrap_or_default();
        root.reread = judged_by != own.judged_by;
        root.unsaved |= !same;
        root.known = Some(KnownTree {
            path: path.to_owned(),
            device: id.device,
            inode: id.inode,
            born_ns: id.born_ns,
            judged_by,
        });
        root.let_go = false;
        if std::mem::replace(&mut root.presence, Presence::There) != Presence::There {
            tracing::info!(collection = own.name, "the root is back");
        }
    }

    /// The root cannot be opened. Only if docent may not open it, that says something about its files. Gives whether this
    /// is news.
    pub(super) fn set_away(&mut self, tree: usize, away: RootAway, queue: &ChangedPaths) -> bool {
        let root = &mut self.roots[tree];
        let news = !matches!(&root.presence, Presence::Away(a) if a.denied == away.denied);
        if news {
            let (own, cause) = (&self.trees[tree], &away.cause);
            let then = match away.denied {
                true => "its files are not searchable until docent may open it",
                false => "its documents are kept",
            };
            tracing::warn!(
                collection = own.name,
                root = %own.root.display(),
                cause,
                "the root cannot be opened; {then}"
            );
            if !away.denied {
                // The walk after its return finds these changes.
                queue.clear(tree);
            }
        }
        root.presence = Presence::Away(away);
        news
    }

    /// The manifest has files of a root that is away, or has none. `accept`: they count as removed. Gives whether the rows
    /// of its files have to be checked.
    pub(super) fn files_while_away(&mut self, tree: usize, has_files: bool, accept: bool) -> bool {
        let root = &mut self.roots[tree];
        root.has_files = has_files;
        root.let_go |= accept;
        let denied = matches!(&root.presence, Presence::Away(away) if away.denied);
        (denied || root.let_go) && has_files
    }

    /// All rows of a root that is away were checked.
    pub(super) fn rows_checked(&mut self, tree: usize) {
        let root = &mut self.roots[tree];
        root.has_files &= !root.let_go;
    }

    /// Another directory is at the root's path: it is not read, and no file counts as removed.
    pub(super) fn hold(&mut self, tree: usize, why: String, queue: &ChangedPaths) {
        queue.clear(tree);
        let root = &mut self.roots[tree];
        root.let_go = false;
        if !matches!(root.presence, Presence::Held(_)) {
            let own = &self.trees[tree];
            let name = &own.name;
            tracing::warn!(
                collection = name,
                root = %own.root.display(),
                why,
                "the root is held: put the original directory back, or accept the one that is there now with: docent scan {name} --accept-removals"
            );
        }
        root.presence = Presence::Held(why);
    }

    /// Finds roots that have come, gone, or been replaced by another directory. Gives those that have to be walked.
    pub(super) async fn check(
        &mut self,
        context: &AgentContext,
        queue: &ChangedPaths,
    ) -> Result<Vec<usize>, Halt> {
        let trees = self.trees.clone();
        let found = context.blocking(move |pulse| {
            let in_config = trees.iter().enumerate().filter(|(_, t)| t.scope.is_some());
            let open = in_config.map(|(tree, own)| {
                pulse.beat();
                (tree, root_identity::open(&own.root).map(|(_, id)| id))
            });
            open.collect::<Vec<_>>()
        });
        let mut to_walk = Vec::new();
        for (tree, found) in found.await? {
            let root = &self.roots[tree];
            let away = matches!(root.presence, Presence::Away(_));
            let changed = match (found, &root.known) {
                (Err(away), _) => self.set_away(tree, away, queue),
                // A root that is not known yet waits for the scan of the start.
                (Ok(_), None) => away,
                (Ok(id), Some(known)) if root_identity::is(known, id) => away || self.is_held(tree),
                (Ok(_), Some(_)) => !self.is_held(tree),
            };
            to_walk.extend(changed.then_some(tree));
        }
        Ok(to_walk)
    }

    /// What is to be remembered of the roots and was not submitted yet.
    pub(super) fn take_unsaved(&mut self) -> Vec<(usize, Effect)> {
        let roots = self.roots.iter_mut().enumerate();
        let unsaved = roots.filter_map(|(tree, root)| {
            let known = root.known.as_ref().filter(|_| root.unsaved)?;
            root.unsaved = false;
            Some((tree, Effect::known_tree(&self.trees[tree].name, known)))
        });
        unsaved.collect()
    }

    /// What was submitted for a root could not be written.
    pub(super) fn set_unsaved(&mut self, tree: usize) {
        self.roots[tree].unsaved = true;
    }

    /// A walk of the running scan saw files.
    pub(super) fn add_seen(&mut self, tree: usize, files: u64) {
        self.roots[tree].seen += files;
    }

    pub(super) fn reset_seen(&mut self, tree: usize) {
        self.roots[tree].seen = 0;
    }

    pub(super) fn seen(&self, tree: usize) -> u64 {
        self.roots[tree].seen
    }

    pub(super) fn all_seen(&self) -> u64 {
        self.roots.iter().map(|r| r.seen).sum()
    }

    /// Whether every file of the root is to be read again.
    pub(super) fn needs_reread(&self, tree: usize) -> bool {
        self.roots[tree].reread
    }

    /// What the root is known as once a scan of everything has read all its files again; `None`: it had not to, or could
    /// not.
    pub(super) fn reread(&self, tree: usize) -> Option<KnownTree> {
        let root = &self.roots[tree];
        let readable = root.presence == Presence::There && !root.unreadable.is_hidden();
        let known = root.known.clone().filter(|_| readable && root.reread)?;
        let judged_by = self.trees[tree].judged_by.clone();
        Some(KnownTree { judged_by, ..known })
    }

    /// That is in the store.
    pub(super) fn set_reread(&mut self, tree: usize, known: KnownTree) {
        self.roots[tree].known = Some(known);
        self.roots[tree].reread = false;
    }

    /// A file could not be read though docent may read it.
    pub(super) fn file_failed(&mut self, tree: usize, path: &[u8], error: &str) {
        let own = &self.trees[tree];
        self.roots[tree].unreadable.file_failed(own, path, error);
    }

    pub(super) fn file_did_not_fail(&mut self, tree: usize, path: &[u8]) {
        self.roots[tree].unreadable.file_did_not_fail(path);
    }

    /// A walk could not read a directory.
    pub(super) fn directory_unread(&mut self, tree: usize, directory: &UnreadDirectory) {
        let own = &self.trees[tree];
        self.roots[tree].unreadable.directory_unread(own, directory);
    }

    /// A walk found that the rules of a directory cannot be used.
    pub(super) fn directory_closed(&mut self, tree: usize, path: &[u8], cause: &str) {
        let own = &self.trees[tree];
        self.roots[tree]
            .unreadable
            .directory_closed(own, path, cause);
    }

    /// A walk has ended.
    pub(super) fn walked(&mut self, tree: usize, findings: WalkFindings) {
        let root = &mut self.roots[tree];
        let own = &self.trees[tree];
        if let Some(cause) = &findings.unwatched
            && root.unwatched.is_none()
            && own.watch != WatchMode::Poll
        {
            tracing::warn!(collection = own.name, cause, every = ?self.poll, "not all changes are notified; the collection is scanned often instead");
        }
        root.unreadable.walked(own, &findings);
        let whole = findings.base.is_empty();
        if whole || findings.unwatched.is_some() {
            root.unwatched = findings.unwatched;
        }
        if whole {
            let took = i64::try_from(findings.began.elapsed().as_millis()).unwrap_or(i64::MAX);
            let began = Millis(Millis::now().0.saturating_sub(took));
            root.walked = Some((findings.began, began));
        }
    }

    /// How the roots of the config's collections are.
    pub(super) fn report(&self) -> Vec<RootReport> {
        let roots = self.trees.iter().zip(&self.roots);
        let roots = roots.filter(|(own, _)| own.scope.is_some());
        let report = |(own, root): (&Tree, &Root)| RootReport {
            collection: own.name.clone(),
            path: own.root.clone(),
            state: root.state(),
            polled: root.unwatched.clone(),
            walked_at: root.walked.map(|(_, began)| began),
            unlisted: root.unreadable.paths(&own.root),
            shut: root.unreadable.causes_of_closed(),
        };
        roots.map(report).collect()
    }
}

impl Root {
    fn state(&self) -> RootState {
        match &self.presence {
            Presence::There => RootState::There,
            Presence::Held(why) => RootState::RemovalsHeld(why.clone()),
            Presence::Away(away) if !self.has_files => RootState::LetGo(away.cause.clone()),
            Presence::Away(away) if away.denied => RootState::Denied(away.cause.clone()),
            Presence::Away(away) => RootState::Absent(away.cause.clone()),
        }
    }
}
