//! Words, numbers and moments as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    colored: bool,
}

impl Style {
    /// A style with colours or without.
    pub(super) const fn new(colored: bool) -> Self {
        Style { colored }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colored {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// What matters.
    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What is beside the point.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What is as it should be.
    pub(super) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What is not.
    pub(super) fn wrong(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// What may not be.
    pub(super) fn doubtful(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// A place.
    pub(super) fn place(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// A word that was looked for.
    pub(super) fn mark(self, text: &str) -> String {
        self.paint("1;33", text)
    }
}

/// A text from a document or a file's name, without what would command the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if is_command(c) { '\u{FFFD}' } else { c })
        .collect()
}

/// Control characters, and those that turn the direction of what follows.
fn is_command(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// `n` with its thousands apart.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `n` things.
pub(super) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// A duration in seconds, to about two digits.
pub(super) fn duration(seconds: f64) -> String {
    // Ages are below 2^53 s and not negative, so nothing is lost.
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match whole {
        0..10 => format!("{:.1}s", seconds.max(0.0)),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{minutes}m {}s", whole % 60),
        3600..86_400 => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// An RFC 3339 moment in the local zone: `2026-01-31 12:03:04`. What is none stays as it is.
pub(super) fn moment(text: &str) -> String {
    in_zone(text, "%Y-%m-%d %H:%M:%S", &TimeZone::system())
}

/// An RFC 3339 moment in the local zone: `12:03:04` if it is today, else with its date.
pub(super) fn clock(text: &str) -> String {
    clock_at(text, Timestamp::now(), &TimeZone::system())
}

fn clock_at(text: &str, now: Timestamp, zone: &TimeZone) -> String {
    let today = now.to_zoned(zone.clone()).date();
    match text.parse::<Timestamp>() {
        Ok(at) if at.to_zoned(zone.clone()).date() == today => in_zone(text, "%H:%M:%S", zone),
        _ => in_zone(text, "%Y-%m-%d %H:%M:%S", zone),
    }
}

fn in_zone(text: &str, form: &str, zone: &TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at.to_zoned(zone.clone()).strftime(form).to_string(),
        Err(_) => plain(text),
    }
}

/// The first line of a text, cut to `max` characters.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let more = line.chars().count() > max || text.lines().nth(1).is_some();
    let mut cut: String = line.chars().take(max).collect();
    if more {
        cut.push('…');
    }
    plain(&cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_cannot_command_the_terminal() {
        assert_eq!(
            plain("a\x1b[2Jb\tc\u{202E}d\r\u{9b}"),
            "a\u{FFFD}[2Jb\tc\u{FFFD}d\u{FFFD}\u{FFFD}"
        );
    }

    #[test]
    fn numbers_and_durations_read_well() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(counted(1200, "file", "files"), "1,200 files");
        let seconds = [0.25, 42.9, 61.0, 3700.0, 90_000.0, -1.0];
        assert_eq!(
            seconds.map(duration),
            ["0.2s", "42s", "1m 1s", "1h 1m", "1d 1h", "0.0s"]
        );
    }

    #[test]
    fn a_moment_of_today_needs_no_date() {
        let now: Timestamp = "2026-01-31T23:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(clock_at("2026-01-31T23:30:00.123Z", now, &zone), "00:30:00");
        assert_eq!(
            clock_at("2026-01-31T22:30:00.123Z", now, &zone),
            "2026-01-31 23:30:00"
        );
        assert_eq!(clock_at("never", now, &zone), "never");
    }

    #[test]
    fn one_line_says_that_it_is_cut() {
        assert_eq!(one_line("short", 10), "short");
        assert_eq!(one_line("longer than that", 6), "longer…");
        assert_eq!(one_line("two\nlines", 10), "two…");
    }
}
