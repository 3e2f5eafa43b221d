//! How templates write what comes from outside.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

use crate::visible::visible;

/// Escapes for HTML, and makes visible what commands, turns the direction or cannot be seen. Line breaks and tabs stay: where
/// the text is a name, [`visible`] is called for it before.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        for part in text.split_inclusive(['\n', '\t']) {
            let (shown, layout) = match part.strip_suffix(['\n', '\t']) {
                Some(shown) => (shown, &part[shown.len()..]),
                None => (part, ""),
            };
            Html.write_escaped_str(&mut dest, &visible(shown))?;
            dest.write_str(layout)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup_or_unseen() {
        let shown = |text: &str| {
            let mut shown = String::new();
            Visible.write_escaped_str(&mut shown, text).unwrap();
            shown
        };
        let script = shown("<script>\"'&");
        assert!(!script.contains(['<', '>', '"', '\'']), "{script}");
        assert_eq!(shown("a\u{202E}b\x1b[2J"), "a\\u{202E}b\\x1B[2J");
        assert_eq!(shown("a\n\tb\r\n"), "a\n\tb\\r\n");
        assert_eq!(shown(""), "");
    }
}
