//! The figures of the last hour and of the last day, in memory. Pure: the time comes as a number of steps since 1970.

use std::collections::{BTreeMap, VecDeque};

use super::wire::{FigureHistory, Trend};
use crate::event::{AgentName, Millis};

/// Seconds between two points of the hour, and how many of them are kept.
pub(super) const STEP: i64 = 10;
pub(super) const HOUR: usize = 360;

/// Points of the hour that become one of the day, and how many of those are kept.
const STEPS_OF_DAY: i64 = 30;
pub(super) const DAY: usize = 288;

/// A figure of which a history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
}

/// How several points become one.
enum Fold {
    /// The highest counts: that is what somebody looks for.
    Peak,
    Mean,
}

impl Figure {
    fn all() -> impl Iterator<Item = Figure> {
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
    fn name(self) -> String {
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
        }
    }

    fn fold(self) -> Fold {
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
            | Figure::Restarts(_) => Fold::Peak,
            Figure::SearchesPerMinute
            | Figure::EventsPerSecond
            | Figure::Documents
            | Figure::StoreBytes
            | Figure::FreeBytes
            | Figure::HandledPerMinute(_) => Fold::Mean,
        }
    }
}

/// The figures at one moment; what is not known is not there.
pub(super) type Point = BTreeMap<Figure, f64>;

/// One point of several.
fn folded(points: &[Point]) -> Point {
    let one = |figure: Figure| {
        let known: Vec<f64> = points
            .iter()
            .filter_map(|point| point.get(&figure).copied())
            .collect();
        let value = match figure.fold() {
            Fold::Peak => known.iter().copied().reduce(f64::max)?,
            Fold::Mean if known.is_empty() => return None,
            Fold::Mean => known.iter().sum::<f64>() / known.len() as f64,
        };
        Some((figure, value))
    };
    Figure::all().filter_map(one).collect()
}

/// The newest points, at most so many. A step without a point is a gap.
#[derive(Debug)]
struct Ring {
    /// Seconds of a step.
    step: i64,
    most: usize,
    /// The step of the newest point.
    newest: Option<i64>,
    /// In each, the figures in their order; what is not known is no number.
    points: VecDeque<Option<Box<[f64]>>>,
}

impl Ring {
    fn new(step: i64, most: usize) -> Self {
        Ring {
            step,
            most,
            newest: None,
            points: VecDeque::with_capacity(most),
        }
    }

    /// Adds the point of a step. What stands there or later gives way: the clock was set back.
    fn push(&mut self, step: i64, point: &Point) {
        let values = Figure::all().map(|figure| point.get(&figure).copied().unwrap_or(f64::NAN));
        let most = self.most as i64;
        let after = self.newest.map_or(1, |newest| step - newest);
        for _ in after..1 {
            self.points.pop_back();
        }
        for _ in 1..after.min(most) {
            self.points.push_back(None);
        }
        if after > most {
            self.points.clear();
        }
        self.points.push_back(Some(values.collect()));
        while self.points.len() > self.most {
            self.points.pop_front();
        }
        self.newest = Some(step);
    }

    fn trend(&self) -> Trend {
        let figures = Figure::all().enumerate().map(|(at, figure)| {
            let of = |point: &Option<Box<[f64]>>| {
                let value = *point.as_ref()?.get(at)?;
                (!value.is_nan()).then_some((value * 1000.0).round() / 1000.0)
            };
            (figure.name(), self.points.iter().map(of).collect())
        });
        Trend {
            step_s: self.step.unsigned_abs(),
            until: self
                .newest
                .map(|step| Millis(step * self.step * 1000).to_string()),
            figures: figures.collect(),
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
        let names: std::collections::BTreeSet<String> = Figure::all().map(Figure::name).collect();
        assert_eq!(names.len(), Figure::all().count());
        assert!(names.contains("owed.document_management"));
    }
}
