//! From text to vector, without a neural network: a weighted sum of the rows of a fixed table.
//!
//! Pure: no I/O, no clock, nothing of the rest of the crate. The table (`model/docent-en-256.i8.bin`, see
//! `model/NOTICE`) is a part of the binary and is used in place; its words are English. Alone it ranks worse than
//! keywords: it is one of the two legs of search.
//!
//! Steps: [`EmbeddingTable::tokens`] cuts the text into word pieces as BERT's uncased tokenizer does, without special and
//! unknown tokens; [`EmbeddingTable::embed`] sums √count · row over the distinct pieces and scales the sum to length 1.
//! Two texts are compared by the dot product of their vectors, or of their [`Quantised`] forms, which is what is stored.

mod table;
mod tokenize;
mod vector;

pub(crate) use table::EmbeddingTable;
pub(crate) use vector::{Quantised, Vector};

/// Components of a vector.
pub(crate) const DIMENSIONS: usize = 256;
