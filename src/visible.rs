//! Text that comes from outside, as a terminal and a text log may show it.
//!
//! Names of files, headings, texts of libraries and of Redis, arguments: none of them may command a terminal, begin a line
//! or hide what is there. The two edges that write for people, the command line and the log, both show text through here.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` on one line: each character that commands, breaks the line, turns the direction or cannot be seen stands as an
/// escape: `\n`, `\x1B`, `\u{202E}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            escape(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The first line of a text, cut to `max` characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let more = line.chars().count() > max || text.lines().nth(1).is_some();
    let mut cut: String = line.chars().take(max).collect();
    if more {
        cut.push('…');
    }
    visible(&cut).into_owned()
}

fn escape(shown: &mut String, c: char) {
    let code = u32::from(c);
    // Writing to a string cannot fail.
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        _ if c.is_ascii() => write!(shown, "\\x{code:02X}").unwrap_or_default(),
        _ => write!(shown, "\\u{{{code:X}}}").unwrap_or_default(),
    }
}

/// Control characters (C0, DEL, C1), characters without width, marks of direction and separators of lines.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_breaks_or_hides_stands_as_an_escape() {
        assert_eq!(visible("a\x1b[2Jb\u{9b}c"), "a\\x1B[2Jb\\u{9B}c");
        assert_eq!(visible("a\nb\rc\td\0\x7f"), "a\\nb\\rc\\td\\x00\\x7F");
        assert_eq!(
            visible("x\u{202E}y\u{200B}z\u{FEFF}"),
            "x\\u{202E}y\\u{200B}z\\u{FEFF}"
        );
        let ranges = [
            0x200B..=0x200F,
            0x2028..=0x202E,
            0x2060..=0x2069,
            0..=0x1F,
            0x7F..=0x9F,
        ];
        for code in ranges
            .into_iter()
            .flatten()
            .chain([0xFEFF, 0x061C, 0xE0041])
        {
            let raw = char::from_u32(code).unwrap();
            let shown = visible(&raw.to_string()).into_owned();
            assert!(shown.starts_with('\\') && !shown.contains(raw), "{code:X}");
        }
    }

    #[test]
    fn what_can_be_seen_stays_as_it_is() {
        for text in ["a b", "naïve 日本語 🦀", "back\\slash", "e\u{301}", ""] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn one_line_says_that_it_is_cut() {
        assert_eq!(one_line("short", 10), "short");
        assert_eq!(one_line("longer than that", 6), "longer…");
        assert_eq!(one_line("two\nlines", 10), "two…");
    }
}
