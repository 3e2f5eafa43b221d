//! Whether Redis can be reached, whether it can carry events, how durable it is, and who owns the namespace.

use std::time::Duration;

use super::EnvironmentReport;
use crate::bus::redis::{Probed, RedisSettings, probe};
use crate::config::{BusMode, Carrier, Config};
use crate::daemon::{database, redis_settings};
use crate::store::{StoreIdentity, identity_in};

/// How long the attempt may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Tries whether Redis can carry events, if the config lets it. Without Redis, `auto` uses the embedded carrier, so there it is
/// a note; for `redis` it is a requirement.
pub(super) fn reachable(config: &Config, report: &mut EnvironmentReport) {
    let agents = config.agents.all();
    let wants = |wanted: Carrier| agents.iter().any(|(_, agent)| agent.carrier == wanted);
    let needed = config.bus.mode == BusMode::Redis || wants(Carrier::Redis);
    if !needed && config.bus.mode == BusMode::Embedded && !wants(Carrier::Auto) {
        return;
    }
    let settings = redis_settings(config, !needed);
    let shown = &settings.shown;
    let store = store_identity(config);
    let is_ours = |owner: &str| match &store {
        Ok(store) => {
            let store = store.as_ref();
            store.is_some_and(|store| store.id() == owner || store.is_copy_of(owner))
        }
        Err(_) => true, // that is not known; the report has a note
    };
    match attempt(&settings, is_ours) {
        Ok(Probed::Carries { facts, owner }) => {
            report.notes.push(format!(
                "Redis at {shown}: version {}, can carry events, durability {}: {}",
                facts.version,
                facts.durability.as_str(),
                facts.durability.told()
            ));
            if let (Some(owner), Err(why)) = (owner, &store) {
                report.notes.push(format!(
                    "the namespace {} on Redis belongs to the store {owner}; docent cannot tell whether that is its own: {why}",
                    settings.namespace
                ));
            }
        }
        // Then docent does not start in `redis` mode, and is degraded in other modes.
        Ok(Probed::Foreign { owner, command }) => report.unmet(
            "redis",
            format!(
                "Redis at {shown}: the namespace {} belongs to another store, {owner}",
                settings.namespace
            ),
            format!("give this docent a [redis] namespace of its own, or, if that store is gone for good, free the name: {command}"),
        ),
        Err(why) if needed => report.unmet(
            "redis",
            format!("Redis at {shown} cannot carry events: {why}"),
            "start or repair it, or set [redis] url; with [bus] mode = \"auto\" docent works without it until then",
        ),
        Err(why) => report.notes.push(format!(
            "Redis at {shown} cannot carry events, so the embedded carrier will: {why}"
        )),
    }
}

/// Which store it is; `None`: there is no store yet.
fn store_identity(config: &Config) -> Result<Option<StoreIdentity>, String> {
    match database(config).map_err(|error| error.to_string())? {
        None => identity_in(&config.data_dir),
        Some(database) => match database.inspect() {
            Ok(found) => Ok(found.identity),
            Err(error) => Err(error.to_string()),
        },
    }
}

fn attempt(settings: &RedisSettings, is_ours: impl Fn(&str) -> bool) -> Result<Probed, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, probe(settings, is_ours))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::redis::understood;
    use crate::config::REDIS_URLS;
    use crate::environment::tests::config;

    #[test]
    fn what_the_config_takes_for_a_url_the_client_understands() {
        let folder = tempfile::tempdir().unwrap();
        for url in REDIS_URLS {
            let text = toml::Value::from(url).to_string();
            let config = config(folder.path(), &format!("[redis]\nurl = {text}\n"));
            let settings = redis_settings(&config, true);
            assert_eq!(settings.url, url);
            assert_eq!(understood(&settings.url), Ok(()), "{url}");
        }
    }
}
