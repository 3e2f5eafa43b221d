//! Which files of a collection are in scope: git's ignore rules, `.docentignore`, include and exclude patterns. And which
//! of these usually hold secrets.
//!
//! A scan and a look at a single path go through the same two doors, [`Scope::enter`] and [`Scope::file`], so that they
//! decide alike. Rules are read from disk each time a directory is entered; nothing is remembered that could be stale.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_glob::pattern::Case;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::Collection;
use super::beneath::{self, Id};
use super::git::{self, Repository};
use super::paths::{as_path, below, join, name_of};
use super::rules::{self, Chain, Held, Refused, Unknown, Whose};
use crate::config::{PatternError, Patterns};

/// The names of the files that hold ignore rules.
pub(super) const GIT_IGNORE: &[u8] = b".gitignore";
pub(super) const DOCENT_IGNORE: &[u8] = b".docentignore";

/// Directories below each other, at most: each holds a handle while the ones below it are looked at.
const DEPTH_MAX: usize = 128;

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
    /// Its rules cannot be used: nothing below it is in scope.
    Rules(Refused),
    /// docent may not look into it, with the cause.
    Denied(String),
    /// It cannot be looked at.
    Unreachable(String),
}

impl From<Unknown> for Closed {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Refused(refused) => Closed::Rules(refused),
            Unknown::Failed(cause) => Closed::Unreachable(cause),
        }
    }
}

/// The rules in force in one directory.
#[derive(Debug, Clone)]
struct Rules {
    docent: Chain,
    /// Those of the repository that the directory is in, or of the `.gitignore` files outside any repository.
    git: Chain,
    /// The path of the root with its slash, from the top of the repository that the root is in.
    lead: Arc<[u8]>,
    case: Case,
    /// All that is held for this directory and those above it.
    held: Held,
}

/// A directory that was entered: its handle, and the rules for what is in it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) handle: OwnedFd,
    rules: Rules,
    depth: usize,
    /// Files outside the tree, and git's own, that say what is in scope here.
    pub(super) depends: Vec<PathBuf>,
}

/// The rules of a collection that the config gives.
#[derive(Debug)]
pub(super) struct Scope {
    root: PathBuf,
    include: Option<Patterns>,
    exclude: Patterns,
    /// What usually holds secrets, by the whole path.
    secrets: Patterns,
    /// What is read all the same.
    allowed: Patterns,
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
            patterns => Some(Patterns::new(patterns, false)?),
        };
        Ok(Scope {
            root: collection.root.clone(),
            include,
            exclude: Patterns::new(&collection.exclude, false)?,
            secrets: Patterns::new(&anywhere(secrets), true)?,
            allowed: Patterns::new(&collection.allow_secrets, false)?,
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
        self.patterns(&folder.rules, path, false)
            .or_else(|| (!self.is_included(path)).then_some(Out::Excluded))
    }

    /// Why the file at `path` usually holds a secret, by its name or the end of its path.
    pub(super) fn secret(&self, path: &[u8]) -> Option<String> {
        // The root's own name counts too: `config` is one thing in `docs` and another one in `.kube`.
        let whole = join(below_the_top(&self.root), path);
        let pattern = self.secrets.naming(as_path(&whole))?;
        let pattern = pattern.trim_start_matches("**/");
        (!self.allows(path)).then(|| {
            format!(
                "files like `{pattern}` usually hold secrets; if this one does not, `allow_secrets` of its collection can name it"
            )
        })
    }

    /// Whether the config says that the file at `path` is read although it looks like a secret.
    pub(super) fn allows(&self, path: &[u8]) -> bool {
        is_named(&self.allowed, path)
    }

    /// Whether git's ignore rules count here.
    pub(super) fn git(&self) -> bool {
        self.git
    }

    /// The file at `path` in full.
    fn full(&self, path: &[u8], name: &[u8]) -> PathBuf {
        self.root.join(as_path(path)).join(as_path(name))
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
        beneath::may_enter(&handle).map_err(closed)?;
        if Some(beneath::id(&handle).map_err(closed)?) == self.data_dir {
            return Err(Closed::Out(Out::Excluded));
        }
        let mut depends = Vec::new();
        let mut rules = match above {
            Some(above) => above.rules.clone(),
            None => self.rules_above(&mut depends)?,
        };
        self.read_rules(&handle, path, &mut rules, &mut depends)?;
        Ok(Folder {
            handle,
            rules,
            depth,
            depends,
        })
    }

    /// The rules that are in force at the root before its own files are read: those of the repository that it is in.
    fn rules_above(&self, depends: &mut Vec<PathBuf>) -> Result<Rules, Closed> {
        let mut rules = Rules {
            docent: Chain::default(),
            git: Chain::default(),
            lead: Arc::from([]),
            case: Case::Sensitive,
            held: Held::default(),
        };
        if !self.git {
            return Ok(rules);
        }
        // Git goes by the path without links.
        let root = std::fs::canonicalize(&self.root)
            .map_err(|error| Closed::Unreachable(error.to_string()))?;
        let Some(enclosing) = git::enclosing(&root, depends)? else {
            return Ok(rules);
        };
        rules.begin_repository(0, &enclosing.repository)?;
        let lead = root.strip_prefix(&enclosing.top).unwrap_or(Path::new(""));
        let lead = lead.as_os_str().as_encoded_bytes();
        let mut at = enclosing.top;
        for (slash, _) in below(lead).iter().enumerate().filter(|(_, b)| **b == b'/') {
            let cut = lead[..slash]
                .iter()
                .rposition(|b| *b == b'/')
                .map_or(0, |s| s + 1);
            let file = at.join(as_path(GIT_IGNORE));
            let text = rules::read(
                (rustix::fs::CWD, file.as_os_str().as_encoded_bytes()),
                &file,
                false,
            );
            depends.push(file.clone());
            rules.add_git(cut, text?.as_deref(), &file)?;
            at.push(as_path(&lead[cut..slash]));
            if rules.git.ignores(&lead[..slash], true, rules.case) == Some(true) {
                let why = "is ignored by git, so nothing of the collection is taken in; change git's rules, or set git = false for the collection";
                return Err(Unknown::refused(&at, why).into());
            }
        }
        rules.lead = below(lead).into();
        Ok(rules)
    }

    /// Adds the rules that the directory at `path` has itself.
    fn read_rules(
        &self,
        handle: &OwnedFd,
        path: &[u8],
        rules: &mut Rules,
        depends: &mut Vec<PathBuf>,
    ) -> Result<(), Closed> {
        if self.git {
            let dot = rustix::fs::statat(handle, ".git", AtFlags::SYMLINK_NOFOLLOW);
            let there = match dot {
                Ok(_) => true,
                Err(Errno::NOENT) => false,
                Err(errno) => return Err(closed(errno)),
            };
            if there && !path.is_empty() {
                let found = git::find(&self.root.join(as_path(path)))?;
                depends.extend(found.depends);
                if let Some(repository) = found.repository {
                    rules.begin_repository(below(path).len(), &repository)?;
                    rules.lead = Arc::from([]);
                }
            }
            let file = self.full(path, GIT_IGNORE);
            let text = rules::read((handle, GIT_IGNORE), &file, false)?;
            rules.add_git(rules.lead.len() + below(path).len(), text.as_deref(), &file)?;
        }
        let file = self.full(path, DOCENT_IGNORE);
        if let Some(text) = rules::read((handle, DOCENT_IGNORE), &file, false)? {
            let added = rules
                .docent
                .add(below(path).len(), &text, Whose::Docent, &mut rules.held);
            added.map_err(|why| Closed::from(Unknown::refused(&file, why)))?;
        }
        Ok(())
    }

    /// What exclude patterns and ignore files say. Those of the nearest directory count most, `.docentignore` more
    /// than git's rules.
    fn patterns(&self, rules: &Rules, path: &[u8], directory: bool) -> Option<Out> {
        if self.exclude.matched(as_path(path), directory) == Some(true) {
            return Some(Out::Excluded);
        }
        let ours = rules.docent.ignores(path, directory, Case::Sensitive);
        let ignored = ours.or_else(|| {
            let path = [&*rules.lead, path].concat();
            rules.git.ignores(&path, directory, rules.case)
        });
        (ignored == Some(true)).then_some(Out::Ignored)
    }

    /// Whether an include pattern names the file or a directory above it, or there is no such pattern.
    fn is_included(&self, path: &[u8]) -> bool {
        self.include
            .as_ref()
            .is_none_or(|include| is_named(include, path))
    }
}

