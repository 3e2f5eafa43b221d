//! Which files of a collection are in scope, by git's ignore rules, `.docentignore`, include and exclude patterns, and which
//! of them usually hold secrets.
//!
//! A walk and the reader of a single path both use [`Scope::enter`] and [`Scope::file`], so that they decide alike. Rules
//! are read from disk each time a directory is entered; nothing is remembered that could be stale.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_glob::pattern::Case;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::beneath::{self, FileId};
use super::collection::Collection;
use super::git::{self, Repository};
use super::paths::{as_path, below, join, name_of};
use super::rules::{self, RulesChain, RulesError, RulesOwner, RulesSize, UnusableRules};
use crate::config::{PatternError, Patterns};

/// The names of the files that hold ignore rules.
pub(super) const GIT_IGNORE: &[u8] = b".gitignore";
pub(super) const DOCENT_IGNORE: &[u8] = b".docentignore";

/// The depth of directories, at most: each holds a handle while the ones below it are read.
const DEPTH_MAX: usize = 128;

/// Why something is out of scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutOfScope {
    /// Git's rules or a `.docentignore` say so.
    Ignored,
    /// The config says so.
    Excluded,
}

/// Why a directory cannot be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotEntered {
    /// It is out of scope, and all below it.
    OutOfScope(OutOfScope),
    /// It is not there, or is no directory.
    Absent,
    /// Its rules cannot be used: nothing below it is in scope.
    UnusableRules(UnusableRules),
    /// docent may not enter it, with the cause.
    Denied(String),
    /// It or its rules cannot be read now, with the cause.
    Unreachable(String),
}

impl From<RulesError> for NotEntered {
    fn from(error: RulesError) -> Self {
        match error {
            RulesError::Unusable(rules) => NotEntered::UnusableRules(rules),
            RulesError::Failed(cause) => NotEntered::Unreachable(cause),
        }
    }
}

/// The rules in force in one directory.
#[derive(Debug, Clone)]
struct ActiveRules {
    docent: RulesChain,
    /// Those of the repository that the directory is in, or of `.gitignore` files outside any repository.
    git: RulesChain,
    /// The path of the root with its slash, from the top of the repository that the root is in.
    lead: Arc<[u8]>,
    case: Case,
    /// The size of the rules of this directory and those above it.
    size: RulesSize,
}

/// A directory that was entered: its handle, and the rules for what is in it.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) handle: OwnedFd,
    rules: ActiveRules,
    depth: usize,
    /// Files outside the tree, and git's own, that decide what is in scope here.
    pub(super) depends: Vec<PathBuf>,
}

/// The scope of a collection, as the config defines it.
#[derive(Debug)]
pub(super) struct Scope {
    root: PathBuf,
    include: Option<Patterns>,
    exclude: Patterns,
    /// What usually holds secrets, by the full path.
    secrets: Patterns,
    /// What is read although it looks like a secret.
    allowed: Patterns,
    git: bool,
    /// The daemon's own files.
    data_dir: Option<FileId>,
}

