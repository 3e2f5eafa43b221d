//! `document_management`: from captured bytes to documents and their versions.
//!
//! An event says where to look. What counts is the manifest row of that path now: captured bytes make a version of the document,
//! stored or rejected with the cause; anything else means that the document is gone.

use serde_json::json;

use crate::document::{Kind, kind_of, parse};
use crate::event::{AgentName, Event, EventId, EventType, Subject};
use crate::runtime::{Agent, Boxed, Compute, Ending, Handling};
use crate::store::{
    Digest, DocumentRow, DocumentState, DocumentVersion, Effect, FileState, FileView, ManifestRow,
    Outcome, Store,
};

/// Documents that one check of a whole collection looks at in one handler.
const CHECK_PAGE: usize = 500;

/// Paths to check, and where the next page begins.
type Page = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// The title of a document and a finding in it, or the reason why it is none.
type Read = Result<(String, Option<String>), String>;

pub(crate) struct DocumentManagement {
    store: Store,
    compute: Compute,
}

impl DocumentManagement {
    pub(crate) fn new(store: Store, compute: Compute) -> Self {
        DocumentManagement { store, compute }
    }

    async fn decide(&self, event: &Event) -> Result<Outcome, Ending> {
        match event.kind {
            EventType::FileChanged | EventType::FileRemoved => self.look_at(event, false).await,
            EventType::DocumentCheckRequested => match event.subject.as_place() {
                (_, Some(_)) => self.look_at(event, true).await,
                (collection, None) => self.check_collection(event, collection).await,
            },
            _ => Ok(Outcome::nothing()),
        }
    }

    /// Brings the document at the event's path in line with the manifest. `again` also tells those who follow when nothing changed.
    async fn look_at(&self, event: &Event, again: bool) -> Result<Outcome, Ending> {
        let (collection, Some(path)) = event.subject.as_place() else {
            return Ok(Outcome::nothing());
        };
        let row = self.store.manifest_row(collection, &path).await?;
        let standing = self.store.document_at(collection, &path).await?;
        let captured = row.as_ref().and_then(|row| match row.state {
            FileState::Captured => row.digest.clone().map(|digest| (row, digest)),
            _ => None,
        });
        match captured {
            Some((_, digest)) if !again && is_stored(standing.as_ref(), &digest) => {
                Ok(Outcome::nothing())
            }
            Some((row, digest)) => self.keep(event, row, digest, standing).await,
            None => Ok(gone(event, row.as_ref(), standing, again)),
        }
    }

    async fn keep(
        &self,
        event: &Event,
        row: &ManifestRow,
        digest: Digest,
        standing: Option<DocumentRow>,
    ) -> Result<Outcome, Ending> {
        let Some(bytes) = self.store.content(digest.clone()).await? else {
            let why = format!(
                "the bytes {digest} that the manifest names are not in the store; `docent scan` reads the file again"
            );
            return Err(Ending::Permanent(why));
        };
        let read = self.read(&row.path, bytes).await?;
        let version = version(event, row, digest, standing.as_ref(), read);
        let told = json!({
            "document": version.document, "version": version.version, "digest": version.digest.as_str(),
            "title": version.title, "kind": version.kind, "reason": version.reason,
        });
        let kind = match version.state {
            DocumentState::Stored => EventType::DocumentStored,
            _ => EventType::DocumentRejected,
        };
        Ok(Outcome::nothing().effect(Effect::Document(version)).event(
            kind,
            event.subject.clone(),
            told,
        ))
    }

    /// What the bytes say: the title with what is wrong in the document, or the reason why they are none.
    async fn read(&self, path: &[u8], bytes: Vec<u8>) -> Result<Read, Ending> {
        let kind = kind_at(path);
        let path = path.to_owned();
        let parsed = self
            .compute
            .run(move || {
                parse(kind, &path, &bytes)
                    .map(|d| (d.title, d.finding))
                    .map_err(|e| e.to_string())
            })
            .await;
        parsed.map_err(Ending::Transient)
    }

