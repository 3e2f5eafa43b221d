//! The columns of the table of agents, and what it is sorted by.

use std::cmp::Ordering;

use crate::http::wire::AgentOverview;

/// A column, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgentColumn {
    Agent,
    State,
    Carrier,
    Owed,
    Oldest,
    Running,
    Queued,
    Retrying,
    Dead,
    Done,
    Failed,
    Last,
    Restarts,
    Trend,
}

impl AgentColumn {
    const ALL: [AgentColumn; 14] = [
        AgentColumn::Agent,
        AgentColumn::State,
        AgentColumn::Carrier,
        AgentColumn::Owed,
        AgentColumn::Oldest,
        AgentColumn::Running,
        AgentColumn::Queued,
        AgentColumn::Retrying,
        AgentColumn::Dead,
        AgentColumn::Done,
        AgentColumn::Failed,
        AgentColumn::Last,
        AgentColumn::Restarts,
        AgentColumn::Trend,
    ];

    /// The columns that come in where the screen is wider, one after the other; the others are always there.
    const WIDER: [AgentColumn; 4] = [
        AgentColumn::Queued,
        AgentColumn::Carrier,
        AgentColumn::Restarts,
        AgentColumn::Trend,
    ];

    /// The heading, and how wide the column is.
    pub(super) const fn heading(self) -> (&'static str, usize) {
        match self {
            AgentColumn::Agent => ("AGENT", 19),
            AgentColumn::State => ("STATE", 11),
            AgentColumn::Carrier => ("CARRIER", 8),
            AgentColumn::Owed => ("OWED", 5),
            AgentColumn::Oldest => ("OLDEST", 6),
            AgentColumn::Running => ("RUN", 4),
            AgentColumn::Queued => ("QUEUED", 6),
            AgentColumn::Retrying => ("RETRY", 5),
            AgentColumn::Dead => ("DEAD", 4),
            AgentColumn::Done => ("DONE/M", 6),
            AgentColumn::Failed => ("FAIL/M", 6),
            AgentColumn::Last => ("LAST", 4),
            AgentColumn::Restarts => ("RESTARTS", 8),
            AgentColumn::Trend => ("DONE/M, THE LAST HOUR", 30),
        }
    }

    pub(super) const fn is_text(self) -> bool {
        matches!(
            self,
            AgentColumn::Agent | AgentColumn::State | AgentColumn::Carrier | AgentColumn::Trend
        )
    }

    /// Those that there is room for.
    pub(super) fn within(columns: usize) -> Vec<AgentColumn> {
        let taken = |of: &[AgentColumn]| -> usize { of.iter().map(|c| c.heading().1 + 1).sum() };
        let mut shown: Vec<AgentColumn> = AgentColumn::ALL.to_vec();
        for wider in AgentColumn::WIDER.iter().rev() {
            if taken(&shown) > columns + 1 {
                shown.retain(|column| column != wider);
            }
        }
        shown
    }

    /// The column to sort by after this one; after the last one comes the order of the data flow.
    pub(super) fn after(by: Option<AgentColumn>) -> Option<AgentColumn> {
        let next = by.map_or(0, |by| AgentColumn::place(by) + 1);
        AgentColumn::SORTED.get(next).copied()
    }

    pub(super) fn before(by: Option<AgentColumn>) -> Option<AgentColumn> {
        let place = by.map_or(AgentColumn::SORTED.len(), AgentColumn::place);
        AgentColumn::SORTED.get(place.checked_sub(1)?).copied()
    }

    /// What agents can be sorted by.
    const SORTED: &'static [AgentColumn] = &[
        AgentColumn::Agent,
        AgentColumn::State,
        AgentColumn::Owed,
        AgentColumn::Oldest,
        AgentColumn::Running,
        AgentColumn::Retrying,
        AgentColumn::Dead,
        AgentColumn::Done,
        AgentColumn::Failed,
    ];

    fn place(self) -> usize {
        let found = AgentColumn::SORTED
            .iter()
            .position(|column| *column == self);
        found.unwrap_or(0)
    }

    /// Which of two agents comes first: by text in the order of the alphabet, by number the greater.
    fn compare(self, a: &AgentOverview, b: &AgentOverview) -> Ordering {
        let greater = |of: fn(&AgentOverview) -> f64| of(b).total_cmp(&of(a));
        match self {
            AgentColumn::Agent | AgentColumn::Carrier | AgentColumn::Trend => a.name.cmp(&b.name),
            AgentColumn::State => shown_state(a).cmp(&shown_state(b)),
            AgentColumn::Owed => greater(|a| a.agent.owed as f64),
            AgentColumn::Oldest => greater(|a| a.agent.oldest_owed_s.unwrap_or(-1.0)),
            AgentColumn::Running => greater(|a| a.agent.in_flight as f64),
            AgentColumn::Queued => greater(|a| a.agent.queued as f64),
            AgentColumn::Retrying => greater(|a| a.agent.retrying as f64),
            AgentColumn::Dead => greater(|a| a.agent.dead as f64),
            AgentColumn::Done => greater(|a| a.handled_minute as f64),
            AgentColumn::Failed => greater(|a| a.failed_minute as f64),
            AgentColumn::Restarts | AgentColumn::Last => greater(|a| a.agent.restarts as f64),
        }
    }
}

/// How the agents are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sort {
    /// By this column, the greatest first; none: in the order of the data flow.
    pub(super) by: Option<AgentColumn>,
    /// The other way round.
    pub(super) reversed: bool,
}

/// The agents as they are to be listed.
pub(super) fn sorted(agents: &[AgentOverview], sort: Sort) -> Vec<&AgentOverview> {
    let mut agents: Vec<&AgentOverview> = agents.iter().collect();
    if let Some(by) = sort.by {
        agents.sort_by(|a, b| by.compare(a, b));
    }
    if sort.reversed {
        agents.reverse();
    }
    agents
}

/// The state in one word. An agent whose work is not possible now is unavailable, whatever else it is.
pub(super) fn shown_state(agent: &AgentOverview) -> String {
    match agent.agent.unavailable {
        Some(_) => "unavailable".to_owned(),
        None => agent.agent.state.to_string(),
    }
}
