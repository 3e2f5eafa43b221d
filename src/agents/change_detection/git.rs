//! Git's rules besides the `.gitignore` files: the repository that a directory is the top of, its `info/exclude`, and the
//! file that `core.excludesFile` names. Git's own files are found by path, and links in them are followed, as git does.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gix_glob::pattern::Case;
use rustix::fs::CWD;

use super::rules::{self, RulesError};

/// Files of settings that are included, at most.
const INCLUDES_MAX: usize = 10;

/// Directories above a root in which its repository is looked for.
const ABOVE_MAX: usize = 128;

/// A repository, as far as its rules are concerned.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    /// Whether its patterns distinguish upper and lower case.
    pub(super) case: Case,
    /// Its files of rules besides `.gitignore`, the least important first.
    pub(super) files: Vec<PathBuf>,
}

/// What a directory's `.git` is.
#[derive(Debug, Default)]
pub(super) struct DotGit {
    /// The repository, if it is one.
    pub(super) repository: Option<Repository>,
    /// Files whose change may change the answer.
    pub(super) depends: Vec<PathBuf>,
}

/// The repository that a root is in.
pub(super) struct EnclosingRepository {
    pub(super) top: PathBuf,
    pub(super) repository: Repository,
}

/// Finds the repository that the directory `root`, a path without links, is in. Adds to `depends` the files whose change
/// may change the answer. Like git it stays on the file system of the root.
pub(super) fn enclosing(
    root: &Path,
    depends: &mut Vec<PathBuf>,
) -> Result<Option<EnclosingRepository>, RulesError> {
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    let own = device(root);
    for top in root.ancestors().take(ABOVE_MAX) {
        if device(top) != own {
            break;
        }
        depends.push(top.join(".git"));
        let found = find(top)?;
        depends.extend(found.depends);
        if let Some(repository) = found.repository {
            let top = top.to_owned();
            return Ok(Some(EnclosingRepository { top, repository }));
        }
    }
    Ok(None)
}

/// Examines the `.git` of a directory.
pub(super) fn find(directory: &Path) -> Result<DotGit, RulesError> {
    let dot = directory.join(".git");
    let Some(meta) = metadata(&dot)? else {
        return Ok(DotGit::default());
    };
    let git_dir = if meta.is_dir() {
        dot.clone()
    } else if meta.is_file() {
        linked(directory, &dot)?
    } else {
        return Ok(DotGit::default());
    };
    let common = match read(&git_dir.join("commondir"))? {
        Some(text) => git_dir.join(path_of(text.trim_ascii())),
        None => git_dir.clone(),
    };
    let mut depends = vec![
        git_dir.join("HEAD"),
        common.join("objects"),
        common.join("refs"),
        common.join("info"),
        common.join("info/exclude"),
    ];
    let is_dir = |path: PathBuf| Ok(metadata(&path)?.is_some_and(|m| m.is_dir()));
    let head = fs::symlink_metadata(git_dir.join("HEAD")).is_ok();
    if !head || !is_dir(common.join("objects"))? || !is_dir(common.join("refs"))? {
        if meta.is_file() {
            let why = format!(
                "names {}, which is not a git repository, so git's rules cannot be read; make it reachable, remove this file, or set git = false for the collection",
                git_dir.display()
            );
            return Err(RulesError::unusable(&dot, why));
        }
        return Ok(DotGit {
            repository: None,
            depends,
        });
    }
    let settings = GitSettings::of(directory, &common, &mut depends)?;
    let excludes = settings
        .excludes_file
        .filter(|file| !file.as_os_str().is_empty());
    depends.extend(excludes.clone());
    let files = excludes.into_iter().chain([common.join("info/exclude")]);
    Ok(DotGit {
        repository: Some(Repository {
            case: settings.case,
            files: files.collect(),
        }),
        depends,
    })
}

/// The directory that a `.git` file names.
fn linked(directory: &Path, dot: &Path) -> Result<PathBuf, RulesError> {
    let text = read(dot)?.unwrap_or_default();
    match text.strip_prefix(b"gitdir: ") {
        Some(path) => Ok(directory.join(path_of(path.trim_ascii_end()))),
        None => Err(RulesError::unusable(
            dot,
            "does not begin with `gitdir: ` as git writes it; correct or remove it, or set git = false for the collection",
        )),
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// Examines a path and follows links; `None`: nothing is there.
fn metadata(path: &Path) -> Result<Option<fs::Metadata>, RulesError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            io::ErrorKind::PermissionDenied => Err(RulesError::unusable(
                path,
                "docent may not examine it, so git's rules are not known; let docent's user read it, or set git = false for the collection",
            )),
            _ => Err(RulesError::Failed(format!(
                "{} cannot be examined: {error}",
                path.display()
            ))),
        },
    }
}

/// Reads a file of git's own.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, RulesError> {
    rules::read(CWD, path.as_os_str().as_bytes(), path, true).map_err(|error| match error {
        RulesError::Unusable(unusable) => RulesError::unusable(
            path,
            format!("{}, or set git = false for the collection", unusable.why),
        ),
        failed @ RulesError::Failed(_) => failed,
    })
}

/// The settings that concern ignore rules.
struct GitSettings {
    excludes_file: Option<PathBuf>,
    case: Case,
}

