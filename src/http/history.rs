//! The figures of the last hour and of the last day, in memory. Pure: the time comes as a number of steps since 1970.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::wire::{FigureHistory, Trend};
use crate::event::{AgentName, Millis};

/// Seconds between two points of the hour, and how many of them are kept.
pub(super) const STEP: i64 = 10;
pub(super) const HOUR: usize = 360;

/// Points of the hour that become one of the day, and how many of those are kept.
const STEPS_OF_DAY: i64 = 30;
pub(super) const DAY: usize = 288;

/// What stands for the agent in the names of the figures of the stream that no agent has.
pub(super) const INGRESS: &str = "ingress";

/// A figure of which a history is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    /// Changes on their way to search.
    Pending,
    SearchesPerMinute,
    EventsPerSecond,
    /// How long ago search was complete, in seconds.
    Behind,
    /// How long half of the changes took that became searchable since the point before.
    FreshnessP50,
    /// The same of nearly all of them.
    FreshnessP99,
    Documents,
    StoreBytes,
    FreeBytes,
    Owed(AgentName),
    /// How long the oldest of these has waited, in seconds.
    OldestOwed(AgentName),
    InFlight(AgentName),
    Retrying(AgentName),
    Dead(AgentName),
    HandledPerMinute(AgentName),
    Restarts(AgentName),
    /// Entries of an agent's stream of Redis; without an agent, of the stream of what comes from outside.
    StreamLength(Option<AgentName>),
    StreamPending(Option<AgentName>),
    StreamLag(Option<AgentName>),
    StreamConsumers(Option<AgentName>),
    /// Files of a collection, and those of them that are stored.
    Files(Arc<str>),
    Stored(Arc<str>),
}

/// How several points become one.
enum Fold {
    /// The highest counts: that is what somebody looks for.
    Peak,
    Mean,
}

impl Figure {
    /// The figures that every daemon has, also while they are not known.
    fn of_each_daemon() -> impl Iterator<Item = Figure> {
        let of = |agent: &AgentName| {
            [
                Figure::Owed(*agent),
                Figure::OldestOwed(*agent),
                Figure::InFlight(*agent),
                Figure::Retrying(*agent),
                Figure::Dead(*agent),
                Figure::HandledPerMinute(*agent),
                Figure::Restarts(*agent),
            ]
        };
        let each = AgentName::ALL.iter().flat_map(of);
        [
            Figure::Pending,
            Figure::SearchesPerMinute,
            Figure::EventsPerSecond,
            Figure::Behind,
            Figure::FreshnessP50,
            Figure::FreshnessP99,
            Figure::Documents,
            Figure::StoreBytes,
            Figure::FreeBytes,
        ]
        .into_iter()
        .chain(each)
    }

    /// Its name on the wire.
    fn name(&self) -> String {
        let stream = |agent: &Option<AgentName>| agent.map_or(INGRESS, |agent| agent.as_str());
        match self {
            Figure::Pending => "pending".to_owned(),
            Figure::SearchesPerMinute => "searches_per_min".to_owned(),
            Figure::EventsPerSecond => "events_per_s".to_owned(),
            Figure::Behind => "behind_s".to_owned(),
            Figure::FreshnessP50 => "freshness_p50_s".to_owned(),
            Figure::FreshnessP99 => "freshness_p99_s".to_owned(),
            Figure::Documents => "documents".to_owned(),
            Figure::StoreBytes => "store_bytes".to_owned(),
            Figure::FreeBytes => "free_bytes".to_owned(),
            Figure::Owed(agent) => format!("owed.{agent}"),
            Figure::OldestOwed(agent) => format!("oldest_owed_s.{agent}"),
            Figure::InFlight(agent) => format!("in_flight.{agent}"),
            Figure::Retrying(agent) => format!("retrying.{agent}"),
            Figure::Dead(agent) => format!("dead.{agent}"),
            Figure::Restarts(agent) => format!("restarts.{agent}"),
            Figure::HandledPerMinute(agent) => format!("handled_per_min.{agent}"),
            Figure::StreamLength(agent) => format!("stream_length.{}", stream(agent)),
            Figure::StreamPending(agent) => format!("stream_pending.{}", stream(agent)),
            Figure::StreamLag(agent) => format!("stream_lag.{}", stream(agent)),
            Figure::StreamConsumers(agent) => format!("stream_consumers.{}", stream(agent)),
            Figure::Files(collection) => format!("files.{collection}"),
            Figure::Stored(collection) => format!("stored.{collection}"),
        }
    }

