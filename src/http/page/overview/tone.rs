//! How something stands, as the style sheet calls it.

/// A colour with a meaning; the text beside it says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Doubt,
    Bad,
}

impl Tone {
    pub(super) fn class(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Good => "good",
            Tone::Doubt => "doubt",
            Tone::Bad => "bad",
        }
    }
}
