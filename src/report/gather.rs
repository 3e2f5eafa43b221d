//! Gathers a report's figures from the store, in slices.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{
    AgentTime, Cause, Causes, FixCount, FreshnessSpread, Period, Report, ReportSpan, Sizes,
};
use crate::event::{Heartbeat, Millis, Seq};
use crate::store::{AgentTimes, ReadError, Store};

/// Causes that a report names,
const NAMED_MAX: usize = 20;
/// and that are told apart.
const APART_MAX: usize = 1000;

/// Times that are at least as long are told to the second: so there are never many different ones.
const MINUTE_MS: u64 = 60_000;

/// In the place of the type of a record that somebody altered so that it has none.
const UNREADABLE: &str = "unreadable";

/// What of the audit log is looked at one by one.
const WANTED: &[&str] = &[
    "event.dead_lettered",
    "fix.applied",
    "fix.failed",
    "health.issue",
];

/// Gathers a report. Beats while it does.
pub(crate) async fn gather(
    store: &Store,
    instance: &str,
    period: &Period,
    heartbeat: &Heartbeat,
) -> Result<Report, ReadError> {
    let ReportSpan { from, to } = period.span;
    let ends = store.audit_ends().await?;
    let mut audited = Audited::default();
    let mut after = None;
    loop {
        heartbeat.beat();
        let slice = store.audit_slice(from, to, after, WANTED).await?;
        let Some(last) = slice.last else { break };
        after = Some(last);
        for (kind, count) in slice.types {
            audited.count(kind, count);
        }
        slice.records.iter().for_each(|record| audited.take(record));
    }
    let mut ledger = Ledger::default();
    let mut after = Seq(0);
    loop {
        heartbeat.beat();
        let slice = store.ledger_slice(from, to, after).await?;
        let Some(last) = slice.last else { break };
        after = last;
        for times in slice.times {
            ledger.take(times);
        }
        for failed in slice.failed {
            count(
                &mut ledger.failed,
                (failed.agent, failed.error),
                failed.deliveries,
            );
        }
        for took in slice.fresh_ms {
            *ledger.fresh.entry(rounded(took)).or_default() += 1;
        }
    }
    let (documents, _) = store.document_counts().await?;
    // It has the sizes as they were when the period began, as nearly as they are known.
    let previous = store.report_nearest(from).await?;
    Ok(Report {
        period: period.label.clone(),
        span: period.span,
        instance: instance.to_owned(),
        written_at: Millis::now(),
        audited: covered(period.span, ends.as_ref().map(|(since, ..)| *since)),
        events: audited.events.into_iter().collect(),
        dead: causes(audited.dead),
        fixes: audited.fixes.into_values().collect(),
        ledger: covered(period.span, store.ledger_since().await?),
        failed: causes(ledger.failed),
        agents: slowest(ledger.times),
        freshness: freshness(&ledger.fresh),
        sizes: Sizes {
            documents,
            chunks: store.chunk_count().await?,
            store_bytes: store.bytes(),
        },
        previous: previous.and_then(|row| {
            let json: Value = serde_json::from_str(&row.json).ok()?;
            let then = sizes(&json["sizes"])?;
            Some((row.name, Millis(row.at), then))
        }),
        audit_head: ends.map(|(_, n, hash)| (n, hash)),
    })
}

/// What of a span is covered by what is kept since then.
fn covered(span: ReportSpan, since: Option<Millis>) -> Option<ReportSpan> {
    let from = since?.max(span.from);
    (from < span.to).then_some(ReportSpan { from, to: span.to })
}

fn sizes(json: &Value) -> Option<Sizes> {
    Some(Sizes {
        documents: json["documents"].as_u64()?,
        chunks: json["chunks"].as_u64()?,
        store_bytes: json["store_bytes"].as_u64(),
    })
}

/// What failed by agent and error.
type Failures = BTreeMap<(String, String), u64>;

/// Counts a failure; beyond so many causes all others are one.
fn count(failures: &mut Failures, cause: (String, String), by: u64) {
    let full = failures.len() >= APART_MAX && !failures.contains_key(&cause);
    let cause = if full {
        (String::new(), String::new())
    } else {
        cause
    };
    *failures.entry(cause).or_default() += by;
}