    fn fold(&self) -> Fold {
        match self {
            Figure::Pending
            | Figure::Behind
            | Figure::FreshnessP50
            | Figure::FreshnessP99
            | Figure::Owed(_)
            | Figure::OldestOwed(_)
            | Figure::InFlight(_)
            | Figure::Retrying(_)
            | Figure::Dead(_)
            | Figure::Restarts(_)
            | Figure::StreamLength(_)
            | Figure::StreamPending(_)
            | Figure::StreamLag(_) => Fold::Peak,
            Figure::SearchesPerMinute
            | Figure::EventsPerSecond
            | Figure::Documents
            | Figure::StoreBytes
            | Figure::FreeBytes
            | Figure::HandledPerMinute(_)
            | Figure::StreamConsumers(_)
            | Figure::Files(_)
            | Figure::Stored(_) => Fold::Mean,
        }
    }
}

/// The figures at one moment; what is not known is not there.
pub(super) type Point = BTreeMap<Figure, f64>;

/// One point of several.
fn folded(points: &[Point]) -> Point {
    let mut known = BTreeMap::<&Figure, Vec<f64>>::new();
    for (figure, value) in points.iter().flatten() {
        known.entry(figure).or_default().push(*value);
    }
    let one = |(figure, values): (&Figure, Vec<f64>)| {
        let value = match figure.fold() {
            Fold::Peak => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
            Fold::Mean => values.iter().sum::<f64>() / values.len() as f64,
        };
        (figure.clone(), value)
    };
    known.into_iter().map(one).collect()
}

/// The newest points, at most so many. A step without a point is a gap.
#[derive(Debug)]
struct Ring {
    /// Seconds of a step.
    step: i64,
    most: usize,
    /// The step of the newest point.
    newest: Option<i64>,
    /// How many points there are.
    length: usize,
    /// Of each figure that is known at one of the points, its value at each; what is not known is no number.
    values: BTreeMap<Figure, VecDeque<f64>>,
}

impl Ring {
    fn new(step: i64, most: usize) -> Self {
        Ring {
            step,
            most,
            newest: None,
            length: 0,
            values: BTreeMap::new(),
        }
    }

    /// Adds the point of a step. What stands there or later gives way: the clock was set back.
    fn push(&mut self, step: i64, point: &Point) {
        let after = self.newest.map_or(1, |newest| step - newest);
        let (kept, gap) = match usize::try_from(after) {
            Ok(after) if after > self.most => (0, 0),
            Ok(after @ 1..) => (self.length, after - 1),
            _ => {
                let back = usize::try_from(1 - after).unwrap_or(usize::MAX);
                (self.length.saturating_sub(back), 0)
            }
        };
        self.length = (kept + gap + 1).min(self.most);
        for figure in point.keys() {
            if !self.values.contains_key(figure) {
                self.values.insert(figure.clone(), VecDeque::new());
            }
        }
        for (figure, values) in &mut self.values {
            // What is there of one that is new is not known.
            values.resize(kept, f64::NAN);
            values.resize(kept + gap, f64::NAN);
            values.push_back(point.get(figure).copied().unwrap_or(f64::NAN));
            let over = values.len() - self.length;
            values.drain(..over);
        }
        self.values
            .retain(|_, values| values.iter().any(|value| !value.is_nan()));
        self.newest = Some(step);
    }

    fn trend(&self) -> Trend {
        let unknown = Figure::of_each_daemon();
        let unknown = unknown.map(|figure| (figure.name(), vec![None; self.length]));
        let known = |value: &f64| (!value.is_nan()).then_some((value * 1000.0).round() / 1000.0);
        let of = |(figure, values): (&Figure, &VecDeque<f64>)| {
            (figure.name(), values.iter().map(known).collect())
        };
        Trend {
            step_s: self.step.unsigned_abs(),
            until: self
                .newest
                .map(|step| Millis(step * self.step * 1000).to_string()),
            figures: unknown.chain(self.values.iter().map(of)).collect(),
        }
    }
}

/// The figures of the last hour and of the last day.
#[derive(Debug)]
pub(super) struct FigureRings {
    hour: Ring,
    day: Ring,
    /// The step of the day that is not over, with its points.
    open: (i64, Vec<Point>),
}

impl Default for FigureRings {
    fn default() -> Self {
        FigureRings {
            hour: Ring::new(STEP, HOUR),
            day: Ring::new(STEP * STEPS_OF_DAY, DAY),
            open: (0, Vec::new()),
        }
    }
}

