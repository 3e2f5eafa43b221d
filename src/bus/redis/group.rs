//! The shared consumer group on one stream, and our own consumer in it.

use std::time::Duration;

use super::client::{Connection, RedisError, args};
use super::reply::{self, StreamEntry, StreamId, list, text};
use super::scripts;

/// Entries claimed at once from consumers of another name.
const CLAIM: &str = "500";

/// Bytes that one read looks at, apart from its last entry.
const BUDGET: &str = "1048576";

/// What is wanted of the entries that are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// All fields, where they have at most so many bytes together.
    Fields(u64),
    /// The event's id alone.
    EventId,
}

/// Bytes of the longest text that may be an event's id, which is a UUID.
const EVENT_ID: u64 = 64;

impl Wanted {
    fn arguments(self) -> (String, &'static str) {
        match self {
            Wanted::Fields(most) => (most.to_string(), ""),
            Wanted::EventId => (EVENT_ID.to_string(), "id"),
        }
    }
}

/// A stream, the group on it and our consumer.
pub(super) struct Group {
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) consumer: String,
}

impl Group {
    /// Makes the group if it is not there, from the stream's beginning, because entries from before the group must be read. Also
    /// makes our consumer, so that everybody sees who owns it even before it was given an entry.
    pub(super) async fn make(&self, connection: &Connection) -> Result<(), RedisError> {
        let create = ["CREATE", &self.stream, &self.name, "0", "MKSTREAM"];
        match connection.call("XGROUP", args(create)).await {
            Ok(_) => {}
            Err(RedisError::Refused(why)) if why.starts_with("BUSYGROUP") => {}
            Err(other) => return Err(other),
        }
        let consumer = ["CREATECONSUMER", &self.stream, &self.name, &self.consumer];
        let created = connection.call("XGROUP", args(consumer));
        created.await.map(drop)
    }

    /// Reads at most `count` entries: `from` is `>` for what is new, `0` for what is pending on our consumer. It does not wait:
    /// what Redis sends to a read that waits has no bound in bytes.
    pub(super) async fn read(
        &self,
        connection: &Connection,
        from: &str,
        count: usize,
        wanted: Wanted,
    ) -> Result<Vec<StreamEntry>, RedisError> {
        let (most, only) = wanted.arguments();
        let count = count.to_string();
        let arguments = [
            &self.name,
            &self.consumer,
            from,
            &count,
            &most,
            BUDGET,
            only,
        ];
        let value = connection.script(scripts::READ, &self.stream, args(arguments));
        Ok(reply::read(value.await?)?.1)
    }

    /// The entries of these ids; one that was deleted is left out.
    pub(super) async fn fetch(
        &self,
        connection: &Connection,
        mut ids: &[StreamId],
        wanted: Wanted,
    ) -> Result<Vec<StreamEntry>, RedisError> {
        let (most, only) = wanted.arguments();
        let mut entries = Vec::with_capacity(ids.len());
        while !ids.is_empty() {
            let count = ids.len().to_string();
            let mut arguments = args(["", "", "ids", &count, &most, BUDGET, only]);
            arguments.extend(ids.iter().map(|id| id.to_string().into()));
            let value = connection.script(scripts::READ, &self.stream, arguments);
            let (looked, found) = reply::read(value.await?)?;
            entries.extend(found);
            ids = ids
                .get(looked.max(1)..)
                .ok_or(RedisError::Garbled("the script that reads"))?;
        }
        Ok(entries)
    }

    /// Takes over what is pending on consumers of another name for at least so long.
    pub(super) async fn claim(
        &self,
        connection: &Connection,
        idle: Duration,
    ) -> Result<(), RedisError> {
        let idle = idle.as_millis().to_string();
        let mut cursor = "0-0".to_owned();
        loop {
            let claim = [
                self.stream.as_str(),
                &self.name,
                &self.consumer,
                &idle,
                &cursor,
                "COUNT",
                CLAIM,
                "JUSTID",
            ];
            let value = connection.call("XAUTOCLAIM", args(claim)).await?;
            let next = list(value).and_then(|parts| parts.first().and_then(text));
            cursor = next.ok_or(RedisError::Garbled("XAUTOCLAIM"))?;
            if cursor == "0-0" {
                return Ok(());
            }
        }
    }
}
