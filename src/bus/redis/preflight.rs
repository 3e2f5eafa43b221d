//! Whether this Redis can carry, found out by trying every command, not from the version; and how durable it is, in one word.

use std::collections::HashMap;

use fred::prelude::Value;

use super::RedisSettings;
use super::client::{Connection, RedisError, args, args_of};
use super::reply::{list, text};
use super::{keys, remedy, scripts};
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
    /// What that means, for a person.
    pub const fn told(self) -> &'static str {
        match self {
            Durability::None => {
                "Redis keeps no log on disk and loses its entries in a crash; docent loses nothing and sends them again from the ledger"
            }
            Durability::ProcessCrash => {
                "Redis loses nothing in a crash, but may lose its last entries in a power failure; docent loses nothing and sends them again from the ledger"
            }
            Durability::PowerLoss => {
                "Redis loses nothing that it accepted, neither in a crash nor in a power failure"
            }
            Durability::Replicated => {
                "what Redis accepted is also on a replica; if entries are lost nevertheless, docent sends them again from the ledger"
            }
            Durability::Unknown => {
                "the ACL hides how Redis stores entries; if it loses some, docent sends them again from the ledger"
            }
        }
    }

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
pub struct PreflightFacts {
    /// The version that Redis tells, if it does.
    pub version: String,
    /// What a crash may cost.
    pub durability: Durability,
}

/// Tries everything that docent will do: on a key of its own, and on the keys that it uses in a way that changes nothing.
pub(super) async fn check(
    connection: &Connection,
    settings: &RedisSettings,
) -> Result<PreflightFacts, RedisError> {
    let info = info(connection, args([])).await?;
    let version = info.get("redis_version").map_or("unknown", String::as_str);
    eviction(&info)?;
    let tried = async {
        dry_run(connection, settings).await?;
        types(connection, settings).await?;
        own_keys(connection, settings).await
    };
    tried.await.map_err(|error| old(error, version))?;
    Ok(PreflightFacts {
        version: version.to_owned(),
        durability: durability(connection, &info).await?,
    })
}

/// Checks again what may change during a connection without a word from Redis. The check of the owner shows whether Redis accepts
/// writes.
pub(super) async fn check_again(connection: &Connection) -> Result<(), RedisError> {
    eviction(&info(connection, args(["memory"])).await?)
}

/// A Redis that does not know a command, or not in this form, is too old.
fn old(error: RedisError, version: &str) -> RedisError {
    match error {
        RedisError::Refused(why) if why.contains(": ERR ") && !why.contains(remedy::ACL) => {
            RedisError::Refused(format!(
                "{why} (docent needs Redis 7.0 or newer; this is version {version})"
            ))
        }
        other => other,
    }
}

type Info = HashMap<String, String>;

/// All that INFO tells; nothing where an ACL denies it.
async fn info(connection: &Connection, section: Vec<Value>) -> Result<Info, RedisError> {
    let value = match connection.call("INFO", section).await {
        Ok(value) => value,
        Err(RedisError::Refused(_)) => return Ok(Info::new()),
        Err(other) => return Err(other),
    };
    let text = text(&value).ok_or(RedisError::Garbled("INFO"))?;
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once(':')?;
        Some((key.to_owned(), value.to_owned()))
    };
    Ok(text.lines().filter_map(pair).collect())
}

/// A Redis that may drop a stream for want of memory drops its group too.
fn eviction(info: &Info) -> Result<(), RedisError> {
    match info.get("maxmemory_policy") {
        Some(policy) if policy.starts_with("allkeys") => Err(RedisError::Refused(format!(
            "its maxmemory-policy is {policy}, which drops streams when memory is short; set it to noeviction"
        ))),
        _ => Ok(()),
    }
}

async fn dry_run(connection: &Connection, settings: &RedisSettings) -> Result<(), RedisError> {
    let key = keys::probe(&settings.namespace, &settings.instance);
    let result = steps(connection, &key, &settings.group).await;
    if let Err(RedisError::Lost(_)) = result {
        // Nothing can be removed on it; the next dry run does so first.
        return result;
    }
    let cleaned = connection.call("DEL", args([&key])).await;
    result.and_then(|()| named("DEL", cleaned))
}

async fn steps(connection: &Connection, key: &str, group: &str) -> Result<(), RedisError> {
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
    let read = [group, "probe", ">", "1", "64", "64", "id"];
    script(scripts::READ, args(read)).await?;
    script(scripts::LAST_ID, Vec::new()).await?;
    let standing = [group, "probe", "0", "1", "0", "1"];
    script(scripts::STANDING, args(standing)).await?;
    script(scripts::REMOVE_IDLE_CONSUMERS, args([group, "probe"])).await?;
    script(scripts::TRIM, args([group, "0", "0"])).await
}

/// The streams that docent reads.
fn streams(settings: &RedisSettings) -> Vec<String> {
    let inboxes = AgentName::ALL
        .iter()
        .map(|agent| keys::inbox(&settings.namespace, *agent));
    inboxes
        .chain([keys::ingress(&settings.namespace)])
        .collect()
}

