//! The order of what both legs found: each chunk's score is multiplied by what else speaks for it or against it.
//!
//! `docs/search.md` explains every factor to users; the two must agree. Everything here depends on the query and on the content
//! of the index alone.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::DocumentId;
use super::analyse::Terms;
use super::chunks::{Owner, Slot};
use super::keyword::Scores;
use super::published::Published;
use super::query::{Boost, Candidate, KEYWORD_WEIGHT, Query, VECTOR_WEIGHT};
use super::signals::Signals;
use super::symbols::folded;
use super::wording::Wording;
use crate::document::Role;

/// The best chunk of a file is raised by this part if the file has so many further ones that are as good as the best of all, and
/// by less if they are fewer or less good. Those that score less than a part of the best do not count: a long file has many.
const FILE: f64 = 0.18;
const FILE_CHUNKS: usize = 4;
const FILE_LEAST: f64 = 0.8;
/// A file all of whose name is in the query.
const PATH: f64 = 0.5;
/// A file whose folders' names have all of the query.
const FOLDERS: f64 = 0.1;
/// A chunk that defines a type, or a function or a value, that the query names. Any word may be the name of a function; one
/// that is written as a name is meant as one.
const DEFINES_TYPE: f64 = 2.0;
const DEFINES_FUNCTION: f64 = 1.5;
const MAY_BE_A_WORD: f64 = 0.5;
/// The part of it where the name is one word of a sentence, and where it is not in what is written before it.
const IN_A_SENTENCE: f64 = 0.4;
const ELSEWHERE: f64 = 0.6;
/// A section whose heading is the query. A heading that has most of it has other words too, and counts much less: half a heading
/// says nothing.
const TITLE: f64 = 1.0;
const TITLE_FALL: i32 = 4;
/// A chunk that has the wording of the query. Any text has some of the pairs of words of a long question: a part counts much less.
const WORDING: f64 = 2.0;
const WORDING_FALL: i32 = 3;
/// A chunk that has a quoted part of the query.
const QUOTED: f64 = 1.0;
/// Files that are not the thing itself, unless the query speaks of them.
const TEST: f64 = 0.5;
const EXAMPLE: f64 = 0.5;
const FOREIGN: f64 = 0.5;
const RECORD: f64 = 0.5;
/// Pages for people, where the query is a name of code.
const PAGE: f64 = 0.7;
/// Each further chunk of a file, compared with the one before it.
const AGAIN: f64 = 0.5;
/// So many chunks of a file stand among the others; the rest come after them.
const OF_ONE_FILE: usize = 2;
/// What scores less than this part of the best score, both without factors, is not worth listing after it: on the sets that the
/// score was measured with, nothing that was wanted among the first ten lies below.
pub(super) const WORTH_LISTING: f64 = 0.45;

/// What a query says that speaks of such files. Words that say something else as often, such as "specify", "generate" and "release",
/// are not among it.
const OF_TESTS: &[&str] = &[
    "test",
    "tests",
    "testing",
    "tested",
    "spec",
    "specs",
    "fixture",
    "fixtures",
    "mock",
    "mocks",
    "mocked",
    "mocking",
    "assertion",
    "assertions",
    "snapshot",
    "snapshots",
    "e2e",
];
const OF_EXAMPLES: &[&str] = &[
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "bench",
    "benches",
    "benchmark",
    "benchmarks",
    "usage",
];
const OF_FOREIGN: &[&str] = &[
    "vendor",
    "vendored",
    "third party",
    "thirdparty",
    "node modules",
    "dist",
    "generated",
    "compat",
    "compatibility",
    "legacy",
    "deprecated",
    "deprecation",
    "polyfill",
    "polyfills",
];
const OF_RECORDS: &[&str] = &[
    "changelog",
    "changelogs",
    "changes",
    "change log",
    "release notes",
    "license",
    "licenses",
    "licence",
    "copying",
    "notice",
    "news",
    "history",
    "contributing",
    "contributors",
    "authors",
];

/// A candidate on its way to its place.
struct Ranked<'a> {
    candidate: Candidate,
    slot: &'a Slot,
    owner: &'a Owner,
    /// The score without any factor.
    base: f64,
}

/// What ranks the chunks of one query.
pub(super) struct Ranking<'a> {
    pub(super) published: &'a Published,
    pub(super) query: &'a Query<'a>,
    pub(super) terms: &'a Terms,
    pub(super) scores: &'a Scores,
    pub(super) signals: &'a Signals,
    pub(super) wording: &'a Wording,
}

