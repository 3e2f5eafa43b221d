//! One search over keywords and vectors, as measured in the design: 0.55 · keywords + 0.45 · vectors, and what `rank` makes of it.

use std::collections::{BTreeSet, HashSet};

use super::analyse::{Terms, query_terms};
use super::best::Best;
use super::chunks::Address;
use super::contained::Containing;
use super::error::IndexError;
use super::filter::Filter;
use super::keyword::Scores;
use super::published::Published;
use super::query::{Candidate, Query};
use super::rank::Ranking;
use super::signals::Signals;
use super::wording::Wording;
use crate::embed::Quantised;

/// The least score of a chunk that is about a query of [`LEAST_SCORE_TERMS`] terms, among up to a thousand chunks.
const LEAST_SCORE: f64 = 0.27;
/// By how much it rises with every tenfold of chunks: among more of them, more are alike by accident.
const LEAST_SCORE_STEP: f64 = 0.03;
/// The most that it rises to.
const LEAST_SCORE_MAX: f64 = 0.36;
/// By how much it falls with the logarithm of the query's terms: of many words a chunk has a smaller part.
const LEAST_SCORE_FALL: f64 = 0.03;
const LEAST_SCORE_TERMS: f64 = 4.0;

/// Which legs took part in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Legs {
    /// The query has words, or a quoted part.
    pub keyword: bool,
    /// The query has a vector.
    pub vector: bool,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// The chunks, best first.
    pub candidates: Vec<Candidate>,
    pub legs: Legs,
    /// Whether the best of them scores so high that the topic of the query is likely to be there at all.
    pub about: bool,
    /// The keyword score that no chunk can exceed.
    pub bound: f64,
    /// The position of the store's feed that the index stood at.
    pub position: u64,
    /// The query is longer than [`MAX_QUERY_BYTES`](super::analyse::MAX_QUERY_BYTES) or
    /// [`MAX_QUERY_TERMS`](super::analyse::MAX_QUERY_TERMS): a part of it was not looked for.
    pub cut: bool,
}

/// Searches one published state.
pub(super) fn search(published: &Published, query: &Query<'_>) -> Result<Found, IndexError> {
    let terms = query_terms(query.text);
    let having = quoted(published, &terms, query.refuted)
        .map_err(IndexError::keyword("look for quoted parts"))?;
    let required = terms.phrases.iter().zip(&having);
    let required = required.filter(|(phrase, _)| terms.requires(phrase, query.exact));
    let looking = Looking {
        published,
        terms: &terms,
        filter: Filter {
            files: published.files(query.collection, query.within),
            containing: Containing::all(required.map(|(_, having)| having)),
        },
        quoted: !terms.phrases.is_empty() && (query.exact || terms.all_quoted),
    };

    let Keywords {
        scores,
        signals,
        mut slots,
    } = looking.keywords(having)?;
    if let Some(vector) = query.vector {
        slots.extend(looking.nearest(vector));
    }
    let addresses = slots
        .iter()
        .filter_map(|slot| published.chunks.slots()[*slot].address);
    let wording = Wording::read(&published.segments, terms.verbatim.as_ref(), addresses)
        .map_err(IndexError::keyword("compare the wording"))?;
    let ranking = Ranking {
        published,
        query,
        terms: &terms,
        scores: &scores,
        signals: &signals,
        wording: &wording,
    };
    let (mut candidates, best) = ranking.order(slots.into_iter());
    let any = !candidates.is_empty();
    candidates.truncate(query.limit);
    // Whoever asks for just what stands in a chunk is not told that it is not here.
    let is_verbatim = || -> Result<bool, IndexError> {
        let Some(phrase) = &terms.verbatim else {
            return Ok(false);
        };
        let containing = published.segments.with_phrase(phrase);
        let containing =
            containing.map_err(IndexError::keyword("look for the query as it stands"))?;
        let chunks = &published.chunks;
        let mut slots = candidates.iter().filter_map(|c| chunks.slot(c.number));
        Ok(slots.any(|slot| {
            let address = chunks.slots()[slot].address;
            address.is_some_and(|address| containing.has(address))
        }))
    };
    let scores_well = best >= least_score(published.segments.alive, &terms);
    let quoted = looking.quoted;
    Ok(Found {
        about: any && (quoted || scores_well || is_verbatim()?),
        candidates,
        legs: Legs {
            keyword: quoted || !terms.scored.is_empty(),
            vector: query.vector.is_some(),
        },
        bound: scores.bound,
        position: published.position,
        cut: terms.cut,
    })
}

