//! The one judgement of what is wrong, which `status`, `health` and readiness all ask.
//!
//! What can be judged at this moment is: then an open issue of `self_healing` that says otherwise is over, and one that it has
//! not opened yet is told all the same. The rest are its open issues: what only time tells, or a look that takes long.

use super::wire::{FreeSpace, HealthIssue, NamedAgent, Wrong};
use crate::config::format_size;
use crate::event::{AgentName, Millis, Subject};
use crate::index::FollowerState;
use crate::runtime::{AgentState, RootState, ScanProgress};
use crate::store::{Issue, PUT_BACK, Severity, Standing};

/// The detectors of `self_healing` whose open issues say that something is not intact.
const STORE_DETECTOR: &str = "integrity";
const INDEX_DETECTOR: &str = "index_drift";

/// What is judged at once, with what would be right: the detector that `self_healing` has for it. Its issues of another
/// subject are over as soon as nothing is found here.
const AT_ONCE: &[(&str, &str)] = &[
    ("agent_parked", "the agent is running"),
    ("agent_unavailable", "what the agent works with is there"),
    ("index_stopped", "the index follows the store"),
    ("disk", "there is more free space than the floor"),
    ("captures_held", "every changed file is captured"),
    ("root_absent", "every root can be reached"),
    ("removals_held", "removals go ahead"),
    ("dead_letters", "no delivery is dead"),
];

/// What is wrong, and the key of its issue: `<detector>:<subject>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) key: String,
    /// As it is told.
    pub(super) wrong: Wrong,
}

/// The faults that make the daemon degraded, and the issues that are open.
pub(super) struct Judgement {
    pub(super) faults: Vec<Fault>,
    /// The issues, those of the faults among them.
    pub(super) issues: Vec<HealthIssue>,
}

pub(super) fn judge(facts: &Facts<'_>, now: Millis) -> Judgement {
    let faults = wrong(facts);
    let found = |key: &str| faults.iter().any(|fault| fault.key == key);
    let standing = facts.issues.iter();
    let standing = standing.filter(|issue| found(&issue.subject) || !at_once(issue));
    let mut issues: Vec<HealthIssue> = standing.cloned().map(HealthIssue::from).collect();
    for fault in &faults {
        if issues.iter().all(|issue| issue.subject != fault.key) {
            issues.insert(0, fault.noticed(now));
        }
    }
    Judgement { faults, issues }
}

impl Fault {
    /// The issue that `self_healing` is about to open.
    fn noticed(&self, now: Millis) -> HealthIssue {
        let detector = self.key.split(':').next().unwrap_or_default();
        let limit = AT_ONCE.iter().find(|(name, _)| *name == detector);
        HealthIssue {
            subject: self.key.clone(),
            severity: Severity::Error.as_str().to_owned(),
            detector: detector.to_owned(),
            value: self.wrong.what.clone(),
            limit: limit.map_or_else(
                || self.wrong.remedy.clone(),
                |(_, limit)| (*limit).to_owned(),
            ),
            opened_at: now.to_string(),
            closed_at: None,
            fix: None,
            fix_attempts: 0,
            fix_result: None,
        }
    }
}

/// Whether what an issue says is judged here. Of Redis that is so where work waits for it; else only time tells.
fn at_once(issue: &Issue) -> bool {
    let waited_for = issue.detector == "redis_away" && issue.severity == Severity::Error;
    waited_for || AT_ONCE.iter().any(|(name, _)| *name == issue.detector)
}

/// That an agent failed too often.
pub(super) fn parked_text(name: &str, reason: Option<&str>) -> String {
    let why = reason.unwrap_or("it failed too often");
    format!("the agent {name} is parked: {why}")
}

#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) instance: &'a str,
    /// What is wrong with the store's files.
    pub(super) standing: &'a Standing,
    /// The index is being opened after a start, which is no fault.
    pub(super) opening: bool,
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

/// Everything that makes the daemon degraded; the list of the design, in its order, then whatever else is an error.
fn wrong(facts: &Facts<'_>) -> Vec<Fault> {
    let mut wrong = parked(facts);
    wrong.extend(unavailable(facts));
    wrong.extend(replaced(facts));
    wrong.extend(damage(facts));
    wrong.extend(index(facts));
    wrong.extend(captures(facts));
    wrong.extend(absent(facts));
    wrong.extend(dead(facts));
    wrong.extend(redis(facts));
    let others: Vec<Fault> = facts
        .issues
        .iter()
        .filter_map(|i| other(i, &wrong))
        .collect();
    wrong.extend(others);
    wrong
}

/// An open issue that is an error, and neither judged here at once nor told already.
fn other(issue: &Issue, told: &[Fault]) -> Option<Fault> {
    let known = at_once(issue) || told.iter().any(|fault| fault.key == issue.subject);
    (issue.severity == Severity::Error && !known).then(|| {
        let about = issue.subject.split_once(':').map_or("", |(_, about)| about);
        Fault {
            key: issue.subject.clone(),
            wrong: Wrong {
                what: format!("{about}: {}", issue.value),
                remedy: format!(
                    "expected: {}; `docent health` tells what was tried",
                    issue.limit
                ),
            },
        }
    })
}

