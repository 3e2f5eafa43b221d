//! The table of agents.

use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::columns::{AgentColumn, shown_state};
use super::format::{age, aligned, brief, compact, known, sparkline};
use super::paint::{Paint, span};
use super::view::TopView;
use crate::http::wire::{AgentOverview, AgentState, Trend};

/// The headings, and a line for each agent.
pub(super) fn table(view: &TopView, columns: usize) -> Vec<Line<'static>> {
    let Some(overview) = view.overview() else {
        return Vec::new();
    };
    let shown = AgentColumn::within(columns);
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

/// Cells with a space between each two.
pub(super) fn spaced(cells: impl Iterator<Item = Span<'static>>) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for cell in cells {
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        spans.push(cell);
    }
    spans
}

fn cell(column: AgentColumn, text: String, paint: Paint) -> Span<'static> {
    let mut cell = span(text, paint);
    cell.content = aligned(&cell.content, column.heading().1, column.is_text()).into();
    cell
}

fn value(column: AgentColumn, agent: &AgentOverview, now: &str, hour: &Trend) -> (String, Paint) {
    let view = &agent.agent;
    let number = |n: u64, paint: Paint| match n {
        0 => ("0".to_owned(), Paint::Dim),
        n => (compact(n), paint),
    };
    match column {
        AgentColumn::Agent => (agent.name.clone(), Paint::Plain),
        AgentColumn::State => (shown_state(agent), state_paint(agent)),
        AgentColumn::Carrier => (view.carrier.clone(), Paint::Plain),
        AgentColumn::Owed => number(view.owed, Paint::Plain),
        AgentColumn::Oldest => (known(view.oldest_owed_s.map(brief)), Paint::Plain),
        AgentColumn::Running => number(view.in_flight, Paint::Plain),
        AgentColumn::Queued => number(view.queued, Paint::Plain),
        AgentColumn::Retrying => number(view.retrying, Paint::Doubtful),
        AgentColumn::Dead => number(view.dead, Paint::Wrong),
        AgentColumn::Done => number(agent.handled_minute, Paint::Plain),
        AgentColumn::Failed => number(agent.failed_minute, Paint::Doubtful),
        AgentColumn::Last => {
            let last = agent.last_progress_at.as_deref();
            (
                known(last.and_then(|at| age(at, now)).map(brief)),
                Paint::Plain,
            )
        }
        AgentColumn::Restarts => number(view.restarts, Paint::Doubtful),
        AgentColumn::Trend => {
            let figure = hour.figures.get(&format!("handled_per_min.{}", agent.name));
            let values = figure.map(Vec::as_slice).unwrap_or_default();
            (
                sparkline(values, AgentColumn::Trend.heading().1),
                Paint::Dim,
            )
        }
    }
}

fn state_paint(agent: &AgentOverview) -> Paint {
    match agent.agent.state.known() {
        _ if agent.agent.unavailable.is_some() => Paint::Wrong,
        Some(AgentState::Running) => Paint::Good,
        Some(AgentState::Parked) => Paint::Wrong,
        Some(AgentState::Off | AgentState::Stopped) => Paint::Dim,
        Some(AgentState::Starting | AgentState::Restarting) | None => Paint::Doubtful,
    }
}
