//! What can be seen of the carriers from outside.

use super::redis::{Link, LinkState};
use super::switch::{Active, CarrierChoice, active};
use crate::event::AgentName;

/// What carries, and why. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Monitor {
    choice: CarrierChoice,
    agents: Vec<(AgentName, CarrierChoice)>,
    link: Option<Link>,
}

impl Monitor {
    /// What carries by `choice`, but for the agents that have one of their own.
    pub(crate) fn new(
        choice: CarrierChoice,
        agents: Vec<(AgentName, CarrierChoice)>,
        link: Option<Link>,
    ) -> Self {
        Monitor {
            choice,
            agents,
            link,
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
            (_, Some(LinkState::Connecting)) => "Redis is being looked for".to_owned(),
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

    /// Redis is wanted and cannot carry: for `redis` that is a degraded state.
    pub(crate) fn waits_for_redis(&self) -> Option<String> {
        let up = matches!(self.state(), Some(LinkState::Up { .. }));
        (self.needs_redis() && !up).then(|| self.why())
    }

    /// Copies that Redis has lost since the start.
    pub(crate) fn lost_by_redis(&self) -> u64 {
        self.link.as_ref().map_or(0, Link::lost)
    }
}
