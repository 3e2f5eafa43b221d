//! The hosts that share the store: in a line, and in a table where there is room.

use ratatui::text::{Line, Span};

use super::agents::spaced;
use super::format::{aligned, brief, clipped, compact};
use super::paint::{Paint, span};
use crate::cli::text::{counted, number, plain};
use crate::http::wire::HostView;

/// How many they are, and which of them are late. Nothing where the store is a file.
pub(super) fn summary(hosts: &[HostView]) -> Option<(String, Paint)> {
    if hosts.is_empty() {
        return None;
    }
    let count = counted(hosts.len() as u64, "host works", "hosts work");
    let late = hosts.iter().filter(|host| host.is_late());
    let late: Vec<String> = late
        .map(|host| format!("{} ({})", host.instance, brief(host.renewed_ago())))
        .collect();
    Some(match late.is_empty() {
        true => (format!("{count} on the store"), Paint::Plain),
        false => {
            let text = format!("{count} on the store, late: {}", late.join(", "));
            (text, Paint::Doubtful)
        }
    })
}

/// A column: its heading, how wide it is, and whether it is text.
type HostColumn = (&'static str, usize, bool);

/// The columns; what a host watches has what the others leave of the width.
fn columns(width: usize) -> [HostColumn; 7] {
    let mut columns = [
        ("HOST", 20, true),
        ("VERSION", 8, true),
        ("RENEWED", 7, false),
        ("SLOTS", 5, false),
        ("RUN", 4, false),
        ("WATCHES", 0, true),
        ("TASKS", 20, true),
    ];
    let taken: usize = columns.iter().map(|(_, width, _)| width + 1).sum();
    columns[5].1 = (width + 1).saturating_sub(taken).max("WATCHES".len());
    columns
}

/// The headings and a line for each host, in so many lines at most: nothing where not even one host has room.
pub(super) fn table(hosts: &[HostView], width: usize, lines: usize) -> Vec<Line<'static>> {
    let shown = match lines.saturating_sub(1) {
        // The last line says how many more there are.
        room if room < hosts.len() => room.saturating_sub(1),
        _ => hosts.len(),
    };
    if shown == 0 {
        return Vec::new();
    }
    let columns = columns(width);
    let headings = columns.map(|(heading, ..)| (heading.to_owned(), Paint::Dim));
    let mut table = vec![line(columns, headings)];
    let rows = hosts[..shown].iter();
    table.extend(rows.map(|host| line(columns, cells(host))));
    if shown < hosts.len() {
        let more = format!("and {} more", number((hosts.len() - shown) as u64));
        table.push(Line::from(span(more, Paint::Dim)));
    }
    table
}

fn cells(host: &HostView) -> [(String, Paint); 7] {
    let this = if host.this { Paint::Bold } else { Paint::Plain };
    let renewed = match host.is_late() {
        true => Paint::Doubtful,
        false => Paint::Plain,
    };
    [
        (host.instance.clone(), this),
        (host.version.clone(), Paint::Plain),
        (brief(host.renewed_ago()), renewed),
        (number(host.slots), Paint::Plain),
        (compact(host.in_flight.values().sum()), Paint::Plain),
        (listed(&host.collections), Paint::Plain),
        (listed(&host.tasks), Paint::Plain),
    ]
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "-".to_owned(),
        names => names.join(", "),
    }
}

fn line(columns: [HostColumn; 7], cells: [(String, Paint); 7]) -> Line<'static> {
    let cell =
        |((_, width, is_text), (text, paint)): (HostColumn, (String, Paint))| -> Span<'static> {
            span(
                aligned(&clipped(&plain(&text), width), width, is_text),
                paint,
            )
        };
    Line::from(spaced(columns.into_iter().zip(cells).map(cell)))
}
