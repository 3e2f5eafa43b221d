//! `docent agent list`

use clap::{Args, Subcommand};

use super::context::{Context, block_on};
use super::status::agent_table;
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::AgentList;

/// The verbs of `agent`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the agents in the order in which a change passes them
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Prints the agents.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let Verb::List { json } = arguments.verb;
    let client = context.client()?;
    let list: AgentList = block_on(async { Ok(client.get(&Target::new("/agents")).await?) })?;
    if json {
        context.out.json(&list)?;
    } else {
        let agents = list
            .agents
            .iter()
            .map(|named| (named.name.as_str(), &named.agent));
        let text = agent_table(agents).render(context.out.style);
        context.out.write(text.as_bytes())?;
    }
    Ok(Exit::Clean)
}
