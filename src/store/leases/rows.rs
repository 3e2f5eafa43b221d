//! The rows of hosts and leases: read, and written within a transaction that is serial with all commits.

use std::collections::{BTreeMap, BTreeSet};

use super::STALE;
use super::captures::Captured;
use super::held::HeldTerms;
use super::in_flight::InFlight;
use super::plan::{LeaseView, SeenHost};
use super::slot::{COLLECTION, LeaseName};
use crate::event::{AgentName, EventType, Millis, Seq};
use crate::store::sql::{self, Connection, Optional, params};
use crate::store::{ReadError, Store};

/// The clock of the database, in milliseconds since 1970 UTC. No rule looks at the clock of a host.
pub(in crate::store) const NOW: &str =
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// The name under which `counter` has the number of transfers of leases.
pub(in crate::store) const TRANSFERS: &str = "leases";

/// How long rows of hosts that have ended are kept, in milliseconds: a day.
const KEPT: i64 = 24 * 3600 * 1000;

/// What every commit waits for, so that they are serial.
pub(in crate::store) const LOCK_HEAD: &str =
    "SELECT value FROM counter WHERE name = 'seq' FOR UPDATE";

/// One incarnation of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostIncarnation(String);

impl HostIncarnation {
    pub(in crate::store) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A host that works on the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostRow {
    pub(crate) incarnation: HostIncarnation,
    pub(crate) instance: String,
    pub(crate) version: String,
    pub(crate) joined_at: Millis,
    /// Milliseconds since its row was renewed.
    pub(crate) renewed_ago: u64,
    /// As it was when it renewed its row.
    pub(crate) in_flight: InFlight,
    /// The same, of what changed in the collections that it watches.
    pub(crate) captured: Captured,
    pub(crate) slots: usize,
    /// The collections that it watches.
    pub(crate) collections: Vec<String>,
    /// The tasks of the whole store that it has.
    pub(crate) tasks: Vec<String>,
    /// It is the one that was asked.
    pub(crate) is_this: bool,
}

/// Does something in a transaction that waits for the commits of all others, and that they wait for.
pub(in crate::store) fn in_turn<T, E: From<sql::Error>>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    connection.execute_batch("BEGIN")?;
    let locked = connection
        .prepare_cached(LOCK_HEAD)
        .and_then(|mut lock| lock.query([]).map(drop));
    match locked.map_err(E::from).and_then(|()| work()) {
        Ok(done) => {
            connection.execute_batch("COMMIT")?;
            Ok(done)
        }
        Err(error) => {
            connection.undo("ROLLBACK")?;
            Err(error)
        }
    }
}

/// A host that joins.
pub(in crate::store) struct NewHost<'a> {
    pub(in crate::store) incarnation: &'a str,
    pub(in crate::store) instance: &'a str,
    pub(in crate::store) data_dir: &'a str,
    pub(in crate::store) version: &'a str,
}

/// Writes the row of a host that joins.
pub(in crate::store) fn insert(connection: &Connection, host: &NewHost<'_>) -> sql::Result<()> {
    let insert = format!(
        "INSERT INTO host (incarnation, instance, data_dir, version, knows, joined_at, renewed_at, change)
         VALUES (?1, ?2, ?3, ?4, ?5, {NOW}, {NOW}, 0)"
    );
    let knows: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    let knows = knows.join(" ");
    let row = params![
        host.incarnation,
        host.instance,
        host.data_dir,
        host.version,
        knows
    ];
    connection.execute(&insert, row).map(drop)
}

/// What a host says of itself when it renews its row.
pub(in crate::store) struct Renewal {
    /// The change that its index has reached.
    pub(in crate::store) position: u64,
    pub(in crate::store) in_flight: InFlight,
    pub(in crate::store) captured: Captured,
}

/// Renews the row of a host. Gives when, by the clock of the database; `None`: the host was ended.
pub(in crate::store) fn renew(
    connection: &Connection,
    incarnation: &str,
    renewal: &Renewal,
) -> sql::Result<Option<Millis>> {
    let update = format!(
        "UPDATE host SET renewed_at = {NOW}, change = ?2, in_flight = ?3, captured_to = ?4, uncaptured = ?5
         WHERE incarnation = ?1 AND ended_at IS NULL RETURNING renewed_at"
    );
    let row = params![
        incarnation,
        renewal.position,
        renewal.in_flight.to_string(),
        renewal.captured.to,
        renewal.captured.pending
    ];
    let mut update = connection.prepare_cached(&update)?;
    update.query_row(row, |row| row.get(0)).optional()
}

/// Releases what anybody has taken, where no host is at work.
pub(in crate::store) fn release_all(connection: &Connection) -> sql::Result<()> {
    let release = "UPDATE delivery SET holder = NULL WHERE holder IS NOT NULL";
    connection.execute(release, []).map(drop)
}

