//! Which chunks a query looks at: those of its collection and of the files that it names, that contain its phrases.

use std::collections::{HashMap, HashSet};

use gix_glob::wildmatch::Mode;

use super::chunks::{Address, Owner, OwnersByAddress, Slot};
use super::contained::Containing;
use super::published::Published;
use crate::document::{Kind, LANGUAGES};
use crate::word::Word as _;

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
    /// Only these: of each collection the paths.
    pub(super) files: Option<Vec<(String, HashSet<Vec<u8>>)>>,
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
            let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            let all = all.join(", ");
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

    /// The same, only these files: of each collection the paths.
    #[must_use]
    pub(crate) fn only_files(mut self, files: Vec<(String, Vec<Vec<u8>>)>) -> Self {
        let files = files.into_iter();
        let files = files.map(|(collection, paths)| (collection, paths.into_iter().collect()));
        self.files = Some(files.collect());
        self
    }

    /// Whether what is beyond may not even be told of by a correction: its words stand elsewhere.
    pub(super) fn is_limited(&self) -> bool {
        self.collections.is_some()
    }

    /// `paths`: those that its patterns let through.
    fn lets_through<'a>(&self, owner: &'a Owner, paths: &mut Paths<'a>) -> bool {
        let collection = &*owner.collection;
        let language = self.language.as_deref();
        let is_among = |files: &Vec<(String, HashSet<Vec<u8>>)>| {
            let mut paths = files.iter().filter(|(name, _)| name == collection);
            paths.any(|(_, paths)| paths.contains(&*owner.path))
        };
        self.kind.is_none_or(|kind| owner.place.kind == Some(kind))
            && language.is_none_or(|language| owner.place.language == Some(language))
            && self
                .collections
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| name == collection))
            && self.files.as_ref().is_none_or(is_among)
            && paths.lets_through(&owner.path)
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
    globs: Vec<Glob<'a>>,
    /// Whether a folder is named, of those that were compared: most have many files.
    folders: HashMap<&'a [u8], bool>,
    /// The folder that was asked for last: most files lie beside the one before.
    last: Option<(&'a [u8], bool)>,
}

impl<'a> Globs<'a> {
    fn new(globs: impl Iterator<Item = &'a str>) -> Self {
        Self {
            globs: globs.map(Glob::new).collect(),
            folders: HashMap::new(),
            last: None,
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
        if let Some((_, named)) = self.last.filter(|(last, _)| *last == folder) {
            return named;
        }
        let named = match self.folders.get(folder) {
            Some(named) => *named,
            None => {
                let named = self.name(folder);
                self.folders.insert(folder, named);
                named
            }
        };
        self.last = Some((folder, named));
        named
    }

    fn match_whole(&self, path: &[u8]) -> bool {
        self.globs.iter().any(|glob| glob.matches(path))
    }
}

struct Glob<'a> {
    pattern: &'a str,
    /// What every path that matches begins with.
    literal: &'a [u8],
}

impl<'a> Glob<'a> {
    fn new(pattern: &'a str) -> Self {
        let pattern = pattern.trim_start_matches("./").trim_matches('/');
        // The root itself, which is the folder of everything.
        let pattern = if matches!(pattern, "" | ".") {
            "**"
        } else {
            pattern
        };
        let literal = pattern.split(['*', '?', '[', '\\']).next();
        Self {
            pattern,
            literal: literal.unwrap_or_default().as_bytes(),
        }
    }

    fn matches(&self, path: &[u8]) -> bool {
        let mode = Mode::NO_MATCH_SLASH_LITERAL;
        path.starts_with(self.literal)
            && gix_glob::wildmatch(self.pattern.into(), path.into(), mode)
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

impl Published {
    /// The files of `collection` that `within` lets through; `None` means all.
    pub(super) fn files(
        &self,
        collection: Option<&str>,
        within: Option<&Within>,
    ) -> Option<Decided<'_>> {
        if collection.is_none() && within.is_none() {
            return None;
        }
        let everywhere = Within::default();
        let within = within.unwrap_or(&everywhere);
        let mut paths = Paths::new(&within.paths);
        let owners = self.chunks.owners().iter();
        let looked_at = owners.map(|owner| {
            collection.is_none_or(|collection| *owner.collection == *collection)
                && within.lets_through(owner, &mut paths)
        });
        Some(Decided {
            looked_at: looked_at.collect(),
            by_address: self.chunks.owners_by_address(),
        })
    }
}

/// The files that are looked at: decided once for each, and not for each of its chunks.
pub(super) struct Decided<'a> {
    /// For each owner.
    looked_at: Vec<bool>,
    by_address: &'a OwnersByAddress,
}

impl Decided<'_> {
    fn have(&self, address: Address) -> bool {
        let owner = self.by_address.at(address);
        owner.is_some_and(|owner| self.looked_at[owner as usize])
    }
}

