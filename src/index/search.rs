//! One search over keywords and vectors, as measured in the design: 0.55 · keywords + 0.45 · vectors.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::DocumentId;
use super::analyse::query_terms;
use super::best::Best;
use super::error::IndexError;
use super::filter::Filter;
use super::handle::Published;
use super::keyword::Scores;
use super::passages::{Address, Slot};
use crate::embed::Quantised;

/// The keyword score's part of the whole.
const KEYWORD_WEIGHT: f64 = 0.55;
/// The cosine's part of the whole.
const VECTOR_WEIGHT: f64 = 0.45;

/// The least score of a passage that is about the query, among up to a thousand passages.
const LEAST_SCORE: f64 = 0.27;
/// By how much it rises with every tenfold of passages: among more of them, more are alike by accident.
const LEAST_SCORE_STEP: f64 = 0.03;
/// The most that it rises to.
const LEAST_SCORE_MAX: f64 = 0.36;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The text as typed. Quoted parts must be contained as they stand; any other text is safe.
    pub text: &'a str,
    /// The vector of the text, if it has one.
    pub vector: Option<&'a Quantised>,
    /// Only passages of this collection.
    pub collection: Option<&'a str>,
    /// How many candidates are wanted at most.
    pub limit: usize,
}

/// Which legs took part in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Legs {
    /// The query has words, or a quoted part.
    pub keyword: bool,
    /// The query has a vector.
    pub vector: bool,
}

/// A passage found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its number.
    pub number: u64,
    /// Its document.
    pub document: DocumentId,
    /// How well it answers, 0 to 1 or a little below 0; comparable between queries.
    pub score: f64,
    /// Its BM25 score: 0 to [`Found::bound`].
    pub keyword: f64,
    /// The cosine of its vector and the query's; 0 if one of them has none.
    pub cosine: f32,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The passages, best first. Whether a quoted part of the query begins in them, [`Searcher`](super::Searcher) tells by
    /// their text.
    pub candidates: Vec<Candidate>,
    /// What took part.
    pub legs: Legs,
    /// Whether the best of them scores so high that the topic of the query is likely to be there at all.
    pub about: bool,
    /// The keyword score that no passage can exceed.
    pub bound: f64,
    /// The position of the store's feed that the index stood at.
    pub position: u64,
    /// The query is longer than [`MAX_QUERY_BYTES`](super::MAX_QUERY_BYTES) or
    /// [`MAX_QUERY_TERMS`](super::MAX_QUERY_TERMS): a part of it was not looked for.
    pub cut: bool,
    /// Passages among the best that the keyword index has and [`Index::load`](super::Index::load) was not told
    /// of: left out. The feed must still bring their removal.
    pub dangling: usize,
}

/// Searches one published state.
pub(super) fn search(published: &Published, query: &Query<'_>) -> Result<Found, IndexError> {
    let terms = query_terms(query.text);
    let segments = &published.segments;
    let filter = segments
        .filter(query.collection, &terms.phrases)
        .map_err(IndexError::keyword("filter the passages"))?;
    let scores = segments
        .scores(&terms.scored)
        .map_err(IndexError::keyword("score the passages"))?;

    let quoted = !terms.phrases.is_empty();
    let (mut slots, dangling) = match &filter {
        // What has the quoted parts is found, whatever else of the query it has.
        Some(filter) if quoted => {
            let scored = filter
                .addresses()
                .map(|address| (address, scores.at(address)));
            best_by_keywords(published, scored)
        }
        Some(filter) => {
            let passing = scores.matches().filter(|(at, _)| filter.lets_through(*at));
            best_by_keywords(published, passing)
        }
        None => best_by_keywords(published, scores.matches()),
    };
    if let Some(vector) = query.vector {
        slots.extend(best_by_vector(published, vector, filter.as_ref()));
    }
    let mut ranked: Vec<(Candidate, &Slot)> = slots
        .into_iter()
        .map(|slot| {
            (
                rate(published, query, &scores, slot),
                &published.passages.slots()[slot],
            )
        })
        .collect();
    ranked.sort_unstable_by(best_first);
    ranked.truncate(query.limit);
    let least = least_score(segments.alive);
    Ok(Found {
        about: ranked
            .first()
            .is_some_and(|(best, _)| quoted || best.score >= least),
        candidates: ranked.into_iter().map(|(candidate, _)| candidate).collect(),
        legs: Legs {
            keyword: quoted || !terms.scored.is_empty(),
            vector: query.vector.is_some(),
        },
        bound: scores.bound,
        position: published.position,
        cut: terms.cut,
        dangling,
    })
}