/// Ends an incarnation; its leases are free then.
pub(in crate::store) fn end(connection: &Connection, incarnation: &str) -> sql::Result<()> {
    let update =
        format!("UPDATE host SET ended_at = {NOW} WHERE incarnation = ?1 AND ended_at IS NULL");
    connection.execute(&update, [incarnation])?;
    free(connection, incarnation)
}

/// Ends an incarnation whose row was not renewed for too long; waits for a renewal that is under way. False: it was renewed.
pub(in crate::store) fn end_stale(connection: &Connection, incarnation: &str) -> sql::Result<bool> {
    let update = format!(
        "UPDATE host SET ended_at = {NOW} WHERE incarnation = ?1 AND ended_at IS NULL AND renewed_at < {NOW} - ?2"
    );
    if connection.execute(&update, params![incarnation, stale_millis()])? == 0 {
        return Ok(false);
    }
    free(connection, incarnation)?;
    Ok(true)
}

/// Takes signs of life from the future for new ones: the database's clock was set back, or another server has it now. A host that is
/// there renews its own anyway, and one that is gone must not be waited for until then.
pub(in crate::store) fn set_back_to_now(connection: &Connection) -> sql::Result<()> {
    let update = format!(
        "UPDATE host SET renewed_at = {NOW} WHERE ended_at IS NULL AND renewed_at > {NOW} + ?1"
    );
    connection.execute(&update, [stale_millis()]).map(drop)
}

/// Ends all incarnations whose rows were not renewed for too long.
pub(in crate::store) fn end_all_stale(connection: &Connection) -> sql::Result<()> {
    let mut select =
        connection.prepare_cached("SELECT incarnation FROM host WHERE ended_at IS NULL")?;
    let incarnations: sql::Result<Vec<String>> = select.query_map([], |row| row.get(0))?.collect();
    for incarnation in incarnations? {
        end_stale(connection, &incarnation)?;
    }
    Ok(())
}

/// Lets go of all leases of an incarnation.
fn free(connection: &Connection, incarnation: &str) -> sql::Result<()> {
    connection.execute(
        "UPDATE lease SET holder = NULL WHERE holder = ?1",
        [incarnation],
    )?;
    connection.execute(
        "UPDATE delivery SET holder = NULL WHERE holder = ?1",
        [incarnation],
    )?;
    transferred(connection)
}

/// A delivery that a host has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Hold {
    pub(in crate::store) agent: AgentName,
    pub(in crate::store) seq: Seq,
    token: i64,
}

/// What an incarnation has taken and not settled.
pub(in crate::store) fn holds_of(
    connection: &Connection,
    incarnation: &str,
) -> sql::Result<Vec<Hold>> {
    connection
        .prepare_cached("SELECT event, agent, token FROM delivery WHERE holder = ?1")?
        .query_map([incarnation], |row| {
            Ok(Hold {
                seq: row.get(0)?,
                agent: row.get(1)?,
                token: row.get(2)?,
            })
        })?
        .collect()
}

/// Releases what an incarnation has taken.
pub(in crate::store) fn release(
    connection: &Connection,
    incarnation: &str,
    holds: &[Hold],
) -> sql::Result<()> {
    for hold in holds {
        connection.execute(
            "UPDATE delivery SET holder = NULL WHERE event = ?1 AND agent = ?2 AND holder = ?3 AND token = ?4",
            params![hold.seq, hold.agent, incarnation, hold.token],
        )?;
    }
    transferred(connection)
}

fn stale_millis() -> i64 {
    i64::try_from(STALE.as_millis()).unwrap_or(i64::MAX)
}

/// Takes those of these leases that nobody has, unless the incarnation has ended meanwhile. Every transfer raises the term.
pub(in crate::store) fn take(
    connection: &Connection,
    incarnation: &str,
    data_dir: &str,
    names: &[LeaseName],
) -> sql::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    // No name has a space in it.
    connection.execute(
        "INSERT INTO lease (name, holder, term, data_dir)
         SELECT name, ?2, 1, ?3 FROM unnest(string_to_array(?1, ' ')) AS name
         WHERE EXISTS (SELECT 1 FROM host WHERE incarnation = ?2 AND ended_at IS NULL)
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, term = lease.term + 1, data_dir = excluded.data_dir
         WHERE lease.holder IS NULL",
        params![names.join(" "), incarnation, data_dir],
    )?;
    transferred(connection)
}

/// Gives leases up.
pub(in crate::store) fn give(
    connection: &Connection,
    incarnation: &str,
    names: &[LeaseName],
) -> sql::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    connection.execute(
        "UPDATE lease SET holder = NULL WHERE holder = ?2 AND name IN (SELECT unnest(string_to_array(?1, ' ')))",
        params![names.join(" "), incarnation],
    )?;
    transferred(connection)
}

