//! What several tests of the index need.

use std::path::Path;
use std::sync::Arc;

use super::{Identity, Index, Known, Opened, Passage, Query, Replacement};
use crate::embed::{DIMENSIONS, Quantised};

/// The identity of every index in the tests.
pub(super) fn identity() -> Identity {
    Identity {
        store: "a store".to_owned(),
        embedder: "test".to_owned(),
        chunking: "800/0".to_owned(),
    }
}

/// The index in `folder`, which must be usable.
pub(super) fn open(folder: &Path) -> Opened {
    Index::open(folder, &identity()).unwrap()
}

/// A passage without a vector whose text is its number in words.
pub(super) fn passage(number: u64) -> Passage {
    text_passage(number, &format!("passage number {number}"))
}

/// A passage without heading and vector.
pub(super) fn text_passage(number: u64, text: &str) -> Passage {
    Passage {
        number,
        first_line: 1,
        last_line: 1,
        heading: String::new(),
        text: text.to_owned(),
        vector: None,
    }
}

/// The passages of the document `document` of the collection `docs`.
pub(super) fn replacement(
    document: u8,
    passages: impl IntoIterator<Item = Passage>,
) -> Replacement {
    Replacement {
        document: [document; 16],
        collection: Arc::from("docs"),
        path: Arc::from(format!("{document}.md").into_bytes()),
        passages: passages.into_iter().collect(),
    }
}

/// A vector that depends on `seed` alone, about as long as 1.
pub(super) fn vector(seed: u64) -> Quantised {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut values = [0; DIMENSIONS];
    values.fill_with(|| random.i8(-100..127));
    Quantised {
        values,
        scale: 0.001,
    }
}

/// A document whose passages depend on `seed` alone, but for their numbers, which begin at `first_number`.
pub(super) fn generated(document: u8, seed: u64, first_number: u64) -> Replacement {
    const WORDS: &[&str] = &[
        "index",
        "search",
        "storage",
        "ledger",
        "event",
        "delivery",
        "readBlock",
        "the",
        "of",
        "retry",
        "café",
        "queue",
        "HTTPServer",
        "max_value",
        "position",
        "vector",
        "stop",
        "restart",
        "agent",
        "merge",
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let passages = (0..random.u64(1..9)).map(|at| {
        // The square makes the first words frequent and the last ones rare.
        let mut word = || WORDS[(random.f64().powi(2) * WORDS.len() as f64) as usize];
        let heading = format!("{} {}", word(), word());
        let text: Vec<&str> = (0..seed % 40 + at * 5).map(|_| word()).collect();
        Passage {
            number: first_number + at,
            first_line: at as u32 * 10 + 1,
            last_line: at as u32 * 10 + 1,
            heading,
            text: text.join(" "),
            vector: (at != 3).then(|| vector(seed * 100 + at)),
        }
    });
    replacement(document, passages.collect::<Vec<_>>())
}

/// What the store would give back of the passages of `replacements`.
pub(super) fn known(replacements: &[Replacement]) -> Vec<Known> {
    let known = replacements.iter().flat_map(|replacement| {
        replacement.passages.iter().map(|passage| Known {
            document: replacement.document,
            collection: Arc::clone(&replacement.collection),
            path: Arc::clone(&replacement.path),
            number: passage.number,
            first_line: passage.first_line,
            vector: passage.vector.clone(),
        })
    });
    known.collect()
}

/// A query for `text` without a vector.
pub(super) fn words(text: &str) -> Query<'_> {
    Query {
        text,
        vector: None,
        collection: None,
        limit: usize::MAX,
    }
}

/// The numbers of what `query` finds, in the order of their rank.
pub(super) fn numbers(index: &Index, query: &Query<'_>) -> Vec<u64> {
    let found = index.search(query).unwrap();
    found
        .candidates
        .iter()
        .map(|candidate| candidate.number)
        .collect()
}
