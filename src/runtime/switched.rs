//! Agents that the config has turned on or off since the last start: told, and what they missed is asked for.
//!
//! An agent that is off gets no deliveries. One that is on again brings up to date what is its own from the state of the
//! store: `document_management` the documents of what was captured meanwhile, `rag` the chunks of what was stored;
//! `change_detection` scans at every start.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::agent::DutyError;
use crate::event::{AgentName, EventType, Millis, NewEvent, Subject};
use crate::store::{Effect, Store};

/// The name under which the store remembers which agents were on.
const REMEMBERED: &str = "agents";

const SOURCE: &str = "supervisor";

/// Tells each agent that was turned on or off since the last start, as one transaction with what those that are on again
/// are to look at. Gives whether there is anything to be brought up to date.
///
/// # Errors
/// The store cannot be read or written; the next start tells it then.
pub(crate) async fn tell_switched(
    store: &Store,
    on: &[AgentName],
    instance: &str,
    collections: &[String],
) -> Result<bool, DutyError> {
    let before = store.remembered(REMEMBERED).await?;
    let before: Standings = before
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let (now, switched) = compare(&before, on, Millis::now());
    if now == before {
        return Ok(false);
    }
    let mut events: Vec<NewEvent> = switched
        .iter()
        .map(|agent| told(*agent, on.contains(agent), &before, instance))
        .collect();
    let back = |agent| switched.contains(&agent) && on.contains(&agent);
    if back(AgentName::DocumentManagement) {
        let mut names = store.known_collections().await?;
        names.extend(collections.iter().cloned());
        names.sort_unstable();
        names.dedup();
        events.extend(names.iter().map(|name| {
            let data = json!({"reason": "document_management is on again", "only": "differing"});
            let subject = Subject::collection(name);
            NewEvent::root(EventType::DocumentCheckRequested, SOURCE, subject, data)
        }));
    }
    if back(AgentName::Rag) {
        let data = json!({"reason": "rag is on again"});
        let subject = Subject::index(instance);
        events.push(NewEvent::root(
            EventType::IndexVerifyRequested,
            SOURCE,
            subject,
            data,
        ));
    }
    let behind = back(AgentName::DocumentManagement) || back(AgentName::Rag);
    let remember = Effect::Remember {
        name: REMEMBERED.to_owned(),
        value: json!(now).to_string(),
    };
    store
        .submit(vec![remember], events)
        .await?
        .committed()
        .await?;
    for agent in switched {
        tracing::info!(%agent, on = on.contains(&agent), "the config has turned an agent on or off");
    }
    Ok(behind)
}

/// By agent: whether it is on, and since when.
type Standings = BTreeMap<String, (bool, String)>;

/// How the agents stand now, and which of those that were known before stand otherwise.
fn compare(before: &Standings, on: &[AgentName], now: Millis) -> (Standings, Vec<AgentName>) {
    let mut standings = before.clone();
    let mut switched = Vec::new();
    for agent in AgentName::ALL {
        let is_on = on.contains(agent);
        match before.get(agent.as_str()) {
            Some((was_on, _)) if *was_on == is_on => continue,
            Some(_) => switched.push(*agent),
            None => {}
        }
        standings.insert(agent.as_str().to_owned(), (is_on, now.to_string()));
    }
    (standings, switched)
}

fn told(agent: AgentName, on: bool, before: &Standings, instance: &str) -> NewEvent {
    let since = before.get(agent.as_str()).map(|(_, since)| since.clone());
    let mut data = json!({"on": on});
    // The gap: nothing that came meanwhile was handed to it.
    data[if on { "off_since" } else { "on_since" }] = since.map_or(Value::Null, Value::from);
    let subject = Subject::agent(agent, instance);
    NewEvent::root(EventType::AgentSwitched, SOURCE, subject, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_agent_that_was_known_before_can_be_switched() {
        let (first, switched) = compare(&Standings::new(), &[AgentName::Rag], Millis(0));
        assert_eq!(switched, []);
        assert_eq!(first.len(), AgentName::ALL.len());
        let (same, switched) = compare(&first, &[AgentName::Rag], Millis(5));
        assert_eq!((&same, switched.len()), (&first, 0));
        let (now, switched) = compare(&first, &[AgentName::Scheduler], Millis(5));
        assert_eq!(switched, [AgentName::Rag, AgentName::Scheduler]);
        assert_eq!(now["rag"], (false, Millis(5).to_string()));
        let event = told(AgentName::Scheduler, true, &first, "here");
        assert_eq!(
            event.data,
            json!({"on": true, "off_since": Millis(0).to_string()})
        );
        assert_eq!(event.subject.as_str(), "agent/scheduler@here");
    }
}
