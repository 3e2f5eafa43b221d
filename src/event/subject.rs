use std::fmt;

use thiserror::Error;

use super::AgentName;

/// What an event is about: `<collection>/<path>`, `<collection>`, `job/<name>`, `agent/<name>@<instance>`, `store`, `index@<instance>`.
///
/// A path stands as it is; bytes that are not UTF-8 as `\xNN`, a backslash as `\x5C`, so a subject names exactly one path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(String);

/// Characters of a wrong subject that are shown.
const SHOWN_CHARS: usize = 80;

/// Why a text is no subject.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SubjectError {
    /// There is nothing in it.
    #[error("the subject is empty; write what the event is about, for example docs/guide.md")]
    Empty,
    /// It has a NUL, which no path has.
    #[error("the subject has a NUL; leave it out")]
    Nul,
    /// It is longer than [`Subject::BYTES_MAX`].
    #[error("the subject has {0} bytes, more than {max}; name something shorter", max = Subject::BYTES_MAX)]
    TooLong(usize),
    /// It does not begin as a subject does.
    #[error(
        "the subject {0:?} does not begin with a collection, job, agent, index or store: a-z 0-9 _ - up to the first / or @; write for example docs/guide.md"
    )]
    Beginning(String),
}

impl Subject {
    /// The longest subject, in bytes.
    pub const BYTES_MAX: usize = 4096;

    /// A subject from its text.
    ///
    /// # Errors
    /// The text is empty or too long, or has a NUL.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        match text.len() {
            0 => Err(SubjectError::Empty),
            n if n > Self::BYTES_MAX => Err(SubjectError::TooLong(n)),
            _ if text.contains('\0') => Err(SubjectError::Nul),
            _ => Ok(Subject(text.to_owned())),
        }
    }

    /// A subject as somebody outside wrote it: one that names something. Whether that is there is found out by who acts on it.
    ///
    /// # Errors
    /// The text is no subject.
    pub fn from_outside(text: &str) -> Result<Self, SubjectError> {
        let subject = Self::parse(text)?;
        let first = text.split(['/', '@']).next().unwrap_or_default();
        let belongs = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        if first.is_empty() || !first.chars().all(belongs) {
            let shown = text.chars().take(SHOWN_CHARS).collect();
            return Err(SubjectError::Beginning(shown));
        }
        Ok(subject)
    }

    /// The subject of the file at `path` (exact bytes, relative) in `collection`.
    ///
    /// # Errors
    /// The subject would be too long.
    pub fn file(collection: &str, path: &[u8]) -> Result<Self, SubjectError> {
        Self::parse(&format!("{collection}/{}", escape(path)))
    }

    /// The whole of a collection. A collection's name is short (the config checks it).
    pub fn collection(name: &str) -> Self {
        Subject(name.to_owned())
    }

    /// A job of the scheduler.
    pub fn job(name: &str) -> Self {
        Subject(format!("job/{name}"))
    }

    /// An agent of this process.
    pub fn agent(name: AgentName, instance: &str) -> Self {
        Subject(format!("agent/{name}@{instance}"))
    }

    pub fn store() -> Self {
        Subject("store".to_owned())
    }

    /// The index of this process.
    pub fn index(instance: &str) -> Self {
        Subject(format!("index@{instance}"))
    }

    /// The Redis of this process.
    pub fn redis(instance: &str) -> Self {
        Subject(format!("redis@{instance}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The collection and, if it names one, the path (exact bytes) that this subject is about,
    /// read as a subject of a file or a collection.
    pub fn as_place(&self) -> (&str, Option<Vec<u8>>) {
        match self.0.split_once('/') {
            Some((collection, path)) if !path.is_empty() => (collection, Some(unescape(path))),
            Some((collection, _)) => (collection, None),
            None => (&self.0, None),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path as text: bytes that are not UTF-8 as `\xNN`, a backslash as `\x5C`.
pub(crate) fn escape(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for part in path.utf8_chunks() {
        for c in part.valid().chars() {
            if c == '\\' {
                text.push_str("\\x5C");
            } else {
                text.push(c);
            }
        }
        for byte in part.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

/// The exact bytes of a path that [`escape`] made text of. An escape that is not complete stands for itself.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at..at + 4)
            .filter(|e| e.starts_with(b"\\x"))
            .and_then(|e| std::str::from_utf8(&e[2..]).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = hex {
            path.push(byte);
            at += 4;
        } else {
            path.push(bytes[at]);
            at += 1;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_that_is_not_utf8_is_escaped_byte_by_byte() {
        let subject = Subject::file("docs", b"a\\b\xff.md").unwrap();
        assert_eq!(subject.as_str(), "docs/a\\x5Cb\\xFF.md");
        assert_eq!(subject.as_place(), ("docs", Some(b"a\\b\xff.md".to_vec())));
    }

    #[test]
    fn an_empty_and_an_endless_subject_are_refused() {
        assert_eq!(Subject::parse(""), Err(SubjectError::Empty));
        assert!(Subject::file("docs", &[b'a'; 5000]).is_err());
    }

    proptest! {
        #[test]
        fn every_path_comes_back_from_its_text(path in proptest::collection::vec(any::<u8>(), 1..64)) {
            prop_assert_eq!(unescape(&escape(&path)), path);
        }
    }
}
