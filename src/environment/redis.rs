//! Whether Redis can be reached, what it can, and how durable it is.

use std::time::Duration;

use super::Findings;
use crate::bus::redis::{Settings, probe};
use crate::config::{BusMode, Carrier, Config};
use crate::daemon::redis_settings;

/// How long the attempt may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Tries whether Redis can carry events where the config lets it. Without it `auto` carries directly, so that is a note there;
/// for `redis` it is a lack.
pub(super) fn reachable(config: &Config, findings: &mut Findings) {
    let agents = config.agents.all();
    let wants = |wanted: Carrier| agents.iter().any(|(_, agent)| agent.carrier == wanted);
    let needed = config.bus.mode == BusMode::Redis || wants(Carrier::Redis);
    if !needed && config.bus.mode == BusMode::Embedded && !wants(Carrier::Auto) {
        return;
    }
    let settings = redis_settings(config, !needed);
    let shown = &settings.shown;
    match attempt(&settings) {
        Ok(said) => findings.notes.push(format!("Redis at {shown}: {said}")),
        Err(why) if needed => findings.lack(
            "redis",
            format!("Redis at {shown} cannot carry events: {why}"),
            "start or mend it, or set [redis] url; with [bus] mode = \"auto\" docent works without it meanwhile",
        ),
        Err(why) => findings.notes.push(format!(
            "Redis at {shown} cannot carry events, they will be carried directly: {why}"
        )),
    }
}

fn attempt(settings: &Settings) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let probed = runtime.block_on(async {
        tokio::time::timeout(DEADLINE, probe(settings, None))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}")))
    });
    let facts = probed?;
    Ok(format!(
        "version {}, can carry events; what a crash of it may lose: durability {}",
        facts.version,
        facts.durability.as_str()
    ))
}
