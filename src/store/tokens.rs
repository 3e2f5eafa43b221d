//! Who may use the API over the network. Only a hash of each token stands here: a copy of the store opens nothing.

use super::sql::{self, Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::decode::stored_as_text;
use super::{ReadError, Store, WriteError, decode};
use crate::event::Millis;

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenRole {
    /// Read.
    Read,
    /// Read, publish, replay, drop, restart, pause.
    Operate,
}

stored_as_text! { TokenRole, "role of a token":
    Read = "read",
    Operate = "operate",
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// The SHA-256 of the token, in hexadecimal.
    pub hash: String,
    /// What it lets its bearer do.
    pub role: TokenRole,
    /// The collections that it is limited to; `None`: it is not.
    pub collections: Option<Vec<String>>,
    /// When it was made, milliseconds since 1970.
    pub created_at: i64,
    /// From when on it counts no more.
    pub expires_at: Option<i64>,
}

impl TokenRow {
    /// Whether it counts no more at this moment.
    pub(crate) fn is_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now.0)
    }
}

/// Keeps a token; refused if its name is taken.
pub(super) fn put(connection: &Connection, token: &TokenRow) -> Result<(), WriteError> {
    let collections = token.collections.as_ref().map(|names| names.join(" "));
    let mut insert = connection.prepare_cached(
        "INSERT INTO token (name, hash, role, collections, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (name) DO NOTHING",
    )?;
    let values = params![
        token.name,
        token.hash,
        token.role,
        collections,
        token.created_at,
        token.expires_at
    ];
    match insert.execute(values)? {
        0 => Err(WriteError::Refused),
        _ => Ok(()),
    }
}

/// Takes a token away; refused if there is none of this name.
pub(super) fn remove(connection: &Connection, name: &str) -> Result<(), WriteError> {
    let mut delete = connection.prepare_cached("DELETE FROM token WHERE name = ?1")?;
    match delete.execute([name])? {
        0 => Err(WriteError::Refused),
        _ => Ok(()),
    }
}

fn token(row: &Row<'_>) -> sql::Result<TokenRow> {
    let collections: Option<String> = row.get(3)?;
    Ok(TokenRow {
        name: row.get(0)?,
        hash: row.get(1)?,
        role: row.get(2)?,
        collections: collections.map(|names| names.split_whitespace().map(str::to_owned).collect()),
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
    })
}

impl Store {
    /// All tokens, by name.
    pub(crate) async fn tokens(&self) -> Result<Vec<TokenRow>, ReadError> {
        self.read("tokens", |connection| {
            connection
                .prepare_cached("SELECT name, hash, role, collections, created_at, expires_at FROM token ORDER BY name")?
                .query_map([], decode::of("token", token))?
                .collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn a_token_is_kept_once_and_taken_away_once() {
        let connection = Connection::Sqlite(rusqlite::Connection::open_in_memory().unwrap());
        schema::migrate(&connection, 0).unwrap();
        let row = |name: &str, collections: Option<&[&str]>| TokenRow {
            name: name.to_owned(),
            hash: format!("hash of {name}"),
            role: TokenRole::Operate,
            collections: collections.map(|c| c.iter().map(|c| (*c).to_owned()).collect()),
            created_at: 1,
            expires_at: Some(5),
        };
        let limited = row("a", Some(&["docs", "wiki"]));
        put(&connection, &limited).unwrap();
        put(&connection, &row("b", None)).unwrap();
        assert_eq!(put(&connection, &row("a", None)), Err(WriteError::Refused));
        let read = |name: &str| {
            let sql = "SELECT name, hash, role, collections, created_at, expires_at FROM token WHERE name = ?1";
            connection.query_row(sql, [name], token)
        };
        assert_eq!(read("a").unwrap(), limited);
        assert_eq!(read("b").unwrap().collections, None);
        assert!(limited.is_expired(Millis(5)) && !limited.is_expired(Millis(4)));
        remove(&connection, "a").unwrap();
        assert_eq!(remove(&connection, "a"), Err(WriteError::Refused));
    }
}
