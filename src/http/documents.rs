//! Documents and their versions.

use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::State;
use super::access::Caller;
use super::lines::{Json, Lines, PAGE, Page, paged};
use super::openapi::About;
use super::params::Params;
use super::wire::{DocumentView, History, Problem, ProblemKind, Version};
use crate::event::{Subject, escape};
use crate::store::{Digest, FileState, ListedDocument, ListedState};
use crate::word::Word;

/// The query of `GET /api/v1/documents`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentsQuery {
    collection: Option<String>,
    /// Only files in this state.
    #[param(value_type = ListedState, inline, required = false)]
    state: Option<String>,
    /// Only what comes after `<collection>/<path>`.
    after: Option<String>,
}

/// The state of this name.
pub(super) fn wanted(state: &str) -> Result<ListedState, Problem> {
    ListedState::parse(state).ok_or_else(|| {
        let known: Vec<&str> = ListedState::ALL.iter().map(|one| one.as_str()).collect();
        let detail = format!(
            "there is no state `{state}`; there are: {}",
            known.join(", ")
        );
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

pub(super) const LIST: About = About::new("List every file in scope").or(&[ProblemKind::NotFound]);

/// `GET /api/v1/documents`: every file in scope, one a line, by collection and path.
pub(super) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<DocumentsQuery>,
) -> Result<Lines<DocumentView>, Problem> {
    let wanted = query.state.as_deref().map(wanted).transpose()?;
    if let Some(collection) = &query.collection {
        state.known_collection(&caller, collection)?;
    }
    let after = query.after.as_deref().map(place).transpose()?;
    let wanted = WantedDocuments {
        collection: query.collection,
        state: wanted,
    };
    paged(after.unwrap_or_default(), move |mut after| {
        let (state, caller, wanted) = (state.clone(), caller.clone(), wanted.clone());
        async move {
            loop {
                let found = rows(&state, &caller, &wanted, after, PAGE).await?;
                let Some(next) = found.next else {
                    return Ok(None);
                };
                after = next;
                let mut page = Page::default();
                for row in &found.rows {
                    page.push(row)?;
                }
                if !page.is_empty() {
                    return Ok(Some((page, after)));
                }
            }
        }
    })
    .await
}

/// The collection and the path (exact bytes) that a list has reached.
pub(super) type ListPlace = (String, Vec<u8>);

/// A place as it stands in a query: `<collection>/<path>`.
pub(super) fn place(text: &str) -> Result<ListPlace, Problem> {
    let subject =
        Subject::parse(text).map_err(|e| Problem::new(ProblemKind::BadRequest, e.to_string()))?;
    let (collection, path) = subject.as_place();
    Ok((collection.to_owned(), path.unwrap_or_default()))
}

/// Which files are listed.
#[derive(Debug, Clone, Default)]
pub(super) struct WantedDocuments {
    pub(super) collection: Option<String>,
    pub(super) state: Option<ListedState>,
}

/// The files among some that were looked at.
pub(super) struct DocumentRows {
    pub(super) rows: Vec<DocumentView>,
    /// Up to where was looked; `None`: there was nothing more.
    pub(super) next: Option<ListPlace>,
}

/// What the next files in scope have for this caller, `limit` of them at most being looked at.
pub(super) async fn rows(
    state: &State,
    caller: &Caller,
    wanted: &WantedDocuments,
    mut after: ListPlace,
    limit: usize,
) -> Result<DocumentRows, Problem> {
    loop {
        let collection = walked(caller, wanted, &after.0);
        let is_limited = wanted.collection.is_none() && collection.is_some();
        let found = state
            .store
            .listed_documents(collection.clone(), after, limit)
            .await?;
        if let Some(last) = found.last() {
            let next = (last.collection.clone(), last.path.clone());
            let is_wanted = |row: &ListedDocument| {
                caller.sees(&row.collection) && wanted.state.is_none_or(|w| row.state == w)
            };
            let rows = found.into_iter().filter(is_wanted).map(document);
            return Ok(DocumentRows {
                rows: rows.collect(),
                next: Some(next),
            });
        }
        // The next of the collections that the caller is limited to begins behind all paths of this one.
        match collection.filter(|name| is_limited && !name.is_empty()) {
            Some(collection) => after = (format!("{collection}\0"), Vec::new()),
            None => {
                return Ok(DocumentRows {
                    rows: Vec::new(),
                    next: None,
                });
            }
        }
    }
}

/// The collection that is read next, from `from` on; `None`: all of them.
fn walked(caller: &Caller, wanted: &WantedDocuments, from: &str) -> Option<String> {
    if wanted.collection.is_some() {
        return wanted.collection.clone();
    }
    let theirs = caller.limit()?.iter().filter(|name| name.as_str() >= from);
    // One that cannot be: there is nothing left.
    Some(theirs.min().cloned().unwrap_or_default())
}

fn document(row: ListedDocument) -> DocumentView {
    DocumentView {
        collection: row.collection,
        path: escape(&row.path),
        version: row.version,
        digest: row.digest.as_ref().map(Digest::to_string),
        state: row.state.into(),
        reason: row.reason,
        title: row.title,
    }
}

/// The query of `GET /api/v1/documents/history`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// `<collection>/<path>`, as in an event's subject.
    pub(super) of: String,
}

pub(super) const HISTORY: About =
    About::new("List the versions of a document").or(&[ProblemKind::NotFound]);

/// `GET /api/v1/documents/history`: the versions of a document that are kept, also of one whose file is gone.
pub(super) async fn history(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<History>, Problem> {
    let subject = Subject::parse(&query.of)
        .map_err(|e| Problem::new(ProblemKind::BadRequest, e.to_string()))?;
    let (collection, Some(path)) = subject.as_place() else {
        let detail =
            format!("`{subject}` names no file; write COLLECTION/PATH, for example docs/guide.md");
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    };
    if !caller.sees(collection) {
        state.known_collection(&caller, collection)?;
    }
    let Some(document) = state.store.document_at(collection, &path).await? else {
        return Err(no_document(&state, &caller, collection, &path).await?);
    };
    let versions = state.store.versions(document.id.clone()).await?;
    let versions = versions.into_iter().map(|version| Version {
        version: version.version,
        at: version.at.to_string(),
        digest: version.digest.to_string(),
        size: version.size,
        state: version.state.into(),
        reason: version.reason,
        title: version.title,
    });
    Ok(Json(History {
        versions: versions.collect(),
        document: document.id,
        collection: document.collection,
        path: escape(&document.path),
        state: document.state.into(),
    }))
}

/// Why there is no document at a path.
async fn no_document(
    state: &State,
    caller: &Caller,
    collection: &str,
    path: &[u8],
) -> Result<Problem, Problem> {
    let row = state.store.manifest_row(collection, path).await?;
    let place = format!("{collection}/{}", escape(path));
    let detail = match row {
        Some(row) if row.state == FileState::Captured => {
            format!("{place} is captured and not processed yet")
        }
        Some(row) => match row.reason {
            Some(reason) => format!("{place} is not a document: {reason}"),
            None => format!("{place} is not a document: it is {}", row.state.as_str()),
        },
        None => {
            state.known_collection(caller, collection)?;
            format!("there is no document {place}, and docent remembers none")
        }
    };
    Ok(Problem::new(ProblemKind::NotFound, detail))
}
