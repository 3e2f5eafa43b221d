//! What makes the daemon degraded, each with the way out.

use super::wire::{FreeSpace, NamedAgent, Wrong};
use crate::config::format_size;
use crate::index::FollowerState;
use crate::runtime::{AgentState, ScanProgress};
use crate::store::Issue;

/// The detectors of `self_healing` whose open issues say that something is not intact.
const STORE_DETECTOR: &str = "integrity";
const INDEX_DETECTOR: &str = "index_drift";

/// What decides.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// Every agent.
    pub(super) agents: &'a [NamedAgent],
    /// How the index follows.
    pub(super) follower: &'a FollowerState,
    /// What goes on at the edge.
    pub(super) progress: &'a ScanProgress,
    /// Room on the disk.
    pub(super) free: FreeSpace,
    /// The issues that are open.
    pub(super) issues: &'a [Issue],
    /// Redis is wanted and cannot carry: why.
    pub(super) redis: Option<&'a str>,
    /// Entries of other programs that could not be published.
    pub(super) ingress_dead: u64,
}

/// Everything that makes the daemon degraded; the list of the design, in its order.
pub(super) fn wrong(facts: &Facts<'_>) -> Vec<Wrong> {
    let mut wrong = parked(facts);
    wrong.extend(damage(facts));
    wrong.extend(index(facts));
    wrong.extend(captures(facts));
    wrong.extend(absent(facts));
    wrong.extend(dead(facts));
    wrong.extend(redis(facts));
    wrong
}

fn redis(facts: &Facts<'_>) -> Option<Wrong> {
    let what = format!("Redis cannot carry events: {}", facts.redis?);
    Some(because(
        what,
        "mend it, and what is owed goes on by itself; publishing works meanwhile",
    ))
}

fn because(what: String, remedy: &str) -> Wrong {
    Wrong {
        what,
        remedy: remedy.to_owned(),
    }
}

fn parked(facts: &Facts<'_>) -> Vec<Wrong> {
    let parked = facts
        .agents
        .iter()
        .filter(|a| a.agent.state == AgentState::Parked.as_str());
    let wrong = parked.map(|named| {
        let why = named.agent.reason.as_deref().unwrap_or("it failed too often");
        let name = &named.name;
        because(
            format!("the agent {name} is parked: {why}"),
            &format!("mend the cause that the log names, then `docent agent restart {name}`; self_healing tries that too"),
        )
    });
    wrong.collect()
}

fn damage(facts: &Facts<'_>) -> Vec<Wrong> {
    let wrong = facts.issues.iter().filter_map(|issue| match issue.detector.as_str() {
        STORE_DETECTOR => Some(because(
            format!("the store is not intact: {}", issue.value),
            "stop docent, then put back a copy of store.db, or move it away with its -wal file: documents are read anew",
        )),
        INDEX_DETECTOR => Some(because(
            format!("the index is not intact: {}", issue.value),
            "it is built anew from the store by itself; `docent health` tells how far that is",
        )),
        _ => None,
    });
    wrong.collect()
}

fn index(facts: &Facts<'_>) -> Option<Wrong> {
    if let Some(why) = &facts.follower.stopped {
        let what = format!("the index does not follow: {why}");
        return Some(because(what, "it goes on by itself when the cause is gone"));
    }
    let what = "the index is being opened or rebuilt".to_owned();
    (!facts.follower.ready).then(|| because(what, "wait: search answers when it is there"))
}

/// The floor is one of the reasons why captures are held: it is said once.
fn captures(facts: &Facts<'_>) -> Option<Wrong> {
    if facts.free.bytes < facts.free.floor {
        let (free, floor) = (format_size(facts.free.bytes), format_size(facts.free.floor));
        return Some(because(
            format!("the disk of data_dir has {free} free, less than {floor}: nothing is captured"),
            "free space; captures go on by themselves",
        ));
    }
    let why = facts.progress.held.as_ref()?;
    let what = format!("captures are held: {why}");
    Some(because(
        what,
        "they go on by themselves when the cause is gone",
    ))
}

fn absent(facts: &Facts<'_>) -> Vec<Wrong> {
    let absent = facts
        .progress
        .absent()
        .into_iter()
        .map(|(collection, cause)| {
            because(
                format!("the root of {collection} cannot be reached: {cause}"),
                "mount it or put it back; its documents are kept until then",
            )
        });
    let held = facts.progress.removals_held().into_iter().map(|(collection, cause)| {
        because(
            format!("the removals in {collection} are held: {cause}"),
            &format!("mount the volume again; if its files are really gone: docent scan {collection} --accept-removals"),
        )
    });
    absent.chain(held).collect()
}

