//! The rules of ignore files: reading them within a limit, and matching paths with them.
//!
//! Patterns are kept as they are written and compared as git compares them. Nothing is compiled, so the memory that they
//! need is known beforehand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_glob::pattern::{Case, Mode};
use gix_glob::{Pattern, wildmatch};
use rustix::fd::AsFd;
use rustix::io::Errno;

use super::beneath;
use crate::config::pattern_mistake;

/// The largest file of ignore rules that is read, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// Bytes that the patterns in force along one path may take, approximately.
const RULES_MAX: usize = 8 * 1024 * 1024;

/// Bytes that a pattern takes besides its text, approximately.
const PATTERN_SIZE: usize = 96;

/// The cost of comparing a path with the patterns in force, at most: 1 for each with a wildcard, more for each `**`.
const WILD_MAX: usize = 10_000;

/// The cost of a `**` between other names: it is tried at each position of a path.
const ANYWHERE_COST: usize = 8;

/// Stars in one pattern, at most: the cost of a comparison may grow with each.
const STARS_MAX: usize = 12;

/// Rules that cannot be used. The directory that they are about is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnusableRules {
    /// The file with the rules.
    pub(super) file: PathBuf,
    /// What is wrong with the file, and what to do.
    pub(super) why: String,
}

impl std::fmt::Display for UnusableRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

/// Why the rules of a file are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RulesError {
    /// They cannot be used until somebody mends the file.
    Unusable(UnusableRules),
    /// They could not be read, with the cause.
    Failed(String),
}

impl RulesError {
    pub(super) fn unusable(file: &Path, why: impl Into<String>) -> Self {
        RulesError::Unusable(UnusableRules {
            file: file.to_owned(),
            why: why.into(),
        })
    }

    fn failed(file: &Path, errno: Errno) -> Self {
        match errno {
            Errno::LOOP => RulesError::unusable(file, LINK),
            other => {
                let cause = std::io::Error::from(other);
                RulesError::Failed(format!("{} cannot be read: {cause}", file.display()))
            }
        }
    }
}

const DENIED: &str = "docent may not read it; let docent's user read it";

const LINK: &str =
    "is a symbolic link, which is not followed here; put the file itself in its place";

/// The size of the rules along one path.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RulesSize {
    bytes: usize,
    wild: usize,
}

/// Whose syntax a file of rules follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RulesOwner {
    /// Git's: a line that git does not understand matches nothing, as in git.
    Git,
    /// Docent's: a line that cannot be meant as it is written is refused.
    Docent,
}

/// The rules of one file.
#[derive(Debug)]
struct RulesFile {
    above: Option<Arc<RulesFile>>,
    /// How many bytes at the beginning of a path are left out of the comparison.
    cut: usize,
    patterns: Vec<Pattern>,
}

/// The rules of the files in and above a directory, the nearest first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct RulesChain(Option<Arc<RulesFile>>);

impl RulesChain {
    /// Adds the rules of a file, nearer than those before. They apply below a directory; `cut` is the length of its path
    /// with the slash.
    pub(super) fn add(
        &mut self,
        cut: usize,
        text: &[u8],
        owner: RulesOwner,
        size: &mut RulesSize,
    ) -> Result<(), String> {
        if text.contains(&0) {
            return Err("has NUL bytes, as UTF-16 has; save it as UTF-8".to_owned());
        }
        if owner == RulesOwner::Docent {
            for (n, line) in text.split(|b| *b == b'\n').enumerate() {
                refuse_mistake(line).map_err(|why| format!("line {} {why}", n + 1))?;
            }
        }
        // As git does, so that a carriage return before the end of the file belongs to the line's end.
        let text = &[text, b"\n"].concat();
        let mut patterns = Vec::new();
        for (pattern, line, _) in gix_ignore::parse(text, false) {
            let pattern = simplified(pattern);
            let stars = pattern.text.iter().filter(|b| **b == b'*').count();
            if stars > STARS_MAX {
                return Err(format!(
                    "line {line} has {stars} stars, more than the {STARS_MAX} of a pattern; write a simpler one"
                ));
            }
            size.bytes += pattern.text.len() + PATTERN_SIZE;
            let anywhere = pattern.text.windows(2).filter(|two| two == b"**").count();
            size.wild += usize::from(pattern.first_wildcard_pos.is_some());
            size.wild += anywhere * ANYWHERE_COST;
            if size.bytes > RULES_MAX || size.wild > WILD_MAX {
                return Err(format!(
                    "together with the ignore files above it, it has more wildcard patterns than docent compares ({WILD_MAX}, and each `**` counts {ANYWHERE_COST}) or holds ({} MiB); write fewer",
                    RULES_MAX / 1024 / 1024
                ));
            }
            patterns.push(pattern);
        }
        if !patterns.is_empty() {
            patterns.shrink_to_fit();
            self.0 = Some(Arc::new(RulesFile {
                above: self.0.take(),
                cut,
                patterns,
            }));
        }
        Ok(())
    }

