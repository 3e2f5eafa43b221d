//! `rag`: chunks and embeddings of every stored document, and the follower that keeps the index in step.
//!
//! The outcome puts a document's chunks and the embeddings that were not there into the store, together with `done`; the index
//! follows the store by itself. A chunk whose heading and text are known keeps its embedding, so work is proportional to the change.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::document::{CHUNKING, Chunk, ChunkOptions, chunks, kind_of, parse};
use crate::embed::EmbeddingTable;
use crate::event::{AgentName, Event, EventType, Heartbeat, NewEvent, Subject, awake};
use crate::hex;
use crate::index::{FollowerOptions, Identity, Searcher, VERIFY, follow};
use crate::runtime::{Agent, Boxed, Compute, Duty, DutyContext, DutyError, Ending, Handling};
use crate::store::{
    ChunkRow, ChunkSet, DocumentRow, DocumentState, Effect, IndexedState, Outcome, Store,
};

/// Stale documents that one handler has chunked again; an event asks for the next page.
const STALE_PAGE: usize = 1000;

/// How long a comparison of the index with the store may take.
const COMPARE: Duration = Duration::from_secs(600);

/// How the agent works.
#[derive(Debug, Clone)]
pub(crate) struct RagOptions {
    /// How documents are cut.
    pub chunking: ChunkOptions,
    /// Where the index is and how it follows.
    pub follower: FollowerOptions,
    /// This daemon's name, for subjects.
    pub instance: String,
}

/// Whose chunks they are and what the chunks and vectors are made with: another identity is another index.
pub(crate) fn identity(store: &Store, chunking: ChunkOptions) -> Identity {
    Identity {
        store: store.id().to_owned(),
        embedder: EmbeddingTable::embedded().identity().to_owned(),
        chunking: format!(
            "{CHUNKING} size {} overlap {}",
            chunking.size, chunking.overlap
        ),
        stores_chunks: store.leases().are_shared(),
    }
}

pub(crate) struct Rag {
    options: RagOptions,
    /// The identity as the store records it with every document's chunks.
    embedder: String,
    store: Store,
    searcher: Searcher,
    compute: Compute,
}

impl Rag {
    pub(crate) fn new(
        options: RagOptions,
        store: Store,
        searcher: Searcher,
        compute: Compute,
    ) -> Self {
        let identity = identity(&store, options.chunking);
        Rag {
            embedder: format!("{} {}", identity.embedder, identity.chunking),
            options,
            store,
            searcher,
            compute,
        }
    }

    async fn decide(&self, event: &Event, heartbeat: &Heartbeat) -> Result<Outcome, Ending> {
        match event.kind {
            EventType::DocumentStored
            | EventType::DocumentRemoved
            | EventType::DocumentRejected => self.look_at(event, heartbeat).await,
            EventType::IndexVerifyRequested => self.verify(event, heartbeat).await,
            _ => Ok(Outcome::nothing()),
        }
    }

    /// Brings the chunks of the document at the event's path in line with the document.
    async fn look_at(&self, event: &Event, heartbeat: &Heartbeat) -> Result<Outcome, Ending> {
        let (collection, Some(path)) = event.subject.as_place() else {
            return Ok(Outcome::nothing());
        };
        let Some(document) = self.store.document_at(collection, &path).await? else {
            return Ok(Outcome::nothing());
        };
        let standing = self.store.indexed(document.id.clone()).await?;
        if document.state != DocumentState::Stored {
            return Ok(self.unindex(event, document, standing));
        }
        let same = standing
            .is_some_and(|s| s.digest == document.digest.as_str() && s.embedder == self.embedder);
        if same {
            Ok(Outcome::nothing())
        } else {
            self.index(event, document, heartbeat).await
        }
    }