impl Rules {
    /// Begins with the rules of a repository whose top's path with its slash has `cut` bytes. Those of a repository
    /// around it do not reach into it.
    fn begin_repository(&mut self, cut: usize, repository: &Repository) -> Result<(), Closed> {
        self.git = Chain::default();
        self.case = repository.case;
        for file in &repository.files {
            self.add_git(cut, git::read(file)?.as_deref(), file)?;
        }
        Ok(())
    }

    /// Adds the rules of a file of git's, if it is there.
    fn add_git(&mut self, cut: usize, text: Option<&[u8]>, file: &Path) -> Result<(), Closed> {
        let text = text.unwrap_or_default();
        let added = self.git.add(cut, text, Whose::Git, &mut self.held);
        added.map_err(|why| Unknown::refused(file, why).into())
    }
}

/// Whether a pattern names the file or a directory above it.
fn is_named(patterns: &Patterns, path: &[u8]) -> bool {
    let mut matched = patterns.matched(as_path(path), false);
    let mut rest = path;
    while matched.is_none()
        && let Some(slash) = rest.iter().rposition(|b| *b == b'/')
    {
        rest = &rest[..slash];
        matched = patterns.matched(as_path(rest), true);
    }
    matched == Some(true)
}

/// A root's path without the slash at its beginning.
fn below_the_top(root: &Path) -> &[u8] {
    let bytes = root.as_os_str().as_encoded_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes)
}

/// The patterns so that those of paths count in every directory, as those of names do.
fn anywhere(patterns: &[String]) -> Vec<String> {
    let floating = |pattern: &String| match pattern.contains('/') {
        true if !pattern.starts_with("**/") => format!("**/{pattern}"),
        _ => pattern.clone(),
    };
    patterns.iter().map(floating).collect()
}

fn closed(errno: Errno) -> Closed {
    match errno {
        // A link in place of a directory is not followed: what was below it is not there.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Closed::Absent,
        denied if beneath::is_denied(denied) => {
            Closed::Denied(std::io::Error::from(denied).to_string())
        }
        other => Closed::Unreachable(std::io::Error::from(other).to_string()),
    }
}
