//! `docent agent list|restart`

use clap::{Args, Subcommand};

use super::context::Context;
use super::status::agent_table;
use super::text::{counted, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{AgentList, AgentState, Restarted};

/// The verbs of `agent`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the agents, in the order in which they handle a change
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Restart an agent, even a parked one
    Restart {
        /// The agent's name; NAME@INSTANCE restarts it on that host of a store that several hosts share
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Prints the agents, or restarts one.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    match &arguments.verb {
        Verb::List { json } => list(context, *json),
        Verb::Restart { name, json } => restart(context, name, *json),
    }
}

fn list(context: &mut Context, json: bool) -> Result<Exit, Fatal> {
    let list: AgentList = context.get(&Target::new("/agents"))?;
    let agents = list.agents.iter();
    let agents = agents.map(|named| (named.name.as_str(), &named.agent));
    let text = |style| agent_table(agents, style);
    context.out.answer(json, &list, text)?;
    Ok(Exit::Clean)
}

/// 0 once the agent has restarted, 75 if it has not yet.
fn restart(context: &mut Context, name: &str, json: bool) -> Result<Exit, Fatal> {
    let target = Target::new("/agents").segment(name).segment("restart");
    let restarted: Restarted = context.post(&target)?;
    context.out.answer(json, &restarted, |_| {
        let (agent, state) = (plain(&restarted.agent), plain(&restarted.state.to_string()));
        let restarts = counted(restarted.restarts, "restart", "restarts");
        let on = restarted.instance.as_deref();
        let on = on.map_or_else(String::new, |instance| format!(" on {}", plain(instance)));
        format!("{agent}{on} is {state}, {restarts}\n")
    })?;
    Ok(match restarted.state.known() {
        Some(AgentState::Running) => Exit::Clean,
        _ => Exit::Temporary,
    })
}
