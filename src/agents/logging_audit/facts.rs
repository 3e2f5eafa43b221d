//! Gathers what the rules are judged by, from where `status`, `health` and `/metrics` have it, and nothing that no rule needs.

use tokio::time::Instant;

use super::ends::AttemptEnds;
use super::{AuditContext, AuditOptions};
use crate::event::{AgentName, Millis};
use crate::health::alerts::{AlertFacts, Bound};
use crate::health::{AgentFacts, Facts};
use crate::runtime::AgentState;
use crate::store::ReadError;

/// Open issues that are looked at, at most.
const ISSUES_MAX: usize = 1000;

/// What is true now; what cannot be read ends the round.
pub(super) async fn gather(
    options: &AuditOptions,
    context: &AuditContext,
    ends: &mut AttemptEnds,
    at: Instant,
    now: Millis,
) -> Result<AlertFacts, ReadError> {
    let store = &context.store;
    let needs = |is: fn(&Bound) -> bool| options.alerts.iter().any(|a| is(&a.rule.bound));
    let mut facts = AlertFacts {
        facts: Facts {
            instance: options.instance.clone(),
            now,
            dead: store.dead_of_each(),
            redis: (context.redis)().map(|redis| redis.now(now)),
            ..Facts::default()
        },
        ..AlertFacts::default()
    };
    let mut seen = Vec::new();
    let agents = context.board.agents().borrow().clone();
    for status in agents {
        if matches!(status.state, AgentState::Off | AgentState::Stopped) {
            continue;
        }
        let (name, counts) = (status.name, store.counts(status.name));
        seen.push(ends.see(name, counts, at));
        let mut agent = AgentFacts::now(status);
        if asks_oldest_owed(options, name) {
            agent.oldest_owed = Some(match counts.owed {
                0 => None,
                _ => store.oldest_owed(name).await?,
            });
        }
        facts.facts.agents.push(agent);
    }
    facts.ends = Some(seen);
    if needs(|bound| matches!(bound, Bound::Dead(_))) {
        facts.facts.ingress_dead = Some(store.ingress_dead_count().await?);
    }
    if needs(|bound| matches!(bound, Bound::DiskFree(_))) {
        facts.facts.free = free(options, context).await;
    }
    // What other hosts find is in the store as issues.
    let of_others = |bound: &Bound| matches!(bound, Bound::Parked | Bound::RedisAway);
    if needs(|bound| matches!(bound, Bound::Issue))
        || (store.leases().are_shared() && needs(of_others))
    {
        facts.issues = Some(store.issues(false, ISSUES_MAX).await?);
    }
    if needs(|bound| matches!(bound, Bound::JobMissed(_))) {
        let mut jobs = store.jobs().await?;
        jobs.retain(|job| options.jobs.contains(&job.name));
        facts.jobs = Some(jobs);
    }
    Ok(facts)
}

/// Whether a rule watches what this agent owes: of others it is not read, once a second as it would be.
fn asks_oldest_owed(options: &AuditOptions, agent: AgentName) -> bool {
    let mut rules = options.alerts.iter().map(|alert| &alert.rule);
    rules.any(|rule| matches!(rule.bound, Bound::OldestOwed(_)) && rule.means(agent))
}

async fn free(options: &AuditOptions, context: &AuditContext) -> Option<u64> {
    context.compute.free_space(options.data_dir.clone()).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agents::logging_audit::{AlertOption, AlertReceiver};
    use crate::health::alerts::AlertRule;
    use crate::store::Severity;

    fn alert(bound: Bound, agent: Option<AgentName>) -> AlertOption {
        let rule = AlertRule {
            name: "a".to_owned(),
            when: "any",
            bound,
            agent,
            job: None,
            hold: Duration::ZERO,
            cooldown: Duration::ZERO,
            severity: Severity::Warning,
        };
        AlertOption {
            rule,
            receiver: AlertReceiver::Nobody,
        }
    }

    #[test]
    fn the_oldest_is_read_only_of_agents_that_a_rule_about_it_means() {
        let asked = |alerts: Vec<AlertOption>| {
            let options = AuditOptions {
                instance: String::new(),
                data_dir: std::path::PathBuf::new(),
                alerts,
                jobs: Vec::new(),
            };
            [AgentName::Rag, AgentName::Scheduler].map(|agent| asks_oldest_owed(&options, agent))
        };
        let (oldest, rag) = (
            Bound::OldestOwed(Duration::from_secs(5)),
            Some(AgentName::Rag),
        );
        assert_eq!(asked(vec![alert(oldest.clone(), rag)]), [true, false]);
        assert_eq!(asked(vec![alert(oldest, None)]), [true, true]);
        assert_eq!(asked(vec![alert(Bound::Parked, None)]), [false, false]);
    }
}
