//! How the daemon stands, and what is wrong with it.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use axum::extract::State as Shared;

use super::access::Caller;
use super::alerts::alerts;
use super::freshness::{behind, freshness};
use super::lines::Json;
use super::openapi::About;
use super::wire::{
    Absent, AlertsView, BusView, CollectionView, Condition, FreeSpace, Heard, HostView, IndexView,
    IssueText, ListedState, Problem, ScanView, Status,
};
use super::{State, agents, count};
use crate::disk;
use crate::event::{AgentName, Millis};
use crate::health::{
    AgentFacts, EdgeFacts, Facts, IndexFacts, OpenIssue, Present, Responsibility, present,
};
use crate::index::FollowerState;
use crate::runtime::{AgentState, Phase, RootReport, RootState, ScanProgress};
use crate::store::{CollectionCounts, HostRow, ReadError};

/// Directories that could not be listed which a status names, of each collection.
const UNLISTED_MAX: usize = 100;

/// Open issues that a status looks at.
const ISSUES_MAX: usize = 1000;

/// What is wrong at this moment.
pub(super) async fn judgement(state: &State, now: Millis) -> Result<Present, Problem> {
    let (issues, ingress_dead) = tokio::try_join!(
        state.store.issues(false, ISSUES_MAX),
        state.store.ingress_dead_count(),
    )?;
    let follower = state.follower();
    let unready = !follower.ready && follower.stopped.is_none() && !is_opening(state, &follower);
    let agents = state.board.agents().borrow().clone();
    let standing = state.store.standing();
    let facts = Facts {
        instance: state.info.instance.clone(),
        responsibility: Responsibility::of(state.store.leases()),
        now,
        agents: agents.into_iter().map(AgentFacts::now).collect(),
        dead: state.store.dead_of_each(),
        free: Some(free_space(state).bytes),
        // Files that were replaced are told as such.
        unwritable: standing
            .refused
            .or(standing.unwritable)
            .filter(|_| standing.replaced.is_none()),
        replaced: standing.replaced.map(|replaced| replaced.how),
        index: Some(IndexFacts {
            // Search lacks then what it had: that is told at once.
            unready: if unready {
                Duration::MAX
            } else {
                Duration::ZERO
            },
            stopped: follower.stopped,
            ..IndexFacts::default()
        }),
        edge: Some(EdgeFacts {
            progress: state.scans.progress().borrow().clone(),
            ..EdgeFacts::default()
        }),
        ingress_dead: Some(ingress_dead),
        redis: (state.redis)().map(|redis| redis.now(now)),
        ..Facts::default()
    };
    Ok(present(&facts, &state.info.limits, issues))
}

/// How many files there are.
pub(super) struct FileTotals {
    /// Documents that are stored.
    pub(super) documents: u64,
    /// Files in scope.
    pub(super) files: u64,
    pub(super) states: BTreeMap<ListedState, u64>,
    pub(super) chunks: u64,
}

/// A status, and what is wrong by it.
pub(super) struct WholeStatus {
    pub(super) status: Status,
    pub(super) present: Present,
}

/// How the daemon stands, in the order in which a change passes. Files are counted by `totals`, when it is their turn.
pub(super) async fn whole(
    state: &State,
    now: Millis,
    totals: impl Future<Output = Result<FileTotals, ReadError>> + Send,
) -> Result<WholeStatus, Problem> {
    let freshness = freshness(state).await?;
    let agents = agents::all(state, now).await?;
    let totals = totals.await?;
    let present = judgement(state, now).await?;
    let wrong: Vec<IssueText> = present.wrong.iter().map(IssueText::from).collect();
    let follower = state.follower();
    let progress = state.scans.progress().borrow().clone();
    let ingress_dead = state.store.ingress_dead_count().await?;
    let head = *state.store.head().borrow();
    let info = &state.info;
    let phase = *state.board.phase().borrow();
    let status = Status {
        state: condition(phase, wrong.is_empty(), is_opening(state, &follower)),
        wrong,
        version: info.version.clone(),
        instance: info.instance.clone(),
        data_dir: info.data_dir.to_string_lossy().into_owned(),
        started_at: info.started_at.to_string(),
        uptime_s: now.since(info.started_at).as_secs(),
        bus: bus(state, ingress_dead),
        agents: agents
            .into_iter()
            .map(|named| (named.name, named.agent))
            .collect::<BTreeMap<_, _>>(),
        freshness,
        documents: totals.documents,
        files: totals.files,
        states: heard(totals.states),
        configured: info.known.collections.len() as u64,
        chunks: totals.chunks,
        embedder: info.embedder.clone(),
        collections: progress.roots.iter().map(collection_view).collect(),
        scan: scan_view(progress),
        index: index_view(follower, head.change),
        free_space: free_space(state),
        issues: present.issues.len() as u64,
        alerts: alerts(&state.store).await?,
        hosts: hosts(state).await?,
    };
    Ok(WholeStatus { status, present })
}

