//! The duty that looks at what the rules watch, and raises and ends alerts.
//!
//! How each rule stands is a row of the store, changed in one transaction with the event that tells of it and with what its
//! receiver is to be sent: a restart tells nothing twice and forgets nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use super::ends::AttemptEnds;
use super::facts::gather;
use super::message::{Sender, ended, told};
use super::{AlertReceiver, AuditContext, AuditOptions};
use crate::event::{AgentName, Millis, NewEvent, awake};
use crate::health::alerts::{AlertTransition, Reading, read, step};
use crate::log_once::LogOnce;
use crate::runtime::{DutyContext, DutyError, Phase};
use crate::store::{AlertChange, AlertRow, AlertStage, Effect, LeaseName, Severity, WriteError};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// After one that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// One run of the duty.
pub(super) struct Watch {
    options: Arc<AuditOptions>,
    context: AuditContext,
    wake: Arc<Notify>,
    ends: AttemptEnds,
    /// How the rules stand, as the store has it; `None`: it is to be read.
    rows: Option<HashMap<String, AlertRow>>,
}

/// What is to be written in one round, and what is logged when it is.
#[derive(Default)]
struct JudgedRules {
    effects: Vec<Effect>,
    events: Vec<NewEvent>,
    rows: Vec<(String, Option<AlertRow>)>,
    told: Vec<(AlertTransition, Reading, String, Severity)>,
}

impl Watch {
    pub(super) fn new(
        options: Arc<AuditOptions>,
        context: AuditContext,
        wake: Arc<Notify>,
    ) -> Self {
        Watch {
            options,
            context,
            wake,
            ends: AttemptEnds::default(),
            rows: None,
        }
    }

    /// Looks until told to stop.
    pub(super) async fn run(mut self, context: DutyContext) -> Result<(), DutyError> {
        // What a run before this one submitted is committed or refused before the rows are read.
        match context.after_earlier_writes(&self.context.store).await {
            None => return Ok(()),
            Some(passed) => passed?,
        }
        let mut failing = LogOnce::default();
        loop {
            let Some(looked) = context.during(self.round()).await else {
                return Ok(());
            };
            let failed = looked.is_err();
            match looked {
                Err(closed @ DutyError::Write(WriteError::Closed)) => return Err(closed),
                Err(error) => {
                    // How the rules stand now is what the store has.
                    self.rows = None;
                    if failing.is_new(true) {
                        tracing::warn!(%error, "cannot evaluate the rules of alerts");
                    }
                }
                Ok(()) => {
                    if failing.is_new(false) {
                        tracing::info!("the rules of alerts are evaluated again");
                    }
                }
            }
            let pause = if failed { PAUSE } else { LOOK };
            let idle = self.options.alerts.is_empty() && !failed;
            let wait = async {
                match idle {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(pause).await,
                }
            };
            if context.during(wait).await.is_none() {
                return Ok(());
            }
        }
    }

    fn source(&self) -> String {
        format!(
            "agent/{}@{}",
            AgentName::LoggingAudit,
            self.options.instance
        )
    }

