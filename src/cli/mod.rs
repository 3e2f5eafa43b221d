//! The command line: one verb a file, one match.
//!
//! Results go to stdout, everything else to stderr. Every verb but `run`, `check`, `config`, `store`, `completions` and
//! `man` asks the daemon over its control socket, or over the network with `--url`.

mod agent;
mod audit;
mod check;
mod cite;
mod completions;
mod config;
mod context;
mod dashboard;
mod dead;
mod documents;
mod events;
mod failure;
mod health;
mod history;
mod jobs;
mod man;
mod mcp;
mod output;
mod progress;
mod publish;
mod read;
mod report;
mod role;
mod run;
mod scan;
mod search;
mod status;
mod store;
mod table;
mod tail;
mod text;
mod token;
mod top;
mod wait;
mod which;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Exit, Fatal};
use crate::visible::visible;
use context::{Context, Global};

/// Watches, versions and indexes trees of documents and code, and answers searches with citations.
#[derive(Debug, Parser)]
#[command(
    name = "docent",
    version,
    arg_required_else_help = true,
    infer_subcommands = false
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon in the foreground
    Run,
    /// Check the config and the environment it needs
    #[command(alias = "validate")]
    Check(check::Arguments),
    /// Show the effective configuration, or its schema
    Config(config::Arguments),
    /// Show the state of the daemon; exits 0 if running, 1 if degraded, 3 if not running
    Status(status::Arguments),
    /// Follow the state of the daemon live in the terminal
    Top(top::Arguments),
    /// Wait until all changes now on disk are searchable
    Wait(wait::Arguments),
    /// Scan all files for changes, and wait until the scan ends
    Scan(scan::Arguments),
    /// Search documents and code
    Search(search::Arguments),
    /// Print the text of a document as it is indexed
    Read(read::Arguments),
    /// Check whether quoted text is still where it was found; exits 0 if all of it is, 1 if not
    Cite(cite::Arguments),
    /// Serve agents over the Model Context Protocol on stdin and stdout
    Mcp(mcp::Arguments),
    /// List all files in scope with their state, and why a file is not searchable
    Documents(documents::Arguments),
    /// Show the versions of a document
    History(history::Arguments),
    /// Publish an event
    Publish(publish::Arguments),
    /// List, show or replay past events
    Events(events::Arguments),
    /// Print events as they happen
    Tail(tail::Arguments),
    /// List, show, retry or drop dead letters
    Dead(dead::Arguments),
    /// List, run, pause or resume scheduled jobs
    Jobs(jobs::Arguments),
    /// Show health issues and attempted fixes
    Health(health::Arguments),
    /// List or restart agents
    Agent(agent::Arguments),
    /// List or verify the audit log
    Audit(audit::Arguments),
    /// Print a report of what happened in a day, a week or another period
    Report(report::Arguments),
    /// Copy the store to PostgreSQL, or back into a file
    Store(store::Arguments),
    /// Create, list or revoke tokens, which let other machines use the API
    Token(token::Arguments),
    /// Print the address of the dashboard, with a login that works once
    Dashboard(dashboard::Arguments),
    /// Print the script that completes this command line in a shell
    Completions(completions::Arguments),
    /// Write the manual pages, one for each verb
    Man(man::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run_with(std::env::args_os()).into()
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // The error quotes arguments: it is told of them as they may be shown.
            let shown = arguments
                .iter()
                .map(|a| visible(&a.to_string_lossy()).into_owned());
            let told = Cli::try_parse_from(shown).err();
            let exit = error.exit_code();
            let error = told
                .filter(|told| told.exit_code() == exit)
                .unwrap_or(error);
            // Help and version go to stdout, the rest to stderr. A reader that is gone has all it wanted.
            error.print().ok();
            return if error.exit_code() == 0 {
                Exit::Clean
            } else {
                Exit::Usage
            };
        }
    };
    let mut context = Context::new(cli.global);
    let ended = match dispatch(&mut context, cli.verb) {
        Ok(exit) => context.out.flush().map(|()| exit),
        Err(fatal) => {
            // What was printed before the failure belongs to the result.
            context.out.flush().and(Err(fatal))
        }
    };
    match ended {
        Ok(exit) => exit,
        Err(fatal) => {
            let fatal = context.explained(fatal);
            context.out.complain(&fatal.report());
            fatal.exit()
        }
    }
}

fn dispatch(context: &mut Context, verb: Verb) -> Result<Exit, Fatal> {
    let here_only = match verb {
        Verb::Run => Some("run"),
        Verb::Check(_) => Some("check"),
        Verb::Config(_) => Some("config"),
        Verb::Store(_) => Some("store"),
        _ => None,
    };
    if let Some(name) = here_only {
        context.here_only(name)?;
    }
    match verb {
        Verb::Run => run::run(context),
        Verb::Check(arguments) => check::run(context, &arguments),
        Verb::Config(arguments) => config::run(context, &arguments),
        Verb::Status(arguments) => status::run(context, &arguments),
        Verb::Top(arguments) => top::run(context, &arguments),
        Verb::Wait(arguments) => wait::run(context, &arguments),
        Verb::Scan(arguments) => scan::run(context, &arguments),
        Verb::Search(arguments) => search::run(context, &arguments),
        Verb::Read(arguments) => read::run(context, &arguments),
        Verb::Cite(arguments) => cite::run(context, arguments),
        Verb::Mcp(arguments) => mcp::run(context, &arguments),
        Verb::Documents(arguments) => documents::run(context, &arguments),
        Verb::History(arguments) => history::run(context, &arguments),
        Verb::Publish(arguments) => publish::run(context, arguments),
        Verb::Events(arguments) => events::run(context, &arguments),
        Verb::Tail(arguments) => tail::run(context, &arguments),
        Verb::Dead(arguments) => dead::run(context, &arguments),
        Verb::Jobs(arguments) => jobs::run(context, &arguments),
        Verb::Health(arguments) => health::run(context, &arguments),
        Verb::Agent(arguments) => agent::run(context, &arguments),
        Verb::Audit(arguments) => audit::run(context, &arguments),
        Verb::Report(arguments) => report::run(context, &arguments),
        Verb::Store(arguments) => store::run(context, arguments),
        Verb::Token(arguments) => token::run(context, arguments),
        Verb::Dashboard(arguments) => dashboard::run(context, &arguments),
        Verb::Completions(arguments) => completions::run(context, &arguments),
        Verb::Man(arguments) => man::run(&arguments),
    }
}

#[cfg(test)]
mod tests;