/// For each quoted part, the chunks that have it; without those that are known not to.
fn quoted(
    published: &Published,
    terms: &Terms,
    refuted: &[HashSet<u64>],
) -> tantivy::Result<Vec<Containing>> {
    let phrases = terms.phrases.iter();
    let having = phrases.map(|phrase| published.segments.with_phrase(phrase));
    let mut having: Vec<Containing> = having.collect::<tantivy::Result<_>>()?;
    let chunks = &published.chunks;
    for (having, refuted) in having.iter_mut().zip(refuted) {
        let slots = refuted.iter().filter_map(|number| chunks.slot(*number));
        let addresses = slots.filter_map(|slot| chunks.slots()[slot].address);
        addresses.for_each(|address| having.remove(address));
    }
    Ok(having)
}

/// A search on its way.
struct Looking<'a> {
    published: &'a Published,
    terms: &'a Terms,
    /// The chunks that are looked at.
    filter: Filter<'a>,
    /// They have the quoted parts of the query, and need none of its words.
    quoted: bool,
}

/// What the keyword index knows of a query.
struct Keywords {
    scores: Scores,
    signals: Signals,
    /// The slots of the best by keywords, of what defines a name of the query and of what has a quoted part of it.
    slots: BTreeSet<usize>,
}

impl Looking<'_> {
    /// Looks for the words and names of the query. `having`: the chunks that have each quoted part.
    fn keywords(&self, having: Vec<Containing>) -> Result<Keywords, IndexError> {
        let segments = &self.published.segments;
        let scores = segments
            .scores(&self.terms.scored)
            .map_err(IndexError::keyword("score the chunks"))?;
        let signals = Signals::read(segments, self.terms, having)
            .map_err(IndexError::keyword("look at names and titles"))?;
        let slots = self.candidates(&scores, &signals);
        Ok(Keywords {
            scores,
            signals,
            slots,
        })
    }

    /// The slots of what either says.
    fn candidates(&self, scores: &Scores, signals: &Signals) -> BTreeSet<usize> {
        let mut slots = match &self.filter.containing {
            // What has the quoted parts is found, whatever else of the query it has.
            Some(containing) if self.quoted => {
                let addresses = containing.addresses();
                self.best_by_keywords(addresses.map(|at| (at, scores.at(at))))
            }
            _ => self.best_by_keywords(scores.matches()),
        };
        let mut add = |addresses: &mut dyn Iterator<Item = Address>| {
            let scored = addresses.map(|at| (at, scores.at(at)));
            slots.extend(self.best_by_keywords(scored));
        };
        for definers in &signals.definers {
            add(&mut definers.chunks.keys().copied());
        }
        if !self.quoted {
            for containing in &signals.quoted {
                add(&mut containing.addresses());
            }
        }
        slots
    }

    /// The slots of the best by keywords that the filter lets through. A chunk that [`Index::load`](super::Index::load) was not
    /// told of has none: the feed must still bring its removal.
    fn best_by_keywords(&self, scored: impl Iterator<Item = (Address, f64)>) -> BTreeSet<usize> {
        let Published {
            segments, chunks, ..
        } = self.published;
        let passes = |at: Address| self.filter.lets_through(at) && segments.is_alive(at);
        let mut best = Best::new();
        // Not a `for` loop: what is scored is a chain of rows, and this goes through each without asking which is next.
        scored.for_each(|(address, score)| {
            if best.wants(score) && passes(address) {
                best.push(score, address);
            }
        });
        let slots = best
            .into_items()
            .filter_map(|address| chunks.slot(segments.number(address)?));
        slots.collect()
    }

    /// The slots of the best by vector that the filter lets through.
    fn nearest(&self, vector: &Quantised) -> impl Iterator<Item = usize> + use<> {
        let chunks = &self.published.chunks;
        let slots = chunks.slots();
        let passes = |slot: usize| self.filter.lets_slot_through(&slots[slot]);
        let mut best = Best::new();
        chunks
            .vectors()
            .each_cosine(vector, passes, |slot, cosine| {
                best.push(f64::from(cosine), slot);
            });
        best.into_items()
    }
}

