//! Which files of a collection are in scope: git's ignore rules, `.docentignore`, include and exclude patterns, secrets.
//!
//! A scan and a look at a single path go through the same two doors, [`Scope::enter`] and [`Scope::file`], so that they
//! decide alike. Rules are read from disk each time a directory is entered; nothing is remembered that could be stale.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::io::Errno;
use thiserror::Error;

use super::Collection;
use super::beneath::{self, Id};
use super::paths::{as_path, name_of};

/// The names of the files that hold ignore rules.
pub(super) const GIT_IGNORE: &[u8] = b".gitignore";
pub(super) const DOCENT_IGNORE: &[u8] = b".docentignore";

/// The largest file of ignore rules that is taken seriously, in bytes.
const RULES_SIZE_MAX: u64 = 1024 * 1024;

/// Directories below each other, at most: each holds a handle while the ones below it are looked at.
const DEPTH_MAX: usize = 128;

/// A pattern of the config that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("cannot use the pattern `{pattern}` of {place}: {cause}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// Where it stands: `include`, `exclude` or `secrets`.
    pub place: &'static str,
    /// What is wrong with it.
    pub cause: String,
}

/// Why something is out of scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    /// Git's rules or a `.docentignore` say so.
    Ignored,
    /// The config says so.
    Excluded,
}

/// Why a directory cannot be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closed {
    /// The rules leave it out, and all below it.
    Out(Out),
    /// It is not there, or is no directory.
    Absent,
    /// It cannot be looked at.
    Unreachable(String),
}

/// The rules of one directory and of those above it.
#[derive(Debug)]
struct Rules {
    above: Option<Arc<Rules>>,
    /// The length of the directory's path with the slash after it: what is cut off before a path is matched.
    prefix: usize,
    docent: Gitignore,
    git: Gitignore,
    /// `.git/info/exclude`.
    exclude: Gitignore,
}

/// A directory that was entered: its handle, and the rules for what is in it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) handle: OwnedFd,
    rules: Arc<Rules>,
    depth: usize,
}

/// The rules of a collection that the config gives.
#[derive(Debug)]
pub(super) struct Scope {
    include: Option<Gitignore>,
    exclude: Gitignore,
    secrets: Gitignore,
    git: bool,
    /// The daemon's own files.
    data_dir: Option<Id>,
}

impl Scope {
    /// The scope of `collection`; `data_dir` is never in it.
    pub(super) fn new(
        collection: &Collection,
        secrets: &[String],
        data_dir: Option<Id>,
    ) -> Result<Self, PatternError> {
        let include = match collection.include.as_slice() {
            [] => None,
            patterns => Some(matcher(patterns, "include", false)?),
        };
        Ok(Scope {
            include,
            exclude: matcher(&collection.exclude, "exclude", false)?,
            secrets: matcher(secrets, "secrets", true)?,
            git: collection.git,
            data_dir,
        })
    }

    /// Enters the root.
    pub(super) fn enter_root(&self, handle: OwnedFd) -> Result<Folder, Closed> {
        self.admit(handle, b"", None)
    }

    /// Enters the directory at `path`, which is in `above`.
    pub(super) fn enter(&self, above: &Folder, path: &[u8]) -> Result<Folder, Closed> {
        let name = name_of(path);
        if name == b".git" {
            return Err(Closed::Out(Out::Ignored));
        }
        if let Some(out) = self.patterns(&above.rules, path, true) {
            return Err(Closed::Out(out));
        }
        match beneath::open_directory(&above.handle, name) {
            Ok(handle) => self.admit(handle, path, Some(above)),
            Err(errno) => Err(closed(errno)),
        }
    }

    /// Whether the file at `path`, which is in `folder`, is out of scope.
    pub(super) fn file(&self, folder: &Folder, path: &[u8]) -> Option<Out> {
        let name = name_of(path);
        if name == b".git" {
            return Some(Out::Ignored);
        }
        if self.secrets.matched(as_path(name), false).is_ignore() {
            return Some(Out::Excluded);
        }
        self.patterns(&folder.rules, path, false)
            .or_else(|| (!self.is_included(path)).then_some(Out::Excluded))
    }

    /// Whether git's ignore rules count here.
    pub(super) fn git(&self) -> bool {
        self.git
    }

    fn admit(
        &self,
        handle: OwnedFd,
        path: &[u8],
        above: Option<&Folder>,
    ) -> Result<Folder, Closed> {
        let depth = above.map_or(0, |a| a.depth + 1);
        if depth > DEPTH_MAX {
            let cause = format!("it lies deeper than {DEPTH_MAX} directories");
            return Err(Closed::Unreachable(cause));
        }
        if Some(beneath::id(&handle).map_err(closed)?) == self.data_dir {
            return Err(Closed::Out(Out::Excluded));
        }
        let rules = self.rules(&handle, path, above.map(|a| a.rules.clone()))?;
        Ok(Folder {
            handle,
            rules,
            depth,
        })
    }

