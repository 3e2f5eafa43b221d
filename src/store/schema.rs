//! The tables of the store, and how an older one is brought forward.
//!
//! The steps are written once. PostgreSQL has other words for a few things, and says some of them itself.
//!
//! Moments are milliseconds since 1970 UTC unless the name says `_ns`. No triggers, no rowid, `ON CONFLICT` only.

use super::sql::{self, Connection, Optional};

/// The schema that this docent writes.
pub(super) const VERSION: i64 = 9;

/// The name under which `meta` has the store's id.
pub(super) const ID: &str = "store";

const V1: &str = "
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE event (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, source TEXT NOT NULL,
    subject TEXT NOT NULL, time INTEGER NOT NULL, data TEXT NOT NULL, causation TEXT, correlation TEXT NOT NULL);
CREATE INDEX event_causation ON event (causation) WHERE causation IS NOT NULL;

-- holder, token and held_until are for several processes on one store.
CREATE TABLE delivery (
    event INTEGER NOT NULL, agent TEXT NOT NULL, subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('owed', 'done', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL, deaths INTEGER NOT NULL DEFAULT 0,
    errors TEXT, settled_at INTEGER, holder TEXT, token INTEGER NOT NULL DEFAULT 0, held_until INTEGER,
    PRIMARY KEY (event, agent)) WITHOUT ROWID;
CREATE INDEX delivery_first ON delivery (agent, event) WHERE state = 'owed' AND attempts = 0;
CREATE INDEX delivery_retry ON delivery (agent, due_at, event) WHERE state = 'owed' AND attempts > 0;
CREATE INDEX delivery_subject ON delivery (agent, subject, event) WHERE state = 'owed';
CREATE INDEX delivery_dead ON delivery (agent, event) WHERE state = 'dead';

CREATE TABLE content (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, packed BLOB NOT NULL);
CREATE TABLE manifest (
    collection TEXT NOT NULL, path BLOB NOT NULL, state TEXT NOT NULL, digest TEXT, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
    reason TEXT, PRIMARY KEY (collection, path));
CREATE INDEX manifest_digest ON manifest (digest) WHERE digest IS NOT NULL;
CREATE TABLE scan_wanted (id INTEGER PRIMARY KEY, collection TEXT NOT NULL, path BLOB, reason TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE scan (collection TEXT PRIMARY KEY, began_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, files INTEGER NOT NULL);

CREATE TABLE document (
    id TEXT PRIMARY KEY, collection TEXT NOT NULL, path BLOB NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('stored', 'rejected', 'removed')), reason TEXT, title TEXT, kind TEXT,
    changed_at INTEGER NOT NULL, UNIQUE (collection, path));
CREATE TABLE document_version (
    document TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, state TEXT NOT NULL,
    reason TEXT, title TEXT, at INTEGER NOT NULL, PRIMARY KEY (document, version));
CREATE INDEX document_version_digest ON document_version (digest);

CREATE TABLE indexed (
    document TEXT PRIMARY KEY, change INTEGER NOT NULL UNIQUE, version INTEGER NOT NULL, digest TEXT NOT NULL,
    embedder TEXT NOT NULL, chunks INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE chunk (
    number INTEGER PRIMARY KEY, document TEXT NOT NULL, version INTEGER NOT NULL, change INTEGER NOT NULL, ordinal INTEGER NOT NULL, heading TEXT NOT NULL,
    first_line INTEGER NOT NULL, last_line INTEGER NOT NULL, text TEXT NOT NULL, hash TEXT NOT NULL,
    replaced_by INTEGER);
CREATE INDEX chunk_document ON chunk (document, number);
CREATE INDEX chunk_replaced ON chunk (replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX chunk_hash ON chunk (hash);
CREATE TABLE embedding (model TEXT NOT NULL, hash TEXT NOT NULL, vector BLOB, PRIMARY KEY (model, hash));

CREATE TABLE audit (n INTEGER PRIMARY KEY, event INTEGER UNIQUE, line TEXT NOT NULL, hash TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE job (
    name TEXT PRIMARY KEY, schedule TEXT NOT NULL, paused INTEGER NOT NULL DEFAULT 0, next_at INTEGER,
    last_at INTEGER, last_event TEXT, missed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE issue (
    subject TEXT NOT NULL, opened_at INTEGER NOT NULL, detector TEXT NOT NULL, severity TEXT NOT NULL, value TEXT NOT NULL,
    bound TEXT NOT NULL, closed_at INTEGER, fix TEXT, fix_attempts INTEGER NOT NULL DEFAULT 0, fix_result TEXT,
    PRIMARY KEY (subject, opened_at));
CREATE INDEX issue_open ON issue (subject) WHERE closed_at IS NULL;
";

/// Entries of other programs that nobody could publish, with all that they held.
const V2: &str = "
CREATE TABLE ingress_dead (
    n INTEGER PRIMARY KEY, entry TEXT NOT NULL UNIQUE, type TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL,
    fields TEXT NOT NULL, at INTEGER NOT NULL);
";

/// The other names of a file that one of them was notified of.
const V3: &str = "CREATE INDEX manifest_inode ON manifest (inode);";

/// Who may use the API over the network. Names of collections have no spaces.
const V4: &str = "
CREATE TABLE token (
    name TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, role TEXT NOT NULL CHECK (role IN ('read', 'operate')),
    collections TEXT, created_at INTEGER NOT NULL, expires_at INTEGER);
";

/// How the rules of alerts stand, what is to be said of them, and reports.
const V5: &str = "
CREATE TABLE alert (
    rule TEXT PRIMARY KEY, stage TEXT NOT NULL CHECK (stage IN ('quiet', 'pending', 'raised')), since INTEGER NOT NULL,
    cleared_at INTEGER, value TEXT NOT NULL, bound TEXT NOT NULL, severity TEXT NOT NULL);
CREATE TABLE notification (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, rule TEXT NOT NULL, body TEXT NOT NULL, created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL, due_at INTEGER NOT NULL, error TEXT, given_up_at INTEGER);
CREATE TABLE report (
    n INTEGER PRIMARY KEY, event TEXT NOT NULL UNIQUE, name TEXT NOT NULL, at INTEGER NOT NULL, markdown TEXT NOT NULL,
    json TEXT NOT NULL);
";

/// Who works on a store in a database, and who of them may do what. Nobody does on a file.
const V6: &str = "
CREATE TABLE host (
    incarnation TEXT PRIMARY KEY, instance TEXT NOT NULL, data_dir TEXT NOT NULL, version TEXT NOT NULL,
    joined_at INTEGER NOT NULL, renewed_at INTEGER NOT NULL, ended_at INTEGER, batch TEXT, change INTEGER NOT NULL);
CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT, term INTEGER NOT NULL, data_dir TEXT NOT NULL);
CREATE INDEX lease_holder ON lease (holder) WHERE holder IS NOT NULL;
CREATE INDEX delivery_held ON delivery (agent, subject) WHERE holder IS NOT NULL;
";

/// What hosts ask of each other, and what they say of themselves: what is in flight, and which types of event they know.
const V7: &str = "
CREATE TABLE restart_wanted (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, agent TEXT NOT NULL, at INTEGER NOT NULL, begun_at INTEGER,
    state TEXT, restarts INTEGER);
ALTER TABLE host ADD COLUMN in_flight TEXT NOT NULL DEFAULT '';
ALTER TABLE host ADD COLUMN knows TEXT NOT NULL DEFAULT '';
";

/// Deliveries that were being handled when docent crashed or was killed, in how many runs; `event` is the id of the event.
const V8: &str = "
CREATE TABLE suspect (
    event TEXT NOT NULL, agent TEXT NOT NULL, crashes INTEGER NOT NULL, kills INTEGER NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (event, agent));
";

/// What of the changes in the collections of a host is captured: up to when all of them are, if that is known, and how many paths
/// are not.
const V9: &str = "
ALTER TABLE host ADD COLUMN captured_to INTEGER;
ALTER TABLE host ADD COLUMN uncaptured INTEGER NOT NULL DEFAULT 0;
";

/// The tables of a store that a copy of it has too.
pub(super) const TABLES: &[&str] = &[
    "counter",
    "meta",
    "event",
    "delivery",
    "content",
    "manifest",
    "scan_wanted",
    "scan",
    "document",
    "document_version",
    "indexed",
    "chunk",
    "embedding",
    "audit",
    "job",
    "issue",
    "ingress_dead",
    "token",
    "alert",
    "notification",
    "report",
    "suspect",
    #[cfg(feature = "testing")]
    "test_effect",
];

/// The tables of those who work on a store: another store has others.
const HOST_TABLES: [&str; 3] = ["host", "lease", "restart_wanted"];

/// What `meta` says of the store itself, and not of what is in it.
pub(super) const OWN_FACTS: [&str; 6] = [ID, "schema", "batch", COPY_OF, UNFINISHED, MOVED_TO];

/// The name under which a copy has the id of the store that it was made of.
const COPY_OF: &str = "copy_of";

/// The name of the fact that a copy is not to be used yet, as its source may still be.
const UNFINISHED: &str = "unfinished";

/// The name under which a store that was copied says where its copy is.
pub(super) const MOVED_TO: &str = "moved_to";

/// What the agent `test` leaves behind.
#[cfg(feature = "testing")]
pub(super) const TESTING: &str = "CREATE TABLE IF NOT EXISTS test_effect (
    event INTEGER NOT NULL, attempt INTEGER NOT NULL, PRIMARY KEY (event, attempt))";

/// The steps from one schema to the next; the first one makes an empty file a store.
const STEPS: &[&str] = &[V1, V2, V3, V4, V5, V6, V7, V8, V9];

/// What PostgreSQL calls otherwise, in the order in which it is put right. Text is compared byte by byte, as SQLite does.
const POSTGRES: &[(&str, &str)] = &[
    (
        "INTEGER PRIMARY KEY",
        "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    ),
    ("INTEGER", "BIGINT"),
    ("BLOB", "BYTEA"),
    (" WITHOUT ROWID", ""),
    (" TEXT", " TEXT COLLATE \"C\""),
];

/// What SQLite has built in.
const POSTGRES_FUNCTIONS: &str = "CREATE OR REPLACE FUNCTION instr(text, text) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT strpos($1, $2)'";

/// The schema of the store; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> sql::Result<i64> {
    match connection {
        Connection::Sqlite(_) => connection.query_row("PRAGMA user_version", [], |row| row.get(0)),
        Connection::Postgres(_) => {
            let there: bool =
                connection.query_row("SELECT to_regclass('meta') IS NOT NULL", [], |row| {
                    row.get(0)
                })?;
            if !there {
                return Ok(0);
            }
            let select = "SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'schema'";
            Ok(connection
                .query_row(select, [], |row| row.get(0))
                .optional()?
                .unwrap_or(0))
        }
    }
}

/// Brings the store from schema `from` to [`VERSION`], in one transaction.
pub(super) fn migrate(connection: &Connection, from: i64) -> sql::Result<()> {
    connection.execute_batch("BEGIN")?;
    let migrated = steps(connection, from).and_then(|()| connection.execute_batch("COMMIT"));
    if migrated.is_err()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::debug!(%error, "the transaction was rolled back already");
    }
    migrated
}

/// Makes the tables, or brings those of schema `from` forward, within a transaction.
pub(super) fn steps(connection: &Connection, from: i64) -> sql::Result<()> {
    let done = usize::try_from(from).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        connection.execute_batch(&in_words_of(connection, step))?;
    }
    match connection {
        Connection::Sqlite(_) => {
            connection.execute_batch(&format!("PRAGMA user_version = {VERSION}"))
        }
        Connection::Postgres(_) => {
            connection.execute_batch(POSTGRES_FUNCTIONS)?;
            let put = "INSERT INTO meta (name, value) VALUES ('schema', ?1)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            connection.execute(put, [VERSION.to_string()]).map(drop)
        }
    }
}

/// A statement that makes tables, in the words of the connection's engine.
pub(super) fn in_words_of(connection: &Connection, statement: &str) -> String {
    match connection {
        Connection::Sqlite(_) => statement.to_owned(),
        Connection::Postgres(_) => {
            let words = POSTGRES.iter();
            words.fold(statement.to_owned(), |statement, (ours, theirs)| {
                statement.replace(ours, theirs)
            })
        }
    }
}

/// Gives a store that has no id an id of its own, and what tests need.
pub(super) fn complete(connection: &Connection) -> sql::Result<()> {
    put_fact(connection, ID, &uuid::Uuid::now_v7().to_string())?;
    #[cfg(feature = "testing")]
    connection.execute_batch(&in_words_of(connection, TESTING))?;
    Ok(())
}

pub(super) fn id(connection: &Connection) -> sql::Result<String> {
    fact(connection, ID)?.ok_or(sql::Error::NoRows)
}

/// The ids of the stores that this one was copied from: its source first, then what that was copied from.
pub(super) fn copied_from(connection: &Connection) -> sql::Result<Vec<String>> {
    let sources = fact(connection, COPY_OF)?.unwrap_or_default();
    Ok(sources.split_whitespace().map(str::to_owned).collect())
}

pub(super) fn mark_copied_from(connection: &Connection, sources: &[String]) -> sql::Result<()> {
    put_fact(connection, COPY_OF, &sources.join(" "))
}

/// Whether it is a copy that is not to be used yet.
pub(super) fn is_unfinished(connection: &Connection) -> sql::Result<bool> {
    Ok(fact(connection, UNFINISHED)?.is_some())
}

pub(super) fn mark_unfinished(connection: &Connection) -> sql::Result<()> {
    put_fact(connection, UNFINISHED, "yes")
}

pub(super) fn mark_finished(connection: &Connection) -> sql::Result<()> {
    let delete = "DELETE FROM meta WHERE name = ?1";
    connection.execute(delete, [UNFINISHED]).map(drop)
}

/// Removes all tables of the store.
pub(super) fn drop_tables(connection: &Connection) -> sql::Result<()> {
    for table in TABLES.iter().chain(&HOST_TABLES) {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    Ok(())
}

/// Where the store was moved to.
pub(super) fn moved_to(connection: &Connection) -> sql::Result<Option<String>> {
    fact(connection, MOVED_TO)
}

pub(super) fn mark_moved(connection: &Connection, to: &str) -> sql::Result<()> {
    put_fact(connection, MOVED_TO, to)
}

fn fact(connection: &Connection, name: &str) -> sql::Result<Option<String>> {
    let select = "SELECT value FROM meta WHERE name = ?1";
    connection
        .query_row(select, [name], |row| row.get(0))
        .optional()
}

/// Puts a fact, unless there is one of that name.
fn put_fact(connection: &Connection, name: &str, value: &str) -> sql::Result<()> {
    let put = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
    connection.execute(put, [name, value]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::Writers;
    use crate::store::tests::server::TestDatabase;

    fn in_memory() -> Connection {
        Connection::Sqlite(rusqlite::Connection::open_in_memory().unwrap())
    }

    #[test]
    fn a_store_keeps_its_id_and_another_has_another() {
        let [one, other] = [(); 2].map(|()| {
            let connection = in_memory();
            migrate(&connection, 0).unwrap();
            complete(&connection).unwrap();
            let first = id(&connection).unwrap();
            complete(&connection).unwrap();
            assert_eq!(id(&connection).unwrap(), first);
            first
        });
        assert_ne!(one, other);
    }

    #[test]
    fn a_database_of_each_older_schema_becomes_what_a_new_one_is() {
        let described = |connection: &Connection| {
            let columns = "SELECT CAST(table_name || '.' || column_name || ' ' || data_type AS TEXT) FROM information_schema.columns
                           WHERE table_schema = 'public' ORDER BY 1";
            let mut select = connection.prepare_cached(columns).unwrap();
            let found: sql::Result<Vec<String>> =
                select.query_map([], |row| row.get(0)).unwrap().collect();
            found.unwrap()
        };
        let new = TestDatabase::new()
            .reached()
            .connect_writer(Writers::Alone)
            .unwrap();
        migrate(&new, 0).unwrap();
        for from in 1..STEPS.len() {
            let older = TestDatabase::new()
                .reached()
                .connect_writer(Writers::Alone)
                .unwrap();
            for step in &STEPS[..from] {
                older.execute_batch(&in_words_of(&older, step)).unwrap();
            }
            let from = i64::try_from(from).unwrap();
            put_fact(&older, "schema", &from.to_string()).unwrap();
            assert_eq!(version(&older).unwrap(), from);
            migrate(&older, from).unwrap();
            assert_eq!(version(&older).unwrap(), VERSION);
            assert_eq!(described(&older), described(&new));
        }
    }

    #[test]
    fn an_empty_file_becomes_a_store_of_this_version() {
        let connection = in_memory();
        assert_eq!(version(&connection).unwrap(), 0);
        migrate(&connection, 0).unwrap();
        assert_eq!(version(&connection).unwrap(), VERSION);
        assert_eq!(STEPS.len(), usize::try_from(VERSION).unwrap());
        complete(&connection).unwrap();
        let mut select = connection
            .prepare_cached("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .unwrap();
        let found: sql::Result<Vec<String>> =
            select.query_map([], |row| row.get(0)).unwrap().collect();
        let mut tables = [TABLES, &HOST_TABLES].concat();
        tables.sort_unstable();
        assert_eq!(found.unwrap(), tables);
    }
}
