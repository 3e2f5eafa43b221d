//! Dead letters, jobs and collections.

use super::super::super::overview::GroupKey;
use super::super::super::wire::{
    CollectionOverview, DeadGroup, JobRun, JobView, ListedState, Overview, RunState, Trend,
};
use super::super::words::{Moment, age};
use super::spark::Spark;
use super::tone::Tone;
use super::trend::{of, rounded};
use crate::amounts::{counted, duration, number};

/// Dead letters in groups.
pub(super) struct DeadPanel {
    pub(super) told: String,
    pub(super) groups: Vec<DeadRow>,
}

/// Dead letters of the same agent, type and error.
pub(super) struct DeadRow {
    pub(super) id: String,
    pub(super) count: String,
    pub(super) is_one: bool,
    pub(super) agent: String,
    pub(super) kind: String,
    pub(super) error: String,
    pub(super) subject: String,
    pub(super) at: Moment,
    pub(super) age: String,
}

pub(super) fn dead(overview: &Overview) -> DeadPanel {
    let (dead, now) = (&overview.dead, overview.taken_at.as_str());
    let mut told = match dead.total {
        0 => "none".to_owned(),
        n => number(n),
    };
    if dead.looked_at < dead.total {
        told.push_str(&format!(
            ", the newest {} in groups",
            number(dead.looked_at)
        ));
    }
    if dead.more_groups > 0 {
        told.push_str(&format!(
            ", {} not shown",
            counted(dead.more_groups, "group", "groups")
        ));
    }
    DeadPanel {
        told,
        groups: dead
            .groups
            .iter()
            .map(|group| group_row(group, now))
            .collect(),
    }
}

fn group_row(group: &DeadGroup, now: &str) -> DeadRow {
    DeadRow {
        id: GroupKey::of_group(group).id(),
        count: number(group.count),
        is_one: group.count == 1,
        agent: group.agent.clone(),
        kind: group.kind.clone(),
        error: group.error.clone(),
        subject: group.subject.clone(),
        at: Moment::at(&group.at, now),
        age: age(&group.at, now),
    }
}

/// A job.
pub(super) struct JobRow {
    pub(super) name: String,
    pub(super) schedule: String,
    pub(super) paused: bool,
    pub(super) state: String,
    pub(super) tone: Tone,
    pub(super) reason: Option<String>,
    pub(super) last: Option<Moment>,
    pub(super) last_age: String,
    pub(super) took: String,
    pub(super) next: Option<Moment>,
    pub(super) next_age: String,
    pub(super) missed: String,
}

pub(super) fn jobs(overview: &Overview) -> Vec<JobRow> {
    let now = overview.taken_at.as_str();
    overview.jobs.iter().map(|job| job_row(job, now)).collect()
}

fn job_row(job: &JobView, now: &str) -> JobRow {
    let last = job.last.as_ref();
    let told = |at: &Option<String>| at.as_ref().map(|at| Moment::at(at, now));
    let aged = |at: &Option<String>| at.as_ref().map_or_else(String::new, |at| age(at, now));
    let state = last.and_then(|last| last.state.known());
    JobRow {
        name: job.name.clone(),
        schedule: job.schedule.clone(),
        paused: job.paused,
        state: last.map_or_else(|| "never ran".to_owned(), |last| last.state.to_string()),
        tone: match state {
            Some(RunState::Ok) => Tone::Good,
            Some(RunState::Failed) => Tone::Bad,
            Some(RunState::Running) => Tone::Doubt,
            None => Tone::Plain,
        },
        reason: last.and_then(|last| last.reason.clone()),
        last: told(&job.last_at),
        last_age: aged(&job.last_at),
        took: last.and_then(took).unwrap_or_default(),
        next: told(&job.next_at).filter(|_| !job.paused),
        next_age: aged(&job.next_at),
        missed: number(job.missed),
    }
}

fn took(run: &JobRun) -> Option<String> {
    // Below 2^53 ms.
    run.took_ms.map(|ms| duration(ms as f64 / 1000.0))
}

/// A collection.
pub(super) struct CollectionRow {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) root: String,
    pub(super) tone: Tone,
    pub(super) cause: Option<String>,
    pub(super) watch: String,
    pub(super) why_poll: Option<String>,
    pub(super) files: String,
    pub(super) files_spark: Option<Spark>,
    pub(super) stored: String,
    pub(super) stored_spark: Option<Spark>,
    pub(super) others: Vec<String>,
    pub(super) rejections: Vec<String>,
    /// What cannot be listed or is not taken in.
    pub(super) shut: Vec<String>,
}

pub(super) fn collections(overview: &Overview, trend: &Trend) -> Vec<CollectionRow> {
    let collections = overview.collections.iter();
    collections.map(|one| collection_row(one, trend)).collect()
}

fn collection_row(overview: &CollectionOverview, trend: &Trend) -> CollectionRow {
    let collection = &overview.collection;
    let figure = |figure: &str, told: &str| {
        let told = format!("{told} of {}", collection.name);
        Spark::of(trend, &of(figure, &collection.name), &told, rounded)
    };
    let stored = overview
        .states
        .iter()
        .find(|(state, _)| **state == ListedState::Stored);
    let others = overview
        .states
        .iter()
        .filter(|(state, n)| **state != ListedState::Stored && **n > 0);
    let unlisted = collection
        .unlisted
        .iter()
        .map(|path| format!("cannot be listed: {path}"));
    let reasons = overview.rejections.iter();
    CollectionRow {
        name: collection.name.clone(),
        path: collection.path.clone(),
        root: collection.root.clone(),
        tone: match collection.root.as_str() {
            "there" => Tone::Good,
            "absent" => Tone::Bad,
            _ => Tone::Doubt,
        },
        cause: collection.cause.clone(),
        watch: match collection.watch.as_str() {
            "native" => "watched".to_owned(),
            "poll" => "polled".to_owned(),
            other => other.to_owned(),
        },
        why_poll: collection.why_poll.clone(),
        files: number(overview.files),
        files_spark: figure("files", "Files"),
        stored: number(stored.map_or(0, |(_, n)| *n)),
        stored_spark: figure("stored", "Stored files"),
        others: others
            .map(|(state, n)| format!("{} {state}", number(*n)))
            .collect(),
        rejections: reasons
            .map(|r| format!("{}: {}", number(r.files), r.reason))
            .collect(),
        shut: unlisted.chain(collection.shut.iter().cloned()).collect(),
    }
}