fn redis(facts: &Facts<'_>) -> Option<Fault> {
    let what = format!("Redis cannot carry events: {}", facts.redis?);
    Some(because(
        ("redis_away", &Subject::redis(facts.instance)),
        what,
        "start or mend it, and what is owed goes on by itself; publishing works meanwhile",
    ))
}

fn because((detector, subject): (&str, &Subject), what: String, remedy: &str) -> Fault {
    Fault {
        key: format!("{detector}:{subject}"),
        wrong: Wrong {
            what,
            remedy: remedy.to_owned(),
        },
    }
}

fn parked(facts: &Facts<'_>) -> Vec<Fault> {
    let parked = facts
        .agents
        .iter()
        .filter(|a| a.agent.state == AgentState::Parked.as_str());
    let wrong = parked.map(|named| {
        let name = &named.name;
        Fault {
            key: format!("agent_parked:agent/{name}@{}", facts.instance),
            wrong: Wrong {
                what: parked_text(name, named.agent.reason.as_deref()),
                remedy: format!("mend the cause that the log names, then `docent agent restart {name}`; self_healing tries that too"),
            },
        }
    });
    wrong.collect()
}

fn unavailable(facts: &Facts<'_>) -> Vec<Fault> {
    let wrong = facts.agents.iter().filter_map(|named| {
        let unavailable = named.agent.unavailable.as_ref()?;
        let name = &named.name;
        Some(Fault {
            key: format!("agent_unavailable:agent/{name}@{}", facts.instance),
            wrong: Wrong {
                what: format!(
                    "the agent {name} has been waiting since {}: {}",
                    unavailable.since, unavailable.why
                ),
                remedy: "it goes on by itself when the cause is gone".to_owned(),
            },
        })
    });
    wrong.collect()
}

/// Nothing can be written then, also no issue.
fn replaced(facts: &Facts<'_>) -> Option<Fault> {
    let replaced = facts.standing.replaced.as_ref()?;
    let about = ("store_replaced", &Subject::store());
    Some(because(about, replaced.how.clone(), PUT_BACK))
}

fn damage(facts: &Facts<'_>) -> Vec<Fault> {
    let wrong = facts.issues.iter().filter_map(|issue| {
        let (what, remedy) = match issue.detector.as_str() {
            STORE_DETECTOR => (
                "the store is not intact",
                "stop docent, then put back a copy of store.db, or move it away with its -wal file: documents are read anew",
            ),
            INDEX_DETECTOR => (
                "the index is not intact",
                "it is built anew from the store by itself; `docent health` tells how far that is",
            ),
            _ => return None,
        };
        Some(Fault {
            key: issue.subject.clone(),
            wrong: Wrong {
                what: format!("{what}: {}", issue.value),
                remedy: remedy.to_owned(),
            },
        })
    });
    wrong.collect()
}

fn index(facts: &Facts<'_>) -> Option<Fault> {
    let subject = Subject::index(facts.instance);
    if let Some(why) = &facts.follower.stopped {
        let what = format!("the index does not follow the store: {why}");
        let remedy = "it goes on by itself when the cause is gone";
        return Some(because(("index_stopped", &subject), what, remedy));
    }
    let what = "the index is being opened or rebuilt".to_owned();
    let remedy = "wait: search answers when it is there";
    (!facts.follower.ready && !facts.opening)
        .then(|| because(("index_unready", &subject), what, remedy))
}

/// The floor is one of the reasons why captures are held: it is said once.
fn captures(facts: &Facts<'_>) -> Option<Fault> {
    if facts.free.bytes < facts.free.floor {
        let (free, floor) = (format_size(facts.free.bytes), format_size(facts.free.floor));
        return Some(because(
            ("disk", &Subject::collection("disk")),
            format!("the disk of data_dir has {free} free, less than {floor}: nothing is captured"),
            "free space; captures go on by themselves",
        ));
    }
    let why = facts.progress.held.as_ref()?;
    let agent = Subject::agent(AgentName::ChangeDetection, facts.instance);
    Some(because(
        ("captures_held", &agent),
        format!("captures are held: {why}"),
        "they go on by themselves when the cause is gone",
    ))
}

fn absent(facts: &Facts<'_>) -> Vec<Fault> {
    let roots = facts.progress.roots.iter();
    let wrong = roots.filter_map(|root| {
        let name = &root.collection;
        let accept = format!("docent scan {name} --accept-removals");
        if let RootState::RemovalsHeld(cause) = &root.state {
            return Some(because(
                ("removals_held", &Subject::collection(name)),
                format!("the removals in {name} are held: {cause}"),
                &format!("mount the volume again or put the directory back; to take what is at its place now: {accept}"),
            ));
        }
        let (cause, then) = root.state.away()?;
        let remedy = match root.state {
            RootState::Denied(_) => format!("let docent's user read it; {then}"),
            RootState::LetGo(_) => format!("put it back, or take the collection out of the config; {then}"),
            _ => format!("mount it or put it back; {then} until then, or let them go: {accept}"),
        };
        Some(because(
            ("root_absent", &Subject::collection(name)),
            format!("the root of {name} cannot be reached: {cause}"),
            &remedy,
        ))
    });
    wrong.collect()
}

