//! The table of word pieces and their rows.

use super::tokenize::Vocabulary;
use super::{DIMENSIONS, Vector};
use crate::hex;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// The table that is a part of the binary.
static EMBEDDED: &[u8] = include_bytes!("model/docent-en-256.i8.bin");

const MAGIC: &[u8] = b"DOCEMB01";
const HEADER: usize = 24;
const CHECKSUM: usize = 32;
/// The rows begin at a multiple of this.
const ALIGNMENT: usize = 16;

/// Why bytes are no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    #[error("not an embedding table: it does not begin with the magic `DOCEMB01`")]
    Magic,
    /// The content was changed or cut.
    #[error("the embedding table is damaged: its SHA-256 is not the one at its end")]
    Checksum,
    /// Rows of another length.
    #[error("the embedding table has {found} dimensions, not {DIMENSIONS}")]
    Dimensions {
        /// What its header says.
        found: usize,
    },
    /// The header's figures and the length of the file do not agree.
    #[error("the sections of the embedding table add up to {expected} bytes, not to its {found}")]
    Length { expected: u64, found: usize },
    /// A token that is cut off, not UTF-8, or there twice; or bytes after the last one.
    #[error("the vocabulary of the embedding table is broken at row {row}")]
    Vocabulary {
        /// The row, counted from 0.
        row: usize,
    },
}

/// A checked table. Its rows stay where the bytes are; only the index of the vocabulary is memory of its own.
pub(crate) struct EmbeddingTable {
    identity: String,
    vocabulary: Vocabulary,
    /// Signed bytes, row after row.
    rows: &'static [u8],
}

impl EmbeddingTable {
    /// The table in the binary, checked at the first call (some ten milliseconds).
    pub(crate) fn embedded() -> &'static Self {
        static TABLE: OnceLock<EmbeddingTable> = OnceLock::new();
        TABLE.get_or_init(|| {
            Self::load(EMBEDDED)
                .expect("the bytes are fixed when the binary is built, and a test loads them")
        })
    }

    /// Checks `bytes` and indexes their vocabulary.
    ///
    /// # Errors
    /// If they are not a complete, intact table of `DIMENSIONS` dimensions.
    pub(crate) fn load(bytes: &'static [u8]) -> Result<Self, TableError> {
        if !bytes.starts_with(MAGIC) || bytes.len() < HEADER + CHECKSUM {
            return Err(TableError::Magic);
        }
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        let mut hasher = Sha256::new_with_prefix(content);
        if hasher.clone().finalize().as_slice() != checksum {
            return Err(TableError::Checksum);
        }
        hasher.update(checksum);
        let identity = hex::encode(&hasher.finalize());

        let dimensions = figure(bytes, 8);
        if dimensions != DIMENSIONS {
            return Err(TableError::Dimensions { found: dimensions });
        }
        let (count, vocabulary_bytes) = (figure(bytes, 12), figure(bytes, 16));
        let rows_at = (HEADER as u64 + vocabulary_bytes as u64).next_multiple_of(ALIGNMENT as u64);
        let expected = rows_at + count as u64 * DIMENSIONS as u64 + CHECKSUM as u64;
        if expected != bytes.len() as u64 {
            return Err(TableError::Length {
                expected,
                found: bytes.len(),
            });
        }
        let vocabulary = vocabulary(&content[HEADER..HEADER + vocabulary_bytes], count)?;
        // In range: the sections add up to the length.
        Ok(Self {
            identity,
            vocabulary,
            rows: &content[content.len() - count * DIMENSIONS..],
        })
    }

    /// The SHA-256 of the table in hex, to be recorded with stored vectors: another one, another meaning.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// The row numbers of the word pieces of `text`, in its order.
    pub(crate) fn tokens(&self, text: &str) -> Vec<u32> {
        self.vocabulary.tokens(text)
    }

    /// The vector of `text`, all of it; `None` if the table knows none of its words.
    pub(crate) fn embed(&self, text: &str) -> Option<Vector> {
        let mut tokens = self.tokens(text);
        // In the order of rows, so that the sum does not depend on the order of words.
        tokens.sort_unstable();
        let mut sum = [0f32; DIMENSIONS];
        for same in tokens.chunk_by(|a, b| a == b) {
            let weight = (same.len() as f32).sqrt();
            let from = same[0] as usize * DIMENSIONS;
            for (total, byte) in sum.iter_mut().zip(&self.rows[from..from + DIMENSIONS]) {
                *total += weight * f32::from(byte.cast_signed());
            }
        }
        Vector::from_sum(&sum)
    }
}