    async fn round(&mut self) -> Result<(), DutyError> {
        if !self.context.store.leases().has(&LeaseName::Alerts) {
            self.rows = None; // another host judges, and changes them
            return Ok(());
        }
        if self.rows.is_none() {
            self.rows = Some(self.tidy().await?);
        }
        let is_running = *self.context.board.phase().borrow() == Phase::Running;
        if self.options.alerts.is_empty() || !is_running {
            return Ok(()); // what starts or stops is no fault
        }
        let (at, now) = (awake::now(), Millis::now());
        let facts = gather(&self.options, &self.context, &mut self.ends, at, now).await?;
        let (options, source) = (self.options.clone(), self.source());
        let sender = Sender {
            source: &source,
            instance: &options.instance,
            now,
        };
        let mut round = JudgedRules::default();
        for alert in &options.alerts {
            let Some(reading) = read(&alert.rule, &facts) else {
                continue;
            };
            let rows = self.rows.get_or_insert_default();
            let before = rows.get(&alert.rule.name);
            let Some(step) = step(&alert.rule, before, &reading, now) else {
                continue;
            };
            if let Some(what) = step.told {
                let begun = match what {
                    AlertTransition::Raised => step.row.as_ref(),
                    AlertTransition::Cleared => before,
                };
                let begun = begun.map_or(now, |row| Millis(row.since));
                let (event, queued) = told(alert, what, begun, &reading, &sender);
                round.events.push(event);
                round.effects.extend(queued);
                let name = alert.rule.name.clone();
                round.told.push((what, reading, name, alert.rule.severity));
            }
            let rule = alert.rule.name.clone();
            round.effects.push(Effect::Alert(match &step.row {
                Some(row) => AlertChange::Stands(row.clone()),
                None => AlertChange::Forgotten { rule: rule.clone() },
            }));
            round.rows.push((rule, step.row));
        }
        self.commit(round).await
    }

    /// Writes what a round found. Only then it is so, and told.
    async fn commit(&mut self, round: JudgedRules) -> Result<(), DutyError> {
        if round.effects.is_empty() {
            return Ok(());
        }
        let lease = self.context.store.leases().lease(&LeaseName::Alerts);
        let submitted = self
            .context
            .source
            .submit_under(lease, round.effects, round.events);
        submitted.await?.committed().await?;
        let rows = self.rows.get_or_insert_default();
        for (rule, row) in round.rows {
            match row {
                Some(row) => rows.insert(rule, row),
                None => rows.remove(&rule),
            };
        }
        for (what, reading, rule, severity) in &round.told {
            log(*what, reading, rule, *severity);
        }
        self.wake.notify_one();
        Ok(())
    }

    /// How the rules stand, without those that are not in the config any more: their alerts end here, and nobody is left who
    /// could be told.
    async fn tidy(&self) -> Result<HashMap<String, AlertRow>, DutyError> {
        let store = &self.context.store;
        let is_rule = |name: &str| self.options.alerts.iter().any(|a| a.rule.name == name);
        let (gone, kept): (Vec<_>, Vec<_>) = store
            .alerts()
            .await?
            .into_iter()
            .partition(|row| !is_rule(&row.rule));
        let waiting = store.notifications().await?.into_iter().map(|one| one.rule);
        let given_up = store.undelivered().await?.into_iter().map(|one| one.rule);
        let unsent = waiting
            .chain(given_up)
            .filter(|rule| *self.options.receiver(rule) == AlertReceiver::Nobody);
        let unsent: Vec<Effect> = unsent
            .map(|rule| Effect::Alert(AlertChange::Unsent { rule }))
            .collect();
        let (mut effects, mut events) = (unsent, Vec::new());
        for row in &gone {
            let rule = row.rule.clone();
            effects.push(Effect::Alert(AlertChange::Forgotten { rule }));
            if row.stage == AlertStage::Raised {
                events.push(ended(row, &self.source()));
                tracing::info!(
                    rule = row.rule,
                    "an alert ended: its rule is no longer in the config"
                );
            }
        }
        if !effects.is_empty() {
            let submitted = self.context.source.submit(effects, events);
            submitted.await?.committed().await?;
        }
        Ok(kept
            .into_iter()
            .map(|row| (row.rule.clone(), row))
            .collect())
    }
}

/// A text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn log(what: AlertTransition, reading: &Reading, rule: &str, severity: Severity) {
    let (value, limit) = (text(&reading.value), text(&reading.limit));
    let found = &reading.what;
    match (what, severity) {
        (AlertTransition::Raised, Severity::Error) => {
            tracing::error!(rule, value, limit, found, "alert raised");
        }
        (AlertTransition::Raised, Severity::Warning) => {
            tracing::warn!(rule, value, limit, found, "alert raised");
        }
        (AlertTransition::Cleared, _) => tracing::info!(rule, value, limit, found, "alert cleared"),
    }
}