impl Ranking<'_> {
    /// The chunks in `slots` in their order, and the best score that one has without any factor.
    pub(super) fn order(&self, slots: impl Iterator<Item = usize>) -> (Vec<Candidate>, f64) {
        let mut ranked: Vec<Ranked<'_>> = slots.map(|slot| self.rated(slot)).collect();
        let best = ranked.iter().map(|r| r.base).fold(0.0, f64::max);
        ranked.sort_unstable_by(best_first);
        raise_files(&mut ranked, best);
        for chunk in &mut ranked {
            self.raise(chunk);
        }
        ranked.sort_unstable_by(best_first);
        fall_behind(&mut ranked);
        ranked.sort_unstable_by(best_first);
        let ordered = few_of_one_file(ranked, WORTH_LISTING * best);
        (ordered, best)
    }

    /// The chunk in `slot` with the scores of both legs, whichever found it.
    fn rated(&self, slot: usize) -> Ranked<'_> {
        let chunk = &self.published.chunks.slots()[slot];
        let owner = self.published.chunks.owner(chunk);
        let keyword = chunk.address.map_or(0.0, |address| self.scores.at(address));
        let vectors = self.published.chunks.vectors();
        let cosine = self
            .query
            .vector
            .and_then(|vector| vectors.cosine(vector, slot))
            .unwrap_or(0.0);
        let share = match self.scores.bound {
            bound if bound > 0.0 => keyword / bound,
            _ => 0.0,
        };
        let base = KEYWORD_WEIGHT * share + VECTOR_WEIGHT * f64::from(cosine);
        let candidate = Candidate {
            number: chunk.number,
            document: owner.document,
            score: base,
            keyword,
            cosine,
            boosts: Vec::new(),
            quoted: self.signals.quoted_in(chunk.address),
            more: 0,
        };
        Ranked {
            candidate,
            slot: chunk,
            owner,
            base,
        }
    }

    /// Multiplies the score by every factor of the chunk itself.
    fn raise(&self, chunk: &mut Ranked<'_>) {
        let place = &chunk.owner.place;
        let terms = &self.terms.scored;
        let path = 1.0 + PATH * place.named_by(terms) + FOLDERS * place.folders_named_by(terms);
        chunk.multiply("path", path);
        chunk.multiply("definition", 1.0 + self.defines(chunk));
        if let Some(address) = chunk.slot.address {
            let segments = &self.published.segments;
            let same = self.wording.share(address).powi(WORDING_FALL);
            chunk.multiply("wording", 1.0 + WORDING * same);
            let titled = self.signals.titled(segments, address);
            let worth = (2.0 * titled - 1.0).max(0.0).powi(TITLE_FALL);
            chunk.multiply("title", 1.0 + TITLE * worth);
            if !self.terms.all_quoted {
                let count = chunk.candidate.quoted.len();
                let all = self.signals.quoted.len().max(1);
                chunk.multiply("quoted", 1.0 + QUOTED * count as f64 / all as f64);
            }
        }
        let (name, factor) = self.kind(chunk);
        chunk.multiply(name, factor);
    }

    /// What it is worth that the chunk defines a name of the query.
    fn defines(&self, chunk: &Ranked<'_>) -> f64 {
        let Some(address) = chunk.slot.address else {
            return 0.0;
        };
        let part = if self.terms.symbols.alone {
            1.0
        } else {
            IN_A_SENTENCE
        };
        let mut most: f64 = 0.0;
        for definers in &self.signals.definers {
            let Some(defines) = definers.chunks.get(&address) else {
                continue;
            };
            let mut worth = part
                * match (defines.as_type, definers.symbol.certain) {
                    (true, _) => DEFINES_TYPE,
                    (false, true) => DEFINES_FUNCTION,
                    (false, false) => MAY_BE_A_WORD,
                };
            let is_elsewhere = definers.symbol.within.as_ref().is_some_and(|within| {
                let path = String::from_utf8_lossy(&chunk.owner.path);
                !defines.within && !folded(&path).contains(within.as_str())
            });
            if is_elsewhere {
                worth *= ELSEWHERE;
            }
            most = most.max(worth);
        }
        most
    }

    /// The factor of the kind of file that the chunk is in.
    fn kind(&self, chunk: &Ranked<'_>) -> (&'static str, f64) {
        let place = &chunk.owner.place;
        let speaks_of = |phrases: &[&str]| {
            let words = &self.terms.words;
            let says = |phrase: &&str| {
                let count = phrase.split(' ').count();
                let mut rows = words.windows(count);
                rows.any(|row| row.iter().map(String::as_str).eq(phrase.split(' ')))
            };
            phrases.iter().any(says)
        };
        match place.role {
            Some(Role::Test) if !speaks_of(OF_TESTS) => ("test", TEST),
            Some(Role::Example) if !speaks_of(OF_EXAMPLES) => ("example", EXAMPLE),
            Some(Role::Foreign) if !speaks_of(OF_FOREIGN) => ("foreign", FOREIGN),
            Some(Role::Record) if !speaks_of(OF_RECORDS) => ("record", RECORD),
            _ if place.page && self.is_name_of_code() => ("page", PAGE),
            _ => ("", 1.0),
        }
    }

    /// Whether the query is a name, and one that is written as only names are or that some code defines.
    fn is_name_of_code(&self) -> bool {
        let symbols = &self.terms.symbols;
        let defined = || self.signals.definers.iter().any(|d| !d.chunks.is_empty());
        symbols.alone && !symbols.names.is_empty() && (symbols.certain || defined())
    }
}

