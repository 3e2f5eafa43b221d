//! Periods: the last day, the last week, or from one moment to another.

use std::time::Duration;

use thiserror::Error;

use super::ReportSpan;
use crate::event::Millis;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A text that is no period.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{text:?} is not a period: {why}; write day, week, or FROM..TO with two dates or moments, such as 2026-11-01..2026-11-08 (in UTC)"
)]
pub(crate) struct PeriodError {
    text: String,
    why: &'static str,
}

/// A period with the word that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Period {
    /// `day`, `week`, or the two moments.
    pub label: String,
    pub span: ReportSpan,
}

impl Period {
    /// Reads a period that is asked for at `now`.
    ///
    /// # Errors
    /// The text is none.
    pub(crate) fn parse(text: &str, now: Millis) -> Result<Self, PeriodError> {
        let wrong = |why| PeriodError {
            text: text.chars().take(80).collect(),
            why,
        };
        let from = match text {
            "day" => now.minus(DAY),
            "week" => now.minus(7 * DAY),
            _ => {
                let two = text.split_once("..");
                let (from, to) = two.ok_or_else(|| wrong("it has no `..`"))?;
                let begins = moment(from).ok_or_else(|| wrong("there is no date before the `..`"));
                let ends = moment(to).ok_or_else(|| wrong("there is no date after the `..`"));
                let span = ReportSpan {
                    from: begins?,
                    to: ends?,
                };
                if span.from >= span.to {
                    return Err(wrong("it does not end after it begins"));
                }
                let label = text.to_owned();
                return Ok(Period { label, span });
            }
        };
        Ok(Period {
            label: text.to_owned(),
            span: ReportSpan { from, to: now },
        })
    }
}

/// A date, which is its beginning in UTC, or a moment.
fn moment(text: &str) -> Option<Millis> {
    Millis::parse(text).or_else(|| Millis::parse(&format!("{text}T00:00:00Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_word_or_a_span() {
        let now = Millis::parse("2026-11-29T06:00:00Z").unwrap();
        let span = |text: &str| {
            let period = Period::parse(text, now).unwrap();
            assert_eq!(period.label, text);
            (period.span.from.to_string(), period.span.to.to_string())
        };
        let at = |text: &str| text.to_owned();
        assert_eq!(span("week").0, "2026-11-22T06:00:00.000Z");
        assert_eq!(span("day").0, "2026-11-28T06:00:00.000Z");
        assert_eq!(
            span("2026-11-01..2026-11-02T12:00:00Z"),
            (
                at("2026-11-01T00:00:00.000Z"),
                at("2026-11-02T12:00:00.000Z")
            )
        );
        for (text, why) in [
            ("", "no `..`"),
            ("month", "no `..`"),
            ("2026-11-01", "no `..`"),
            ("2026-11-02..2026-11-01", "does not end after"),
            ("2026-13-01..2026-11-01", "before the `..`"),
            ("2026-11-01..b", "after the `..`"),
        ] {
            let error = Period::parse(text, now).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
