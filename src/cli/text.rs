//! Words, numbers and moments as people read them.

use std::sync::LazyLock;
use std::{env, fs};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(super) use crate::amounts::{counted, duration, number, size};
pub(super) use crate::visible::one_line;
use crate::visible::visible;

/// Colours or none, and how wide a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    colored: bool,
    /// Columns of the terminal; none: lines are as long as they are.
    pub(super) width: Option<usize>,
}

impl Style {
    /// A style with colours or without, for lines of any length.
    pub(super) const fn new(colored: bool) -> Self {
        Style {
            colored,
            width: None,
        }
    }

    pub(super) const fn is_colored(self) -> bool {
        self.colored
    }

    /// The same for lines of so many columns.
    pub(super) const fn within(self, width: Option<usize>) -> Self {
        Style { width, ..self }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colored {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

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

    pub(super) fn wrong(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// What may not be.
    pub(super) fn doubtful(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(super) fn place(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// A word that was looked for.
    pub(super) fn mark(self, text: &str) -> String {
        self.paint("1;33", text)
    }
}

/// A text from outside on one line, without what would command the terminal, break the line or hide.
pub(super) fn plain(text: &str) -> String {
    visible(text).into_owned()
}

/// A piece of a document's text: as [`plain`], with its tabs as spaces.
pub(super) fn tabbed(text: &str) -> String {
    plain(&text.replace('\t', "    "))
}

/// The columns that a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Digits of an id that are enough to name it: the last group of a UUID is random in every kind that docent makes, while
/// the beginning of those that are made in one moment is the same.
const ID_DIGITS: usize = 12;

/// The end of an event's id; what is no UUID stays whole.
pub(super) fn short_id(id: &str) -> &str {
    let is_uuid = id.len() == 36 && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if is_uuid {
        &id[id.len() - ID_DIGITS..]
    } else {
        id
    }
}

/// Breaks a text into lines of at most `max` columns: at the ends of words, behind the slashes of a path, and within a word
/// only where it is longer than a line.
pub(super) fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut push = |line: &mut String| {
        lines.push(line.trim_end().to_owned());
        line.clear();
    };
    for piece in text.split_inclusive([' ', '/']) {
        if !line.is_empty() && width(&line) + width(piece.trim_end()) > max {
            push(&mut line);
        }
        if width(piece.trim_end()) <= max {
            line.push_str(piece);
            continue;
        }
        let word = piece.trim_end();
        for c in word.chars() {
            let more = c.width().unwrap_or(0);
            if more > 0 && width(&line) + more > max {
                push(&mut line);
            }
            line.push(c);
        }
        line.push_str(&piece[word.len()..]);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// An RFC 3339 moment in the local zone: `2026-01-31 12:03:04`. What is none stays as it is.
pub(super) fn moment(text: &str) -> String {
    in_zone(text, "%Y-%m-%d %H:%M:%S", &LOCAL)
}

/// An RFC 3339 moment in the local zone: `12:03:04` if it is today, else with its date.
pub(super) fn clock(text: &str) -> String {
    clock_at(text, Timestamp::now(), &LOCAL)
}

/// The local zone. [`TimeZone::system`] would look through all zones of the machine for the name of this one, which takes as
/// long as a search.
static LOCAL: LazyLock<TimeZone> = LazyLock::new(|| {
    let of_machine = || TimeZone::tzif("", &fs::read("/etc/localtime").ok()?).ok();
    match env::var_os("TZ") {
        None => of_machine().unwrap_or_else(TimeZone::system),
        Some(_) => TimeZone::system(),
    }
});

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_cannot_command_the_terminal() {
        assert_eq!(
            plain("a\x1b[2Jb\tc\u{202E}d\r\u{9b}\n"),
            "a\\x1B[2Jb\\tc\\u{202E}d\\r\\u{9B}\\n"
        );
        assert_eq!(tabbed("\tif x {\x1b"), "    if x {\\x1B");
    }

    #[test]
    fn lines_break_at_the_ends_of_words_and_by_what_a_terminal_shows() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(
            wrap("docs/guide/install.md", 12),
            ["docs/guide/", "install.md"]
        );
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("日本語の文書", 6), ["日本語", "の文書"]);
        assert_eq!(wrap("🦀🦀🦀", 4), ["🦀🦀", "🦀"]);
        assert_eq!(wrap("", 4), [""]);
        for max in 2..20 {
            for line in wrap(
                "a 日本 word-that-is-long/with/slashes e\u{301}e\u{301}",
                max,
            ) {
                assert!(width(&line) <= max, "{max}: {line}");
            }
        }
    }

    #[test]
    fn an_id_is_shortened_to_what_is_random_in_it() {
        assert_eq!(
            short_id("0199a000-0000-7000-8000-3a1d27c49e55"),
            "3a1d27c49e55"
        );
        assert_eq!(short_id("1700000000000-0"), "1700000000000-0");
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
}
