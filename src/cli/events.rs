//! `docent events list|show|replay`

use clap::{Args, Subcommand};

use super::context::{Context, block_on};
use super::table::{Cell, Table, id, numeric, text as texts, word};
use super::text::{Style, clock, counted, moment, one_line, plain};
use crate::config::parse_duration;
use crate::error::{Exit, Fatal};
use crate::http::wire::{self, DeliveryState, Envelope, EventView, Replayed};
use crate::http::{ClientError, LineStream, Target};

/// Events that a terminal gets unless it asks for more.
const LIST: usize = 50;

/// The verbs of `events`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List events, newest first
    List(List),
    /// Show an event, its deliveries and the events that it caused
    Show {
        /// The event's id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Deliver an event again, even to agents that have already handled it
    Replay {
        /// The event's id
        id: String,
        /// Deliver it only to this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct List {
    /// Only events with this subject
    #[arg(long)]
    subject: Option<String>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only events with this correlation id: the id of the event that started the chain
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Only events since then: a time such as 2026-01-31T12:00:00Z, or an age such as 1h
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// Maximum number of events [default: 50; with --json all in the ledger]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A moment in RFC 3339, from itself or from a duration before now.
fn since(text: &str) -> Result<String, String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let wrong = || {
        format!("`{text}` is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 1h")
    };
    let ago = parse_duration(text).map_err(|_| wrong())?;
    let at = jiff::Timestamp::now()
        .checked_sub(ago)
        .map_err(|_| wrong())?;
    Ok(format!("{at:.3}"))
}

/// Lists, shows or replays.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    match &arguments.verb {
        Verb::List(list) => run_list(context, list),
        Verb::Show { id, json } => run_show(context, id, *json),
        Verb::Replay { id, agent, json } => {
            let target = Target::new("/events")
                .segment(id)
                .segment("replay")
                .with("agent", agent.as_deref());
            let replayed: Replayed = context.post(&target)?;
            tell_replayed(context, &replayed, *json)?;
            Ok(Exit::Clean)
        }
    }
}

fn run_list(context: &mut Context, list: &List) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let limit = if list.json {
        list.limit
    } else {
        list.limit.or(Some(LIST))
    };
    let target = Target::new("/events")
        .with("subject", list.subject.as_deref())
        .with("type", list.kind.as_deref())
        .with("correlation", list.correlation.as_deref())
        .with("since", list.since.as_deref())
        .with("limit", limit.map(|n| n.to_string()).as_deref());
    block_on(async {
        let mut lines = client.lines(&target).await?;
        let mut count = 0;
        let mut table = event_table();
        while let Some(line) = lines.next().await? {
            print_event(context, &mut table, &line, list.json)?;
            table.print_batch(&mut context.out)?;
            count += 1;
        }
        table.print(&mut context.out)?;
        if count == 0 {
            context.out.note("no events");
        } else if list.limit.is_none() && limit == Some(count) {
            let newest = format!("the newest {count} events; --limit N shows more");
            context.out.note(&newest);
        }
        Ok(Exit::Clean)
    })
}

/// Takes an event that came as a line: JSON goes out as it is, else it becomes a row.
fn print_event(
    context: &mut Context,
    table: &mut Table,
    line: &[u8],
    json: bool,
) -> Result<(), Fatal> {
    if json {
        context.out.write(line)?;
        return context.out.write(b"\n");
    }
    let event: Envelope =
        serde_json::from_slice(line).map_err(|e| ClientError::Unexpected(e.to_string()))?;
    table.row(cells(&event));
    Ok(())
}

/// Prints each event as it comes, in columns that are wide enough for what may come.
pub(super) async fn follow(
    context: &mut Context,
    lines: &mut LineStream,
    json: bool,
) -> Result<(), Fatal> {
    let (time, kind, gaps) = (8, 24, 6);
    let subject = match context.out.style.width {
        Some(width) if width < 110 => width.saturating_sub(time + kind + gaps + 12),
        Some(width) => width.saturating_sub(time + kind + gaps + 36),
        None => 30,
    };
    let mut table = event_table().at_least(&[time, kind, subject, 0]);
    while let Some(line) = lines.next().await? {
        print_event(context, &mut table, &line, json)?;
        table.print(&mut context.out)?;
        context.out.flush()?;
    }
    Ok(())
}

fn event_table() -> Table {
    Table::new(&[word("TIME"), word("TYPE"), texts("SUBJECT"), id("ID")])
}

fn cells(event: &Envelope) -> Vec<Cell> {
    let kind = match event.kind.as_str() {
        "event.dead_lettered" | "agent.parked" | "fix.failed" => Style::wrong,
        _ => Style::bold,
    };
    vec![
        Cell::painted(clock(&event.time), Style::dim),
        Cell::painted(&event.kind, kind),
        Cell::painted(&event.subject, Style::place),
        Cell::painted(&event.id, Style::dim),
    ]
}