impl Ranked<'_> {
    /// Takes note of a factor. A score that is not above 0 has nothing that could be raised.
    fn multiply(&mut self, name: &'static str, factor: f64) {
        if factor != 1.0 && self.base > 0.0 {
            self.candidate.score *= factor;
            self.candidate.boosts.push(Boost { name, factor });
        }
    }
}

/// Raises the best chunk of each file by its further good ones; `ranked` is in the order of the scores, of which `best` is the
/// first.
fn raise_files(ranked: &mut [Ranked<'_>], best: f64) {
    let mut further: HashMap<DocumentId, (usize, f64)> = HashMap::new();
    for chunk in ranked.iter() {
        let Some((count, sum)) = further.get_mut(&chunk.candidate.document) else {
            further.insert(chunk.candidate.document, (0, 0.0));
            continue;
        };
        if *count < FILE_CHUNKS && chunk.base >= FILE_LEAST * best {
            *count += 1;
            *sum += chunk.base;
        }
    }
    for chunk in ranked {
        // The first of a file is its best.
        if let Some((_, sum)) = further.remove(&chunk.candidate.document)
            && best > 0.0
        {
            chunk.multiply("file", 1.0 + FILE * sum / (FILE_CHUNKS as f64 * best));
        }
    }
}

/// The second chunk of a file counts less, the third still less, and so on; `ranked` is in the order of the scores.
fn fall_behind(ranked: &mut [Ranked<'_>]) {
    let mut seen: HashMap<DocumentId, i32> = HashMap::new();
    for chunk in ranked {
        let before = seen.entry(chunk.candidate.document).or_default();
        chunk.multiply("again", AGAIN.powi(*before));
        *before += 1;
    }
}

/// Puts all but the first chunks of each file behind the others; the first of a file is told how many of them score `least`.
fn few_of_one_file(ranked: Vec<Ranked<'_>>, least: f64) -> Vec<Candidate> {
    let mut files: HashMap<DocumentId, (usize, u32)> = HashMap::new();
    let (mut first, mut behind) = (Vec::new(), Vec::new());
    for chunk in ranked {
        let (seen, more) = files.entry(chunk.candidate.document).or_default();
        *seen += 1;
        if *seen <= OF_ONE_FILE {
            first.push(chunk.candidate);
        } else {
            *more += u32::from(chunk.base >= least);
            behind.push(chunk.candidate);
        }
    }
    for candidate in &mut first {
        candidate.more = files
            .remove(&candidate.document)
            .map_or(0, |(_, more)| more);
    }
    first.extend(behind);
    first
}

/// By score, then keyword score, collection, path and line. The number decides between pieces of one line only.
fn best_first(a: &Ranked<'_>, b: &Ranked<'_>) -> Ordering {
    let place = |slot: &Slot| (slot.first_line, slot.number);
    let (first, second) = (&a.candidate, &b.candidate);
    second
        .score
        .total_cmp(&first.score)
        .then_with(|| second.keyword.total_cmp(&first.keyword))
        .then_with(|| a.owner.collection.cmp(&b.owner.collection))
        .then_with(|| a.owner.path.cmp(&b.owner.path))
        .then_with(|| place(a.slot).cmp(&place(b.slot)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{open, replacement, text_chunk, words};
    use super::super::{Index, Replacement};
    /// Words that fill a text and are in no query.
    const FILL: &str = "zero one two three four five six seven eight nine";

    /// A document of chunks with a heading and a text each; their numbers begin at a hundred times its own.
    fn document(number: u8, path: &str, chunks: &[(&str, &str)]) -> Replacement {
        let chunks = (0..).zip(chunks).map(|(at, (heading, text))| {
            let mut chunk = text_chunk(u64::from(number) * 100 + at, text);
            chunk.heading = (*heading).to_owned();
            chunk.first_line = at as u32 + 1;
            chunk
        });
        Replacement {
            path: Arc::from(path.as_bytes()),
            ..replacement(number, chunks.collect::<Vec<_>>())
        }
    }

    /// Numbers, best first, with the factors of each, of a search among these documents.
    fn found(documents: &[Replacement], text: &str) -> Vec<(u64, Vec<&'static str>, u32)> {
        let folder = tempfile::tempdir().unwrap();
        let index: Index = open(folder.path()).index;
        // So many others that every word of a query is rare.
        let others = (0..40).map(|n| document(200 + n, &format!("other/{n}.dat"), &[("", FILL)]));
        let batch: Vec<Replacement> = documents.iter().cloned().chain(others).collect();
        index.apply(&batch, 1).unwrap();
        let found = index.search(&words(text)).unwrap();
        let shown = found.candidates.into_iter().map(|c| {
            let names = c.boosts.iter().map(|boost| boost.name).collect();
            (c.number, names, c.more)
        });
        shown.collect()
    }

    fn order(documents: &[Replacement], text: &str) -> Vec<u64> {
        found(documents, text)
            .into_iter()
            .map(|(number, ..)| number)
            .collect()
    }

    #[test]
    fn several_good_chunks_raise_the_best_one_of_their_file() {
        let text = "a parked agent restarts";
        let files = [
            document(1, "a.dat", &[("", text)]),
            document(2, "b.dat", &[("", text), ("", text), ("", "restarts")]),
        ];
        let found = found(&files, "parked agent restarts");
        assert_eq!((found[0].0, found[1].0), (200, 100));
        assert!(found[0].1.contains(&"file"), "{found:?}");
    }

    #[test]
    fn words_of_a_path_raise_what_is_in_it() {
        let text = "the queue retries a delivery";
        let files = [
            document(1, "a/b.dat", &[("", text)]),
            document(2, "a/RetryQueue.dat", &[("", text)]),
            document(3, "queue/x.dat", &[("", text)]),
        ];
        let found = found(&files, "retry queue");
        let numbers: Vec<u64> = found.iter().map(|f| f.0).collect();
        assert_eq!(numbers, [200, 300, 100]);
        assert!(found[0].1.contains(&"path") && !found[2].1.contains(&"path"));
    }

    #[test]
    fn what_defines_a_name_goes_before_what_only_uses_it() {
        let uses = "let a = parse_url(x);";
        let files = [
            document(1, "a.rs", &[("a.rs", uses)]),
            document(
                2,
                "b.rs",
                &[("b.rs", &format!("fn parse_url(x: &str) {{\n{FILL}\n}}"))],
            ),
        ];
        assert_eq!(order(&files, "parse_url"), [200, 100]);
        assert_eq!(
            order(&files, "ParseUrl"),
            [200, 100],
            "conventions differ in case and underscores"
        );
        assert_eq!(order(&files, "what does parse_url take"), [200, 100]);
        let found = found(&files, "parse_url");
        assert!(found[0].1.contains(&"definition"));
    }

    #[test]
    fn a_type_goes_before_a_function_and_what_is_written_before_a_name_counts() {
        let files = [
            document(1, "a.py", &[("a.py", "def Session(x):\n    pass")]),
            document(2, "b.py", &[("b.py", "class Session(x):\n    pass")]),
        ];
        assert_eq!(order(&files, "Session"), [200, 100]);
        let send = "fn send(x: u8) {}";
        let files = [
            document(1, "a.rs", &[("a.rs > impl Other", send)]),
            document(2, "b.rs", &[("b.rs > impl HttpClient", send)]),
        ];
        assert_eq!(order(&files, "HttpClient::send")[0], 200);
        assert_eq!(order(&files, "Other::send")[0], 100);
    }

    #[test]
    fn a_query_that_is_a_heading_finds_its_section_first() {
        let files = [
            document(
                1,
                "a.md",
                &[(
                    "Guide > Use",
                    "restart parked agents, restart a parked agent",
                )],
            ),
            document(
                2,
                "b.md",
                &[("Guide > Restart a parked agent", &format!("{FILL} agent"))],
            ),
        ];
        let found = found(&files, "restart a parked agent");
        assert_eq!(found[0].0, 200);
        assert!(found[0].1.contains(&"title") && !found[1].1.contains(&"title"));
    }

    #[test]
    fn a_quoted_part_among_other_words_raises_what_has_it() {
        let files = [
            document(1, "a.dat", &[("", "brown quick fox agent")]),
            document(2, "b.dat", &[("", "quick brown fox agent")]),
        ];
        assert_eq!(order(&files, "quick brown"), [100, 200]);
        assert_eq!(order(&files, "agent \"quick brown\""), [200, 100]);
        assert_eq!(order(&files, "\"quick brown\""), [200]);
    }

    #[test]
    fn what_is_not_the_thing_itself_falls_back_unless_it_is_meant() {
        let text = "the queue retries";
        for (path, name, query) in [
            ("tests/a.dat", "test", "how tests use the queue"),
            ("examples/a.dat", "example", "example of the queue"),
            ("vendor/a.dat", "foreign", "vendored queue"),
            ("CHANGELOG.txt", "record", "changes of the queue"),
            (
                "third_party/a.dat",
                "foreign",
                "the third party that has the queue",
            ),
            ("NEWS", "record", "NEWS of the queue"),
        ] {
            let files = [
                document(1, path, &[("", text)]),
                document(2, "z.dat", &[("", text)]),
            ];
            assert_eq!(order(&files, "the queue retries"), [200, 100], "{path}");
            assert_eq!(order(&files, query)[0], 100, "{query}");
            assert!(found(&files, "the queue retries")[1].1.contains(&name));
            // Words that only begin as those do that mean such files.
            for other in ["specify", "authorize", "generate", "release", "special"] {
                let query = format!("{other} the queue");
                assert_eq!(order(&files, &query), [200, 100], "{path}: {query}");
            }
        }
    }

    #[test]
    fn a_page_in_a_folder_that_is_named_like_tests_or_samples_does_not_fall_behind_code() {
        let text = "the queue retries";
        for path in ["specs/retry.md", "docs/testing/a.md", "docs/samples/a.rst"] {
            let files = [
                document(1, path, &[("", text)]),
                document(2, "z.rs", &[("", text)]),
            ];
            let found = found(&files, "how the queue retries");
            assert!(found.iter().all(|(_, names, _)| !names.contains(&"test")));
            assert!(
                found
                    .iter()
                    .all(|(_, names, _)| !names.contains(&"example"))
            );
            assert_eq!(found[0].0, 100, "{path}");
        }
    }

    #[test]
    fn a_page_falls_back_where_the_query_is_a_name_of_code() {
        let files = [
            document(1, "a.md", &[("Page", "readBlock readBlock of it")]),
            document(2, "b.dat", &[("", &format!("readBlock readBlock {FILL}"))]),
        ];
        assert_eq!(order(&files, "readBlock"), [200, 100]);
        assert_eq!(order(&files, "block of readBlock"), [100, 200]);
    }

    #[test]
    fn of_one_file_two_chunks_stand_before_others_and_the_rest_is_counted() {
        let good = ("", "a parked agent restarts");
        let files = [
            document(1, "a.dat", &[good; 5]),
            document(2, "b.dat", &[("", &format!("agent {FILL} {FILL}"))]),
        ];
        let found = found(&files, "parked agent restarts");
        let numbers: Vec<u64> = found.iter().map(|f| f.0).collect();
        assert_eq!(numbers, [100, 101, 200, 102, 103, 104]);
        let more: Vec<u32> = found.iter().map(|f| f.2).collect();
        assert_eq!(more, [3, 0, 0, 0, 0, 0]);
        assert!(found[1].1.contains(&"again"));
    }
}
