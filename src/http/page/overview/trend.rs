//! Numbers of the history.

use crate::amounts::number;

/// A number of the history, as it is read.
pub(super) fn rounded(value: f64) -> String {
    match value < 10.0 && value.fract() > 0.05 {
        true => format!("{value:.1}"),
        // No figure is negative, or beyond 2^53.
        false => number(value.round().max(0.0) as u64),
    }
}

/// The name of a figure of an agent, a stream or a collection.
pub(super) fn of(figure: &str, whose: &str) -> String {
    format!("{figure}.{whose}")
}