impl GitSettings {
    /// Reads the settings of the system, of the user that docent runs as and of the repository; the last one wins.
    fn of(top: &Path, common: &Path, depends: &mut Vec<PathBuf>) -> Result<Self, RulesError> {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let home = home.map(PathBuf::from);
        let own = std::env::var_os("XDG_CONFIG_HOME").filter(|own| !own.is_empty());
        let own = own
            .map(PathBuf::from)
            .or(home.as_ref().map(|h| h.join(".config")));
        let mut settings = GitSettings {
            excludes_file: own.as_ref().map(|own| own.join("git/ignore")),
            case: Case::Sensitive,
        };
        let files = [
            Some(PathBuf::from("/etc/gitconfig")),
            own.map(|own| own.join("git/config")),
            home.as_ref().map(|home| home.join(".gitconfig")),
            Some(common.join("config")),
        ];
        let mut reader = SettingsReader {
            top,
            home: home.as_deref(),
            depends,
            left: INCLUDES_MAX,
        };
        for file in files.into_iter().flatten() {
            reader.apply(&file, &mut settings)?;
        }
        Ok(settings)
    }
}

/// Reads files of settings.
struct SettingsReader<'a> {
    top: &'a Path,
    home: Option<&'a Path>,
    depends: &'a mut Vec<PathBuf>,
    left: usize,
}

impl SettingsReader<'_> {
    fn apply(&mut self, file: &Path, settings: &mut GitSettings) -> Result<(), RulesError> {
        self.depends.push(file.to_owned());
        let Some(text) = read(file)? else {
            return Ok(());
        };
        let text = String::from_utf8(text)
            .map_err(|_| RulesError::unusable(file, "is not UTF-8; save it as UTF-8"))?;
        for (key, value) in entries(&text) {
            match key.as_str() {
                "core.excludesfile" => {
                    settings.excludes_file = Some(if value.is_empty() {
                        PathBuf::new()
                    } else {
                        self.resolve(file, &value, self.top)?
                    });
                }
                "core.ignorecase" => {
                    let yes = ["true", "yes", "on", "1"];
                    let fold = yes.iter().any(|yes| value.eq_ignore_ascii_case(yes));
                    settings.case = if fold { Case::Fold } else { Case::Sensitive };
                }
                "include.path" if self.left > 0 => {
                    self.left -= 1;
                    let beside = file.parent().unwrap_or(self.top).to_owned();
                    let included = self.resolve(file, &value, &beside)?;
                    self.apply(&included, settings)?;
                }
                "include.path" => {
                    let why = format!("includes more than {INCLUDES_MAX} files; include fewer");
                    return Err(RulesError::unusable(file, why));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn resolve(&self, file: &Path, value: &str, base: &Path) -> Result<PathBuf, RulesError> {
        match (value.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            (None, _) if !value.starts_with(['~', '%']) => Ok(base.join(value)),
            _ => {
                let why = format!(
                    "names the file {value}, which docent cannot find; write its path in full"
                );
                Err(RulesError::unusable(file, why))
            }
        }
    }
}

/// The entries of a file of git's settings in their order: `section.key` in lower case, and the value.
fn entries(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    let mut section = String::new();
    let mut rest = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '#' | ';' => while rest.next().is_some_and(|c| c != '\n') {},
            '[' => {
                let mut quoted = false;
                section.clear();
                while let Some(c) = rest.next().filter(|c| quoted || *c != ']') {
                    match c {
                        '"' => quoted = !quoted,
                        '\\' if quoted => section.extend(rest.next()),
                        '\n' => break,
                        c if quoted => section.push(c),
                        c => section.extend(c.to_lowercase()),
                    }
                }
            }
            c if c.is_ascii_alphabetic() => {
                let mut key = format!("{section}.{}", c.to_ascii_lowercase());
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '-') {
                    key.push(c.to_ascii_lowercase());
                }
                while rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
                let value = match rest.next_if_eq(&'=') {
                    Some(_) => value(&mut rest),
                    None => "true".to_owned(),
                };
                entries.push((key, value));
            }
            _ => {}
        }
    }
    entries
}

/// The value that follows an equals sign.
fn value(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let (mut value, mut kept, mut quoted) = (String::new(), 0, false);
    while let Some(c) = rest.next() {
        match c {
            '\n' => break,
            '"' => {
                quoted = !quoted;
                kept = value.len();
            }
            '#' | ';' if !quoted => {
                while rest.next().is_some_and(|c| c != '\n') {}
                break;
            }
            '\\' => {
                match rest.next() {
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some('\n') | None => {}
                    Some(other) => value.push(other),
                }
                kept = value.len();
            }
            c if c.is_whitespace() && !quoted => {
                if !value.is_empty() {
                    value.push(c);
                }
            }
            c => {
                value.push(c);
                kept = value.len();
            }
        }
    }
    // Spaces at the end do not count.
    value.truncate(kept);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_git_writes_them() {
        let text = "; a comment\n[core]\n\texcludesFile = ~/a b # more\n\tignorecase\n[include]\n\tpath=\"x;y\"\n\
                    [includeIf \"gitdir:~/Work/\"]\n\tpath = no\n[core] EXCLUDESFILE = \"c:\\\\d\" \n[a]b = c\\\nd\n";
        let expected = [
            ("core.excludesfile", "~/a b"),
            ("core.ignorecase", "true"),
            ("include.path", "x;y"),
            ("includeif gitdir:~/Work/.path", "no"),
            ("core.excludesfile", "c:\\d"),
            ("a.b", "cd"),
        ];
        let found = entries(text);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, expected);
    }
}
