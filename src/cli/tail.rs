//! `docent tail`

use clap::Args;

use super::context::{Context, block_on};
use super::events::follow;
use crate::error::{Exit, Fatal};
use crate::http::Target;

/// The flags of `tail`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Prints each event as it comes, until the daemon ends or nobody reads.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    block_on(async {
        let mut lines = client.lines(&Target::new("/tail")).await?;
        follow(context, &mut lines, arguments.json).await?;
        context.out.note("docent has stopped");
        Ok(Exit::Clean)
    })
}
