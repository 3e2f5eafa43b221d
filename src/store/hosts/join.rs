//! How a host begins to work on a store, and how its predecessor ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{HostOptions, INDEXED_BY};
use crate::store::leases::{self, Leases, NewHost, STALE};
use crate::store::postgres::Database;
use crate::store::sql::{self, Connection};
use crate::store::{Crash, DatabaseError, OpenError, suspects};

/// The file in `data_dir` with its id.
const FILE: &str = "host-id";

/// A start waits for a host that is in its way for as long as a row counts as fresh, and for this long.
const MARGIN: Duration = Duration::from_secs(2);

/// How often it looks in that time.
const AGAIN: Duration = Duration::from_millis(200);

/// The name of this host, and what is known of its `data_dir`.
#[derive(Debug, Clone)]
pub(in crate::store) struct HostIdentity {
    pub(super) options: HostOptions,
    /// The id of its `data_dir`. Whoever has the lock of the same one is the successor of whoever had it before.
    pub(super) data_dir: String,
}

/// Why a host does not join.
enum Refused {
    Sql(sql::Error),
    /// Because of a host that is at work; when its row was renewed last.
    ByHost {
        renewed_at: i64,
        why: DatabaseError,
    },
}

impl From<sql::Error> for Refused {
    fn from(error: sql::Error) -> Self {
        Refused::Sql(error)
    }
}

/// Joins the hosts of a store: ends the predecessor on this `data_dir`, whose lock is held, and writes a row. A host that is in the
/// way may have been killed a moment ago, so this waits until such a host would count as gone. What the predecessor crashed on is
/// suspect before anybody else can handle it.
pub(in crate::store) fn join(
    connection: &Connection,
    database: &Database,
    data_dir: &Path,
    options: HostOptions,
    crash: Option<&Crash>,
) -> Result<(HostIdentity, Leases), OpenError> {
    let id = data_dir_id(data_dir).map_err(OpenError::io("keep an id in", data_dir))?;
    let identity = HostIdentity {
        options,
        data_dir: id,
    };
    let other = SameDataDir::Ended(crash);
    let until = Instant::now() + STALE + MARGIN;
    let mut first_seen = None;
    loop {
        let incarnation = Uuid::now_v7().to_string();
        match attempt(connection, &identity, &incarnation, &other) {
            Ok(()) => {
                let leases = Leases::of_a_host(&incarnation, identity.options.takes);
                return Ok((identity, leases));
            }
            Err(Refused::Sql(error)) => return Err(database.unreachable(&error).into()),
            Err(Refused::ByHost { renewed_at, why }) => {
                let first = *first_seen.get_or_insert(renewed_at);
                if renewed_at != first || Instant::now() > until {
                    return Err(why.into());
                }
                std::thread::park_timeout(AGAIN);
            }
        }
    }
}

/// Joins once more, as another incarnation: the one before was ended by others.
pub(super) fn join_again(
    connection: &Connection,
    database: &Database,
    identity: &HostIdentity,
    leases: &Leases,
) -> Result<(), DatabaseError> {
    let incarnation = Uuid::now_v7().to_string();
    // A store that has lost commits may still have the row of this process.
    let other = match leases.is_lost() {
        true => SameDataDir::Ended(None),
        false => SameDataDir::MayRun,
    };
    match attempt(connection, identity, &incarnation, &other) {
        Ok(()) => {
            leases.begin_anew(&incarnation);
            Ok(())
        }
        Err(Refused::ByHost { why, .. }) => {
            // What this one held is the other's.
            leases.begin_anew(&incarnation);
            Err(why)
        }
        Err(Refused::Sql(error)) => Err(database.unreachable(&error)),
    }
}

/// The process of another row with the same `data_dir`.
enum SameDataDir<'a> {
    /// It has ended: this process has its lock. It may have crashed.
    Ended(Option<&'a Crash>),
    /// This process was ended though it ran on: the `data_dir` may have been copied.
    MayRun,
}

fn attempt(
    connection: &Connection,
    identity: &HostIdentity,
    incarnation: &str,
    other: &SameDataDir<'_>,
) -> Result<(), Refused> {
    leases::in_turn(connection, || {
        if let SameDataDir::Ended(Some(crash)) = other {
            suspects::count(connection, crash)?;
        }
        join_within(connection, identity, incarnation, other)
    })
}

