//! Whether this Redis can carry: every command is tried, not guessed from a version; and how durable it is, in one word.

use std::collections::HashMap;

use super::Settings;
use super::client::{Connection, Trouble, args};
use super::reply::{list, text};
use super::{keys, scripts};
use crate::event::AgentName;

/// What a Redis that crashes may lose. Shown, not relied upon: what is owed stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Everything since its last snapshot, or everything.
    None,
    /// What it had not yet handed to the disk: a crash of the process loses nothing, a power cut may.
    ProcessCrash,
    /// Nothing that it acknowledged, provided the disk honours fsync.
    PowerLoss,
    /// Writes wait for a replica.
    Replicated,
    /// An ACL hides it.
    Unknown,
}

impl Durability {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Durability::None => "none",
            Durability::ProcessCrash => "process-crash",
            Durability::PowerLoss => "power-loss",
            Durability::Replicated => "replicated",
            Durability::Unknown => "unknown",
        }
    }
}

/// What the preflight found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The version that Redis tells, if it does.
    pub version: String,
    /// What a crash may cost.
    pub durability: Durability,
}

/// Tries everything that docent will do, on a key of its own.
pub(super) async fn check(connection: &Connection, settings: &Settings) -> Result<Facts, Trouble> {
    let info = info(connection).await?;
    eviction(&info)?;
    dry_run(connection, settings).await?;
    streams(connection, settings).await?;
    let version = info.get("redis_version").cloned();
    Ok(Facts {
        version: version.unwrap_or_else(|| "unknown".to_owned()),
        durability: durability(connection, &info).await?,
    })
}

type Info = HashMap<String, String>;

/// All that INFO tells; nothing where an ACL denies it.
async fn info(connection: &Connection) -> Result<Info, Trouble> {
    let value = match connection.call("INFO", Vec::new()).await {
        Ok(value) => value,
        Err(Trouble::Refused(_)) => return Ok(Info::new()),
        Err(other) => return Err(other),
    };
    let text = text(&value).ok_or(Trouble::Garbled("INFO"))?;
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once(':')?;
        Some((key.to_owned(), value.to_owned()))
    };
    Ok(text.lines().filter_map(pair).collect())
}

/// A Redis that may drop a stream for want of memory drops its group too.
fn eviction(info: &Info) -> Result<(), Trouble> {
    match info.get("maxmemory_policy") {
        Some(policy) if policy.starts_with("allkeys") => Err(Trouble::Refused(format!(
            "its maxmemory-policy is {policy}, which drops streams when memory is short; set it to noeviction"
        ))),
        _ => Ok(()),
    }
}

async fn dry_run(connection: &Connection, settings: &Settings) -> Result<(), Trouble> {
    let key = keys::probe(&settings.namespace, &settings.instance);
    let result = steps(connection, &key, &settings.group).await;
    let cleaned = connection.call("DEL", args([&key])).await;
    result.and_then(|()| named("DEL", cleaned))
}

async fn steps(connection: &Connection, key: &str, group: &str) -> Result<(), Trouble> {
    let call = async |command, arguments| named(command, connection.call(command, arguments).await);
    let script =
        async |script, arguments| named("EVAL", connection.script(script, key, arguments).await);
    call("DEL", args([key])).await?;
    call("XGROUP", args(["CREATE", key, group, "0", "MKSTREAM"])).await?;
    call("XADD", args([key, "1-1", "id", "probe"])).await?;
    let read = ["GROUP", group, "probe", "COUNT", "1", "STREAMS", key, ">"];
    call("XREADGROUP", args(read)).await?;
    call("XINFO", args(["STREAM", key])).await?;
    call("XPENDING", args([key, group, "-", "+", "1", "probe"])).await?;
    call("XRANGE", args([key, "1-1", "1-1"])).await?;
    let claim = [key, group, "probe", "0", "0", "COUNT", "1"];
    call("XAUTOCLAIM", args(claim)).await?;
    call("XACK", args([key, group, "1-1"])).await?;
    script(scripts::ACKNOWLEDGE_AND_DELETE, args([group, "1-1"])).await?;
    script(scripts::REMOVE_IDLE_CONSUMERS, args([group, "probe"])).await?;
    script(scripts::TRIM, args([group, "0", "0"])).await
}

/// Whatever stands under a key of ours must be a stream.
async fn streams(connection: &Connection, settings: &Settings) -> Result<(), Trouble> {
    let inboxes = AgentName::ALL
        .iter()
        .map(|agent| keys::inbox(&settings.namespace, *agent));
    let keys: Vec<String> = inboxes
        .chain([keys::ingress(&settings.namespace)])
        .collect();
    let calls = keys.iter().map(|key| args([key])).collect();
    for (key, kind) in keys.iter().zip(connection.calls("TYPE", calls).await) {
        let kind = text(&kind?).ok_or(Trouble::Garbled("TYPE"))?;
        if kind != "none" && kind != "stream" {
            let command = settings.cli(&format!("DEL '{key}'"));
            return Err(Trouble::Refused(format!(
                "the key {key} holds a {kind} and no stream; if nobody needs it, remove it: {command}"
            )));
        }
    }
    Ok(())
}

/// The error of a call with the command's name in it.
fn named(command: &str, result: Result<fred::prelude::Value, Trouble>) -> Result<(), Trouble> {
    match result {
        Ok(_) => Ok(()),
        Err(Trouble::Refused(why)) => Err(Trouble::Refused(format!(
            "{command}: {why} (docent needs Redis 7.0 or newer, memory to write, and an ACL that lets it do everything on the keys of its namespace)"
        ))),
        Err(other) => Err(other),
    }
}

async fn durability(connection: &Connection, info: &Info) -> Result<Durability, Trouble> {
    let Some(aof) = info.get("aof_enabled") else {
        return Ok(Durability::Unknown);
    };
    let replicas = config(connection, "min-replicas-to-write").await?;
    if replicas.is_some_and(|n| n != "0") {
        return Ok(Durability::Replicated);
    }
    if aof != "1" {
        return Ok(Durability::None);
    }
    Ok(match config(connection, "appendfsync").await?.as_deref() {
        Some("always") => Durability::PowerLoss,
        Some(_) => Durability::ProcessCrash,
        None => Durability::Unknown,
    })
}

/// A setting of Redis; `None` where an ACL hides it.
async fn config(connection: &Connection, name: &'static str) -> Result<Option<String>, Trouble> {
    match connection.call("CONFIG", args(["GET", name])).await {
        Ok(value) => Ok(list(value).and_then(|pair| pair.get(1).and_then(text))),
        Err(Trouble::Refused(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_evicts_streams_is_refused() {
        let info = |policy: &str| Info::from([("maxmemory_policy".to_owned(), policy.to_owned())]);
        assert!(eviction(&info("allkeys-lru")).is_err());
        assert_eq!(eviction(&info("volatile-lru")), Ok(()));
        assert_eq!(eviction(&info("noeviction")), Ok(()));
    }
}
