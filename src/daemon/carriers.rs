//! What carries events: the link to Redis and the ingress, made from the config, started and joined here.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{options, redis_facts};
use crate::bus::redis::{self, Ingress, Link, LinkState, LinkTask, StreamView, Surveyor};
use crate::bus::{Carrier, CarrierChoice, Monitor, Switch};
use crate::config::{self, BusMode, Config};
use crate::error::{Exit, Fatal};
use crate::event::AgentName;
use crate::health::RedisLook;
use crate::runtime::CarrierFactory;
use crate::store::Store;

/// How long a start waits for a Redis without which it cannot carry.
const REDIS_DEADLINE: Duration = Duration::from_secs(60);

/// How long it waits for the first verdict when the embedded carrier can carry meanwhile.
const FIRST_VERDICT: Duration = Duration::from_secs(5);

/// Why docent does not start with this Redis.
#[derive(Debug, Error)]
enum CarrierError {
    #[error("{0}")]
    Foreign(String),
    #[error("Redis at {url} cannot carry events after {deadline:?}: {why}", deadline = REDIS_DEADLINE)]
    Absent { url: String, why: String },
}

/// Everything about carriers that outlives an agent's run.
pub(super) struct Carriers {
    choice: CarrierChoice,
    agents: Vec<(AgentName, CarrierChoice)>,
    link: Option<Link>,
    streams: watch::Receiver<Option<Vec<StreamView>>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Carriers {
    /// Starts what the config asks for; nothing connects if everything is embedded.
    #[expect(clippy::disallowed_methods, reason = "joined by close")]
    pub(super) fn start(config: &Config, store: &Store) -> Self {
        let (choice, agents) = (choice_of(config), agent_choices(config));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (_, mut streams) = watch::channel(None);
        let all = || std::iter::once(choice).chain(agents.iter().map(|(_, c)| *c));
        let link = uses_redis(config).then(|| {
            let falls_back = !all().any(|c| c == CarrierChoice::Redis);
            let (link, task): (Link, LinkTask) =
                Link::new(settings(config, falls_back), store.clone());
            tasks.spawn(task.run(stop.clone()));
            tasks.spawn(Ingress::new(link.clone(), stop.clone()).run());
            let carried = carried_by_redis(config, choice, &agents);
            let surveyor = Surveyor::new(link.clone(), carried, config.health.oldest_owed);
            streams = surveyor.seen();
            tasks.spawn(surveyor.run(stop.clone()));
            link
        });
        Carriers {
            choice,
            agents,
            link,
            streams,
            tasks,
            stop,
        }
    }

    /// What can be seen from outside.
    pub(super) fn monitor(&self) -> Monitor {
        Monitor::new(
            self.choice,
            self.agents.clone(),
            self.link.clone(),
            self.streams.clone(),
        )
    }

    /// What is judged of Redis.
    pub(super) fn redis_facts(&self, config: &Config) -> RedisLook {
        redis_facts::reader(self.monitor(), self.streams.clone(), config)
    }

    /// Waits until something can carry.
    ///
    /// # Errors
    /// An agent is to be carried by Redis alone, and it does not come or its namespace belongs to another store.
    pub(super) async fn ready(&self) -> Result<(), Fatal> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let needed = self.monitor().waits_for_redis().is_some();
        let deadline = if needed {
            REDIS_DEADLINE
        } else {
            FIRST_VERDICT
        };
        let mut state = link.state();
        let decided = |state: &LinkState| match state {
            LinkState::Up { .. } | LinkState::Foreign { .. } => true,
            LinkState::Down { .. } => !needed,
            LinkState::Connecting => false,
        };
        let waiting = tokio::time::timeout(deadline, state.wait_for(decided));
        if waiting.await.is_err() && !needed {
            return Ok(());
        }
        let state = link.state().borrow().clone();
        match state {
            LinkState::Up { .. } => Ok(()),
            // Whoever can write one key of a Redis must not be able to keep docent down.
            _ if !needed => Ok(()),
            LinkState::Foreign { why } => Err(Fatal::new(Exit::Config, CarrierError::Foreign(why))),
            _ => {
                let absent = CarrierError::Absent {
                    url: link.settings().shown.clone(),
                    why: self.monitor().why(),
                };
                Err(Fatal::new(Exit::Unavailable, absent).hint(
                    "start it, set [redis] url, or write [bus] mode = \"auto\" to work without it meanwhile",
                ))
            }
        }
    }

    /// What makes the carrier of an agent's new run.
    pub(super) fn factory(
        &self,
        name: AgentName,
        store: &Store,
        backoff_max: Duration,
    ) -> CarrierFactory {
        let own = self.agents.iter().find(|(agent, _)| *agent == name);
        let choice = own.map_or(self.choice, |(_, choice)| *choice);
        let (link, store) = (self.link.clone(), store.clone());
        std::sync::Arc::new(move || -> Box<dyn Carrier> {
            let (link, store) = (link.clone(), store.clone());
            Box::new(Switch::new(choice, link, store, name, backoff_max))
        })
    }

    /// Ends what was started, after the agents have ended.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Whether Redis may carry anything by this config.
pub(super) fn uses_redis(config: &Config) -> bool {
    let own = agent_choices(config);
    let mut all = own.iter().map(|(_, choice)| *choice);
    choice_of(config) != CarrierChoice::Embedded || all.any(|c| c != CarrierChoice::Embedded)
}

fn choice_of(config: &Config) -> CarrierChoice {
    match config.bus.mode {
        BusMode::Auto => CarrierChoice::Auto,
        BusMode::Redis => CarrierChoice::Redis,
        BusMode::Embedded => CarrierChoice::Embedded,
    }
}

/// The agents that are on and that Redis may carry.
fn carried_by_redis(
    config: &Config,
    choice: CarrierChoice,
    own: &[(AgentName, CarrierChoice)],
) -> Vec<AgentName> {
    let may = |name: &AgentName| {
        let own = own.iter().find(|(agent, _)| agent == name);
        own.map_or(choice, |(_, choice)| *choice) != CarrierChoice::Embedded
    };
    super::enabled(config).into_iter().filter(may).collect()
}

/// The agents whose config says something of its own.
fn agent_choices(config: &Config) -> Vec<(AgentName, CarrierChoice)> {
    let choice = |(name, agent): (&str, &config::Agent)| {
        let choice = match agent.carrier {
            config::Carrier::Bus => return None,
            config::Carrier::Auto => CarrierChoice::Auto,
            config::Carrier::Redis => CarrierChoice::Redis,
            config::Carrier::Embedded => CarrierChoice::Embedded,
        };
        name.parse().ok().map(|name: AgentName| (name, choice))
    };
    let agents = config.agents.all();
    agents
        .iter()
        .filter(|(_, agent)| agent.enabled)
        .filter_map(|(name, agent)| choice((name, agent)))
        .collect()
}

/// How Redis is used, by this config.
pub(super) fn settings(config: &Config, falls_back: bool) -> redis::RedisSettings {
    let redis = &config.redis;
    redis::RedisSettings {
        url: redis.url.expose().to_owned(),
        shown: redis.url.to_string(),
        namespace: redis.namespace.clone(),
        group: redis.group.clone(),
        instance: config.instance.clone(),
        block_time: redis.block_time,
        window: redis.window,
        window_per_subject: redis.window_per_subject,
        journal_entries: redis.inbox_keep,
        journal_bytes: redis.inbox_keep_size,
        ingress_dead: redis.ingress_dead_letters,
        known: options::known(config),
        event_size: config.delivery.event_size,
        backoff_max: config.delivery.backoff_max,
        falls_back,
    }
}
