//! `GET /metrics`: what [`status`] knows, and what was counted and measured since the start, for Prometheus.
//!
//! Whatever `status` shows too is taken from the same places, so that the two agree. A figure that is not known at this
//! moment is left out.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::TryFutureExt;

use super::figures::FileCounts;
use super::freshness::behind;
use super::health::jobs_with_runs;
use super::status::{condition, is_opening, judgement};
use super::wire::{Condition, HostView, JobRun, NamedAgent, Problem, ProblemKind, RunState};
use super::{State, agents, status};
use crate::bus::Monitor;
use crate::disk;
use crate::event::{AgentName, Millis};
use crate::health::Present;
use crate::metrics::{LabelledCounts, Labels, MetricsPage, PageFormat, label};
use crate::runtime::AgentState;
use crate::store::{JobState, Severity};
use crate::word::Word;

/// The route alone: what may reach it, its listener decides.
pub(crate) fn metrics_router(state: State) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn metrics(Shared(state): Shared<State>, headers: HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = PageFormat::accepted(accept.unwrap_or_default());
    let page = page(&state).await?;
    let text = page.text(format).map_err(|error| {
        Problem::new(
            ProblemKind::Internal,
            format!("cannot write the metrics: {error}"),
        )
    })?;
    Ok(([(CONTENT_TYPE, format.content_type())], text).into_response())
}

async fn page(state: &State) -> Result<MetricsPage, Problem> {
    let now = Millis::now();
    // None of these needs what another one reads.
    let (agents, judged, counted, ingress_dead, jobs_run, hosts_there) = tokio::try_join!(
        agents::all(state, now).map_err(Problem::from),
        judgement(state, now),
        state
            .memory
            .files
            .files(&state.store)
            .map_err(Problem::from),
        state.store.ingress_dead_count().map_err(Problem::from),
        jobs_with_runs(state),
        status::hosts(state).map_err(Problem::from),
    )?;
    let mut page = MetricsPage::default();
    process(&mut page, state, &judged, now);
    hosts(&mut page, &hosts_there);
    deliveries(&mut page, state, &agents);
    handled(&mut page, state, &agents);
    searches(&mut page, state);
    files(&mut page, state, counted);
    store(&mut page, state, ingress_dead);
    carriers(&mut page, &state.carriers);
    jobs(&mut page, jobs_run);
    Ok(page)
}

fn process(page: &mut MetricsPage, state: &State, judged: &Present, now: Millis) {
    let version = label("version", &state.info.version);
    page.gauges(
        "build_info",
        "The version that runs; always 1",
        [(version, 1.0)],
    );
    let up = now.since(state.info.started_at).as_secs_f64();
    page.gauge("up_seconds", "Seconds since the start", up);
    let opening = is_opening(state, &state.follower());
    let phase = *state.board.phase().borrow();
    let is = condition(phase, judged.wrong.is_empty(), opening);
    let states = Condition::ALL
        .iter()
        .map(|each| (label("state", each.as_str()), f64::from(*each == is)));
    page.gauges("state", "1 for the state that docent is in, else 0", states);
    let open = |severity: &Severity| {
        let of = judged.issues.iter();
        let of = of.filter(|issue| issue.severity == *severity);
        (label("severity", severity.as_str()), of.count() as f64)
    };
    let issues = [Severity::Warning, Severity::Error];
    page.gauges(
        "issues_open",
        "Health issues that are open",
        issues.iter().map(open),
    );
    let fixes = state.store.figures().fixes.clone();
    let help = "Fixes that self_healing tried, by result: applied or failed";
    page.add("fixes", help, fixes);
}

/// The hosts that work on the store. One that has ended is gone, as are all of them where the store is a file.
fn hosts(page: &mut MetricsPage, hosts: &[HostView]) {
    let each = |figure: fn(&HostView) -> f64| {
        let hosts = hosts.iter();
        hosts.map(move |host| (label("instance", &host.instance), figure(host)))
    };
    page.gauges(
        "host_up",
        "1 while the host renews its row in time, else 0; hosts that have ended are left out",
        each(|host| f64::from(!host.is_late())),
    );
    page.gauges(
        "host_renewed_seconds",
        "Seconds since the host renewed its row; after 10 others take over its work",
        each(HostView::renewed_ago),
    );
    page.gauges(
        "host_slots",
        "The host's share of the 256 slots of subjects",
        each(|host| host.slots as f64),
    );
    page.gauges(
        "host_collections",
        "Collections that the host watches",
        each(|host| host.collections.len() as f64),
    );
    let in_flight = hosts.iter().flat_map(|host| {
        host.in_flight.iter().map(|(agent, deliveries)| {
            let mut labels = label("instance", &host.instance);
            labels.push(("agent", agent.clone()));
            (labels, *deliveries as f64)
        })
    });
    page.gauges(
        "host_in_flight",
        "Deliveries of the agent that were in flight on the host when it renewed its row",
        in_flight,
    );
}

