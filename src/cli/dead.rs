//! `docent dead list|show|replay|drop`

use clap::{Args, Subcommand};

use super::context::{Context, block_on};
use super::events::{fields, last_error, tell_replayed};
use super::table::{Cell, Table, id, text as texts, word};
use super::text::{Style, clock, counted, moment, number, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{DeadList, DeadView, Dropped, Replayed};

/// The verbs of `dead`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List dead letters, oldest first
    List {
        /// Maximum number of dead letters [default: 1000, at most 10000]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a dead letter: the event and every failed attempt, or the entry that another program wrote to Redis
    Show(WhichDead),
    /// Retry dead letters: deliver the event again, or publish the entry of another program
    Replay(WhichDead),
    /// Drop dead letters for good
    Drop(WhichDead),
}

#[derive(Debug, Args)]
struct WhichDead {
    /// Ids as shown by `docent dead list`
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Only this agent's delivery
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl WhichDead {
    fn target(&self, id: &str, act: Option<&str>) -> Target {
        let target = Target::new("/dead").segment(id);
        let target = match act {
            Some(act) => target.segment(act),
            None => target,
        };
        target.with("agent", self.agent.as_deref())
    }
}

/// Lists, shows, replays or drops.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    match &arguments.verb {
        Verb::List { limit, json } => {
            let target =
                Target::new("/dead").with("limit", limit.map(|n| n.to_string()).as_deref());
            let list: DeadList = block_on(async { Ok(client.get(&target).await?) })?;
            let text = |style| render(&list, style);
            context.out.answer(*json, &list, text)?;
            Ok(Exit::Clean)
        }
        Verb::Show(which) => each(context, which, |context, id| {
            let target = which.target(id, None);
            let view: DeadView = block_on(async { Ok(client.get(&target).await?) })?;
            let text = |style| render_view(&view, style);
            context.out.answer(which.json, &view, text)
        }),
        Verb::Replay(which) => each(context, which, |context, id| {
            let target = which.target(id, Some("replay"));
            let replayed: Replayed = block_on(async { Ok(client.post(&target).await?) })?;
            tell_replayed(context, &replayed, which.json)
        }),
        Verb::Drop(which) => each(context, which, |context, id| {
            let target = which.target(id, Some("drop"));
            let dropped: Dropped = block_on(async { Ok(client.post(&target).await?) })?;
            let deliveries = counted(dropped.dropped, "delivery is", "deliveries are");
            let text = |_| format!("{deliveries} dropped; the audit log records it\n");
            context.out.answer(which.json, &dropped, text)
        }),
    }
}

/// Does something with each id. One that fails does not keep the others from it; the first failure decides how it ends.
fn each(
    context: &mut Context,
    which: &WhichDead,
    mut act: impl FnMut(&mut Context, &str) -> Result<(), Fatal>,
) -> Result<Exit, Fatal> {
    let mut failed: Option<Fatal> = None;
    for id in &which.ids {
        let Err(fatal) = act(context, id) else {
            continue;
        };
        match &failed {
            None => failed = Some(fatal),
            Some(_) => context.out.complain(&fatal.report()),
        }
    }
    failed.map_or(Ok(Exit::Clean), Err)
}

/// The event, then each agent with every attempt that failed.
fn render_view(view: &DeadView, style: Style) -> String {
    let mut text = match &view.event {
        Some(event) => fields(event, style),
        None => render_entry(view, style),
    };
    for dead in &view.dead {
        text.push_str(&format!(
            "\n{} since {}, after {}\n",
            style.wrong(&plain(&dead.agent)),
            moment(&dead.at),
            counted(u64::from(dead.attempts), "attempt", "attempts"),
        ));
        for error in dead.errors.as_array().into_iter().flatten() {
            text.push_str(&format!(
                "  {}  {}  {}\n",
                style.dim(&moment(error["at"].as_str().unwrap_or_default())),
                error["attempt"],
                plain(error["error"].as_str().unwrap_or_default())
            ));
        }
    }
    text
}

/// An entry of another program with all that it held.
fn render_entry(view: &DeadView, style: Style) -> String {
    let mut text = String::new();
    for dead in &view.dead {
        let entry = plain(&dead.event);
        text.push_str(&format!("entry  {}\n", style.bold(&entry)));
        let fields = dead.errors[0]["fields"].as_object();
        for (name, value) in fields.into_iter().flatten() {
            let value = plain(value.as_str().unwrap_or_default());
            text.push_str(&format!("{}  {value}\n", style.dim(&plain(name))));
        }
    }
    text
}

/// The letters, one a row: what it is, and why it died.
fn render(list: &DeadList, style: Style) -> String {
    if list.dead.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut table = Table::new(&[
        word("DIED"),
        word("AGENT"),
        texts("EVENT"),
        id("ID"),
        texts("LAST ERROR"),
    ]);
    for dead in &list.dead {
        let attempts = counted(u64::from(dead.attempts), "attempt", "attempts");
        table.row(vec![
            Cell::painted(clock(&dead.at), Style::dim),
            Cell::painted(&dead.agent, Style::bold),
            Cell::painted(format!("{} {}", dead.kind, dead.subject), Style::place),
            (&dead.event).into(),
            format!("{} ({attempts})", last_error(&dead.errors)).into(),
        ]);
    }
    let mut text = table.render(style);
    let shown = list.dead.len() as u64;
    if list.total > shown {
        text.push_str(&format!(
            "the oldest {} of {}\n",
            number(shown),
            number(list.total)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::wire::Dead;

    #[test]
    fn a_dead_letter_says_why_and_how_many_there_are() {
        let dead = Dead {
            event: "the-id".to_owned(),
            agent: "rag".to_owned(),
            kind: "document.stored".to_owned(),
            subject: "docs/a.md".to_owned(),
            attempts: 4,
            errors: json!([{"error": "it broke"}]),
            at: "2026-01-31T12:00:00Z".to_owned(),
        };
        let list = DeadList {
            dead: vec![dead],
            total: 1200,
        };
        let text = render(&list, Style::new(false));
        assert!(
            text.contains("  rag    document.stored docs/a.md  the-id  it broke (4 attempts)\n"),
            "{text}"
        );
        let narrow = render(&list, Style::new(false).within(Some(60)));
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 60),
            "{narrow}"
        );
        assert!(text.ends_with("the oldest 1 of 1,200\n"), "{text}");
    }
}
