//! How the rules of alerts stand, from their rows in the store.

use serde_json::Value;

use super::wire::{AlertsView, FailingReceiver, RaisedAlert};
use crate::event::Millis;
use crate::store::{AlertRow, AlertStage, Notification, ReadError, Store, Undelivered};

/// Rules that are told of, at most.
const TOLD_MAX: usize = 100;

pub(super) async fn alerts(store: &Store) -> Result<AlertsView, ReadError> {
    let rows = store.alerts().await?;
    let waiting = store.notifications().await?;
    let given_up = store.undelivered().await?;
    let raised = rows
        .into_iter()
        .filter(|row| row.stage == AlertStage::Raised);
    Ok(AlertsView {
        raised: raised.take(TOLD_MAX).map(raised_alert).collect(),
        failing: failing(waiting, given_up),
    })
}

fn raised_alert(row: AlertRow) -> RaisedAlert {
    let value = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    RaisedAlert {
        severity: row.severity.into(),
        since: Millis(row.since).to_string(),
        value: value(&row.value),
        limit: value(&row.limit),
        rule: row.rule,
    }
}

/// The rules whose next message failed already, and those of which one was given up.
fn failing(waiting: Vec<Notification>, given_up: Vec<Undelivered>) -> Vec<FailingReceiver> {
    let tried = waiting.into_iter().filter(|one| one.attempts > 0);
    let mut failing: Vec<FailingReceiver> = tried
        .map(|one| FailingReceiver {
            rule: one.rule,
            attempts: Some(one.attempts),
            error: one.error.unwrap_or_default(),
        })
        .collect();
    for one in given_up {
        if failing.iter().all(|known| known.rule != one.rule) {
            failing.push(FailingReceiver {
                rule: one.rule,
                attempts: None,
                error: one.error,
            });
        }
    }
    failing.sort_by(|a, b| a.rule.cmp(&b.rule));
    failing.truncate(TOLD_MAX);
    failing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(rule: &str, attempts: u32) -> Notification {
        Notification {
            id: rule.to_owned(),
            rule: rule.to_owned(),
            body: "{}".to_owned(),
            created_at: 0,
            attempts,
            due_at: 0,
            error: (attempts > 0).then(|| "refused".to_owned()),
        }
    }

    fn given_up(rule: &str) -> Undelivered {
        Undelivered {
            rule: rule.to_owned(),
            count: 2,
            since: Millis(0),
            error: "exit code 1".to_owned(),
        }
    }

    #[test]
    fn a_receiver_fails_that_did_not_take_a_message_and_each_rule_is_told_once() {
        let waits = vec![waiting("b", 2), waiting("fine", 0)];
        let told = failing(waits, vec![given_up("a"), given_up("b")]);
        let told: Vec<_> = told
            .iter()
            .map(|one| (one.rule.as_str(), one.attempts, one.error.as_str()))
            .collect();
        assert_eq!(
            told,
            [("a", None, "exit code 1"), ("b", Some(2), "refused")]
        );
    }

    #[test]
    fn what_is_told_is_bounded() {
        let many = (0..TOLD_MAX * 2).map(|n| given_up(&format!("{n}")));
        assert_eq!(failing(Vec::new(), many.collect()).len(), TOLD_MAX);
    }
}