/// A figure of every agent.
fn each(agents: &[NamedAgent], figure: impl Fn(&NamedAgent) -> f64) -> Vec<(Labels, f64)> {
    let agents = agents.iter();
    agents
        .map(|named| (label("agent", &named.name), figure(named)))
        .collect()
}

fn deliveries(page: &mut MetricsPage, state: &State, agents: &[NamedAgent]) {
    let states = state.board.agents().borrow().clone();
    let on: Vec<_> = states
        .iter()
        .filter(|a| a.state != AgentState::Off)
        .collect();
    let is = |wanted: AgentState| {
        let on = on.iter();
        on.map(move |a| (label("agent", a.name), f64::from(a.state == wanted)))
    };
    page.gauges(
        "agent_up",
        "1 while the agent runs; agents that are off are left out",
        is(AgentState::Running),
    );
    let help = "1 when the agent failed too often and is no longer started";
    page.gauges("agent_parked", help, is(AgentState::Parked));
    let restarts = agents
        .iter()
        .map(|a| (label("agent", &a.name), a.agent.restarts));
    page.counts("agent_restarts", "Restarts of the agent", restarts);
    let owed = each(agents, |a| a.agent.owed as f64);
    page.gauges("deliveries_owed", "Deliveries still to be handled", owed);
    let in_flight = each(agents, |a| a.agent.in_flight as f64);
    page.gauges(
        "deliveries_in_flight",
        "Owed deliveries that run or are being committed",
        in_flight,
    );
    let retrying = each(agents, |a| a.agent.retrying as f64);
    page.gauges(
        "deliveries_retrying",
        "Owed deliveries that wait for another attempt",
        retrying,
    );
    let dead = each(agents, |a| a.agent.dead as f64);
    page.gauges(
        "deliveries_dead",
        "Deliveries that failed for good: dead letters",
        dead,
    );
    let oldest = each(agents, |a| a.agent.oldest_owed_s.unwrap_or(0.0));
    page.gauges(
        "oldest_owed_seconds",
        "Age of the oldest owed delivery; 0: nothing is owed",
        oldest,
    );
}

fn handled(page: &mut MetricsPage, state: &State, agents: &[NamedAgent]) {
    let figures = state.board.figures();
    let mut handled = Vec::new();
    for named in agents {
        let of = |counts: &LabelledCounts| {
            counts
                .get(&label("agent", &named.name))
                .map_or(0, |count| count.get())
        };
        for (outcome, value) in [
            ("done", named.agent.handled),
            ("failed", named.agent.failed),
            ("dead", of(&figures.dead)),
            ("unavailable", of(&figures.unavailable)),
        ] {
            let mut labels = label("agent", &named.name);
            labels.push(("outcome", outcome.to_owned()));
            handled.push((labels, value));
        }
    }
    let help = "Ends of deliveries: done, failed (every failed attempt), dead (failed for good), unavailable (no attempt)";
    page.counts("handled", help, handled);
    let help = "How long calls of the agent's handler took";
    page.add("handle_seconds", help, figures.handle_seconds.clone());
    let published = state.store.figures().published.clone();
    page.add("events_published", "Events published, by type", published);
}

fn searches(page: &mut MetricsPage, state: &State) {
    let searches = &state.memory.searches;
    page.add(
        "search_seconds",
        "How long searches took",
        searches.seconds.clone(),
    );
    let help = "Searches, by result: hits, none, error";
    page.add("searches", help, searches.results.clone());
    let freshness = state.store.figures().freshness.clone();
    let help = "From noticing a change on disk to its being searchable";
    page.add("freshness_seconds", help, freshness);
    let follower = state.follower();
    let head = state.store.head().borrow().change;
    let known = !is_opening(state, &follower);
    let lag = known.then(|| behind(&follower, head) as f64);
    page.gauge(
        "index_lag_changes",
        "Changes that the index has not followed yet",
        lag,
    );
}

fn files(page: &mut MetricsPage, state: &State, counted: FileCounts) {
    let files = counted.files.into_iter().flat_map(|(collection, states)| {
        states.into_iter().map(move |(state, files)| {
            let state = state.as_str().to_owned();
            let labels = vec![("collection", collection.clone()), ("state", state)];
            (labels, files as f64)
        })
    });
    page.gauges("documents", "Files in scope, by state", files);
    page.gauge(
        "chunks",
        "Chunks that belong in the index",
        counted.chunks as f64,
    );
    let scans = state.scans.figures();
    let help = "How long the last scan of the whole collection took";
    page.add("scan_seconds", help, scans.seconds.clone());
    let help = "When the last scan of the whole collection ended";
    page.add(
        "scan_last_end_timestamp_seconds",
        help,
        scans.ended_at.clone(),
    );
}

