//! Faults of the agents: parked, restarted too often, without what they work with, late.

use super::Finding;
use crate::agents::self_healing::Limits;
use crate::agents::self_healing::facts::{AgentFacts, Facts};
use crate::agents::self_healing::remedy::Remedy;
use crate::event::{AgentName, Subject};
use crate::runtime::AgentState;
use crate::store::Severity;

fn subject(facts: &Facts, agent: &AgentFacts) -> Subject {
    Subject::agent(agent.status.name, &facts.instance)
}

/// An agent that failed too often. It counts as parked until it has been running steadily again.
pub(super) fn parked(facts: &Facts, limits: &Limits) -> Option<Vec<Finding>> {
    let found = facts.agents.iter().filter_map(|agent| {
        let finding = Finding {
            detector: "agent_parked",
            subject: subject(facts, agent),
            severity: Severity::Error,
            value: format!(
                "{}: {}",
                agent.status.state.as_str(),
                agent.status.reason.as_deref().unwrap_or("no reason known")
            ),
            limit: format!("the agent has run for {} s", limits.steady.as_secs()),
            // Nobody restarts himself: this very probe would end with it.
            remedy: (agent.status.name != AgentName::SelfHealing)
                .then_some(Remedy::RestartAgent(agent.status.name)),
        };
        let standing = facts.open.contains(&finding.key()) && agent.steady < limits.steady;
        (agent.status.state == AgentState::Parked || standing).then_some(finding)
    });
    Some(found.collect())
}

/// An agent that is restarted again and again.
pub(super) fn restarts(facts: &Facts, limits: &Limits) -> Option<Vec<Finding>> {
    let often = facts
        .agents
        .iter()
        .filter(|agent| agent.restarts >= limits.restarts.max(1));
    let found = often.map(|agent| Finding {
        detector: "agent_restarts",
        subject: subject(facts, agent),
        severity: Severity::Warning,
        value: format!(
            "{} restarts in {} s, the last one: {}",
            agent.restarts,
            limits.restarts_window.as_secs(),
            agent.status.reason.as_deref().unwrap_or("no reason known")
        ),
        limit: format!("fewer than {} restarts", limits.restarts.max(1)),
        remedy: None,
    });
    Some(found.collect())
}

/// An agent whose handlers miss what they work with.
pub(super) fn unavailable(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let found = facts.agents.iter().filter_map(|agent| {
        let (cause, since) = agent.status.unavailable.as_ref()?;
        Some(Finding {
            detector: "agent_unavailable",
            subject: subject(facts, agent),
            severity: Severity::Error,
            value: format!("unavailable since {since}: {cause}"),
            limit: "what the agent works with is there".to_owned(),
            remedy: None,
        })
    });
    Some(found.collect())
}

/// An agent that owes an event for too long.
pub(super) fn oldest_owed(facts: &Facts, limits: &Limits) -> Option<Vec<Finding>> {
    let mut found = Vec::new();
    for agent in &facts.agents {
        let Some(published) = agent.oldest_owed? else {
            continue;
        };
        if facts.age(published) > limits.oldest_owed {
            found.push(Finding {
                detector: "oldest_owed",
                subject: subject(facts, agent),
                severity: Severity::Warning,
                value: format!("an event has been waiting since {published}"),
                limit: format!(
                    "every event is handled within {} s",
                    limits.oldest_owed.as_secs()
                ),
                remedy: None,
            });
        }
    }
    Some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::agents::self_healing::detectors::{key, redis};
    use crate::agents::self_healing::facts::{Drifted, EdgeFacts, IndexFacts};
    use crate::event::Millis;
    use crate::runtime::Board;
    use crate::store::{HeldLog, ScanRow};

    const LONG: Duration = Duration::from_secs(24 * 3600);

    fn agent(name: AgentName) -> AgentFacts {
        let board = Board::new(&[name]);
        board.update(name, |a| a.state = AgentState::Running);
        AgentFacts {
            status: board.agent(name),
            steady: LONG,
            restarts: 0,
            oldest_owed: Some(None),
        }
    }

    fn scan(collection: &str, ended_at: Millis) -> ScanRow {
        ScanRow {
            collection: collection.to_owned(),
            began_at: ended_at,
            ended_at,
            files: 1,
        }
    }

    pub(in crate::agents::self_healing) fn all_well() -> Facts {
        let now = Millis(1_700_000_000_000);
        Facts {
            instance: "here".to_owned(),
            now,
            agents: vec![agent(AgentName::Rag)],
            free: Some(u64::MAX),
            integrity: Some(None),
            index: Some(IndexFacts {
                chunks: Some((3, 3)),
                ..IndexFacts::default()
            }),
            edge: Some(EdgeFacts {
                collections: vec!["docs".to_owned()],
                scans: Some(vec![scan("docs", now)]),
                ..EdgeFacts::default()
            }),
            drift: Some(BTreeMap::new()),
            ingress_dead: Some(0),
            redis: Some(redis::tests::carries()),
            ..Facts::default()
        }
    }

    pub(in crate::agents::self_healing) fn nothing_known() -> Facts {
        let mut facts = all_well();
        facts.agents[0].oldest_owed = None;
        facts.index = Some(IndexFacts::default());
        facts.edge = Some(EdgeFacts::default());
        Facts {
            free: None,
            integrity: None,
            drift: None,
            ingress_dead: None,
            redis: Some(redis::tests::not_known()),
            ..facts
        }
    }

    pub(in crate::agents::self_healing) fn everything_wrong() -> Facts {
        let mut facts = all_well();
        let rag = &mut facts.agents[0];
        rag.status.state = AgentState::Parked;
        rag.status.unavailable = Some(("no model".to_owned(), facts.now));
        (rag.steady, rag.restarts) = (Duration::ZERO, 20);
        rag.oldest_owed = Some(Some(facts.now.minus(LONG)));
        facts.dead = vec![(AgentName::Rag, 2)];
        facts.free = Some(0);
        facts.integrity = Some(Some("page 7 is torn".to_owned()));
        facts.held_log = Some(HeldLog {
            bytes: 1 << 30,
            since: facts.now,
        });
        facts.index = Some(IndexFacts {
            stopped: Some("disk full".to_owned()),
            unready: LONG,
            behind: LONG,
            chunks: Some((3, 4)),
        });
        facts.edge = Some(EdgeFacts {
            collections: vec!["docs".to_owned(), "code".to_owned()],
            absent: vec![("docs".to_owned(), "no such folder".to_owned())],
            removals_held: vec![("wiki".to_owned(), "another device".to_owned())],
            unlisted: vec![("docs".to_owned(), "/docs/locked".to_owned())],
            shut: vec![("docs".to_owned(), "/docs/.gitignore: too large".to_owned())],
            held: Some("the disk is full".to_owned()),
            scanning: None,
            scans: Some(vec![scan("code", facts.now.minus(LONG))]),
        });
        let drifted = Drifted {
            files: vec![Subject::collection("docs/a.md")],
            how: "has no document",
        };
        facts.drift = Some(BTreeMap::from([("docs".to_owned(), drifted)]));
        facts.agents.push(agent(AgentName::Scheduler));
        facts.redis = Some(redis::tests::everything_wrong());
        facts
    }

    #[test]
    fn a_parked_agent_is_found_until_it_has_been_steady() {
        let limits = Limits::default();
        let mut facts = all_well();
        let open = key("agent_parked", &Subject::agent(AgentName::Rag, "here"));
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
        assert_eq!(found[0].remedy, Some(Remedy::RestartAgent(AgentName::Rag)));
        assert_eq!(found[1].remedy, None);
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
