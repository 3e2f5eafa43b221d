//! A chunk as the keyword index has it, where searches are to be answered while the store is away: on a host of a store that several
//! hosts share.

use super::Replacement;
use crate::store::ChunkRow;

/// The bytes that are stored for the chunk `at` of a document: the digest of the document's bytes, and all of the chunk but its
/// number and its vector, which the index has besides.
pub(super) fn encode(replacement: &Replacement, at: usize) -> Vec<u8> {
    let stored = (&*replacement.digest, &replacement.chunks[at]);
    serde_json::to_vec(&stored).expect("strings and numbers become JSON")
}

/// The digest, and the chunk without its number and its vector.
///
/// # Errors
/// These are not such bytes.
pub(super) fn decode(bytes: &[u8]) -> serde_json::Result<(String, ChunkRow)> {
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::error::WhyNew;
    use super::super::testing::{chunk, identity, known, replacement};
    use super::super::{Identity, Index};
    use super::*;

    fn storing() -> Identity {
        Identity {
            stores_chunks: true,
            ..identity()
        }
    }

    #[test]
    fn chunks_come_back_as_they_were_given_after_merges_and_a_start_too() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Index::open(folder.path(), &storing()).unwrap();
        let mut last = Vec::new();
        for round in 0..40_u64 {
            let first = round * 10;
            let documents = (0..3_u8).map(|n| {
                let number = first + u64::from(n) * 2;
                Replacement {
                    digest: format!("digest {round} {n}").into(),
                    ..replacement(n, [chunk(number), chunk(number + 1)])
                }
            });
            last = documents.collect();
            opened.index.apply(&last, round + 1).unwrap();
        }
        let holds = |index: &Index| {
            let numbers = [395, 390, 380, 7];
            let found = index.stored_chunks(&numbers).unwrap();
            let found: Vec<_> = found
                .into_iter()
                .map(|(source, chunk)| (source.path, source.digest, chunk))
                .collect();
            let of = |n: u8, number| {
                let path = format!("{n}.md").into_bytes();
                (path, format!("digest 39 {n}"), chunk(number))
            };
            assert_eq!(found, [of(2, 395), of(0, 390)]);
        };
        holds(&opened.index);
        drop(opened.index);
        let opened = Index::open(folder.path(), &storing()).unwrap();
        assert_eq!(opened.why_new, None);
        opened.index.load(known(&last)).unwrap();
        holds(&opened.index);
    }

    #[test]
    fn an_index_that_stores_no_chunks_has_none_and_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Index::open(folder.path(), &identity()).unwrap();
        opened
            .index
            .apply(&[replacement(1, [chunk(1)])], 1)
            .unwrap();
        assert_eq!(opened.index.stored_chunks(&[1]).unwrap(), []);
        assert!(!opened.index.stores_chunks());
        drop(opened.index);
        let opened = Index::open(folder.path(), &storing()).unwrap();
        let why = opened.why_new.unwrap();
        assert!(matches!(why, WhyNew::Changed { what, .. } if what == "chunks"));
        assert!(opened.index.stores_chunks());
    }
}
