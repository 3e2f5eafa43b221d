//! Moments and ages as pages show them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::amounts::duration;

/// A moment: as programs read it, and as people do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Moment {
    pub(in crate::http) exact: String,
    pub(in crate::http) shown: String,
}

impl Moment {
    /// An RFC 3339 moment as it is seen at `now`, in the zone of this machine: with its date unless that is today's.
    pub(in crate::http) fn at(text: &str, now: &str) -> Self {
        Moment::in_zone(text, now, &TimeZone::system())
    }

    fn in_zone(text: &str, now: &str, zone: &TimeZone) -> Self {
        let parse = |text: &str| {
            text.parse::<Timestamp>()
                .map(|at| at.to_zoned(zone.clone()))
        };
        let shown = match (parse(text), parse(now)) {
            (Ok(at), Ok(now)) if at.date() == now.date() => at.strftime("%H:%M:%S").to_string(),
            (Ok(at), _) => at.strftime("%Y-%m-%d %H:%M").to_string(),
            // What is none is shown as it came.
            (Err(_), _) => text.to_owned(),
        };
        Moment {
            exact: text.to_owned(),
            shown,
        }
    }
}

/// A sentence for people in which commands stand as `` `docent …` ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Prose {
    pub(in crate::http) pieces: Vec<TextPiece>,
}

/// A part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct TextPiece {
    pub(in crate::http) text: String,
    pub(in crate::http) is_code: bool,
}

impl Prose {
    pub(in crate::http) fn of(text: &str) -> Self {
        let pieces = text.split('`').enumerate().map(|(at, piece)| TextPiece {
            text: piece.to_owned(),
            is_code: at % 2 == 1,
        });
        Prose {
            pieces: pieces.filter(|piece| !piece.text.is_empty()).collect(),
        }
    }
}

/// Seconds from one RFC 3339 moment to another; none where one of them is none.
pub(in crate::http) fn seconds_between(earlier: &str, later: &str) -> Option<f64> {
    let at = |text: &str| text.parse::<Timestamp>().ok();
    Some(at(later)?.duration_since(at(earlier)?).as_secs_f64())
}

/// How long a moment is over at `now`, or how far off it is.
pub(in crate::http) fn age(text: &str, now: &str) -> String {
    match seconds_between(text, now) {
        Some(past) if past >= 1.0 => format!("{} ago", whole(past)),
        Some(past) if past <= -1.0 => format!("in {}", whole(-past)),
        Some(_) => "now".to_owned(),
        None => String::new(),
    }
}

/// A duration without fractions of a second.
fn whole(seconds: f64) -> String {
    match seconds < 10.0 {
        true => format!("{}s", seconds.floor()),
        false => duration(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_today_needs_no_date() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now = "2026-01-31T23:00:00Z";
        let shown = |text: &str| Moment::in_zone(text, now, &zone).shown;
        assert_eq!(shown("2026-01-31T23:30:00.123Z"), "00:30:00");
        assert_eq!(shown("2026-01-31T22:30:00.123Z"), "2026-01-31 23:30");
        assert_eq!(shown("never"), "never");
    }

    #[test]
    fn commands_in_a_sentence_are_told_apart() {
        let pieces = Prose::of("see `docent status`; then `x").pieces;
        let told: Vec<_> = pieces
            .iter()
            .map(|p| (p.text.as_str(), p.is_code))
            .collect();
        assert_eq!(
            told,
            [
                ("see ", false),
                ("docent status", true),
                ("; then ", false),
                ("x", true)
            ]
        );
    }

    #[test]
    fn an_age_looks_back_and_ahead() {
        let now = "2026-01-31T12:00:00Z";
        for (text, told) in [
            ("2026-01-31T11:59:56.500Z", "3s ago"),
            ("2026-01-31T11:58:00Z", "2m 0s ago"),
            ("2026-01-31T12:00:00.400Z", "now"),
            ("2026-01-31T13:30:00Z", "in 1h 30m"),
            ("never", ""),
        ] {
            assert_eq!(age(text, now), told);
        }
    }
}
