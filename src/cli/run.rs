//! `docent run`

use super::context::Context;
use crate::daemon;
use crate::error::{Exit, Fatal};
use crate::telemetry;

/// Runs the daemon until it is told to stop.
pub(super) fn run(context: &Context) -> Result<Exit, Fatal> {
    let config = context.config()?.config;
    telemetry::init(&config.log).map_err(|e| Fatal::new(Exit::Internal, e))?;
    daemon::run(config)
}