/// The score from which on the best of `passages` is taken to be about the query, as measured in the design.
fn least_score(passages: u64) -> f64 {
    let thousands = passages.max(1) as f64 / 1000.0;
    (LEAST_SCORE + LEAST_SCORE_STEP * thousands.log10()).clamp(LEAST_SCORE, LEAST_SCORE_MAX)
}

/// The slots of the best by keywords, and how many of the best have none.
fn best_by_keywords(
    published: &Published,
    scored: impl Iterator<Item = (Address, f64)>,
) -> (BTreeSet<usize>, usize) {
    let mut best = Best::new();
    for (address, score) in scored {
        if published.segments.is_alive(address) {
            best.push(score, address);
        }
    }
    let mut dangling = 0;
    let slots = best.into_items().filter_map(|address| {
        let number = published.segments.number(address);
        let slot = number.and_then(|number| published.passages.slot(number));
        dangling += usize::from(slot.is_none());
        slot
    });
    (slots.collect(), dangling)
}

/// The slots of the best by vector.
fn best_by_vector<'a>(
    published: &'a Published,
    vector: &Quantised,
    filter: Option<&Filter>,
) -> impl Iterator<Item = usize> + use<'a> {
    let slots = published.passages.slots();
    let mut best = Best::new();
    for (slot, cosine) in published.passages.vectors().cosines(vector) {
        let passes = |filter: &Filter| slots[slot].address.is_some_and(|a| filter.lets_through(a));
        if filter.is_none_or(passes) {
            best.push(f64::from(cosine), slot);
        }
    }
    best.into_items()
}

/// The passage in `slot` with all its scores, whichever leg found it.
fn rate(published: &Published, query: &Query<'_>, scores: &Scores, slot: usize) -> Candidate {
    let passage = &published.passages.slots()[slot];
    let keyword = passage.address.map_or(0.0, |address| scores.at(address));
    let vectors = published.passages.vectors();
    let cosine = query
        .vector
        .and_then(|vector| vectors.cosine(vector, slot))
        .unwrap_or(0.0);
    let score = if scores.bound > 0.0 {
        KEYWORD_WEIGHT * (keyword / scores.bound) + VECTOR_WEIGHT * f64::from(cosine)
    } else {
        f64::from(cosine)
    };
    Candidate {
        number: passage.number,
        document: passage.owner.document,
        score,
        keyword,
        cosine,
    }
}

