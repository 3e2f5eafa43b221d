//! Issues of Redis, where it carries events: away, coming and going.
//!
//! Nothing here has a fix: carriers mend what they can by themselves, all the time, and the rest is an operator's.

use super::{Detected, Detector, Facts, Limits, RedisStanding};
use crate::event::Subject;
use crate::store::Severity;

pub(super) fn about(
    facts: &Facts,
    detector: Detector,
    value: String,
    limit: impl Into<String>,
) -> Detected {
    Detected::new(detector, Subject::redis(&facts.instance), value, limit)
}

/// Redis cannot carry: at once where an agent waits for it or it answers and does not do its work, else when it has been away for
/// long. A machine that never had one lacks nothing: then the embedded carrier carries events, which is what `auto` means.
pub(super) fn away(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let Some(redis) = &facts.redis else {
        return Some(Vec::new());
    };
    let needed = redis.facts.needed;
    let told = |found: Detected, why: String| {
        let remedy = remedy(&redis.facts.standing, needed);
        found.told(format!("Redis cannot carry events: {why}"), remedy)
    };
    let (why, since, answers) = match &redis.facts.standing {
        RedisStanding::Unknown => return None,
        RedisStanding::Carries { .. } => return Some(Vec::new()),
        RedisStanding::Foreign { why } => {
            let limit = "the namespace belongs to this store alone";
            let found = about(facts, Detector::RedisAway, why.clone(), limit);
            return Some(vec![told(found, why.clone())]);
        }
        RedisStanding::Away {
            why,
            since,
            answers,
        } => (why, since, *answers),
    };
    let limit = match answers {
        true => "Redis does its work",
        false => "Redis answers",
    };
    let how = if answers { "unusable" } else { "away" };
    let value = format!("Redis has been {how} since {since}: {why}");
    let mut found = about(facts, Detector::RedisAway, value, limit);
    if !needed {
        found.severity = Severity::Warning;
    }
    let missed = redis.has_carried || facts.open.contains(&found.key());
    let long = facts.age(*since) > limits.redis_away;
    let found = (needed || answers || (missed && long))
        .then(|| told(found, format!("{why} (since {since})")));
    Some(found.into_iter().collect())
}

/// What to do about a Redis that cannot carry.
const fn remedy(standing: &RedisStanding, needed: bool) -> &'static str {
    match (standing, needed) {
        (RedisStanding::Foreign { .. }, true) => {
            "give this docent a [redis] namespace of its own and restart it; publishing works meanwhile"
        }
        (RedisStanding::Foreign { .. }, false) => {
            "give this docent a [redis] namespace of its own and restart it; the embedded carrier carries events meanwhile"
        }
        (_, true) => {
            "start or repair it, and owed work continues by itself, or write [bus] mode = \"auto\" to work without it; publishing works meanwhile"
        }
        (_, false) => {
            "start or repair it, or write [bus] mode = \"embedded\" if docent should not use it; the embedded carrier carries events meanwhile"
        }
    }
}

