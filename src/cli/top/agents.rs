//! The table of agents.

use std::cmp::Ordering;

use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::format::{age, brief, compact, known, sparkline};
use super::paint::{Paint, span};
use super::view::{Sort, View};
use crate::cli::text::width;
use crate::http::wire::{AgentOverview, AgentState, Trend};

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
    const fn heading(self) -> (&'static str, usize) {
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

    const fn is_text(self) -> bool {
        matches!(
            self,
            Column::Agent | Column::State | Column::Carrier | Column::Trend
        )
    }

    /// Those that there is room for.
    fn within(columns: usize) -> Vec<Column> {
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
            Column::State => state(a).0.cmp(&state(b).0),
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
fn state(agent: &AgentOverview) -> (String, Paint) {
    let paint = match agent.agent.state.known() {
        _ if agent.agent.unavailable.is_some() => return ("paused".to_owned(), Paint::Wrong),
        Some(AgentState::Running) => Paint::Good,
        Some(AgentState::Parked) => Paint::Wrong,
        Some(AgentState::Off | AgentState::Stopped) => Paint::Dim,
        Some(AgentState::Starting | AgentState::Restarting) | None => Paint::Doubtful,
    };
    (agent.agent.state.to_string(), paint)
}

/// The headings, and a line for each agent.
pub(super) fn table(view: &View, columns: usize) -> Vec<Line<'static>> {
    let Some(overview) = view.overview() else {
        return Vec::new();
    };
    let shown = Column::within(columns);
    let by = view.sort().by;
    let headings = shown.iter().map(|column| {
        let paint = if Some(*column) == by {
            Paint::Bold
        } else {
            Paint::Dim
        };
        cell(*column, column.heading().0.to_owned(), paint)
    });
    let mut lines = vec![Line::from(spaced(headings))];
    let selected = view.selected().map(|agent| agent.name.as_str());
    for agent in view.agents() {
        let cells = shown.iter().map(|column| {
            let (text, paint) = value(*column, agent, &overview.taken_at, &view.history().hour);
            cell(*column, text, paint)
        });
        let mut line = Line::from(spaced(cells));
        if Some(agent.name.as_str()) == selected {
            line.style = line.style.add_modifier(Modifier::REVERSED);
        }
        lines.push(line);
    }
    lines
}

fn spaced(cells: impl Iterator<Item = Span<'static>>) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for cell in cells {
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        spans.push(cell);
    }
    spans
}

fn cell(column: Column, text: String, paint: Paint) -> Span<'static> {
    let mut cell = span(text, paint);
    let room = column.heading().1.saturating_sub(width(&cell.content));
    let gap = " ".repeat(room);
    cell.content = match column.is_text() {
        true => format!("{}{gap}", cell.content),
        false => format!("{gap}{}", cell.content),
    }
    .into();
    cell
}

fn value(column: Column, agent: &AgentOverview, now: &str, hour: &Trend) -> (String, Paint) {
    let view = &agent.agent;
    let number = |n: u64, paint: Paint| match n {
        0 => ("0".to_owned(), Paint::Dim),
        n => (compact(n), paint),
    };
    match column {
        Column::Agent => (agent.name.clone(), Paint::Plain),
        Column::State => state(agent),
        Column::Carrier => (view.carrier.clone(), Paint::Plain),
        Column::Owed => number(view.owed, Paint::Plain),
        Column::Oldest => (known(view.oldest_owed_s.map(brief)), Paint::Plain),
        Column::Running => number(view.in_flight, Paint::Plain),
        Column::Queued => number(view.queued, Paint::Plain),
        Column::Retrying => number(view.retrying, Paint::Doubtful),
        Column::Dead => number(view.dead, Paint::Wrong),
        Column::Done => number(agent.handled_minute, Paint::Plain),
        Column::Failed => number(agent.failed_minute, Paint::Doubtful),
        Column::Last => {
            let last = agent.last_progress_at.as_deref();
            (
                known(last.and_then(|at| age(at, now)).map(brief)),
                Paint::Plain,
            )
        }
        Column::Restarts => number(view.restarts, Paint::Doubtful),
        Column::Trend => {
            let figure = hour.figures.get(&format!("handled_per_min.{}", agent.name));
            let values = figure.map(Vec::as_slice).unwrap_or_default();
            (sparkline(values, Column::Trend.heading().1), Paint::Dim)
        }
    }
}
