//! The fields of the keyword index, and what is written to them for a chunk.

use std::collections::BTreeSet;

use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{TantivyDocument, Term};

use super::Replacement;
use super::analyse::{LOOKAHEAD, LOOKAHEAD_BYTES, identifier_pieces, query_terms};
use super::stored;
use super::symbols::folded;
use super::words::{WordPieces, after_lines, visible};
use crate::document::{definitions, is_page};
use crate::store::ChunkRow;

/// The name of the analyser of what is scored among tantivy's tokenizers.
pub(super) const ANALYSER: &str = "docent";
/// The name of the analyser of what quoted parts are compared with.
pub(super) const EXACT_ANALYSER: &str = "docent-exact";
/// The field of the chunk's number.
pub(super) const NUMBER: &str = "number";

/// The fields of the keyword index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) text: Field,
    /// Heading and text as they stand, with the beginning of what follows.
    pub(super) exact: Field,
    document: Field,
    /// Not looked at: files are told by what is in memory. It stays until the format of the index changes for another reason.
    collection: Field,
    /// The terms of the last heading of a page; as many as there are is their length.
    pub(super) title: Field,
    /// What a chunk of code defines, and in what it stands: see [`named`].
    pub(super) names: Field,
    number: Field,
    /// The chunk itself, if the index stores chunks.
    pub(super) stored: Option<Field>,
}

/// What a name is to a chunk of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// It defines a type or a module of this name.
    Type,
    /// It defines a function or a value of this name.
    Function,
    /// It stands in something of this name.
    Within,
}

/// The term of a folded name in the field of names.
pub(super) fn named(what: Named, name: &str) -> String {
    let mark = match what {
        Named::Type => 't',
        Named::Function => 'f',
        Named::Within => 'w',
    };
    format!("{mark} {name}")
}

/// The name that tantivy has for the analyser that takes a value as it is.
const RAW: &str = "raw";

/// The schema of the keyword index. `stores_chunks`: it has the chunks themselves too.
pub(super) fn schema(stores_chunks: bool) -> (Schema, Fields) {
    let scored = TextFieldIndexing::default()
        .set_tokenizer(ANALYSER)
        .set_index_option(IndexRecordOption::WithFreqs);
    let exact = TextFieldIndexing::default()
        .set_tokenizer(EXACT_ANALYSER)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let raw = |norms| {
        TextFieldIndexing::default()
            .set_tokenizer(RAW)
            .set_fieldnorms(norms)
            .set_index_option(IndexRecordOption::Basic)
    };
    let text = |options| TextOptions::default().set_indexing_options(options);
    let mut builder = Schema::builder();
    let fields = Fields {
        text: builder.add_text_field("text", text(scored)),
        exact: builder.add_text_field("exact", text(exact)),
        document: builder.add_bytes_field("document", BytesOptions::default().set_indexed()),
        collection: builder.add_bytes_field("collection", BytesOptions::default().set_indexed()),
        title: builder.add_text_field("title", text(raw(true))),
        names: builder.add_text_field("names", text(raw(false))),
        number: builder.add_u64_field(NUMBER, NumericOptions::default().set_fast()),
        stored: stores_chunks
            .then(|| builder.add_bytes_field("chunk", BytesOptions::default().set_stored())),
    };
    (builder.build(), fields)
}

impl Fields {
    /// The term that all chunks of a document have.
    pub(super) fn document_term(self, replacement: &Replacement) -> Term {
        Term::from_field_bytes(self.document, &replacement.document)
    }

    /// What is indexed for the chunk `at` of a document.
    ///
    /// Heading, text and the pieces of identifiers are values of their own: no phrase runs across them.
    pub(super) fn document(self, replacement: &Replacement, at: usize) -> TantivyDocument {
        let chunk = &replacement.chunks[at];
        let values = [&chunk.heading, &chunk.text];
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
        document.add_text(self.exact, &chunk.heading);
        document.add_text(self.exact, with_lookahead(&replacement.chunks[at..]));
        document.add_bytes(self.document, &replacement.document);
        document.add_bytes(self.collection, replacement.collection.as_bytes());
        document.add_u64(self.number, chunk.number);
        if let Some(field) = self.stored {
            document.add_bytes(field, &stored::encode(replacement, at));
        }
        self.add_names(&mut document, &replacement.path, chunk);
        document
    }

    /// What a page's chunk is headed by, or what a chunk of code defines.
    fn add_names(self, document: &mut TantivyDocument, path: &[u8], chunk: &ChunkRow) {
        if is_page(path) {
            if let Some((_, title)) = chunk
                .heading
                .rsplit_once(" > ")
                .or(Some(("", &chunk.heading)))
            {
                for term in query_terms(title).scored {
                    document.add_text(self.title, term);
                }
            }
            return;
        }
        let mut names = BTreeSet::new();
        for definition in definitions(path, &chunk.text) {
            let what = if definition.is_type {
                Named::Type
            } else {
                Named::Function
            };
            names.insert(named(what, &folded(definition.name)));
        }
        // The file's name is a part of its path, and is looked for there.
        let items = chunk.heading.split(" > ").skip(1);
        for name in items.flat_map(|item| item.split(|c: char| !c.is_alphanumeric() && c != '_')) {
            let name = folded(name);
            if name.len() > 1 {
                names.insert(named(Named::Within, &name));
            }
        }
        for name in names {
            document.add_text(self.names, name);
        }
    }
}

/// The text of the first of these chunks, which follow each other, and the first pieces of what comes after it.
fn with_lookahead(chunks: &[ChunkRow]) -> String {
    let mut text = String::new();
    let mut end = 0;
    for (at, chunk) in chunks.iter().enumerate() {
        if at == 0 {
            text.push_str(&chunk.text);
            end = text.len();
            continue;
        }
        let before = &chunks[at - 1];
        let same_line = chunk.first_line == before.first_line;
        let repeated = (before.last_line + 1).saturating_sub(chunk.first_line);
        if same_line {
            // The parts of a long line lie side by side.
            text.push_str(&chunk.text);
        } else {
            text.push('\n');
            text.push_str(after_lines(&chunk.text, repeated as usize));
        }
        let mut pieces = WordPieces::new(&text[end..]);
        let mut folded = String::new();
        let last = (0..LOOKAHEAD)
            .map_while(|_| pieces.next(&mut folded))
            .last();
        let enough = last.filter(|_| pieces.next(&mut folded).is_some());
        if let Some(last) = enough {
            text.truncate(end + last.range.end);
            break;
        }
        if text.len() - end > LOOKAHEAD_BYTES {
            text.truncate(text.floor_char_boundary(end + LOOKAHEAD_BYTES));
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::testing::text_chunk;
    use super::*;

    #[test]
    fn a_chunk_knows_how_the_text_goes_on() {
        let at = |first_line, last_line, text: &str| ChunkRow {
            first_line,
            last_line,
            ..text_chunk(1, text)
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
        let endless: Vec<ChunkRow> = (0..100).map(|_| at(1, 1, &"0af".repeat(270))).collect();
        assert_eq!(with_lookahead(&endless).len(), 810 + LOOKAHEAD_BYTES);
        let long = [at(1, 1, "a"), at(2, 2, &"b ".repeat(100)), at(3, 3, "c")];
        assert_eq!(
            with_lookahead(&long),
            format!("a\n{}b", "b ".repeat(LOOKAHEAD - 1))
        );
    }
}
