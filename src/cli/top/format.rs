//! Numbers, ages, texts and curves in few columns.

use std::fmt;

use jiff::Timestamp;

use crate::cli::text::width;

/// A number in at most four columns up to a million: `950`, `12k`, `3.4M`.
pub(super) fn compact(n: u64) -> String {
    let shorter = |unit: u64, name: &str| {
        let tenths = n / (unit / 10);
        match tenths {
            10..100 => format!("{}.{}{name}", tenths / 10, tenths % 10),
            _ => format!("{}{name}", tenths / 10),
        }
    };
    match n {
        0..1000 => n.to_string(),
        1000..1_000_000 => shorter(1000, "k"),
        1_000_000..1_000_000_000 => shorter(1_000_000, "M"),
        _ => shorter(1_000_000_000, "G"),
    }
}

/// An age in at most four columns: `0.4s`, `42s`, `17m`, `5h`, `12d`.
pub(super) fn brief(seconds: f64) -> String {
    // Ages are below 2^53 s and not negative, so nothing is lost.
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{:.1}s", seconds.max(0.0)),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}m", whole / 60),
        3600..86_400 => format!("{}h", whole / 3600),
        _ => format!("{}d", whole / 86_400),
    }
}

/// How long before `now` a moment was; nothing where one of the two is no moment.
pub(super) fn age(at: &str, now: &str) -> Option<f64> {
    let (at, now) = (
        at.parse::<Timestamp>().ok()?,
        now.parse::<Timestamp>().ok()?,
    );
    Some((now - at).total(jiff::Unit::Second).ok()?.max(0.0))
}

/// Or a dash.
pub(super) fn known(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A text in so many columns: what is text stands on the left, a number on the right.
pub(super) fn aligned(text: &str, columns: usize, is_text: bool) -> String {
    let gap = " ".repeat(columns.saturating_sub(width(text)));
    match is_text {
        true => format!("{text}{gap}"),
        false => format!("{gap}{text}"),
    }
}

/// A text in so many columns at most; that it was cut off is shown.
pub(super) fn clipped(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut shown = String::new();
    for next in text.chars() {
        shown.push(next);
        if width(&shown) >= columns {
            shown.pop();
            break;
        }
    }
    shown.push('…');
    shown
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The newest values as bars, in so many columns at most; a gap where one is not known.
pub(super) fn sparkline(values: &[Option<f64>], columns: usize) -> String {
    let newest = &values[values.len().saturating_sub(columns)..];
    let highest = newest.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(_) if highest <= 0.0 => BARS[0],
        Some(value) => {
            let step = (value / highest * 7.0).ceil() as usize;
            BARS[step.min(7)]
        }
    };
    newest.iter().map(bar).collect()
}

/// The newest value that is known, and the highest.
pub(super) fn last_and_peak(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let last = values.iter().rev().flatten().next()?;
    let peak = values.iter().flatten().copied().reduce(f64::max)?;
    Some((*last, peak))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_are_short() {
        let numbers = [
            0,
            999,
            1000,
            1999,
            12_345,
            999_999,
            3_400_000,
            12_000_000_000,
        ];
        let told = ["0", "999", "1.0k", "1.9k", "12k", "999k", "3.4M", "12G"];
        assert_eq!(numbers.map(compact), told);
        let ages = [0.44, 59.9, 3599.0, 7200.0, 900_000.0];
        assert_eq!(ages.map(brief), ["0.4s", "59s", "59m", "2h", "10d"]);
        let (at, now) = ("2026-01-31T12:00:00Z", "2026-01-31T12:01:30.5Z");
        assert_eq!(age(at, now), Some(90.5));
        assert_eq!(age(now, at), Some(0.0), "clocks differ");
        assert_eq!(age("soon", now), None);
    }

    #[test]
    fn a_text_stands_in_its_column_and_is_cut_off_where_it_is_wider() {
        assert_eq!(aligned("ab", 4, true) + "|", "ab  |");
        assert_eq!(aligned("12", 4, false), "  12");
        assert_eq!(aligned("wider", 4, true), "wider");
        assert_eq!(clipped("four", 4), "four");
        assert_eq!(clipped("wider", 4), "wid…");
        assert_eq!(clipped("文書管理", 4), "文…", "no character is cut in two");
        assert_eq!(clipped("ab", 1), "…");
    }

    #[test]
    fn a_gap_is_a_gap_and_zero_is_a_bar() {
        let values = [Some(9.0), Some(0.0), None, Some(4.0), Some(8.0)];
        assert_eq!(sparkline(&values, 4), "▁ ▅█");
        assert_eq!(sparkline(&[Some(0.0), None], 9), "▁ ");
        assert_eq!(sparkline(&[], 9), "");
        assert_eq!(last_and_peak(&values), Some((8.0, 9.0)));
        assert_eq!(last_and_peak(&[None]), None);
    }
}