/// The score from which on the best of `chunks` is taken to be about the query, as measured in the design.
fn least_score(chunks: u64, terms: &Terms) -> f64 {
    let thousands = chunks.max(1) as f64 / 1000.0;
    let of_four =
        (LEAST_SCORE + LEAST_SCORE_STEP * thousands.log10()).clamp(LEAST_SCORE, LEAST_SCORE_MAX);
    let terms = terms.scored.len().max(1) as f64;
    of_four - LEAST_SCORE_FALL * (terms / LEAST_SCORE_TERMS).ln()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use tantivy::fieldnorm::FieldNormReader;

    use super::super::analyse::{each_term, identifier_pieces};
    use super::super::testing::{
        generated, numbers, open, replacement, stored, text_chunk, vector, words,
    };
    use super::super::{DocumentId, Index, Replacement};
    use super::*;
    use crate::store::ChunkRow;

    const QUERIES: &[&str] = &[
        "index",
        "retry the delivery",
        "vector search merge",
        "readBlock",
        "http server",
        "the of",
        "cafe",
        "agent restart agents",
        "unknownword queue",
        "max value",
        "\"event\" ledger",
        "",
    ];

    fn corpus(seed: u64) -> Vec<Replacement> {
        (0..60)
            .map(|d| generated(d, seed + u64::from(d), u64::from(d) * 100))
            .collect()
    }

    fn terms_of(chunk: &ChunkRow) -> Vec<String> {
        let (heading, text) = (&chunk.heading, &chunk.text);
        let mut terms = Vec::new();
        let mut note = |text: &str| {
            each_term(text, |term| {
                terms.push(term.to_owned());
                true
            })
        };
        note(heading);
        note(text);
        for value in [heading, text] {
            identifier_pieces(value)
                .into_iter()
                .for_each(|piece| note(&value[piece]));
        }
        terms
    }

    /// The formula of the design, computed from the texts alone: number → (keyword score, bound).
    fn reference(corpus: &[Replacement], query: &str) -> HashMap<u64, (f64, f64)> {
        let chunks: Vec<(u64, Vec<String>)> = corpus
            .iter()
            .flat_map(|r| r.chunks.iter().map(|p| (p.number, terms_of(p))))
            .collect();
        let norm = |terms: &Vec<String>| {
            let id = FieldNormReader::fieldnorm_to_id(terms.len() as u32);
            f64::from(FieldNormReader::id_to_fieldnorm(id))
        };
        let n = chunks.len() as f64;
        let l: f64 = chunks.iter().map(|(_, terms)| norm(terms)).sum();
        let query = query_terms(query).scored;
        let idf = |term: &String| {
            let df = chunks
                .iter()
                .filter(|(_, terms)| terms.contains(term))
                .count() as f64;
            ((n - df + 0.5) / (df + 0.5)).ln().max(1e-6)
        };
        let bound = 2.2 * query.iter().map(idf).sum::<f64>();
        let score = |terms: &Vec<String>| {
            let part = |term: &String| {
                let tf = terms.iter().filter(|t| *t == term).count() as f64;
                idf(term) * 2.2 * tf / (tf + 1.2 * (0.25 + 0.75 * norm(terms) * n / l))
            };
            query.iter().map(part).sum::<f64>()
        };
        chunks
            .iter()
            .map(|(number, terms)| (*number, (score(terms), bound)))
            .collect()
    }

    #[test]
    fn the_least_score_rises_with_the_chunks_within_bounds() {
        let four = query_terms("restart parked agent queue");
        for (chunks, least) in [(0, 0.27), (1_000, 0.27), (10_000, 0.30), (10_000_000, 0.36)] {
            assert!(
                (least_score(chunks, &four) - least).abs() < 1e-12,
                "{chunks}"
            );
        }
        // Of more words a chunk has a smaller part.
        let eight = query_terms("one two three four five six seven eight");
        let fall = least_score(1_000, &four) - least_score(1_000, &eight);
        assert!((fall - 0.03 * 2_f64.ln()).abs() < 1e-12, "{fall}");
        assert!(least_score(1_000, &query_terms("agent")) > 0.31);
    }

    #[test]
    fn only_a_good_best_is_about_the_query() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        index.apply(&corpus(0), 1).unwrap();
        // Among random vectors none is near.
        let vector = vector(77);
        let of = |text: &'static str| {
            let query = Query {
                vector: Some(&vector),
                ..words(text)
            };
            let found = index.search(&query).unwrap();
            (found.about, found.candidates.is_empty())
        };
        assert_eq!(of("zzqqxx"), (false, false));
        assert_eq!(of("cafe"), (true, false));
        assert_eq!(of("\"zzqqxx\""), (false, true));
        // What stands there word for word is there, however little of the chunk it is.
        let long = format!("{} needleword. Max out", "index the queue ".repeat(400));
        let chunk = text_chunk(99_000, &long);
        index.apply(&[replacement(200, [chunk])], 2).unwrap();
        assert_eq!(of("needleword"), (true, false));
        assert!(!of("index zzqqxx unheard notions of marmalade").0);
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let corpus = corpus(0);
        index.apply(&corpus, 1).unwrap();
        let vectors: HashMap<u64, Quantised> = corpus
            .iter()
            .flat_map(|r| r.chunks.iter())
            .filter_map(|p| Some((p.number, Quantised::from_bytes(p.vector.as_deref()?)?)))
            .collect();
        for (seed, text) in QUERIES.iter().enumerate() {
            let vector = vector(seed as u64);
            let query = Query {
                vector: Some(&vector),
                ..words(text)
            };
            let found = index.search(&query).unwrap();
            assert!(found.candidates.len() >= 100);
            let reference = reference(&corpus, text);
            for candidate in &found.candidates {
                let (keyword, bound) = reference[&candidate.number];
                assert!(
                    (candidate.keyword - keyword).abs() < 1e-9,
                    "{text}: {candidate:?} {keyword}"
                );
                assert!((found.bound - bound).abs() < 1e-9);
                let cosine = vectors.get(&candidate.number).map_or(0.0, |v| {
                    let products = v
                        .values
                        .iter()
                        .zip(&vector.values)
                        .map(|(&a, &b)| f64::from(a) * f64::from(b));
                    products.sum::<f64>() * f64::from(v.scale) * f64::from(vector.scale)
                });
                assert!((f64::from(candidate.cosine) - cosine).abs() < 1e-6);
                let share = if bound > 0.0 { keyword / bound } else { 0.0 };
                let score = 0.55 * share + 0.45 * cosine;
                let factors: f64 = candidate.boosts.iter().map(|b| b.factor).product();
                assert!((candidate.score - score * factors).abs() < 1e-6);
            }
            let mut by_keyword: Vec<f64> =
                reference.values().map(|(keyword, _)| *keyword).collect();
            by_keyword.sort_by(|a, b| b.total_cmp(a));
            let mut listed: Vec<f64> = found.candidates.iter().map(|c| c.keyword).collect();
            listed.sort_by(|a, b| b.total_cmp(a));
            for (listed, expected) in listed.iter().zip(&by_keyword).take(100) {
                assert!(
                    (listed - expected).abs() < 1e-9,
                    "{text}: the best hundred by keywords are there"
                );
            }
        }
    }

    type Content = (
        DocumentId,
        u32,
        u64,
        u64,
        u32,
        Vec<(&'static str, u64)>,
        u32,
    );

    /// Everything of a result that content alone decides: no number, no position.
    fn content(index: &Index, query: &Query<'_>) -> Vec<Content> {
        let lines: HashMap<u64, u32> = {
            let published = index.published();
            published
                .chunks
                .slots()
                .iter()
                .map(|slot| (slot.number, slot.first_line))
                .collect()
        };
        let found = index.search(query).unwrap();
        let rows = found.candidates.iter().map(|c| {
            (
                c.document,
                lines[&c.number],
                c.score.to_bits(),
                c.keyword.to_bits(),
                c.cosine.to_bits(),
                c.boosts
                    .iter()
                    .map(|b| (b.name, b.factor.to_bits()))
                    .collect(),
                c.more,
            )
        });
        rows.collect()
    }

    #[test]
    fn equal_content_gives_equal_scores_whatever_its_history() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let indexes = folders.each_ref().map(|folder| open(folder.path()).index);
        let last = corpus(500);
        let [clean, reversed, lived] = &indexes;
        clean.apply(&last, 1).unwrap();
        let mut backwards = last.clone();
        backwards.reverse();
        for part in backwards.chunks(4) {
            reversed.apply(part, 1).unwrap();
        }
        for round in 0..12_u64 {
            let mut batch = corpus(round * 7);
            for (at, document) in batch.iter_mut().enumerate() {
                // Numbers unlike those of the other rounds; some documents vanish for a while.
                document
                    .chunks
                    .iter_mut()
                    .for_each(|p| p.number += (round + 1) * 100_000);
                if (at as u64 + round).is_multiple_of(5) {
                    document.chunks.clear();
                }
            }
            lived.apply(&batch, round).unwrap();
        }
        let gone: Vec<_> = (60..70)
            .map(|d| generated(d, d.into(), 5_000_000 + u64::from(d) * 10))
            .collect();
        lived.apply(&gone, 20).unwrap();
        for part in last.chunks(7) {
            lived.apply(part, 21).unwrap();
        }
        lived
            .apply(
                &gone
                    .iter()
                    .map(|r| replacement(r.document[0], []))
                    .collect::<Vec<_>>(),
                22,
            )
            .unwrap();

        assert!(
            lived.published().segments.has_deletions(),
            "the comparison is not one of like with like"
        );
        let mut compared = 0;
        for (seed, text) in QUERIES.iter().enumerate() {
            let vector = vector(seed as u64 + 77);
            for vector in [None, Some(&vector)] {
                let query = Query {
                    vector,
                    ..words(text)
                };
                let expected = content(clean, &query);
                compared += expected.len();
                assert_eq!(content(reversed, &query), expected, "{text}");
                assert_eq!(content(lived, &query), expected, "{text}");
            }
        }
        assert!(compared > 1000);
    }

    #[test]
    fn ties_go_by_collection_path_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let at = |document: u8, collection: &str, path: &[u8], lines: &[(u64, u32)]| Replacement {
            document: [document; 16],
            collection: Arc::from(collection),
            path: Arc::from(path),
            digest: Arc::from(""),
            chunks: lines
                .iter()
                .map(|&(number, first_line)| ChunkRow {
                    first_line,
                    ..text_chunk(number, "apple")
                })
                .collect(),
        };
        let batch = [
            at(1, "docs", b"b", &[(1, 1)]),
            at(2, "docs", b"a\xff", &[(2, 9), (3, 2)]),
            at(3, "code", b"z", &[(4, 1)]),
        ];
        index.apply(&batch, 1).unwrap();
        // The file with two of them goes first, by its first line; its other one goes last.
        assert_eq!(numbers(&index, &words("apple")), [3, 4, 1, 2]);
        assert_eq!(
            numbers(
                &index,
                &Query {
                    limit: 2,
                    ..words("apple")
                }
            ),
            [3, 4]
        );
    }

    #[test]
    fn a_collection_is_filtered_before_ranking() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let mut batch: Vec<Replacement> = (0..250)
            .map(|d| {
                replacement(
                    d,
                    [ChunkRow {
                        vector: Some(stored(1)),
                        ..text_chunk(d.into(), "apple apple")
                    }],
                )
            })
            .collect();
        let mut poor = text_chunk(1000, "apple among many other words");
        poor.vector = Some(stored(2));
        batch.push(Replacement {
            collection: Arc::from("small"),
            ..replacement(251, [poor])
        });
        index.apply(&batch, 1).unwrap();
        let vector = vector(1);
        let query = Query {
            collection: Some("small"),
            vector: Some(&vector),
            ..words("apple")
        };
        assert_eq!(numbers(&index, &query), [1000]);
        assert_eq!(numbers(&index, &Query { text: "", ..query }), [1000]);
        assert_eq!(
            numbers(
                &index,
                &Query {
                    collection: Some("none"),
                    ..query
                }
            ),
            [0; 0]
        );
        assert_eq!(
            numbers(
                &index,
                &Query {
                    collection: None,
                    ..query
                }
            )
            .len(),
            200,
            "ties end at two hundred"
        );
    }

    #[test]
    fn phrases_must_be_contained_by_what_either_leg_finds() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let with = |number, heading: &str, text: &str| ChunkRow {
            heading: heading.to_owned(),
            vector: Some(stored(1)),
            ..text_chunk(number, text)
        };
        let chunks = [
            with(1, "", "a quick brown fox"),
            with(2, "", "a brown quick fox"),
            with(3, "very quick", "brown fox"),
            with(4, "", "quick brown quick brown foxes, and readBlock"),
        ];
        let documents = (1..).zip(chunks).map(|(n, chunk)| replacement(n, [chunk]));
        index.apply(&documents.collect::<Vec<_>>(), 1).unwrap();
        let vector = vector(1);
        let found = |text| {
            let mut found = numbers(
                &index,
                &Query {
                    vector: Some(&vector),
                    exact: true,
                    ..words(text)
                },
            );
            found.sort_unstable();
            found
        };
        assert_eq!(found("quick brown"), [1, 2, 3, 4]);
        assert_eq!(
            found("\"quick brown\""),
            [1, 4],
            "no phrase runs from the heading into the text"
        );
        assert_eq!(found("\"quick brown\" \"brown fox\""), [1]);
        assert_eq!(found("\"quick brown quick\""), [4]);
        assert_eq!(found("\"Brown Foxes\""), [4], "no endings are cut");
        assert_eq!(found("\"very QUICK\""), [3]);
        assert_eq!(found("fox \"readBlock\""), [4]);
        assert_eq!(found("fox \"foxes,\""), [4]);
        assert_eq!(found("fox \"foxes ,\""), [0; 0]);
        let refuted = [HashSet::from([1])];
        let without = Query {
            refuted: &refuted,
            ..words("\"quick brown\"")
        };
        assert_eq!(numbers(&index, &without), [4]);
        assert_eq!(found("\"missing\" fox"), [0; 0]);
        assert_eq!(found("\"quick missing\" fox"), [0; 0]);
        assert_eq!(
            found("\"quick brown"),
            [1, 2, 3, 4],
            "an open quote is no phrase"
        );
        assert_eq!(found("\"*\" fox"), [0; 0]);
        assert_eq!(found("\",\""), [4]);
    }

    #[test]
    fn a_phrase_may_run_on_into_the_next_chunk() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let at = |number, line, text: &str| ChunkRow {
            first_line: line,
            last_line: line,
            ..text_chunk(number, text)
        };
        let chunks = [
            at(1, 1, "one of the"),
            at(2, 2, "cats is"),
            at(3, 3, "here"),
        ];
        index.apply(&[replacement(1, chunks)], 1).unwrap();
        let found = |text| {
            let query = Query {
                exact: true,
                ..words(text)
            };
            numbers(&index, &query)
        };
        assert_eq!(found("\"of the cats\""), [1]);
        assert_eq!(found("\"the cats is here\""), [1]);
        assert_eq!(
            found("\"is here\" one"),
            [1, 2],
            "only the text tells where it begins"
        );
        assert_eq!(found("\"the here\""), [0; 0]);
    }

    #[test]
    fn any_text_is_a_query() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        for content in [vec![], corpus(3)] {
            index.apply(&content, 1).unwrap();
            let long = "index \" ".repeat(130_000);
            let texts = [
                "",
                "\"",
                "\"\"",
                "NEAR(",
                "*",
                "a OR b*",
                "text:x",
                "index AND (",
                "\0\u{FFFD}",
                &long,
            ];
            for text in texts {
                let found = index.search(&words(text)).unwrap();
                let shown = |c: char| c != '"' && !c.is_whitespace();
                assert_eq!(found.legs.keyword, text.chars().any(shown), "{text:.20}");
                assert_eq!(
                    found.cut,
                    text.len() > super::super::analyse::MAX_QUERY_BYTES
                );
                assert!(found.candidates.iter().all(|c| c.score.is_finite()));
            }
            assert_eq!(
                index.search(&words("index")).unwrap().candidates.is_empty(),
                content.is_empty()
            );
        }
    }
}
