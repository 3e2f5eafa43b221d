//! What several tests of the index need.

use std::path::Path;
use std::sync::Arc;

use super::{Identity, Index, IndexError, Opened, Query, Replacement};
use crate::embed::{DIMENSIONS, Quantised};
use crate::store::ChunkRow;

/// The identity of every index in the tests.
pub(super) fn identity() -> Identity {
    Identity {
        store: "a store".to_owned(),
        embedder: "test".to_owned(),
        chunking: "800/0".to_owned(),
        stores_chunks: false,
    }
}

/// The index in `folder`, which must be usable.
pub(super) fn open(folder: &Path) -> Opened {
    Index::open(folder, &identity()).unwrap()
}

/// A chunk without a vector whose text is its number in words.
pub(super) fn chunk(number: u64) -> ChunkRow {
    text_chunk(number, &format!("chunk number {number}"))
}

/// A chunk without heading and vector.
pub(super) fn text_chunk(number: u64, text: &str) -> ChunkRow {
    ChunkRow {
        number,
        first_line: 1,
        last_line: 1,
        text: text.to_owned(),
        ..ChunkRow::default()
    }
}

/// The chunks of the document `document` of the collection `docs`.
pub(super) fn replacement(document: u8, chunks: impl IntoIterator<Item = ChunkRow>) -> Replacement {
    Replacement {
        document: [document; 16],
        collection: Arc::from("docs"),
        path: Arc::from(format!("{document}.md").into_bytes()),
        digest: Arc::from("a digest"),
        chunks: chunks.into_iter().collect(),
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

/// The same vector as the store has it.
pub(super) fn stored(seed: u64) -> Vec<u8> {
    vector(seed).to_bytes().to_vec()
}

/// A document whose chunks depend on `seed` alone, but for their numbers, which begin at `first_number`.
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
    let chunks = (0..random.u64(1..9)).map(|at| {
        // The square makes the first words frequent and the last ones rare.
        let mut word = || WORDS[(random.f64().powi(2) * WORDS.len() as f64) as usize];
        let heading = format!("{} {}", word(), word());
        let text: Vec<&str> = (0..seed % 40 + at * 5).map(|_| word()).collect();
        let definition = match document % 4 {
            0 => format!("\nfn {}() {{}}", word()),
            _ => String::new(),
        };
        ChunkRow {
            number: first_number + at,
            first_line: at as u32 * 10 + 1,
            last_line: at as u32 * 10 + 1,
            heading,
            text: text.join(" ") + &definition,
            vector: (at != 3).then(|| stored(seed * 100 + at)),
            ..ChunkRow::default()
        }
    });
    let all = replacement(document, chunks.collect::<Vec<_>>());
    // Some are code, for what is known of names only in code.
    match document % 4 {
        0 => Replacement {
            path: Arc::from(format!("search/test{document}.rs").into_bytes()),
            ..all
        },
        _ => all,
    }
}

/// What the store would give back of the chunks of `replacements`.
pub(super) fn known(
    replacements: &[Replacement],
) -> impl Iterator<Item = Result<Replacement, IndexError>> {
    let mut known = replacements.to_vec();
    for chunk in known.iter_mut().flat_map(|document| &mut document.chunks) {
        chunk.heading.clear();
        chunk.text.clear();
    }
    known.into_iter().map(Ok)
}

/// A query for `text` without a vector.
pub(super) fn words(text: &str) -> Query<'_> {
    Query {
        text,
        vector: None,
        collection: None,
        within: None,
        exact: false,
        refuted: &[],
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