/// The chunks that are looked at: those of some files that contain the quoted parts that are required.
pub(super) struct Filter<'a> {
    /// `None` means all files.
    pub(super) files: Option<Decided<'a>>,
    /// `None` means that nothing is required.
    pub(super) containing: Option<Containing>,
}

impl Filter<'_> {
    /// Whether the chunk at `address` is looked at.
    pub(super) fn lets_through(&self, address: Address) -> bool {
        self.files.as_ref().is_none_or(|files| files.have(address))
            && self
                .containing
                .as_ref()
                .is_none_or(|containing| containing.has(address))
    }

    /// The same of a chunk of which all is known.
    pub(super) fn lets_slot_through(&self, slot: &Slot) -> bool {
        let looked_at = |files: &Decided<'_>| files.looked_at[slot.owner as usize];
        let has = |containing: &Containing| slot.address.is_some_and(|at| containing.has(at));
        self.files.as_ref().is_none_or(looked_at) && self.containing.as_ref().is_none_or(has)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

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
        let files = vec![("docs".to_owned(), vec![b"src/poor.rs".to_vec()])];
        assert_eq!(of(&Within::default().only_files(files)), [1000]);
        assert_eq!(of(&within(&["none"])), [0; 0]);
    }

    /// Paths of documents, some of which are in the same folders.
    const PATHS: [&str; 6] = [
        "a.md",
        "docs/a.md",
        "docs/b.rs",
        "docs/old/c.rs",
        "src/d.rs",
        "src/e.py",
    ];

    fn document(number: u8, chunks: u64, first: u64) -> Replacement {
        let chunks = (first..first + chunks).map(|number| text_chunk(number, "apple"));
        Replacement {
            collection: Arc::from(if number.is_multiple_of(2) {
                "even"
            } else {
                "odd"
            }),
            path: Arc::from(PATHS[usize::from(number) % PATHS.len()].as_bytes()),
            ..replacement(number, chunks)
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_it_matches_without_its_beginning(
            glob in "(\\./)?[ab*?/\\[\\]\\\\]{1,8}",
            path in "[ab/]{1,8}",
        ) {
            let pattern = glob.trim_start_matches("./").trim_matches('/');
            prop_assume!(!pattern.is_empty());
            let mode = Mode::NO_MATCH_SLASH_LITERAL;
            let matches = gix_glob::wildmatch(pattern.into(), path.as_str().into(), mode);
            prop_assert_eq!(Glob::new(&glob).matches(path.as_bytes()), matches);
        }
    }

    #[test]
    fn the_root_is_the_folder_of_everything() {
        for glob in [".", "./", "/", "././"] {
            assert!(Glob::new(glob).matches(b"docs/a.md"), "{glob}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn a_file_is_decided_as_each_of_its_chunks(
            changes in prop::collection::vec((0..12_u8, 0..4_u64), 1..40),
            batch in 5..20_usize,
            paths in prop::sample::subsequence(vec!["docs", "*.md", "src/*.rs", "!docs/old", "!**/*.py"], 0..4),
            kind in prop::option::of(Just("code")),
            collection in prop::option::of(Just("odd")),
            listed in prop::option::of(0..12_u8),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let index = open(folder.path()).index;
            for (step, changes) in (0..).zip(changes.chunks(batch)) {
                let changes = (0..).zip(changes);
                let changes = changes.map(|(at, (n, chunks))| document(*n, *chunks, step * 1000 + at * 10));
                index.apply(&changes.collect::<Vec<_>>(), step).unwrap();
            }
            let paths = paths.into_iter().map(str::to_owned).collect();
            let mut within = Within::new(paths, kind, None).unwrap();
            if let Some(listed) = listed {
                let listed = [document(listed, 0, 0), document(listed / 2, 0, 0)];
                let files = listed.map(|d| (d.collection.to_string(), vec![d.path.to_vec()]));
                within = within.only_files(files.to_vec());
            }

            let published = index.published();
            let filter = Filter {
                files: published.files(collection, Some(&within)),
                containing: None,
            };
            for slot in published.chunks.slots() {
                let owner = published.chunks.owner(slot);
                let passes = collection.is_none_or(|collection| *owner.collection == *collection)
                    && within.lets_through(owner, &mut Paths::new(&within.paths));
                prop_assert_eq!(filter.lets_slot_through(slot), passes);
                prop_assert_eq!(filter.lets_through(slot.address.unwrap()), passes);
            }
            // A deleted chunk is of no file.
            let segments = &published.segments;
            for (segment, docs) in (0..).zip(segments.per_doc(())) {
                let addresses = (0..docs.len() as u32).map(|doc| Address { segment, doc });
                for deleted in addresses.filter(|address| !segments.is_alive(*address)) {
                    prop_assert!(!filter.lets_through(deleted));
                }
            }
        }
    }
}
