//! `COLLECTION/PATH[:FIRST[-LAST]]`: which document, and which lines of it, a text from outside names.

use super::State;
use super::access::Caller;
use super::wire::{Problem, ProblemKind};
use crate::event::Subject;
use crate::store::{DocumentRow, DocumentState, FileState, ManifestRow};

/// Lines as they are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Referenced {
    pub(super) first: u32,
    /// None: only a first line is named.
    pub(super) last: Option<u32>,
}

/// A document that is known, or was.
#[derive(Debug)]
pub(super) struct KnownDocument {
    pub(super) document: DocumentRow,
    pub(super) row: Option<ManifestRow>,
}

impl KnownDocument {
    /// The row of the file, if its text may be shown: it is a document, its bytes are captured, and nothing has been found
    /// since for which they would not be.
    pub(super) fn readable(&self) -> Option<&ManifestRow> {
        let row = self.row.as_ref()?;
        let stored = self.document.state == DocumentState::Stored;
        (stored && row.state == FileState::Captured).then_some(row)
    }
}

/// A text before its lines, and these.
pub(super) fn split(text: &str) -> Option<(&str, Referenced)> {
    let (place, lines) = text.rsplit_once(':')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u32::MAX))
    };
    let named = match lines.split_once('-') {
        Some((first, last)) => Referenced {
            first: number(first)?,
            last: Some(number(last)?),
        },
        None => Referenced {
            first: number(lines)?,
            last: None,
        },
    };
    Some((place, named))
}

/// The document at a place, also one that is gone.
async fn known(
    state: &State,
    caller: &Caller,
    place: &str,
) -> Result<Option<KnownDocument>, Problem> {
    let Ok(subject) = Subject::parse(place) else {
        return Ok(None);
    };
    let (collection, Some(path)) = subject.as_place() else {
        return Ok(None);
    };
    if state.known_collection(caller, collection).is_err() {
        return Ok(None);
    }
    let Some(document) = state.store.document_at(collection, &path).await? else {
        return Ok(None);
    };
    let row = state.store.manifest_row(collection, &path).await?;
    Ok(Some(KnownDocument { document, row }))
}

/// The document that `text` names, and the lines. Where the end of a path could be lines, a path that is there wins.
pub(super) async fn find(
    state: &State,
    caller: &Caller,
    text: &str,
) -> Result<Option<(KnownDocument, Option<Referenced>)>, Problem> {
    let whole = known(state, caller, text).await?;
    if whole
        .as_ref()
        .is_some_and(|whole| whole.readable().is_some())
    {
        return Ok(whole.map(|whole| (whole, None)));
    }
    if let Some((place, named)) = split(text)
        && let Some(before) = known(state, caller, place).await?
        && (whole.is_none() || before.readable().is_some())
    {
        return Ok(Some((before, Some(named))));
    }
    Ok(whole.map(|whole| (whole, None)))
}

/// The document at `place`, if it can be read and no path goes on after it with a colon. What stands behind a colon can only
/// be lines then: [`find`] would find it for all of them.
pub(super) async fn plain(
    state: &State,
    caller: &Caller,
    place: &str,
) -> Result<Option<KnownDocument>, Problem> {
    let found = known(state, caller, place).await?;
    let Some(known) = found.filter(|known| known.readable().is_some()) else {
        return Ok(None);
    };
    let KnownDocument { document, .. } = &known;
    let longer = [document.path.as_slice(), b":"].concat();
    let next = state
        .store
        .documents_of(&document.collection, &longer, 1)
        .await?;
    let goes_on = next.iter().any(|next| next.path.starts_with(&longer));
    Ok((!goes_on).then_some(known))
}

/// First and last line of what is named.
pub(super) fn range(named: Referenced) -> Result<(u32, u32), String> {
    let Referenced { first, last } = named;
    match last.unwrap_or(first) {
        _ if first == 0 => Err("lines count from 1".to_owned()),
        last if last < first => Err(format!("line {last} is before line {first}")),
        last => Ok((first, last)),
    }
}

/// The one answer to whatever is no document, whether there is such a file or not.
pub(super) fn no_document() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "docent has no document at this place; write COLLECTION/PATH[:FIRST[-LAST]]",
    )
    .hint("`docent documents` lists what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_behind_the_last_colon() {
        let lines = |first, last| Referenced { first, last };
        for (text, expected) in [
            ("docs/a.md:3", Some(("docs/a.md", lines(3, None)))),
            ("docs/a.md:3-14", Some(("docs/a.md", lines(3, Some(14))))),
            ("docs/a:b:0", Some(("docs/a:b", lines(0, None)))),
            (
                "docs/a.md:99999999999",
                Some(("docs/a.md", lines(u32::MAX, None))),
            ),
            ("docs/a.md", None),
            ("docs/a.md:", None),
            ("docs/a.md:3-", None),
            ("docs/a.md:+3", None),
            ("docs/a.md:3-4-5", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
        assert_eq!(range(lines(2, None)), Ok((2, 2)));
        assert!(range(lines(0, Some(2))).is_err() && range(lines(3, Some(2))).is_err());
    }
}