impl Scope {
    /// The scope of `collection`; `data_dir` is never in it.
    pub(super) fn new(
        collection: &Collection,
        secrets: &[String],
        data_dir: Option<FileId>,
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

    /// Enters the root. `opened` is called before its rules are read.
    pub(super) fn enter_root(
        &self,
        root: &OwnedFd,
        opened: &mut dyn FnMut(),
    ) -> Result<Directory, NotEntered> {
        let handle = root.try_clone();
        let handle = handle.map_err(|error| NotEntered::Unreachable(error.to_string()))?;
        self.admit(handle, b"", None, opened)
    }

    /// Enters the directory at `path`, which is in `above`. `opened` is called before its rules are read.
    pub(super) fn enter(
        &self,
        above: &Directory,
        path: &[u8],
        opened: &mut dyn FnMut(),
    ) -> Result<Directory, NotEntered> {
        let name = name_of(path);
        if name == b".git" {
            return Err(NotEntered::OutOfScope(OutOfScope::Ignored));
        }
        if let Some(out) = self.patterns(&above.rules, path, true) {
            return Err(NotEntered::OutOfScope(out));
        }
        match beneath::open_directory(&above.handle, name) {
            Ok(handle) => self.admit(handle, path, Some(above), opened),
            Err(errno) => Err(not_entered(errno)),
        }
    }

    /// Why the file at `path`, which is in `directory`, is out of scope, if it is.
    pub(super) fn file(&self, directory: &Directory, path: &[u8]) -> Option<OutOfScope> {
        let name = name_of(path);
        if name == b".git" {
            return Some(OutOfScope::Ignored);
        }
        self.patterns(&directory.rules, path, false)
            .or_else(|| (!self.is_included(path)).then_some(OutOfScope::Excluded))
    }

    /// Why the file at `path` usually holds a secret, by its name or the end of its path.
    pub(super) fn secret(&self, path: &[u8]) -> Option<String> {
        // The root's own name counts too: `config` is harmless in `docs` and a secret in `.kube`.
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

    /// The full path of the file `name` in the directory at `path`.
    fn full(&self, path: &[u8], name: &[u8]) -> PathBuf {
        self.root.join(as_path(path)).join(as_path(name))
    }

    fn admit(
        &self,
        handle: OwnedFd,
        path: &[u8],
        above: Option<&Directory>,
        opened: &mut dyn FnMut(),
    ) -> Result<Directory, NotEntered> {
        let depth = above.map_or(0, |a| a.depth + 1);
        if depth > DEPTH_MAX {
            let cause = format!("it lies deeper than {DEPTH_MAX} directories");
            return Err(NotEntered::Unreachable(cause));
        }
        beneath::may_enter(&handle).map_err(not_entered)?;
        if Some(beneath::id(&handle).map_err(not_entered)?) == self.data_dir {
            return Err(NotEntered::OutOfScope(OutOfScope::Excluded));
        }
        opened();
        let mut depends = Vec::new();
        let mut rules = match above {
            Some(above) => above.rules.clone(),
            None => self.rules_above(&mut depends)?,
        };
        self.read_rules(&handle, path, &mut rules, &mut depends)?;
        Ok(Directory {
            handle,
            rules,
            depth,
            depends,
        })
    }

    /// The rules that are in force at the root before its own are read: those of the repository that it is in.
    fn rules_above(&self, depends: &mut Vec<PathBuf>) -> Result<ActiveRules, NotEntered> {
        let mut rules = ActiveRules {
            docent: RulesChain::default(),
            git: RulesChain::default(),
            lead: Arc::from([]),
            case: Case::Sensitive,
            size: RulesSize::default(),
        };
        if !self.git {
            return Ok(rules);
        }
        // Git goes by the path without links.
        let root = std::fs::canonicalize(&self.root)
            .map_err(|error| NotEntered::Unreachable(error.to_string()))?;
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
            let name = file.as_os_str().as_encoded_bytes();
            let text = rules::read(rustix::fs::CWD, name, &file, false);
            depends.push(file.clone());
            rules.add_git(cut, text?.as_deref(), &file)?;
            at.push(as_path(&lead[cut..slash]));
            if rules.git.ignores(&lead[..slash], true, rules.case) == Some(true) {
                let why = "is ignored by git, so nothing of the collection is taken in; change git's rules, or set git = false for the collection";
                return Err(RulesError::unusable(&at, why).into());
            }
        }
        rules.lead = below(lead).into();
        Ok(rules)
    }

    /// Adds the rules of the directory at `path` itself.
    fn read_rules(
        &self,
        handle: &OwnedFd,
        path: &[u8],
        rules: &mut ActiveRules,
        depends: &mut Vec<PathBuf>,
    ) -> Result<(), NotEntered> {
        if self.git {
            let dot = rustix::fs::statat(handle, ".git", AtFlags::SYMLINK_NOFOLLOW);
            let there = match dot {
                Ok(_) => true,
                Err(Errno::NOENT) => false,
                Err(errno) => return Err(not_entered(errno)),
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
            let text = rules::read(handle, GIT_IGNORE, &file, false)?;
            rules.add_git(rules.lead.len() + below(path).len(), text.as_deref(), &file)?;
        }
        let file = self.full(path, DOCENT_IGNORE);
        if let Some(text) = rules::read(handle, DOCENT_IGNORE, &file, false)? {
            let added = rules.docent.add(
                below(path).len(),
                &text,
                RulesOwner::Docent,
                &mut rules.size,
            );
            added.map_err(|why| NotEntered::from(RulesError::unusable(&file, why)))?;
        }
        Ok(())
    }

    /// What exclude patterns and ignore files say. The nearest directory's rules win, and `.docentignore` wins over git's.
    fn patterns(&self, rules: &ActiveRules, path: &[u8], directory: bool) -> Option<OutOfScope> {
        if self.exclude.matched(as_path(path), directory) == Some(true) {
            return Some(OutOfScope::Excluded);
        }
        let ours = rules.docent.ignores(path, directory, Case::Sensitive);
        let ignored = ours.or_else(|| {
            let path = [&*rules.lead, path].concat();
            rules.git.ignores(&path, directory, rules.case)
        });
        (ignored == Some(true)).then_some(OutOfScope::Ignored)
    }

    /// Whether an include pattern names the file or a directory above it, or there is no such pattern.
    fn is_included(&self, path: &[u8]) -> bool {
        self.include
            .as_ref()
            .is_none_or(|include| is_named(include, path))
    }
}

impl ActiveRules {
    /// Starts with the rules of a repository; those of a repository around it do not apply in it. `cut` is the length of
    /// its top's path with the slash.
    fn begin_repository(&mut self, cut: usize, repository: &Repository) -> Result<(), NotEntered> {
        self.git = RulesChain::default();
        self.case = repository.case;
        for file in &repository.files {
            self.add_git(cut, git::read(file)?.as_deref(), file)?;
        }
        Ok(())
    }

    /// Adds the rules of a file of git's; `None`: it is not there.
    fn add_git(&mut self, cut: usize, text: Option<&[u8]>, file: &Path) -> Result<(), NotEntered> {
        let text = text.unwrap_or_default();
        let added = self.git.add(cut, text, RulesOwner::Git, &mut self.size);
        added.map_err(|why| RulesError::unusable(file, why).into())
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

/// A root's path without the slash at the beginning.
fn below_the_top(root: &Path) -> &[u8] {
    let bytes = root.as_os_str().as_encoded_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes)
}

/// Lets patterns of paths match in every directory, as patterns of names do.
fn anywhere(patterns: &[String]) -> Vec<String> {
    let floating = |pattern: &String| match pattern.contains('/') {
        true if !pattern.starts_with("**/") => format!("**/{pattern}"),
        _ => pattern.clone(),
    };
    patterns.iter().map(floating).collect()
}

fn not_entered(errno: Errno) -> NotEntered {
    match errno {
        // A link is not followed: nothing is below it.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => NotEntered::Absent,
        denied if beneath::is_denied(denied) => {
            NotEntered::Denied(std::io::Error::from(denied).to_string())
        }
        other => NotEntered::Unreachable(std::io::Error::from(other).to_string()),
    }
}
