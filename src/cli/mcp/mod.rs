//! `docent mcp`: a server of the Model Context Protocol on stdin and stdout, for agents.
//!
//! It asks the daemon over the control socket, as every verb does. Stdout carries the protocol alone.

mod asking;
mod setup;

use clap::Args;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;

use super::context::{Context, block_on};
use crate::error::{Exit, Fatal};
use crate::http::McpServer;
use crate::telemetry;
use asking::Asking;
use setup::Program;

/// What agents are told of the command line.
const SKILL: &str = include_str!("skill.md");

/// The flags of `mcp`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the configuration that makes this client start docent
    #[arg(long, value_name = "CLIENT")]
    setup: Option<Program>,
    /// Write it to the client's file in this directory, after showing the difference
    #[arg(long, requires = "setup")]
    write: bool,
    /// Print a text for AGENTS.md that teaches the command line
    #[arg(long, conflicts_with = "setup")]
    skill: bool,
}

/// Serves until stdin ends.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    if arguments.skill {
        context.out.write(SKILL.as_bytes())?;
        return Ok(Exit::Clean);
    }
    if let Some(program) = arguments.setup {
        return setup::run(context, program, arguments.write);
    }
    let config = context.config()?.config;
    telemetry::init(&config.log).map_err(|e| Fatal::new(Exit::Internal, e))?;
    let asking = Asking::new(context, &config)?;
    block_on(serve(McpServer::new(asking)))
}

async fn serve(server: McpServer<Asking>) -> Result<Exit, Fatal> {
    let transport = AsyncRwTransport::new_server(tokio::io::stdin(), tokio::io::stdout());
    let broken = |e: Box<dyn std::error::Error + Send + Sync>| Fatal::new(Exit::Internal, e);
    match server.serve(transport).await {
        Ok(service) => {
            service.waiting().await.map_err(|e| broken(e.into()))?;
            Ok(Exit::Clean)
        }
        // A client that goes away again has all it wanted.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(Exit::Clean),
        Err(error) => Err(broken(error.into())),
    }
}
