//! What is told of an alert: the data of its event, and what its receiver is sent.

use serde_json::{Map, Value, json};

use super::{AlertOption, AlertReceiver};
use crate::event::{EventType, Millis, NewEvent, Subject};
use crate::health::alerts::{AlertTransition, Reading};
use crate::store::{AlertChange, AlertRow, Effect, Notification};

/// Who tells, and when.
pub(super) struct Sender<'a> {
    pub(super) source: &'a str,
    pub(super) instance: &'a str,
    pub(super) now: Millis,
}

/// What is told of a rule, in one transaction: its event, and a row for its receiver.
pub(super) fn told(
    alert: &AlertOption,
    told: AlertTransition,
    since: Millis,
    reading: &Reading,
    sender: &Sender<'_>,
) -> (NewEvent, Option<Effect>) {
    let rule = &alert.rule;
    let kind = match told {
        AlertTransition::Raised => EventType::AlertRaised,
        AlertTransition::Cleared => EventType::AlertCleared,
    };
    let data = json!({
        "rule": rule.name, "when": rule.when, "severity": rule.severity.as_str(), "value": reading.value,
        "limit": reading.limit, "since": since.to_string(), "what": reading.what,
    });
    let event = NewEvent::root(kind, sender.source, subject(&rule.name), data.clone());
    let queued = (alert.receiver != AlertReceiver::Nobody).then(|| {
        let mut data = data;
        data["instance"] = json!(sender.instance);
        let body =
            json!({"type": kind.as_str(), "timestamp": sender.now.to_string(), "data": data});
        Effect::Alert(AlertChange::Queued(Notification {
            id: event.id.to_string(),
            rule: rule.name.clone(),
            body: body.to_string(),
            created_at: sender.now.0,
            attempts: 0,
            due_at: sender.now.0,
            error: None,
        }))
    });
    (event, queued)
}

/// The end of an alert whose rule is gone.
pub(super) fn ended(row: &AlertRow, source: &str) -> NewEvent {
    let stored = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text));
    let data = json!({
        "rule": row.rule, "severity": row.severity.as_str(), "value": stored(&row.value), "limit": stored(&row.limit),
        "since": Millis(row.since).to_string(), "reason": "the rule is no longer in the config",
    });
    NewEvent::root(EventType::AlertCleared, source, subject(&row.rule), data)
}

fn subject(rule: &str) -> Subject {
    // A rule's name is short (the config checks it).
    Subject::collection(rule)
}

/// The environment of a command: what a webhook is sent, each value in a variable of its own.
pub(super) fn environment(notification: &Notification) -> Vec<(String, String)> {
    let body: Value = serde_json::from_str(&notification.body).unwrap_or_default();
    let empty = Map::new();
    let data = body["data"].as_object().unwrap_or(&empty);
    let mut variables = vec![
        ("DOCENT_ALERT_ID".to_owned(), notification.id.clone()),
        ("DOCENT_ALERT_TYPE".to_owned(), plain(&body["type"])),
        (
            "DOCENT_ALERT_TIMESTAMP".to_owned(),
            plain(&body["timestamp"]),
        ),
    ];
    variables.extend(data.iter().map(|(name, value)| {
        let name = format!("DOCENT_ALERT_{}", name.to_uppercase());
        (name, plain(value))
    }));
    variables
}

/// A value as a variable has it. No variable can hold a NUL.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.replace('\0', "")
}
