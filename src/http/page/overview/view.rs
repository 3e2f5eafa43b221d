//! From the overview to what the first page shows of it.

use super::super::super::history::INGRESS;
use super::super::super::overview::PartKind;
use super::super::super::wire::{
    BusView, Condition, FigureHistory, FixOverview, HostView, IssueOverview, Overview,
    RedisOverview, Severity, StreamOverview, Trend,
};
use super::super::words::{Moment, Prose, age};
use super::agents::{AgentRow, WaitingRow, agents, waiting};
use super::figures::{FigureCard, figures};
use super::flow::Flow;
use super::lists::{CollectionRow, DeadPanel, JobRow, collections, dead, jobs};
use super::spark::Spark;
use super::tone::Tone;
use super::trend::{of, rounded};
use crate::amounts::{counted, number};

/// The whole page.
pub(super) struct OverviewView {
    /// Whether acts are offered.
    pub(super) acts: bool,
    /// Whether the lines of the figures are the last day, and not the last hour.
    pub(super) is_day: bool,
    pub(super) taken: Moment,
    pub(super) tone: Tone,
    pub(super) sentence: String,
    /// The same in a few words, for who has it read aloud.
    pub(super) state: String,
    pub(super) remedy: Option<Prose>,
    /// Alerts that are raised, and receivers that fail.
    pub(super) alerts: Option<String>,
    pub(super) figures: Vec<FigureCard>,
    pub(super) flow: Flow,
    pub(super) agents: Vec<AgentRow>,
    pub(super) waiting: Vec<WaitingRow>,
    /// None where the store is a file.
    pub(super) hosts: Vec<HostView>,
    pub(super) bus: BusView,
    /// None: the config does not use it.
    pub(super) redis: Option<Redis>,
    pub(super) issues: Vec<IssueRow>,
    pub(super) dead: DeadPanel,
    pub(super) jobs: Vec<JobRow>,
    pub(super) collections: Vec<CollectionRow>,
}

/// How Redis stands.
pub(super) struct Redis {
    pub(super) up: bool,
    pub(super) reconnects: String,
    /// None: it is not known.
    pub(super) streams: Option<Vec<StreamRow>>,
}

/// A stream of Redis.
pub(super) struct StreamRow {
    pub(super) key: String,
    pub(super) whose: String,
    pub(super) length: String,
    pub(super) pending: String,
    pub(super) lag: String,
    pub(super) consumers: String,
    pub(super) length_spark: Option<Spark>,
    pub(super) pending_spark: Option<Spark>,
    pub(super) lag_spark: Option<Spark>,
    pub(super) consumers_spark: Option<Spark>,
}

/// An open issue.
pub(super) struct IssueRow {
    pub(super) id: String,
    pub(super) severity: String,
    pub(super) tone: Tone,
    pub(super) what: String,
    pub(super) remedy: Prose,
    pub(super) since: Moment,
    pub(super) age: String,
    pub(super) fix: String,
}

impl OverviewView {
    /// What is shown of this.
    pub(super) fn of(overview: &Overview, history: &FigureHistory, kind: PartKind) -> Self {
        let now = overview.taken_at.as_str();
        let trend = match kind.is_day {
            true => &history.day,
            false => &history.hour,
        };
        OverviewView {
            acts: kind.may_operate,
            is_day: kind.is_day,
            taken: Moment::at(now, now),
            tone: tone(overview),
            sentence: overview.summary.text.clone(),
            state: state(overview),
            remedy: overview.summary.remedy.as_deref().map(Prose::of),
            alerts: overview.status.alerts.sentence(),
            figures: figures(overview, trend),
            flow: Flow::of(overview),
            agents: agents(overview, trend),
            waiting: waiting(overview),
            hosts: overview.status.hosts.clone(),
            bus: overview.status.bus.clone(),
            redis: overview.redis.as_ref().map(|found| redis(found, trend)),
            issues: overview.issues.iter().map(|i| issue(i, now)).collect(),
            dead: dead(overview),
            jobs: jobs(overview),
            collections: collections(overview, trend),
        }
    }
}

fn tone(overview: &Overview) -> Tone {
    match overview.status.state {
        Condition::Degraded => Tone::Bad,
        Condition::Starting | Condition::Draining => Tone::Doubt,
        Condition::Running if overview.issues.is_empty() && overview.dead.total == 0 => Tone::Good,
        Condition::Running => Tone::Doubt,
    }
}

fn state(overview: &Overview) -> String {
    let issues = counted(overview.issues.len() as u64, "open issue", "open issues");
    format!("{}, {issues}", overview.status.state.as_str())
}

fn redis(redis: &RedisOverview, trend: &Trend) -> Redis {
    Redis {
        up: redis.up,
        reconnects: number(redis.reconnects),
        streams: redis
            .streams
            .as_ref()
            .map(|streams| streams.iter().map(|one| stream(one, trend)).collect()),
    }
}

fn stream(stream: &StreamOverview, trend: &Trend) -> StreamRow {
    let whose = stream.agent.clone().unwrap_or_else(|| INGRESS.to_owned());
    let figure = |figure: &str, told: &str| {
        let told = format!("{told} of the stream of {whose}");
        Spark::of(trend, &of(figure, &whose), &told, rounded)
    };
    StreamRow {
        key: stream.key.clone(),
        length: number(stream.length),
        pending: number(stream.pending),
        lag: known(stream.lag.map(number)),
        consumers: number(stream.consumers),
        length_spark: figure("stream_length", "Length"),
        pending_spark: figure("stream_pending", "Pending entries"),
        lag_spark: figure("stream_lag", "Lag"),
        consumers_spark: figure("stream_consumers", "Consumers"),
        whose,
    }
}

/// What is not known is said to be so.
fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| "unknown".to_owned())
}

fn issue(issue: &IssueOverview, now: &str) -> IssueRow {
    IssueRow {
        id: issue.subject.clone(),
        severity: issue.severity.to_string(),
        tone: match issue.severity.known() {
            Some(Severity::Error) => Tone::Bad,
            Some(Severity::Warning) | None => Tone::Doubt,
        },
        what: issue.what.clone(),
        remedy: Prose::of(&issue.remedy),
        since: Moment::at(&issue.since, now),
        age: age(&issue.since, now),
        fix: issue
            .fix
            .as_ref()
            .map_or_else(|| "none yet".to_owned(), fix),
    }
}

fn fix(fix: &FixOverview) -> String {
    let result = fix.result.as_deref().unwrap_or("under way");
    match fix.attempts {
        0 | 1 => format!("{}: {result}", fix.name),
        n => format!("{}: {result} (fixes tried: {})", fix.name, number(n.into())),
    }
}
