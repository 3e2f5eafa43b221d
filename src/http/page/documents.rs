//! `/documents`: the files in scope, by collection and path.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;

use super::asked::{self, Asked};
use super::{PageFrame, show};
use crate::event::escape;
use crate::http::State;
use crate::http::access::Caller;
use crate::http::documents::{WantedDocuments, place, rows, wanted};
use crate::http::wire::{DocumentView, ListedState, Problem};
use crate::word::Word;

/// Rows of a page.
const ROWS: usize = 100;

/// Files that a page looks at where only those of one state are wanted.
const LOOKED_SLICE: usize = 1000;
const LOOKED: usize = 50 * LOOKED_SLICE;

#[derive(Template)]
#[template(path = "documents.html")]
struct DocumentsPage {
    page: PageFrame,
    asked: Asked,
    collections: Vec<String>,
    states: Vec<&'static str>,
    list: DocumentList,
    problem: Option<Problem>,
}

/// The rows of a page.
#[derive(Default)]
struct DocumentList {
    rows: Vec<DocumentView>,
    /// Where the list goes on, `<collection>/<path>`, and whether all that was looked at is on the page.
    next: Option<String>,
    cut_off: bool,
}

fn link(row: &DocumentView) -> String {
    show::document_link(&row.collection, &row.path, None)
}

fn place_of(row: &DocumentView) -> String {
    show::line(format!("{}/{}", row.collection, row.path))
}

/// How a state is coloured.
fn colour(row: &DocumentView) -> &'static str {
    match row.state.known() {
        Some(ListedState::Stored) if row.reason.is_none() => "good",
        Some(ListedState::Rejected | ListedState::Unreadable | ListedState::Withheld) => "bad",
        _ => "doubt",
    }
}

pub(super) async fn page(
    Shared(state): Shared<State>,
    caller: Caller,
    page: PageFrame,
    uri: Uri,
) -> Response {
    let asked = Asked::only(&uri, &["collection", "state", "after"]);
    let listed = match &asked {
        Ok(asked) => list(&state, &caller, asked).await,
        Err(problem) => Err(problem.clone()),
    };
    let (list, problem) = match listed {
        Ok(list) => (list, None),
        Err(problem) => (DocumentList::default(), Some(problem)),
    };
    let status = problem.as_ref().map(|problem| problem.status);
    let page = DocumentsPage {
        page,
        asked: asked.unwrap_or_default(),
        collections: asked::collections(&state, &caller),
        states: ListedState::ALL.iter().map(|one| one.as_str()).collect(),
        list,
        problem,
    };
    asked::answer(status, page)
}

async fn list(state: &State, caller: &Caller, asked: &Asked) -> Result<DocumentList, Problem> {
    let wanted = WantedDocuments {
        collection: asked.given("collection"),
        state: asked.given("state").as_deref().map(wanted).transpose()?,
    };
    if let Some(collection) = &wanted.collection {
        state.known_collection(caller, collection)?;
    }
    let mut after = match asked.given("after") {
        Some(text) => place(&text)?,
        None => Default::default(),
    };
    let slice = match wanted.state {
        Some(_) => LOOKED_SLICE,
        None => ROWS,
    };
    let mut list = DocumentList::default();
    for _ in 0..LOOKED / LOOKED_SLICE {
        let found = rows(state, caller, &wanted, after, slice).await?;
        let Some(next) = found.next else {
            return Ok(list);
        };
        list.rows.extend(found.rows);
        after = next;
        if list.rows.len() >= ROWS {
            break;
        }
    }
    list.cut_off = list.rows.len() < ROWS;
    if list.rows.len() > ROWS {
        list.rows.truncate(ROWS);
    }
    let last = list.rows.last().filter(|_| !list.cut_off);
    list.next = Some(match last {
        Some(row) => format!("{}/{}", row.collection, row.path),
        None => format!("{}/{}", after.0, escape(&after.1)),
    });
    Ok(list)
}