impl FigureRings {
    /// Adds the point of a step.
    pub(super) fn push(&mut self, step: i64, point: Point) {
        let of_day = step.div_euclid(STEPS_OF_DAY);
        let (open, points) = &mut self.open;
        if *open != of_day {
            if !points.is_empty() {
                self.day.push(*open, &folded(points));
            }
            points.clear();
            *open = of_day;
        }
        self.hour.push(step, &point);
        // No more than that where the clock is set back again and again.
        if points.len() < STEPS_OF_DAY as usize {
            points.push(point);
        }
    }

    pub(super) fn view(&self) -> FigureHistory {
        FigureHistory {
            hour: self.hour.trend(),
            day: self.day.trend(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(pending: f64) -> Point {
        Point::from([(Figure::Pending, pending)])
    }

    fn pending(trend: &Trend) -> Vec<Option<f64>> {
        trend.figures["pending"].clone()
    }

    #[test]
    fn a_step_without_a_point_is_a_gap_and_a_figure_that_is_not_known_is_null() {
        let mut history = FigureRings::default();
        for (step, value) in [(100, 1.0), (101, 2.0), (104, 3.0)] {
            history.push(step, point(value));
        }
        let hour = history.view().hour;
        assert_eq!(
            pending(&hour),
            [Some(1.0), Some(2.0), None, None, Some(3.0)]
        );
        assert_eq!(hour.figures["free_bytes"], [None; 5]);
        assert_eq!(hour.until.as_deref(), Some("1970-01-01T00:17:20.000Z"));
    }

    #[test]
    fn it_is_bounded_whatever_the_clock_does() {
        let mut history = FigureRings::default();
        for step in 0..20_000 {
            history.push(step, point(step as f64));
        }
        let view = history.view();
        assert_eq!(view.hour.figures["pending"].len(), HOUR);
        assert_eq!(view.day.figures["pending"].len(), DAY);
        assert_eq!(pending(&view.hour)[HOUR - 1], Some(19_999.0));
        // Far ahead, a little back, and the same step again.
        history.push(1_000_000, point(1.0));
        assert_eq!(pending(&history.view().hour), [Some(1.0)]);
        for (step, value) in [(1_000_001, 2.0), (1_000_002, 3.0), (1_000_001, 4.0)] {
            history.push(step, point(value));
        }
        assert_eq!(pending(&history.view().hour), [Some(1.0), Some(4.0)]);
        history.push(5, point(5.0));
        assert_eq!(pending(&history.view().hour), [Some(5.0)]);
    }

    #[test]
    fn a_point_of_the_day_has_the_peak_of_what_waits_and_the_mean_of_a_rate() {
        let mut history = FigureRings::default();
        for step in 0..STEPS_OF_DAY {
            let mut point = point(if step == 3 { 40.0 } else { 0.0 });
            if step % 2 == 0 {
                point.insert(Figure::EventsPerSecond, step as f64);
            }
            history.push(step, point);
        }
        assert_eq!(pending(&history.view().day), [], "it is not over");
        history.push(STEPS_OF_DAY, point(0.0));
        let day = history.view().day;
        assert_eq!(pending(&day), [Some(40.0)]);
        assert_eq!(day.figures["events_per_s"], [Some(14.0)]);
        assert_eq!(day.figures["store_bytes"], [None]);
    }

    #[test]
    fn every_figure_has_a_name_of_its_own() {
        let figures = || {
            let streams = [
                Figure::StreamLength(None),
                Figure::StreamPending(None),
                Figure::StreamLag(None),
                Figure::StreamConsumers(None),
            ];
            let files = [Figure::Files("docs".into()), Figure::Stored("docs".into())];
            Figure::of_each_daemon().chain(streams).chain(files)
        };
        let names: std::collections::BTreeSet<String> =
            figures().map(|figure| figure.name()).collect();
        assert_eq!(names.len(), figures().count());
        for name in [
            "owed.document_management",
            "stream_lag.ingress",
            "files.docs",
        ] {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn a_figure_that_is_known_for_a_while_is_gone_when_no_point_knows_it() {
        let mut history = FigureRings::default();
        let files = || Figure::Files("docs".into());
        history.push(0, point(1.0));
        history.push(1, Point::from([(files(), 7.0)]));
        history.push(3, point(1.0));
        let hour = history.view().hour;
        assert_eq!(hour.figures["files.docs"], [None, Some(7.0), None, None]);
        assert_eq!(pending(&hour), [Some(1.0), None, None, Some(1.0)]);
        for step in 4..=HOUR as i64 + 1 {
            history.push(step, point(1.0));
        }
        assert!(!history.view().hour.figures.contains_key("files.docs"));
        assert_eq!(pending(&history.view().hour).len(), HOUR);
    }
}
