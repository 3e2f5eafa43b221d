//! Roots: which directory each is known to be, and what follows when it is absent, closed or another one.
//!
//! The directory that the files of a collection were taken from is remembered in the store. What is found at its path
//! later is opened, compared with that, and read below the very same handle.

use std::os::fd::OwnedFd;
use std::path::Path;

use tokio::time::Instant;

use super::beneath::{self, RootId};
use super::captures::Landing;
use super::edge::Edge;
use super::look::Footing;
use super::{Halt, blocking};
use crate::runtime::RootStanding;
use crate::store::KnownTree;

/// Why a root is held whose files were on another device.
pub(super) const ANOTHER_DEVICE: &str = "it is on another device than the directory that its files were taken from, and has none of them";

const ANOTHER_DIRECTORY: &str =
    "it is another directory than the one that its files were taken from; nothing of it is read";

/// A root that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Away {
    pub(super) cause: String,
    /// Because docent may not.
    pub(super) denied: bool,
}

/// What to think of the directory at a root's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It is the known one.
    Trust,
    /// It is the known one if it has any of its files; the text says why that is not sure.
    Doubt(String),
    /// It is another one: it is not looked at.
    Hold(String),
}

/// Opens a root, and tells which directory that is.
pub(super) fn open(path: &Path) -> Result<(OwnedFd, RootId), Away> {
    let away = |error: std::io::Error| Away {
        denied: error.kind() == std::io::ErrorKind::PermissionDenied,
        cause: error.to_string(),
    };
    let root = beneath::open_root(path).map_err(away)?;
    let id = beneath::root_id(&root).map_err(|errno| away(errno.into()))?;
    Ok((root, id))
}

/// Whether the directory is the known one.
pub(super) fn is(known: &KnownTree, id: RootId) -> bool {
    let born = [known.born_ns, id.born_ns];
    (known.device, known.inode) == (id.device, id.inode)
        && (born[0] == born[1] || born.contains(&0))
}

/// What to think of a directory where another one may be known. A device gets another number by a restart or a mount,
/// and an overlay makes its directories anew; the inode stays, and so do the files. A directory with another inode is
/// never the same, whatever is in it: who may replace a root may have put anything there.
pub(super) fn rule(known: &KnownTree, id: RootId) -> Ruling {
    if is(known, id) {
        Ruling::Trust
    } else if known.device != id.device && known.inode == id.inode {
        Ruling::Doubt(ANOTHER_DEVICE.to_owned())
    } else if known.inode == id.inode {
        Ruling::Doubt(ANOTHER_DIRECTORY.to_owned())
    } else if known.device != id.device {
        Ruling::Hold(format!("{ANOTHER_DIRECTORY} (it is on another device)"))
    } else {
        Ruling::Hold(ANOTHER_DIRECTORY.to_owned())
    }
}

impl Edge {
    /// What each root is known to be, for those who look.
    pub(super) fn footings(&self) -> Vec<Footing> {
        let footing = |root: &super::edge::RootState| Footing {
            known: root.known.clone(),
            let_go: root.let_go,
        };
        self.roots.iter().map(footing).collect()
    }

    /// The root is this directory from now on. What was read by other rules than those of now is read again.
    pub(super) fn adopt(&mut self, tree: usize, id: RootId) {
        let own = &self.means.trees[tree];
        let path = own.root.as_os_str().as_encoded_bytes();
        let root = &mut self.roots[tree];
        let before = root.known.take();
        let same = before
            .as_ref()
            .is_some_and(|known| is(known, id) && known.path == path);
        let judged_by = before.map(|known| known.judged_by).unwrap_or_default();
        root.anew = judged_by != own.judged_by;
        root.unsaved |= !same;
        root.known = Some(KnownTree {
            path: path.to_owned(),
            device: id.device,
            inode: id.inode,
            born_ns: id.born_ns,
            judged_by,
        });
        let was_held = root.held.take().is_some();
        root.let_go = false;
        if root.absent.take().is_some() || was_held {
            tracing::info!(collection = own.name, "the root is back");
        }
    }

    /// Hands over what roots are known to be that is not in the store yet: before anything that is read below them.
    pub(super) async fn save_roots(&mut self) -> Result<(), Halt> {
        let paused = |pause: &super::edge::Pause| pause.until > Instant::now();
        if self.pause.as_ref().is_some_and(paused) {
            return Ok(());
        }
        for tree in 0..self.roots.len() {
            let root = &mut self.roots[tree];
            let Some(known) = root.known.as_ref().filter(|_| root.unsaved) else {
                continue;
            };
            let effect = known.effect(&self.means.trees[tree].name);
            root.unsaved = false;
            let submitted = self.submit(vec![effect], Vec::new()).await?;
            self.flights.push(Box::pin(async move {
                Landing::Root {
                    tree,
                    result: submitted.committed().await,
                }
            }));
        }
        Ok(())
    }

