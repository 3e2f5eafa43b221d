//! Patterns of files as the config has them: those of a `.gitignore`, and `{a,b}` for alternatives.
//!
//! [`Patterns`] alone decides whether a pattern can be used. The check of the config and the daemon both ask it.

use super::violation::quote;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::borrow::Cow;
use std::path::Path;
use thiserror::Error;

/// Patterns that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Patterns(Gitignore);

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} {what}; {remedy}", quote(.pattern))]
pub(crate) struct PatternError {
    /// The pattern; empty where each could be used but not all of them together.
    pub pattern: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl Patterns {
    /// Compiles patterns that are relative to one directory.
    ///
    /// # Errors
    /// The first pattern that cannot be used, or that could match nothing.
    pub(crate) fn new(patterns: &[String], any_case: bool) -> Result<Self, PatternError> {
        let builder = parsed(patterns, any_case)?;
        builder.build().map(Patterns).map_err(together)
    }

    /// Parses a pattern without compiling it, which takes much longer.
    ///
    /// # Errors
    /// The pattern cannot be used, or could match nothing.
    pub(crate) fn check(pattern: &str) -> Result<(), PatternError> {
        parsed(&[pattern.to_owned()], false).map(drop)
    }

    /// Whether the last pattern that matches a path names it (`Some(true)`) or, with a `!`, takes it out again.
    pub(crate) fn matched(&self, path: &Path, directory: bool) -> Option<bool> {
        match self.0.matched(path, directory) {
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
            Match::None => None,
        }
    }

    /// The pattern that names the file at `path`, as it is written.
    pub(crate) fn naming(&self, path: &Path) -> Option<&str> {
        match self.0.matched(path, false) {
            Match::Ignore(glob) => Some(glob.original()),
            Match::Whitelist(_) | Match::None => None,
        }
    }
}

fn parsed(patterns: &[String], any_case: bool) -> Result<GitignoreBuilder, PatternError> {
    let mut builder = GitignoreBuilder::new("");
    builder.case_insensitive(any_case).map_err(together)?;
    builder.allow_unclosed_class(false);
    for pattern in patterns {
        let refuse = |what: &str, remedy: &str| PatternError {
            pattern: pattern.clone(),
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        };
        if let Some((what, remedy)) = mistake(pattern).or_else(|| stray_backslash(pattern)) {
            return Err(refuse(what, remedy));
        }
        builder.add_line(None, &plain(pattern)).map_err(|error| {
            let what = format!("is not a pattern: {}", cause(&error));
            refuse(
                &what,
                "write one as in a .gitignore, such as \"docs/**/*.md\"",
            )
        })?;
    }
    Ok(builder)
}

/// The error of patterns each of which could be used.
fn together(error: ignore::Error) -> PatternError {
    PatternError {
        pattern: String::new(),
        what: format!("cannot be compiled together: {}", cause(&error)),
        remedy: "write fewer or simpler patterns".to_owned(),
    }
}

/// The pattern without a leading `./`, which means the directory that patterns are relative to.
fn plain(pattern: &str) -> Cow<'_, str> {
    let (not, rest) = match pattern.strip_prefix('!') {
        Some(rest) => ("!", rest),
        None => ("", pattern),
    };
    match rest.strip_prefix("./") {
        Some(rest) => Cow::Owned(format!("{not}/{rest}")),
        None => Cow::Borrowed(pattern),
    }
}

/// Why a pattern, in the words of a `.gitignore`, matches nothing or not what it seems to; and what to write.
pub(crate) fn mistake(pattern: &str) -> Option<(&'static str, &'static str)> {
    const EXAMPLE: &str = "write one such as \"docs/**/*.md\"";
    const DOWN: &str = "write it relative to its directory, without `.` and `..`";
    if pattern.trim().is_empty() || pattern.contains(['\n', '\r', '\0']) {
        return Some(("is not a pattern", EXAMPLE));
    }
    if pattern.starts_with('#') {
        let remedy = "write a backslash before the # if it begins a file name";
        return Some(("is a comment, not a pattern", remedy));
    }
    let escaped_end = pattern.ends_with("\\ ");
    if pattern.starts_with(char::is_whitespace)
        || (pattern.ends_with(char::is_whitespace) && !escaped_end)
    {
        let remedy = "leave the space out, or write a backslash before one at the end";
        return Some(("begins or ends with a space", remedy));
    }
    let plain = plain(pattern);
    let rest = plain.strip_prefix('!').unwrap_or(&plain);
    if rest.starts_with("~/") {
        let remedy = "write it relative to its directory";
        return Some(("needs a shell to expand it", remedy));
    }
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Some(("names no file", EXAMPLE));
    }
    for name in rest.split('/') {
        match name {
            "" => return Some(("has nothing between two slashes", EXAMPLE)),
            "." | ".." => return Some(("can match nothing: no path has such a part", DOWN)),
            _ => {}
        }
    }
    if rest.contains("***") {
        return Some(("has three stars in a row", "write * or **"));
    }
    None
}

/// A backslash before a character that needs none is likely meant to stand between two names.
fn stray_backslash(pattern: &str) -> Option<(&'static str, &'static str)> {
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c == '\\'
            && !matches!(
                rest.next(),
                Some('#' | '!' | ' ' | '\\' | '[' | ']' | '{' | '}')
            )
        {
            let remedy = "write / between names, and [*] or [?] for a star or question mark itself";
            return Some(("has a backslash where none is needed", remedy));
        }
    }
    None
}

fn cause(error: &ignore::Error) -> String {
    match error {
        ignore::Error::Glob { err, .. } => err.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &[&str]) -> Result<Patterns, PatternError> {
        let list: Vec<String> = list.iter().map(|p| (*p).to_owned()).collect();
        Patterns::new(&list, false)
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        let bad = [
            "",
            "  ",
            "#x",
            "a\nb",
            "{a",
            "[a",
            "[z-a]",
            "a\\",
            "/",
            "!",
            "!/",
            ".",
            "./",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a//b",
            "***",
            "a/***/b",
            " a",
            "a ",
            "~/a",
            "docs\\a.md",
            "docs\\*.md",
        ];
        for pattern in bad {
            assert!(patterns(&[pattern]).is_err(), "{pattern:?}");
        }
        let good = [
            "*.md",
            "docs/**",
            "!keep.md",
            "/top",
            "a b",
            "{a,b}.c",
            "\\#x",
            "docs/",
            "./docs/*.md",
            "a\\ ",
            "[*].md",
            "**",
            "a/**/b",
            ".hidden",
            "..md",
            "~x",
            "[]a]",
        ];
        for pattern in good {
            assert!(patterns(&[pattern]).is_ok(), "{pattern:?}");
        }
    }

    #[test]
    fn a_leading_dot_and_slash_stand_for_the_directory_itself() {
        let set = patterns(&["./docs/*.md", "!./docs/b.md"]).unwrap();
        let matched = |path: &str| set.matched(Path::new(path), false);
        assert_eq!(matched("docs/a.md"), Some(true));
        assert_eq!(matched("docs/b.md"), Some(false));
        assert_eq!(matched("x/docs/a.md"), None);
    }
}
