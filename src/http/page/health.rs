//! `/health`: what is wrong and what was done about it, and what was wrong before.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;

use super::asked::{self, Asked};
use super::{PageFrame, show};
use crate::event::Millis;
use crate::health::OpenIssue;
use crate::http::State;
use crate::http::status::judgement;
use crate::http::wire::{HealthIssue, Problem, ProblemKind, Severity};
use crate::store::Issue;

/// Closed issues of a page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    page: PageFrame,
    judged_at: String,
    open: Vec<Open>,
    closed: Vec<HealthIssue>,
    /// Whether these are not the newest ones.
    is_older: bool,
    /// Where the closed ones go on.
    next: Option<String>,
}

/// An issue that is open, and what to do about it.
struct Open {
    issue: HealthIssue,
    what: String,
    remedy: String,
}

fn about(issue: &HealthIssue) -> &str {
    let key = issue.subject.split_once(':');
    key.map_or(issue.subject.as_str(), |(_, about)| about)
}

fn colour(issue: &HealthIssue) -> &'static str {
    match issue.severity.known() {
        Some(Severity::Error) => "bad",
        _ => "doubt",
    }
}

/// What was tried, in one sentence.
fn tried(issue: &HealthIssue) -> String {
    let Some(fix) = &issue.fix else {
        return "nothing".to_owned();
    };
    let attempts = match issue.fix_attempts {
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    };
    let result = issue.fix_result.as_deref().unwrap_or("under way");
    format!("{fix}, {attempts}: {result}")
}

pub(super) async fn page(
    Shared(state): Shared<State>,
    page: PageFrame,
    uri: Uri,
) -> Result<Response, Problem> {
    let before = cursor(&Asked::only(&uri, &["before"])?)?;
    let is_older = before.is_some();
    let now = Millis::now();
    let present = judgement(&state, now).await?;
    let closed = state.store.closed_issues(before, ROWS).await?;
    let last = closed.last().filter(|_| closed.len() == ROWS);
    let open = present.issues.into_iter();
    let page = HealthPage {
        page,
        judged_at: now.to_string(),
        open: open.map(|issue| opened(issue, &present.wrong)).collect(),
        next: last.map(|issue| show::link("/health", &[("before", &cursor_of(issue))])),
        closed: closed.into_iter().map(HealthIssue::from).collect(),
        is_older,
    };
    Ok(asked::answer(None, page))
}

/// An open issue with the words of `status` for it, where that has any.
fn opened(issue: Issue, wrong: &[OpenIssue]) -> Open {
    let told = wrong.iter().find(|one| one.key == issue.subject);
    Open {
        what: told.map_or_else(|| issue.value.clone(), |one| one.what.clone()),
        remedy: told.map_or_else(
            || format!("expected: {}", issue.limit),
            |one| one.remedy.clone(),
        ),
        issue: HealthIssue::from(issue),
    }
}

/// An issue's place in the list: when it was over, when it began, and its key.
fn cursor_of(issue: &Issue) -> String {
    let closed = issue.closed_at.unwrap_or_default().0;
    format!("{closed} {} {}", issue.opened_at.0, issue.subject)
}

type Cursor = Option<(Millis, String, Millis)>;

fn cursor(asked: &Asked) -> Result<Cursor, Problem> {
    let Some(text) = asked.given("before") else {
        return Ok(None);
    };
    let mut parts = text.splitn(3, ' ');
    let mut moment = || parts.next()?.parse().ok().map(Millis);
    match (moment(), moment(), parts.next()) {
        (Some(closed), Some(opened), Some(subject)) => {
            Ok(Some((closed, subject.to_owned(), opened)))
        }
        _ => {
            let detail = format!("before `{text}` is no place in the list of closed issues");
            Err(Problem::new(ProblemKind::BadRequest, detail)
                .hint("begin at /health and follow the links from there"))
        }
    }
}