fn dead(facts: &Facts<'_>) -> Option<Fault> {
    let agents = facts.agents.iter().map(|a| (a.name.as_str(), a.agent.dead));
    let each = agents.chain([("ingress", facts.ingress_dead)]);
    let each: Vec<(&str, u64)> = each.filter(|(_, dead)| *dead > 0).collect();
    let what = match each.iter().map(|(_, dead)| dead).sum::<u64>() {
        0 => return None,
        1 => "1 delivery is dead".to_owned(),
        dead => format!("{dead} deliveries are dead"),
    };
    let each: Vec<String> = each
        .iter()
        .map(|(name, dead)| format!("{name} {dead}"))
        .collect();
    let what = format!("{what}: {}", each.join(", "));
    Some(because(
        ("dead_letters", &Subject::collection("dead")),
        what,
        "see `docent dead list`; when the cause is mended, `docent dead replay ID…`; `docent dead drop ID…` gives it up",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::AgentView;
    use crate::runtime::RootReport;

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
                queued: 0,
                kept: 0,
                retrying: 0,
                dead,
                unavailable: None,
            },
        }
    }

    fn issue(detector: &str) -> Issue {
        Issue {
            subject: format!("{detector}:store"),
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
        let faults = judged(change).faults.into_iter();
        faults.map(|fault| fault.wrong.what).collect()
    }

    fn judged(change: impl FnOnce(&mut Owned)) -> Judgement {
        let mut owned = Owned {
            agents: vec![agent(AgentState::Running, 0)],
            follower: FollowerState {
                ready: true,
                ..FollowerState::default()
            },
            progress: ScanProgress::default(),
            free: FreeSpace { bytes: 9, floor: 9 },
            issues: vec![Issue {
                severity: Severity::Warning,
                ..issue("oldest_owed")
            }],
        };
        change(&mut owned);
        let facts = Facts {
            standing: &Standing::default(),
            opening: false,
            instance: "here",
            agents: &owned.agents,
            follower: &owned.follower,
            progress: &owned.progress,
            free: owned.free,
            issues: &owned.issues,
            redis: None,
            ingress_dead: 0,
        };
        judge(&facts, Millis(7))
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
            ["2 deliveries are dead: rag 2"]
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
            ["the index does not follow the store: full"]
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
        let root = |state| RootReport {
            collection: "docs".to_owned(),
            path: "/docs".into(),
            state,
            polled: None,
            walked_at: None,
            unlisted: Vec::new(),
            shut: Vec::new(),
        };
        let away = RootState::Absent;
        for away in [away, RootState::Denied, RootState::LetGo] {
            let away = root(away("no such file".to_owned()));
            assert_eq!(found(|f| f.progress.roots.push(away)), absent);
        }
        let held = root(RootState::RemovalsHeld("another device".to_owned()));
        assert_eq!(
            found(|f| f.progress.roots.push(held)),
            ["the removals in docs are held: another device"]
        );
    }

    /// The keys of the issues that are told.
    fn told(change: impl FnOnce(&mut Owned)) -> Vec<String> {
        let issues = judged(change).issues.into_iter();
        issues.map(|issue| issue.subject).collect()
    }

    #[test]
    fn what_is_wrong_and_what_is_an_issue_never_contradict_each_other() {
        assert_eq!(told(|_| {}), ["oldest_owed:store"]);
        // Found at once, before self_healing has looked again.
        let now = told(|f| f.agents[0].agent.dead = 1);
        assert_eq!(now, ["dead_letters:dead", "oldest_owed:store"]);
        // Over at once, before self_healing has closed its issue.
        let over = |f: &mut Owned| f.issues.push(issue("dead_letters"));
        assert_eq!(told(over), ["oldest_owed:store"]);
        assert_eq!(found(over), [""; 0]);
        // Open and still true: told once, as it was opened.
        let both = |f: &mut Owned| {
            f.agents[0].agent.dead = 1;
            f.issues = vec![Issue {
                subject: "dead_letters:dead".to_owned(),
                ..issue("dead_letters")
            }];
        };
        let judged = judged(both);
        assert_eq!((judged.faults.len(), judged.issues.len()), (1, 1));
        assert_eq!(judged.issues[0].opened_at, Millis(0).to_string());
        // An error that only self_healing can see makes the daemon degraded too.
        let late = |f: &mut Owned| f.issues.push(issue("file_drift"));
        assert_eq!(found(late), ["store: page 7 is never used"]);
    }
}
