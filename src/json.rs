//! JSON that is safe wherever it is printed: a terminal obeys no byte of it, and no reader takes a part of it for a line's end.
//!
//! JSON lets DEL, the C1 controls, line and paragraph separators, and marks that are invisible or turn the direction of text
//! stand as they are. They can be in a string alone, so writing them as `\u` and four digits anywhere in a text of JSON
//! changes nothing of what it says.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// Whether a character is not to stand as it is.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text of JSON that says the same and hides nothing.
pub(crate) fn escaped(json: &str) -> Cow<'_, str> {
    if json.is_ascii() && !json.contains('\u{7f}') || !json.contains(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_hidden(c) {
            // Every one of them is in the basic plane. A String takes all that is written.
            write!(text, "\\u{:04x}", u32::from(c)).ok();
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// `value` as such a text, on one line.
///
/// # Errors
/// It cannot be JSON.
pub(crate) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(match escaped(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_hidden_is_written_out_and_the_rest_stays() {
        let value = "a\u{7f}\u{9b}2J\u{200b}\u{202e}\u{2028}\u{feff}\u{e9}\u{1f600}\u{1b}";
        let text = to_string(&value).unwrap();
        assert_eq!(
            text,
            "\"a\\u007f\\u009b2J\\u200b\\u202e\\u2028\\ufeff\u{e9}\u{1f600}\\u001b\""
        );
        assert!(matches!(escaped("{\"a\":\"\u{e9}\"}"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn it_says_the_same(value in any::<String>(), odd in "[\u{7f}-\u{a0}\u{2000}-\u{2070}\\\\\"]{0,9}") {
            let value = format!("{value}{odd}");
            let text = to_string(&value).unwrap();
            prop_assert!(!text.contains(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value);
        }
    }
}
