//! What self_healing knows of Redis. Whoever carries events tells it; nothing here talks to Redis or waits for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{AgentName, Millis};

/// New connections that are remembered.
const CONNECTIONS_KEPT: usize = 32;

/// Tells how Redis stands; `None`: this config does not use it. It is called often, and must not wait.
pub(crate) type RedisLook = Arc<dyn Fn() -> Option<RedisFacts> + Send + Sync>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedisFacts {
    /// An agent is carried by Redis alone: while it cannot carry, that agent handles nothing.
    pub needed: bool,
    /// Whether it can carry.
    pub standing: RedisStanding,
    /// The streams that it carries with; `None`: not known.
    pub streams: Option<Vec<StreamFacts>>,
}

/// Whether Redis can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedisStanding {
    /// It is being found out.
    Unknown,
    Carries {
        /// How many connections there were so far, this one counted.
        connections: u64,
    },
    Away {
        why: String,
        since: Millis,
        /// It answers, and does not do what it is asked for.
        answers: bool,
    },
    /// The namespace belongs to another store.
    Foreign {
        /// Whose it is, and what to do.
        why: String,
    },
}

/// How one stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamFacts {
    pub key: String,
    /// Whose inbox it is; `None`: the ingress.
    pub agent: Option<AgentName>,
    pub entries: u64,
    /// How many there may be; `None`: as many as other programs write.
    pub entries_max: Option<u64>,
    /// Entries that have been pending for longer than an event may be owed.
    pub stuck: u64,
    /// Consumers of other names in docent's group.
    pub strangers: Vec<String>,
    /// For how long its first entry has been waiting, where none stays that was answered.
    pub standing: Duration,
}

/// What the detectors look at.
#[derive(Debug, Clone)]
pub(super) struct RedisView {
    /// How it stands now.
    pub(super) facts: RedisFacts,
    /// It has carried in this life.
    pub(super) has_carried: bool,
    pub(super) reconnects: usize,
    /// Why it could not carry when that was seen last.
    pub(super) cause: Option<String>,
}

/// What only time tells of Redis.
#[derive(Debug, Default)]
pub(super) struct RedisMemory {
    /// The number of the connection that was seen last.
    connections: Option<u64>,
    reconnected: VecDeque<Instant>,
    cause: Option<String>,
}

impl RedisMemory {
    /// Adds what was seen before; new connections count as lately within `window`.
    pub(super) fn view(&mut self, facts: RedisFacts, at: Instant, window: Duration) -> RedisView {
        match &facts.standing {
            RedisStanding::Carries { connections } => {
                let known = self.connections.replace(*connections);
                let more = connections.saturating_sub(known.unwrap_or(*connections));
                for _ in 0..more.min(CONNECTIONS_KEPT as u64) {
                    self.reconnected.push_back(at);
                }
            }
            RedisStanding::Away { why, .. } => self.cause = Some(why.clone()),
            RedisStanding::Foreign { .. } | RedisStanding::Unknown => {}
        }
        let old = |moment: &Instant| at.duration_since(*moment) > window;
        while self.reconnected.len() > CONNECTIONS_KEPT || self.reconnected.front().is_some_and(old)
        {
            self.reconnected.pop_front();
        }
        RedisView {
            facts,
            has_carried: self.connections.is_some(),
            reconnects: self.reconnected.len(),
            cause: self.cause.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_from_the_first_that_is_seen_and_forgotten_after_the_window() {
        let mut memory = RedisMemory::default();
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let mut look = |standing, seconds| {
            let facts = RedisFacts {
                needed: false,
                standing,
                streams: None,
            };
            let view = memory.view(facts, start + Duration::from_secs(seconds), minute);
            (view.has_carried, view.reconnects, view.cause)
        };
        let carries = |connections| RedisStanding::Carries { connections };
        let away = || RedisStanding::Away {
            why: "refused".to_owned(),
            since: Millis(0),
            answers: false,
        };
        let cause = || Some("refused".to_owned());
        assert_eq!(look(RedisStanding::Unknown, 0), (false, 0, None));
        assert_eq!(look(carries(7), 1), (true, 0, None));
        assert_eq!(look(away(), 2), (true, 0, cause()));
        assert_eq!(look(carries(8), 3), (true, 1, cause()));
        assert_eq!(look(carries(10), 50), (true, 3, cause()));
        assert_eq!(look(carries(10), 64), (true, 2, cause()));
        assert_eq!(look(carries(10), 111), (true, 0, cause()));
    }
}
