//! One store a namespace: two ledgers on one namespace would acknowledge each other's work away.

use super::client::{Connection, Trouble, args};
use super::reply::text;
use super::{Settings, keys};

/// Claims the namespace for this store if nobody has it, and makes sure that nobody else does. To be called on every connection
/// before anything else is read, written or acknowledged, and again whenever one of our keys was found missing.
pub(super) async fn check(
    connection: &Connection,
    settings: &Settings,
    store: &str,
) -> Result<(), Trouble> {
    let key = keys::store(&settings.namespace);
    let claim = connection.call("SET", args([&key, store, "NX", "GET"]));
    match claim.await {
        // Nobody had it.
        Ok(fred::prelude::Value::Null) => Ok(()),
        Ok(value) => match text(&value) {
            Some(owner) if owner == store => Ok(()),
            Some(owner) => Err(Trouble::Foreign {
                owner,
                command: settings.cli(&format!("DEL {key}")),
            }),
            None => Err(Trouble::Garbled("SET")),
        },
        Err(error) => Err(error),
    }
}

/// Who owns the namespace, without claiming it.
pub(super) async fn look(
    connection: &Connection,
    namespace: &str,
) -> Result<Option<String>, Trouble> {
    let key = keys::store(namespace);
    let value = connection.call("GET", args([&key])).await?;
    Ok(text(&value))
}