/// Counts a transfer: all hosts then look again at what they may do, and from the beginning at what is owed.
pub(in crate::store) fn transferred(connection: &Connection) -> sql::Result<()> {
    let count = "INSERT INTO counter (name, value) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = counter.value + 1";
    connection.execute(count, [TRANSFERS]).map(drop)
}

/// Who is there and who has what.
pub(in crate::store) fn view(connection: &Connection) -> sql::Result<LeaseView> {
    let hosts = format!(
        "SELECT incarnation, instance, renewed_at < {NOW} - ?1, knows FROM host WHERE ended_at IS NULL"
    );
    let hosts = connection
        .prepare_cached(&hosts)?
        .query_map([stale_millis()], |row| {
            let knows: String = row.get(3)?;
            let seen = SeenHost {
                instance: row.get(1)?,
                is_stale: row.get(2)?,
                knows: knows.split_whitespace().map(str::to_owned).collect(),
            };
            Ok((row.get(0)?, seen))
        })?
        .collect::<sql::Result<_>>()?;
    let held: Vec<(String, String)> = connection
        .prepare_cached("SELECT name, holder FROM lease WHERE holder IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<sql::Result<_>>()?;
    // Leases that only a newer docent knows are left out.
    let known = |(name, holder): (String, String)| Some((LeaseName::parse(&name)?, holder));
    Ok(LeaseView {
        hosts,
        holders: held.into_iter().filter_map(known).collect(),
        collections: collections(connection)?,
    })
}

/// The collections that somebody watches, or that have files though nobody does at the moment.
fn collections(connection: &Connection) -> sql::Result<Vec<String>> {
    let select = "SELECT name FROM lease WHERE name LIKE ?1 || '%'
         AND (holder IS NOT NULL OR EXISTS (SELECT 1 FROM manifest WHERE collection = SUBSTR(name, LENGTH(?1) + 1)))
         ORDER BY name";
    let names: Vec<String> = connection
        .prepare_cached(select)?
        .query_map([COLLECTION], |row| row.get(0))?
        .collect::<sql::Result<_>>()?;
    let collection = |name: &String| Some(name.strip_prefix(COLLECTION)?.to_owned());
    Ok(names.iter().filter_map(collection).collect())
}

/// The incarnations that have not ended, of hosts of this name or on this `data_dir`: each with its `data_dir` and when its row was
/// last renewed.
pub(in crate::store) fn of_same_name(
    connection: &Connection,
    instance: &str,
    data_dir: &str,
) -> sql::Result<Vec<(String, String, i64)>> {
    connection
        .prepare_cached(
            "SELECT incarnation, data_dir, renewed_at FROM host
             WHERE ended_at IS NULL AND (instance = ?1 OR data_dir = ?2)",
        )?
        .query_map([instance, data_dir], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect()
}

/// When the row was last renewed of a host that was heard of lately; `None`: there is none.
pub(in crate::store) fn at_work(connection: &Connection) -> sql::Result<Option<i64>> {
    let select = format!(
        "SELECT MAX(renewed_at) FROM host WHERE ended_at IS NULL AND renewed_at >= {NOW} - ?1"
    );
    let mut select = connection.prepare_cached(&select)?;
    select.query_row([stale_millis()], |row| row.get(0))
}

/// Whether a host of another name was heard of lately.
pub(in crate::store) fn are_others_at_work(
    connection: &Connection,
    instance: &str,
) -> sql::Result<bool> {
    let select = format!(
        "SELECT COUNT(*) > 0 FROM host WHERE ended_at IS NULL AND renewed_at >= {NOW} - ?1 AND instance <> ?2"
    );
    connection.query_row(&select, params![stale_millis(), instance], |row| row.get(0))
}

/// The leases of an incarnation, with their terms.
pub(in crate::store) fn leases_of(
    connection: &Connection,
    incarnation: &str,
) -> sql::Result<HeldTerms> {
    let transfers = connection
        .query_row(
            "SELECT value FROM counter WHERE name = ?1",
            [TRANSFERS],
            |row| row.get(0),
        )
        .optional()?;
    let held: Vec<(String, i64)> = connection
        .prepare_cached("SELECT name, term FROM lease WHERE holder = ?1")?
        .query_map([incarnation], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<sql::Result<_>>()?;
    let known = |(name, term): (String, i64)| Some((LeaseName::parse(&name)?, term));
    Ok(HeldTerms {
        transfers: transfers.unwrap_or(0),
        incarnation: incarnation.into(),
        terms: held.into_iter().filter_map(known).collect(),
    })
}

/// The name under which `meta` has the settings of the store, as its hosts have them.
const SETTINGS: &str = "settings";

/// Remembers the settings of the store.
pub(in crate::store) fn remember_settings(
    connection: &Connection,
    settings: &BTreeMap<String, String>,
) -> sql::Result<()> {
    let put = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    let settings = serde_json::json!(settings).to_string();
    connection
        .execute(put, [SETTINGS, settings.as_str()])
        .map(drop)
}

/// The settings of the store.
pub(in crate::store) fn settings(connection: &Connection) -> sql::Result<BTreeMap<String, String>> {
    let select = "SELECT value FROM meta WHERE name = ?1";
    let found: Option<String> = connection
        .query_row(select, [SETTINGS], |row| row.get(0))
        .optional()?;
    let read = |text: String| serde_json::from_str(&text);
    let read = found.map(read).transpose();
    let settings = read.map_err(|e| sql::Error::Column(format!("the settings in meta: {e}")))?;
    Ok(settings.unwrap_or_default())
}

/// Forgets hosts that ended long ago.
pub(in crate::store) fn prune(connection: &Connection) -> sql::Result<()> {
    let delete = format!("DELETE FROM host WHERE ended_at < {NOW} - ?1");
    connection.execute(&delete, [KEPT]).map(drop)
}

/// The change that the indexes of all hosts have reached, those that have ended and are not forgotten among them: one that comes
/// back goes on from there. One that has been away for longer builds its index anew. `None`: there is no host.
pub(in crate::store) fn lowest_position(connection: &Connection) -> sql::Result<Option<u64>> {
    if matches!(connection, Connection::Sqlite(_)) {
        return Ok(None);
    }
    connection.query_row(
        &format!(
            "SELECT MIN(change) FROM host h WHERE renewed_at > {NOW} - ?1 AND NOT EXISTS
               (SELECT 1 FROM host later WHERE later.data_dir = h.data_dir AND later.joined_at > h.joined_at)"
        ),
        [KEPT],
        |row| row.get(0),
    )
}

impl Store {
    /// Which of these collections, none of which is in this host's config, are in no config at all. On a file: all of them. On a
    /// database: those that this host was the last to watch and that nobody watches now.
    pub(crate) async fn deserted(
        &self,
        collections: Vec<String>,
    ) -> Result<Vec<String>, ReadError> {
        let Some(this) = self.leases().incarnation() else {
            return Ok(collections);
        };
        self.read("who watches what", move |connection| {
            let deserted: Vec<String> = connection
                .prepare_cached(
                    "SELECT name FROM lease WHERE holder IS NULL
                     AND data_dir = (SELECT data_dir FROM host WHERE incarnation = ?1)",
                )?
                .query_map([&*this], |row| row.get(0))?
                .collect::<sql::Result<_>>()?;
            let is_deserted = |name: &String| {
                let lease = LeaseName::Collection(name.clone()).to_string();
                deserted.contains(&lease)
            };
            Ok(collections.into_iter().filter(is_deserted).collect())
        })
        .await
    }

    /// The hosts that work on the store, by name; none where it is a file.
    pub(crate) async fn hosts(&self) -> Result<Vec<HostRow>, ReadError> {
        let Some(this) = self.leases().incarnation() else {
            return Ok(Vec::new());
        };
        self.read("hosts", move |connection| {
            let select = format!(
                "SELECT instance, version, joined_at, {NOW} - renewed_at, incarnation,
                     (SELECT string_agg(name, ' ') FROM lease WHERE holder = host.incarnation), in_flight,
                     captured_to, uncaptured
                 FROM host WHERE ended_at IS NULL ORDER BY instance, joined_at"
            );
            connection
                .prepare_cached(&select)?
                .query_map([], |row| {
                    let incarnation: String = row.get(4)?;
                    let leases: Option<String> = row.get(5)?;
                    let in_flight: String = row.get(6)?;
                    let mut host = HostRow {
                        instance: row.get(0)?,
                        version: row.get(1)?,
                        joined_at: row.get(2)?,
                        renewed_ago: row.get::<i64>(3)?.try_into().unwrap_or(0),
                        in_flight: InFlight::parse(&in_flight),
                        captured: Captured {
                            to: row.get(7)?,
                            pending: row.get(8)?,
                        },
                        slots: 0,
                        collections: Vec::new(),
                        tasks: Vec::new(),
                        is_this: *incarnation == *this,
                        incarnation: HostIncarnation(incarnation),
                    };
                    host.add_leases(leases.unwrap_or_default().split(' '));
                    Ok(host)
                })?
                .collect()
        })
        .await
    }
}

impl HostRow {
    /// Leases that only a newer docent knows are left out.
    fn add_leases<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let known: BTreeSet<LeaseName> = names.filter_map(LeaseName::parse).collect();
        for name in known {
            match name {
                LeaseName::Slot(_) => self.slots += 1,
                LeaseName::Collection(collection) => self.collections.push(collection),
                LeaseName::Alerts | LeaseName::Housekeeping => self.tasks.push(name.to_string()),
            }
        }
    }
}
