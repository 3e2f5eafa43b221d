//! From the kernel's notifications to the queue of changed paths.

use std::path::Path;

use tokio::time::Instant;

use super::changed_paths::{Change, ChangePriority, ChangedPaths, TreePath};
use super::context::AgentContext;
use super::paths;
use super::scope::{DOCENT_IGNORE, GIT_IGNORE};
use super::tree::Tree;

/// Queues what is notified.
pub(super) struct Notifications {
    context: AgentContext,
    queue: ChangedPaths,
    /// How often notifications were lost.
    lost: u64,
}

impl Notifications {
    pub(super) fn new(context: AgentContext, queue: ChangedPaths) -> Self {
        let lost = 0;
        Notifications {
            context,
            queue,
            lost,
        }
    }

    /// Queues what was notified since the last call, for the marker `next` to wait for. Gives whether notifications were
    /// lost, and the last marker that was notified.
    pub(super) fn take(&mut self, next: u64, now: Instant) -> (bool, Option<u64>) {
        let notified = self.context.watches.take();
        for path in &notified.paths {
            for path in changed_paths(&self.context.trees, path) {
                // Somebody may still be writing.
                let debounce = self.context.options.debounce;
                let change = Change::new(ChangePriority::Watch, now, debounce);
                self.queue.add(path, change.before(Some(next)));
            }
        }
        if let Some(cause) = &notified.lost {
            self.lost += 1;
            let count = self.lost;
            tracing::warn!(cause, count, "notifications were lost; a full scan follows");
        }
        (notified.lost.is_some(), notified.marker)
    }
}

/// The paths to read because something happened at `notified`.
fn changed_paths(trees: &[Tree], notified: &Path) -> Vec<TreePath> {
    let mut changed = Vec::new();
    for (tree, own) in trees.iter().enumerate() {
        let Some(scope) = &own.scope else {
            continue;
        };
        if let Ok(relative) = notified.strip_prefix(&own.root) {
            let path = relative.as_os_str().as_encoded_bytes();
            let paths = in_tree(path, scope.git());
            changed.extend(paths.map(|path| TreePath::new(tree, path)));
        } else if own.root.starts_with(notified) {
            // A folder around the root: if it was moved away and back, the watches below it are gone.
            changed.push(TreePath::new(tree, b""));
        }
    }
    changed
}

/// The path itself, and the directory that it is about: one of ignore rules, or a repository.
fn in_tree(path: &[u8], git: bool) -> impl Iterator<Item = &[u8]> {
    let is_git = |name: &[u8]| name == b".git";
    let name = paths::name_of(path);
    let [own, directory] = if path.split(|b| *b == b'/').any(is_git) {
        // Whether a repository is there decides whose rules apply in its directory.
        [None, (git && is_git(name)).then(|| paths::parent_of(path))]
    } else {
        let rules = name == DOCENT_IGNORE || (git && name == GIT_IGNORE);
        [Some(path), rules.then(|| paths::parent_of(path))]
    };
    own.into_iter().chain(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_rules_changes_its_directory_too() {
        let changed = |path: &'static str, git| -> Vec<&str> {
            let paths = in_tree(path.as_bytes(), git);
            paths.map(|p| std::str::from_utf8(p).unwrap()).collect()
        };
        assert_eq!(changed("a/b.md", true), ["a/b.md"]);
        assert_eq!(changed("a/.gitignore", true), ["a/.gitignore", "a"]);
        assert_eq!(changed("a/.gitignore", false), ["a/.gitignore"]);
        assert_eq!(changed(".docentignore", false), [".docentignore", ""]);
        assert_eq!(changed("a/.git", true), ["a"]);
        assert_eq!(changed(".git", true), [""]);
        assert_eq!(changed(".git/HEAD", true), [""; 0]);
        assert_eq!(changed("a/.git", false), [""; 0]);
    }
}
