//! One store for each namespace: two ledgers on one namespace would acknowledge each other's work, and lose it.

use fred::prelude::Value;

use super::client::{Connection, RedisError, args};
use super::reply::{bytes, text};
use super::{RedisSettings, keys, scripts};
use crate::store::StoreIdentity;

/// Bytes of a name that are read; the id of a store has 36. Whoever can write the key decides how long it is.
const LONGEST: usize = 100;

/// What the owner of the namespace must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum OwnerCheck {
    /// This store, which claims the namespace if nobody has it.
    Claim,
    /// This store. Nothing is written.
    Own,
    /// Any but another store. Nothing is written.
    NotForeign,
}

/// Makes sure that no other store owns the namespace. To be called on every connection before anything else is read, written or
/// acknowledged, again whenever one of our keys was found missing, and now and then.
pub(super) async fn check(
    connection: &Connection,
    settings: &RedisSettings,
    store: &StoreIdentity,
    check: OwnerCheck,
) -> Result<(), RedisError> {
    let key = keys::store(&settings.namespace);
    if let OwnerCheck::Claim = check {
        // If somebody has it, this changes nothing, but still shows whether Redis accepts writes.
        let claim = connection
            .call("SET", args([&key, store.id(), "NX"]))
            .await?;
        if claim != Value::Null {
            tracing::info!(
                key,
                "Redis had no data of docent: it is new or was emptied; this store takes the namespace, and sends pending work again"
            );
            return Ok(());
        }
    }
    match read(connection, &settings.namespace).await? {
        Some(owner) if owner == store.id() => Ok(()),
        Some(owner) if store.is_copy_of(&owner) => match check {
            OwnerCheck::NotForeign => Ok(()),
            OwnerCheck::Own => Err(RedisError::Missing(format!(
                "{key} belongs to the store that this one was copied from"
            ))),
            OwnerCheck::Claim => take_over(connection, &key, &owner, store).await,
        },
        Some(owner) => Err(RedisError::Foreign {
            owner,
            command: settings.cli(&format!("DEL {key}")),
        }),
        None => match check {
            OwnerCheck::NotForeign => Ok(()),
            OwnerCheck::Own => Err(RedisError::Missing(format!("nobody owns {key}"))),
            OwnerCheck::Claim => {
                let why = format!("{key} was there a moment ago");
                Err(RedisError::Missing(why))
            }
        },
    }
}

/// Takes the namespace of the store that this one was copied from, which can no longer be opened. What is there is owed here.
async fn take_over(
    connection: &Connection,
    key: &str,
    owner: &str,
    store: &StoreIdentity,
) -> Result<(), RedisError> {
    let names = args([owner, store.id()]);
    let taken = connection.script(scripts::TAKE_OVER, key, names).await?;
    if taken != Value::Integer(1) {
        let why = format!("a moment ago {key} belonged to the store that this one was copied from");
        return Err(RedisError::Missing(why));
    }
    tracing::info!(
        key,
        from = owner,
        "this store takes over the namespace of the store that it was copied from"
    );
    Ok(())
}

/// Who owns the namespace; in words if what is there is not a name.
pub(super) async fn read(
    connection: &Connection,
    namespace: &str,
) -> Result<Option<String>, RedisError> {
    let key = keys::store(namespace);
    let kind = connection.call("TYPE", args([&key])).await?;
    match text(&kind).as_deref() {
        Some("none") => return Ok(None),
        Some("string") => {}
        kind => {
            let kind = kind.unwrap_or("something else");
            return Ok(Some(format!(
                "whose name is not known: {key} is a {kind}, not a string"
            )));
        }
    }
    let end = LONGEST.to_string();
    let name = connection.call("GETRANGE", args([&key, "0", &end])).await?;
    Ok(Some(shown(&key, &bytes(&name))))
}

/// A name as it is compared and told.
fn shown(key: &str, name: &[u8]) -> String {
    let plain = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(name) {
        _ if name.is_empty() => format!("whose name is not known: {key} is empty"),
        Ok(name) if plain && name.len() <= LONGEST => name.to_owned(),
        _ => format!("\"{}\"…", name[..name.len().min(LONGEST)].escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::redis::testing::TestRedis;

    #[tokio::test]
    async fn whatever_stands_in_the_place_of_an_owner_is_another_owner_and_told_in_short() {
        let redis = TestRedis::start();
        let settings = redis.settings();
        let connection = Connection::open(&settings.url).await.unwrap();
        let key = "docent:store";
        let mine = StoreIdentity::new("mine");
        let check = |how| check(&connection, &settings, &mine, how);
        assert_eq!(read(&connection, "docent").await, Ok(None));
        let nobody = check(OwnerCheck::Own).await;
        assert!(matches!(nobody, Err(RedisError::Missing(_))), "{nobody:?}");
        for how in [
            OwnerCheck::NotForeign,
            OwnerCheck::Claim,
            OwnerCheck::Claim,
            OwnerCheck::Own,
        ] {
            assert_eq!(check(how).await, Ok(()), "{how:?}");
        }
        let cases: [(&[&str], &str); 5] = [
            (&["SET", key, "another"], "another"),
            (
                &["SET", key, ""],
                "whose name is not known: docent:store is empty",
            ),
            (&["SETRANGE", key, "20000000", "x"], "\\x00\\x00"),
            (&["SETBIT", key, "0", "1"], "\"\\x80\"…"),
            (&["LPUSH", key, "mine"], "docent:store is a list"),
        ];
        for (command, told) in cases {
            redis.cli(&["DEL", key]);
            redis.cli(command);
            match check(OwnerCheck::Claim).await {
                Err(RedisError::Foreign { owner, command }) => {
                    assert!(owner.contains(told) && owner.len() < 500, "{owner}");
                    assert!(command.ends_with("DEL docent:store"), "{command}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
