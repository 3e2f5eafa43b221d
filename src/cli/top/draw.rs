//! The screen, as a function of the view and of how much room there is. All that it changes is how far the view is scrolled.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};

use super::agents::table;
use super::detail::detail;
use super::format::{brief, clipped, compact, known, last_and_peak, sparkline};
use super::paint::{Paint, Palette, span};
use super::view::{TopPage, TopView};
use super::{hosts, lists};
use crate::cli::text::{Style, clock, counted, duration, plain, size, wrap};
use crate::http::wire::{AlertsView, Condition, Overview, Stage, Status};

/// How much room there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrawArea {
    pub(super) width: usize,
    pub(super) lines: usize,
}

impl DrawArea {
    /// What is left below so many lines.
    fn below(self, lines: usize) -> DrawArea {
        DrawArea {
            lines: self.lines.saturating_sub(lines),
            ..self
        }
    }
}

/// Lines of a sentence on the first page.
const SENTENCE: usize = 2;

pub(super) fn draw(view: &TopView, area: Rect, buffer: &mut Buffer, palette: Palette) {
    let room = DrawArea {
        width: usize::from(area.width),
        lines: usize::from(area.height),
    };
    let mut lines = page(view, room);
    for line in &mut lines {
        for span in &mut line.spans {
            span.style = palette.shown(span.style);
        }
    }
    Paragraph::new(lines).render(area, buffer);
}

/// The same as text, without the lines at its end that are empty.
pub(super) fn text(view: &TopView, room: DrawArea, style: Style) -> String {
    let lines = page(view, room).into_iter().map(|line| {
        let shown = line.spans.iter().map(|span| painted(span, style));
        shown.collect::<String>().trim_end().to_owned()
    });
    let mut lines: Vec<String> = lines.collect();
    // The last line names keys, which nobody can press here.
    lines.pop();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n") + "\n"
}

fn painted(span: &Span<'_>, style: Style) -> String {
    use ratatui::style::{Color, Modifier};
    match span.style.fg {
        Some(Color::Red) => style.wrong(&span.content),
        Some(Color::Yellow) => style.doubtful(&span.content),
        Some(Color::Green) => style.good(&span.content),
        _ if span.style.add_modifier.contains(Modifier::DIM) => style.dim(&span.content),
        _ => span.content.clone().into_owned(),
    }
}

/// The lines of a screen: as many as there is room for, the last of them tells the keys.
fn page(view: &TopView, room: DrawArea) -> Vec<Line<'static>> {
    let above = room.below(1);
    let mut lines = match view.overview() {
        None => vec![Line::from("waiting for docent")],
        Some(overview) => body(view, overview, above),
    };
    lines.resize(above.lines, Line::default());
    lines.push(keys(view));
    lines
}

fn body(view: &TopView, overview: &Overview, room: DrawArea) -> Vec<Line<'static>> {
    let width = room.width;
    let mut lines = vec![title(&overview.status, view.trouble().is_some())];
    if let Some(trouble) = view.trouble() {
        let at = clock(&overview.taken_at);
        let old = format!("! the numbers are from {at}: {trouble}");
        lines.extend(sentence(&old, width, Paint::Wrong));
    }
    let (heading, rows) = match view.page() {
        TopPage::Agents => {
            lines.extend(first_page(view, overview, room.below(lines.len())));
            return lines;
        }
        TopPage::Agent => detail(view, overview, width),
        TopPage::Dead => lists::dead(&overview.dead, width),
        TopPage::Issues => lists::issues(&overview.issues, width),
        TopPage::Jobs => lists::jobs(&overview.jobs, width),
        TopPage::Collections => lists::collections(&overview.collections, width),
        TopPage::Help => lists::help(width),
    };
    lines.push(Line::default());
    lines.push(Line::from(span(heading, Paint::Bold)));
    let left = room.below(lines.len()).lines;
    let above = view.scrolled(rows.len().saturating_sub(left));
    lines.extend(rows.into_iter().skip(above));
    lines
}

