//! Dead letters in groups: those of the same agent, type and error together.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::wire::{self, Dead, DeadGroup, DeadOverview};
use super::super::{State, count, dead, ingress};
use crate::event::AgentName;
use crate::hex;
use crate::store::ReadError;

/// Dead letters that are read, the newest, and as many entries of other programs.
const LOOKED_AT: usize = 1000;

/// Groups that are told.
const GROUPS: usize = 20;

/// Characters of an error.
const ERROR_MAX: usize = 500;

/// The dead letters of all agents and those of the ingress.
pub(super) async fn dead_letters(state: &State) -> Result<DeadOverview, ReadError> {
    let of_agents = AgentName::ALL.iter();
    let of_agents: u64 = of_agents.map(|a| count(state.store.counts(*a).dead)).sum();
    let total = of_agents + state.store.ingress_dead_count().await?;
    let newest = match total {
        0 => Vec::new(),
        _ => newest(state).await?,
    };
    Ok(grouped(total, newest))
}

/// The newest dead letters, those of agents and those of the ingress.
async fn newest(state: &State) -> Result<Vec<Dead>, ReadError> {
    let letters = state.store.newest_dead(LOOKED_AT).await?;
    let rows = state.store.newest_ingress_dead(LOOKED_AT).await?;
    let of_agents = letters.into_iter().map(dead::dead);
    let mut newest: Vec<Dead> = of_agents
        .chain(rows.into_iter().map(ingress::dead))
        .collect();
    newest.sort_by(|a, b| b.at.cmp(&a.at));
    newest.truncate(LOOKED_AT);
    Ok(newest)
}

/// What the dead letters of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::http) struct GroupKey {
    agent: String,
    kind: String,
    error: String,
}

impl GroupKey {
    fn of(letter: &Dead) -> Self {
        GroupKey {
            agent: letter.agent.clone(),
            kind: letter.kind.clone(),
            error: last_error(&letter.errors).unwrap_or_default(),
        }
    }

    pub(in crate::http) fn of_group(group: &DeadGroup) -> Self {
        GroupKey {
            agent: group.agent.clone(),
            kind: group.kind.clone(),
            error: group.error.clone(),
        }
    }

    /// A short name that no other group is likely to have.
    pub(in crate::http) fn id(&self) -> String {
        let text = [&*self.agent, &*self.kind, &*self.error].join("\0");
        hex::encode(&Sha256::digest(text.as_bytes())[..8])
    }
}

/// The dead letters of the group with this id, of the newest of all.
pub(in crate::http) async fn of_group(state: &State, id: &str) -> Result<Vec<Dead>, ReadError> {
    let mut letters = newest(state).await?;
    letters.retain(|letter| GroupKey::of(letter).id() == id);
    Ok(letters)
}

/// Groups of `newest`, which has the newest first.
fn grouped(total: u64, newest: Vec<Dead>) -> DeadOverview {
    let looked_at = newest.len() as u64;
    let mut groups: Vec<DeadGroup> = Vec::new();
    let mut places = BTreeMap::new();
    for letter in newest {
        let key = GroupKey::of(&letter);
        let error = key.error.clone();
        match places.entry(key) {
            Entry::Occupied(place) => {
                let place: usize = *place.get();
                groups[place].count += 1;
            }
            Entry::Vacant(place) => {
                place.insert(groups.len());
                groups.push(DeadGroup {
                    agent: letter.agent,
                    kind: letter.kind,
                    error,
                    count: 1,
                    event: letter.event,
                    subject: letter.subject,
                    at: letter.at,
                });
            }
        }
    }
    let more_groups = groups.len().saturating_sub(GROUPS) as u64;
    groups.truncate(GROUPS);
    DeadOverview {
        total,
        looked_at,
        groups,
        more_groups,
    }
}

/// The last of a chain of errors, cut off where it is long.
pub(super) fn last_error(errors: &Value) -> Option<String> {
    Some(wire::last_error(errors)?.chars().take(ERROR_MAX).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter(n: usize, agent: &str, error: &str) -> Dead {
        Dead {
            event: format!("event {n}"),
            agent: agent.to_owned(),
            kind: "file.changed".to_owned(),
            subject: format!("docs/{n}.md"),
            attempts: 2,
            errors: json!([{"error": "first"}, {"error": error}]),
            at: format!("2026-01-01T00:00:{:02}Z", 59 - n),
        }
    }

    #[test]
    fn the_same_agent_type_and_last_error_are_one_group_that_names_its_newest() {
        let of = ["disk full", "bad", "disk full"];
        let letters = of.iter().enumerate();
        let mut letters: Vec<Dead> = letters.map(|(n, error)| letter(n, "rag", error)).collect();
        letters.push(letter(3, "ingress", "bad"));
        let overview = grouped(7, letters);
        let groups = overview.groups.iter();
        let told: Vec<_> = groups
            .map(|g| {
                (
                    g.agent.as_str(),
                    g.error.as_str(),
                    g.count,
                    g.event.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("rag", "disk full", 2, "event 0"),
                ("rag", "bad", 1, "event 1"),
                ("ingress", "bad", 1, "event 3"),
            ]
        );
        assert_eq!((overview.total, overview.looked_at), (7, 4));
    }

    #[test]
    fn groups_and_errors_are_bounded() {
        let long = "é".repeat(ERROR_MAX * 2);
        let letters = (0..30).map(|n| letter(n, "rag", &format!("{n} {long}")));
        let overview = grouped(30, letters.collect());
        assert_eq!(overview.groups.len(), GROUPS);
        assert_eq!(overview.more_groups, 10);
        assert_eq!(overview.groups[0].error.chars().count(), ERROR_MAX);
    }
}
