//! What a walk finds out about its root.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::paths;

/// Directories and files of a collection that cannot be read whose names are kept, of each kind.
pub(super) const UNREAD_MAX: usize = 1000;

/// What a walk found out about its root.
#[derive(Debug)]
pub(super) struct WalkFindings {
    /// The directory that was walked; empty: everything.
    pub(super) base: Vec<u8>,
    pub(super) began: Instant,
    /// Why changes in a part of it will not be notified.
    pub(super) unwatched: Option<String>,
    /// Directories that could not be read; a bounded number of them.
    pub(super) unread: BTreeSet<Vec<u8>>,
    /// Directories whose rules cannot be used; a bounded number of them.
    pub(super) closed: BTreeSet<Vec<u8>>,
    /// Files may be left that nothing is known of.
    pub(super) hidden: bool,
}

impl WalkFindings {
    /// Whether the walk found that the rules of a directory can be used, which was found closed at a moment. A walk that
    /// may have passed it before that moment has not found that.
    pub(super) fn has_opened(&self, path: &[u8], closed: Instant) -> bool {
        closed < self.began && !self.closed.contains(path) && self.has_read(path)
    }

    /// Whether the walk read a directory, or found that there is none.
    pub(super) fn has_read(&self, path: &[u8]) -> bool {
        let is_in = |directory: &Vec<u8>| {
            path == directory.as_slice() || path.starts_with(&paths::below(directory))
        };
        is_in(&self.base) && !self.unread.iter().any(is_in)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_walk_that_came_to_a_directory_later_finds_that_its_rules_can_be_used() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let findings = || WalkFindings {
            base: b"a".to_vec(),
            began,
            unwatched: None,
            unread: BTreeSet::new(),
            closed: BTreeSet::new(),
            hidden: false,
        };
        assert!(findings().has_opened(b"a", began - second));
        assert!(findings().has_opened(b"a/b", began - second));
        assert!(!findings().has_opened(b"ab", began - second), "elsewhere");
        let passed_before = began + second;
        assert!(!findings().has_opened(b"a/b", passed_before));
        let mut still_closed = findings();
        still_closed.closed.insert(b"a/b".to_vec());
        assert!(!still_closed.has_opened(b"a/b", began - second));
        for unread in ["a", "a/b"] {
            let mut not_entered = findings();
            not_entered.unread.insert(unread.as_bytes().to_vec());
            assert!(!not_entered.has_opened(b"a/b", began - second), "{unread}");
        }
    }
}
