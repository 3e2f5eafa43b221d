//! Files with a secret.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// The mode of a file with a secret that others can read. One that root hands over may name docent by its group.
pub(super) fn readable_by_others(file: &Path) -> Option<u32> {
    // A file that this user cannot see is found by the daemon, which needs it.
    let found = std::fs::metadata(file).ok().filter(Metadata::is_file)?;
    let mode = found.permissions().mode() & 0o777;
    let spared = if found.uid() == 0 { 0o007 } else { 0o077 };
    Some(mode).filter(|mode| mode & spared != 0)
}