fn causes(failures: Failures) -> Causes {
    let (named, unnamed): (Vec<_>, Vec<_>) = failures
        .into_iter()
        .partition(|((agent, _), _)| !agent.is_empty());
    let mut causes: Vec<Cause> = named
        .into_iter()
        .map(|((agent, error), count)| Cause {
            agent,
            error,
            count,
        })
        .collect();
    // Sorted before by name: of those that are equal the order is known.
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    let rest = causes.split_off(causes.len().min(NAMED_MAX));
    let others = unnamed.iter().map(|(_, count)| count).sum::<u64>();
    Causes {
        causes,
        others: others + rest.iter().map(|cause| cause.count).sum::<u64>(),
    }
}

/// What the audit log tells.
#[derive(Default)]
struct Audited {
    events: BTreeMap<String, u64>,
    dead: Failures,
    fixes: BTreeMap<String, FixCount>,
    /// The fix that was verified last, by detector and subject of its issue.
    mended: HashMap<(String, String), String>,
}

impl Audited {
    /// Counts records of a type.
    fn count(&mut self, kind: String, by: u64) {
        let kind = match kind.is_empty() {
            true => UNREADABLE.to_owned(),
            false => kind,
        };
        *self.events.entry(kind).or_default() += by;
    }

    /// Takes in a record, the oldest first.
    fn take(&mut self, record: &Value) {
        let (text, data) = (
            |value: &Value| value.as_str().unwrap_or_default().to_owned(),
            &record["data"],
        );
        let issue = (text(&data["detector"]), text(&record["subject"]));
        let fix = text(&data["fix"]);
        match record["type"].as_str() {
            Some("event.dead_lettered") => {
                let last = data["errors"].as_array().and_then(|errors| errors.last());
                let error = last.and_then(|entry| entry["error"].as_str());
                let error = error
                    .unwrap_or("no reason is kept")
                    .chars()
                    .take(200)
                    .collect();
                count(&mut self.dead, (text(&data["agent"]), error), 1);
            }
            Some("fix.applied") => {
                self.fix(&fix).applied += 1;
                self.mended.insert(issue, fix);
            }
            Some("fix.failed") => self.fix(&fix).failed += 1,
            Some("health.issue") => {
                if let Some(fix) = self.mended.remove(&issue) {
                    self.fix(&fix).came_again += 1;
                }
            }
            _ => {}
        }
    }

    fn fix(&mut self, fix: &str) -> &mut FixCount {
        let count = self.fixes.entry(fix.to_owned()).or_default();
        count.fix = fix.to_owned();
        count
    }
}

/// What the ledger tells.
#[derive(Default)]
struct Ledger {
    times: BTreeMap<String, AgentTimes>,
    failed: Failures,
    /// How many changes took how many milliseconds to be searchable.
    fresh: BTreeMap<u64, u64>,
}

impl Ledger {
    fn take(&mut self, times: AgentTimes) {
        match self.times.get_mut(&times.agent) {
            Some(all) => {
                all.done += times.done;
                all.sum_ms += times.sum_ms;
                all.max_ms = all.max_ms.max(times.max_ms);
            }
            None => {
                self.times.insert(times.agent.clone(), times);
            }
        }
    }
}

fn slowest(times: BTreeMap<String, AgentTimes>) -> Vec<AgentTime> {
    let mut agents: Vec<AgentTime> = times
        .into_values()
        .map(|all| AgentTime {
            mean_ms: all.sum_ms / all.done.max(1),
            agent: all.agent,
            done: all.done,
            max_ms: all.max_ms,
        })
        .collect();
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.mean_ms));
    agents
}

fn rounded(took_ms: u64) -> u64 {
    match took_ms {
        MINUTE_MS.. => took_ms / 1000 * 1000,
        _ => took_ms,
    }
}

/// `times`: how many changes took how many milliseconds.
fn freshness(times: &BTreeMap<u64, u64>) -> Option<FreshnessSpread> {
    let max_ms = *times.last_key_value()?.0;
    let changes: u64 = times.values().sum();
    // The smallest that so many of a hundred are not above.
    let at = |percent: u64| {
        let place = (changes * percent).div_ceil(100);
        let mut passed = 0;
        let mut reached = times.iter().filter(|(_, count)| {
            passed += **count;
            passed >= place
        });
        reached.next().map_or(max_ms, |(ms, _)| *ms)
    };
    Some(FreshnessSpread {
        changes,
        p50_ms: at(50),
        p90_ms: at(90),
        p99_ms: at(99),
        max_ms,
    })
}

#[cfg(test)]
mod tests;
