//! Space on a disk.

use std::io;
use std::path::Path;

/// Bytes that this process may still write on the file system of `path`.
///
/// # Errors
/// There is no such path, or its file system does not tell.
pub(crate) fn free_space(path: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(path)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_space_of_a_folder_is_known_and_of_none_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_space(folder.path()).unwrap() > 0);
        assert!(free_space(&folder.path().join("none")).is_err());
    }
}
