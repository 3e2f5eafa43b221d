//! One agent in detail.

use ratatui::text::Line;

use super::format::{compact, known};
use super::paint::{Paint, span};
use super::view::TopView;
use crate::cli::text::{clock, duration, plain, short_id, wrap};
use crate::http::wire::{AgentOverview, Overview, OwedDelivery};

/// The heading and the lines of the agent that is selected.
pub(super) fn detail(
    view: &TopView,
    overview: &Overview,
    width: usize,
) -> (String, Vec<Line<'static>>) {
    let Some(agent) = view.selected() else {
        return ("there is no agent".to_owned(), Vec::new());
    };
    let mut lines = Vec::new();
    let mut say =
        |name: &str, text: &str, paint: Paint| lines.extend(said(name, text, width, paint));
    let it = &agent.agent;
    say("state", &it.state.to_string(), Paint::Plain);
    if let Some(unavailable) = &it.unavailable {
        let text = format!("{} (since {})", unavailable.why, clock(&unavailable.since));
        say("unavailable", &text, Paint::Wrong);
    }
    say("carrier", &it.carrier, Paint::Plain);
    say("owed", &owed(agent), Paint::Plain);
    let done = format!(
        "{} done and {} failed since the start, {} and {} in the last {}",
        compact(it.handled),
        compact(it.failed),
        compact(agent.handled_minute),
        compact(agent.failed_minute),
        duration(overview.minute_s)
    );
    say("attempts", &done, Paint::Plain);
    let last = agent.last_progress_at.as_deref().map(clock);
    say("last end", &known(last), Paint::Plain);
    let restarts = match &it.reason {
        Some(reason) => format!("{}; the last: {reason}", it.restarts),
        None => it.restarts.to_string(),
    };
    say("restarts", &restarts, Paint::Plain);
    let streams = overview
        .redis
        .as_ref()
        .and_then(|redis| redis.streams.as_ref());
    let stream = streams.and_then(|streams| {
        let mut of = streams.iter();
        of.find(|stream| stream.agent.as_ref() == Some(&agent.name))
    });
    if let Some(stream) = stream {
        let text = format!(
            "{}: {} entries, {} pending, {} not delivered, {} consumers",
            stream.key,
            stream.length,
            stream.pending,
            known(stream.lag),
            stream.consumers
        );
        say("stream", &text, Paint::Plain);
    }
    lines.push(Line::default());
    lines.extend(oldest(&agent.oldest, width));
    (agent.name.clone(), lines)
}

fn owed(agent: &AgentOverview) -> String {
    let it = &agent.agent;
    let mut text = format!(
        "{}: {} running, {} queued, {} waiting for another attempt",
        compact(it.owed),
        compact(it.in_flight),
        compact(it.queued),
        compact(it.retrying)
    );
    if let Some(age) = it.oldest_owed_s {
        text.push_str(&format!("; the oldest since {}", duration(age)));
    }
    if it.dead > 0 {
        text.push_str(&format!("; {} dead", compact(it.dead)));
    }
    text
}

fn oldest(oldest: &[OwedDelivery], width: usize) -> Vec<Line<'static>> {
    if oldest.is_empty() {
        return vec![Line::from(span("it owes nothing", Paint::Dim))];
    }
    let mut lines = vec![Line::from(span("the oldest that it owes", Paint::Dim))];
    for delivery in oldest {
        let text = format!(
            "{} {} {}",
            short_id(&delivery.event),
            delivery.kind,
            delivery.subject
        );
        lines.extend(said(&clock(&delivery.since), &text, width, Paint::Plain));
        if let Some(error) = &delivery.error {
            let attempts = format!("{} failed", delivery.attempts);
            lines.extend(said(&attempts, error, width, Paint::Doubtful));
        }
    }
    lines
}

/// A name, and a text beside it in as many lines as it takes.
pub(super) fn said(name: &str, text: &str, width: usize, paint: Paint) -> Vec<Line<'static>> {
    let beside = name.chars().count().max(11) + 1;
    let texts = wrap(&plain(text), width.saturating_sub(beside).max(20));
    let line = |(at, text): (usize, String)| {
        let name = if at == 0 { name } else { "" };
        Line::from(vec![
            span(format!("{name:<beside$}"), Paint::Dim),
            span(text, paint),
        ])
    };
    texts.into_iter().enumerate().map(line).collect()
}
