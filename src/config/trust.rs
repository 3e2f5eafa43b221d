//! Whether anybody else can replace what is at a path.
//!
//! What docent creates or opens to a group by its path must not be redirected. So every directory on the way, and on the way of
//! each link, must belong to this user or to the system, and nobody else may write to it. A sticky directory such as `/tmp` is
//! an exception: others may write to it, but cannot remove what is there.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// The most links on one path: as many as the kernel follows.
const LINKS: usize = 40;

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Why a path cannot be relied on.
#[derive(Debug, Error)]
pub(crate) enum Untrusted {
    /// Another user owns something on the way.
    #[error("{path} belongs to the user {uid}, who can replace it", path = .path.display())]
    Owner { path: PathBuf, uid: u32 },
    /// Another user may write to a directory on the way.
    #[error("users other than its owner may write to {path} (its mode is {mode:04o}), so they can replace what is in it", path = .path.display())]
    Writable { path: PathBuf, mode: u32 },
    /// Nothing is known of a part of the path.
    #[error("cannot read the owner and mode of {path}", path = .path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Untrusted {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> String {
        let us = rustix::process::geteuid().as_raw();
        match self {
            Untrusted::Owner { path, .. } => {
                format!("use another path, or run: chown {us} {}", path.display())
            }
            Untrusted::Writable { path, .. } => {
                format!("use another path, or run: chmod go-w {}", path.display())
            }
            Untrusted::Io { .. } => {
                "let this user enter the directory above it, or use another path".to_owned()
            }
        }
    }
}

/// Checks that nobody but this user and the system can replace `path` or a directory on the way to it. What does not exist yet
/// is for this user to make.
///
/// # Errors
/// The first thing on the way that another user can replace.
pub(crate) fn trusted(path: &Path) -> Result<(), Untrusted> {
    let system = status(Path::new("/"))?.uid();
    let owners = [0, system, rustix::process::geteuid().as_raw()];
    let mut at = PathBuf::from("/");
    let mut ahead = reversed(path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            // Links were resolved already.
            at.pop();
            continue;
        }
        let next = at.join(name);
        let found = match status(&next) {
            Ok(found) => found,
            // Whoever needs a directory there reports that it is none.
            Err(Untrusted::Io { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let uid = found.uid();
        if !owners.contains(&uid) {
            return Err(Untrusted::Owner { path: next, uid });
        }
        if found.is_symlink() {
            links += 1;
            let target = fs::read_link(&next);
            let target = target
                .and_then(|target| match links {
                    0..=LINKS => Ok(target),
                    _ => Err(rustix::io::Errno::LOOP.into()),
                })
                .map_err(|source| Untrusted::Io { path: next, source })?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            ahead.extend(reversed(&target));
            continue;
        }
        if found.is_dir() && writable_by_others(&found, &owners) {
            let mode = found.mode() & 0o7777;
            return Err(Untrusted::Writable { path: next, mode });
        }
        at = next;
    }
    Ok(())
}

fn status(path: &Path) -> Result<Metadata, Untrusted> {
    fs::symlink_metadata(path).map_err(|source| Untrusted::Io {
        path: path.to_owned(),
        source,
    })
}

/// The names on a path, last one first.
fn reversed(path: &Path) -> Vec<std::ffi::OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.rev().collect()
}

fn writable_by_others(directory: &Metadata, owners: &[u32]) -> bool {
    let mode = directory.mode();
    if mode & STICKY != 0 {
        return false;
    }
    mode & OTHERS_WRITE != 0
        || (mode & GROUP_WRITES != 0 && !Accounts::read().alone_in(directory.gid(), owners))
}

/// The accounts of this machine.
struct Accounts {
    users: String,
    groups: String,
}

impl Accounts {
    /// From the local files; if they cannot be read, no group is private.
    fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Accounts {
            users: read("/etc/passwd"),
            groups: read("/etc/group"),
        }
    }

    /// Whether nobody but `owners` is in a group, such as the one that many systems give each user.
    fn alone_in(&self, gid: u32, owners: &[u32]) -> bool {
        let number = |field: Option<&str>| field.and_then(|text| text.parse::<u32>().ok());
        let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let field = |line: &[String], n: usize| number(line.get(n).map(String::as_str));
        let mut groups = self.groups.lines().map(fields);
        let Some(group) = groups.find(|line| field(line, 2) == Some(gid)) else {
            return false;
        };
        let named = group.get(3).map_or("", String::as_str);
        let named: HashSet<&str> = named.split(',').filter(|name| !name.is_empty()).collect();
        let users: Vec<Vec<String>> = self.users.lines().map(fields).collect();
        let is_member = |user: &&Vec<String>| {
            field(user, 3) == Some(gid) || user.first().is_some_and(|n| named.contains(n.as_str()))
        };
        let known = |name: &&str| users.iter().any(|u| u.first().is_some_and(|n| n == name));
        let mut members = users.iter().filter(is_member);
        named.iter().all(known)
            && members.all(|user| field(user, 2).is_some_and(|uid| owners.contains(&uid)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_that_others_may_write_to_is_found_on_the_way_and_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        fs::create_dir_all(root.join("open/inner")).unwrap();
        fs::create_dir(root.join("shut")).unwrap();
        symlink("../open/inner", root.join("shut/link")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        assert!(trusted(&root.join("open/inner/not there")).is_ok());
        assert!(trusted(&root.join("shut/link/x")).is_ok());
        mode(&root.join("open"), 0o777).unwrap();
        for path in [
            "open",
            "open/x",
            "open/inner/x",
            "shut/link/x",
            "shut/../open/x",
        ] {
            let refused = trusted(&root.join(path));
            assert!(
                matches!(&refused, Err(Untrusted::Writable { path, mode: 0o777 }) if path.ends_with("open")),
                "{path}: {refused:?}"
            );
        }
        assert!(trusted(&root.join("shut/x")).is_ok());
        assert!(matches!(
            trusted(&root.join("loop/x")),
            Err(Untrusted::Io { .. })
        ));
        mode(&root.join("open"), 0o1777).unwrap();
        assert!(trusted(&root.join("open/x")).is_ok(), "it is sticky");
    }

    #[test]
    fn a_group_is_private_if_nobody_else_is_in_it() {
        let accounts = Accounts {
            users: "root:x:0:0:::\nalice:x:7:70:::\nbob:x:8:80:::\nson:x:9:90:::\n".to_owned(),
            groups:
                "root:x:0:\nalice:x:70:\nbob:x:80:alice\nteam:x:90:bob\nlost:x:99:nobody-knows\n"
                    .to_owned(),
        };
        let alone = |gid, us| accounts.alone_in(gid, &[0, us]);
        assert!(alone(70, 7) && alone(0, 7));
        assert!(!alone(80, 7), "bob's own, and alice is in it too");
        assert!(!alone(90, 8), "the group of a third user");
        assert!(!alone(99, 7) && !alone(12345, 7), "unknown");
    }
}
