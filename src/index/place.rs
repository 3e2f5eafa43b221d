//! What the path of a document says of it: words to find it by, and what it is for.

use super::analyse::{each_term, identifier_pieces, is_stop_term};
use crate::document::{Kind, Role, is_page, kind_of, language_of, role_of};

/// Names of files that say nothing: the folder names what is in them.
const SAYS_NOTHING: &[&str] = &[
    "index",
    "mod",
    "main",
    "lib",
    "init",
    "__init__",
    "package-info",
    "readme",
];

/// A part of a word of so many bytes or more names it: `auth` is `authentication`.
const SHORT_FORM: usize = 3;

/// What a path says.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The terms of the file's name, without its extension.
    file: Box<[String]>,
    /// The terms of the folders' names.
    folders: Box<[String]>,
    pub(super) role: Option<Role>,
    /// It is for people to read, and no code.
    pub(super) page: bool,
    pub(super) kind: Option<Kind>,
    /// The programming language.
    pub(super) language: Option<&'static str>,
}

impl Place {
    pub(super) fn of(path: &[u8]) -> Self {
        let text = String::from_utf8_lossy(path);
        let mut names: Vec<&str> = text.split('/').collect();
        let file = names.pop().unwrap_or_default();
        let stem = match file.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => file,
        };
        let says_nothing = SAYS_NOTHING.contains(&stem.to_ascii_lowercase().as_str());
        let named = match names.last() {
            Some(folder) if says_nothing => folder,
            _ => stem,
        };
        Self {
            file: terms(&[named]),
            folders: terms(&names),
            role: Some(role_of(path)).filter(|role| *role != Role::Product),
            page: is_page(path),
            kind: kind_of(path),
            language: language_of(path),
        }
    }

    /// Which part of the words of the file's name is among `terms`, which are sorted: 0 to 1.
    pub(super) fn named_by(&self, terms: &[String]) -> f64 {
        let named = self.file.iter().filter(|word| is_meant(word, terms));
        named.count() as f64 / self.file.len().max(1) as f64
    }

    /// Which part of `terms` is among the words of the folders' names: 0 to 1.
    pub(super) fn folders_named_by(&self, terms: &[String]) -> f64 {
        let named = terms.iter().filter(|term| self.folders.contains(term));
        named.count() as f64 / terms.len().max(1) as f64
    }
}

/// Whether `word` is one of the terms, or the short or the long form of one.
fn is_meant(word: &str, terms: &[String]) -> bool {
    let form = |a: &str, b: &str| a.len() >= SHORT_FORM && b.starts_with(a);
    terms
        .iter()
        .any(|term| term == word || form(word, term) || form(term, word))
}

/// The distinct terms of names: of compound ones their pieces.
fn terms(names: &[&str]) -> Box<[String]> {
    let mut terms: Vec<String> = Vec::new();
    let mut note = |text: &str| {
        each_term(text, |term| {
            // A number counts or dates files; it does not say what they are about.
            let says = !is_stop_term(term) && !term.chars().all(char::is_numeric);
            if says && !terms.iter().any(|known| known == term) {
                terms.push(term.to_owned());
            }
            true
        });
    };
    for name in names {
        for part in name.split(|c: char| !c.is_alphanumeric()) {
            let pieces = identifier_pieces(part);
            if pieces.is_empty() {
                note(part);
            }
            for piece in pieces {
                note(&part[piece]);
            }
        }
    }
    terms.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_file_is_named_by_the_words_of_its_name() {
        let client = Place::of(b"src/http/HttpClient.rs");
        assert_eq!(client.named_by(&sorted(&["client", "http", "send"])), 1.0);
        assert_eq!(client.named_by(&sorted(&["client"])), 0.5);
        assert_eq!(client.folders_named_by(&sorted(&["client", "http"])), 0.5);
        assert_eq!(
            Place::of(b"routing/mod.rs").named_by(&sorted(&["rout"])),
            1.0
        );
        assert_eq!(Place::of(b"auth.py").named_by(&sorted(&["authent"])), 1.0);
        assert_eq!(Place::of(b"a.py").named_by(&sorted(&["authent"])), 0.0);
        assert_eq!(Place::of(b"").named_by(&[]), 0.0);
        let dated = Place::of(b"2024/7-notes.md");
        assert_eq!(dated.named_by(&sorted(&["7"])), 0.0);
        assert_eq!(dated.named_by(&sorted(&["note"])), 1.0);
        assert_eq!(dated.folders_named_by(&sorted(&["2024"])), 0.0);
    }
}
