//! A file system that is small, and can be filled.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small tmpfs, unmounted when dropped.
pub(crate) struct Small(PathBuf);

impl Small {
    pub(crate) fn mount(at: &Path, size: &str) -> Self {
        fs::create_dir_all(at).expect("the mount point");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status();
        assert!(
            mounted.expect("mount runs").success(),
            "cannot mount a tmpfs; run this as root"
        );
        Small(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a daemon that is being killed may still have files open there.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Fills the file system that `file` is on.
pub(crate) fn fill(file: &Path) {
    let mut ballast = fs::File::create(file).expect("the ballast");
    let block = vec![0u8; 64 * 1024];
    while ballast.write_all(&block).is_ok() {}
    while ballast.write_all(&[0]).is_ok() {}
}
