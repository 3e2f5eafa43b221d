//! Everything at one moment, from the same places as the status, the lists and the metrics.

use super::super::State;
use super::super::figures::{Counted, FileCounts};
use super::super::health::all_jobs;
use super::super::status::{WholeStatus, whole};
use super::super::wire::{
    AgentOverview, DeadOverview, FixOverview, FreshnessOverview, IssueOverview, JobView, Measured,
    Overview, OwedDelivery, Problem, RedisOverview, Stage, StageName, Status, StreamOverview,
};
use super::collections::{REASONS, totals, with_files};
use super::counters::Passed;
use super::dead::{dead_letters, last_error};
use super::summary::summary;
use crate::bus::Monitor;
use crate::event::{AgentName, Millis};
use crate::health::Present;
use crate::store::{MeasuredChanges, OwedView, ReadError, RejectionCount, Severity, quantile};

/// Deliveries that are told of what an agent owes, the oldest.
const OLDEST: usize = 5;

/// What needs many rows to be read, as it was counted last.
#[derive(Debug, Default)]
pub(super) struct CountedRows {
    rejections: Counted<Vec<RejectionCount>>,
    dead: Counted<DeadOverview>,
    jobs: Counted<Vec<JobView>>,
}

/// Everything as it is now; `passed` is what happened in the last minute.
pub(super) async fn read(
    state: &State,
    rows: &CountedRows,
    passed: &Passed,
) -> Result<Overview, Problem> {
    let (now, store) = (Millis::now(), &state.store);
    let mut files = FileCounts::default();
    let counting = async {
        files = state.memory.files.files(store).await?;
        Ok(totals(&files))
    };
    let WholeStatus { status, present } = whole(state, now, counting).await?;
    let (commits, file_commits) = (
        store.figures().commits.get(),
        store.figures().file_commits.get(),
    );
    let rejections = rows
        .rejections
        .counted(file_commits, store.rejections(REASONS))
        .await?;
    let issues = issues(&present);
    Ok(Overview {
        taken_at: now.to_string(),
        summary: summary(&status, &issues),
        freshness: FreshnessOverview {
            complete_to: status.freshness.complete_to.clone(),
            pending: status.freshness.pending,
            failed: status.freshness.failed,
            measured: measured(&store.figures().measured()),
        },
        minute_s: (passed.span.as_secs_f64() * 10.0).round() / 10.0,
        stages: stages(&status, passed),
        agents: agents(state, &status, passed).await?,
        published_minute: passed.published,
        searches_minute: passed.searches,
        redis: redis(&state.carriers),
        issues,
        dead: rows.dead.counted(commits, dead_letters(state)).await?,
        jobs: rows.jobs.counted(commits, all_jobs(state)).await?,
        collections: with_files(&status.collections, &files, &rejections),
        store_bytes: store.bytes(),
        status,
    })
}

/// How long the last changes took.
fn measured(changes: &MeasuredChanges) -> Option<Measured> {
    let mut took: Vec<_> = changes.last().map(|change| change.took).collect();
    let seconds = |took: std::time::Duration| (took.as_secs_f64() * 1000.0).round() / 1000.0;
    let p50 = quantile(&mut took, 0.5)?;
    let p99 = quantile(&mut took, 0.99)?;
    Some(Measured {
        changes: took.len() as u64,
        since: changes.last().next()?.at.to_string(),
        until: changes.last().next_back()?.at.to_string(),
        p50_s: seconds(p50),
        p99_s: seconds(p99),
    })
}

fn stages(status: &Status, passed: &Passed) -> Vec<Stage> {
    let of = |agent: AgentName| {
        let view = status.agents.get(agent.as_str());
        let why = view.and_then(|view| view.unavailable.as_ref());
        Stage {
            stage: match agent {
                AgentName::DocumentManagement => StageName::Validated,
                _ => StageName::Chunked,
            }
            .into(),
            waiting: view.map(|view| view.owed),
            passed_minute: Some(passed.of(agent).handled),
            held: why.map(|unavailable| unavailable.why.clone()),
        }
    };
    vec![
        Stage {
            stage: StageName::Captured.into(),
            waiting: Some(status.scan.marked),
            passed_minute: Some(passed.captured),
            held: status.scan.held.clone(),
        },
        of(AgentName::DocumentManagement),
        of(AgentName::Rag),
        Stage {
            stage: StageName::Indexed.into(),
            waiting: status.index.ready.then_some(status.index.behind),
            passed_minute: passed.indexed,
            held: status.index.stopped.clone(),
        },
        Stage {
            stage: StageName::Searchable.into(),
            waiting: None,
            passed_minute: Some(passed.searchable),
            held: None,
        },
    ]
}

/// Every agent of the status, in the order of the data flow.
async fn agents(
    state: &State,
    status: &Status,
    passed: &Passed,
) -> Result<Vec<AgentOverview>, ReadError> {
    let mut agents = Vec::with_capacity(AgentName::ALL.len());
    for name in AgentName::ALL {
        let Some(agent) = status.agents.get(name.as_str()) else {
            continue;
        };
        let oldest = match agent.owed {
            0 => Vec::new(),
            _ => state.store.oldest_owed_views(*name, OLDEST).await?,
        };
        agents.push(AgentOverview {
            name: name.to_string(),
            agent: agent.clone(),
            handled_minute: passed.of(*name).handled,
            failed_minute: passed.of(*name).failed,
            last_progress_at: state.store.ended_at(*name).map(|at| at.to_string()),
            oldest: oldest.into_iter().map(owed).collect(),
        });
    }
    Ok(agents)
}

fn owed(view: OwedView) -> OwedDelivery {
    OwedDelivery {
        event: view.event.to_string(),
        kind: view.kind.to_string(),
        subject: view.subject.to_string(),
        since: view.since.to_string(),
        attempts: view.attempts,
        error: last_error(&view.errors),
    }
}

fn redis(carriers: &Monitor) -> Option<RedisOverview> {
    let reconnects = carriers.reconnects()?;
    let streams = carriers.streams().into_iter();
    let streams: Vec<StreamOverview> = streams
        .map(|stream| StreamOverview {
            key: stream.key,
            agent: stream.agent.map(|agent| agent.to_string()),
            length: stream.entries,
            pending: stream.pending,
            lag: stream.lag,
            consumers: stream.consumers,
        })
        .collect();
    Some(RedisOverview {
        up: carriers.is_up(),
        reconnects,
        lost: carriers.lost_by_redis(),
        // The inboxes are there whenever Redis could be asked.
        streams: (!streams.is_empty()).then_some(streams),
    })
}

/// The open issues: the errors first, then the newest.
fn issues(present: &Present) -> Vec<IssueOverview> {
    let mut issues: Vec<_> = present.issues.iter().collect();
    let is_warning = |severity: Severity| severity == Severity::Warning;
    issues.sort_by_key(|issue| {
        (
            is_warning(issue.severity),
            std::cmp::Reverse(issue.opened_at),
        )
    });
    let told = |issue: &crate::store::Issue| {
        let words = present.told(issue);
        IssueOverview {
            subject: issue.subject.clone(),
            detector: issue.detector_name().into(),
            severity: issue.severity.into(),
            what: words.what,
            remedy: words.remedy,
            since: issue.opened_at.to_string(),
            fix: issue.fix.clone().map(|name| FixOverview {
                name,
                attempts: issue.fix_attempts,
                result: issue.fix_result.clone(),
            }),
        }
    };
    issues.into_iter().map(told).collect()
}
