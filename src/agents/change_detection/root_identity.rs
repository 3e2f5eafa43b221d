//! Which directory a root is, and whether it is the one that the collection's files were taken from.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::beneath::{self, RootId};
use crate::store::KnownTree;

/// Why a root is held that has none of the known files.
pub(super) const ANOTHER_DEVICE: &str = "it is on another device than the directory that its files were taken from, and has none of them";

/// Why a root cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RootAway {
    pub(super) cause: String,
    /// Because docent may not open it.
    pub(super) denied: bool,
}

/// The directory that a root has to be, and what follows if it cannot be opened.
#[derive(Debug, Clone)]
pub(super) struct ExpectedRoot {
    pub(super) known: Option<KnownTree>,
    /// Its files count as removed while it cannot be opened.
    pub(super) let_go: bool,
}

/// How the directory at a root's path compares with the known one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RootMatch {
    /// It is the known one.
    Same,
    /// It is the known one if it has any of its files.
    Unsure,
    /// It is another one and must not be read, with the reason.
    Other(String),
}

/// Opens a root and identifies it.
pub(super) fn open(path: &Path) -> Result<(OwnedFd, RootId), RootAway> {
    let away = |error: std::io::Error| RootAway {
        denied: error.kind() == std::io::ErrorKind::PermissionDenied,
        cause: error.to_string(),
    };
    let root = beneath::open_root(path).map_err(away)?;
    let id = beneath::root_id(&root).map_err(|errno| away(errno.into()))?;
    Ok((root, id))
}

/// Whether the directory is the known one.
pub(super) fn is(known: &KnownTree, id: RootId) -> bool {
    let same_birth = known.born_ns == id.born_ns || known.born_ns == 0 || id.born_ns == 0;
    (known.device, known.inode) == (id.device, id.inode) && same_birth
}

/// Compares a directory with the known one. A restart or a mount may give a device another number, and an overlay makes
/// its directories anew; the inode and the files stay. A directory with another inode is never the same, whatever is in it:
/// whoever may replace a root may have put anything there.
pub(super) fn compare(known: &KnownTree, id: RootId) -> RootMatch {
    const ANOTHER: &str = "it is another directory than the one that its files were taken from; nothing of it is read";
    if is(known, id) {
        RootMatch::Same
    } else if known.inode == id.inode {
        RootMatch::Unsure
    } else if known.device != id.device {
        RootMatch::Other(format!("{ANOTHER} (it is on another device)"))
    } else {
        RootMatch::Other(ANOTHER.to_owned())
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
        let compared = |id| compare(&known, id);
        assert_eq!(compared(id(1, 2, 3)), RootMatch::Same);
        assert_eq!(compared(id(1, 2, 0)), RootMatch::Same, "it does not tell");
        assert_eq!(compared(id(9, 2, 3)), RootMatch::Unsure, "mounted");
        assert_eq!(compared(id(1, 2, 9)), RootMatch::Unsure, "made anew");
        assert!(matches!(compared(id(1, 9, 3)), RootMatch::Other(_)));
        assert!(matches!(compared(id(9, 9, 3)), RootMatch::Other(_)));
    }
}
