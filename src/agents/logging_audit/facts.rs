//! Gathers what the rules are judged by, from where `status`, `health` and `/metrics` have it, and nothing that no rule needs.

use tokio::time::Instant;

use super::ends::AttemptEnds;
use super::{Options, Surroundings};
use crate::disk::free_space;
use crate::event::Millis;
use crate::health::alerts::{AlertFacts, Bound};
use crate::health::{AgentFacts, Facts};
use crate::runtime::AgentState;
use crate::store::ReadError;

/// Open issues that are looked at, at most.
const ISSUES_MAX: usize = 1000;

/// What is true now; what cannot be read ends the round.
pub(super) async fn gather(
    options: &Options,
    surroundings: &Surroundings,
    ends: &mut AttemptEnds,
    at: Instant,
    now: Millis,
) -> Result<AlertFacts, ReadError> {
    let store = &surroundings.store;
    let needs = |is: fn(&Bound) -> bool| options.alerts.iter().any(|a| is(&a.rule.bound));
    let mut facts = AlertFacts {
        facts: Facts {
            instance: options.instance.clone(),
            now,
            dead: store.dead_of_each(),
            redis: (surroundings.redis)().map(|redis| redis.now(now)),
            ..Facts::default()
        },
        ..AlertFacts::default()
    };
    let agents = surroundings.board.agents().borrow().clone();
    for status in agents {
        if matches!(status.state, AgentState::Off | AgentState::Stopped) {
            continue;
        }
        let (name, counts) = (status.name, store.counts(status.name));
        facts.ends.push(ends.see(name, counts, at));
        let mut agent = AgentFacts::now(status);
        if needs(|bound| matches!(bound, Bound::OldestOwed(_))) {
            agent.oldest_owed = Some(match counts.owed {
                0 => None,
                _ => store.oldest_owed(name).await?,
            });
        }
        facts.facts.agents.push(agent);
    }
    if needs(|bound| matches!(bound, Bound::Dead(_))) {
        facts.facts.ingress_dead = Some(store.ingress_dead_count().await?);
    }
    if needs(|bound| matches!(bound, Bound::DiskFree(_))) {
        facts.facts.free = free(options, surroundings).await;
    }
    if needs(|bound| matches!(bound, Bound::Issue)) {
        facts.issues = Some(store.issues(false, ISSUES_MAX).await?);
    }
    if needs(|bound| matches!(bound, Bound::JobMissed(_))) {
        let mut jobs = store.jobs().await?;
        jobs.retain(|job| options.jobs.contains(&job.name));
        facts.jobs = Some(jobs);
    }
    Ok(facts)
}

async fn free(options: &Options, surroundings: &Surroundings) -> Option<u64> {
    let folder = options.data_dir.clone();
    let asked = surroundings.compute.run(move || free_space(&folder)).await;
    match asked {
        Ok(Ok(free)) => Some(free),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the free space cannot be asked for");
            None
        }
        Err(error) => {
            tracing::debug!(error, "the free space cannot be asked for");
            None
        }
    }
}
