//! Anti-entropy of files, documents and chunks: compared in slices, round and round.
//!
//! Work that is under way looks like a difference, so nothing is concluded while anybody owes anything, and what differs is
//! looked at again until it does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{AgentName, Subject};
use crate::health::Drifted;
use crate::store::{FileView, ReadError, Store};

/// Differences that are looked at again each round, at most; there may be more.
const SUSPECTS_MAX: usize = 1000;

#[derive(Debug, Clone)]
pub(super) struct DriftScope {
    pub(super) collections: Vec<String>,
    pub(super) documents: bool,
    pub(super) chunks: bool,
}

/// How far the comparison is, and what differed.
#[derive(Debug, Default)]
pub(super) struct Drift {
    after: (String, Vec<u8>),
    suspects: BTreeSet<(String, Vec<u8>)>,
}

impl Drift {
    /// Looks at `slice` more files (with `whole`: at all that are left, and then at all from the beginning), and again at
    /// those that differed. Gives what differs now by collection; `None`: that cannot be said, somebody is at work.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        scope: &DriftScope,
        slice: usize,
        whole: bool,
    ) -> Result<Option<BTreeMap<String, Drifted>>, ReadError> {
        if !idle(store, scope) {
            return Ok(None);
        }
        let slice = slice.max(1);
        if whole {
            self.after = <(String, Vec<u8>)>::default();
        }
        loop {
            let views = store.file_views(self.after.clone(), slice).await?;
            let more = views.len() == slice;
            if !idle(store, scope) {
                return Ok(None);
            }
            self.after = match views.last() {
                Some(last) if more => (last.collection.clone(), last.path.clone()),
                _ => <(String, Vec<u8>)>::default(),
            };
            let differing = views.iter().filter(|v| difference(v, scope).is_some());
            let room = SUSPECTS_MAX.saturating_sub(self.suspects.len());
            let places = differing.map(|v| (v.collection.clone(), v.path.clone()));
            self.suspects.extend(places.take(room));
            if !whole || !more {
                break;
            }
        }
        self.again(store, scope).await
    }

    /// Looks again at what differed, in one read.
    async fn again(
        &mut self,
        store: &Store,
        scope: &DriftScope,
    ) -> Result<Option<BTreeMap<String, Drifted>>, ReadError> {
        if self.suspects.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        let places = self.suspects.iter().cloned().collect();
        let views = store.file_views_of(places).await?;
        if !idle(store, scope) {
            return Ok(None);
        }
        let mut found: BTreeMap<String, Drifted> = BTreeMap::new();
        for view in &views {
            let place = || (view.collection.clone(), view.path.clone());
            // A path that is too long for a subject is not captured: nothing is to be compared.
            let (Some(how), Ok(subject)) = (
                difference(view, scope),
                Subject::file(&view.collection, &view.path),
            ) else {
                self.suspects.remove(&place());
                continue;
            };
            let drifted = found.entry(view.collection.clone()).or_default();
            if drifted.files.is_empty() {
                drifted.how = how;
            }
            drifted.files.push(subject);
        }
        Ok(Some(found))
    }
}

/// Whether nobody owes anything between a file and its chunks: what differs now is not about to be put right.
/// What an agent that is off owes stays owed until it is on again.
fn idle(store: &Store, scope: &DriftScope) -> bool {
    let owes = |on: bool, agent| on && store.counts(agent).owed > 0;
    !owes(scope.documents, AgentName::DocumentManagement) && !owes(scope.chunks, AgentName::Rag)
}

/// How a file, its document and its chunks differ.
fn difference(view: &FileView, scope: &DriftScope) -> Option<&'static str> {
    if !scope.collections.contains(&view.collection) {
        return None;
    }
    if scope.documents {
        match (&view.captured, &view.document) {
            (Some(_), None) => return Some("has no document"),
            (Some(captured), Some((_, digest))) if captured != digest => {
                return Some("has a document with different bytes");
            }
            (None, Some(_)) if !view.listed => return Some("is gone, but its document is not"),
            _ => {}
        }
    }
    if scope.chunks {
        match (&view.document, &view.indexed) {
            (Some((true, _)), None) => return Some("has no chunks"),
            (Some((true, digest)), Some((indexed, _))) if digest != indexed => {
                return Some("has chunks of different bytes");
            }
            (Some((false, _)), Some((_, chunks))) if *chunks > 0 => {
                return Some("is rejected, but still has chunks");
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> DriftScope {
        DriftScope {
            collections: vec!["docs".to_owned()],
            documents: true,
            chunks: true,
        }
    }

    fn view(
        captured: &str,
        document: Option<(bool, &str)>,
        indexed: Option<(&str, u64)>,
    ) -> FileView {
        FileView {
            collection: "docs".to_owned(),
            path: b"a.md".to_vec(),
            listed: true,
            captured: (!captured.is_empty()).then(|| captured.to_owned()),
            document: document.map(|(stored, digest)| (stored, digest.to_owned())),
            indexed: indexed.map(|(digest, chunks)| (digest.to_owned(), chunks)),
        }
    }

    #[test]
    fn every_way_to_differ_is_seen_and_agreement_is_not() {
        let cases = [
            (view("x", Some((true, "x")), Some(("x", 3))), None),
            (view("x", Some((true, "x")), Some(("x", 0))), None),
            (view("x", Some((false, "x")), None), None),
            (view("x", Some((false, "x")), Some(("", 0))), None),
            // Not read (too large, unreadable): what the document says of it is not compared.
            (view("", None, None), None),
            (view("x", None, None), Some("has no document")),
            (
                view("x", Some((true, "y")), Some(("y", 1))),
                Some("has a document with different bytes"),
            ),
            (view("x", Some((true, "x")), None), Some("has no chunks")),
            (
                view("x", Some((true, "x")), Some(("y", 1))),
                Some("has chunks of different bytes"),
            ),
            (
                view("x", Some((false, "x")), Some(("y", 1))),
                Some("is rejected, but still has chunks"),
            ),
        ];
        for (view, expected) in cases {
            assert_eq!(difference(&view, &scope()), expected, "{view:?}");
        }
        let gone = FileView {
            listed: false,
            ..view("", Some((true, "x")), Some(("x", 1)))
        };
        assert_eq!(
            difference(&gone, &scope()),
            Some("is gone, but its document is not")
        );
    }

    #[test]
    fn what_is_off_is_not_compared() {
        let lone = view("x", None, None);
        assert_eq!(
            difference(
                &lone,
                &DriftScope {
                    documents: false,
                    ..scope()
                }
            ),
            None
        );
        let unindexed = view("x", Some((true, "x")), None);
        assert_eq!(
            difference(
                &unindexed,
                &DriftScope {
                    chunks: false,
                    ..scope()
                }
            ),
            None
        );
        assert_eq!(
            difference(
                &lone,
                &DriftScope {
                    collections: Vec::new(),
                    ..scope()
                }
            ),
            None
        );
    }
}
