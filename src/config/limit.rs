//! The limit of an alert's rule: a number, a duration or a size, as the rule has it.

use super::units::{SIZE, TIME};
use super::violation::{Reason, quote};
use std::fmt;
use std::time::Duration;

/// A limit that is not to be passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// A count or a share.
    Number(f64),
    Time(Duration),
    /// In bytes.
    Size(u64),
}

impl Limit {
    /// Reads a text: a duration, a size, or a share in percent.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        if let Ok(millis) = TIME.parse(text) {
            return Ok(Limit::Time(Duration::from_millis(millis)));
        }
        if let Ok(bytes) = SIZE.parse(text) {
            return Ok(Limit::Size(bytes));
        }
        let percent = text.strip_suffix('%').and_then(|n| n.parse::<f64>().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Limit::Number(percent / 100.0)),
            None => Err(Reason::new(
                format!("{} is not a limit", quote(text)),
                "write a number without quotes, a duration such as \"5min\", a size such as \"1GiB\", or a share such as \"10%\"",
            )),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Number(number) => write!(f, "{number}"),
            Limit::Time(time) => f.write_str(&super::units::format_duration(*time)),
            Limit::Size(bytes) => f.write_str(&SIZE.format(*bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_by_its_unit() {
        let parsed = |text| Limit::parse(text).ok();
        assert_eq!(parsed("5min"), Some(Limit::Time(Duration::from_secs(300))));
        assert_eq!(parsed("1GiB"), Some(Limit::Size(1 << 30)));
        assert_eq!(parsed("10%"), Some(Limit::Number(0.1)));
        for text in ["", "5", "5m", "1GB", "-1%", "101%", "NaN%", "much"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
