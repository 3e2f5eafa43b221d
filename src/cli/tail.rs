//! `docent tail`

use clap::Args;

use super::context::{Context, block_on};
use super::events::follow;
use super::failure::exit_of;
use crate::error::{Exit, Fatal};
use crate::http::{Client, ClientError, Target};

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
        if let Err(ended) = follow(context, &mut lines, arguments.json).await {
            return Err(refusal(&client).await.unwrap_or(ended));
        }
        context.out.note("docent has stopped");
        Ok(Exit::Clean)
    })
}

/// Why docent does not answer this token any more; none where it does, or where nobody is there. An answer that goes on is cut off
/// when its token is revoked or expires, and cannot say why.
async fn refusal(client: &Client) -> Option<Fatal> {
    match client.lines(&Target::new("/tail")).await {
        Err(ClientError::Problem(problem)) if exit_of(&problem) == Exit::Permission => {
            Some(ClientError::Problem(problem).into())
        }
        _ => None,
    }
}
