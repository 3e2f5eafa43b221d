//! The options of each agent, from the config.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::agents::rag::{RagOptions, identity};
use crate::agents::scheduler::JobOption;
use crate::agents::{change_detection, logging_audit, scheduler, self_healing};
use crate::config::{self, Config};
use crate::document::{ChunkOptions, kind_of};
use crate::event::{EventType, Known, Subject};
use crate::health::Limits;
use crate::health::alerts::AlertRule;
use crate::index::FollowerOptions;
use crate::store::Store;

pub(super) fn edge(config: &Config) -> change_detection::WatchOptions {
    let types = config.documents.file_types.clone();
    let supported = move |path: &[u8]| {
        kind_of(path).is_some_and(|kind| types.iter().any(|t| t.as_str() == kind.as_str()))
    };
    let collection = |c: &config::Collection| change_detection::Collection {
        name: c.name.clone(),
        root: c.path.clone(),
        include: c.include.clone(),
        exclude: c.exclude.clone(),
        allow_secrets: c.allow_secrets.clone(),
        git: c.git,
        watch: match c.watch {
            config::WatchMode::Auto => change_detection::WatchMode::Auto,
            config::WatchMode::Native => change_detection::WatchMode::Native,
            config::WatchMode::Poll => change_detection::WatchMode::Poll,
        },
    };
    change_detection::WatchOptions {
        collections: config.collections.iter().map(collection).collect(),
        supported: Arc::new(supported),
        secrets: config.documents.secrets.clone(),
        own_files: config.own_files.clone(),
        file_size: config.documents.file_size,
        debounce: config.watch.debounce,
        stable_after: config.watch.stable_after,
        rescan: config.watch.rescan,
        poll: config.watch.poll,
        owed_high: config.watch.owed_high,
        owed_high_watch: config.watch.owed_high_watch,
        free_space_floor: config.store.free_space_floor,
        data_dir: config.data_dir.clone(),
        instance: config.instance.clone(),
    }
}

pub(super) fn rag(config: &Config, store: &Store) -> RagOptions {
    let chunking = ChunkOptions {
        size: config.index.chunk_size,
        overlap: config.index.chunk_overlap,
    };
    RagOptions {
        chunking,
        follower: FollowerOptions {
            folder: config.data_dir.join("index"),
            identity: identity(store, chunking),
            commit_interval: config.index.commit_interval,
        },
        instance: config.instance.clone(),
    }
}

pub(super) fn scheduler(config: &Config) -> scheduler::SchedulerOptions {
    let job_with = |name: &str, job: &config::Job, (kind, subject, data)| JobOption {
        name: name.to_owned(),
        schedule: job.schedule.clone(),
        enabled: job.enabled,
        missed: job.missed,
        kind,
        subject,
        data,
    };
    let job = |name: &str, job: &config::Job, kind: EventType, subject: Subject| {
        job_with(name, job, (kind, subject, json!({"job": name})))
    };
    let report = "weekly-report";
    let data = json!({"job": report, "period": "week"});
    let report = (EventType::ReportRequested, Subject::job(report), data);
    let jobs = &config.jobs;
    let index = Subject::index(&config.instance);
    scheduler::SchedulerOptions {
        timezone: config.scheduler.timezone.clone(),
        jobs: vec![
            job(
                "maintenance",
                &jobs.maintenance,
                EventType::MaintenanceRequested,
                Subject::store(),
            ),
            job(
                "health",
                &jobs.health,
                EventType::HealthCheckRequested,
                Subject::store(),
            ),
            job(
                "verify",
                &jobs.verify,
                EventType::IndexVerifyRequested,
                index,
            ),
            job_with("weekly-report", &jobs.weekly_report, report),
        ],
        instance: config.instance.clone(),
    }
}

/// The names that events from outside may be about.
pub(super) fn known(config: &Config) -> Known {
    let jobs = scheduler(config).jobs;
    Known {
        collections: config.collections.iter().map(|c| c.name.clone()).collect(),
        jobs: jobs.into_iter().map(|job| job.name).collect(),
    }
}

pub(super) fn roots(config: &Config) -> BTreeMap<String, PathBuf> {
    let collections = config.collections.iter();
    collections
        .map(|c| (c.name.clone(), c.path.clone()))
        .collect()
}

pub(super) fn audit(config: &Config) -> logging_audit::AuditOptions {
    let alert = |alert: &config::Alert| {
        let receiver = match &alert.webhook {
            Some(url) => logging_audit::AlertReceiver::Webhook {
                url: url.clone(),
                secret_file: alert.secret_file.clone(),
                ca_file: alert.authorities().map(Path::to_owned),
            },
            None if alert.command.is_empty() => logging_audit::AlertReceiver::Nobody,
            None => logging_audit::AlertReceiver::Command(alert.command.clone()),
        };
        // A config that was loaded has the limit that its rule takes.
        let rule = AlertRule::of(alert)?;
        Some(logging_audit::AlertOption { rule, receiver })
    };
    let jobs = config.jobs.all().into_iter();
    logging_audit::AuditOptions {
        instance: config.instance.clone(),
        data_dir: config.data_dir.clone(),
        alerts: config.alerts.iter().filter_map(alert).collect(),
        jobs: jobs
            .filter(|(_, job)| job.enabled)
            .map(|(name, _)| name.to_owned())
            .collect(),
    }
}

pub(super) fn healing(config: &Config) -> self_healing::HealingOptions {
    self_healing::HealingOptions {
        instance: config.instance.clone(),
        data_dir: config.data_dir.clone(),
        collections: config.collections.iter().map(|c| c.name.clone()).collect(),
        probe: config.health.probe,
        slice: config.health.slice,
        fix_attempts: config.health.fix_attempts,
        fix_backoff: Duration::from_secs(60),
        retention: config.audit.retention,
        limits: limits(config),
    }
}

/// What is too much, for whoever judges what is wrong.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        oldest_owed: config.health.oldest_owed,
        free_space: config.store.free_space_floor,
        scan_age: config.watch.rescan * 2,
        ..Limits::default()
    }
}
