//! Paths below a root as exact bytes; the empty one is the root itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The last name of a path.
pub(super) fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// The directory that a path is in; empty for the root.
pub(super) fn parent_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    &path[..slash]
}

/// The path of `name` in `directory`.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The bytes of a path as a path.
pub(super) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// What every path below a directory begins with.
pub(super) fn below(directory: &[u8]) -> Vec<u8> {
    match directory {
        [] => Vec::new(),
        path => [path, b"/"].concat(),
    }
}

/// Whether a path leads down from a root and nowhere else.
pub(super) fn is_relative(path: &[u8]) -> bool {
    let plain = |name: &[u8]| !name.is_empty() && name != b"." && name != b"..";
    !path.contains(&0) && path.split(|b| *b == b'/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_and_put_together() {
        for (path, parent, name) in [
            ("a", "", "a"),
            ("a/b", "a", "b"),
            ("a/b/c.md", "a/b", "c.md"),
        ] {
            assert_eq!(parent_of(path.as_bytes()), parent.as_bytes());
            assert_eq!(name_of(path.as_bytes()), name.as_bytes());
            assert_eq!(join(parent.as_bytes(), name.as_bytes()), path.as_bytes());
        }
        assert_eq!((below(b""), below(b"a")), (b"".to_vec(), b"a/".to_vec()));
    }

    #[test]
    fn only_a_path_that_leads_down_is_relative() {
        assert!(is_relative(b"a/..b/.c"));
        for path in ["", "/a", "a//b", "a/", "../a", "a/./b", "a/..", "a\0b"] {
            assert!(!is_relative(path.as_bytes()), "{path}");
        }
    }
}
