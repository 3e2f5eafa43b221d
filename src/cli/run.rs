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
    tracing::info!(file = choice.shown(), why = choice.reason(), "config");
    // On a database another host may watch them.
    if loaded.config.collections.is_empty() && loaded.config.store.url.is_empty() {
        tracing::warn!(
            "docent watches no documents: no [[collection]] is configured; add one with a name and a path"
        );
    }
    for unseen in &choice.unseen {
        tracing::warn!("{unseen}; the config is {}", choice.shown());
    }
    daemon::run(loaded)
}