    /// Asks for a check of every document of a collection, so that each is a small piece of work of its own: one page now, and an
    /// event that asks for the next.
    async fn check_collection(&self, event: &Event, collection: &str) -> Result<Outcome, Ending> {
        let after = match event.data["after"]
            .as_str()
            .map(|s| format!("{collection}/{s}"))
        {
            Some(place) => Subject::parse(&place)
                .ok()
                .and_then(|s| s.as_place().1)
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let differing = event.data["only"] == "differing";
        let (paths, last) = if differing {
            self.differing(collection, after).await?
        } else {
            self.documents(collection, &after).await?
        };
        let mut outcome = Outcome::nothing();
        for subject in paths
            .iter()
            .filter_map(|p| Subject::file(collection, p).ok())
        {
            outcome = outcome.event(EventType::DocumentCheckRequested, subject, json!({}));
        }
        // A path that is too long for a subject is not captured either.
        let next = last.and_then(|path| Subject::file(collection, &path).ok());
        let Some((_, after)) = next.as_ref().and_then(|s| s.as_str().split_once('/')) else {
            return Ok(outcome);
        };
        let mut data = json!({"after": after});
        if differing {
            data["only"] = json!("differing");
        }
        Ok(outcome.event(event.kind, event.subject.clone(), data))
    }

    /// A page of a collection's documents, and the last one if there may be more.
    async fn documents(&self, collection: &str, after: &[u8]) -> Result<Page, Ending> {
        let page = self
            .store
            .documents_of(collection, after, CHECK_PAGE)
            .await?;
        let last = page.last().filter(|_| page.len() == CHECK_PAGE);
        let last = last.map(|d| d.path.clone());
        Ok((page.into_iter().map(|d| d.path).collect(), last))
    }

    /// Of a page of a collection's files those whose document is not the one that they make, and the page's last one if
    /// there may be more.
    async fn differing(&self, collection: &str, after: Vec<u8>) -> Result<Page, Ending> {
        let mut page = self
            .store
            .file_views((collection.to_owned(), after), CHECK_PAGE)
            .await?;
        let full = page.len() == CHECK_PAGE;
        page.retain(|view| view.collection == collection);
        let last = page.last().filter(|_| full && page.len() == CHECK_PAGE);
        let last = last.map(|view| view.path.clone());
        page.retain(FileView::document_differs);
        Ok((page.into_iter().map(|view| view.path).collect(), last))
    }
}

/// Whether these bytes are the document's already.
fn is_stored(document: Option<&DocumentRow>, digest: &Digest) -> bool {
    document.is_some_and(|d| d.digest == *digest && d.state != DocumentState::Removed)
}

/// What is captured is read as text where its name does not say more.
fn kind_at(path: &[u8]) -> Kind {
    kind_of(path).unwrap_or(Kind::Text)
}

/// The document's file is not captured any more.
fn gone(
    event: &Event,
    row: Option<&ManifestRow>,
    standing: Option<DocumentRow>,
    again: bool,
) -> Outcome {
    let Some(document) = standing.filter(|d| again || d.state != DocumentState::Removed) else {
        return Outcome::nothing();
    };
    let reason = match row {
        Some(row) => row
            .reason
            .clone()
            .unwrap_or_else(|| row.state.as_str().to_owned()),
        None => event.data["reason"].as_str().unwrap_or("absent").to_owned(),
    };
    Outcome::nothing()
        .effect(Effect::DocumentGone {
            document: document.id.clone(),
        })
        .event(
            EventType::DocumentRemoved,
            event.subject.clone(),
            json!({"document": document.id, "reason": reason}),
        )
}

/// The version that these bytes are: the next one if the content differs from the version before.
fn version(
    event: &Event,
    row: &ManifestRow,
    digest: Digest,
    standing: Option<&DocumentRow>,
    read: Read,
) -> DocumentVersion {
    let number = match standing {
        None => 1,
        Some(document) if document.digest == digest => document.version,
        Some(document) => document.version + 1,
    };
    let document = match standing {
        Some(document) => document.id.clone(),
        None => EventId::derived(&["document", &event.id.to_string()]).to_string(),
    };
    let (state, title, reason) = match read {
        Ok((title, finding)) => (DocumentState::Stored, Some(title), finding),
        Err(reason) => (DocumentState::Rejected, None, Some(reason)),
    };
    DocumentVersion {
        document,
        collection: row.collection.clone(),
        path: row.path.clone(),
        version: number,
        digest,
        size: row.stat.size,
        state,
        reason,
        title,
        kind: kind_at(&row.path).as_str().to_owned(),
    }
}

impl Agent for DocumentManagement {
    fn name(&self) -> AgentName {
        AgentName::DocumentManagement
    }

    fn handle<'a>(&'a self, event: &'a Event, _handling: &'a Handling) -> Boxed<'a, Ending> {
        Box::pin(async move {
            self.decide(event)
                .await
                .map_or_else(|ending| ending, Ending::Outcome)
        })
    }
}
