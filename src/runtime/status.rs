//! What can be seen of the running process: its phase, and each agent's state. Written by who knows, read by who asks.

use std::sync::Arc;

use tokio::sync::watch;

use super::figures::RunFigures;
use super::watched::{Still, WatchList, Watched};
use crate::event::{AgentName, Millis};
use crate::word::words;

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not every agent has reported started yet.
    Starting,
    Running,
    /// Told to stop; finishing what is pending.
    Draining,
}

/// How an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// Turned off in the config.
    Off,
    /// About to start for the first time.
    Starting,
    Running,
    /// It ended; the next run begins after a backoff.
    Restarting,
    /// It failed too often: no longer started.
    Parked,
    /// Told to stop, and ended.
    Stopped,
}

words! { AgentState:
    Off = "off",
    Starting = "starting",
    Running = "running",
    Restarting = "restarting",
    Parked = "parked",
    Stopped = "stopped",
}

/// What is known of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentStatus {
    pub name: AgentName,
    pub state: AgentState,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it ended last.
    pub reason: Option<String>,
    /// Running and submitted deliveries.
    pub in_flight: usize,
    /// Deliveries that wait in its table.
    pub queued: usize,
    /// Why and since when it starts nothing new: what its handlers work with is not there.
    pub unavailable: Option<(String, Millis)>,
}

/// The board: one place that everybody reads.
#[derive(Debug, Clone)]
pub struct Board {
    phase: Arc<watch::Sender<Phase>>,
    agents: Arc<watch::Sender<Vec<AgentStatus>>>,
    watched: WatchList,
    figures: Arc<RunFigures>,
}

impl Board {
    /// A board on which the agents of `on` are starting and the others off.
    pub fn new(on: &[AgentName]) -> Self {
        let agents = AgentName::ALL
            .iter()
            .map(|name| AgentStatus {
                name: *name,
                state: if on.contains(name) {
                    AgentState::Starting
                } else {
                    AgentState::Off
                },
                restarts: 0,
                reason: None,
                in_flight: 0,
                queued: 0,
                unavailable: None,
            })
            .collect();
        Board {
            phase: Arc::new(watch::Sender::new(Phase::Starting)),
            agents: Arc::new(watch::Sender::new(agents)),
            watched: WatchList::default(),
            figures: Arc::default(),
        }
    }

    /// What the runners count and measure.
    pub(crate) fn figures(&self) -> &RunFigures {
        &self.figures
    }

    /// The phase, to read or to watch.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The agents, to read or to watch.
    pub fn agents(&self) -> watch::Receiver<Vec<AgentStatus>> {
        self.agents.subscribe()
    }

    pub fn agent(&self, name: AgentName) -> AgentStatus {
        self.agents.borrow()[name.index()].clone()
    }

    /// Ready: neither starting nor draining, and no agent parked.
    pub fn ready(&self) -> bool {
        *self.phase.borrow() == Phase::Running
            && self
                .agents
                .borrow()
                .iter()
                .all(|a| a.state != AgentState::Parked)
    }

    /// From now on these tasks of `whose` (an agent, or the supervisor) must make progress, and no others of it.
    pub fn watch(&self, whose: &'static str, tasks: Vec<Watched>) {
        self.watched.set(whose, tasks);
    }

    /// What stands still for too long, if anything does. An agent that is off, parked or between two runs has nothing that
    /// must make progress.
    pub fn still(&self) -> Option<Still> {
        self.watched.still()
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Changes what is known of an agent.
    pub fn update(&self, name: AgentName, change: impl FnOnce(&mut AgentStatus)) {
        self.agents.send_if_modified(|agents| {
            let before = agents[name.index()].clone();
            change(&mut agents[name.index()]);
            agents[name.index()] != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_running_with_no_agent_parked() {
        let board = Board::new(AgentName::ALL);
        assert!(!board.ready());
        board.enter(Phase::Running);
        assert!(board.ready());
        board.update(AgentName::Rag, |a| a.state = AgentState::Parked);
        assert!(!board.ready());
        board.update(AgentName::Rag, |a| a.state = AgentState::Running);
        board.enter(Phase::Draining);
        assert!(!board.ready());
    }
}