/// What is done to each stream, in a form that changes nothing: an id that cannot be added, a group that is not there. It still meets
/// everything that may refuse it (an ACL, a replica, a full memory), which may differ between these keys and the probe's.
async fn own_keys(connection: &Connection, settings: &RedisSettings) -> Result<(), RedisError> {
    let nobody = format!("{}:preflight", settings.group);
    let forms: [(&'static str, &[&str], &str); 5] = [
        ("XADD", &["0-0", "id", "probe"], "must be greater than 0-0"),
        ("XRANGE", &["0-0", "0-0"], ""),
        ("XPENDING", &[&nobody, "-", "+", "1"], ""),
        ("XACK", &[&nobody, "0-0"], ""),
        ("XDEL", &["0-0"], ""),
    ];
    let keys = streams(settings);
    let mut calls = Vec::with_capacity(forms.len() * keys.len());
    for (command, arguments, _) in forms {
        for key in &keys {
            let mut call = args([key]);
            call.extend(args_of(arguments));
            calls.push((command, call));
        }
    }
    let results = connection.calls(calls).await;
    let tried = forms
        .into_iter()
        .flat_map(|form| std::iter::repeat_n(form, keys.len()));
    for ((command, _, expected), result) in tried.zip(results) {
        match result {
            Err(RedisError::Missing(_)) => {}
            Err(RedisError::Refused(why)) if !expected.is_empty() && why.contains(expected) => {}
            other => named(command, other)?,
        }
    }
    Ok(())
}

/// Whatever stands under a key of ours must be a stream.
async fn types(connection: &Connection, settings: &RedisSettings) -> Result<(), RedisError> {
    let keys = streams(settings);
    let calls = keys.iter().map(|key| ("TYPE", args([key]))).collect();
    for (key, kind) in keys.iter().zip(connection.calls(calls).await) {
        let kind = text(&kind?).ok_or(RedisError::Garbled("TYPE"))?;
        if kind != "none" && kind != "stream" {
            let command = settings.cli(&format!("DEL '{key}'"));
            return Err(RedisError::Refused(format!(
                "the key {key} holds a {kind}, not a stream; if nobody needs it, remove it: {command}"
            )));
        }
    }
    Ok(())
}

/// The error of a call with the command's name in it.
fn named(command: &str, result: Result<Value, RedisError>) -> Result<(), RedisError> {
    match result {
        Ok(_) => Ok(()),
        Err(RedisError::Refused(why)) => Err(RedisError::Refused(format!("{command}: {why}"))),
        Err(other) => Err(other),
    }
}

async fn durability(connection: &Connection, info: &Info) -> Result<Durability, RedisError> {
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
async fn config(connection: &Connection, name: &'static str) -> Result<Option<String>, RedisError> {
    match connection.call("CONFIG", args(["GET", name])).await {
        Ok(value) => Ok(list(value).and_then(|pair| pair.get(1).and_then(text))),
        Err(RedisError::Refused(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::bus::redis::client::CALL;
    use crate::bus::redis::testing::TestRedis;
    use crate::bus::redis::{Probed, probe};

    /// Answers as a Redis 6.2 does where it differs, and else with as little as will do, until the connection ends. That is when half
    /// of the reply to the command `cut` is sent.
    fn answer(stream: TcpStream, cut: &str) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
            let count: usize = line.trim()[1..].parse().unwrap();
            let mut words = Vec::new();
            for _ in 0..count {
                line.clear();
                reader.read_line(&mut line).unwrap();
                let mut word = vec![0; line.trim()[1..].parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut word).unwrap();
                words.push(String::from_utf8_lossy(&word).trim().to_uppercase());
            }
            line.clear();
            let reply = match (words[0].as_str(), count) {
                ("INFO", _) => "$21\r\nredis_version:6.2.6\r\n\r\n",
                ("TYPE", _) => "+none\r\n",
                ("EVAL", _) => "-ERR Error compiling script: unexpected symbol near '#'\r\n",
                ("SET", 5..) => "-ERR syntax error\r\n",
                ("XPENDING" | "XRANGE", _) => "*0\r\n",
                ("CLIENT", _) => ":1\r\n",
                _ => "+OK\r\n",
            };
            let cut = words[0] == cut;
            let length = if cut { reply.len() / 2 } else { reply.len() };
            if stream.write_all(&reply.as_bytes()[..length]).is_err() || cut {
                return;
            }
        }
    }

    /// How to connect to a server that answers so.
    #[expect(
        clippy::disallowed_methods,
        reason = "it stands in for a server and ends with the process"
    )]
    fn settings_of(cut: &'static str) -> RedisSettings {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, cut);
            }
        });
        RedisSettings {
            url: format!("redis://127.0.0.1:{port}"),
            ..TestRedis::start().settings()
        }
    }

    #[tokio::test]
    async fn a_reply_that_is_cut_ends_the_attempt_and_nothing_is_waited_for() {
        let settings = settings_of("XADD");
        let probed = probe(&settings, |_| true);
        let why = tokio::time::timeout(CALL / 2, probed).await;
        assert!(why.expect("it ends").is_err());
    }

    #[tokio::test]
    async fn a_redis_that_is_too_old_is_told_its_version_and_which_one_is_needed() {
        let settings = settings_of("none");
        let why = probe(&settings, |_| true).await.unwrap_err();
        assert!(why.contains("7.0") && why.contains("6.2.6"), "{why}");
    }

    #[tokio::test]
    async fn it_leaves_nothing_behind() {
        let redis = TestRedis::start();
        let probed = probe(&redis.settings(), |_| true).await;
        assert!(matches!(probed, Ok(Probed::Carries { .. })), "{probed:?}");
        assert_eq!(redis.cli(&["DBSIZE"]).trim(), "0");
    }

    #[test]
    fn a_policy_that_evicts_streams_is_refused() {
        let info = |policy: &str| Info::from([("maxmemory_policy".to_owned(), policy.to_owned())]);
        assert!(eviction(&info("allkeys-lru")).is_err());
        assert_eq!(eviction(&info("volatile-lru")), Ok(()));
        assert_eq!(eviction(&info("noeviction")), Ok(()));
    }
}
