//! A rule of the config, in one type for each thing that it may watch.

use std::time::Duration;

use crate::config::{Alert, AlertSeverity, AlertWhen, Limit};
use crate::event::AgentName;
use crate::store::Severity;

/// What a rule watches, with its limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bound {
    OldestOwed(Duration),
    Dead(f64),
    /// A share from 0 to 1.
    ErrorRate(f64),
    Silent(Duration),
    JobMissed(Duration),
    /// In bytes.
    DiskFree(u64),
    Parked,
    RedisAway,
    Issue,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlertRule {
    pub name: String,
    /// The word of the config.
    pub when: &'static str,
    pub bound: Bound,
    /// The agent that it is about; `None`: each.
    pub agent: Option<AgentName>,
    /// The job that it is about; `None`: each.
    pub job: Option<String>,
    /// How long it must be so.
    pub hold: Duration,
    /// How long after its end the alert is not raised again.
    pub cooldown: Duration,
    pub severity: Severity,
}

impl AlertRule {
    /// The rule that a config states; `None`: the config was not checked, for its limit is another's.
    pub(crate) fn of(alert: &Alert) -> Option<Self> {
        use AlertWhen as When;
        let bound = match (alert.when, alert.above, alert.below) {
            (When::OldestOwed, Some(Limit::Time(time)), _) => Bound::OldestOwed(time),
            (When::Silent, Some(Limit::Time(time)), _) => Bound::Silent(time),
            (When::JobMissed, Some(Limit::Time(time)), _) => Bound::JobMissed(time),
            (When::Dead, Some(Limit::Number(number)), _) => Bound::Dead(number),
            (When::ErrorRate, Some(Limit::Number(share)), _) => Bound::ErrorRate(share),
            (When::DiskFree, _, Some(Limit::Size(bytes))) => Bound::DiskFree(bytes),
            (When::Parked, ..) => Bound::Parked,
            (When::RedisAway, ..) => Bound::RedisAway,
            (When::Issue, ..) => Bound::Issue,
            _ => return None,
        };
        Some(AlertRule {
            name: alert.name.clone(),
            when: alert.when.as_str(),
            bound,
            agent: alert.agent.parse().ok(),
            job: Some(alert.job.clone()).filter(|job| !job.is_empty()),
            hold: alert.hold,
            cooldown: alert.cooldown,
            severity: match alert.severity {
                AlertSeverity::Warning => Severity::Warning,
                AlertSeverity::Error => Severity::Error,
            },
        })
    }

    /// Whether it is about this agent.
    pub(crate) fn means(&self, agent: AgentName) -> bool {
        self.agent.is_none_or(|meant| meant == agent)
    }
}
