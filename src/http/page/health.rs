//! `/health`: what is wrong and what was done about it, and what was wrong before.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;

use super::asked::{self, Asked};
use super::listed::Listed;
use super::words::Prose;
use super::{PageFrame, show};
use crate::event::Millis;
use crate::health::Present;
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
    /// The closed ones.
    list: Listed<HealthIssue>,
    /// Whether these are not the newest ones.
    is_older: bool,
}

/// An issue that is open, and what to do about it.
struct Open {
    issue: HealthIssue,
    what: String,
    remedy: Prose,
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
    let open = present.issues.iter();
    let page = HealthPage {
        page,
        judged_at: now.to_string(),
        open: open.map(|issue| opened(issue, &present)).collect(),
        list: Listed {
            next: last.map(|issue| show::link("/health", &[("before", &cursor_of(issue))])),
            read_to: None,
            rows: closed.into_iter().map(HealthIssue::from).collect(),
        },
        is_older,
    };
    Ok(asked::answer(None, page))
}

/// An open issue with the words of `status` for it, where that has any.
fn opened(issue: &Issue, present: &Present) -> Open {
    let told = present.told(issue);
    let is_wrong = present.wrong.iter().any(|one| one.key == issue.subject);
    Open {
        what: match is_wrong {
            true => told.what,
            false => issue.value.clone(),
        },
        remedy: Prose::of(&told.remedy),
        issue: HealthIssue::from(issue.clone()),
    }
}

/// An issue's place in the list: when it was over, when it began, and its key.
fn cursor_of(issue: &Issue) -> String {
    let closed = issue.closed_at.unwrap_or_default().0;
    format!("{closed} {} {}", issue.opened_at.0, issue.subject)
}

type Cursor = Option<(Millis, String, Millis)>;

fn cursor(asked: &Asked) -> Result<Cursor, Problem> {
    let Some(text) = asked.exact("before") else {
        return Ok(None);
    };
    let mut parts = text.splitn(3, ' ');
    let mut moment = || parts.next()?.parse().ok().map(Millis);
    match (moment(), moment(), parts.next()) {
        (Some(closed), Some(opened), Some(subject)) => {
            Ok(Some((closed, subject.to_owned(), opened)))
        }
        _ => {
            let detail = format!("before `{text}` is not a place in the list of closed issues");
            Err(Problem::new(ProblemKind::BadRequest, detail)
                .hint("start at /health and follow the links from there"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn commands_of_a_remedy_stand_out() {
        let issue = serde_json::json!({
            "subject": "scan_overdue:docs", "severity": "warning", "detector": "scan_overdue",
            "value": "two days", "limit": "a day", "opened_at": "2026-01-31T12:00:00Z", "closed_at": null,
            "fix": null, "fix_attempts": 0, "fix_result": null,
        });
        let page = HealthPage {
            page: PageFrame::new(Arc::new(crate::http::tests::info(1)), "/health", None),
            judged_at: "2026-01-31T12:00:00Z".to_owned(),
            open: vec![Open {
                issue: serde_json::from_value(issue).unwrap(),
                what: "the scan of docs is late".to_owned(),
                remedy: Prose::of("run `docent scan <docs>`"),
            }],
            list: Listed::default(),
            is_older: false,
        };
        let text = page.render().unwrap();
        let told = "What to do: run <code>docent scan &#60;docs&#62;</code></p>";
        assert!(text.contains(told), "{text}");
    }
}
