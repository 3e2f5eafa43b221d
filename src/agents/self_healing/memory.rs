//! What only time tells of agents, index and Redis.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::redis::RedisMemory;
use crate::event::AgentName;
use crate::runtime::{AgentState, AgentStatus};

/// What only time tells: since when something is so.
#[derive(Debug, Default)]
pub(super) struct ProbeMemory {
    agents: HashMap<AgentName, AgentMemory>,
    unready_since: Option<Instant>,
    waiting: Option<(u64, Instant)>,
    pub(super) redis: RedisMemory,
}

#[derive(Debug)]
struct AgentMemory {
    restarts: u64,
    running_since: Option<Instant>,
    restarted: VecDeque<Instant>,
}

/// Restarts of one agent that are remembered.
const RESTARTS_KEPT: usize = 32;

impl ProbeMemory {
    /// For how long the agent has been steady, and how often it was restarted within `window`.
    pub(super) fn agent(
        &mut self,
        status: &AgentStatus,
        at: Instant,
        window: Duration,
    ) -> (Duration, usize) {
        let memory = self
            .agents
            .entry(status.name)
            .or_insert_with(|| AgentMemory {
                restarts: status.restarts,
                running_since: None,
                restarted: VecDeque::new(),
            });
        let more = status.restarts.saturating_sub(memory.restarts);
        memory.restarts = status.restarts;
        for _ in 0..more.min(RESTARTS_KEPT as u64) {
            memory.restarted.push_back(at);
        }
        while memory.restarted.len() > RESTARTS_KEPT
            || memory
                .restarted
                .front()
                .is_some_and(|t| at.duration_since(*t) > window)
        {
            memory.restarted.pop_front();
        }
        memory.running_since = match memory.running_since {
            _ if status.state != AgentState::Running => None,
            Some(since) if more == 0 => Some(since),
            _ => Some(at),
        };
        let steady = memory
            .running_since
            .map_or(Duration::ZERO, |s| at.duration_since(s));
        (steady, memory.restarted.len())
    }

    /// For how long the index has not been ready.
    pub(super) fn unready(&mut self, ready: bool, at: Instant) -> Duration {
        if ready {
            self.unready_since = None;
            return Duration::ZERO;
        }
        at.duration_since(*self.unready_since.get_or_insert(at))
    }

    /// For how long one change that the store has, `head` when it was first seen, has been missing in an index that
    /// stands at `position`. While it has `stopped` it follows nothing, which is an issue of its own.
    pub(super) fn behind(
        &mut self,
        position: u64,
        stopped: bool,
        head: u64,
        at: Instant,
    ) -> Duration {
        self.waiting = match self.waiting {
            _ if stopped => None,
            Some((change, since)) if position < change => Some((change, since)),
            _ if position < head => Some((head, at)),
            _ => None,
        };
        self.waiting
            .map_or(Duration::ZERO, |(_, since)| at.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Board;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_agent_is_steady_since_it_last_began_to_run() {
        let board = Board::new(&[AgentName::Rag]);
        let mut memory = ProbeMemory::default();
        let start = Instant::now();
        let mut look = |state, restarts, seconds| {
            board.update(AgentName::Rag, |a| {
                (a.state, a.restarts) = (state, restarts)
            });
            let at = start + Duration::from_secs(seconds);
            let (steady, lately) = memory.agent(&board.agent(AgentName::Rag), at, MINUTE);
            (steady.as_secs(), lately)
        };
        assert_eq!(look(AgentState::Starting, 7, 0), (0, 0));
        assert_eq!(look(AgentState::Running, 7, 10), (0, 0));
        assert_eq!(look(AgentState::Running, 7, 30), (20, 0));
        // Restarted between two looks: both times it was running.
        assert_eq!(look(AgentState::Running, 9, 40), (0, 2));
        assert_eq!(look(AgentState::Restarting, 10, 50), (0, 3));
        assert_eq!(look(AgentState::Running, 10, 101), (0, 1));
        assert_eq!(look(AgentState::Running, 10, 161), (60, 0));
    }

    #[test]
    fn an_index_is_behind_by_the_age_of_the_change_that_it_lacks() {
        let mut memory = ProbeMemory::default();
        let start = Instant::now();
        let mut look = |position, head, seconds| {
            memory
                .behind(position, false, head, start + Duration::from_secs(seconds))
                .as_secs()
        };
        assert_eq!(look(5, 5, 0), 0);
        assert_eq!(look(5, 8, 10), 0);
        assert_eq!(look(7, 20, 40), 30);
        // It has caught up with what was waited for; the newer changes begin to count now.
        assert_eq!(look(8, 30, 50), 0);
        assert_eq!(look(8, 30, 70), 20);
        assert_eq!(look(30, 30, 80), 0);
    }

    #[test]
    fn an_index_that_had_stopped_is_behind_only_since_it_follows_again() {
        let mut memory = ProbeMemory::default();
        let start = Instant::now();
        let mut look = |stopped, seconds| {
            memory
                .behind(5, stopped, 8, start + Duration::from_secs(seconds))
                .as_secs()
        };
        assert_eq!(look(false, 0), 0);
        assert_eq!(look(false, 10), 10);
        assert_eq!(look(true, 90), 0);
        assert_eq!(look(false, 100), 0);
        assert_eq!(look(false, 130), 30);
    }

    #[test]
    fn an_index_is_unready_since_it_was_first_seen_so() {
        let mut memory = ProbeMemory::default();
        let start = Instant::now();
        assert_eq!(memory.unready(false, start), Duration::ZERO);
        assert_eq!(memory.unready(false, start + MINUTE), MINUTE);
        assert_eq!(memory.unready(true, start + MINUTE), Duration::ZERO);
        assert_eq!(memory.unready(false, start + 2 * MINUTE), Duration::ZERO);
    }
}
