//! What only time tells of Redis. Whoever carries events tells how it stands; nothing here talks to it or waits for it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::health::{RedisFacts, RedisStanding, RedisView};

/// New connections that are remembered.
const CONNECTIONS_KEPT: usize = 32;

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
    use crate::event::Millis;

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