/// The little-endian u32 at `at`.
fn figure(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn vocabulary(section: &'static [u8], count: usize) -> Result<Vocabulary, TableError> {
    let mut vocabulary = Vocabulary::default();
    let mut rest = section;
    for row in 0..count {
        let broken = TableError::Vocabulary { row };
        let Some((length, after)) = rest.split_first() else {
            return Err(broken);
        };
        let Some((token, after)) = after.split_at_checked(usize::from(*length)) else {
            return Err(broken);
        };
        let Ok(token) = std::str::from_utf8(token) else {
            return Err(broken);
        };
        if !vocabulary.add(token, row as u32) {
            return Err(broken);
        }
        rest = after;
    }
    if rest.is_empty() {
        Ok(vocabulary)
    } else {
        Err(TableError::Vocabulary { row: count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const GOLDEN: &str = include_str!("model/golden.json");

    #[test]
    fn the_embedded_table_is_the_one_that_was_measured() {
        let table = EmbeddingTable::embedded();
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(table.identity(), golden["sha256"]);
        assert_eq!(table.rows.len(), 28_024 * DIMENSIONS);
    }

    #[test]
    fn all_golden_cases_are_reproduced() {
        let table = EmbeddingTable::embedded();
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let tolerance = golden["tolerance"].as_f64().unwrap();
        let reference = table
            .embed(golden["reference_text"].as_str().unwrap())
            .unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 67);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = case["ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_u64().unwrap() as u32)
                .collect();
            let tokens = table.tokens(text);
            assert_eq!(tokens.len() as u64, case["n"].as_u64().unwrap(), "{text:?}");
            assert_eq!(tokens[..expected.len()], expected, "{text:?}");
            assert!(
                expected.len() == tokens.len() || expected.len() == 400,
                "{text:?}"
            );
            if let Some(sum) = case["ids_sum"].as_u64() {
                assert_eq!(
                    tokens.iter().map(|id| u64::from(*id)).sum::<u64>(),
                    sum,
                    "{text:?}"
                );
            }
            let vector = table.embed(text);
            assert_eq!(vector.is_none(), tokens.is_empty(), "{text:?}");
            let dot = vector
                .as_ref()
                .map_or(0.0, |vector| f64::from(vector.dot(&reference)));
            assert!(
                (dot - case["dot"].as_f64().unwrap()).abs() <= tolerance,
                "{text:?}: {dot}"
            );
            for (at, component) in case["v"].as_array().unwrap().iter().enumerate() {
                let found = vector
                    .as_ref()
                    .map_or(0.0, |vector| f64::from(vector.components()[at]));
                assert!(
                    (found - component.as_f64().unwrap()).abs() <= tolerance,
                    "{text:?}: component {at} is {found}"
                );
            }
        }
    }

    /// A small table with these tokens, all rows of which are 1.
    fn table(tokens: &[&str], change: impl Fn(&mut Vec<u8>)) -> &'static [u8] {
        let vocabulary: Vec<u8> = tokens
            .iter()
            .flat_map(|token| std::iter::once(token.len() as u8).chain(token.bytes()))
            .collect();
        let mut bytes = MAGIC.to_vec();
        for number in [
            DIMENSIONS as u32,
            tokens.len() as u32,
            vocabulary.len() as u32,
            0,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(vocabulary);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.resize(bytes.len() + tokens.len() * DIMENSIONS, 1);
        change(&mut bytes);
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        bytes.leak()
    }

    fn error(bytes: &'static [u8]) -> Option<TableError> {
        EmbeddingTable::load(bytes).err()
    }

    #[test]
    fn a_broken_table_is_refused_with_the_reason() {
        assert_eq!(error(table(&["a", "##b"], |_| {})), None);
        assert_eq!(error(b""), Some(TableError::Magic));
        assert_eq!(error(b"DOCEMB01"), Some(TableError::Magic));
        assert_eq!(
            error(table(&["a"], |bytes| bytes[0] = b'X')),
            Some(TableError::Magic)
        );
        assert_eq!(
            error(table(&["a"], |bytes| bytes[8] = 8)),
            Some(TableError::Dimensions { found: 264 })
        );
        let cut = table(&["a"], |bytes| bytes.truncate(200));
        assert_eq!(
            error(cut),
            Some(TableError::Length {
                expected: 320,
                found: 232
            })
        );
        let many = table(&["a"], |bytes| bytes[12..20].fill(0xff));
        assert!(matches!(error(many), Some(TableError::Length { .. })));
        assert_eq!(
            error(table(&["a", "a"], |_| {})),
            Some(TableError::Vocabulary { row: 1 })
        );
        assert_eq!(
            error(table(&["a", "b"], |bytes| bytes[26] = 9)),
            Some(TableError::Vocabulary { row: 1 })
        );
        assert_eq!(
            error(table(&["a"], |bytes| bytes[25] = 0xff)),
            Some(TableError::Vocabulary { row: 0 })
        );
        assert_eq!(
            error(table(&["a"], |bytes| bytes[24] = 0)),
            Some(TableError::Vocabulary { row: 1 })
        );

        let intact = table(&["a"], |_| {});
        let mut damaged = intact.to_vec();
        damaged[100] ^= 1;
        assert_eq!(error(damaged.leak()), Some(TableError::Checksum));
    }

    #[test]
    fn the_order_of_words_makes_no_difference() {
        let table = EmbeddingTable::embedded();
        assert_eq!(
            table.embed("watch the tree of documents"),
            table.embed("documents of the tree watch")
        );
        assert_eq!(table.embed("中文"), None);
    }
}
