//! What can be seen of the carriers from outside.

use tokio::sync::watch;

use super::redis::{Link, LinkState, StreamView};
use super::switch::{Active, CarrierChoice, active};
use crate::event::AgentName;

/// What carries, and why. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Monitor {
    choice: CarrierChoice,
    agents: Vec<(AgentName, CarrierChoice)>,
    link: Option<Link>,
    streams: watch::Receiver<Option<Vec<StreamView>>>,
}

impl Monitor {
    /// What carries by `choice`, but for the agents that have one of their own.
    pub(crate) fn new(
        choice: CarrierChoice,
        agents: Vec<(AgentName, CarrierChoice)>,
        link: Option<Link>,
        streams: watch::Receiver<Option<Vec<StreamView>>>,
    ) -> Self {
        Monitor {
            choice,
            agents,
            link,
            streams,
        }
    }

    /// Whether Redis can carry; `None`: this config does not use it.
    pub(crate) fn state(&self) -> Option<LinkState> {
        self.link.as_ref().map(|link| link.state().borrow().clone())
    }

    pub(crate) fn active(&self) -> Active {
        active(self.choice, self.state().as_ref())
    }

    /// What carries one agent's events.
    pub(crate) fn active_of(&self, agent: AgentName) -> Active {
        let own = self.agents.iter().find(|(name, _)| *name == agent);
        let choice = own.map_or(self.choice, |(_, choice)| *choice);
        active(choice, self.state().as_ref())
    }

    /// Why that carries, for a person.
    pub(crate) fn why(&self) -> String {
        match (self.choice, self.state()) {
            (CarrierChoice::Embedded, _) | (_, None) => "the config says embedded".to_owned(),
            (_, Some(LinkState::Connecting)) => "docent is connecting to Redis".to_owned(),
            (_, Some(LinkState::Up { facts, .. })) => format!(
                "Redis {} answers, durability {}: {}",
                facts.version,
                facts.durability.as_str(),
                facts.durability.told()
            ),
            (_, Some(LinkState::Down { why, since, .. })) => format!("{why} (since {since})"),
            (_, Some(LinkState::Foreign { why })) => why,
        }
    }

    /// Somebody is carried by Redis alone.
    pub(crate) fn needs_redis(&self) -> bool {
        self.choice == CarrierChoice::Redis
            || self.agents.iter().any(|(_, c)| *c == CarrierChoice::Redis)
    }

    /// Redis can carry.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state(), Some(LinkState::Up { .. }))
    }

    /// Redis is wanted and cannot carry: for `redis` that is a degraded state.
    pub(crate) fn waits_for_redis(&self) -> Option<String> {
        (self.needs_redis() && !self.is_up()).then(|| self.why())
    }

    /// Copies that Redis has lost since the start.
    pub(crate) fn lost_by_redis(&self) -> u64 {
        self.link.as_ref().map_or(0, Link::lost)
    }

    /// Connections to Redis after the first one; `None`: this config does not use it.
    pub(crate) fn reconnects(&self) -> Option<u64> {
        self.link.as_ref().map(Link::reconnects)
    }

    /// How the streams stood when they were looked at last; none while Redis cannot carry.
    pub(crate) fn streams(&self) -> Vec<StreamView> {
        match self.state() {
            Some(LinkState::Up { .. }) => self.streams.borrow().clone().unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}
