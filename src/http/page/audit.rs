//! `/audit`: the records of the audit log, newest first.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use serde_json::Value;

use super::asked::{self, Asked};
use super::listed::{Listed, read_back_to};
use super::{PageFrame, show};
use crate::event::EventType;
use crate::http::State;
use crate::http::wire::Problem;
use crate::store::{AuditSearch, PastRecord, Span};

/// Rows of a page.
const ROWS: usize = 50;

/// Slices of the log that are read for a page.
const SLICES: usize = 10;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    page: PageFrame,
    asked: Asked,
    kinds: Vec<&'static str>,
    list: Listed<AuditRow>,
    problem: Option<Problem>,
}

struct AuditRow {
    n: u64,
    at: String,
    hash: String,
    /// What the record says; null: its line is no JSON.
    record: Value,
    line: String,
}

impl AuditRow {
    fn text(&self, key: &str) -> &str {
        self.record[key].as_str().unwrap_or_default()
    }

    fn event(&self) -> Option<String> {
        self.record["event"].as_str().map(show::event_link)
    }
}

fn row(found: PastRecord) -> AuditRow {
    AuditRow {
        n: found.line.n,
        at: found.at.to_string(),
        record: serde_json::from_str(&found.line.line).unwrap_or_default(),
        line: found.line.printed(),
        hash: found.line.hash,
    }
}

const PARAMETERS: &[&str] = &[
    "event", "type", "subject", "data", "since", "until", "before",
];

/// The types of records: those of events, and the one that says what retention removed.
fn kinds() -> Vec<&'static str> {
    let kinds = EventType::ALL.iter().map(|kind| kind.as_str());
    kinds.chain(["audit.pruned"]).collect()
}

pub(super) async fn page(Shared(state): Shared<State>, page: PageFrame, uri: Uri) -> Response {
    let (asked, list) = match Asked::only(&uri, PARAMETERS) {
        Ok(asked) => {
            let list = list(&state, &asked).await;
            (asked, list)
        }
        Err(problem) => (Asked::default(), Err(problem)),
    };
    let (list, problem) = Listed::split(list);
    let status = problem.as_ref().map(|problem| problem.status);
    let page = AuditPage {
        page,
        asked,
        kinds: kinds(),
        list,
        problem,
    };
    asked::answer(status, page)
}

async fn list(state: &State, asked: &Asked) -> Result<Listed<AuditRow>, Problem> {
    let wanted = AuditSearch {
        event: asked.given("event").map(|id| id.to_ascii_lowercase()),
        kind: asked.given("type"),
        subject: asked.given("subject"),
        data: asked.given("data"),
    };
    let mut span = asked::span(asked)?;
    let (mut rows, mut next) = (Vec::new(), None);
    for _ in 0..SLICES {
        let left = ROWS - rows.len();
        let found = state.store.search_audit(wanted.clone(), span, left).await?;
        rows.extend(found.rows.into_iter().map(row));
        next = found.next;
        let Some(reached) = found.next.filter(|_| rows.len() < ROWS) else {
            break;
        };
        span = Span {
            before: Some(reached.key),
            ..span
        };
    }
    let before = next.map(|row| row.key.to_string());
    let reached = next.filter(|_| rows.len() < ROWS);
    Ok(Listed {
        next: before.map(|before| asked.link("/audit", &[("before", &before)])),
        read_to: reached.map(|row| read_back_to(row.time)),
        rows,
    })
}