pub(super) const STATUS: About = About::new("Show the state of the daemon");

/// `GET /api/v1/status`
pub(super) async fn status(
    Shared(state): Shared<State>,
    caller: Caller,
) -> Result<Json<Status>, Problem> {
    let totals = async {
        let (documents, files) = state.store.document_counts().await?;
        Ok(FileTotals {
            documents,
            files,
            states: state.store.file_states().await?,
            chunks: state.store.chunk_count().await?,
        })
    };
    let whole = whole(&state, Millis::now(), totals).await?;
    match caller.limit() {
        None => Ok(Json(whole.status)),
        Some(collections) => Ok(Json(limited(&state, &caller, collections, whole).await?)),
    }
}

/// What of a status is of these collections alone, for a caller who sees no more.
async fn limited(
    state: &State,
    caller: &Caller,
    collections: &[String],
    WholeStatus {
        mut status,
        present,
    }: WholeStatus,
) -> Result<Status, Problem> {
    let is_seen = |key: &str| caller.sees(key.split_once(':').map_or(key, |(_, about)| about));
    let mut all = CollectionCounts::default();
    for name in collections {
        let counts = state.store.counts_in(name.clone()).await?;
        all.documents += counts.documents;
        all.files += counts.files;
        all.chunks += counts.chunks;
        for (state, files) in counts.states {
            *all.states.entry(state).or_default() += files;
        }
    }
    let is_theirs = |name: &String| collections.contains(name);
    let theirs = present.wrong.iter().filter(|issue| is_seen(&issue.key));
    status.wrong = theirs.map(IssueText::from).collect();
    let issues = present.issues.iter();
    status.issues = issues.filter(|issue| is_seen(&issue.subject)).count() as u64;
    status.alerts = AlertsView::default();
    status.hosts = Vec::new();
    status.data_dir = "a directory that this token may not know".to_owned();
    status.bus.why = "this token may not know why".to_owned();
    status.agents = BTreeMap::new();
    (status.documents, status.files) = (all.documents, all.files);
    (status.chunks, status.states) = (all.chunks, heard(all.states));
    status.configured = collections.len() as u64;
    status
        .collections
        .retain(|collection| is_theirs(&collection.name));
    let ScanView {
        seen,
        changed,
        marked,
        held,
        absent,
        ..
    } = &mut status.scan;
    (*seen, *changed, *marked, *held) = (0, 0, 0, None);
    absent.retain(|absent| is_theirs(&absent.collection));
    status.scan.scanning = status.scan.scanning.filter(is_theirs);
    let index = &mut status.index;
    (index.chunks, index.passages) = (all.chunks, all.chunks);
    (index.rebuilt, index.stopped) = (None, None);
    Ok(status)
}

impl From<&OpenIssue> for IssueText {
    fn from(issue: &OpenIssue) -> Self {
        IssueText {
            what: issue.what.clone(),
            remedy: issue.remedy.clone(),
        }
    }
}

fn heard(states: BTreeMap<ListedState, u64>) -> BTreeMap<Heard<ListedState>, u64> {
    let states = states.into_iter();
    states.map(|(state, files)| (state.into(), files)).collect()
}

/// The hosts that work on the store; none where it is a file.
pub(super) async fn hosts(state: &State) -> Result<Vec<HostView>, ReadError> {
    let hosts = state.store.hosts().await?;
    Ok(hosts.into_iter().map(host_view).collect())
}

fn host_view(host: HostRow) -> HostView {
    HostView {
        instance: host.instance,
        version: host.version,
        joined_at: host.joined_at.to_string(),
        renewed_ago_ms: host.renewed_ago,
        slots: host.slots as u64,
        in_flight: host
            .in_flight
            .agents()
            .map(|(agent, deliveries)| (agent.to_string(), deliveries as u64))
            .collect(),
        collections: host.collections,
        tasks: host.tasks,
        this: host.is_this,
    }
}

fn index_view(follower: FollowerState, head: u64) -> IndexView {
    IndexView {
        ready: follower.ready,
        position: follower.position,
        behind: behind(&follower, head),
        chunks: follower.chunks,
        passages: follower.chunks,
        rebuilt: follower.rebuilt,
        stopped: follower.stopped,
    }
}

