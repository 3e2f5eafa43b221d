//! One agent's connection, checked before it is handed out.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fred::prelude::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::{Connection, RedisError, args};
use super::group::{Group, Wanted};
use super::outstanding::EntryKey;
use super::owner::{self, OwnerCheck};
use super::reply::{StreamEntry, StreamId, list, number, pending, text};
use super::round::PAGE;
use super::{RedisSettings, entry, keeper, keys, scripts};
use crate::backoff::Backoff;
use crate::event::{AgentName, Event};
use crate::store::StoreIdentity;

/// How long a reader of an inbox that hosts share waits before it looks again.
const SHARED_POLL: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));

/// Dead letters that are kept on Redis for other programs.
const DEAD_KEPT: &str = "10000";

/// A session with Redis.
pub(super) struct InboxSession {
    connection: Connection,
    /// Something was added to the inbox.
    added: Notify,
    agent: AgentName,
    group: Group,
    dead: String,
    block_time: Duration,
    /// Other hosts read the inbox too.
    is_shared: bool,
    /// Reads in a row that gave nothing.
    empty_reads: AtomicU32,
}

impl InboxSession {
    /// Connects, checks the owner, makes the group if it is not there, and takes over what is pending on
    /// consumers of another name.
    pub(super) async fn open(
        settings: &RedisSettings,
        store: &StoreIdentity,
        agent: AgentName,
        is_shared: bool,
    ) -> Result<Self, RedisError> {
        let connection = keeper::connect(settings, store, OwnerCheck::Claim).await?;
        let session = InboxSession {
            connection,
            added: Notify::new(),
            agent,
            group: Group {
                stream: keys::inbox(&settings.namespace, agent),
                name: settings.group.clone(),
                consumer: format!("{agent}@{}", settings.instance),
            },
            dead: keys::dead(&settings.namespace, agent),
            block_time: settings.block_time,
            is_shared,
            empty_reads: AtomicU32::new(0),
        };
        session.group.make(&session.connection).await?;
        if !session.is_shared {
            session.claim(Duration::ZERO).await?;
        }
        Ok(session)
    }

    /// Makes what was found missing again, after the owner was checked again.
    pub(super) async fn mend(
        &self,
        settings: &RedisSettings,
        store: &StoreIdentity,
    ) -> Result<(), RedisError> {
        owner::check(&self.connection, settings, store, OwnerCheck::Claim).await?;
        self.group.make(&self.connection).await
    }

    /// Takes over what is pending on consumers of another name for at least so long, and removes those that hold nothing.
    pub(super) async fn claim(&self, idle: Duration) -> Result<(), RedisError> {
        self.group.claim(&self.connection, idle).await?;
        let arguments = args([&self.group.name, &self.group.consumer]);
        self.connection
            .script(
                scripts::REMOVE_IDLE_CONSUMERS,
                &self.group.stream,
                arguments,
            )
            .await
            .map(drop)
    }

    /// Takes over what is pending on consumers of hosts that are not among these, and removes those that hold nothing.
    pub(super) async fn claim_from_gone(&self, hosts: &[String]) -> Result<(), RedisError> {
        let mut arguments = args([self.group.name.as_str(), &self.group.consumer]);
        let consumers = hosts.iter().map(|host| format!("{}@{host}", self.agent));
        arguments.extend(consumers.map(Value::from));
        let script = scripts::CLAIM_FROM_GONE;
        let claimed = self
            .connection
            .script(script, &self.group.stream, arguments);
        claimed.await.map(drop)
    }

    /// Those of these entries that are neither pending on anybody nor still to be delivered.
    pub(super) async fn absent(
        &self,
        entries: Vec<(EntryKey, StreamId)>,
    ) -> Result<Vec<EntryKey>, RedisError> {
        let mut arguments = args([self.group.name.as_str()]);
        arguments.extend(entries.iter().map(|(_, id)| Value::from(id.to_string())));
        let script = scripts::ABSENT;
        let value = self
            .connection
            .script(script, &self.group.stream, arguments)
            .await?;
        let places = list(value).ok_or(RedisError::Garbled("the script that looks for entries"))?;
        let places = places.iter().filter_map(number);
        let place = |place: u64| entries.get(usize::try_from(place).ok()?);
        Ok(places.filter_map(place).map(|(key, _)| *key).collect())
    }

    /// The id of the stream's newest entry, deleted or not.
    pub(super) async fn last_id(&self) -> Result<StreamId, RedisError> {
        let value = self
            .connection
            .script(scripts::LAST_ID, &self.group.stream, Vec::new())
            .await?;
        text(&value)
            .and_then(|id| StreamId::parse(&id))
            .ok_or(RedisError::Garbled("XINFO STREAM"))
    }