    /// The rules in force in the directory at `path`.
    fn rules(
        &self,
        handle: &OwnedFd,
        path: &[u8],
        above: Option<Arc<Rules>>,
    ) -> Result<Arc<Rules>, Closed> {
        let docent = read_rules(handle, DOCENT_IGNORE)?;
        let (git, exclude) = if self.git {
            (read_rules(handle, GIT_IGNORE)?, read_exclude(handle)?)
        } else {
            (Gitignore::empty(), Gitignore::empty())
        };
        match above {
            Some(above) if docent.is_empty() && git.is_empty() && exclude.is_empty() => Ok(above),
            above => Ok(Arc::new(Rules {
                above,
                prefix: if path.is_empty() { 0 } else { path.len() + 1 },
                docent,
                git,
                exclude,
            })),
        }
    }

    /// What exclude patterns and ignore files say. Those of the nearest directory count most, `.docentignore` more
    /// than `.gitignore`, and that more than git's `info/exclude`.
    fn patterns(&self, rules: &Rules, path: &[u8], directory: bool) -> Option<Out> {
        if self.exclude.matched(as_path(path), directory).is_ignore() {
            return Some(Out::Excluded);
        }
        let kinds: [fn(&Rules) -> &Gitignore; 3] = [|r| &r.docent, |r| &r.git, |r| &r.exclude];
        for kind in kinds {
            let mut at = Some(rules);
            while let Some(here) = at {
                match kind(here).matched(as_path(&path[here.prefix..]), directory) {
                    Match::Ignore(_) => return Some(Out::Ignored),
                    Match::Whitelist(_) => return None,
                    Match::None => at = here.above.as_deref(),
                }
            }
        }
        None
    }

    /// Whether an include pattern names the file or a directory above it, or there is no such pattern.
    fn is_included(&self, path: &[u8]) -> bool {
        let Some(include) = &self.include else {
            return true;
        };
        let mut matched = include.matched(as_path(path), false);
        let mut rest = path;
        while matched.is_none()
            && let Some(slash) = rest.iter().rposition(|b| *b == b'/')
        {
            rest = &rest[..slash];
            matched = include.matched(as_path(rest), true);
        }
        matched.is_ignore()
    }
}

fn closed(errno: Errno) -> Closed {
    match errno {
        // A link in place of a directory is not followed: what was below it is not there.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Closed::Absent,
        other => Closed::Unreachable(std::io::Error::from(other).to_string()),
    }
}

fn matcher(
    patterns: &[String],
    place: &'static str,
    any_case: bool,
) -> Result<Gitignore, PatternError> {
    let mut builder = GitignoreBuilder::new("");
    let refuse = |pattern: &str, cause: String| PatternError {
        pattern: pattern.to_owned(),
        place,
        cause,
    };
    builder
        .case_insensitive(any_case)
        .map_err(|e| refuse("", e.to_string()))?;
    builder.allow_unclosed_class(false);
    for pattern in patterns {
        builder
            .add_line(None, pattern)
            .map_err(|e| refuse(pattern, e.to_string()))?;
    }
    builder.build().map_err(|e| refuse("", e.to_string()))
}

/// The rules in the file `name` of a directory. One that is there and cannot be read closes the directory: without it
/// files could be taken in that somebody wants left out.
fn read_rules(directory: &OwnedFd, name: &[u8]) -> Result<Gitignore, Closed> {
    let text = beneath::read_small(directory, name, RULES_SIZE_MAX).map_err(|errno| {
        let cause = std::io::Error::from(errno);
        Closed::Unreachable(format!(
            "its {} cannot be read: {cause}",
            String::from_utf8_lossy(name)
        ))
    })?;
    Ok(compile(text.as_deref().unwrap_or_default()))
}

/// The rules of `.git/info/exclude`, where `.git` is a directory.
fn read_exclude(directory: &OwnedFd) -> Result<Gitignore, Closed> {
    let info = beneath::open_directory(directory, b".git")
        .and_then(|git| beneath::open_directory(&git, b"info"));
    match info {
        Ok(info) => read_rules(&info, b"exclude"),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(Gitignore::empty()),
        Err(errno) => {
            // Git's own folder may be for its owner alone while the tree is for everybody.
            let error = std::io::Error::from(errno);
            tracing::debug!(%error, "git's info/exclude cannot be reached and does not count");
            Ok(Gitignore::empty())
        }
    }
}

fn compile(text: &str) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for line in text.trim_start_matches('\u{feff}').lines() {
        if let Err(error) = builder.add_line(None, line) {
            tracing::debug!(line, %error, "an ignore rule is not understood and does not count, as in git");
        }
    }
    builder.build().unwrap_or_else(|error| {
        tracing::warn!(%error, "the ignore rules of a file cannot be used together, none of them counts");
        Gitignore::empty()
    })
}
