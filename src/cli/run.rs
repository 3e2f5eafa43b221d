//! `docent run`

use super::context::Context;
use crate::daemon;
use crate::error::{Exit, Fatal};
use crate::telemetry;

/// Runs the daemon until it is told to stop.
pub(super) fn run(context: &Context) -> Result<Exit, Fatal> {
    let choice = context.choice();
    let loaded = context.load(&choice)??;
    telemetry::init(&loaded.config.log).map_err(|e| Fatal::new(Exit::Internal, e))?;
    for unseen in &choice.unseen {
        tracing::warn!("{unseen}; the config is {}", choice.shown());
    }
    daemon::run(loaded, &choice.line())
}
