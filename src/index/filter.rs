//! Which chunks a query looks at: those of its collection and of the files that it names, that contain its phrases.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use gix_glob::wildmatch::Mode;

use tantivy::query::{EnableScoring, PhraseQuery, Query as _};
use tantivy::{DocSet, InvertedIndexReader, TERMINATED, Term};

use super::analyse::LOOKAHEAD;
use super::chunks::{Address, Owner};
use super::phrase::Phrase;
use super::published::Published;
use super::segments::{Segment, Segments, each_block};
use crate::document::{Kind, LANGUAGES};

/// At most so many globs of one search, of so many bytes with so many stars each: what comparing takes may grow with each.
const GLOBS_MAX: usize = 32;
const GLOB_BYTES_MAX: usize = 1024;
const STARS_MAX: usize = 12;

/// Which files a search looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Within {
    /// Patterns of paths from the collection's root; what begins with `!` excludes.
    pub(super) paths: Vec<String>,
    /// Only files of this kind.
    pub(super) kind: Option<Kind>,
    /// Only files of this language.
    pub(super) language: Option<String>,
    /// Only of these collections.
    pub(super) collections: Option<Vec<String>>,
    /// Only these: collection and path.
    pub(super) files: Option<HashSet<(String, Vec<u8>)>>,
}

impl Within {
    /// Files by patterns of their paths, the word for their kind and that for their language.
    ///
    /// # Errors
    /// A pattern cannot be used, or there is no such kind or language; for people.
    pub(crate) fn new(
        paths: Vec<String>,
        kind: Option<&str>,
        language: Option<String>,
    ) -> Result<Self, String> {
        check(&paths)?;
        let no_kind = |word: &str| {
            let all = Kind::ALL.map(Kind::as_str).join(", ");
            format!("there is no kind `{word}`; the kinds are {all}")
        };
        let kind = kind.map(|word| Kind::parse(word).ok_or_else(|| no_kind(word)));
        let known = |word: &String| LANGUAGES.iter().any(|(name, _)| name == word);
        if let Some(word) = language.as_ref().filter(|word| !known(word)) {
            let all: Vec<&str> = LANGUAGES.iter().map(|(name, _)| *name).collect();
            let all = all.join(", ");
            return Err(format!(
                "there is no language `{word}`; the languages are {all}"
            ));
        }
        Ok(Self {
            paths,
            kind: kind.transpose()?,
            language,
            collections: None,
            files: None,
        })
    }

    /// The same, only of these collections, if some are given.
    #[must_use]
    pub(crate) fn only_of(mut self, collections: Option<Vec<String>>) -> Self {
        self.collections = collections;
        self
    }

    /// Whether what is beyond may not even be told of by a correction: its words stand elsewhere.
    pub(super) fn is_limited(&self) -> bool {
        self.collections.is_some()
    }

    /// `paths`: those that its patterns let through.
    fn lets_through<'a>(&self, owner: &'a Owner, paths: &mut Paths<'a>) -> bool {
        let place = || (owner.collection.as_ref().to_owned(), owner.path.to_vec());
        let language = self.language.as_deref();
        self.kind.is_none_or(|kind| owner.place.kind == Some(kind))
            && language.is_none_or(|language| owner.place.language == Some(language))
            && paths.lets_through(&owner.path)
            && self
                .collections
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| **name == *owner.collection))
            && self
                .files
                .as_ref()
                .is_none_or(|files| files.contains(&place()))
    }
}

/// The paths that patterns let through.
struct Paths<'a> {
    wanted: Globs<'a>,
    unwanted: Globs<'a>,
}

impl<'a> Paths<'a> {
    fn new(patterns: &'a [String]) -> Self {
        let is_unwanted = |pattern: &&String| pattern.starts_with('!');
        let wanted = patterns.iter().filter(|pattern| !is_unwanted(pattern));
        let unwanted = patterns.iter().filter(is_unwanted);
        Self {
            wanted: Globs::new(wanted.map(String::as_str)),
            unwanted: Globs::new(unwanted.map(|pattern| &pattern[1..])),
        }
    }

    /// Whether one of the patterns names `path`, if there are any, and none of those that exclude does.
    fn lets_through(&mut self, path: &'a [u8]) -> bool {
        (self.wanted.globs.is_empty() || self.wanted.name(path)) && !self.unwanted.name(path)
    }
}

/// Patterns, each of which names a path or a folder that it is in.
struct Globs<'a> {
    globs: Vec<&'a str>,
    /// Whether a folder is named, of those that were compared: most have many files.
    folders: HashMap<&'a [u8], bool>,
}

impl<'a> Globs<'a> {
    fn new(globs: impl Iterator<Item = &'a str>) -> Self {
        let globs = globs.map(|glob| glob.trim_start_matches("./").trim_matches('/'));
        Self {
            globs: globs.collect(),
            folders: HashMap::new(),
        }
    }

