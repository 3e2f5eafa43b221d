//! The fields of the keyword index, and what is written to them for a passage.

use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{TantivyDocument, Term};

use super::analyse::{LOOKAHEAD, identifier_pieces};
use super::words::{Pieces, after_lines, visible};
use super::{Passage, Replacement};

/// The name of the analyser of what is scored among tantivy's tokenizers.
pub(super) const ANALYSER: &str = "docent";
/// The name of the analyser of what quoted parts are compared with.
pub(super) const EXACT_ANALYSER: &str = "docent-exact";
/// The field of the passage's number.
pub(super) const NUMBER: &str = "number";

/// The fields of the keyword index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) text: Field,
    /// Heading and text as they stand, with the beginning of what follows.
    pub(super) exact: Field,
    document: Field,
    pub(super) collection: Field,
    number: Field,
}

/// The schema of the keyword index; no text is stored in it.
pub(super) fn schema() -> (Schema, Fields) {
    let scored = TextFieldIndexing::default()
        .set_tokenizer(ANALYSER)
        .set_index_option(IndexRecordOption::WithFreqs);
    let exact = TextFieldIndexing::default()
        .set_tokenizer(EXACT_ANALYSER)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut builder = Schema::builder();
    let fields = Fields {
        text: builder.add_text_field("text", TextOptions::default().set_indexing_options(scored)),
        exact: builder.add_text_field("exact", TextOptions::default().set_indexing_options(exact)),
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

    /// What is indexed for the passage `at` of a document.
    ///
    /// Heading, text and the pieces of identifiers are values of their own: no phrase runs across them.
    pub(super) fn document(self, replacement: &Replacement, at: usize) -> TantivyDocument {
        let passage = &replacement.passages[at];
        let values = [&passage.heading, &passage.text];
        let mut document = TantivyDocument::default();
        let mut identifiers = String::new();
        for value in values {
            document.add_text(self.text, value);
            let value = visible(value);
            for piece in identifier_pieces(&value) {
                identifiers.push_str(&value[piece]);
                identifiers.push(' ');
            }
        }
        document.add_text(self.text, identifiers);
        document.add_text(self.exact, &passage.heading);
        document.add_text(self.exact, with_lookahead(&replacement.passages[at..]));
        document.add_bytes(self.document, &replacement.document);
        document.add_bytes(self.collection, replacement.collection.as_bytes());
        document.add_u64(self.number, passage.number);
        document
    }
}

/// The text of the first of these passages, which follow each other, and the first pieces of what comes after it.
fn with_lookahead(passages: &[Passage]) -> String {
    let mut text = String::new();
    let mut end = 0;
    for (at, passage) in passages.iter().enumerate() {
        if at == 0 {
            text.push_str(&passage.text);
            end = text.len();
            continue;
        }
        let before = &passages[at - 1];
        let same_line = passage.first_line == before.first_line;
        let repeated = (before.last_line + 1).saturating_sub(passage.first_line);
        if same_line {
            // The parts of a long line lie side by side.
            text.push_str(&passage.text);
        } else {
            text.push('\n');
            text.push_str(after_lines(&passage.text, repeated as usize));
        }
        let mut pieces = Pieces::new(&text[end..]);
        let mut folded = String::new();
        let last = (0..LOOKAHEAD)
            .map_while(|_| pieces.next(&mut folded))
            .last();
        let enough = last.filter(|_| pieces.next(&mut folded).is_some());
        if let Some(last) = enough {
            text.truncate(end + last.range.end);
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::testing::text_passage;
    use super::*;

    #[test]
    fn a_passage_knows_how_the_text_goes_on() {
        let at = |first_line, last_line, text: &str| Passage {
            first_line,
            last_line,
            ..text_passage(1, text)
        };
        let row = [
            at(1, 2, "a\nb"),
            at(4, 4, "c"),
            at(5, 5, "de"),
            at(5, 5, "fg h"),
        ];
        assert_eq!(with_lookahead(&row), "a\nb\nc\ndefg h");
        assert_eq!(with_lookahead(&row[3..]), "fg h");
        // Repeated lines are not there twice.
        let row = [at(1, 3, "a\nb\nc"), at(3, 4, "c\nd")];
        assert_eq!(with_lookahead(&row), "a\nb\nc\nd");
        let long = [at(1, 1, "a"), at(2, 2, &"b ".repeat(100)), at(3, 3, "c")];
        assert_eq!(
            with_lookahead(&long),
            format!("a\n{}b", "b ".repeat(LOOKAHEAD - 1))
        );
    }
}
