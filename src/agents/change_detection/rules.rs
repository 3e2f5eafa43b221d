//! The rules of ignore files: reading them with a bound, and what they say of a path.
//!
//! Patterns are kept as they are written and compared as git compares them. Nothing is compiled, so what they need of
//! memory is known before they are held.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_glob::Pattern;
use gix_glob::pattern::Case;
use gix_glob::wildmatch::Mode;
use rustix::fd::AsFd;
use rustix::io::Errno;

use super::beneath;
use crate::config::pattern_mistake;

/// The largest file of ignore rules that is read, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// Bytes that the patterns in force along one path may take, about.
const HELD_MAX: usize = 8 * 1024 * 1024;

/// What a pattern takes besides its text, about.
const PATTERN_SIZE: usize = 96;

/// What comparing a path with the patterns in force may cost: 1 for each with a wildcard, more for each `**`.
const WILD_MAX: usize = 10_000;

/// What a `**` between other names costs: it is tried at each place of a path.
const ANYWHERE_COST: usize = 8;

/// Stars in one pattern: what comparing takes may grow with each.
const STARS_MAX: usize = 12;

/// Why a directory is closed: rules that are to count in it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The file with the rules.
    pub(super) file: PathBuf,
    /// What is wrong with it, and what to do.
    pub(super) why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

/// Why the rules of a file are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They cannot be used until somebody mends something.
    Refused(Refused),
    /// They cannot be read now.
    Failed(String),
}

impl Unknown {
    pub(super) fn refused(file: &Path, why: impl Into<String>) -> Self {
        Unknown::Refused(Refused {
            file: file.to_owned(),
            why: why.into(),
        })
    }

    fn failed(file: &Path, errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Unknown::refused(file, LINK),
            other => {
                let cause = std::io::Error::from(other);
                Unknown::Failed(format!("{} cannot be read: {cause}", file.display()))
            }
        }
    }
}

const DENIED: &str = "docent may not read it; let docent's user read it";

const LINK: &str =
    "is a symbolic link, which is not followed here; put the file itself in its place";

/// How much the rules along one path hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    bytes: usize,
    wild: usize,
}

/// Whose rules a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Git's: what git does not understand matches nothing, as in git.
    Git,
    /// Docent's: what cannot be meant as it is written is refused.
    Docent,
}

/// The rules of one file.
#[derive(Debug)]
struct Layer {
    above: Option<Arc<Layer>>,
    /// Bytes at the beginning of a path that are left out of the comparison.
    cut: usize,
    patterns: Vec<Pattern>,
}

/// The rules of files above each other, the nearest first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain(Option<Arc<Layer>>);

impl Chain {
    /// Adds the rules of a file, nearer than those before. They are about what is below the directory whose path with
    /// its slash has `cut` bytes.
    pub(super) fn add(
        &mut self,
        cut: usize,
        text: &[u8],
        whose: Whose,
        held: &mut Held,
    ) -> Result<(), String> {
        if text.contains(&0) {
            return Err("has NUL bytes, as UTF-16 has; save it as UTF-8".to_owned());
        }
        if whose == Whose::Docent {
            for (n, line) in text.split(|b| *b == b'\n').enumerate() {
                refuse_mistake(line).map_err(|why| format!("line {} {why}", n + 1))?;
            }
        }
        // As git does: so that a carriage return before the end of the file belongs to the line's end.
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
            held.bytes += pattern.text.len() + PATTERN_SIZE;
            let anywhere = pattern.text.windows(2).filter(|two| two == b"**").count();
            held.wild += usize::from(pattern.first_wildcard_pos.is_some());
            held.wild += anywhere * ANYWHERE_COST;
            if held.bytes > HELD_MAX || held.wild > WILD_MAX {
                return Err(format!(
                    "with the ignore files above it, it has more patterns with wildcards than docent compares ({WILD_MAX}, and each `**` counts {ANYWHERE_COST}) or than it holds ({} MiB); write fewer",
                    HELD_MAX / 1024 / 1024
                ));
            }
            patterns.push(pattern);
        }
        if !patterns.is_empty() {
            patterns.shrink_to_fit();
            self.0 = Some(Arc::new(Layer {
                above: self.0.take(),
                cut,
                patterns,
            }));
        }
        Ok(())
    }

    /// Whether the path is ignored (`Some(true)`) or taken in whatever others say; `None`: no pattern matches.
    pub(super) fn ignores(&self, path: &[u8], directory: bool, case: Case) -> Option<bool> {
        let mut at = self.0.as_deref();
        while let Some(layer) = at {
            let path = &path[layer.cut..];
            let name = path.iter().rposition(|b| *b == b'/').map(|slash| slash + 1);
            let matches = |p: &&Pattern| matches(p, (path, name), directory, case);
            if let Some(pattern) = layer.patterns.iter().rev().find(matches) {
                return Some(!pattern.is_negative());
            }
            at = layer.above.as_deref();
        }
        None
    }
}