    /// Whether one of them names the path or a folder that it is in.
    fn name(&mut self, path: &'a [u8]) -> bool {
        !self.globs.is_empty() && (self.name_folder_of(path) || self.match_whole(path))
    }

    fn name_folder_of(&mut self, path: &'a [u8]) -> bool {
        let Some(end) = path.iter().rposition(|byte| *byte == b'/') else {
            return false;
        };
        let folder = &path[..end];
        if let Some(named) = self.folders.get(folder) {
            return *named;
        }
        let named = self.name(folder);
        self.folders.insert(folder, named);
        named
    }

    fn match_whole(&self, path: &[u8]) -> bool {
        let mode = Mode::NO_MATCH_SLASH_LITERAL;
        let mut globs = self.globs.iter();
        globs.any(|glob| gix_glob::wildmatch((*glob).into(), path.into(), mode))
    }
}

/// Whether patterns of paths can be used.
fn check(paths: &[String]) -> Result<(), String> {
    if paths.len() > GLOBS_MAX {
        return Err(format!("there are more than {GLOBS_MAX} patterns of paths"));
    }
    for path in paths {
        if path.trim_start_matches('!').is_empty() {
            return Err("a pattern of paths is empty; write for example docs/**".to_owned());
        }
        let stars = path.bytes().filter(|byte| *byte == b'*').count();
        if path.len() > GLOB_BYTES_MAX || stars > STARS_MAX {
            return Err(format!(
                "a pattern of paths is longer than {GLOB_BYTES_MAX} bytes or has more than {STARS_MAX} stars"
            ));
        }
    }
    Ok(())
}

impl Segments {
    /// The chunks of `collection` that each of `required` lets through, deleted ones among them; `None` means all.
    pub(super) fn filter<'a>(
        &self,
        collection: Option<&str>,
        required: impl Iterator<Item = &'a Filter>,
    ) -> io::Result<Option<Filter>> {
        let mut filter: Option<Filter> = None;
        if let Some(collection) = collection {
            let term = Term::from_field_bytes(self.fields.collection, collection.as_bytes());
            filter = Some(self.having(&term, |segment| &segment.collections)?);
        }
        for required in required {
            filter = Some(match filter {
                Some(filter) => filter.and(required),
                None => required.clone(),
            });
        }
        Ok(filter)
    }

    /// The chunks in which `phrase` may begin, deleted ones among them. Where it stands at the beginning of what follows a
    /// chunk, or is longer than what is known of that, only the text itself can tell.
    pub(super) fn with_phrase(&self, phrase: &Phrase) -> tantivy::Result<Filter> {
        let mut at = 0;
        let terms = phrase.parts.iter().take(LOOKAHEAD + 1).enumerate();
        let terms = terms.map(|(number, part)| {
            at += if number > 0 && part.spaced { 2 } else { 1 };
            (at, Term::from_field_text(self.fields.exact, &part.folded))
        });
        let terms: Vec<(usize, Term)> = terms.collect();
        match terms.as_slice() {
            [(_, term)] => Ok(self.having(term, |segment| &segment.exact)?),
            _ => self.containing(PhraseQuery::new_with_offset(terms)),
        }
    }

    /// The chunks that have `term` in the postings `of` each segment.
    fn having(
        &self,
        term: &Term,
        of: impl Fn(&Segment) -> &InvertedIndexReader,
    ) -> io::Result<Filter> {
        let mut by_place = self.per_doc(false);
        for (segment, having) in self.places.iter().zip(&mut by_place) {
            let Some(segment) = segment else { continue };
            each_block(of(segment), term, |postings| {
                for &doc in postings.docs() {
                    having[doc as usize] = true;
                }
            })?;
        }
        Ok(Filter { by_place })
    }

    /// The chunks that contain a phrase of two terms or more.
    fn containing(&self, phrase: PhraseQuery) -> tantivy::Result<Filter> {
        let weight = phrase.weight(EnableScoring::disabled_from_searcher(&self.searcher))?;
        let mut by_place = self.per_doc(false);
        for (segment, containing) in self.places.iter().zip(&mut by_place) {
            let Some(segment) = segment else { continue };
            let mut matches = weight.scorer(&segment.reader, 1.0)?;
            let mut doc = matches.doc();
            while doc != TERMINATED {
                containing[doc as usize] = true;
                doc = matches.advance();
            }
        }
        Ok(Filter { by_place })
    }
}

