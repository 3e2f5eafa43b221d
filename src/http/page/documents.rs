//! `/documents`: the files in scope, by collection and path.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;

use super::asked::{self, Asked};
use super::listed::Listed;
use super::{PageFrame, show};
use crate::event::escape;
use crate::http::State;
use crate::http::access::Caller;
use crate::http::documents::{WantedDocuments, place, rows, wanted};
use crate::http::wire::{DocumentView, ListedState, Problem};
use crate::word::Word;

/// Rows of a page.
const ROWS: usize = 100;

/// Files that are read at once where only those of one state are wanted, and slices that are read for a page.
const SLICE: usize = 1000;
const SLICES: usize = 50;

#[derive(Template)]
#[template(path = "documents.html")]
struct DocumentsPage {
    page: PageFrame,
    asked: Asked,
    collections: Vec<String>,
    states: Vec<&'static str>,
    list: Listed<DocumentView>,
    problem: Option<Problem>,
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
    let (list, problem) = Listed::split(listed);
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

async fn list(
    state: &State,
    caller: &Caller,
    asked: &Asked,
) -> Result<Listed<DocumentView>, Problem> {
    let wanted = WantedDocuments {
        collection: asked.given("collection"),
        state: asked.given("state").as_deref().map(wanted).transpose()?,
    };
    if let Some(collection) = &wanted.collection {
        state.known_collection(caller, collection)?;
    }
    let mut after = match asked.exact("after") {
        Some(text) => place(&text)?,
        None => Default::default(),
    };
    let slice = match wanted.state {
        Some(_) => SLICE,
        None => ROWS,
    };
    let mut list = Listed::default();
    for _ in 0..SLICES {
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
    list.rows.truncate(ROWS);
    let last = list.rows.last().filter(|_| list.rows.len() == ROWS);
    let place = match last {
        Some(row) => format!("{}/{}", row.collection, row.path),
        None => {
            let reached = format!("{}/{}", after.0, escape(&after.1));
            list.read_to = Some(format!("Read up to {}.", show::line(&reached)));
            reached
        }
    };
    list.next = Some(asked.link("/documents", &[("after", &place)]));
    Ok(list)
}