    /// Whether the path is ignored; `None`: no pattern matches it.
    pub(super) fn ignores(&self, path: &[u8], directory: bool, case: Case) -> Option<bool> {
        let mut at = self.0.as_deref();
        while let Some(layer) = at {
            let path = &path[layer.cut..];
            let name = path.iter().rposition(|b| *b == b'/').map(|slash| slash + 1);
            let matches = |p: &&Pattern| match matches_plain_start(p, path, case) {
                Some(matched) => matched && (directory || !p.mode.contains(Mode::MUST_BE_DIR)),
                None => {
                    p.matches_repo_relative_path(path.into(), name, Some(directory), case, WILD)
                }
            };
            if let Some(pattern) = layer.patterns.iter().rev().find(matches) {
                return Some(!pattern.is_negative());
            }
            at = layer.above.as_deref();
        }
        None
    }
}

/// How git compares wildcards with paths.
const WILD: wildmatch::Mode = wildmatch::Mode::NO_MATCH_SLASH_LITERAL;

/// Git compares the text before the first wildcard by itself, so that the rest of `a**/b` begins with `**`. `None`: the
/// pattern has no such text, or is compared with the last name of a path alone.
fn matches_plain_start(pattern: &Pattern, path: &[u8], case: Case) -> Option<bool> {
    let by_name = pattern.mode & (Mode::NO_SUB_DIR | Mode::ABSOLUTE) == Mode::NO_SUB_DIR;
    let at = pattern
        .first_wildcard_pos
        .filter(|at| *at > 0 && !by_name)?;
    let plain = &pattern.text[..at];
    let (starts, mode) = match (case, path.get(..at)) {
        (Case::Fold, start) => (
            start.is_some_and(|s| s.eq_ignore_ascii_case(plain)),
            WILD | wildmatch::Mode::IGNORE_CASE,
        ),
        (Case::Sensitive, start) => (start.is_some_and(|s| *plain == *s), WILD),
    };
    Some(starts && gix_glob::wildmatch(pattern.text[at..].into(), path[at..].into(), mode))
}

/// Turns `**/name` into `name`, which means the same and is compared with the last name of a path alone.
fn simplified(pattern: Pattern) -> Pattern {
    let Some(name) = pattern.text.strip_prefix(b"**/") else {
        return pattern;
    };
    if name.contains(&b'/') || name.starts_with(b"**") {
        return pattern;
    }
    match Pattern::from_bytes_without_negation(name) {
        Some(mut plain) => {
            plain.mode |= pattern.mode & (Mode::NEGATIVE | Mode::MUST_BE_DIR);
            plain
        }
        None => pattern,
    }
}

/// Checks a line of a `.docentignore`.
fn refuse_mistake(line: &[u8]) -> Result<(), String> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_start_matches('\u{feff}');
    let line = line.strip_suffix('\r').unwrap_or(line);
    let line = if line.ends_with("\\ ") {
        line
    } else {
        line.trim_end()
    };
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if let Some((what, remedy)) = pattern_mistake(line) {
        return Err(format!("{what}; {remedy}"));
    }
    let unescaped = line.replace("\\\\", "").replace("\\{", "");
    if unescaped.contains('{') {
        return Err(
            "has a `{`; write a line for each alternative, or \\{ for the character itself"
                .to_owned(),
        );
    }
    if let Some(rest) = line.strip_prefix("./").or_else(|| line.strip_prefix("!./")) {
        return Err(format!(
            "begins with `./`, which matches nothing; write /{rest}"
        ));
    }
    let mut builder = ignore::gitignore::GitignoreBuilder::new("");
    builder.allow_unclosed_class(false);
    match builder.add_line(None, line) {
        Ok(_) => Ok(()),
        Err(ignore::Error::Glob { err, .. }) => Err(format!("is not a pattern: {err}")),
        Err(other) => Err(format!("is not a pattern: {other}")),
    }
}

