//! The ingress: other programs write CloudEvents into one stream; docent publishes them into the ledger, then acknowledges and
//! deletes the entries.
//!
//! The publishing transaction also records the entry's id. If an entry is at or below the recorded id and its event is not in the
//! ledger, an older Redis was restored: the event may have been handled and pruned long ago, so the entry is kept as a dead
//! letter. So is an entry that cannot be understood, with all its content. No rule looks at the sender's `time`.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Connection, RedisError, args};
use super::cloud_event::{read_event, shown};
use super::group::{Group, Wanted};
use super::keeper::{self, ConnectionKeeper};
use super::link::{FULL, Link};
use super::owner::OwnerCheck;
use super::reply::{Content, StreamEntry, StreamId};
use super::{keys, scripts};
use crate::event::NewEvent;
use crate::log_once::LogOnce;
use crate::store::{
    Effect, INGRESS_POSITION, IngressDead, LeaseName, Pending, PublishedEvent, WriteError,
};

/// Entries read at once: published together, acknowledged together.
const BATCH: usize = 100;

/// Between two reads of a stream in which nothing is new.
const EVERY: Duration = Duration::from_millis(200);

/// Bytes of an entry besides what counts as the event: the names of its fields, its id and time.
const AROUND: u64 = 4096;

/// While the store takes nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// How often what is pending is looked for where nothing new comes.
const OWN_AGAIN: Duration = Duration::from_secs(5);

/// Publishes what other programs write.
pub(crate) struct Ingress {
    link: Link,
    stop: CancellationToken,
}

/// An entry that was handed to the writer.
struct Handed {
    entry: StreamEntry,
    pending: Result<Pending<Vec<PublishedEvent>>, WriteError>,
}

impl Ingress {
    /// An ingress that works while Redis can carry.
    pub(crate) fn new(link: Link, stop: CancellationToken) -> Self {
        Ingress { link, stop }
    }