    /// Reads what was not delivered to the group yet; waits for up to `block_time` until there is something. It sees at once what
    /// this session adds, and when the time is up what others have added.
    pub(super) async fn read_new(&self, count: usize) -> Result<Vec<StreamEntry>, RedisError> {
        let until = Instant::now() + self.block_time;
        loop {
            let entries = self
                .group
                .read(&self.connection, ">", count, Wanted::EventId)
                .await?;
            if !entries.is_empty() {
                self.empty_reads.store(0, Ordering::Relaxed);
                return Ok(entries);
            }
            let again = match self.is_shared {
                true => Instant::now() + self.pause_after_empty_read(),
                false => until,
            };
            let told = tokio::time::timeout_at(until.min(again), self.added.notified()).await;
            if told.is_err() && Instant::now() >= until {
                return Ok(Vec::new());
            }
        }
    }

    /// Others do not tell what they have added, so Redis is asked: soon while there is something to do, then ever less often.
    fn pause_after_empty_read(&self) -> Duration {
        let reads = self.empty_reads.fetch_add(1, Ordering::Relaxed);
        SHARED_POLL.after(reads.saturating_add(1))
    }

    /// A page of what is pending on our consumer.
    pub(super) async fn pending(
        &self,
        after: Option<StreamId>,
    ) -> Result<Vec<StreamId>, RedisError> {
        let from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let page = PAGE.to_string();
        let arguments = args([
            &self.group.stream,
            &self.group.name,
            &from,
            "+",
            &page,
            &self.group.consumer,
        ]);
        pending(self.connection.call("XPENDING", arguments).await?)
    }

    /// The entries of these ids; one that was deleted is left out.
    pub(super) async fn fetch(&self, ids: &[StreamId]) -> Result<Vec<StreamEntry>, RedisError> {
        self.group
            .fetch(&self.connection, ids, Wanted::EventId)
            .await
    }

    /// Carries these events, in this order; each has a result of its own: what Redis calls its entry.
    pub(super) async fn add(&self, events: &[Event]) -> Vec<Result<Option<StreamId>, RedisError>> {
        let whole = self.agent == AgentName::LoggingAudit;
        let call = |event: &Event| {
            let mut arguments: Vec<Value> = vec![self.group.stream.as_str().into(), "*".into()];
            arguments.extend(entry::fields(event, whole));
            ("XADD", arguments)
        };
        let calls = events.iter().map(call).collect();
        let results = self.connection.calls(calls).await;
        self.added.notify_one();
        let id = |value: Value| text(&value).and_then(|id| StreamId::parse(&id));
        results.into_iter().map(|result| result.map(id)).collect()
    }

    /// Acknowledges entries; all but the journal's are deleted in the same step.
    pub(super) async fn acknowledge(&self, ids: &[String]) -> Result<(), RedisError> {
        let ids = ids.iter().map(|id| Value::from(id.as_str()));
        let group = Value::from(self.group.name.as_str());
        if self.agent == AgentName::LoggingAudit {
            let arguments = [Value::from(self.group.stream.as_str()), group].into_iter();
            let call = self.connection.call("XACK", arguments.chain(ids).collect());
            return call.await.map(drop);
        }
        let arguments = std::iter::once(group).chain(ids).collect();
        self.connection
            .script(
                scripts::ACKNOWLEDGE_AND_DELETE,
                &self.group.stream,
                arguments,
            )
            .await
            .map(drop)
    }

    /// Removes what the journal keeps no longer; gives how many entries are gone.
    pub(super) async fn trim(&self, entries: u64, bytes: u64) -> Result<u64, RedisError> {
        let (entries, bytes) = (entries.to_string(), bytes.to_string());
        let arguments = args([self.group.name.as_str(), &entries, &bytes]);
        let value = self
            .connection
            .script(scripts::TRIM, &self.group.stream, arguments)
            .await?;
        number(&value).ok_or(RedisError::Garbled("EVAL"))
    }

    /// Shows a dead letter to other programs.
    pub(super) async fn show_dead(&self, fields: Vec<(String, String)>) -> Result<(), RedisError> {
        let mut arguments = args([&self.dead, "MAXLEN", "~", DEAD_KEPT, "*"]);
        for (name, value) in fields {
            arguments.extend([Value::from(name), Value::from(value)]);
        }
        self.connection.call("XADD", arguments).await.map(drop)
    }

    pub(super) async fn quit(&self) {
        self.connection.quit().await;
    }
}
