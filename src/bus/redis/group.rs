//! The shared consumer group on one stream, and the one consumer in it that is ours.

use std::time::Duration;

use super::client::{Connection, Trouble, args};
use super::reply::{list, text};

/// Entries claimed at once from consumers of another name.
const CLAIM: &str = "500";

/// A stream, the group on it and our consumer.
pub(super) struct Group {
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) consumer: String,
}

impl Group {
    /// Makes the group if it is not there, from the stream's beginning: what was carried before it was there must be read. And
    /// our consumer, so that everybody sees who owns it, also while it has never been given an entry.
    pub(super) async fn make(&self, connection: &Connection) -> Result<(), Trouble> {
        let create = ["CREATE", &self.stream, &self.name, "0", "MKSTREAM"];
        match connection.call("XGROUP", args(create)).await {
            Ok(_) => {}
            Err(Trouble::Refused(why)) if why.starts_with("BUSYGROUP") => {}
            Err(other) => return Err(other),
        }
        let consumer = ["CREATECONSUMER", &self.stream, &self.name, &self.consumer];
        let created = connection.call("XGROUP", args(consumer));
        created.await.map(drop)
    }

    /// Takes over what is pending on consumers of another name for at least so long.
    pub(super) async fn claim(
        &self,
        connection: &Connection,
        idle: Duration,
    ) -> Result<(), Trouble> {
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
            cursor = next.ok_or(Trouble::Garbled("XAUTOCLAIM"))?;
            if cursor == "0-0" {
                return Ok(());
            }
        }
    }
}
