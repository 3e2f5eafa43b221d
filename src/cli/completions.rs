//! `docent completions`

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;
use super::context::Context;
use crate::error::{Exit, Fatal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell that reads the script
    shell: Shell,
}

/// Prints the script that completes docent's command line.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Cli::command(), "docent", &mut script);
    context.out.write(&script)?;
    Ok(Exit::Clean)
}
