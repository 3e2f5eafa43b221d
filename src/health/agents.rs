//! Issues of the agents: parked, restarted too often, without what they work with, late.

use super::{AgentFacts, Detected, Detector, Facts, Fix, Limits};
use crate::event::{AgentName, Subject};
use crate::runtime::{AgentState, AgentStatus};

fn subject(facts: &Facts, agent: &AgentFacts) -> Subject {
    Subject::agent(agent.status.name, &facts.instance)
}

/// How an agent stands that failed too often.
fn standing(agent: &AgentStatus) -> String {
    let why = agent.reason.as_deref().unwrap_or("it failed too often");
    format!("{}: {why}", agent.state.as_str())
}

/// That an agent failed too often; `None`: it did not.
pub(crate) fn parked_text(agent: &AgentStatus) -> Option<String> {
    let parked = agent.state == AgentState::Parked;
    parked.then(|| format!("the agent {} is {}", agent.name, standing(agent)))
}

/// An agent that failed too often. It counts as parked until it has been running steadily again.
pub(super) fn parked(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let found = facts.agents.iter().filter_map(|agent| {
        let name = agent.status.name;
        let mut found = Detected::new(
            Detector::AgentParked,
            subject(facts, agent),
            standing(&agent.status),
            format!("the agent has run for {} s", limits.steady.as_secs()),
        );
        // Nobody restarts himself: this very probe would end with it.
        if name != AgentName::SelfHealing {
            found = found.fixed_by(Fix::RestartAgent(name));
        }
        let Some(what) = parked_text(&agent.status) else {
            let standing = facts.open.contains(&found.key()) && agent.steady < limits.steady;
            return standing.then_some(found);
        };
        let remedy = format!("fix the cause that the log names, then run `docent agent restart {name}`; self_healing tries that too");
        Some(found.told(what, remedy))
    });
    Some(found.collect())
}

/// An agent that is restarted again and again.
pub(super) fn restarts(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let most = limits.restarts.max(1);
    let often = facts.agents.iter().filter(|agent| agent.restarts >= most);
    let found = often.map(|agent| {
        let value = format!(
            "{} restarts in {} s, the last one: {}",
            agent.restarts,
            limits.restarts_window.as_secs(),
            agent.status.reason.as_deref().unwrap_or("no reason known")
        );
        let limit = format!("fewer than {most} restarts");
        Detected::new(Detector::AgentRestarts, subject(facts, agent), value, limit)
    });
    Some(found.collect())
}

/// An agent whose handlers miss what they work with.
pub(super) fn unavailable(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let found = facts.agents.iter().filter_map(|agent| {
        let (cause, since) = agent.status.unavailable.as_ref()?;
        let found = Detected::new(
            Detector::AgentUnavailable,
            subject(facts, agent),
            format!("waiting since {since}: {cause}"),
            "everything that the agent needs is available",
        );
        let what = format!("the agent {} has been {}", agent.status.name, found.value);
        Some(found.told(what, "it continues by itself when the cause is gone"))
    });
    Some(found.collect())
}

/// An agent that owes an event for too long.
pub(super) fn oldest_owed(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let mut found = Vec::new();
    for agent in &facts.agents {
        let Some(published) = agent.oldest_owed? else {
            continue;
        };
        if facts.age(published) > limits.oldest_owed {
            let longest = limits.oldest_owed.as_secs();
            found.push(Detected::new(
                Detector::OldestOwed,
                subject(facts, agent),
                format!("an event has been waiting since {published}"),
                format!("every event is handled within {longest} s"),
            ));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::tests::{LONG, agent, all_well};

    #[test]
    fn a_parked_agent_is_found_until_it_has_been_steady() {
        let limits = Limits::default();
        let mut facts = all_well();
        let open = Detector::AgentParked.key(&Subject::agent(AgentName::Rag, "here"));
        let cases = [
            (AgentState::Parked, Duration::ZERO, false, true),
            (AgentState::Restarting, Duration::ZERO, false, false),
            (AgentState::Restarting, Duration::ZERO, true, true),
            (AgentState::Running, limits.steady / 2, true, true),
            (AgentState::Running, limits.steady / 2, false, false),
            (AgentState::Running, limits.steady, true, false),
        ];
        for (state, steady, standing, expected) in cases {
            facts.agents[0].status.state = state;
            facts.agents[0].steady = steady;
            facts.open.clear();
            facts.open.extend(standing.then(|| open.clone()));
            let found = parked(&facts, &limits).unwrap();
            assert_eq!(
                !found.is_empty(),
                expected,
                "{state:?} {steady:?} {standing}"
            );
        }
    }

    #[test]
    fn a_parked_agent_is_restarted_unless_it_is_this_one() {
        let mut facts = all_well();
        facts.agents = vec![agent(AgentName::Rag), agent(AgentName::SelfHealing)];
        for agent in &mut facts.agents {
            agent.status.state = AgentState::Parked;
        }
        let found = parked(&facts, &Limits::default()).unwrap();
        assert_eq!(found[0].fix, Some(Fix::RestartAgent(AgentName::Rag)));
        assert_eq!(found[1].fix, None);
    }

    #[test]
    fn the_oldest_owed_is_found_beyond_its_limit_with_a_value_that_stands_still() {
        let limits = Limits::default();
        let mut facts = all_well();
        let published = facts.now.minus(limits.oldest_owed);
        facts.agents[0].oldest_owed = Some(Some(published));
        assert_eq!(oldest_owed(&facts, &limits), Some(Vec::new()));
        facts.now = facts.now.plus(Duration::from_millis(1));
        let first = oldest_owed(&facts, &limits).unwrap();
        facts.now = facts.now.plus(LONG);
        assert_eq!(oldest_owed(&facts, &limits).unwrap(), first);
        assert_eq!(first.len(), 1);
    }

    #[test]
    fn restarts_are_counted_against_their_limit() {
        let limits = Limits::default();
        let mut facts = all_well();
        facts.agents[0].restarts = limits.restarts - 1;
        assert_eq!(restarts(&facts, &limits), Some(Vec::new()));
        facts.agents[0].restarts = limits.restarts;
        assert_eq!(restarts(&facts, &limits).unwrap().len(), 1);
    }
}
