//! What is judged of Redis: facts of the carriers, with the bounds of the config.

use std::sync::Arc;

use tokio::sync::watch;

use crate::bus::Monitor;
use crate::bus::redis::{LinkState, StreamView};
use crate::config::Config;
use crate::event::AgentName;
use crate::health::{RedisFacts, RedisLook, RedisStanding, StreamFacts};

/// What the journal may hold beyond what it keeps: it is cut when a round ends, and under load that is not often.
const JOURNAL_SLACK: u64 = 20_000;

/// What an inbox may hold: what is carried, and as much again that was carried once more because a reply was lost.
const COPIES: u64 = 2;

/// The bounds of streams.
struct StreamBounds {
    window: u64,
    journal: u64,
}

impl StreamBounds {
    fn of(&self, agent: Option<AgentName>) -> Option<u64> {
        let carried = self.window * COPIES;
        match agent? {
            AgentName::LoggingAudit => Some(self.journal.saturating_add(carried + JOURNAL_SLACK)),
            _ => Some(carried),
        }
    }
}

/// Tells how Redis stands by what is known already; it waits for nothing.
pub(super) fn reader(
    monitor: Monitor,
    streams: watch::Receiver<Option<Vec<StreamView>>>,
    config: &Config,
) -> RedisLook {
    let bounds = StreamBounds {
        window: config.redis.window as u64,
        journal: config.redis.inbox_keep,
    };
    Arc::new(move || {
        let standing = match monitor.state()? {
            LinkState::Connecting => RedisStanding::Unknown,
            LinkState::Up { epoch, .. } => RedisStanding::Carries { connections: epoch },
            LinkState::Down {
                why,
                since,
                answers,
                ..
            } => RedisStanding::Away {
                why,
                since,
                answers,
            },
            LinkState::Foreign { why } => RedisStanding::Foreign { why },
        };
        let facts = |view: &StreamView| StreamFacts {
            key: view.key.clone(),
            agent: view.agent,
            entries: view.entries,
            entries_max: bounds.of(view.agent),
            stuck: view.stuck,
            strangers: view.strangers.clone(),
            standing: view.standing,
        };
        let known = streams.borrow();
        Some(RedisFacts {
            needed: monitor.needs_redis(),
            standing,
            streams: known
                .as_ref()
                .map(|views| views.iter().map(facts).collect()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_may_hold_what_is_carried_the_journal_what_it_keeps_and_the_ingress_anything() {
        let bounds = StreamBounds {
            window: 256,
            journal: 10_000,
        };
        assert_eq!(bounds.of(Some(AgentName::Rag)), Some(512));
        let journal = bounds.of(Some(AgentName::LoggingAudit));
        assert_eq!(journal, Some(10_000 + 512 + JOURNAL_SLACK));
        assert_eq!(bounds.of(None), None);
    }
}
