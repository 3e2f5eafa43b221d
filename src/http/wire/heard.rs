//! Words of closed sets, as they go over the wire.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::word::Word;

/// A word of a closed set as it was heard. A daemon of another version may say one more: it is kept as it came, and a person
/// is told that it says nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard<T> {
    Known(T),
    Unknown(String),
}

impl<T: Word> Heard<T> {
    /// What it means here; `None`: nothing.
    pub(crate) fn known(&self) -> Option<T> {
        match self {
            Heard::Known(word) => Some(*word),
            Heard::Unknown(_) => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Heard::Known(word) => word.text(),
            Heard::Unknown(text) => text,
        }
    }
}

impl<T: Word> From<T> for Heard<T> {
    fn from(word: T) -> Self {
        Heard::Known(word)
    }
}

impl<T: Word> From<&str> for Heard<T> {
    fn from(text: &str) -> Self {
        T::parse(text).map_or_else(|| Heard::Unknown(text.to_owned()), Heard::Known)
    }
}

impl<T: Word + PartialEq> PartialEq<T> for Heard<T> {
    fn eq(&self, word: &T) -> bool {
        self.known().as_ref() == Some(word)
    }
}

impl<T: Word + Eq> PartialOrd for Heard<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By their texts.
impl<T: Word + Eq> Ord for Heard<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(other.text())
    }
}

impl<T: Word> fmt::Display for Heard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Heard::Known(word) => f.write_str(word.text()),
            Heard::Unknown(text) => write!(f, "{text} (unknown to this version of docent)"),
        }
    }
}

impl<T: Word> Serialize for Heard<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de, T: Word> Deserialize<'de> for Heard<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Heard::from(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::AgentState;

    #[test]
    fn a_word_that_is_not_known_goes_through_as_it_came_and_is_told_as_such() {
        let heard = |json: &str| serde_json::from_str::<Heard<AgentState>>(json).unwrap();
        for (json, known, told) in [
            ("\"parked\"", Some(AgentState::Parked), "parked"),
            (
                "\"asleep\"",
                None,
                "asleep (unknown to this version of docent)",
            ),
        ] {
            assert_eq!(heard(json).known(), known);
            assert_eq!(heard(json).to_string(), told);
            assert_eq!(serde_json::to_string(&heard(json)).unwrap(), json);
        }
        assert!(heard("\"parked\"") == AgentState::Parked);
        assert!(heard("\"asleep\"") != AgentState::Parked);
    }
}