/// Whether the index is being opened after a start. One that lacks what the store has is being rebuilt.
pub(super) fn is_opening(state: &State, follower: &FollowerState) -> bool {
    let fed = state.board.agent(AgentName::Rag).state != AgentState::Off;
    let head = state.store.head().borrow().change;
    let rebuilding = follower.rebuilt.is_some() && follower.position < head;
    fed && !follower.ready && follower.stopped.is_none() && !rebuilding
}

pub(super) fn condition(phase: Phase, fine: bool, opening: bool) -> Condition {
    match phase {
        Phase::Starting => Condition::Starting,
        Phase::Draining => Condition::Draining,
        Phase::Running if fine && opening => Condition::Starting,
        Phase::Running if fine => Condition::Running,
        Phase::Running => Condition::Degraded,
    }
}

fn bus(state: &State, ingress_dead: u64) -> BusView {
    let counts: Vec<_> = AgentName::ALL
        .iter()
        .map(|name| state.store.counts(*name))
        .collect();
    let sum =
        |field: fn(&crate::store::AgentCounts) -> i64| counts.iter().map(|c| count(field(c))).sum();
    BusView {
        active: state.carriers.active().as_str().to_owned(),
        why: state.carriers.why(),
        owed: sum(|c| c.owed),
        in_flight: state
            .board
            .agents()
            .borrow()
            .iter()
            .map(|a| a.in_flight as u64)
            .sum(),
        retrying: sum(|c| c.retrying),
        dead: sum(|c| c.dead) + ingress_dead,
        lost_by_redis: state.carriers.lost_by_redis(),
    }
}

fn collection_view(root: &RootReport) -> CollectionView {
    let (standing, cause) = match &root.state {
        RootState::There => ("there", None),
        RootState::Absent(cause) | RootState::Denied(cause) | RootState::LetGo(cause) => {
            ("absent", Some(cause.clone()))
        }
        RootState::RemovalsHeld(cause) => ("removals held", Some(cause.clone())),
    };
    CollectionView {
        name: root.collection.clone(),
        path: root.path.to_string_lossy().into_owned(),
        root: standing.to_owned(),
        cause,
        watch: if root.polled.is_some() {
            "poll"
        } else {
            "native"
        }
        .to_owned(),
        why_poll: root.polled.clone(),
        unlisted: root
            .unlisted
            .iter()
            .take(UNLISTED_MAX)
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
        shut: root.shut.clone(),
    }
}

fn scan_view(progress: ScanProgress) -> ScanView {
    let away = absent(&progress);
    ScanView {
        scanning: progress.scanning,
        seen: progress.seen,
        changed: progress.changed,
        marked: progress.pending,
        held: progress.held,
        absent: away,
    }
}

/// Roots that cannot be reached, and those whose removals are held, for an answer.
pub(super) fn absent(progress: &ScanProgress) -> Vec<Absent> {
    let view = |(collection, cause)| Absent { collection, cause };
    let held = progress.removals_held().into_iter();
    let held = held.map(|(collection, cause)| (collection, format!("{cause}; removals are held")));
    progress
        .absent()
        .into_iter()
        .chain(held)
        .map(view)
        .collect()
}

/// Directories that could not be listed, for an answer.
pub(super) fn unlisted(progress: &ScanProgress) -> Vec<Absent> {
    let view = |(collection, cause)| Absent { collection, cause };
    progress.unlisted().into_iter().map(view).collect()
}

/// Room on the disk of `data_dir`. A disk that does not tell counts as full: nothing can be captured on it either.
fn free_space(state: &State) -> FreeSpace {
    let bytes = disk::free_space(&state.info.data_dir).unwrap_or_else(|error| {
        tracing::warn!(%error, data_dir = %state.info.data_dir.display(), "free space unknown");
        0
    });
    FreeSpace {
        bytes,
        floor: state.info.limits.free_space,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_daemon_at_work_is_degraded() {
        for (phase, fine, opening, expected) in [
            (Phase::Running, true, false, Condition::Running),
            (Phase::Running, true, true, Condition::Starting),
            (Phase::Running, false, false, Condition::Degraded),
            (Phase::Running, false, true, Condition::Degraded),
            (Phase::Starting, false, false, Condition::Starting),
            (Phase::Draining, false, true, Condition::Draining),
        ] {
            assert_eq!(condition(phase, fine, opening), expected);
        }
    }
}
