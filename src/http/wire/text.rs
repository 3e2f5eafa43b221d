//! Reading documents, and checking what is quoted from them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::amounts::counted;
use crate::word::words;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ReadAnswer {
    pub collection: String,
    /// The path in it.
    pub path: String,
    /// The version of the document.
    pub version: u32,
    /// The digest of this version's bytes.
    pub digest: String,
    /// First and last line, from 1, both included; `[0, 0]` if the document has no lines.
    pub lines: [u32; 2],
    /// Lines of the whole document.
    pub total_lines: u32,
    /// The whole text as it is; of a part, its lines without the end of the last one.
    pub text: String,
    /// Whether the file is another one now, or cannot be looked at.
    pub stale: bool,
    /// What was asked for and is not in `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_off: Option<LeftOff>,
    /// What was on disk and could not be waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl ReadAnswer {
    /// What is to be said besides the text.
    pub(crate) fn notes(&self) -> Vec<String> {
        let left = self.left_off.as_ref().map(LeftOff::to_string);
        let stale = self.stale.then(|| STALE.to_owned());
        left.into_iter().chain(stale).collect()
    }
}

/// What is said of a text whose file is another one by now.
const STALE: &str = "the file has changed since docent read it";

/// What an answer has no room for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LeftOff {
    /// Lines that are not there, or not to their end.
    pub lines: u32,
    /// Bytes that are not there.
    pub bytes: u64,
    /// What to read next; none if the last line that is there goes on.
    pub next: Option<String>,
}

/// In a sentence.
impl fmt::Display for LeftOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = counted(u64::from(self.lines), "line", "lines");
        let bytes = counted(self.bytes, "byte", "bytes");
        write!(f, "left off: {lines} ({bytes})")?;
        match &self.next {
            Some(next) => write!(f, "; continue at {next}"),
            None => Ok(()),
        }
    }
}

/// The body of `POST /api/v1/cite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CiteRequest {
    /// What is to be checked.
    pub items: Vec<CiteItem>,
}

/// A quote and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CiteItem {
    #[serde(rename = "ref")]
    pub reference: String,
    /// The text that is to stand there.
    pub quote: String,
}

/// The answer of `POST /api/v1/cite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CiteAnswer {
    /// One for each item, in the same order.
    pub results: Vec<Citation>,
    /// What was on disk and could not be waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Whether a quote stands where it is said to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CiteVerdict {
    Ok,
    /// It stands elsewhere in the document, once.
    Moved,
    /// It stands nowhere in the document.
    Changed,
    /// The document is no longer there.
    Gone,
    /// It cannot be told.
    Unknown,
}

words! { CiteVerdict:
    Ok = "ok", Moved = "moved", Changed = "changed", Gone = "gone", Unknown = "unknown",
}

impl CiteVerdict {
    /// Whether the quote is still true.
    pub(crate) const fn holds(self) -> bool {
        matches!(self, CiteVerdict::Ok | CiteVerdict::Moved)
    }
}

/// What became of one quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Citation {
    /// As it was asked for.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What became of it.
    pub verdict: CiteVerdict,
    /// Where the quote stands now, if it stands in one place.
    pub lines: Option<[u32; 2]>,
    /// The digest of the document's present bytes; of one that is gone, of its last ones.
    pub digest: Option<String>,
    /// Where the quote has changed: the text that is most like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    /// Where it cannot be told: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The text of a document that is most like a quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Nearest {
    /// First and last line, from 1, both included.
    pub lines: [u32; 2],
    /// The text of these lines, or a piece of it where they are long.
    pub text: String,
}

/// Lines as they are written behind a path.
pub(crate) fn range([first, last]: [u32; 2]) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said_with_where_it_goes_on() {
        let mut answer = ReadAnswer {
            collection: "docs".to_owned(),
            path: "a.md".to_owned(),
            version: 2,
            digest: "d".to_owned(),
            lines: [1, 2],
            total_lines: 1202,
            text: "a\rb\r\nc".to_owned(),
            stale: true,
            missing: None,
            left_off: Some(LeftOff {
                lines: 1200,
                bytes: 5000,
                next: Some("docs/a.md:3-1202".to_owned()),
            }),
        };
        let left = "left off: 1,200 lines (5,000 bytes); continue at docs/a.md:3-1202";
        assert_eq!(answer.notes(), [left, STALE]);
        answer.stale = false;
        answer.left_off = None;
        assert!(answer.notes().is_empty());
    }
}