fn dead(facts: &Facts<'_>) -> Option<Wrong> {
    let deliveries = facts.agents.iter().map(|a| a.agent.dead).sum::<u64>();
    let what = match deliveries + facts.ingress_dead {
        0 => return None,
        1 => "1 delivery is dead".to_owned(),
        dead => format!("{dead} deliveries are dead"),
    };
    Some(because(
        what,
        "see `docent dead list`; when the cause is mended, `docent dead replay EVENT`; `docent dead drop EVENT` gives it up",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Millis;
    use crate::http::wire::AgentView;
    use crate::runtime::{RootReport, RootStanding};
    use crate::store::Severity;

    fn agent(state: AgentState, dead: u64) -> NamedAgent {
        NamedAgent {
            name: "rag".to_owned(),
            agent: AgentView {
                carrier: "embedded".to_owned(),
                state: state.as_str().to_owned(),
                restarts: 0,
                reason: Some("it panicked".to_owned()),
                handled: 0,
                failed: 0,
                owed: 0,
                oldest_owed_s: None,
                in_flight: 0,
                kept: 0,
                retrying: 0,
                dead,
                unavailable: None,
            },
        }
    }

    fn issue(detector: &str) -> Issue {
        Issue {
            subject: "store".to_owned(),
            opened_at: Millis(0),
            detector: detector.to_owned(),
            severity: Severity::Error,
            value: "page 7 is never used".to_owned(),
            limit: "ok".to_owned(),
            closed_at: None,
            fix: None,
            fix_attempts: 0,
            fix_result: None,
        }
    }

    /// What is wrong where nothing is but what `change` makes so.
    fn found(change: impl FnOnce(&mut Owned)) -> Vec<String> {
        let mut owned = Owned {
            agents: vec![agent(AgentState::Running, 0)],
            follower: FollowerState {
                ready: true,
                ..FollowerState::default()
            },
            progress: ScanProgress::default(),
            free: FreeSpace { bytes: 9, floor: 9 },
            issues: vec![issue("oldest_owed")],
        };
        change(&mut owned);
        let facts = Facts {
            agents: &owned.agents,
            follower: &owned.follower,
            progress: &owned.progress,
            free: owned.free,
            issues: &owned.issues,
            redis: None,
            ingress_dead: 0,
        };
        wrong(&facts).into_iter().map(|wrong| wrong.what).collect()
    }

    struct Owned {
        agents: Vec<NamedAgent>,
        follower: FollowerState,
        progress: ScanProgress,
        free: FreeSpace,
        issues: Vec<Issue>,
    }

    #[test]
    fn each_cause_alone_is_named() {
        assert_eq!(found(|_| {}), [""; 0]);
        assert_eq!(
            found(|f| f.agents[0] = agent(AgentState::Parked, 0)),
            ["the agent rag is parked: it panicked"]
        );
        assert_eq!(
            found(|f| f.agents[0].agent.dead = 2),
            ["2 deliveries are dead"]
        );
        assert_eq!(
            found(|f| f.issues[0] = issue(STORE_DETECTOR)),
            ["the store is not intact: page 7 is never used"]
        );
        assert_eq!(
            found(|f| f.issues[0] = issue(INDEX_DETECTOR)),
            ["the index is not intact: page 7 is never used"]
        );
        assert_eq!(
            found(|f| f.follower.ready = false),
            ["the index is being opened or rebuilt"]
        );
        assert_eq!(
            found(|f| f.follower.stopped = Some("full".to_owned())),
            ["the index does not follow: full"]
        );
        let full = ["the disk of data_dir has 8B free, less than 9B: nothing is captured"];
        assert_eq!(found(|f| f.free.bytes = 8), full);
        assert_eq!(
            found(|f| f.progress.held = Some("full".to_owned())),
            ["captures are held: full"]
        );
        let held_and_full = |f: &mut Owned| {
            f.free.bytes = 8;
            f.progress.held = Some("full".to_owned());
        };
        assert_eq!(found(held_and_full), full, "said once");
        let absent = ["the root of docs cannot be reached: no such file"];
        let root = |standing| RootReport {
            collection: "docs".to_owned(),
            path: "/docs".into(),
            standing,
            polled: None,
            unlisted: Vec::new(),
        };
        let away = root(RootStanding::Absent("no such file".to_owned()));
        assert_eq!(found(|f| f.progress.roots.push(away)), absent);
        let held = root(RootStanding::RemovalsHeld("another device".to_owned()));
        assert_eq!(
            found(|f| f.progress.roots.push(held)),
            ["the removals in docs are held: another device"]
        );
    }
}
