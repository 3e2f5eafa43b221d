//! How a host begins to work on a store, and how its predecessor ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::HostOptions;
use crate::store::leases::{self, Leases, NewHost, STALE};
use crate::store::sql::{self, Connection};
use crate::store::{DatabaseError, OpenError};

/// The file in `data_dir` with its id.
const FILE: &str = "host-id";

/// How much longer than a row counts as fresh a start waits for one of the same name.
const MARGIN: Duration = Duration::from_secs(2);

/// How often it looks meanwhile.
const AGAIN: Duration = Duration::from_millis(200);

/// The name of this host, and what is known of its `data_dir`.
#[derive(Debug, Clone)]
pub(in crate::store) struct HostIdentity {
    pub(super) options: HostOptions,
    /// Whoever has the lock of the same `data_dir` is the successor of whoever had it before.
    pub(super) data_dir: String,
}

/// Why a host does not join.
enum Refused {
    Sql(sql::Error),
    /// A host of this name is at work, on another `data_dir`; when its row was renewed.
    SameName(i64),
    /// A host of another version is at work.
    OtherVersion {
        instance: String,
        theirs: String,
    },
    /// Others have another value of a setting of the store.
    Differs(SettingDiffers),
}

/// A setting of the store that hosts have different values of.
struct SettingDiffers {
    key: String,
    theirs: String,
    ours: String,
}

impl From<sql::Error> for Refused {
    fn from(error: sql::Error) -> Self {
        Refused::Sql(error)
    }
}

/// Joins the hosts of a store: ends the predecessor on this `data_dir`, whose lock is held, and writes a row. A host of the same name
/// on another `data_dir` is given the time to be found gone.
pub(in crate::store) fn join(
    connection: &Connection,
    data_dir: &Path,
    options: HostOptions,
    shown: &str,
) -> Result<(HostIdentity, Leases), OpenError> {
    let id = data_dir_id(data_dir).map_err(OpenError::io("keep an id in", data_dir))?;
    let identity = HostIdentity {
        options,
        data_dir: id,
    };
    let unreachable = |error: sql::Error| DatabaseError::Unreachable {
        shown: shown.to_owned(),
        cause: error.to_string(),
    };
    let until = Instant::now() + STALE + MARGIN;
    let mut first_seen = None;
    loop {
        let incarnation = Uuid::now_v7().to_string();
        match attempt(connection, &identity, &incarnation) {
            Ok(()) => {
                let leases = Leases::of_a_host(&incarnation, identity.options.takes);
                return Ok((identity, leases));
            }
            Err(Refused::Sql(error)) => return Err(unreachable(error).into()),
            Err(Refused::OtherVersion { instance, theirs }) => {
                let ours = identity.options.version;
                let refused = DatabaseError::OtherVersion {
                    instance,
                    theirs,
                    ours,
                };
                return Err(refused.into());
            }
            Err(Refused::Differs(SettingDiffers { key, theirs, ours })) => {
                return Err(DatabaseError::Differs { key, theirs, ours }.into());
            }
            Err(Refused::SameName(renewed_at)) => {
                let first = *first_seen.get_or_insert(renewed_at);
                if renewed_at != first || Instant::now() > until {
                    let instance = identity.options.instance;
                    return Err(DatabaseError::SameName(instance).into());
                }
                std::thread::park_timeout(AGAIN);
            }
        }
    }
}

fn attempt(
    connection: &Connection,
    identity: &HostIdentity,
    incarnation: &str,
) -> Result<(), Refused> {
    leases::begin_serial(connection)?;
    let joined = join_within(connection, identity, incarnation);
    match joined {
        Ok(()) => Ok(connection.execute_batch("COMMIT")?),
        Err(refused) => {
            connection.undo("ROLLBACK")?;
            Err(refused)
        }
    }
}

/// Joins within a transaction that is serial with all others.
fn join_within(
    connection: &Connection,
    identity: &HostIdentity,
    incarnation: &str,
) -> Result<(), Refused> {
    let HostIdentity { options, data_dir } = identity;
    for (other, its_data_dir, renewed_at) in
        leases::of_same_name(connection, &options.instance, data_dir)?
    {
        if its_data_dir == *data_dir {
            leases::end(connection, &other)?;
        } else if !leases::end_stale(connection, &other)? {
            return Err(Refused::SameName(renewed_at));
        }
    }
    if let Some((instance, theirs)) = leases::of_other_version(connection, options.version)? {
        return Err(Refused::OtherVersion { instance, theirs });
    }
    if leases::view(connection)?.hosts.is_empty() {
        leases::remember_settings(connection, &options.settings)?;
    } else if let Some(differs) = different(connection, options)? {
        return Err(Refused::Differs(differs));
    }
    let host = NewHost {
        incarnation,
        instance: &options.instance,
        data_dir,
        version: options.version,
    };
    Ok(leases::insert(connection, &host)?)
}

/// The first setting of which the hosts that are there have another value.
fn different(
    connection: &Connection,
    options: &HostOptions,
) -> sql::Result<Option<SettingDiffers>> {
    let theirs = leases::settings(connection)?;
    let none = || "nothing".to_owned();
    let keys: BTreeSet<&String> = theirs.keys().chain(options.settings.keys()).collect();
    let key = keys
        .into_iter()
        .find(|key| theirs.get(*key) != options.settings.get(*key));
    Ok(key.map(|key| SettingDiffers {
        key: key.clone(),
        theirs: theirs.get(key).cloned().unwrap_or_else(none),
        ours: options.settings.get(key).cloned().unwrap_or_else(none),
    }))
}

/// Joins once more, as another incarnation: the one before was ended by others.
pub(super) fn join_again(
    connection: &Connection,
    identity: &HostIdentity,
    leases: &Leases,
) -> sql::Result<bool> {
    let incarnation = Uuid::now_v7().to_string();
    match attempt(connection, identity, &incarnation) {
        Ok(()) => {
            leases.begin_anew(&incarnation);
            Ok(true)
        }
        Err(Refused::SameName(_) | Refused::OtherVersion { .. } | Refused::Differs(_)) => Ok(false),
        Err(Refused::Sql(error)) => Err(error),
    }
}

/// The id of a `data_dir`, which is made with the first start on it.
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
