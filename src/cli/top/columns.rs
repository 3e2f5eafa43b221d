//! The columns of the table of agents, and what it is sorted by.

use std::cmp::Ordering;

use crate::http::wire::AgentOverview;

/// A column, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
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

impl Column {
    const ALL: [Column; 14] = [
        Column::Agent,
        Column::State,
        Column::Carrier,
        Column::Owed,
        Column::Oldest,
        Column::Running,
        Column::Queued,
        Column::Retrying,
        Column::Dead,
        Column::Done,
        Column::Failed,
        Column::Last,
        Column::Restarts,
        Column::Trend,
    ];

    /// The columns that come in where the screen is wider, one after the other; the others are always there.
    const WIDER: [Column; 4] = [
        Column::Queued,
        Column::Carrier,
        Column::Restarts,
        Column::Trend,
    ];

    /// The heading, and how wide the column is.
    pub(super) const fn heading(self) -> (&'static str, usize) {
        match self {
            Column::Agent => ("AGENT", 19),
            Column::State => ("STATE", 10),
            Column::Carrier => ("CARRIER", 8),
            Column::Owed => ("OWED", 5),
            Column::Oldest => ("OLDEST", 6),
            Column::Running => ("RUN", 4),
            Column::Queued => ("QUEUED", 6),
            Column::Retrying => ("RETRY", 5),
            Column::Dead => ("DEAD", 4),
            Column::Done => ("DONE/M", 6),
            Column::Failed => ("FAIL/M", 6),
            Column::Last => ("LAST", 4),
            Column::Restarts => ("RESTARTS", 8),
            Column::Trend => ("DONE/M, THE LAST HOUR", 30),
        }
    }

    pub(super) const fn is_text(self) -> bool {
        matches!(
            self,
            Column::Agent | Column::State | Column::Carrier | Column::Trend
        )
    }

    /// Those that there is room for.
    pub(super) fn within(columns: usize) -> Vec<Column> {
        let taken = |of: &[Column]| -> usize { of.iter().map(|c| c.heading().1 + 1).sum() };
        let mut shown: Vec<Column> = Column::ALL.to_vec();
        for wider in Column::WIDER.iter().rev() {
            if taken(&shown) > columns + 1 {
                shown.retain(|column| column != wider);
            }
        }
        shown
    }

    /// The column to sort by after this one; after the last one comes the order of the data flow.
    pub(super) fn after(by: Option<Column>) -> Option<Column> {
        let next = by.map_or(0, |by| Column::place(by) + 1);
        Column::SORTED.get(next).copied()
    }

    pub(super) fn before(by: Option<Column>) -> Option<Column> {
        let place = by.map_or(Column::SORTED.len(), Column::place);
        Column::SORTED.get(place.checked_sub(1)?).copied()
    }

    /// What agents can be sorted by.
    const SORTED: &'static [Column] = &[
        Column::Agent,
        Column::State,
        Column::Owed,
        Column::Oldest,
        Column::Running,
        Column::Retrying,
        Column::Dead,
        Column::Done,
        Column::Failed,
    ];

    fn place(self) -> usize {
        let found = Column::SORTED.iter().position(|column| *column == self);
        found.unwrap_or(0)
    }

    /// Which of two agents comes first: by text in the order of the alphabet, by number the greater.
    fn compare(self, a: &AgentOverview, b: &AgentOverview) -> Ordering {
        let greater = |of: fn(&AgentOverview) -> f64| of(b).total_cmp(&of(a));
        match self {
            Column::Agent | Column::Carrier | Column::Trend => a.name.cmp(&b.name),
            Column::State => shown_state(a).cmp(&shown_state(b)),
            Column::Owed => greater(|a| a.agent.owed as f64),
            Column::Oldest => greater(|a| a.agent.oldest_owed_s.unwrap_or(-1.0)),
            Column::Running => greater(|a| a.agent.in_flight as f64),
            Column::Queued => greater(|a| a.agent.queued as f64),
            Column::Retrying => greater(|a| a.agent.retrying as f64),
            Column::Dead => greater(|a| a.agent.dead as f64),
            Column::Done => greater(|a| a.handled_minute as f64),
            Column::Failed => greater(|a| a.failed_minute as f64),
            Column::Restarts | Column::Last => greater(|a| a.agent.restarts as f64),
        }
    }
}

/// How the agents are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sort {
    /// By this column, the greatest first; none: in the order of the data flow.
    pub(super) by: Option<Column>,
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

/// The state in one word. An agent whose work is not possible now is paused, whatever else it is.
pub(super) fn shown_state(agent: &AgentOverview) -> String {
    match agent.agent.unavailable {
        Some(_) => "paused".to_owned(),
        None => agent.agent.state.to_string(),
    }
}
