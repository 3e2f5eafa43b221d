//! The fields of the keyword index, and what is written to them for a passage.

use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{TantivyDocument, Term};

use super::analyse::{identifier_pieces, normalised};
use super::{Passage, Replacement};

/// The name of the analyser among tantivy's tokenizers.
pub(super) const ANALYSER: &str = "docent";
/// The field of the passage's number.
pub(super) const NUMBER: &str = "number";

/// The fields of the keyword index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) text: Field,
    document: Field,
    pub(super) collection: Field,
    number: Field,
}

/// The schema of the keyword index; no text is stored in it.
pub(super) fn schema() -> (Schema, Fields) {
    let positions = TextFieldIndexing::default()
        .set_tokenizer(ANALYSER)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut builder = Schema::builder();
    let fields = Fields {
        text: builder.add_text_field(
            "text",
            TextOptions::default().set_indexing_options(positions),
        ),
        document: builder.add_bytes_field("document", BytesOptions::default().set_indexed()),
        collection: builder.add_bytes_field("collection", BytesOptions::default().set_indexed()),
        number: builder.add_u64_field(NUMBER, NumericOptions::default().set_fast()),
    };
    (builder.build(), fields)
}

impl Fields {
    /// The term that all passages of a document have.
    pub(super) fn document_term(self, replacement: &Replacement) -> Term {
        Term::from_field_bytes(self.document, &replacement.document)
    }

    /// What is indexed for one of the passages of a document.
    ///
    /// Heading, text and the pieces of identifiers are three values of one field: no phrase runs across them.
    pub(super) fn document(self, replacement: &Replacement, passage: &Passage) -> TantivyDocument {
        let values = [normalised(&passage.heading), normalised(&passage.text)];
        let mut pieces = Vec::new();
        for value in &values {
            pieces.extend(
                identifier_pieces(value)
                    .into_iter()
                    .map(|piece| &value[piece]),
            );
        }
        let mut document = TantivyDocument::default();
        for value in &values {
            document.add_text(self.text, value);
        }
        document.add_text(self.text, pieces.join(" "));
        document.add_bytes(self.document, &replacement.document);
        document.add_bytes(self.collection, replacement.collection.as_bytes());
        document.add_u64(self.number, passage.number);
        document
    }
}
