//! Notices every change in the watched trees, and commits bytes, manifest row and event together.
//!
//! A saved file goes down this way:
//!
//! 1. `watch`: the kernel notifies a path. `notifications` turns it into changed paths of the collections.
//! 2. `changed_paths`: the path waits until it is due.
//! 3. `capture_loop`: the one loop takes a batch of paths (`capture_loop/capture`); it alone calls all that follow.
//! 4. `reader`: opens the directories below the root and takes a `snapshot` of each path. `scope` decides which files
//!    are in scope, by `rules` and `git`; `classifier` decides which of them are read.
//! 5. `decision`: pure; compares the snapshot with the manifest row and decides what is to be done.
//! 6. `submitter`: hands the transaction to the store and waits for its commit.
//!
//! Who waits for what he changed makes a marker among the notifications (`markers`), and what was noticed before it is
//! captured at once.
//!
//! Scans take no other way: `scanner` orders `surveys`; a `survey` compares a `walk` of the tree with the manifest and
//! queues the paths that differ. `roots` holds the state of every root, `unreadable` what in it cannot be read.
//!
//! What is always true:
//!
//! - A notification says which path to read, and nothing else. The file system decides when the path is read.
//! - A file is read once, below its root, through directory handles that follow no link.
//! - A scan ends when every file that it saw is captured or reported.
//! - An absent root says nothing about its files. Another directory in its place is not read until it is accepted.
//! - Files that docent may no longer read leave search. After any other error their documents are kept.
//! - A file that holds a secret is listed and never stored.
//! - Two transactions of one path are never in flight at once.

mod agent;
mod beneath;
mod capture_loop;
mod changed_paths;
mod classifier;
mod collection;
mod context;
mod decision;
mod findings;
mod git;
mod manifest_rows;
mod markers;
mod notifications;
mod options;
mod own_files;
mod paths;
mod pulse;
mod reader;
mod root_identity;
mod roots;
mod rules;
mod scanner;
mod scope;
mod snapshot;
mod space;
mod submitter;
mod survey;
mod surveys;
mod tree;
mod unreadable;
mod walk;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use agent::ChangeDetection;
pub(crate) use collection::{Collection, WatchMode};
pub(crate) use options::WatchOptions;
