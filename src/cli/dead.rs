//! `docent dead list|replay`

use clap::{Args, Subcommand};

use super::context::{Context, block_on};
use super::events::last_error;
use super::text::{Style, counted, moment, number, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{DeadList, Replayed};

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
        /// At most so many [default: 1000, at most 10000]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the dead deliveries of an event tried again
    Replay {
        /// The event's id
        id: String,
        /// Only what this agent owes
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Lists or replays.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    match &arguments.verb {
        Verb::List { limit, json } => {
            let target =
                Target::new("/dead").with("limit", limit.map(|n| n.to_string()).as_deref());
            let list: DeadList = block_on(async { Ok(client.get(&target).await?) })?;
            if *json {
                context.out.json(&list)?;
            } else if list.dead.is_empty() {
                context.out.line("no dead letters")?;
            } else {
                let text = render(&list, context.out.style);
                context.out.write(text.as_bytes())?;
            }
        }
        Verb::Replay { id, agent, json } => {
            let target = Target::new("/dead")
                .segment(id)
                .segment("replay")
                .with("agent", agent.as_deref());
            let replayed: Replayed = block_on(async { Ok(client.post(&target).await?) })?;
            if *json {
                context.out.json(&replayed)?;
            } else {
                let deliveries = counted(replayed.replayed, "delivery is", "deliveries are");
                context.out.line(&format!("{deliveries} owed again"))?;
            }
        }
    }
    Ok(Exit::Clean)
}

/// Two lines a letter: what it is, and why it died.
fn render(list: &DeadList, style: Style) -> String {
    let mut text = String::new();
    for dead in &list.dead {
        text.push_str(&format!(
            "{}  {}  {}  {}  {}\n    {} after {}\n",
            style.dim(&moment(&dead.at)),
            style.bold(&plain(&dead.agent)),
            plain(&dead.kind),
            style.place(&plain(&dead.subject)),
            plain(&dead.event),
            style.wrong(&last_error(&dead.errors)),
            counted(u64::from(dead.attempts), "attempt", "attempts"),
        ));
    }
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
            text.contains(
                "  rag  document.stored  docs/a.md  the-id\n    it broke after 4 attempts\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("the oldest 1 of 1,200\n"), "{text}");
    }
}
