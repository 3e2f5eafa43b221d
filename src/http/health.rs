//! Health issues and jobs, as lists.

use axum::extract::State as Shared;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Map;

use super::State;
use super::lines::{Json, paged_object, push_line};
use super::params::Params;
use super::wire::{HealthIssue, Job, JobList, Problem};
use crate::event::Millis;
use crate::store::Issue;

/// The query of `GET /api/v1/health`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuesQuery {
    /// Also those that are closed.
    #[serde(default)]
    all: bool,
}

/// `GET /api/v1/health`
pub(super) async fn issues(
    Shared(state): Shared<State>,
    Params(query): Params<IssuesQuery>,
) -> Result<Response, Problem> {
    paged_object(("issues", Map::new()), 0, move |known| {
        let state = state.clone();
        async move {
            let issues = state.store.issues_page(query.all, known).await?;
            let next = known + issues.len();
            let mut page = Vec::new();
            for issue in issues {
                push_line(&mut page, &view(issue))?;
            }
            Ok((next > known).then_some((page, next)))
        }
    })
    .await
}

fn view(issue: Issue) -> HealthIssue {
    HealthIssue {
        subject: issue.subject,
        severity: issue.severity.as_str().to_owned(),
        detector: issue.detector,
        value: issue.value,
        limit: issue.limit,
        opened_at: issue.opened_at.to_string(),
        closed_at: issue.closed_at.map(|at| at.to_string()),
        fix: issue.fix,
        fix_attempts: issue.fix_attempts,
        fix_result: issue.fix_result,
    }
}

/// `GET /api/v1/jobs`
pub(super) async fn jobs(Shared(state): Shared<State>) -> Result<Json<JobList>, Problem> {
    let moment = |at: Option<i64>| at.map(|at| Millis(at).to_string());
    let jobs = state.store.jobs().await?.into_iter().map(|job| Job {
        name: job.name,
        schedule: job.schedule,
        paused: job.paused,
        next_at: moment(job.next_at),
        last_at: moment(job.last_at),
        last_event: job.last_event,
        missed: job.missed,
    });
    Ok(Json(JobList {
        jobs: jobs.collect(),
    }))
}