/// By score, then keyword score, collection, path and line. The number decides between pieces of one line only.
fn best_first(a: &(Candidate, &Slot), b: &(Candidate, &Slot)) -> Ordering {
    let place = |slot: &Slot| (slot.first_line, slot.number);
    b.0.score
        .total_cmp(&a.0.score)
        .then_with(|| b.0.keyword.total_cmp(&a.0.keyword))
        .then_with(|| a.1.owner.collection.cmp(&b.1.owner.collection))
        .then_with(|| a.1.owner.path.cmp(&b.1.owner.path))
        .then_with(|| place(a.1).cmp(&place(b.1)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use tantivy::fieldnorm::FieldNormReader;

    use super::super::analyse::{each_term, identifier_pieces};
    use super::super::testing::{
        generated, numbers, open, replacement, text_passage, vector, words,
    };
    use super::super::{Index, Passage, Replacement};
    use super::*;

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

    fn terms_of(passage: &Passage) -> Vec<String> {
        let (heading, text) = (&passage.heading, &passage.text);
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
        let passages: Vec<(u64, Vec<String>)> = corpus
            .iter()
            .flat_map(|r| r.passages.iter().map(|p| (p.number, terms_of(p))))
            .collect();
        let norm = |terms: &Vec<String>| {
            let id = FieldNormReader::fieldnorm_to_id(terms.len() as u32);
            f64::from(FieldNormReader::id_to_fieldnorm(id))
        };
        let n = passages.len() as f64;
        let l: f64 = passages.iter().map(|(_, terms)| norm(terms)).sum();
        let query = query_terms(query).scored;
        let idf = |term: &String| {
            let df = passages
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
        passages
            .iter()
            .map(|(number, terms)| (*number, (score(terms), bound)))
            .collect()
    }

    #[test]
    fn the_least_score_rises_with_the_passages_within_bounds() {
        for (passages, least) in [(0, 0.27), (1_000, 0.27), (10_000, 0.30), (10_000_000, 0.36)] {
            assert!((least_score(passages) - least).abs() < 1e-12, "{passages}");
        }
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
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let corpus = corpus(0);
        index.apply(&corpus, 1).unwrap();
        let vectors: HashMap<u64, Quantised> = corpus
            .iter()
            .flat_map(|r| r.passages.iter())
            .filter_map(|p| Some((p.number, p.vector.clone()?)))
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
                let score = if bound > 0.0 {
                    0.55 * keyword / bound + 0.45 * cosine
                } else {
                    cosine
                };
                assert!((candidate.score - score).abs() < 1e-6);
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

    /// Everything of a result that content alone decides: no number, no position.
    fn content(index: &Index, query: &Query<'_>) -> Vec<(DocumentId, u32, u64, u64, u32)> {
        let lines: HashMap<u64, u32> = {
            let published = index.published();
            published
                .passages
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
                    .passages
                    .iter_mut()
                    .for_each(|p| p.number += (round + 1) * 100_000);
                if (at as u64 + round).is_multiple_of(5) {
                    document.passages.clear();
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
            passages: lines
                .iter()
                .map(|&(number, first_line)| Passage {
                    first_line,
                    ..text_passage(number, "apple")
                })
                .collect(),
        };
        let batch = [
            at(1, "docs", b"b", &[(1, 1)]),
            at(2, "docs", b"a\xff", &[(2, 9), (3, 2)]),
            at(3, "code", b"z", &[(4, 1)]),
        ];
        index.apply(&batch, 1).unwrap();
        assert_eq!(numbers(&index, &words("apple")), [4, 3, 2, 1]);
        assert_eq!(
            numbers(
                &index,
                &Query {
                    limit: 2,
                    ..words("apple")
                }
            ),
            [4, 3]
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
                    [Passage {
                        vector: Some(vector(1)),
                        ..text_passage(d.into(), "apple apple")
                    }],
                )
            })
            .collect();
        let mut poor = text_passage(1000, "apple among many other words");
        poor.vector = Some(vector(2));
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
        let with = |number, heading: &str, text: &str| Passage {
            heading: heading.to_owned(),
            vector: Some(vector(1)),
            ..text_passage(number, text)
        };
        let passages = [
            with(1, "", "a quick brown fox"),
            with(2, "", "a brown quick fox"),
            with(3, "very quick", "brown fox"),
            with(4, "", "quick brown quick brown foxes, and readBlock"),
        ];
        let documents = (1..)
            .zip(passages)
            .map(|(n, passage)| replacement(n, [passage]));
        index.apply(&documents.collect::<Vec<_>>(), 1).unwrap();
        let vector = vector(1);
        let found = |text| {
            let mut found = numbers(
                &index,
                &Query {
                    vector: Some(&vector),
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
    fn a_phrase_may_run_on_into_the_next_passage() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let at = |number, line, text: &str| Passage {
            first_line: line,
            last_line: line,
            ..text_passage(number, text)
        };
        let passages = [
            at(1, 1, "one of the"),
            at(2, 2, "cats is"),
            at(3, 3, "here"),
        ];
        index.apply(&[replacement(1, passages)], 1).unwrap();
        let found = |text| numbers(&index, &words(text));
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
                assert_eq!(found.cut, text.len() > super::super::MAX_QUERY_BYTES);
                assert!(found.candidates.iter().all(|c| c.score.is_finite()));
            }
            assert_eq!(
                index.search(&words("index")).unwrap().candidates.is_empty(),
                content.is_empty()
            );
        }
    }
}
