//! `/documents/<collection>/<path>`: a document with its text, its versions and its outline.

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::Uri;
use axum::response::Response;

use super::asked::{self, Asked};
use super::{PageFrame, show};
use crate::http::State;
use crate::http::access::Caller;
use crate::http::documents::{HistoryQuery, history};
use crate::http::params::Params;
use crate::http::read::{ReadQuery, read};
use crate::http::text::TextLines;
use crate::http::wire::{DocumentState, History, Problem, ProblemKind, ReadAnswer, Version};
use crate::store::ChunkPlace;

/// Chunks of an outline.
const CHUNKS: usize = 500;

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentPage {
    page: PageFrame,
    history: History,
    text: Result<Text, Problem>,
    outline: Vec<ChunkLink>,
}

impl DocumentPage {
    fn place(&self) -> String {
        show::line(format!("{}/{}", self.history.collection, self.history.path))
    }

    /// The page of events about this document.
    fn events(&self) -> String {
        let subject = format!("{}/{}", self.history.collection, self.history.path);
        show::link("/events", &[("subject", &subject)])
    }

    fn newest(&self) -> Option<&Version> {
        self.history.versions.first()
    }

    fn is_stored(&self) -> bool {
        self.history.state == DocumentState::Stored
    }

    fn is_outline_cut(&self) -> bool {
        self.outline.len() == CHUNKS
    }
}

/// A chunk by its lines.
struct ChunkLink {
    lines: String,
    link: String,
    heading: String,
}

fn chunk_link(of: &History, chunk: ChunkPlace) -> ChunkLink {
    ChunkLink {
        lines: format!("{}–{}", chunk.first_line, chunk.last_line),
        link: link_at(of, chunk.first_line),
        heading: chunk.heading,
    }
}

fn link_at(of: &History, line: u32) -> String {
    show::document_link(&of.collection, &of.path, Some(line))
}

/// The lines of a page.
struct Text {
    answer: ReadAnswer,
    /// Each with its number.
    lines: Vec<(u32, String)>,
    /// The pages before and after it.
    before: Option<String>,
    after: Option<String>,
}

fn size(bytes: &u64) -> String {
    crate::config::format_size(*bytes)
}

pub(super) async fn page(
    Shared(state): Shared<State>,
    caller: Caller,
    page: PageFrame,
    Path(place): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let from = Asked::only(&uri, &["from"])?.number("from")?.unwrap_or(1);
    let from = u32::try_from(from).unwrap_or(u32::MAX).max(1);
    let of = HistoryQuery { of: place };
    let found = history(Shared(state.clone()), caller.clone(), Params(of))
        .await?
        .0;
    let text = text(&state, &caller, &found, from).await;
    let outline = match found.state == DocumentState::Stored {
        true => state.store.outline(found.document.clone(), CHUNKS).await?,
        false => Vec::new(),
    };
    let status = text.as_ref().err().map(|problem| problem.status);
    let page = DocumentPage {
        page,
        text,
        outline: outline
            .into_iter()
            .map(|chunk| chunk_link(&found, chunk))
            .collect(),
        history: found,
    };
    Ok(asked::answer(status.filter(|status| *status >= 500), page))
}

/// The lines of a document from one on, as `read` gives them.
async fn text(state: &State, caller: &Caller, of: &History, from: u32) -> Result<Text, Problem> {
    let place = format!("{}/{}", of.collection, of.path);
    let reference = match from {
        1 => place,
        _ => format!("{place}:{from}-{}", from.saturating_add(show::LINES - 1)),
    };
    let query = ReadQuery {
        reference,
        max_lines: usize::try_from(show::LINES).ok(),
        max_bytes: None,
        wait: None,
    };
    let answer = read(Shared(state.clone()), caller.clone(), Params(query))
        .await?
        .0;
    if (&answer.collection, &answer.path) != (&of.collection, &of.path) {
        // A file whose name ends as lines do has taken its place.
        let detail = format!("`:{from}` at the end of this place is the name of another file");
        return Err(Problem::new(ProblemKind::NotFound, detail)
            .hint("read these lines with `docent read`, or open the file"));
    }
    let [first, last] = answer.lines;
    let all = TextLines::new(&answer.text);
    // A part has no end of its last line: one that is empty is not in its text.
    let line = |number: u32| match number - first < all.count() {
        true => all.text(number - first + 1, number - first + 1).to_owned(),
        false => String::new(),
    };
    let lines = (first.max(1)..=last).map(|number| (number, line(number)));
    let lines = lines.collect();
    let before = (first > 1).then(|| first.saturating_sub(show::LINES).max(1));
    let after = (last < answer.total_lines).then_some(last + 1);
    Ok(Text {
        lines,
        before: before.map(|line| link_at(of, line)),
        after: after.map(|line| link_at(of, line)),
        answer,
    })
}