    async fn index(
        &self,
        event: &Event,
        document: DocumentRow,
        heartbeat: &Heartbeat,
    ) -> Result<Outcome, Ending> {
        let Some(bytes) = self.store.content(document.digest.clone()).await? else {
            return Err(Ending::Permanent(format!(
                "the bytes {} of the document are not in the store",
                document.digest
            )));
        };
        let (path, chunking) = (document.path.clone(), self.options.chunking);
        let cut = self
            .compute
            .run(move || cut(&path, &bytes, chunking))
            .await
            .map_err(Ending::Transient)?;
        let cut = cut.map_err(Ending::Permanent)?;
        heartbeat.beat();
        let known = self
            .store
            .embedded(self.embedder.clone(), cut.iter().map(hash).collect())
            .await?;
        let known: HashSet<String> = known.into_iter().collect();
        let reused = cut.iter().filter(|c| known.contains(&hash(c))).count();
        let beaten = heartbeat.clone();
        let (cut, embeddings) = self
            .compute
            .run(move || {
                let embeddings = embed(&cut, known, &beaten);
                (cut, embeddings)
            })
            .await
            .map_err(Ending::Transient)?;
        let told = json!({
            "document": document.id, "version": document.version, "chunks": cut.len(), "reused": reused,
        });
        let set = ChunkSet {
            document: document.id,
            version: document.version,
            digest: document.digest,
            embedder: self.embedder.clone(),
            chunks: cut.into_iter().map(row).collect(),
            embeddings,
        };
        Ok(Outcome::nothing().effect(Effect::Index(set)).event(
            EventType::IndexUpdated,
            event.subject.clone(),
            told,
        ))
    }

    /// The document has no chunks any more. Of a rejected one it is recorded which reader found it so.
    fn unindex(
        &self,
        event: &Event,
        document: DocumentRow,
        standing: Option<IndexedState>,
    ) -> Outcome {
        let had_chunks = standing.as_ref().is_some_and(|s| s.chunks > 0);
        let recorded = standing.is_some_and(|s| s.embedder == self.embedder);
        if !had_chunks && (recorded || document.state != DocumentState::Rejected) {
            return Outcome::nothing();
        }
        let told =
            json!({"document": document.id, "version": document.version, "chunks": 0, "reused": 0});
        let outcome = Outcome::nothing().effect(Effect::Unindex {
            document: document.id,
            embedder: self.embedder.clone(),
        });
        if had_chunks {
            outcome.event(EventType::IndexUpdated, event.subject.clone(), told)
        } else {
            outcome
        }
    }

    /// Compares files' chunks with documents, and the index with the store: what differs is repaired and told.
    async fn verify(&self, event: &Event, heartbeat: &Heartbeat) -> Result<Outcome, Ending> {
        let after = event.data["after"].as_str();
        let stale = self
            .store
            .stale_documents(self.embedder.clone(), place(after), STALE_PAGE)
            .await?;
        // The index was compared when the first page was.
        let differences = match after {
            None => self.compare(heartbeat).await.map_err(Ending::Unavailable)?,
            Some(_) => (0, 0),
        };
        let mut outcome = Outcome::nothing();
        if after.is_none() && self.store.leases().are_shared() {
            // Every host has an index of its own.
            outcome = outcome.effect(Effect::Remember {
                name: VERIFY.to_owned(),
                value: event.id.to_string(),
            });
        }
        let mut last = None;
        for (collection, path) in &stale {
            if let Ok(subject) = Subject::file(collection, path) {
                last = Some(subject.as_str().to_owned());
                outcome = outcome.event(EventType::DocumentCheckRequested, subject, json!({}));
            }
        }
        if let Some(after) = last.filter(|_| stale.len() == STALE_PAGE) {
            let data = json!({"after": after});
            outcome = outcome.event(event.kind, event.subject.clone(), data);
        }
        if !stale.is_empty() || differences != (0, 0) {
            let told = json!({
                "stale_documents": stale.len(), "missing_chunks": differences.0, "surplus_chunks": differences.1,
                "requested_by": event.id.to_string(),
            });
            outcome = outcome.event(
                EventType::IndexRepaired,
                Subject::index(&self.options.instance),
                told,
            );
        }
        Ok(outcome)
    }

