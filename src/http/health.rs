//! Health issues and jobs, as lists.

use axum::extract::State as Shared;
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::State;
use super::lines::{Json, ListOf, PAGE, Page, paged_object};
use super::openapi::About;
use super::params::Params;
use super::status::judgement;
use super::wire::{
    HealthIssue, HealthList, JobList, JobRun, JobView, Problem, RunState, last_error,
};
use crate::event::{Event, Millis};
use crate::store::{DROPPED, DeliveryState, DeliveryView, Issue, JobState};

/// The query of `GET /api/v1/health`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuesQuery {
    /// Also those that are closed.
    #[serde(default)]
    all: bool,
}

/// `GET /api/v1/health`
pub(super) const ISSUES: About = About::new("List health issues");

pub(super) async fn issues(
    Shared(state): Shared<State>,
    Params(query): Params<IssuesQuery>,
) -> Result<ListOf<HealthList>, Problem> {
    let now = Millis::now();
    let present = judgement(&state, now).await?;
    let told = |issue: &Issue| HealthIssue {
        remedy: Some(present.told(issue).remedy),
        ..HealthIssue::from(issue.clone())
    };
    let issues: Vec<HealthIssue> = present.issues.iter().map(told).collect();
    let mut open = Some(issues.into_iter());
    let judged_at = [("judged_at".to_owned(), Value::String(now.to_string()))];
    paged_object("issues", Map::from_iter(judged_at), None, move |after| {
        let (state, open) = (state.clone(), open.take());
        async move {
            match open.filter(|issues| issues.len() > 0) {
                Some(issues) => {
                    let mut page = Page::default();
                    for issue in issues {
                        page.push(&issue)?;
                    }
                    Ok(Some((page, after)))
                }
                None if query.all => closed(&state, after).await,
                None => Ok(None),
            }
        }
    })
    .await
}

/// Where a page of closed issues ended: at the issue that ended then, of this key, which began then.
type ClosedCursor = Option<(Millis, String, Millis)>;

/// The next page of closed issues.
async fn closed(
    state: &State,
    after: ClosedCursor,
) -> Result<Option<(Page<HealthIssue>, ClosedCursor)>, Problem> {
    let issues = state.store.closed_issues(after, PAGE).await?;
    let Some(last) = issues.last() else {
        return Ok(None);
    };
    let ended = last.closed_at.unwrap_or_default();
    let after = Some((ended, last.subject.clone(), last.opened_at));
    let mut page = Page::default();
    for issue in issues {
        page.push(&HealthIssue::from(issue))?;
    }
    Ok(Some((page, after)))
}

impl From<Issue> for HealthIssue {
    fn from(issue: Issue) -> Self {
        HealthIssue {
            severity: issue.severity.into(),
            detector: issue.detector_name().into(),
            subject: issue.subject,
            value: issue.value,
            limit: issue.limit,
            opened_at: issue.opened_at.to_string(),
            closed_at: issue.closed_at.map(|at| at.to_string()),
            fix: issue.fix,
            fix_attempts: issue.fix_attempts,
            fix_result: issue.fix_result,
            remedy: None,
        }
    }
}

/// `GET /api/v1/jobs`
pub(super) const JOBS: About = About::new("List the jobs");

pub(super) async fn jobs(Shared(state): Shared<State>) -> Result<Json<JobList>, Problem> {
    let jobs = all_jobs(&state).await?;
    Ok(Json(JobList { jobs }))
}

/// All jobs, by name.
pub(super) async fn all_jobs(state: &State) -> Result<Vec<JobView>, Problem> {
    let moment = |at: Option<i64>| at.map(|at| Millis(at).to_string());
    let jobs = jobs_with_runs(state).await?.into_iter();
    let jobs = jobs.map(|(job, last)| JobView {
        name: job.name,
        schedule: job.schedule,
        paused: job.paused,
        next_at: moment(job.next_at),
        last_at: moment(job.last_at),
        last_event: job.last_event,
        missed: job.missed,
        last,
    });
    Ok(jobs.collect())
}