fn run_show(context: &mut Context, id: &str, json: bool) -> Result<Exit, Fatal> {
    let view: EventView = context.get(&Target::new("/events").segment(id))?;
    let text = |style| render_view(&view, style);
    context.out.answer(json, &view, text)?;
    Ok(Exit::Clean)
}

/// Says how many deliveries are owed again.
pub(super) fn tell_replayed(
    context: &mut Context,
    replayed: &Replayed,
    json: bool,
) -> Result<(), Fatal> {
    let deliveries = counted(replayed.replayed, "delivery is", "deliveries are");
    let text = |_| format!("{deliveries} owed again\n");
    context.out.answer(json, replayed, text)
}

/// An event's fields, one a line.
pub(super) fn fields(event: &Envelope, style: Style) -> String {
    let cause = event.causation.as_deref();
    let lines = [
        ("id", plain(&event.id)),
        ("type", style.bold(&plain(&event.kind))),
        ("subject", style.place(&plain(&event.subject))),
        ("time", moment(&event.time)),
        ("source", plain(&event.source)),
        ("data", plain(&event.data.to_string())),
        (
            "cause",
            cause.map_or("none: it is the first of its chain".to_owned(), plain),
        ),
        ("chain", plain(&event.correlation)),
    ];
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{}  {value}\n", style.dim(&format!("{name:<8}"))));
    lines.collect()
}

fn render_view(view: &EventView, style: Style) -> String {
    let mut text = fields(&view.event, style);
    let mut table = Table::new(&[
        word("AGENT"),
        word("STATE"),
        numeric("FAILED"),
        word("SETTLED AT"),
        texts("LAST ERROR"),
    ]);
    for delivery in &view.deliveries {
        let paint: fn(Style, &str) -> String = match delivery.state.known() {
            Some(DeliveryState::Done) => Style::good,
            Some(DeliveryState::Dead) => Style::wrong,
            _ => Style::doubtful,
        };
        let settled = delivery.settled_at.as_deref();
        table.row(vec![
            (&delivery.agent).into(),
            Cell::painted(delivery.state.to_string(), paint),
            delivery.attempts.to_string().into(),
            settled.map_or_else(|| "-".to_owned(), moment).into(),
            last_error(&delivery.errors).into(),
        ]);
    }
    text.push_str(&format!("\n{}", table.render(style)));
    if !view.caused.is_empty() {
        let mut caused = event_table();
        view.caused
            .iter()
            .for_each(|event| caused.row(cells(event)));
        text.push_str(&format!("\ncaused\n{}", caused.render(style)));
    }
    text
}

/// The newest text of an error chain.
pub(super) fn last_error(errors: &serde_json::Value) -> String {
    one_line(wire::last_error(errors).unwrap_or_default(), 300)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::wire::Delivery;

    fn event() -> Envelope {
        Envelope {
            id: "6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55".to_owned(),
            seq: 7,
            kind: "scan.requested".to_owned(),
            source: "control/0".to_owned(),
            subject: "docs".to_owned(),
            time: "2026-01-31T12:00:00.000Z".to_owned(),
            data: json!({"reason": "a test"}).into(),
            causation: None,
            correlation: "6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55".to_owned(),
        }
    }

    #[test]
    fn since_is_a_moment_or_a_duration() {
        assert_eq!(
            since("2026-01-31T12:00:00Z").unwrap(),
            "2026-01-31T12:00:00Z"
        );
        let hour: jiff::Timestamp = since("1h").unwrap().parse().unwrap();
        let ago = jiff::Timestamp::now().duration_since(hour).as_secs();
        assert!((3600..3700).contains(&ago), "{ago}");
        assert!(since("yesterday").unwrap_err().contains("neither"));
    }

    #[test]
    fn an_event_is_shown_with_its_deliveries_and_its_effects() {
        let delivery = Delivery {
            agent: "rag".to_owned(),
            state: DeliveryState::Dead.into(),
            attempts: 4,
            errors: json!([{"error": "first"}, {"error": "it\nbroke"}]),
            settled_at: None,
        };
        let view = EventView {
            event: event(),
            deliveries: vec![delivery],
            caused: vec![event()],
        };
        let text = render_view(&view, Style::new(false));
        assert!(
            text.contains("data      {\"reason\":\"a test\"}\n"),
            "{text}"
        );
        assert!(
            text.contains("rag    dead        4  -           it…\n"),
            "{text}"
        );
        assert!(text.contains("\ncaused\n"), "{text}");
    }
}
