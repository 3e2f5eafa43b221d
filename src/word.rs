//! Closed sets of words: states, severities and the like. Each has one text, in the store, on the wire and on a screen.

/// A word of a closed set.
pub(crate) trait Word: Copy + 'static {
    /// The whole set.
    const ALL: &'static [Self];

    fn text(self) -> &'static str;

    /// The word with this text; `None`: the set has none.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.text() == text)
    }
}

/// Gives the variants of an enum their texts.
macro_rules! words {
    ($type:ident: $($variant:ident = $text:literal),* $(,)?) => {
        impl $type {
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $text),*
                }
            }
        }

        impl crate::word::Word for $type {
            const ALL: &'static [Self] = &[$($type::$variant),*];

            fn text(self) -> &'static str {
                self.as_str()
            }
        }
    };
}
pub(crate) use words;