fn store(page: &mut MetricsPage, state: &State, ingress_dead: u64) {
    let figures = state.store.figures();
    let help = "How long commits of the store took";
    page.add("commit_seconds", help, figures.commit_seconds.clone());
    let help = "Transactions in one commit";
    page.add("commit_batch_size", help, figures.batch_size.clone());
    let help = "Records of the audit log since it began";
    page.add("audit_records", help, figures.audited.clone());
    let broken = figures
        .audit_break()
        .map(|broken| f64::from(broken.is_some()));
    let help = "1 if the chain of the audit log was broken when it was checked last, else 0";
    page.gauge("audit_broken", help, broken);
    let help = "Notifications of alerts that were dropped because too many waited";
    let dropped = figures.notifications_dropped.clone();
    page.add("notifications_dropped", help, dropped);
    let bytes = state.store.bytes().map(|bytes| bytes as f64);
    page.gauge("store_bytes", "Size of store.db and its log", bytes);
    // Unknown is left out here; status tells it as 0.
    let free = disk::free_space(&state.info.data_dir).ok();
    let free = free.map(|bytes| bytes as f64);
    page.gauge(
        "disk_free_bytes",
        "Free space on the disk of data_dir",
        free,
    );
    let floor = state.info.limits.free_space as f64;
    page.gauge(
        "disk_free_floor_bytes",
        "Free space below which nothing is captured",
        floor,
    );
    page.gauge(
        "ingress_dead",
        "Entries of other programs that could not be published",
        ingress_dead as f64,
    );
}

fn carriers(page: &mut MetricsPage, carriers: &Monitor) {
    let carrier = AgentName::ALL.iter().flat_map(|agent| {
        let active = carriers.active_of(*agent).as_str();
        ["redis", "embedded"].map(|carrier| {
            let mut labels = label("agent", agent);
            labels.push(("carrier", carrier.to_owned()));
            (labels, f64::from(carrier == active))
        })
    });
    page.gauges(
        "carrier",
        "1 for what carries the agent's events, else 0",
        carrier,
    );
    let Some(reconnects) = carriers.reconnects() else {
        return;
    };
    page.gauge(
        "redis_up",
        "1 while Redis can carry",
        f64::from(carriers.is_up()),
    );
    let needed = f64::from(carriers.needs_redis());
    page.gauge(
        "redis_needed",
        "1 if an agent's events may be carried by Redis alone",
        needed,
    );
    page.count(
        "redis_reconnects",
        "Connections to Redis after the first",
        reconnects,
    );
    let lost = carriers.lost_by_redis();
    page.count(
        "redis_lost",
        "Entries that Redis lost; they were carried again",
        lost,
    );
    let streams = carriers.streams();
    let each = |figure: fn(&crate::bus::redis::StreamView) -> Option<u64>| {
        let streams = streams.iter();
        let known = streams.filter_map(|s| Some((label("agent", s.agent?), figure(s)? as f64)));
        known.collect::<Vec<_>>()
    };
    page.gauges(
        "redis_stream_length",
        "Entries of the agent's stream",
        each(|s| Some(s.entries)),
    );
    page.gauges(
        "redis_pending",
        "Entries delivered and not acknowledged",
        each(|s| Some(s.pending)),
    );
    page.gauges("redis_lag", "Entries not delivered yet", each(|s| s.lag));
    page.gauges(
        "redis_consumers",
        "Consumers of the agent's stream",
        each(|s| Some(s.consumers)),
    );
}

fn jobs(page: &mut MetricsPage, jobs: Vec<(JobState, Option<JobRun>)>) {
    let (mut ran, mut ok) = (Vec::new(), Vec::new());
    for (job, last) in jobs {
        if let Some(at) = job.last_at {
            ran.push((label("job", &job.name), at as f64 / 1000.0));
        }
        if let Some(last) = last.filter(|run| run.state != RunState::Running) {
            ok.push((
                label("job", &job.name),
                f64::from(last.state == RunState::Ok),
            ));
        }
    }
    page.gauges(
        "job_last_run_timestamp_seconds",
        "When the job ran last",
        ran,
    );
    page.gauges(
        "job_last_ok",
        "1 if the last run that ended was a success, else 0",
        ok,
    );
}