fn title(status: &Status, is_old: bool) -> Line<'static> {
    let paint = match status.state {
        Condition::Running => Paint::Good,
        Condition::Degraded => Paint::Wrong,
        Condition::Starting | Condition::Draining => Paint::Doubtful,
    };
    let up = format!(", up {}", duration(status.uptime_s as f64));
    Line::from(vec![
        span(format!("docent {} on ", status.version), Paint::Plain),
        span(&status.instance, Paint::Bold),
        span(if is_old { " was " } else { " is " }, Paint::Plain),
        span(status.state.as_str(), paint),
        span(up, Paint::Plain),
    ])
}

/// A sentence in a few lines. What does not fit is cut off, which is shown.
fn sentence(text: &str, width: usize, paint: Paint) -> Vec<Line<'static>> {
    let text = plain(text);
    let mut lines = wrap(&text, width);
    if lines.len() > SENTENCE {
        lines = wrap(&text, width.saturating_sub(2));
        lines.truncate(SENTENCE);
        if let Some(last) = lines.last_mut() {
            last.push_str(" …");
        }
    }
    let lines = lines.into_iter();
    lines.map(|line| Line::from(span(line, paint))).collect()
}

fn first_page(view: &TopView, overview: &Overview, room: DrawArea) -> Vec<Line<'static>> {
    let width = room.width;
    let paint = match overview.status.state {
        Condition::Degraded => Paint::Wrong,
        Condition::Running if overview.issues.is_empty() => Paint::Plain,
        _ => Paint::Doubtful,
    };
    let mut lines = sentence(&overview.summary.text, width, paint);
    if let Some(remedy) = &overview.summary.remedy {
        lines.extend(sentence(&format!("> {remedy}"), width, Paint::Plain));
    }
    lines.extend(alerts(&overview.status.alerts, width));
    lines.push(Line::default());
    lines.push(search(overview));
    lines.push(carrier(overview));
    lines.extend(streams(overview));
    lines.extend(sharing(overview, width));
    lines.push(Line::default());
    lines.extend(stages(&overview.stages));
    lines.push(Line::default());
    lines.extend(table(view, width));
    let left = room.below(lines.len() + 1).lines;
    let hosts = hosts::table(&overview.status.hosts, width, left);
    if !hosts.is_empty() {
        lines.push(Line::default());
        lines.extend(hosts);
    }
    let trends = trends(view, width);
    if lines.len() + trends.len() < room.lines {
        lines.push(Line::default());
        lines.extend(trends);
    }
    lines
}

/// Alerts that are raised, and receivers that fail.
fn alerts(alerts: &AlertsView, width: usize) -> Vec<Line<'static>> {
    let paint = match alerts.is_bad() {
        true => Paint::Wrong,
        false => Paint::Doubtful,
    };
    let told = alerts.sentence();
    told.map_or_else(Vec::new, |told| sentence(&told, width, paint))
}

/// Columns of a name.
const NAME: usize = 9;

/// A name in a column of its own, and what there is to say.
fn named(name: &str, text: impl AsRef<str>, paint: Paint) -> Line<'static> {
    Line::from(vec![
        span(format!("{name:<NAME$}"), Paint::Dim),
        span(text, paint),
    ])
}

fn search(overview: &Overview) -> Line<'static> {
    let freshness = &overview.freshness;
    let mut text = match &freshness.complete_to {
        Some(at) => format!("complete up to {}", clock(at)),
        None => "not complete yet".to_owned(),
    };
    let changes = [(freshness.pending, "pending"), (freshness.failed, "failed")];
    for (count, what) in changes.iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {} {what}", compact(*count)));
    }
    match &freshness.measured {
        Some(measured) => text.push_str(&format!(
            "; took {} (p99 {})",
            brief(measured.p50_s),
            brief(measured.p99_s)
        )),
        None => text.push_str("; no change measured yet"),
    }
    let paint = match freshness.failed {
        0 => Paint::Plain,
        _ => Paint::Wrong,
    };
    named("search", text, paint)
}

fn carrier(overview: &Overview) -> Line<'static> {
    let bus = &overview.status.bus;
    named(
        "carrier",
        format!("{}: {}", bus.active, bus.why),
        Paint::Plain,
    )
}

