//! Issues of the streams that Redis carries with: they do not stand as docent leaves them.

use super::redis::about;
use super::{Detected, Detector, Facts, Limits, RedisStanding, StreamFacts};
use crate::event::AgentName;

/// Somebody else reads in docent's group: what it takes is late by the time until docent takes it back.
pub(super) fn strangers(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let told = |stream: &StreamFacts| {
        let names = stream.strangers.join(", ");
        (!names.is_empty()).then(|| format!("{names} in {}", stream.key))
    };
    let limit = "docent is alone in its group: give another program a group of its own, and a second docent a [redis] namespace of its own";
    streams(facts, Detector::RedisStrangers, limit, told)
}

/// Entries that stay pending though nobody owes them for that long any more: they are not acknowledged.
pub(super) fn stuck(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let told = |stream: &StreamFacts| {
        let agent = stream.agent?;
        let told = stream.stuck > 0 && !owes_for_long(facts, limits, agent);
        told.then(|| format!("{} entries of {}", stream.stuck, stream.key))
    };
    let limit = format!(
        "every entry is acknowledged within {} s; `docent agent restart NAME` reads that inbox again",
        limits.oldest_owed.as_secs()
    );
    streams(facts, Detector::RedisStuck, &limit, told)
}

/// What an agent owes for too long is told by that; what is not known is no issue.
fn owes_for_long(facts: &Facts, limits: &Limits, name: AgentName) -> bool {
    let agent = facts.agents.iter().find(|a| a.status.name == name);
    match agent.and_then(|agent| agent.oldest_owed) {
        None => true,
        Some(None) => false,
        Some(Some(published)) => facts.age(published) > limits.oldest_owed,
    }
}

/// An inbox holds more than is carried at a time, or a journal more than it keeps.
pub(super) fn inbox(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let told = |stream: &StreamFacts| {
        let most = stream.entries_max.filter(|most| stream.entries > *most)?;
        Some(format!(
            "{} entries in {}, where at most {most} belong",
            stream.entries, stream.key
        ))
    };
    let limit = "no more entries than docent carries or keeps: no other program may write there, and docent removes its own entries when they are handled";
    streams(facts, Detector::RedisInbox, limit, told)
}

/// What other programs wrote is not published.
pub(super) fn ingress(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let longest = limits.ingress_waits;
    let told = |stream: &StreamFacts| {
        let waits = stream.agent.is_none() && stream.standing > longest;
        let since = facts.now.minus(stream.standing);
        waits.then(|| {
            format!(
                "{} entries wait in {}, the first one since {since} or longer",
                stream.entries, stream.key
            )
        })
    };
    let limit = format!(
        "every entry is published within {} s; check whether the disk is full (`docent status`) and what the log says about Redis",
        longest.as_secs()
    );
    streams(facts, Detector::RedisIngress, &limit, told)
}

/// One issue of all streams of which there is something to tell. While Redis is away and work goes on without it, there is
/// nothing to tell of its streams.
fn streams(
    facts: &Facts,
    detector: Detector,
    limit: &str,
    told: impl Fn(&StreamFacts) -> Option<String>,
) -> Option<Vec<Detected>> {
    let Some(redis) = &facts.redis else {
        return Some(Vec::new());
    };
    let Some(streams) = &redis.facts.streams else {
        let idle = matches!(redis.facts.standing, RedisStanding::Away { .. });
        return (idle && !redis.facts.needed).then(Vec::new);
    };
    let value: Vec<String> = streams.iter().filter_map(told).collect();
    let found = (!value.is_empty()).then(|| about(facts, detector, value.join("; "), limit));
    Some(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::redis::tests::{away_since, carries, stream, view};
    use super::super::tests::all_well;
    use super::*;
    use crate::event::Millis;

    #[test]
    fn what_is_pending_is_told_by_the_age_of_what_is_owed_where_it_is_owed() {
        let limits = Limits::default();
        let mut facts = all_well();
        let mut view = carries();
        let mut inbox = stream(Some(AgentName::Rag));
        inbox.stuck = 3;
        view.facts.streams = Some(vec![inbox]);
        facts.redis = Some(view);
        assert_eq!(stuck(&facts, &limits).unwrap().len(), 1);
        facts.agents[0].oldest_owed = Some(Some(facts.now));
        assert_eq!(stuck(&facts, &limits).unwrap().len(), 1);
        facts.agents[0].oldest_owed = Some(Some(facts.now.minus(limits.oldest_owed * 2)));
        assert_eq!(stuck(&facts, &limits).unwrap().len(), 0);
        facts.agents[0].oldest_owed = None;
        assert_eq!(stuck(&facts, &limits).unwrap().len(), 0);
    }

    #[test]
    fn of_streams_that_cannot_be_looked_at_nothing_is_said_unless_nobody_needs_them() {
        let limits = Limits::default();
        let mut facts = all_well();
        for look in [strangers, stuck, inbox, ingress] {
            facts.redis = Some(view(true, away_since(Millis(0))));
            assert_eq!(look(&facts, &limits), None);
            facts.redis = Some(view(false, RedisStanding::Carries { connections: 1 }));
            assert_eq!(look(&facts, &limits), None);
            facts.redis = Some(view(false, away_since(Millis(0))));
            assert_eq!(look(&facts, &limits), Some(Vec::new()));
            facts.redis = None;
            assert_eq!(look(&facts, &limits), Some(Vec::new()));
        }
    }

    #[test]
    fn a_stream_within_its_bounds_is_no_fault_and_two_beyond_them_are_one() {
        let limits = Limits::default();
        let mut facts = all_well();
        facts.redis = Some(carries());
        assert_eq!(inbox(&facts, &limits), Some(Vec::new()));
        let mut view = carries();
        let mut fuller = stream(Some(AgentName::Rag));
        fuller.entries += 1;
        view.facts.streams = Some(vec![fuller.clone(), fuller]);
        facts.redis = Some(view);
        let found = inbox(&facts, &limits).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key(), "redis_inbox:redis@here");
        let told = "6 entries in docent:x, where at most 5 belong";
        assert_eq!(found[0].value, format!("{told}; {told}"));
    }
}
