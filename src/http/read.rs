//! Reading a document as it is indexed: captured bytes, never the file.
//!
//! The file itself is looked at for one thing: whether it is still what was captured.

use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::State;
use super::access::Caller;
use super::fresh::Waiting;
use super::lines::Json;
use super::openapi::About;
use super::params::{Params, limited};
use super::reference::{self, Referenced, find, no_document};
use super::same::{ShownFile, changed};
use super::text::{Room, part};
use super::wire::{LeftOff, Problem, ProblemKind, ReadAnswer};
use crate::event::escape;
use crate::store::DocumentRow;

/// Lines and bytes of one answer, unless it is said, and at most.
const LINES: usize = 10_000;
const LINES_MAX: usize = 1_000_000;
const BYTES: usize = 1024 * 1024;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The query of `GET /api/v1/read`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadQuery {
    /// `COLLECTION/PATH[:FIRST[-LAST]]`
    #[serde(rename = "ref")]
    pub(super) reference: String,
    /// At most so many lines.
    #[param(minimum = 1, maximum = 1_000_000, default = 10_000)]
    pub(super) max_lines: Option<usize>,
    /// At most so many bytes.
    #[param(minimum = 1, maximum = 16_777_216, default = 1_048_576)]
    pub(super) max_bytes: Option<usize>,
    /// How long to wait until what is on disk is read, such as `2s`; at most 600s.
    #[param(pattern = "^[0-9]+(ms|s|min|h|d)$")]
    pub(super) wait: Option<String>,
}

/// `GET /api/v1/read`
pub(super) const READ: About =
    About::new("Read a document as it is indexed").or(&[ProblemKind::NotFound]);

pub(super) async fn read(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<ReadQuery>,
) -> Result<Json<ReadAnswer>, Problem> {
    let room = Room {
        lines: limited("max_lines", query.max_lines, LINES, LINES_MAX)?,
        bytes: limited("max_bytes", query.max_bytes, BYTES, BYTES_MAX)?,
    };
    let mut waiting = Waiting::of(query.wait.as_deref(), &caller)?;
    let (known, named, stale) = loop {
        waiting.wait(&state).await;
        let found = find(&state, &caller, &query.reference).await?;
        let Some((known, named)) = found.filter(|(known, _)| known.readable().is_some()) else {
            let absent = no_document();
            return Err(match waiting.missing() {
                Some(missing) => absent.hint(missing),
                None => absent,
            });
        };
        let shown = ShownFile::of(&known.document);
        let stale = changed(&state, vec![shown]).await?;
        let is_stale = !stale.is_empty();
        if !waiting.goes_on(&state, stale) {
            break (known, named, is_stale);
        }
    };
    let text = text_of(&state, &known.document).await?;
    let answer = state
        .compute
        .run(move || answer(&known.document, &text, named, room, stale))
        .await;
    let answer = answer.map_err(internal)??;
    let missing = waiting.missing();
    Ok(Json(ReadAnswer { missing, ..answer }))
}

/// The text of a document's present version.
pub(super) async fn text_of(state: &State, document: &DocumentRow) -> Result<String, Problem> {
    let digest = document.digest.clone();
    let Some(bytes) = state.store.content(digest.clone()).await? else {
        let detail = format!("the bytes {digest} are not in the store");
        return Err(Problem::new(ProblemKind::StoreUnavailable, detail)
            .hint("`docent scan` reads the file again"));
    };
    // What is stored as a document is text.
    let text = String::from_utf8(bytes).map_err(|e| internal(e.to_string()))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

pub(super) fn internal(cause: String) -> Problem {
    Problem::new(ProblemKind::Internal, cause)
}

fn answer(
    document: &DocumentRow,
    text: &str,
    named: Option<Referenced>,
    room: Room,
    stale: bool,
) -> Result<ReadAnswer, Problem> {
    let place = format!("{}/{}", document.collection, escape(&document.path));
    let bad = |detail| Problem::new(ProblemKind::BadRequest, detail);
    let wanted = named.map(reference::range).transpose().map_err(bad)?;
    let (total_lines, part) = part(text, wanted, room);
    let Some(part) = part else {
        let detail = format!("{place} has {total_lines} lines");
        return Err(Problem::new(ProblemKind::NotFound, detail));
    };
    let last = wanted.map_or(total_lines, |(_, last)| last.min(total_lines));
    let left_off = (part.bytes_left > 0).then(|| LeftOff {
        lines: part.lines_left,
        bytes: part.bytes_left as u64,
        next: part.next.map(|next| format!("{place}:{next}-{last}")),
    });
    Ok(ReadAnswer {
        collection: document.collection.clone(),
        path: escape(&document.path),
        version: document.version,
        digest: document.digest.to_string(),
        lines: part.lines,
        total_lines,
        text: part.text.to_owned(),
        stale,
        left_off,
        missing: None,
    })
}
