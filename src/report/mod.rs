//! Reports: what happened in a period, gathered from the store, as Markdown and as JSON of the same figures.
//!
//! A figure says which span it covers: the audit log and the ledger keep what they hold for different times, and what is not
//! kept is not told.

mod gather;
mod markdown;
mod period;

use serde_json::{Value, json};

pub(crate) use gather::gather;
pub(crate) use period::{Period, PeriodError};

use crate::event::{EventId, Millis};
use crate::store::ReportRow;

/// A span of time that figures cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportSpan {
    pub from: Millis,
    pub to: Millis,
}

/// Something that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub agent: String,
    pub error: String,
    pub count: u64,
}

/// Causes, the most frequent first; of many only the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Causes {
    pub causes: Vec<Cause>,
    /// How many have other causes.
    pub others: u64,
}

/// How long events waited for an agent and were handled by it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AgentTime {
    pub agent: String,
    pub done: u64,
    pub mean_ms: u64,
    pub max_ms: u64,
}

/// How long changes took from being captured until their chunks were in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FreshnessSpread {
    pub changes: u64,
    pub p50_ms: u64,
    pub p90_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
}

/// What became of one kind of fix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FixCount {
    pub fix: String,
    /// Those that were verified,
    pub applied: u64,
    /// and of these, those whose issue came again in the period.
    pub came_again: u64,
    pub failed: u64,
}

/// How large everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub documents: u64,
    pub chunks: u64,
    /// `None`: not known.
    pub store_bytes: Option<u64>,
}

/// What a report tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub period: String,
    pub span: ReportSpan,
    pub instance: String,
    pub written_at: Millis,
    /// What the audit log covers of the period; `None`: nothing.
    pub audited: Option<ReportSpan>,
    /// Events by their type.
    pub events: Vec<(String, u64)>,
    pub dead: Causes,
    pub fixes: Vec<FixCount>,
    /// What the ledger covers of the period; `None`: nothing.
    pub ledger: Option<ReportSpan>,
    /// Deliveries with attempts that failed, dead or not.
    pub failed: Causes,
    /// The slowest first.
    pub agents: Vec<AgentTime>,
    /// `None`: no change was followed to its end.
    pub freshness: Option<FreshnessSpread>,
    pub sizes: Sizes,
    /// The report that was written nearest to the beginning of the period: its name, when, and the sizes then.
    pub previous: Option<(String, Millis, Sizes)>,
    /// The number and the hash of the newest record of the audit log.
    pub audit_head: Option<(u64, String)>,
}

impl Report {
    /// What it is called.
    pub(crate) fn name(&self) -> String {
        let moment = self.written_at.to_string().replace(':', "");
        let period = self.period.replace(':', "");
        let seconds = moment.split('.').next().unwrap_or_default();
        format!("{period}-{seconds}Z")
    }

    /// As it is kept.
    pub(crate) fn row(&self, event: EventId) -> ReportRow {
        ReportRow {
            name: self.name(),
            event: event.to_string(),
            at: self.written_at.0,
            markdown: self.markdown(),
            json: self.json().to_string(),
        }
    }

    /// The data of the event that tells of it.
    pub(crate) fn announcement(&self, name: &str) -> Value {
        let all: u64 = self.events.iter().map(|(_, count)| count).sum();
        let sum =
            |causes: &Causes| causes.others + causes.causes.iter().map(|c| c.count).sum::<u64>();
        json!({
            "path": format!("report/{name}"), "events": all, "dead": sum(&self.dead), "failed": sum(&self.failed),
            "fixes": self.fixes.iter().map(|f| f.applied + f.failed).sum::<u64>(),
            "documents": self.sizes.documents, "chunks": self.sizes.chunks,
        })
    }

    /// As one JSON object.
    pub(crate) fn json(&self) -> Value {
        let span = |span: &Option<ReportSpan>| {
            span.map(|span| json!({"from": span.from.to_string(), "to": span.to.to_string()}))
        };
        let causes = |causes: &Causes| {
            let each = causes.causes.iter();
            let each = each.map(|c| json!({"agent": c.agent, "error": c.error, "count": c.count}));
            json!({"causes": each.collect::<Vec<_>>(), "others": causes.others})
        };
        let sizes = |sizes: &Sizes| json!({"documents": sizes.documents, "chunks": sizes.chunks, "store_bytes": sizes.store_bytes});
        let events: serde_json::Map<_, _> = self
            .events
            .iter()
            .map(|(kind, count)| (kind.clone(), json!(count)))
            .collect();
        let fixes = self.fixes.iter().map(|f| {
            json!({"fix": f.fix, "applied": f.applied, "came_again": f.came_again, "failed": f.failed})
        });
        let agents = self.agents.iter().map(
            |a| json!({"agent": a.agent, "done": a.done, "mean_ms": a.mean_ms, "max_ms": a.max_ms}),
        );
        let freshness = self.freshness.as_ref().map(|f| {
            json!({"changes": f.changes, "p50_ms": f.p50_ms, "p90_ms": f.p90_ms, "p99_ms": f.p99_ms, "max_ms": f.max_ms})
        });
        let previous = self.previous.as_ref().map(
            |(name, at, then)| json!({"name": name, "at": at.to_string(), "sizes": sizes(then)}),
        );
        let head = self
            .audit_head
            .as_ref()
            .map(|(n, hash)| json!({"n": n, "hash": hash}));
        json!({
            "name": self.name(), "period": self.period, "instance": self.instance,
            "from": self.span.from.to_string(), "to": self.span.to.to_string(), "written_at": self.written_at.to_string(),
            "audit": {"covers": span(&self.audited), "head": head},
            "events": events, "dead": causes(&self.dead), "fixes": fixes.collect::<Vec<_>>(),
            "ledger": {"covers": span(&self.ledger)},
            "failed": causes(&self.failed), "agents": agents.collect::<Vec<_>>(), "freshness": freshness,
            "sizes": sizes(&self.sizes), "previous": previous,
        })
    }
}