    /// Works until it is told to stop.
    pub(crate) async fn run(self) {
        let mut state = self.link.state();
        let mut keeper = ConnectionKeeper::new();
        let mut failing = LogOnce::default();
        while !self.stop.is_cancelled() {
            state.mark_unchanged();
            if !self.is_ours() {
                // Another host does it.
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
                continue;
            }
            let Some(epoch) = self.link.ingress_epoch() else {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    changed = state.changed() => if changed.is_err() { return },
                }
                continue;
            };
            let session = self.session(epoch, &mut keeper).await;
            match session {
                Ok(()) => {
                    failing.is_new(false);
                    keeper.give_up(Duration::ZERO);
                }
                Err(error) => {
                    if failing.is_new(true) {
                        tracing::debug!(%error, "the ingress lost its connection");
                    }
                    keeper.failed();
                    if !matches!(error, RedisError::Lost(_) | RedisError::Missing(_)) {
                        self.link.report(epoch, error);
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = keeper.due() => {}
            }
        }
    }

    /// Whether it is this host that publishes what other programs write.
    fn is_ours(&self) -> bool {
        self.link.store().leases().has(&LeaseName::Housekeeping)
    }

    /// Works on one connection until it is lost, replaced, or there is a stop.
    async fn session(
        &self,
        epoch: u64,
        keeper: &mut ConnectionKeeper<IngressStream>,
    ) -> Result<(), RedisError> {
        let (settings, store) = (self.link.settings(), self.link.store().identity());
        // On a Redis that is full, nothing can be claimed or made, and nothing has to be.
        let check = match epoch {
            FULL => OwnerCheck::Own,
            _ => OwnerCheck::Claim,
        };
        let stream = keeper.opened(IngressStream {
            connection: keeper::connect(settings, store, check).await?,
            group: Group {
                stream: keys::ingress(&settings.namespace),
                name: settings.group.clone(),
                consumer: format!("ingress@{}", settings.instance),
            },
            largest: settings.event_size.saturating_add(AROUND),
        });
        if epoch != FULL {
            stream.group.make(&stream.connection).await?;
        }
        stream
            .group
            .claim(&stream.connection, Duration::ZERO)
            .await?;
        let Ok(position) = self.link.store().remembered(INGRESS_POSITION).await else {
            tokio::time::sleep(PAUSE).await;
            return Ok(());
        };
        let position = position.and_then(|p| StreamId::parse(&p));
        let mut read_to = ReadPosition {
            begun: position,
            newest: position,
        };
        let (mut own, mut own_at) = (true, Instant::now());
        let goes_on = || !self.stop.is_cancelled() && self.is_ours();
        while goes_on() && self.link.ingress_epoch() == Some(epoch) {
            let entries = stream.read(own).await?;
            keeper.works();
            if entries.is_empty() {
                // Redis may carry out a read that was given up long after: what it delivered then is pending.
                own = !own && own_at.elapsed() >= OWN_AGAIN;
                if own {
                    own_at = Instant::now();
                    let claimed = stream.group.claim(&stream.connection, Duration::ZERO);
                    claimed.await?;
                }
                continue;
            }
            if !self.publish_all(entries, &stream, &mut read_to).await? {
                // The store takes nothing at the moment: what is pending is read again.
                own = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
        stream.connection.quit().await;
        Ok(())
    }

    /// Publishes entries in their order, waits for the commits, and acknowledges. False: some could not be written now.
    async fn publish_all(
        &self,
        entries: Vec<StreamEntry>,
        stream: &IngressStream,
        read_to: &mut ReadPosition,
    ) -> Result<bool, RedisError> {
        let mut handed = Vec::with_capacity(entries.len());
        for entry in entries {
            let pending = match self.event_of(&entry, read_to.begun).await {
                Ok(event) => self.publish(&entry, event, read_to).await,
                Err(EntryError::Invalid(reason)) => self.bury(&entry, reason).await,
                Err(EntryError::NotNow) => return Ok(false),
            };
            handed.push(Handed { entry, pending });
        }
        let mut settled = Vec::new();
        let mut all = true;
        for Handed { entry, pending } in handed {
            if self.settled(&entry, pending).await {
                read_to.newest = read_to.newest.max(Some(entry.id));
                settled.push(entry.id.to_string());
            } else {
                all = false;
            }
        }
        stream.acknowledge(&settled).await?;
        Ok(all)
    }

    async fn publish(
        &self,
        entry: &StreamEntry,
        event: NewEvent,
        read_to: &ReadPosition,
    ) -> Result<Pending<Vec<PublishedEvent>>, WriteError> {
        let mut effects = Vec::new();
        // One that comes late does not set the position back.
        if read_to.newest.is_none_or(|newest| entry.id > newest) {
            effects.push(Effect::Remember {
                name: INGRESS_POSITION.to_owned(),
                value: entry.id.to_string(),
            });
        }
        self.link.store().submit(effects, vec![event]).await
    }

    async fn bury(
        &self,
        entry: &StreamEntry,
        reason: String,
    ) -> Result<Pending<Vec<PublishedEvent>>, WriteError> {
        tracing::warn!(entry = %entry.id, reason, "an entry of another program cannot be published; it is kept as a dead letter");
        let dead = IngressDead {
            entry: entry.id.to_string(),
            kind: entry.text("type").unwrap_or_default().to_owned(),
            subject: entry.text("subject").unwrap_or_default().to_owned(),
            reason,
            fields: shown(entry),
            keep: self.link.settings().ingress_dead,
        };
        self.link
            .store()
            .submit(vec![Effect::IngressDead(dead)], Vec::new())
            .await
    }

    /// Whether an entry is settled: published, or kept as a dead letter.
    async fn settled(
        &self,
        entry: &StreamEntry,
        pending: Result<Pending<Vec<PublishedEvent>>, WriteError>,
    ) -> bool {
        let result = match pending {
            Ok(pending) => pending.committed().await,
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => true,
            Err(WriteError::Unavailable(_) | WriteError::Closed) => false,
            Err(error) => {
                let buried = match self.bury(entry, error.to_string()).await {
                    Ok(pending) => pending.committed().await,
                    Err(error) => Err(error),
                };
                buried.is_ok()
            }
        }
    }

    /// The event that an entry asks to publish.
    async fn event_of(
        &self,
        entry: &StreamEntry,
        position: Option<StreamId>,
    ) -> Result<NewEvent, EntryError> {
        if let Content::Unread { size } = entry.content {
            let most = self.link.settings().event_size;
            return Err(EntryError::Invalid(format!(
                "it has {size} bytes and was not read: an event may have {most}, in at most 500 fields; publish a smaller event that says where the data is"
            )));
        }
        let store = self.link.store();
        let known = &self.link.settings().known;
        let known = known.and(&store.leases().known_collections());
        let event = read_event(entry, &known).map_err(EntryError::Invalid)?;
        if position.is_some_and(|position| entry.id <= position) {
            let known = store
                .seqs_of(vec![event.id])
                .await
                .map_err(|_| EntryError::NotNow)?;
            if known.first().copied().flatten().is_none() {
                return Err(EntryError::Invalid(
                    "it is older than entries that were already read, and its event is unknown: Redis was restored from an older copy, and the event may have been handled before; if it was not, publish it again with a new id".to_owned(),
                ));
            }
        }
        Ok(event)
    }
}

/// How far the stream was read.
struct ReadPosition {
    /// When the connection was made: what is up to there and unknown is of an older copy of Redis.
    begun: Option<StreamId>,
    /// Now.
    newest: Option<StreamId>,
}

/// Why an entry is not published.
enum EntryError {
    /// It never can be.
    Invalid(String),
    /// The store cannot be read at the moment.
    NotNow,
}

/// The stream of other programs, on one connection that nothing else uses.
struct IngressStream {
    connection: Connection,
    group: Group,
    /// Bytes of the largest entry that is read.
    largest: u64,
}

impl IngressStream {
    /// Reads what is pending on our consumer, or what is new; waits a little if there is nothing new.
    async fn read(&self, own: bool) -> Result<Vec<StreamEntry>, RedisError> {
        let from = if own { "0" } else { ">" };
        let wanted = Wanted::Fields(self.largest);
        let entries = self
            .group
            .read(&self.connection, from, BATCH, wanted)
            .await?;
        if entries.is_empty() && !own {
            tokio::time::sleep(EVERY).await;
        }
        // What was deleted while it was pending holds nothing that could be published.
        let (gone, there): (Vec<StreamEntry>, Vec<StreamEntry>) =
            entries.into_iter().partition(StreamEntry::is_gone);
        let gone: Vec<String> = gone.iter().map(|e| e.id.to_string()).collect();
        self.acknowledge(&gone).await?;
        Ok(there)
    }

    async fn acknowledge(&self, ids: &[String]) -> Result<(), RedisError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut arguments = args([self.group.name.as_str()]);
        arguments.extend(ids.iter().map(|id| id.as_str().into()));
        self.connection
            .script(
                scripts::ACKNOWLEDGE_AND_DELETE,
                &self.group.stream,
                arguments,
            )
            .await
            .map(drop)
    }
}
