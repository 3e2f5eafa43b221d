//! What a lease is for.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::event::Subject;

/// How many slots there are.
pub(super) const SLOTS: usize = 256;

/// A share of all subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(u8);

impl Slot {
    /// The slot of a subject: the first byte of its SHA-256, on every host and in every version.
    pub(super) fn of(subject: &Subject) -> Self {
        Slot(Sha256::digest(subject.as_str())[0])
    }

    pub(super) fn all() -> impl Iterator<Item = Slot> {
        (0..=u8::MAX).map(Slot)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What a lease is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LeaseName {
    /// To handle what is owed of a share of all subjects.
    Slot(Slot),
    /// To watch and to scan a collection.
    Collection(String),
    /// To judge alerts and to send notifications.
    Alerts,
    /// To prune and to check the store, and to judge the health of what all hosts share.
    Housekeeping,
}

/// What the name of the lease of a collection begins with.
pub(super) const COLLECTION: &str = "collection/";

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeaseName::Slot(Slot(number)) => write!(f, "slot/{number}"),
            LeaseName::Collection(name) => write!(f, "{COLLECTION}{name}"),
            LeaseName::Alerts => f.write_str("alerts"),
            LeaseName::Housekeeping => f.write_str("housekeeping"),
        }
    }
}

impl LeaseName {
    /// What its holder does, as the end of a sentence about it.
    pub(in crate::store) fn task(&self) -> String {
        match self {
            LeaseName::Slot(Slot(number)) => {
                format!("handles the deliveries of slot {number}")
            }
            LeaseName::Collection(name) => format!("watches the collection {name}"),
            LeaseName::Alerts => "evaluates alerts and sends notifications".to_owned(),
            LeaseName::Housekeeping => "prunes and checks the store".to_owned(),
        }
    }

    /// The lease of this name; `None`: this docent does not know it.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.split_once('/') {
            Some(("slot", number)) => Some(LeaseName::Slot(Slot(number.parse().ok()?))),
            Some(("collection", name)) => Some(LeaseName::Collection(name.to_owned())),
            _ if name == "alerts" => Some(LeaseName::Alerts),
            _ if name == "housekeeping" => Some(LeaseName::Housekeeping),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_the_same_slot_in_every_version() {
        let slot = |subject: &str| Slot::of(&Subject::parse(subject).unwrap()).index();
        assert_eq!((slot("docs/a.md"), slot("docs/b.md")), (0x52, 0x77));
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let names = [
            LeaseName::Slot(Slot(0)),
            LeaseName::Slot(Slot(255)),
            LeaseName::Collection("docs".to_owned()),
            LeaseName::Alerts,
            LeaseName::Housekeeping,
        ];
        for name in names {
            assert_eq!(LeaseName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(LeaseName::parse("slot/256"), None);
        assert_eq!(LeaseName::parse("later"), None);
    }
}