/// Reads the file of rules `name` in `above`; `None`: there is none. `file` is its full path.
pub(super) fn read(
    above: impl AsFd,
    name: &[u8],
    file: &Path,
    follow: bool,
) -> Result<Option<Vec<u8>>, RulesError> {
    match beneath::read_small(above, name, follow, FILE_MAX) {
        Ok(beneath::SmallFile::Whole(bytes)) => Ok(Some(bytes)),
        Ok(beneath::SmallFile::Another) => Err(RulesError::unusable(
            file,
            "is not a regular file; replace it with one, or remove it",
        )),
        Ok(beneath::SmallFile::Denied) => Err(RulesError::unusable(file, DENIED)),
        // The files in git's own directory count even if only its owner may enter it.
        Err(Errno::ACCESS | Errno::PERM) if follow => Err(RulesError::unusable(file, DENIED)),
        Ok(beneath::SmallFile::Link) => Err(RulesError::unusable(file, LINK)),
        Ok(beneath::SmallFile::TooLarge) => Err(RulesError::unusable(
            file,
            format!("is larger than {FILE_MAX} bytes, the limit for such a file; make it smaller"),
        )),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(RulesError::failed(file, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str, owner: RulesOwner) -> Result<RulesChain, String> {
        let mut chain = RulesChain::default();
        chain.add(0, text.as_bytes(), owner, &mut RulesSize::default())?;
        Ok(chain)
    }

    #[test]
    fn what_a_line_of_ours_cannot_mean_is_refused_and_gits_matches_nothing() {
        let bad = [
            "[a", "a\\", "{a,b}", "./a", "../a", "a/../b", "!", "/", "a//b", "[z-a]",
        ];
        for line in bad {
            let text = format!("# fine\nfine\n{line}\n");
            let why = chain(&text, RulesOwner::Docent).unwrap_err();
            assert!(why.starts_with("line 3 "), "{line}: {why}");
            assert!(chain(&text, RulesOwner::Git).is_ok(), "{line}");
        }
        for line in [
            "a ",
            "a\\ ",
            "a\r",
            "\\{a",
            "\\#a",
            "!a",
            "**/a/",
            "[[:alpha:]]x",
            "docs/*.md",
        ] {
            assert!(chain(line, RulesOwner::Docent).is_ok(), "{line:?}");
        }
    }

    #[test]
    fn a_carriage_return_at_the_end_of_a_line_is_no_part_of_it_also_where_the_file_ends() {
        for text in ["x.md\r", "x.md\r\n", "x.md\n"] {
            let chain = chain(text, RulesOwner::Git).unwrap();
            let ignored = chain.ignores(b"x.md", false, Case::Sensitive);
            assert_eq!(ignored, Some(true), "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_name_just_those_bytes() {
        let mut chain = RulesChain::default();
        chain
            .add(
                0,
                b"caf\xe9.md",
                RulesOwner::Docent,
                &mut RulesSize::default(),
            )
            .unwrap();
        let ignores = |path: &[u8]| chain.ignores(path, false, Case::Sensitive);
        assert_eq!(ignores(b"caf\xe9.md"), Some(true));
        assert_eq!(ignores("caf\u{fffd}.md".as_bytes()), None);
        let utf_16 = b"\xff\xfea\0\n\0";
        assert!(
            RulesChain::default()
                .add(0, utf_16, RulesOwner::Git, &mut RulesSize::default())
                .is_err()
        );
    }

    #[test]
    fn what_is_held_along_a_path_is_bounded() {
        let text: String = (0..1500).map(|n| format!("**/*a{n}*b*c*d*\n")).collect();
        let (mut chain, mut size) = (RulesChain::default(), RulesSize::default());
        let files = (0..240).take_while(|_| {
            chain
                .add(0, text.as_bytes(), RulesOwner::Git, &mut size)
                .is_ok()
        });
        assert_eq!(files.count(), WILD_MAX / 1500);
        let literals: String = (0..1_000_000).map(|n| format!("{n}\n")).collect();
        assert!(
            chain
                .add(
                    0,
                    literals.as_bytes(),
                    RulesOwner::Git,
                    &mut RulesSize::default()
                )
                .is_err()
        );
        let stars = "*a".repeat(STARS_MAX + 1);
        assert!(
            chain
                .add(
                    0,
                    stars.as_bytes(),
                    RulesOwner::Git,
                    &mut RulesSize::default()
                )
                .is_err()
        );
    }
}
