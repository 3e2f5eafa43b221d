//! Whether the kernel allows a watch on each directory.

use std::path::{Path, PathBuf};

use super::EnvironmentReport;
use crate::config::{Config, WatchMode};

/// The kernel's limit for one user.
const LIMIT: &str = "/proc/sys/fs/inotify/max_user_watches";

/// How many directories are counted at most.
const COUNTED_MAX: u64 = 2_000_000;

/// Compares the directories of the watched collections with the kernel's limit. Ignored directories count too, so it is an
/// upper bound.
pub(super) fn room(config: &Config, report: &mut EnvironmentReport) {
    let Some(limit) = limit(Path::new(LIMIT)) else {
        report.notes.push(format!(
            "cannot read {LIMIT}, so it is not known whether there are enough watches"
        ));
        return;
    };
    let watched = config
        .collections
        .iter()
        .filter(|collection| collection.watch != WatchMode::Poll);
    let needed = watched
        .map(|collection| directories(&collection.path))
        .sum();
    judge(needed, limit, report);
}

fn judge(needed: u64, limit: u64, report: &mut EnvironmentReport) {
    if needed > limit {
        let wanted = needed.saturating_mul(2).max(524_288);
        report.unmet(
            "watches",
            format!(
                "watches: the collections have {needed} directories, and one user may watch {limit} (fs.inotify.max_user_watches)"
            ),
            format!(
                "raise the limit as root: `echo fs.inotify.max_user_watches={wanted} > /etc/sysctl.d/docent.conf && sysctl --system`; \
                 until then docent scans them every [watch] poll"
            ),
        );
    }
}

fn limit(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How many directories a tree has, its root included. Links are not followed, and unreadable directories are empty.
fn directories(root: &Path) -> u64 {
    let mut count = 0;
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        count += 1;
        if count >= COUNTED_MAX {
            break;
        }
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        let inner = entries
            .flatten()
            .filter(|e| e.file_name() != ".git" && e.file_type().is_ok_and(|kind| kind.is_dir()));
        waiting.extend(inner.map(|entry| entry.path()));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_counted_without_gits_own_and_links() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/b", ".git/objects", "c"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        assert_eq!(directories(folder.path()), 4);
    }

    #[test]
    fn too_few_watches_are_told_with_the_line_that_allows_more() {
        let mut report = EnvironmentReport::default();
        judge(8192, 8192, &mut report);
        assert_eq!(report.unmet, []);
        judge(8193, 8192, &mut report);
        assert!(
            report.unmet[0]
                .remedy
                .contains("`echo fs.inotify.max_user_watches=524288 >")
        );
    }
}
