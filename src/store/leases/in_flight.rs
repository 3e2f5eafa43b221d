//! How many deliveries each agent of a host has in flight, as the row of the host says it.

use std::collections::BTreeMap;
use std::fmt;

use crate::event::AgentName;

/// The deliveries in flight of each agent that has begun to work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct InFlight(BTreeMap<AgentName, usize>);

impl InFlight {
    pub(super) fn set(&mut self, agent: AgentName, deliveries: usize) {
        self.0.insert(agent, deliveries);
    }

    /// Each agent with its deliveries, in the order of the data flow.
    pub(crate) fn agents(&self) -> impl Iterator<Item = (AgentName, usize)> {
        self.0
            .iter()
            .map(|(agent, deliveries)| (*agent, *deliveries))
    }

    /// As [`fmt::Display`] writes it. Agents that this docent does not have are left out.
    pub(super) fn parse(text: &str) -> Self {
        let agents = text.split(' ').filter_map(|agent| {
            let (agent, deliveries) = agent.split_once('=')?;
            Some((agent.parse().ok()?, deliveries.parse().ok()?))
        });
        InFlight(agents.collect())
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (agent, deliveries)) in self.agents().enumerate() {
            let space = if n > 0 { " " } else { "" };
            write!(f, "{space}{agent}={deliveries}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_known_is_left_out() {
        let mut in_flight = InFlight::default();
        assert_eq!(InFlight::parse(&in_flight.to_string()), in_flight);
        in_flight.set(AgentName::Rag, 3);
        in_flight.set(AgentName::LoggingAudit, 0);
        assert_eq!(InFlight::parse(&in_flight.to_string()), in_flight);
        in_flight.set(AgentName::LoggingAudit, 1);
        let text = "translation=9 rag=3 logging_audit=1 rag= =";
        assert_eq!(InFlight::parse(text), in_flight);
    }
}
