//! Which words of a text a query means: for a terminal to highlight.

use std::collections::HashSet;
use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

use super::analyse::{each_term, identifier_pieces, normalised, query_terms};

/// The byte ranges of the words of `text` that `query` looks for, ascending and apart from each other.
///
/// Words are compared as the index compares them: without case, accents and endings. Of a compound identifier
/// that is not looked for as a whole, the pieces that are looked for are marked.
pub fn marks(query: &str, text: &str) -> Vec<Range<usize>> {
    let terms: HashSet<String> = query_terms(query).scored.into_iter().collect();
    let wanted = |word: &str| {
        let mut found = false;
        each_term(&normalised(word), |term| {
            found = terms.contains(term);
            !found
        });
        found
    };
    let mut marks: Vec<Range<usize>> = words(text)
        .filter(|word| wanted(&text[word.clone()]))
        .collect();
    let pieces: Vec<Range<usize>> = identifier_pieces(text)
        .into_iter()
        .filter(|piece| wanted(&text[piece.clone()]))
        .filter(|piece| !covered(&marks, piece))
        .collect();
    marks.extend(pieces);
    marks.sort_by_key(|mark| mark.start);
    marks
}

/// Whether one of `marks`, which ascend, contains `piece`.
fn covered(marks: &[Range<usize>], piece: &Range<usize>) -> bool {
    let after = marks.partition_point(|mark| mark.start <= piece.start);
    after > 0 && marks[after - 1].end >= piece.end
}

/// The words of a text that need not be normalised: combining marks belong to the word before them.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, _) = rest.by_ref().find(|(_, c)| c.is_alphanumeric())?;
        while rest
            .next_if(|(_, c)| c.is_alphanumeric() || is_combining_mark(*c))
            .is_some()
        {}
        let end = rest.peek().map_or(text.len(), |(at, _)| *at);
        Some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked<'a>(query: &str, text: &'a str) -> Vec<&'a str> {
        marks(query, text)
            .into_iter()
            .map(|mark| &text[mark])
            .collect()
    }

    #[test]
    fn words_are_marked_in_whatever_form_they_stand() {
        let text = "Configure it; the confusion is configured. A CONFIGURING café.";
        assert_eq!(
            marked("how to configure", text),
            ["Configure", "configured", "CONFIGURING"]
        );
        assert_eq!(marked("\"confusions of a file\"", text), ["confusion"]);
        assert_eq!(marked("cafe", text), ["café"]);
        assert_eq!(marked("café", "a cafe\u{301}, twice"), ["cafe\u{301}"]);
        assert_eq!(marked("nothing", text), [""; 0]);
    }

    #[test]
    fn an_identifier_is_marked_whole_or_by_its_pieces() {
        let text = "call readBlockPostings(x) or read_block";
        assert_eq!(marked("readBlockPostings", text)[0], "readBlockPostings");
        assert_eq!(marked("block", text), ["Block", "block"]);
    }

    proptest! {
        #[test]
        fn marks_ascend_apart_and_on_boundaries(query in "[a-cA-C_ ]{0,12}", text in "([a-cA-C_ é]|\u{301}|\\PC){0,60}") {
            let marks = marks(&query, &text);
            prop_assert!(marks.iter().all(|mark| text.get(mark.clone()).is_some_and(|word| !word.is_empty())));
            prop_assert!(marks.windows(2).all(|two| two[0].end <= two[1].start));
        }
    }
}
