//! What an event from outside may be about.

use std::borrow::Cow;

use thiserror::Error;

use super::{EventType, Subject};

/// The names that an event may be about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub collections: Vec<String>,
    pub jobs: Vec<String>,
}

/// A name that there is not.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no {kind} `{name}`; {known}", known = listed(.names))]
pub struct NotKnown {
    /// What it would be.
    kind: &'static str,
    /// As it was written.
    name: String,
    /// The names that there are.
    names: Vec<String>,
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "the config has none".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}

impl Known {
    /// These names and more collections.
    pub(crate) fn and(&self, collections: &[String]) -> Cow<'_, Self> {
        let is_new = |name: &&String| !self.collections.contains(name);
        let more: Vec<String> = collections.iter().filter(is_new).cloned().collect();
        if more.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut known = self.clone();
        known.collections.extend(more);
        Cow::Owned(known)
    }

    /// Checks that `name` is a collection.
    ///
    /// # Errors
    /// It is none; the error lists those that there are.
    pub fn collection(&self, name: &str) -> Result<(), NotKnown> {
        find("collection", name, &self.collections)
    }

    /// Checks that what an event of this type is about exists, where the config tells that.
    ///
    /// # Errors
    /// The job or the collection does not exist; the error lists those that there are.
    pub fn subject(&self, kind: EventType, subject: &Subject) -> Result<(), NotKnown> {
        let text = subject.as_str();
        match kind {
            EventType::JobRequested | EventType::JobChanged => {
                find("job", text.strip_prefix("job/").unwrap_or(text), &self.jobs)
            }
            EventType::IndexVerifyRequested if text == "index" || text.starts_with("index@") => {
                Ok(())
            }
            EventType::ScanRequested
            | EventType::DocumentCheckRequested
            | EventType::IndexVerifyRequested => self.collection(subject.as_place().0),
            _ => Ok(()),
        }
    }
}

fn find(kind: &'static str, name: &str, names: &[String]) -> Result<(), NotKnown> {
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(NotKnown {
        kind,
        name: name.to_owned(),
        names: names.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            collections: vec!["docs".to_owned(), "wiki".to_owned()],
            jobs: vec!["health".to_owned(), "verify".to_owned()],
        }
    }

    #[test]
    fn what_is_there_may_be_named_and_what_is_not_is_refused_with_the_names_that_are() {
        use EventType as Type;
        let check = |kind, text: &str| known().subject(kind, &Subject::parse(text).unwrap());
        for (kind, subject) in [
            (Type::JobRequested, "job/health"),
            (Type::JobChanged, "job/verify"),
            (Type::ScanRequested, "docs"),
            (Type::ScanRequested, "docs/not/there.md"),
            (Type::DocumentCheckRequested, "wiki/a.md"),
            (Type::IndexVerifyRequested, "index"),
            (Type::IndexVerifyRequested, "index@host"),
            (Type::IndexVerifyRequested, "docs"),
            (Type::MaintenanceRequested, "anything"),
            (Type::ReportWritten, "2026-W05"),
        ] {
            assert_eq!(check(kind, subject), Ok(()), "{kind} {subject}");
        }
        let jobs = "there are: health, verify";
        let collections = "there are: docs, wiki";
        for (kind, subject, names) in [
            (Type::JobRequested, "job/nope", jobs),
            (Type::JobChanged, "job/", jobs),
            (Type::JobRequested, "docs", jobs),
            (Type::ScanRequested, "nope", collections),
            (Type::ScanRequested, "nope/a.md", collections),
            (Type::ScanRequested, "docs@host", collections),
            (Type::ScanRequested, "store", collections),
            (Type::DocumentCheckRequested, "index", collections),
            (Type::IndexVerifyRequested, "indexes", collections),
        ] {
            let refused = check(kind, subject).unwrap_err().to_string();
            assert!(refused.ends_with(names), "{kind} {subject}: {refused}");
        }
        assert_eq!(
            Known::default().collection("docs").unwrap_err().to_string(),
            "there is no collection `docs`; the config has none"
        );
    }
}