    /// Sees that a root has come, has gone, or is another directory than before.
    pub(super) async fn check_roots(&mut self) -> Result<(), Halt> {
        let trees = self.means.trees.clone();
        let found: Vec<Option<Result<RootId, Away>>> =
            blocking(&self.means.compute, &self.means.pulse, move |pulse| {
                let look = |root: &Path| {
                    pulse.beat();
                    open(root).map(|(_, id)| id)
                };
                let roots = trees.iter().map(|t| t.scope.as_ref().map(|_| &t.root));
                roots.map(|root| root.map(|root| look(root))).collect()
            })
            .await?;
        for (tree, found) in found.into_iter().enumerate() {
            let root = &self.roots[tree];
            let right = |id| root.known.as_ref().is_some_and(|known| is(known, id));
            let changed = match found {
                Some(Err(away)) => self.root_is_away(tree, away),
                // One that is not known at all waits for the scan of the start.
                Some(Ok(_)) if root.known.is_none() => root.absent.is_some(),
                Some(Ok(id)) if right(id) => root.absent.is_some() || root.held.is_some(),
                Some(Ok(_)) => root.held.is_none(),
                None => false,
            };
            if changed {
                self.walk_all(tree);
            }
        }
        Ok(())
    }

    /// Takes note that a root cannot be opened: nothing is concluded from that about its files, unless docent may not
    /// read them any more. Whether that is news.
    pub(super) fn root_is_away(&mut self, tree: usize, away: Away) -> bool {
        let root = &mut self.roots[tree];
        let news = root.absent.as_ref().map(|before| before.denied) != Some(away.denied);
        if news {
            let Away { cause, denied } = &away;
            let own = &self.means.trees[tree];
            let path = own.root.display();
            if *denied {
                tracing::warn!(collection = own.name, root = %path, cause, "docent may not open the root any more; its files are not searchable until it may");
            } else {
                tracing::warn!(collection = own.name, root = %path, cause, "the root cannot be opened; its files stay as they are known");
                // The walk when it is back finds what is marked now.
                self.marks.clear(tree);
            }
        }
        root.held = None;
        root.absent = Some(away);
        news
    }

    /// Takes note that another directory is at a root's place: nothing of it is read, and nothing is taken for removed.
    pub(super) fn hold(&mut self, tree: usize, why: String) {
        self.marks.clear(tree);
        let root = &mut self.roots[tree];
        root.absent = None;
        root.let_go = false;
        if root.held.replace(why.clone()).is_none() {
            let own = &self.means.trees[tree];
            let name = &own.name;
            tracing::warn!(
                collection = name,
                root = %own.root.display(),
                why,
                "the root is held: put the directory back that was there, or take the one that is there now with: docent scan {name} --accept-removals"
            );
        }
    }

    /// How a root stands.
    pub(super) fn standing(&self, tree: usize) -> RootStanding {
        let root = &self.roots[tree];
        match (&root.absent, &root.held) {
            (Some(away), _) if !root.kept => RootStanding::LetGo(away.cause.clone()),
            (Some(away), _) if away.denied => RootStanding::Denied(away.cause.clone()),
            (Some(away), _) => RootStanding::Absent(away.cause.clone()),
            (None, Some(why)) => RootStanding::RemovalsHeld(why.clone()),
            (None, None) => RootStanding::There,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_known_by_device_inode_and_birth() {
        let id = |device, inode, born_ns| RootId {
            device,
            inode,
            born_ns,
        };
        let known = KnownTree {
            path: b"/docs".to_vec(),
            device: 1,
            inode: 2,
            born_ns: 3,
            judged_by: String::new(),
        };
        let ruled = |id| rule(&known, id);
        assert_eq!(ruled(id(1, 2, 3)), Ruling::Trust);
        assert_eq!(ruled(id(1, 2, 0)), Ruling::Trust, "it does not tell");
        assert!(matches!(ruled(id(9, 2, 3)), Ruling::Doubt(_)), "mounted");
        assert!(matches!(ruled(id(1, 2, 9)), Ruling::Doubt(_)), "made anew");
        assert!(matches!(ruled(id(1, 9, 3)), Ruling::Hold(_)));
        assert!(matches!(ruled(id(9, 9, 3)), Ruling::Hold(_)));
    }
}