    /// Has the follower compare the index with the store. That may take long, so its heart beats meanwhile, up to a limit.
    async fn compare(&self, heartbeat: &Heartbeat) -> Result<(u64, u64), String> {
        let compared = async {
            let verify = self.searcher.verify();
            tokio::pin!(verify);
            loop {
                tokio::select! {
                    done = &mut verify => return done.map_err(|e| e.to_string()),
                    () = tokio::time::sleep(Duration::from_secs(1)) => heartbeat.beat(),
                }
            }
        };
        awake::timeout(COMPARE, compared).await.unwrap_or_else(|_| {
            Err(format!(
                "the index was not compared with the store within {COMPARE:?}"
            ))
        })
    }

    /// At a start: documents that were chunked with another embedder or another chunking are chunked anew.
    async fn catch_up(&self, context: &DutyContext) -> Result<(), DutyError> {
        let stale = self
            .store
            .stale_documents(self.embedder.clone(), place(None), 1)
            .await?;
        let owed = self.store.counts(AgentName::Rag).owed;
        if !stale.is_empty() && owed == 0 {
            let subject = Subject::index(&self.options.instance);
            let source = format!("agent/{}@{}", AgentName::Rag, self.options.instance);
            let event = NewEvent::root(
                EventType::IndexVerifyRequested,
                source,
                subject,
                json!({"reason": "documents with stale chunks"}),
            );
            self.store.publish(event).await?;
        }
        context.heartbeat.beat();
        Ok(())
    }
}

/// The collection and path that a page begins after.
fn place(after: Option<&str>) -> (String, Vec<u8>) {
    let subject = after.and_then(|text| Subject::parse(text).ok());
    subject.map_or_else(Default::default, |subject| {
        let (collection, path) = subject.as_place();
        (collection.to_owned(), path.unwrap_or_default())
    })
}

fn cut(path: &[u8], bytes: &[u8], options: ChunkOptions) -> Result<Vec<Chunk>, String> {
    let kind = kind_of(path).unwrap_or(crate::document::Kind::Text);
    let document = parse(kind, path, bytes).map_err(|e| e.to_string())?;
    Ok(chunks(&document, &options))
}

/// The vectors of the chunks that are not known, each hash once; a text without a vector is recorded as such.
fn embed(
    cut: &[Chunk],
    mut known: HashSet<String>,
    heartbeat: &Heartbeat,
) -> Vec<(String, Option<Vec<u8>>)> {
    let table = EmbeddingTable::embedded();
    let mut embeddings = Vec::new();
    for chunk in cut {
        let hash = hash(chunk);
        if known.insert(hash.clone()) {
            let vector = table.embed(&format!("{}\n{}", chunk.heading, chunk.text));
            embeddings.push((hash, vector.map(|v| v.quantise().to_bytes().to_vec())));
            heartbeat.beat();
        }
    }
    embeddings
}

fn hash(chunk: &Chunk) -> String {
    hex::encode(&chunk.hash)
}

fn row(chunk: Chunk) -> ChunkRow {
    ChunkRow {
        hash: hash(&chunk),
        heading: chunk.heading,
        first_line: chunk.first_line,
        last_line: chunk.last_line,
        text: chunk.text,
        ..ChunkRow::default()
    }
}

impl Agent for Rag {
    fn name(&self) -> AgentName {
        AgentName::Rag
    }

    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending> {
        Box::pin(async move {
            self.decide(event, &handling.heartbeat)
                .await
                .map_or_else(|ending| ending, Ending::Outcome)
        })
    }

    fn duties(self: Arc<Self>) -> Vec<Duty> {
        vec![Duty::new(
            "follower",
            move |context: DutyContext| async move {
                match context.after_earlier_writes(&self.store).await {
                    None => return Ok(()),
                    Some(passed) => passed?,
                }
                self.catch_up(&context).await?;
                let heartbeat = context.heartbeat.clone();
                let alive = move || heartbeat.beat();
                follow(
                    self.searcher.clone(),
                    self.options.follower.clone(),
                    context.stop,
                    alive,
                )
                .await
                .map_err(DutyError::Failed)
            },
        )]
    }
}
