//! The alerts that are raised, and receivers that do not take what they are told.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Heard, Severity};
use crate::amounts::counted;
use crate::visible::one_line;

/// Rules that a sentence names; the rest are counted.
const NAMED: usize = 3;

/// Characters of an error in a sentence.
const ERROR_MAX: usize = 160;

/// How the rules of alerts stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AlertsView {
    /// Alerts that are raised, by rule; the first 100.
    pub raised: Vec<RaisedAlert>,
    /// Rules whose receiver does not take what it is told; the first 100.
    pub failing: Vec<FailingReceiver>,
}

/// An alert that is raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RaisedAlert {
    pub rule: String,
    #[schema(value_type = Severity)]
    pub severity: Heard<Severity>,
    /// Since when it is so.
    pub since: String,
    /// What was found when it was raised: seconds, bytes, a number, a share or a text.
    pub value: Value,
    /// What is right.
    pub limit: Value,
}

/// A receiver that did not take a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FailingReceiver {
    pub rule: String,
    /// Attempts at the message that is to be sent next; null: docent gave a message up, and none waits.
    pub attempts: Option<u32>,
    /// Why the last attempt failed.
    pub error: String,
}

impl AlertsView {
    /// What there is to tell, in a sentence; none where no alert is raised and every receiver takes what it is told.
    pub(crate) fn sentence(&self) -> Option<String> {
        let mut parts = Vec::new();
        if !self.raised.is_empty() {
            let names = self.raised.iter().map(|one| one.rule.as_str());
            let raised = counted(self.raised.len() as u64, "alert raised", "alerts raised");
            parts.push(format!("{raised}: {}", first_of(names)));
        }
        if let Some(first) = self.failing.first() {
            let names = self.failing.iter().map(|one| one.rule.as_str());
            let error = one_line(&first.error, ERROR_MAX);
            let names = first_of(names);
            parts.push(format!("messages of {names} are not taken: {error}"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Whether something about it is as bad as it gets.
    pub(crate) fn is_bad(&self) -> bool {
        let mut raised = self.raised.iter();
        !self.failing.is_empty()
            || raised.any(|one| one.severity.known() != Some(Severity::Warning))
    }
}

/// The first few names, and how many more there are.
fn first_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn raised(rule: &str, severity: Severity) -> RaisedAlert {
        RaisedAlert {
            rule: rule.to_owned(),
            severity: severity.into(),
            since: "2026-01-31T12:00:00Z".to_owned(),
            value: json!(3),
            limit: json!(0.0),
        }
    }

    #[test]
    fn raised_alerts_and_receivers_that_fail_are_one_bounded_sentence() {
        let mut alerts = AlertsView::default();
        assert_eq!(alerts.sentence(), None);
        alerts.raised = vec![raised("letters", Severity::Warning)];
        assert_eq!(alerts.sentence().unwrap(), "1 alert raised: letters");
        assert!(!alerts.is_bad());
        let more = (0..90).map(|n| raised(&format!("r{n}"), Severity::Error));
        alerts.raised.extend(more);
        alerts.failing = vec![FailingReceiver {
            rule: "space".to_owned(),
            attempts: Some(3),
            error: format!("refused\n{}", "x".repeat(10_000)),
        }];
        let told = alerts.sentence().unwrap();
        let begins = "91 alerts raised: letters, r0, r1 and 88 more; messages of space are not taken: refused";
        assert!(told.starts_with(begins), "{told}");
        assert!(told.chars().count() < 400 && !told.contains('\n'), "{told}");
        assert!(alerts.is_bad());
    }
}
