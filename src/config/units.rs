//! Durations and sizes as text: `"500ms"`, `"8MiB"`.
//!
//! One number and one unit, nothing else, so that a value has one reading: `m` (minutes or months?) and
//! `MB` (a million, or 1024²?) are refused with the unit that was probably meant.

use std::time::Duration;

// Durations in milliseconds, sizes in bytes.
pub(super) const MS: u64 = 1;
pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const YEAR: u64 = 365 * DAY;
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    /// There is no number at the start.
    #[error("does not begin with a whole number")]
    NoNumber,
    /// There is a number without a unit.
    #[error("has no unit")]
    NoUnit,
    /// The unit is unknown.
    #[error("has the unknown unit `{0}`")]
    UnknownUnit(String),
    /// The number is larger than can be held.
    #[error("is too large")]
    TooLarge,
}

/// The units of a kind of amount.
pub(crate) struct Units {
    /// What an amount is called.
    pub(crate) noun: &'static str,
    pub(crate) remedy: &'static str,
    /// Names and lengths, shortest first.
    units: [(&'static str, u64); 5],
    zero: &'static str,
}

pub(crate) static TIME: Units = Units {
    noun: "a duration",
    remedy: "a whole number and one of ms, s, min, h, d",
    units: [
        ("ms", MS),
        ("s", SECOND),
        ("min", MINUTE),
        ("h", HOUR),
        ("d", DAY),
    ],
    zero: "0s",
};

pub(crate) static SIZE: Units = Units {
    noun: "a size",
    remedy: "a whole number and one of B, KiB, MiB, GiB, TiB",
    units: [
        ("B", 1),
        ("KiB", KIB),
        ("MiB", MIB),
        ("GiB", GIB),
        ("TiB", TIB),
    ],
    zero: "0B",
};

impl Units {
    pub(crate) fn parse(&self, text: &str) -> Result<u64, UnitError> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
        if digits.is_empty() {
            return Err(UnitError::NoNumber);
        }
        if unit.is_empty() {
            return Err(UnitError::NoUnit);
        }
        let Some((_, factor)) = self.units.iter().find(|(name, _)| *name == unit) else {
            return Err(UnitError::UnknownUnit(unit.to_owned()));
        };
        let number: u64 = digits.parse().map_err(|_| UnitError::TooLarge)?;
        number.checked_mul(*factor).ok_or(UnitError::TooLarge)
    }

    /// Uses the largest unit that divides without a remainder: exact, and what a person would write.
    pub(crate) fn format(&self, amount: u64) -> String {
        let mut units = self.units.iter().rev();
        match units.find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor)) {
            Some((unit, factor)) => format!("{}{unit}", amount / factor),
            None => self.zero.to_owned(),
        }
    }

    /// What was most likely meant by a text that is none of these amounts.
    pub(crate) fn meant(&self, text: &str, error: &UnitError) -> Option<String> {
        let UnitError::UnknownUnit(unit) = error else {
            return None;
        };
        let meant = format!("{}{}", text.strip_suffix(unit.as_str())?, meant_unit(unit)?);
        self.parse(&meant).is_ok().then_some(meant)
    }

    /// A regular expression that every amount matches.
    pub(crate) fn pattern(&self) -> String {
        format!("^[0-9]+({})$", self.units.map(|(name, _)| name).join("|"))
    }
}

/// Reads a duration: a whole number and one of `ms`, `s`, `min`, `h`, `d`.
///
/// # Errors
/// [`UnitError`] when there is no number, no unit, an unknown unit, or more than `u64` milliseconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    TIME.parse(text).map(Duration::from_millis)
}

/// Writes a duration so that [`parse_duration`] reads the same one; fractions of a millisecond are dropped.
pub(crate) fn format_duration(duration: Duration) -> String {
    // Only a duration that was not read from text can be longer than this; it is shown as the longest.
    TIME.format(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Reads a size in bytes: a whole number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`.
///
/// # Errors
/// [`UnitError`] when there is no number, no unit, an unknown unit, or more than `u64` bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, UnitError> {
    SIZE.parse(text)
}

/// Writes a size in bytes so that [`parse_size`] reads the same one.
pub(crate) fn format_size(bytes: u64) -> String {
    SIZE.format(bytes)
}

/// The unit that somebody who wrote `unit` most likely meant.
fn meant_unit(unit: &str) -> Option<&'static str> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "msec" | "msecs" | "millis" | "milliseconds" => "ms",
        "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "mins" | "minute" | "minutes" => "min",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "byte" | "bytes" => "B",
        "k" | "kb" | "kib" => "KiB",
        "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_unit() {
        let seconds = |n| Ok(Duration::from_secs(n));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("30s"), seconds(30));
        assert_eq!(parse_duration("5min"), seconds(300));
        assert_eq!(parse_duration("24h"), seconds(86_400));
        assert_eq!(parse_duration("30d"), seconds(2_592_000));
        assert_eq!(parse_size("500B"), Ok(500));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("8MiB"), Ok(8_388_608));
        assert_eq!(parse_size("1GiB"), Ok(1_073_741_824));
    }

    #[test]
    fn refuses_what_has_no_single_reading() {
        for text in ["", "s", "-5s", " 5s", "soon"] {
            assert_eq!(parse_duration(text), Err(UnitError::NoNumber), "{text:?}");
        }
        assert_eq!(parse_duration("5"), Err(UnitError::NoUnit));
        for (text, unit) in [
            ("5m", "m"),
            ("1.5s", ".5s"),
            ("5 s", " s"),
            ("1h30min", "h30min"),
        ] {
            assert_eq!(
                parse_duration(text),
                Err(UnitError::UnknownUnit(unit.to_owned()))
            );
        }
        assert_eq!(
            parse_size("8MB"),
            Err(UnitError::UnknownUnit("MB".to_owned()))
        );
        assert_eq!(
            parse_size("99999999999999999999B"),
            Err(UnitError::TooLarge)
        );
        assert_eq!(parse_size("99999999999TiB"), Err(UnitError::TooLarge));
    }

    #[test]
    fn writes_what_a_person_would_write() {
        assert_eq!(format_duration(Duration::ZERO), "0s");
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
        assert_eq!(format_duration(Duration::from_secs(300)), "5min");
        assert_eq!(format_size(0), "0B");
        assert_eq!(format_size(1 << 23), "8MiB");
        assert_eq!(format_size(1025), "1025B");
    }

    #[test]
    fn a_meant_unit_is_a_unit() {
        for written in ["m", "sec", "hours", "day", "kb", "MB", "GB", "T", "bytes"] {
            let unit = meant_unit(written).expect("these are all known slips");
            let known = |units: &Units| units.units.iter().any(|(name, _)| *name == unit);
            assert!(known(&TIME) || known(&SIZE), "{written} -> {unit}");
        }
        assert_eq!(meant_unit("furlong"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(amount in any::<u64>()) {
            let duration = Duration::from_millis(amount);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(amount)), Ok(amount));
        }

        #[test]
        fn round_amounts_read_the_same(number in 0_u64..10_000, unit in 0_usize..5) {
            let duration = Duration::from_millis(number * TIME.units[unit].1);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            let bytes = number * SIZE.units[unit].1;
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            }
            if let Ok(bytes) = parse_size(&text) {
                prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            }
        }
    }
}
