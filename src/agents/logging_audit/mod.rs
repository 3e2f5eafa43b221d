//! `logging_audit`: every event once in the hash-chained log, alerts by the rules of the config, and reports.
//!
//! As a handler it writes the record of each event, and a report where one is asked for. Its duties do the rest: *alerts* looks
//! at what the rules watch and raises and ends alerts; *notifications* tells their receivers. What is to be told is a row of the
//! store, written with the alert, so nothing waits for a receiver, and none is forgotten.

mod command;
mod ends;
mod facts;
mod message;
mod notifications;
mod record;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::config::WebhookUrl;
use crate::event::{AgentName, Event, EventType, Heartbeat, Subject};
use crate::health::RedisLook;
use crate::health::alerts::AlertRule;
use crate::report::{self, Period, PeriodError};
use crate::runtime::{Agent, Board, Boxed, Compute, Duty, Ending, Handling, Source};
use crate::store::{Effect, Outcome, ReadError, Store};

use notifications::NotificationDuty;
use watch::Watch;

/// Who is told of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AlertReceiver {
    /// The event and the log alone.
    Nobody,
    /// A program and its arguments.
    Command(Vec<String>),
    Webhook {
        url: WebhookUrl,
        secret_file: PathBuf,
        /// `None`: the authorities of the system are trusted.
        ca_file: Option<PathBuf>,
    },
}

/// A rule with its receiver.
#[derive(Debug, Clone)]
pub(crate) struct AlertOption {
    pub rule: AlertRule,
    pub receiver: AlertReceiver,
}

#[derive(Debug, Clone)]
pub(crate) struct AuditOptions {
    /// This process, for subjects and sources.
    pub instance: String,
    /// Where the data are.
    pub data_dir: PathBuf,
    pub alerts: Vec<AlertOption>,
    /// The jobs that are turned on.
    pub jobs: Vec<String>,
}

impl AuditOptions {
    fn receiver(&self, rule: &str) -> &AlertReceiver {
        let found = self.alerts.iter().find(|alert| alert.rule.name == rule);
        found.map_or(&AlertReceiver::Nobody, |alert| &alert.receiver)
    }
}

/// What logging_audit looks at.
#[derive(Clone)]
pub(crate) struct AuditContext {
    pub store: Store,
    /// The way into it.
    pub source: Source,
    /// What can be seen of the agents.
    pub board: Board,
    pub redis: RedisLook,
    /// Threads that may block.
    pub compute: Compute,
}

/// One run of logging_audit.
pub(crate) struct LoggingAudit {
    options: Arc<AuditOptions>,
    context: AuditContext,
    /// There is something to tell.
    wake: Arc<Notify>,
}

impl LoggingAudit {
    /// A new run: its state stands in the store.
    pub(crate) fn new(options: Arc<AuditOptions>, context: AuditContext) -> Self {
        LoggingAudit {
            options,
            context,
            wake: Arc::default(),
        }
    }

    /// Writes the report that `event` asks for, unless it was written before: a delivery that was done may be replayed.
    async fn report(&self, event: &Event, heartbeat: &Heartbeat) -> Result<Outcome, ReadError> {
        let store = &self.context.store;
        if store.report_of(event.id).await?.is_some() {
            return Ok(Outcome::nothing());
        }
        let period = match period(event) {
            Ok(period) => period,
            Err(error) => {
                tracing::warn!(%error, event = %event.id, "a requested report cannot be written");
                return Ok(Outcome::nothing());
            }
        };
        let report = report::gather(store, &self.options.instance, &period, heartbeat).await?;
        let row = report.row(event.id);
        let data = report.announcement(&row.name);
        let subject = Subject::parse(&period.label).unwrap_or_else(|_| Subject::store());
        Ok(Outcome::nothing().effect(Effect::Report(row)).event(
            EventType::ReportWritten,
            subject,
            data,
        ))
    }
}

/// The period that `event` asks for. It ends when it was asked for: what was owed for long, as after a stop, is still about the
/// days that were meant.
fn period(event: &Event) -> Result<Period, PeriodError> {
    let asked: Value = serde_json::from_str(event.data.text()).unwrap_or_default();
    Period::parse(asked["period"].as_str().unwrap_or("week"), event.time)
}

impl Agent for LoggingAudit {
    fn name(&self) -> AgentName {
        AgentName::LoggingAudit
    }

    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending> {
        let record = Effect::Audit(record::record(event));
        if event.kind != EventType::ReportRequested {
            return Box::pin(std::future::ready(Ending::Outcome(
                Outcome::nothing().effect(record),
            )));
        }
        Box::pin(async move {
            match self.report(event, &handling.heartbeat).await {
                Ok(outcome) => Ending::Outcome(outcome.effect(record)),
                Err(error) => error.into(),
            }
        })
    }

    fn duties(self: Arc<Self>) -> Vec<Duty> {
        let watch = Watch::new(
            self.options.clone(),
            self.context.clone(),
            self.wake.clone(),
        );
        let notifications = NotificationDuty::new(
            self.options.clone(),
            self.context.clone(),
            self.wake.clone(),
        );
        vec![
            Duty::new("alerts", move |context| watch.run(context)),
            Duty::new("notifications", move |context| notifications.run(context)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{EventId, Millis, Seq};

    #[test]
    fn a_period_ends_when_it_was_asked_for() {
        let asked_at = Millis::parse("2026-11-22T06:00:00Z").unwrap();
        let id = EventId::derived(&["test"]);
        let mut event = Event {
            seq: Seq(7),
            id,
            kind: EventType::ReportRequested,
            source: "agent/scheduler@here".to_owned(),
            subject: Subject::job("weekly-report"),
            time: asked_at,
            data: json!({"period": "day"}).into(),
            causation: None,
            correlation: id,
        };
        let span = period(&event).unwrap().span;
        assert_eq!(span.to, asked_at);
        assert_eq!(span.from.to_string(), "2026-11-21T06:00:00.000Z");
        event.data = json!({"job": "weekly-report"}).into();
        let week = period(&event).unwrap();
        assert_eq!((week.label.as_str(), week.span.to), ("week", asked_at));
    }
}