/// Whether a pattern matches a path, whose last name begins at `name`.
fn matches(
    pattern: &Pattern,
    (path, name): (&[u8], Option<usize>),
    directory: bool,
    case: Case,
) -> bool {
    use gix_glob::pattern::Mode as Is;
    let mode = Mode::NO_MATCH_SLASH_LITERAL;
    let by_name = pattern.mode & (Is::NO_SUB_DIR | Is::ABSOLUTE) == Is::NO_SUB_DIR;
    match pattern.first_wildcard_pos {
        // Git compares what stands before the first wildcard by itself, so that the rest of `a**/b` begins with `**`.
        Some(at) if at > 0 && !by_name => {
            let plain = path.get(..at).is_some_and(|start| match case {
                Case::Fold => start.eq_ignore_ascii_case(&pattern.text[..at]),
                Case::Sensitive => *start == pattern.text[..at],
            });
            let mode = match case {
                Case::Fold => mode | Mode::IGNORE_CASE,
                Case::Sensitive => mode,
            };
            plain
                && (directory || !pattern.mode.contains(Is::MUST_BE_DIR))
                && gix_glob::wildmatch(pattern.text[at..].into(), path[at..].into(), mode)
        }
        _ => pattern.matches_repo_relative_path(path.into(), name, Some(directory), case, mode),
    }
}

/// A pattern `**/name` as `name`, which means the same and is compared with the last name of a path alone.
fn simplified(pattern: Pattern) -> Pattern {
    use gix_glob::pattern::Mode;
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

/// What is wrong with a line of a `.docentignore`.
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

/// Reads the file of rules `name` in `above`; `None`: there is none. `file` is its path in full.
pub(super) fn read(
    (above, name): (impl AsFd, &[u8]),
    file: &Path,
    follow: bool,
) -> Result<Option<Vec<u8>>, Unknown> {
    match beneath::read_small((above, name), follow, FILE_MAX) {
        Ok(beneath::Small::Whole(bytes)) => Ok(Some(bytes)),
        Ok(beneath::Small::Another) => Err(Unknown::refused(
            file,
            "is no regular file; put one in its place or remove it",
        )),
        Ok(beneath::Small::Denied) => Err(Unknown::refused(file, DENIED)),
        // The files of git's own folder count though the folder is for its owner alone.
        Err(Errno::ACCESS | Errno::PERM) if follow => Err(Unknown::refused(file, DENIED)),
        Ok(beneath::Small::Link) => Err(Unknown::refused(file, LINK)),
        Ok(beneath::Small::TooLarge) => Err(Unknown::refused(
            file,
            format!(
                "has more than the {FILE_MAX} bytes that are read of such a file; make it smaller"
            ),
        )),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Unknown::failed(file, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str, whose: Whose) -> Result<Chain, String> {
        let mut chain = Chain::default();
        chain.add(0, text.as_bytes(), whose, &mut Held::default())?;
        Ok(chain)
    }

    #[test]
    fn what_a_line_of_ours_cannot_mean_is_refused_and_gits_matches_nothing() {
        let bad = [
            "[a", "a\\", "{a,b}", "./a", "../a", "a/../b", "!", "/", "a//b", "[z-a]",
        ];
        for line in bad {
            let text = format!("# fine\nfine\n{line}\n");
            let why = chain(&text, Whose::Docent).unwrap_err();
            assert!(why.starts_with("line 3 "), "{line}: {why}");
            assert!(chain(&text, Whose::Git).is_ok(), "{line}");
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
            assert!(chain(line, Whose::Docent).is_ok(), "{line:?}");
        }
    }

    #[test]
    fn a_carriage_return_at_the_end_of_a_line_is_no_part_of_it_also_where_the_file_ends() {
        for text in ["x.md\r", "x.md\r\n", "x.md\n"] {
            let chain = chain(text, Whose::Git).unwrap();
            let ignored = chain.ignores(b"x.md", false, Case::Sensitive);
            assert_eq!(ignored, Some(true), "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_name_just_those_bytes() {
        let mut chain = Chain::default();
        chain
            .add(0, b"caf\xe9.md", Whose::Docent, &mut Held::default())
            .unwrap();
        let ignores = |path: &[u8]| chain.ignores(path, false, Case::Sensitive);
        assert_eq!(ignores(b"caf\xe9.md"), Some(true));
        assert_eq!(ignores("caf\u{fffd}.md".as_bytes()), None);
        let utf_16 = b"\xff\xfea\0\n\0";
        assert!(
            Chain::default()
                .add(0, utf_16, Whose::Git, &mut Held::default())
                .is_err()
        );
    }

    #[test]
    fn what_is_held_along_a_path_is_bounded() {
        let text: String = (0..1500).map(|n| format!("**/*a{n}*b*c*d*\n")).collect();
        let (mut chain, mut held) = (Chain::default(), Held::default());
        let files =
            (0..240).take_while(|_| chain.add(0, text.as_bytes(), Whose::Git, &mut held).is_ok());
        assert_eq!(files.count(), WILD_MAX / 1500);
        let literals: String = (0..1_000_000).map(|n| format!("{n}\n")).collect();
        assert!(
            chain
                .add(0, literals.as_bytes(), Whose::Git, &mut Held::default())
                .is_err()
        );
        let stars = "*a".repeat(STARS_MAX + 1);
        assert!(
            chain
                .add(0, stars.as_bytes(), Whose::Git, &mut Held::default())
                .is_err()
        );
    }
}
