//! Agents, and what waits longest for them.

use super::super::super::wire::{AgentOverview, AgentState, Overview, Trend};
use super::super::words::{Moment, age};
use super::spark::Spark;
use super::tone::Tone;
use super::trend::{of, rounded};
use crate::amounts::{duration, number};

/// An agent.
pub(super) struct AgentRow {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) tone: Tone,
    /// Why it does not work as it should.
    pub(super) why: Option<String>,
    pub(super) owed: String,
    pub(super) oldest: String,
    pub(super) in_flight: String,
    pub(super) retrying: String,
    pub(super) dead: String,
    pub(super) is_dead: bool,
    pub(super) handled: String,
    pub(super) progress: String,
    pub(super) restarts: String,
    pub(super) owed_spark: Option<Spark>,
    pub(super) oldest_spark: Option<Spark>,
    pub(super) in_flight_spark: Option<Spark>,
    pub(super) retrying_spark: Option<Spark>,
    pub(super) dead_spark: Option<Spark>,
    pub(super) handled_spark: Option<Spark>,
    pub(super) restarts_spark: Option<Spark>,
    /// Whether it can be restarted.
    pub(super) restartable: bool,
}

/// A delivery that waits for long.
pub(super) struct WaitingRow {
    pub(super) id: String,
    pub(super) agent: String,
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) event: String,
    pub(super) since: Moment,
    pub(super) age: String,
    pub(super) attempts: String,
    pub(super) error: Option<String>,
}

/// The name of the figure that is a time.
const OLDEST: &str = "oldest_owed_s";

/// What waits for less is not worth a line.
const LONG: f64 = 5.0;

pub(super) fn agents(overview: &Overview, trend: &Trend) -> Vec<AgentRow> {
    let agents = overview.agents.iter();
    agents
        .map(|agent| row(agent, &overview.taken_at, trend))
        .collect()
}

fn row(overview: &AgentOverview, now: &str, trend: &Trend) -> AgentRow {
    let (name, agent) = (&overview.name, &overview.agent);
    let figure = |figure: &str, told: &str| {
        let told = format!("{told} {name}");
        let written = if figure == OLDEST { duration } else { rounded };
        Spark::of(trend, &of(figure, name), &told, written)
    };
    let unavailable = agent.unavailable.as_ref();
    AgentRow {
        state: match unavailable {
            Some(_) => "unavailable".to_owned(),
            None => agent.state.to_string(),
        },
        tone: match (agent.state.known(), unavailable) {
            (Some(AgentState::Running), None) => Tone::Good,
            (Some(AgentState::Off), _) => Tone::Plain,
            (Some(AgentState::Parked), _) => Tone::Bad,
            _ => Tone::Doubt,
        },
        why: match unavailable {
            Some(unavailable) => Some(format!(
                "{}, {}",
                unavailable.why,
                age(&unavailable.since, now)
            )),
            None => agent.reason.clone(),
        },
        owed: number(agent.owed),
        oldest: agent.oldest_owed_s.map_or_else(String::new, duration),
        in_flight: number(agent.in_flight),
        retrying: number(agent.retrying),
        dead: number(agent.dead),
        is_dead: agent.dead > 0,
        handled: number(overview.handled_minute),
        progress: match &overview.last_progress_at {
            Some(at) => age(at, now),
            None => "none since the start".to_owned(),
        },
        restarts: number(agent.restarts),
        owed_spark: figure("owed", "Owed to"),
        oldest_spark: figure(OLDEST, "Oldest owed to"),
        in_flight_spark: figure("in_flight", "In flight with"),
        retrying_spark: figure("retrying", "Retried by"),
        dead_spark: figure("dead", "Dead letters of"),
        handled_spark: figure("handled_per_min", "Handled a minute by"),
        restarts_spark: figure("restarts", "Restarts of"),
        restartable: agent.state.known() != Some(AgentState::Off),
        name: name.clone(),
    }
}

/// The deliveries that wait longest, whosever they are.
pub(super) fn waiting(overview: &Overview) -> Vec<WaitingRow> {
    let now = overview.taken_at.as_str();
    let is_long = |agent: &&AgentOverview| agent.agent.oldest_owed_s.is_some_and(|s| s >= LONG);
    let mut rows = Vec::new();
    for agent in overview.agents.iter().filter(is_long) {
        rows.extend(agent.oldest.iter().map(|owed| WaitingRow {
            id: format!("waits-{}-{}", agent.name, owed.event),
            agent: agent.name.clone(),
            kind: owed.kind.clone(),
            subject: owed.subject.clone(),
            event: owed.event.clone(),
            since: Moment::at(&owed.since, now),
            age: age(&owed.since, now),
            attempts: number(owed.attempts.into()),
            error: owed.error.clone(),
        }));
    }
    rows
}
