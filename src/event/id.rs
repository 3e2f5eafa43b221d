use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The namespace of every derived id of docent (a fixed random UUID).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_5f0e_7c35_4d0a_9b0e_3a1d_27c4_9e55);

/// The identity of an event: any UUID; docent's own roots are UUIDv7, what is derived is UUIDv5 of its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

impl EventId {
    /// A new id, unlike any other.
    pub fn fresh() -> Self {
        EventId(Uuid::now_v7())
    }

    /// The id that follows from `parts`: the same parts give the same id, so a repeated publish is recognised.
    pub fn derived(parts: &[&str]) -> Self {
        // A unit separator cannot stand in an agent's name, a number or an id, so no two lists of parts meet.
        EventId(Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(EventId)
    }
}

/// The place of an event in the order of commits: what has a lower one was visible before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_give_the_same_id_and_others_another() {
        assert_eq!(EventId::derived(&["a", "b"]), EventId::derived(&["a", "b"]));
        assert_ne!(EventId::derived(&["a", "b"]), EventId::derived(&["ab"]));
        assert_ne!(EventId::derived(&["a", "b"]), EventId::derived(&["b", "a"]));
    }

    #[test]
    fn an_id_is_read_back_as_it_was_printed() {
        let id = EventId::fresh();
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        assert!("not-a-uuid".parse::<EventId>().is_err());
    }
}