/// All jobs, by name, and what came of the last run of each.
pub(super) async fn jobs_with_runs(
    state: &State,
) -> Result<Vec<(JobState, Option<JobRun>)>, Problem> {
    let jobs = state.store.jobs().await?.into_iter();
    let with_run = jobs.map(|job| async {
        let last = last_run(state, job.last_event.as_deref()).await?;
        Ok((job, last))
    });
    try_join_all(with_run).await
}

/// What came of the run that published this event.
async fn last_run(state: &State, event: Option<&str>) -> Result<Option<JobRun>, Problem> {
    let Some(id) = event.and_then(|id| id.parse().ok()) else {
        return Ok(None);
    };
    Ok(Some(match state.store.event(id).await? {
        Some((event, deliveries, _)) => run_of(&event, &deliveries),
        // Only what every agent is done with leaves the ledger.
        None => JobRun {
            state: RunState::Ok.into(),
            reason: None,
            took_ms: None,
        },
    }))
}

/// Whether an operator has dropped it after it had failed for good, and that was its end.
fn is_dropped(delivery: &DeliveryView) -> bool {
    let errors = delivery.errors.as_array();
    let at = errors.and_then(|errors| errors.last()?["at"].as_str());
    let ended = delivery.settled_at.map(|at| at.to_string());
    delivery.state == DeliveryState::Done
        && last_error(&delivery.errors) == Some(DROPPED)
        && at == ended.as_deref()
}

fn run_of(event: &Event, deliveries: &[DeliveryView]) -> JobRun {
    let any = |state| deliveries.iter().find(|d| d.state == state);
    let failure = |delivery: &DeliveryView| {
        let errors = delivery.errors.as_array().into_iter().flatten();
        let texts = errors.rev().filter_map(|entry| entry["error"].as_str());
        let error = texts.into_iter().find(|text| *text != DROPPED);
        error.map(|error| format!("{}: {error}", delivery.agent))
    };
    // Who drops a dead letter does not make its run a good one.
    let dropped = || deliveries.iter().find(|d| is_dropped(d));
    let failed = any(DeliveryState::Dead).or_else(dropped);
    let (state, reason) = match (failed, any(DeliveryState::Owed)) {
        (Some(dead), _) => (RunState::Failed, failure(dead)),
        (None, Some(owed)) => (RunState::Running, failure(owed)),
        (None, None) => (RunState::Ok, None),
    };
    let settled = deliveries.iter().filter_map(|d| d.settled_at).max();
    let took = settled.filter(|_| state != RunState::Running);
    JobRun {
        state: state.into(),
        reason,
        took_ms: took.map(|at| u64::try_from(at.since(event.time).as_millis()).unwrap_or(u64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{AgentName, EventType, Seq, Subject};

    fn delivery(state: DeliveryState, settled_at: Option<i64>) -> DeliveryView {
        DeliveryView {
            agent: AgentName::Rag,
            state,
            attempts: 1,
            errors: json!([{"error": "first"}, {"error": "disk full"}]),
            settled_at: settled_at.map(Millis),
        }
    }

    #[test]
    fn a_run_is_what_came_of_the_deliveries_of_its_event() {
        let new = crate::event::NewEvent::root(
            EventType::MaintenanceRequested,
            "test",
            Subject::store(),
            json!({}),
        );
        let event = Event {
            seq: Seq(1),
            id: new.id,
            kind: new.kind,
            source: new.source,
            subject: new.subject,
            time: Millis(1000),
            data: new.data,
            causation: None,
            correlation: new.id,
        };
        let done = delivery(DeliveryState::Done, Some(1250));
        let run = run_of(
            &event,
            &[done.clone(), delivery(DeliveryState::Done, Some(1500))],
        );
        assert_eq!(
            (run.state.known(), run.reason, run.took_ms),
            (Some(RunState::Ok), None, Some(500))
        );
        let run = run_of(&event, &[done.clone(), delivery(DeliveryState::Owed, None)]);
        assert_eq!(
            (run.state.known(), run.took_ms),
            (Some(RunState::Running), None)
        );
        let run = run_of(&event, &[done, delivery(DeliveryState::Dead, Some(1400))]);
        assert_eq!(
            (run.state.known(), run.took_ms),
            (Some(RunState::Failed), Some(400))
        );
        assert_eq!(run.reason.as_deref(), Some("rag: disk full"));
    }
}
