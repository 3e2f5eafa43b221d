//! One store a namespace: two ledgers on one namespace would acknowledge each other's work away.

use fred::prelude::Value;

use super::client::{Connection, Trouble, args};
use super::reply::{bytes, text};
use super::{Settings, keys};

/// Bytes of a name that are read; the id of a store has 36. Whoever can write the key decides how long it is.
const LONGEST: usize = 100;

/// Claims the namespace for this store if nobody has it, and makes sure that nobody else does. To be called on every connection
/// before anything else is read, written or acknowledged, again whenever one of our keys was found missing, and now and then.
pub(super) async fn check(
    connection: &Connection,
    settings: &Settings,
    store: &str,
) -> Result<(), Trouble> {
    let key = keys::store(&settings.namespace);
    // Where somebody has it this changes nothing, and shows all the same whether Redis lets itself be written to.
    let claim = connection.call("SET", args([&key, store, "NX"])).await?;
    if claim != Value::Null {
        return Ok(());
    }
    match look(connection, &settings.namespace).await? {
        Some(owner) if owner == store => Ok(()),
        Some(owner) => Err(Trouble::Foreign {
            owner,
            command: settings.cli(&format!("DEL {key}")),
        }),
        None => Err(Trouble::Missing(format!("{key} was there a moment ago"))),
    }
}

/// Who owns the namespace, without claiming it; in words where what stands there is no name.
pub(super) async fn look(
    connection: &Connection,
    namespace: &str,
) -> Result<Option<String>, Trouble> {
    let key = keys::store(namespace);
    let kind = connection.call("TYPE", args([&key])).await?;
    match text(&kind).as_deref() {
        Some("none") => return Ok(None),
        Some("string") => {}
        kind => {
            let kind = kind.unwrap_or("something else");
            return Ok(Some(format!(
                "whose name is not known: {key} is a {kind} and no string"
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
        assert_eq!(look(&connection, "docent").await, Ok(None));
        assert_eq!(check(&connection, &settings, "mine").await, Ok(()));
        assert_eq!(check(&connection, &settings, "mine").await, Ok(()));
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
            match check(&connection, &settings, "mine").await {
                Err(Trouble::Foreign { owner, command }) => {
                    assert!(owner.contains(told) && owner.len() < 500, "{owner}");
                    assert!(command.ends_with("DEL docent:store"), "{command}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
