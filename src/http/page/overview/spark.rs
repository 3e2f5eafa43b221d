//! The last hour or day of a number as a small picture.

use std::fmt::Write;

use super::super::super::history::{DAY, HOUR, STEP};
use super::super::super::wire::Trend;

/// The size of the picture in its own units; it is stretched to the place it has.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 24.0;
/// Room for the line at the top and at the bottom.
const EDGE: f64 = 1.5;

/// Points that the picture has place for: those of an hour or of a day, and fewer while there are none so old.
const SLOTS: usize = HOUR;
const SLOTS_MIN: usize = 30;

/// A picture: the paths of its line and of the area below, and what it shows in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spark {
    pub(super) line: String,
    pub(super) area: String,
    pub(super) label: String,
}

impl Spark {
    /// The picture of a figure; `name` says what it is, `written` how its numbers are read. None: nothing is known of it.
    pub(super) fn of(
        trend: &Trend,
        figure: &str,
        name: &str,
        written: impl Fn(f64) -> String,
    ) -> Option<Self> {
        let points = trend.figures.get(figure)?;
        let known: Vec<f64> = points.iter().flatten().copied().collect();
        let last = *known.last()?;
        let low = known.iter().copied().fold(f64::INFINITY, f64::min);
        let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (line, area) = paths(points, high);
        let (whole, span) = match trend.step_s == STEP.unsigned_abs() {
            true => (HOUR, "in the last hour"),
            false => (DAY, "in the last day"),
        };
        let span = match points.len() >= whole {
            true => span,
            false => "since the start",
        };
        Some(Spark {
            line,
            area,
            label: format!(
                "{name} {span}: from {} to {}, now {}",
                written(low),
                written(high),
                written(last)
            ),
        })
    }
}

/// The line and the area through these points, from 0 to `high`. What is not known is a gap; the newest is at the right.
fn paths(points: &[Option<f64>], high: f64) -> (String, String) {
    let (mut line, mut area) = (String::new(), String::new());
    let slots = points.len().clamp(SLOTS_MIN, SLOTS);
    let first = slots.saturating_sub(points.len());
    let x = |slot: usize| (first + slot) as f64 * WIDTH / (slots - 1) as f64;
    let y = |value: f64| {
        let share = if high > 0.0 { value / high } else { 0.0 };
        HEIGHT - EDGE - share.clamp(0.0, 1.0) * (HEIGHT - 2.0 * EDGE)
    };
    for run in runs(points) {
        let mut path = String::new();
        for (slot, value) in &run {
            let command = if path.is_empty() { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            write!(path, "{command}{:.1} {:.1}", x(*slot), y(*value)).unwrap_or_default();
        }
        let (Some((begin, _)), Some((end, _))) = (run.first(), run.last()) else {
            continue;
        };
        if begin == end {
            // A line of one point is seen only if it has a length.
            path.push_str("h0.6");
        }
        write!(
            area,
            "{path}L{:.1} {HEIGHT}L{:.1} {HEIGHT}Z",
            x(*end),
            x(*begin)
        )
        .unwrap_or_default();
        line.push_str(&path);
    }
    (line, area)
}

/// The points without a gap between them, with their places.
fn runs(points: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs = vec![Vec::new()];
    for (slot, point) in points.iter().enumerate().take(SLOTS) {
        match (point, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((slot, *value)),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spark(points: &[Option<f64>]) -> Option<Spark> {
        let trend = Trend {
            step_s: 10,
            until: None,
            figures: [("pending".to_owned(), points.to_vec())].into(),
        };
        Spark::of(&trend, "pending", "Pending files", |value| {
            value.to_string()
        })
    }

    #[test]
    fn a_gap_is_a_gap_and_the_newest_point_is_at_the_right() {
        let found = spark(&[Some(0.0), Some(4.0), None, Some(2.0)]).unwrap();
        assert_eq!(found.line, "M107.6 22.5L111.7 1.5M120.0 12.0h0.6");
        assert_eq!(found.area.matches('Z').count(), 2);
        assert_eq!(
            found.label,
            "Pending files since the start: from 0 to 4, now 2"
        );
    }

    #[test]
    fn what_is_not_known_has_no_picture_and_zero_is_a_line_at_the_bottom() {
        assert_eq!(spark(&[]), None);
        assert_eq!(spark(&[None, None]), None);
        let zero = spark(&[Some(0.0), Some(0.0)]).unwrap();
        assert_eq!(zero.line, "M115.9 22.5L120.0 22.5");
    }

    #[test]
    fn no_number_leaves_the_picture() {
        let points: Vec<_> = (0..SLOTS + 50).map(|n| Some(n as f64 * 1e12)).collect();
        let found = spark(&points).unwrap();
        assert!(!found.line.contains("NaN") && !found.line.contains("inf"));
        assert!(found.line.starts_with("M0.0 "), "{}", &found.line[..20]);
        assert!(found.label.contains("in the last hour"), "{}", found.label);
    }
}