impl Published {
    /// The chunks of the files that `within` lets through, of those that `filter` does.
    pub(super) fn narrowed(&self, filter: Option<Filter>, within: &Within) -> Filter {
        let mut by_place = self.segments.per_doc(false);
        let mut paths = Paths::new(&within.paths);
        let mut last: Option<(&Arc<Owner>, bool)> = None;
        for slot in self.chunks.slots() {
            // The chunks of one file mostly lie side by side.
            let passes = match last {
                Some((owner, passes)) if Arc::ptr_eq(owner, &slot.owner) => passes,
                _ => within.lets_through(&slot.owner, &mut paths),
            };
            last = Some((&slot.owner, passes));
            if let Some(at) = slot.address.filter(|_| passes) {
                by_place[at.segment as usize][at.doc as usize] = true;
            }
        }
        let within = Filter { by_place };
        match filter {
            Some(filter) => within.and(&filter),
            None => within,
        }
    }
}

/// The chunks that are looked at.
#[derive(Clone)]
pub(super) struct Filter {
    by_place: Vec<Vec<bool>>,
}

impl Filter {
    pub(super) fn lets_through(&self, address: Address) -> bool {
        self.by_place[address.segment as usize][address.doc as usize]
    }

    /// The chunks that are let through.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> {
        (0..).zip(&self.by_place).flat_map(|(segment, passes)| {
            (0..)
                .zip(passes)
                .filter(|(_, passes)| **passes)
                .map(move |(doc, _)| Address { segment, doc })
        })
    }

    fn and(mut self, other: &Filter) -> Filter {
        let pairs = self.by_place.iter_mut().flatten();
        for (mine, other) in pairs.zip(other.by_place.iter().flatten()) {
            *mine &= other;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbers, open, replacement, text_chunk, words};
    use super::super::{Query, Replacement};
    use super::*;

    fn within(paths: &[&str]) -> Within {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Within::new(paths, None, None).unwrap()
    }

    #[test]
    fn patterns_count_from_the_root_and_a_folder_is_all_that_is_in_it() {
        for (paths, path, is) in [
            (&["docs/*.md"][..], "docs/a.md", true),
            (&["docs/*.md"], "docs/deep/a.md", false),
            (&["docs/**"], "docs/deep/a.md", true),
            (&["docs"], "docs/deep/a.md", true),
            (&["docs/"], "docs/a.md", true),
            (&["*.md"], "docs/a.md", false),
            (&["**/tests/**"], "a/tests/b.rs", true),
            (&["!docs"], "docs/a.md", false),
            (&["!docs"], "src/a.rs", true),
            (&["src", "docs", "!**/old"], "docs/old/a.md", false),
            (&["src", "docs", "!**/old"], "docs/a.md", true),
            (&[], "a.md", true),
        ] {
            let within = within(paths);
            let lets_through = Paths::new(&within.paths).lets_through(path.as_bytes());
            assert_eq!(lets_through, is, "{paths:?} {path}");
        }
    }

    #[test]
    fn what_a_pattern_says_of_a_folder_holds_for_that_folder_alone() {
        let within = within(&["docs", "src/*.rs", "!docs/old"]);
        let mut paths = Paths::new(&within.paths);
        for (path, is) in [
            ("docs/a.md", true),
            ("docs/b.md", true),
            ("docs/old/a.md", false),
            ("docs/old/b.md", false),
            ("docs/older/a.md", true),
            ("a.md", false),
            ("src/a.rs", true),
            ("src/a.md", false),
            ("src/b.rs", true),
            ("docs", true),
        ] {
            assert_eq!(paths.lets_through(path.as_bytes()), is, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        let refused = |path: String| Within::new(vec![path], None, None).unwrap_err();
        assert!(refused("!".to_owned()).contains("docs/**"));
        assert!(refused("*".repeat(13)).contains("12 stars"));
        let prose = Within::new(Vec::new(), Some("prose"), None).unwrap_err();
        assert!(prose.contains("markdown, text, code"));
        let rust = Within::new(Vec::new(), None, Some("Rust".to_owned())).unwrap_err();
        assert!(rust.contains("rust, python"));
    }

    #[test]
    fn files_are_filtered_before_the_best_hundred_are_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let mut batch: Vec<Replacement> = (0..250)
            .map(|d| replacement(d, [text_chunk(d.into(), "apple apple")]))
            .collect();
        let poor = text_chunk(1000, "an apple among many other words than that");
        batch.push(Replacement {
            path: Arc::from(&b"src/poor.rs"[..]),
            ..replacement(251, [poor])
        });
        index.apply(&batch, 1).unwrap();
        let of = |within: &Within| {
            let query = Query {
                within: Some(within),
                ..words("apple")
            };
            numbers(&index, &query)
        };
        assert_eq!(of(&within(&["src/**"])), [1000]);
        assert_eq!(of(&within(&["!*.md"])), [1000]);
        let code = Within::new(Vec::new(), Some("code"), Some("rust".to_owned())).unwrap();
        assert_eq!(of(&code), [1000]);
        let files = HashSet::from([("docs".to_owned(), b"src/poor.rs".to_vec())]);
        let files = Within {
            files: Some(files),
            ..Within::default()
        };
        assert_eq!(of(&files), [1000]);
        assert_eq!(of(&within(&["none"])), [0; 0]);
    }
}
