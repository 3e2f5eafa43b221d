//! Facts of a daemon that is well, and of one that is not.

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::event::Millis;
use crate::runtime::{AgentState, Board, RootReport, RootState, ScanProgress};
use crate::store::{HeldLog, ScanRow, Undelivered};
use crate::word::Word;

pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);

pub(super) fn agent(name: AgentName) -> AgentFacts {
    let board = Board::new(&[name]);
    board.update(name, |a| a.state = AgentState::Running);
    AgentFacts {
        status: board.agent(name),
        steady: LONG,
        restarts: 0,
        oldest_owed: Some(None),
    }
}

fn scan(collection: &str, ended_at: Millis) -> ScanRow {
    ScanRow {
        collection: collection.to_owned(),
        began_at: ended_at,
        ended_at,
        files: 1,
    }
}

pub(super) fn root(collection: &str, state: RootState) -> RootReport {
    RootReport {
        collection: collection.to_owned(),
        path: "/docs".into(),
        state,
        polled: None,
        walked_at: None,
        unlisted: Vec::new(),
        shut: Vec::new(),
    }
}

pub(super) fn all_well() -> Facts {
    let now = Millis(1_700_000_000_000);
    Facts {
        instance: "here".to_owned(),
        now,
        agents: vec![agent(AgentName::Rag)],
        free: Some(u64::MAX),
        integrity: Some(None),
        audit_break: Some(None),
        index: Some(IndexFacts {
            chunks: Some((3, 3)),
            ..IndexFacts::default()
        }),
        edge: Some(EdgeFacts {
            collections: vec!["docs".to_owned()],
            scans: Some(vec![scan("docs", now)]),
            ..EdgeFacts::default()
        }),
        drift: Some(BTreeMap::new()),
        ingress_dead: Some(0),
        undelivered: Some(Vec::new()),
        redis: Some(redis::tests::carries()),
        ..Facts::default()
    }
}

pub(super) fn nothing_known() -> Facts {
    let mut facts = all_well();
    facts.agents[0].oldest_owed = None;
    facts.index = Some(IndexFacts::default());
    facts.edge = Some(EdgeFacts::default());
    Facts {
        free: None,
        integrity: None,
        audit_break: None,
        drift: None,
        ingress_dead: None,
        undelivered: None,
        redis: Some(redis::tests::not_known()),
        ..facts
    }
}

pub(super) fn everything_wrong() -> Facts {
    let mut facts = all_well();
    let rag = &mut facts.agents[0];
    rag.status.state = AgentState::Parked;
    rag.status.unavailable = Some(("no model".to_owned(), facts.now));
    (rag.steady, rag.restarts) = (Duration::ZERO, 20);
    rag.oldest_owed = Some(Some(facts.now.minus(LONG)));
    facts.dead = vec![(AgentName::Rag, 2)];
    facts.free = Some(0);
    facts.integrity = Some(Some("page 7 is torn".to_owned()));
    facts.audit_break = Some(Some("record 7: record 6 is missing".to_owned()));
    facts.commits_lost = Some(facts.now);
    facts.held_log = Some(HeldLog {
        bytes: 1 << 30,
        since: facts.now,
    });
    facts.index = Some(IndexFacts {
        stopped: Some("disk full".to_owned()),
        unready: LONG,
        behind: LONG,
        chunks: Some((3, 4)),
    });
    let mut docs = root("docs", RootState::Absent("no such folder".to_owned()));
    docs.unlisted.push("/docs/locked".into());
    docs.shut.push("/docs/.gitignore: too large".to_owned());
    let wiki = root("wiki", RootState::RemovalsHeld("another device".to_owned()));
    facts.edge = Some(EdgeFacts {
        collections: vec!["docs".to_owned(), "code".to_owned()],
        progress: ScanProgress {
            held: Some("the disk is full".to_owned()),
            roots: vec![docs, wiki],
            ..ScanProgress::default()
        },
        scans: Some(vec![scan("code", facts.now.minus(LONG))]),
    });
    facts.replaced = Some("store.db was removed".to_owned());
    facts.unwritable = Some("no space left".to_owned());
    let drifted = Drifted {
        files: vec![Subject::collection("docs/a.md")],
        how: "has no document",
    };
    facts.undelivered = Some(vec![Undelivered {
        rule: "disk".to_owned(),
        count: 2,
        since: facts.now,
        error: "refused".to_owned(),
    }]);
    facts.drift = Some(BTreeMap::from([("docs".to_owned(), drifted)]));
    facts.agents.push(agent(AgentName::Scheduler));
    facts.redis = Some(redis::tests::everything_wrong());
    facts
}

#[test]
fn names_are_unique_and_make_keys_that_can_be_told_apart() {
    let names: HashSet<&str> = Detector::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(names.len(), Detector::ALL.len());
    assert!(names.iter().all(|name| !name.contains(':')));
}

#[test]
fn each_detector_finds_its_own_kind() {
    let facts = everything_wrong();
    for detector in Detector::ALL {
        let found = look(*detector, &facts, &Limits::default()).unwrap();
        assert_eq!(found.len(), 1, "{detector:?}");
        assert_eq!(found[0].detector, *detector);
        assert!(!found[0].what.is_empty() && !found[0].remedy.is_empty());
    }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong_and_nothing_said_where_nothing_is_known() {
    let facts = all_well();
    for detector in Detector::ALL {
        let found = look(*detector, &facts, &Limits::default());
        assert_eq!(found, Some(Vec::new()), "{detector:?}");
    }
    let unknown = nothing_known();
    for detector in [
        Detector::OldestOwed,
        Detector::DeadLetters,
        Detector::RedisAway,
        Detector::RedisStrangers,
        Detector::RedisStuck,
        Detector::RedisInbox,
        Detector::RedisIngress,
        Detector::AlertUndelivered,
        Detector::Disk,
        Detector::Integrity,
        Detector::AuditBroken,
        Detector::IndexDrift,
        Detector::ScanOverdue,
        Detector::FileDrift,
    ] {
        let found = look(detector, &unknown, &Limits::default());
        assert_eq!(found, None, "{detector:?}");
    }
}
