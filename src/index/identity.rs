//! What an index was made with: recorded in every commit, compared at open.

use std::fmt;

use super::analyse::STOP_WORDS;
use super::error::WhyNew;
use crate::event::Seq;
use crate::store::NewestEvent;

/// Raised when the fields, the analysis or the files of the index change in a way that no other line shows.
const FORMAT: u32 = 5;

/// The crates whose version decides which terms a text gives or how they are stored, as in `Cargo.lock`.
const CRATES: [(&str, &str); 3] = [
    ("tantivy", "0.27.0"),
    ("frostem", "1.20260821.8"),
    ("unicode-normalization", "0.1.26"),
];

/// The first line of the payload of every commit.
const HEAD: &str = "docent index";

/// How far an index follows its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexPosition {
    /// The position of the store's feed.
    pub change: u64,
    /// The newest event that the store had then: a store that was restored has another one in its place, or none.
    pub newest: Option<NewestEvent>,
}

impl From<u64> for IndexPosition {
    fn from(change: u64) -> Self {
        let newest = None;
        IndexPosition { change, newest }
    }
}

impl IndexPosition {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let change = words.next()?.parse().ok()?;
        let newest = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some(seq), Some(id), None) => Some(NewestEvent {
                seq: Seq(seq.parse().ok()?),
                id: id.parse().ok()?,
            }),
            _ => return None,
        };
        Some(IndexPosition { change, newest })
    }
}

impl fmt::Display for IndexPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.change)?;
        match &self.newest {
            None => Ok(()),
            Some(newest) => write!(f, " {} {}", newest.seq.0, newest.id),
        }
    }
}

/// What the caller knows of the origin of the chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The id of the store that it follows: another one gives the same numbers to other chunks.
    pub store: String,
    /// The embedder that made the vectors, for instance the digest of its table.
    pub embedder: String,
    /// How documents are cut into chunks.
    pub chunking: String,
    /// Whether the chunks themselves are in it too, for searches while the store is away.
    pub stores_chunks: bool,
}

impl Identity {
    /// Everything an index is made with, one (name, value) a line, without line breaks in them.
    fn lines(&self) -> Vec<(String, String)> {
        let one_line = |value: &str| value.replace(['\n', '\r'], " ");
        let (major, minor, micro) = char::UNICODE_VERSION;
        let mut lines = vec![("format".to_owned(), FORMAT.to_string())];
        lines.extend(CRATES.map(|(name, version)| (name.to_owned(), version.to_owned())));
        lines.push(("unicode".to_owned(), format!("{major}.{minor}.{micro}")));
        lines.push((
            "stop-words".to_owned(),
            blake3::hash(STOP_WORDS.as_bytes()).to_hex().to_string(),
        ));
        lines.push(("store".to_owned(), one_line(&self.store)));
        lines.push(("embedder".to_owned(), one_line(&self.embedder)));
        lines.push(("chunking".to_owned(), one_line(&self.chunking)));
        if self.stores_chunks {
            lines.push(("chunks".to_owned(), "stored".to_owned()));
        }
        lines
    }

    /// The payload of a commit that reaches `position`.
    pub(super) fn payload(&self, position: IndexPosition) -> String {
        let mut text = format!("{HEAD}\nposition {position}\n");
        for (name, value) in self.lines() {
            text.push_str(&format!("{name} {value}\n"));
        }
        text
    }

    /// The position in a commit's payload.
    ///
    /// # Errors
    /// The payload is not docent's, or it was made with something else.
    pub(super) fn position(&self, payload: Option<&str>) -> Result<IndexPosition, WhyNew> {
        let mut recorded = payload.ok_or(WhyNew::Foreign)?.lines();
        if recorded.next() != Some(HEAD) {
            return Err(WhyNew::Foreign);
        }
        let position = recorded
            .next()
            .and_then(|line| line.strip_prefix("position "))
            .and_then(IndexPosition::parse)
            .ok_or(WhyNew::Foreign)?;
        for (what, is) in self.lines() {
            let line = recorded.next().unwrap_or_default();
            let (name, was) = line.split_once(' ').unwrap_or((line, ""));
            if name != what || was != is {
                // A line under another name: this version records something that the other did not know of.
                let was = if name == what { was } else { "unknown" };
                return Err(WhyNew::Changed {
                    what,
                    was: was.to_owned(),
                    is,
                });
            }
        }
        if recorded.next().is_some() {
            return Err(WhyNew::Foreign);
        }
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    fn identity() -> Identity {
        Identity {
            store: "a store".to_owned(),
            embedder: "a table".to_owned(),
            chunking: "size 800\noverlap 0".to_owned(),
            stores_chunks: false,
        }
    }

    #[test]
    fn the_position_comes_back() {
        let newest = NewestEvent {
            seq: Seq(7),
            id: EventId::fresh(),
        };
        for newest in [None, Some(newest)] {
            let change = u64::MAX;
            let position = IndexPosition { change, newest };
            let payload = identity().payload(position);
            assert_eq!(identity().position(Some(&payload)), Ok(position));
        }
    }

    #[test]
    fn another_identity_is_named() {
        let payload = identity().payload(5.into());
        let other = Identity {
            embedder: "another table".to_owned(),
            ..identity()
        };
        let reason = other.position(Some(&payload)).unwrap_err();
        assert_eq!(
            reason.to_string(),
            "the index was made with embedder a table, and now it is another table"
        );
        let older = payload.replace("tantivy 0.27.0", "tantivy 0.26.1");
        assert!(matches!(
            identity().position(Some(&older)),
            Err(WhyNew::Changed { what, was, .. }) if what == "tantivy" && was == "0.26.1"
        ));
    }

    #[test]
    fn what_is_not_a_payload_of_docent_is_foreign() {
        let whole = identity().payload(5.into());
        let cases = [
            None,
            Some(String::new()),
            Some("{}".to_owned()),
            Some(whole.replace("position 5", "position x")),
            Some(format!("{whole}more\n")),
        ];
        for case in cases {
            assert_eq!(identity().position(case.as_deref()), Err(WhyNew::Foreign));
        }
    }

    #[test]
    fn the_versions_are_those_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        for (name, version) in CRATES {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(
                lock.contains(&entry),
                "{name} is not {version} in Cargo.lock"
            );
        }
    }
}
