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
        link: show::document_link(&of.collection, &of.path, Some(chunk.first_line)),
        heading: chunk.heading,
    }
}

/// The lines of a page.
struct Text {
    answer: ReadAnswer,
    /// Each with its number.
    lines: Vec<(u32, String)>,
    /// Whether there is but one, and it is longer than a page.
    is_cut: bool,
    /// The pages before and after it.
    before: Option<String>,
    after: Option<String>,
}

impl Text {
    /// What is shown of what was read: lines up to the end of a page, which is full by their number or by their length.
    fn of(answer: ReadAnswer) -> Self {
        let [first, last] = answer.lines;
        let all = TextLines::new(&answer.text);
        // A part has no end of its last line: one that is empty is not in its text.
        let line = |number: u32| match number - first < all.count() {
            true => all.text(number - first + 1, number - first + 1).to_owned(),
            false => String::new(),
        };
        let lines = (first.max(1)..=last).map(|number| (number, line(number)));
        let lines = lines.collect();
        let from = |line: u32| show::document_from(&answer.collection, &answer.path, line);
        let before = (first > 1).then(|| from(first.saturating_sub(show::LINES).max(1)));
        let after = (last < answer.total_lines).then(|| from(last + 1));
        let left_off = answer.left_off.as_ref();
        Text {
            lines,
            is_cut: left_off.is_some_and(|left_off| left_off.next.is_none()),
            before,
            after,
            answer,
        }
    }
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
    Ok(Text::of(answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::text::{Room, part};
    use crate::http::wire::LeftOff;

    const ROOM: Room = Room {
        lines: 500,
        bytes: 1024 * 1024,
    };

    /// The page of this text from a line on, as `read` gives it.
    fn page(text: &str, from: u32) -> Text {
        let last = from + show::LINES - 1;
        let (total_lines, part) = part(text, Some((from, last)), ROOM);
        let part = part.expect("there is such a line");
        let left_off = (part.bytes_left > 0).then(|| LeftOff {
            lines: part.lines_left,
            bytes: part.bytes_left as u64,
            next: part.next.map(|next| format!("docs/a:{next}-{last}")),
        });
        Text::of(ReadAnswer {
            collection: "docs".to_owned(),
            path: "a".to_owned(),
            version: 1,
            digest: String::new(),
            lines: part.lines,
            total_lines,
            text: part.text.to_owned(),
            stale: false,
            left_off,
            missing: None,
        })
    }

    /// The line that a link's page begins with.
    fn begins(link: &str) -> u32 {
        let from = link
            .strip_prefix("/documents/docs/a")
            .expect("this document");
        match from.strip_prefix("?from=") {
            Some(line) => line.parse().expect("a line"),
            None => 1,
        }
    }

    #[test]
    fn every_line_is_reached_however_wide_the_lines_are() {
        // 200 lines of 10 kB: about a hundred fit into a page. One of 2 MB fits into none. And many short ones.
        let mut lines = vec!["w".repeat(10_000); 200];
        lines.push("x".repeat(2_000_000));
        lines.extend(vec!["y".to_owned(); 1200]);
        let text = lines.join("\n");
        let (mut from, mut seen, mut cut) = (1, Vec::new(), Vec::new());
        loop {
            let page = page(&text, from);
            assert_eq!(
                page.lines[0].0, from,
                "a page begins with the line asked for"
            );
            seen.extend(page.lines.iter().map(|(number, _)| *number));
            if page.is_cut {
                cut.push(from);
            }
            let Some(after) = page.after else { break };
            from = begins(&after);
        }
        assert_eq!(seen, (1..=1401).collect::<Vec<u32>>());
        assert_eq!(cut, [201], "of that one only the beginning is shown");
        assert!(
            page(&text, 201).after.is_some(),
            "the lines behind it are reached"
        );
    }

    #[test]
    fn the_page_before_begins_five_hundred_lines_before_or_with_the_first() {
        let text = "a\n".repeat(1300);
        for (from, before) in [(1, None), (2, Some(1)), (501, Some(1)), (1200, Some(700))] {
            let page = page(&text, from);
            assert_eq!(page.before.as_deref().map(begins), before, "{from}");
        }
        let last = page(&text, 1200);
        assert_eq!((last.lines.len(), last.after), (101, None));
    }
}