/// Joins within a transaction that is serial with all others.
fn join_within(
    connection: &Connection,
    identity: &HostIdentity,
    incarnation: &str,
    same: &SameDataDir<'_>,
) -> Result<(), Refused> {
    let HostIdentity { options, data_dir } = identity;
    for (other, its_data_dir, renewed_at) in
        leases::of_same_name(connection, &options.instance, data_dir)?
    {
        let why = match (its_data_dir == *data_dir, same) {
            (true, SameDataDir::Ended(_)) => {
                leases::end(connection, &other)?;
                continue;
            }
            (true, SameDataDir::MayRun) => DatabaseError::SameDataDir,
            (false, _) => DatabaseError::SameName(options.instance.clone()),
        };
        if !leases::end_stale(connection, &other)? {
            return Err(Refused::ByHost { renewed_at, why });
        }
    }
    if leases::at_work(connection)?.is_none()
        && disagreement(&leases::settings(connection)?, options).is_some()
    {
        // Whoever was not heard of for a while must not go on with other settings: it joins again when it comes back.
        leases::end_all_stale(connection)?;
    }
    // One of them may have come back meanwhile.
    let settings = match leases::at_work(connection)? {
        // A host that has not renewed its row in time must agree when it comes back.
        None => options.settings.clone(),
        Some(renewed_at) => agree(connection, options, renewed_at)?,
    };
    leases::remember_settings(connection, &settings)?;
    let host = NewHost {
        incarnation,
        instance: &options.instance,
        data_dir,
        version: options.version,
    };
    Ok(leases::insert(connection, &host)?)
}

/// Checks that this host has the values of the settings of the store that those at work have. Gives all settings, theirs and its own.
fn agree(
    connection: &Connection,
    options: &HostOptions,
    renewed_at: i64,
) -> Result<BTreeMap<String, String>, Refused> {
    let mut all = leases::settings(connection)?;
    if let Some(why) = disagreement(&all, options) {
        return Err(Refused::ByHost { renewed_at, why });
    }
    all.extend(options.settings.clone());
    Ok(all)
}

/// How this host differs from `all` that the others agree on.
fn disagreement(all: &BTreeMap<String, String>, options: &HostOptions) -> Option<DatabaseError> {
    let key = first_difference(all, &options.settings)?;
    let value = |settings: &BTreeMap<String, String>| {
        let value = settings.get(key).cloned();
        value.unwrap_or_else(|| "not set".to_owned())
    };
    let (theirs, ours) = (value(all), value(&options.settings));
    Some(match key.as_str() {
        INDEXED_BY => DatabaseError::IndexedOtherwise { theirs, ours },
        key => DatabaseError::Differs {
            key: key.to_owned(),
            theirs,
            ours,
        },
    })
}

/// How this host differs from what others that work on the store agree on, before it joins them.
///
/// # Errors
/// The database cannot be used.
pub(crate) fn disagreement_with_others(
    database: &Database,
    options: &HostOptions,
) -> Result<Option<DatabaseError>, DatabaseError> {
    let ask = || -> sql::Result<Option<DatabaseError>> {
        let connection = Connection::Postgres(Box::new(database.connect_reader()?));
        if !leases::are_others_at_work(&connection, &options.instance)? {
            return Ok(None);
        }
        Ok(disagreement(&leases::settings(&connection)?, options))
    };
    ask().map_err(|error| database.unreachable(&error))
}

/// The first key with two values. One that is only on one side is a difference if the other side has nothing of its table, such as a
/// job; else one of the two versions does not know the key.
fn first_difference<'a>(
    one: &'a BTreeMap<String, String>,
    two: &'a BTreeMap<String, String>,
) -> Option<&'a String> {
    let table = |key: &str| {
        key.rsplit_once('.')
            .map_or("", |(table, _)| table)
            .to_owned()
    };
    let [in_one, in_two] =
        [one, two].map(|side| side.keys().map(|key| table(key)).collect::<BTreeSet<_>>());
    let keys: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
    keys.into_iter()
        .find(|key| match (one.get(*key), two.get(*key)) {
            (Some(one), Some(two)) => one != two,
            _ => !(in_one.contains(&table(key)) && in_two.contains(&table(key))),
        })
}

/// The id of a `data_dir`, which the first start on it makes.
fn data_dir_id(data_dir: &Path) -> io::Result<String> {
    let path = data_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(id) if id.trim().parse::<Uuid>().is_ok() => return Ok(id.trim().to_owned()),
        // One that a full disk has cut short is made again.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = Uuid::now_v7().to_string();
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    Ok(id)
}