/// Redis comes and goes.
pub(super) fn reconnects(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let most = limits.redis_reconnects.max(1);
    let redis = facts.redis.iter().filter(|r| r.reconnects >= most);
    let found = redis.map(|redis| {
        let (count, within) = (redis.reconnects, limits.restarts_window.as_secs());
        let cause = redis
            .cause
            .iter()
            .map(|why| format!(", the last cause: {why}"));
        let cause: String = cause.collect();
        let value = format!("{count} new connections in {within} s{cause}");
        let limit = format!("fewer than {most} new connections");
        about(facts, Detector::RedisReconnects, value, limit)
    });
    Some(found.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{AgentName, Millis};
    use crate::health::tests::all_well;
    use crate::health::{RedisFacts, RedisView, StreamFacts};

    const MINUTE: Duration = Duration::from_secs(60);

    pub(in crate::health) fn stream(agent: Option<AgentName>) -> StreamFacts {
        StreamFacts {
            key: "docent:x".to_owned(),
            agent,
            entries: 5,
            entries_max: agent.map(|_| 5),
            stuck: 0,
            strangers: Vec::new(),
            standing: MINUTE,
        }
    }

    pub(in crate::health) fn view(needed: bool, standing: RedisStanding) -> RedisView {
        RedisView {
            facts: RedisFacts {
                needed,
                standing,
                streams: None,
            },
            has_carried: true,
            reconnects: 0,
            cause: None,
        }
    }

    pub(in crate::health) fn away_since(since: Millis) -> RedisStanding {
        RedisStanding::Away {
            why: "refused".to_owned(),
            since,
            answers: false,
        }
    }

    pub(in crate::health) fn carries() -> RedisView {
        let mut view = view(false, RedisStanding::Carries { connections: 1 });
        view.facts.streams = Some(vec![stream(Some(AgentName::Rag)), stream(None)]);
        view
    }

    pub(in crate::health) fn not_known() -> RedisView {
        view(true, RedisStanding::Unknown)
    }

    pub(in crate::health) fn everything_wrong() -> RedisView {
        let mut view = view(true, away_since(Millis(0)));
        let mut inbox = stream(Some(AgentName::Scheduler));
        (inbox.entries, inbox.stuck) = (6, 1);
        inbox.strangers = vec!["stranger".to_owned()];
        let mut ingress = stream(None);
        ingress.standing = 2 * MINUTE;
        view.facts.streams = Some(vec![inbox, ingress]);
        view.reconnects = 20;
        view
    }

    #[test]
    fn away_is_an_error_at_once_where_it_is_needed_and_else_a_warning_after_a_while() {
        let limits = Limits::default();
        let mut facts = all_well();
        let just = facts.now;
        let long = facts
            .now
            .minus(limits.redis_away + Duration::from_millis(1));
        let cases = [
            (true, just, true, false, Some(Severity::Error)),
            (true, just, false, false, Some(Severity::Error)),
            (false, just, true, false, None),
            (false, long, true, false, Some(Severity::Warning)),
            // It was never there.
            (false, long, false, false, None),
            // It was there before this run.
            (false, long, false, true, Some(Severity::Warning)),
        ];
        for (needed, since, has_carried, standing, expected) in cases {
            facts.redis = Some(RedisView {
                has_carried,
                ..view(needed, away_since(since))
            });
            facts.open.clear();
            facts
                .open
                .extend(standing.then(|| Detector::RedisAway.key(&Subject::redis("here"))));
            let found = away(&facts, &limits).unwrap();
            let severity = found.first().map(|f| f.severity);
            assert_eq!(severity, expected, "{needed} {since} {has_carried}");
        }
    }

    #[test]
    fn a_redis_that_answers_and_refuses_the_work_is_told_at_once() {
        let mut facts = all_well();
        let standing = RedisStanding::Away {
            why: "READONLY".to_owned(),
            since: facts.now,
            answers: true,
        };
        facts.redis = Some(RedisView {
            has_carried: false,
            ..view(false, standing)
        });
        let found = away(&facts, &Limits::default()).unwrap();
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(found[0].value.contains("READONLY"), "{}", found[0].value);
    }

    #[test]
    fn another_owner_is_told_with_what_to_do() {
        let mut facts = all_well();
        let why = "it belongs to x; free it".to_owned();
        facts.redis = Some(view(false, RedisStanding::Foreign { why: why.clone() }));
        let found = away(&facts, &Limits::default()).unwrap();
        assert_eq!(
            (&found[0].value, found[0].severity),
            (&why, Severity::Error)
        );
    }

    #[test]
    fn what_to_do_fits_whose_redis_it_is_and_what_carries_meanwhile() {
        let foreign = || RedisStanding::Foreign {
            why: "it belongs to x".to_owned(),
        };
        let away = || RedisStanding::Away {
            why: "READONLY".to_owned(),
            since: Millis(0),
            answers: true,
        };
        for (needed, standing, says, never) in [
            (true, foreign(), "namespace of its own", "embedded carrier"),
            (
                false,
                foreign(),
                "embedded carrier carries",
                "start or repair",
            ),
            (true, away(), "start or repair", "namespace"),
            (false, away(), "embedded carrier carries", "namespace"),
        ] {
            let mut facts = all_well();
            facts.redis = Some(view(needed, standing));
            let found = away_found(&facts);
            assert!(found.contains(says) && !found.contains(never), "{found}");
        }
    }

    /// The remedy of the one issue that there is.
    fn away_found(facts: &Facts) -> String {
        let mut found = away(facts, &Limits::default()).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0).remedy
    }
}