/// The streams of Redis in one line: what is pending and what is not delivered in all.
fn streams(overview: &Overview) -> Option<Line<'static>> {
    let redis = overview.redis.as_ref()?;
    let Some(streams) = &redis.streams else {
        let text = "the state of its streams is not known";
        return Some(named("redis", text, Paint::Doubtful));
    };
    let pending: u64 = streams.iter().map(|stream| stream.pending).sum();
    let lag: Option<u64> = streams.iter().map(|stream| stream.lag).sum();
    let text = format!(
        "{}, {} pending, {} not delivered, {} lost",
        counted(streams.len() as u64, "stream", "streams"),
        compact(pending),
        known(lag.map(compact)),
        compact(redis.lost)
    );
    Some(named("redis", text, Paint::Plain))
}

/// The hosts that share the store in one line.
fn sharing(overview: &Overview, width: usize) -> Option<Line<'static>> {
    let (text, paint) = hosts::summary(&overview.status.hosts)?;
    let text = clipped(&plain(&text), width.saturating_sub(NAME));
    Some(named("hosts", text, paint))
}

/// The way of a change: each stage a column, and why one stands still.
fn stages(stages: &[Stage]) -> Vec<Line<'static>> {
    let row = |name: &str, paint: Paint, of: &dyn Fn(&Stage) -> String| {
        let mut spans = vec![span(format!("{name:<NAME$}"), Paint::Dim)];
        for stage in stages {
            spans.push(span(format!("{:>12} ", of(stage)), paint));
        }
        Line::from(spans)
    };
    let mut lines = vec![
        row("change", Paint::Dim, &|stage| stage.stage.to_string()),
        row("waits", Paint::Plain, &|s| known(s.waiting.map(compact))),
        row("last min", Paint::Plain, &|s| {
            known(s.passed_minute.map(compact))
        }),
    ];
    for stage in stages {
        if let Some(why) = &stage.held {
            let text = format!("{} stands still: {why}", stage.stage);
            lines.push(named("", text, Paint::Wrong));
        }
    }
    lines
}

/// Curves of the last hour.
fn trends(view: &TopView, width: usize) -> Vec<Line<'static>> {
    let hour = &view.history().hour;
    let curve = |name: &str, figure: &str, told: &dyn Fn(f64) -> String| {
        let values = hour.figures.get(figure)?;
        let (last, peak) = last_and_peak(values)?;
        let columns = width.saturating_sub(48).clamp(10, 120);
        Some(Line::from(vec![
            span(format!("{name:<22}"), Paint::Dim),
            span(
                format!("{:>8}  peak {:<8}  ", told(last), told(peak)),
                Paint::Plain,
            ),
            span(sparkline(values, columns), Paint::Plain),
        ]))
    };
    // No figure is negative, and none is above 2^53.
    let whole = |value: f64| compact(value.round() as u64);
    let bytes = |value: f64| size(value.round() as u64);
    let curves = [
        curve("pending changes", "pending", &whole),
        curve("searches a minute", "searches_per_min", &whole),
        curve("events a second", "events_per_s", &|value| {
            format!("{value:.1}")
        }),
        curve("slowest change (p99)", "freshness_p99_s", &brief),
        curve("store", "store_bytes", &bytes),
    ];
    let mut lines: Vec<Line<'static>> = curves.into_iter().flatten().collect();
    if !lines.is_empty() {
        lines.insert(0, Line::from(span("the last hour", Paint::Dim)));
    }
    lines
}

/// What can be pressed, with what there is to see there.
fn keys(view: &TopView) -> Line<'static> {
    let overview = view.overview();
    let dead = overview.map_or(0, |overview| overview.dead.total);
    let issues = overview.map_or(0, |overview| overview.issues.len() as u64);
    let counted = |n: u64, paint: Paint| match n {
        0 => span("0", Paint::Plain),
        n => span(compact(n), paint),
    };
    let back = match view.page() {
        TopPage::Agents => "Enter agent  ",
        _ => "Esc back  ",
    };
    Line::from(vec![
        span(back, Paint::Plain),
        span("d dead ", Paint::Plain),
        counted(dead, Paint::Wrong),
        span("  i issues ", Paint::Plain),
        counted(issues, Paint::Doubtful),
        span("  j jobs  c collections  ? help  q quit", Paint::Plain),
    ])
}
