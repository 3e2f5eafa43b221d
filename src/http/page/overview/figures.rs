//! The numbers at the top of the first page.

use super::super::super::wire::{Measured, Overview, Trend};
use super::super::words::{Moment, age};
use super::spark::Spark;
use super::trend::rounded;
use crate::amounts::{counted, duration, number, size};

/// A number with what it means and its course.
pub(super) struct FigureCard {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) value: String,
    /// The moment that the value names.
    pub(super) moment: Option<String>,
    pub(super) note: String,
    pub(super) spark: Option<Spark>,
}

impl FigureCard {
    fn new(id: &'static str, name: &'static str, value: String, note: String) -> Self {
        FigureCard {
            id,
            name,
            value,
            moment: None,
            note,
            spark: None,
        }
    }

    fn with(mut self, trend: &Trend, figure: &str, written: impl Fn(f64) -> String) -> Self {
        self.spark = Spark::of(trend, figure, self.name, written);
        self
    }
}

/// What stands for a number that is not known.
const NOTHING: &str = "–";

pub(super) fn figures(overview: &Overview, trend: &Trend) -> Vec<FigureCard> {
    vec![
        searchable(overview, trend),
        searchable_after(overview, "p50", "Searchable after, p50", |m| m.p50_s).with(
            trend,
            "freshness_p50_s",
            duration,
        ),
        searchable_after(overview, "p99", "Searchable after, p99", |m| m.p99_s).with(
            trend,
            "freshness_p99_s",
            duration,
        ),
        pending(overview).with(trend, "pending", rounded),
        searches(overview).with(trend, "searches_per_min", rounded),
        events(overview).with(trend, "events_per_s", rounded),
        documents(overview).with(trend, "documents", rounded),
        store(overview).with(trend, "store_bytes", bytes),
        free(overview).with(trend, "free_bytes", bytes),
    ]
}

fn searchable(overview: &Overview, trend: &Trend) -> FigureCard {
    let (id, name, now) = ("complete-to", "Searchable up to", &overview.taken_at);
    let behind = "How long ago search was complete,";
    let spark = Spark::of(trend, "behind_s", behind, duration);
    match &overview.freshness.complete_to {
        Some(at) => {
            let moment = Moment::at(at, now);
            FigureCard {
                moment: Some(moment.exact),
                spark,
                ..FigureCard::new(id, name, moment.shown, age(at, now))
            }
        }
        None => {
            let note = "not known yet".to_owned();
            FigureCard {
                spark,
                ..FigureCard::new(id, name, NOTHING.to_owned(), note)
            }
        }
    }
}

/// After how long changes were searchable, at most, for a part of them.
fn searchable_after(
    overview: &Overview,
    id: &'static str,
    name: &'static str,
    seconds: fn(&Measured) -> f64,
) -> FigureCard {
    let (value, note) = match &overview.freshness.measured {
        Some(measured) => (
            duration(seconds(measured)),
            format!("of {}", counted(measured.changes, "change", "changes")),
        ),
        None => (NOTHING.to_owned(), "no change since the start".to_owned()),
    };
    FigureCard::new(id, name, value, note)
}

fn pending(overview: &Overview) -> FigureCard {
    let freshness = &overview.freshness;
    let note = match freshness.failed {
        0 => "on their way".to_owned(),
        n => format!("{} failed for good", number(n)),
    };
    FigureCard::new("pending", "Pending files", number(freshness.pending), note)
}

fn searches(overview: &Overview) -> FigureCard {
    let value = number(overview.searches_minute);
    FigureCard::new("searches", "Searches", value, span(overview))
}

/// The span of what is counted "in the last minute".
fn span(overview: &Overview) -> String {
    match overview.minute_s {
        span if span >= 55.0 => "in the last minute".to_owned(),
        span => format!("in the last {}", duration(span)),
    }
}

fn events(overview: &Overview) -> FigureCard {
    let value = number(overview.published_minute);
    FigureCard::new("events", "Events", value, span(overview))
}

fn documents(overview: &Overview) -> FigureCard {
    let status = &overview.status;
    let note = format!(
        "of {}, {}",
        counted(status.files, "file", "files"),
        counted(status.chunks, "chunk", "chunks")
    );
    FigureCard::new("documents", "Documents", number(status.documents), note)
}

fn store(overview: &Overview) -> FigureCard {
    let value = overview
        .store_bytes
        .map_or_else(|| NOTHING.to_owned(), size);
    FigureCard::new("store", "Store", value, "with its log".to_owned())
}

fn free(overview: &Overview) -> FigureCard {
    let free = overview.status.free_space;
    let note = format!("captures stop below {}", size(free.floor));
    FigureCard::new("free", "Free space", size(free.bytes), note)
}

fn bytes(value: f64) -> String {
    // A size is not negative, and below 2^53.
    size(value.max(0.0) as u64)
}
