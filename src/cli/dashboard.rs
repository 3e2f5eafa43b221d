//! `docent dashboard`

use std::process::{Command, Stdio};

use bytes::Bytes;
use clap::Args;

use super::context::{Context, block_on};
use super::role::RoleArgument;
use crate::error::{Exit, Fatal};
use crate::http::wire::{LoginMade, NewLogin};
use crate::http::{ClientError, Target};

/// The flags of `dashboard`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Open the address in a browser, with xdg-open
    #[arg(long)]
    open: bool,
    /// What the login allows: read; or also replay, drop, restart and pause
    #[arg(long, default_value = "operate")]
    role: RoleArgument,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the address that logs a browser in, and opens it.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    context.here_only("dashboard")?;
    let role = arguments.role.into();
    let body = serde_json::to_vec(&NewLogin { role }).map_err(|e| Fatal::new(Exit::Internal, e))?;
    let client = context.client()?;
    let target = Target::new("/dashboard/logins");
    let asked = block_on(async { Ok(client.post_body(&target, Bytes::from(body)).await) })?;
    let made: LoginMade = asked.map_err(|error| {
        let refused = matches!(error, ClientError::Problem(_));
        let fatal = Fatal::from(error);
        match refused {
            true => fatal.config(context.choice().line()),
            false => fatal,
        }
    })?;
    if arguments.json {
        context.out.json(&made)?;
    } else {
        context.out.line(&made.address)?;
        context
            .out
            .note("it logs a browser in once, within a minute");
    }
    context.out.flush()?;
    match arguments.open {
        true => open(&made.address).map(|()| Exit::Clean),
        false => Ok(Exit::Clean),
    }
}

fn open(address: &str) -> Result<(), Fatal> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot open a browser with xdg-open")]
    struct NotOpened(#[source] std::io::Error);
    let hint = "open the address that is printed above";
    let mut command = Command::new("xdg-open");
    command
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = command
        .status()
        .map_err(|cause| Fatal::new(Exit::Unavailable, NotOpened(cause)).hint(hint))?;
    match status.success() {
        true => Ok(()),
        false => {
            let text = format!("xdg-open opened no browser: {status}");
            Err(Fatal::new(Exit::Unavailable, text).hint(hint))
        }
    }
}
