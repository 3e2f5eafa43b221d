//! Where the shared store is, and how it is reached.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::checksums;
use crate::store::schema;
use crate::store::sql::{self, Connection, Patience, Session, Silence, told};
use crate::store::{DatabaseError, StoreIdentity};

/// How long connecting may take, and how long what was sent may stay unconfirmed.
const CONNECT: Duration = Duration::from_secs(5);
const UNCONFIRMED: Duration = Duration::from_secs(5);

/// How long the session that keeps a host among others waits for an answer. With the time between two renewals it is less than the
/// host is trusted: what it handles is not waiting for the server then.
const ANSWER: Duration = Duration::from_secs(5);

/// The oldest server that has all that is used.
const OLDEST: i64 = 150_000;

/// The settings of a connection. A session that is frozen between lock and commit blocks nobody for longer than its timeout.
/// They are sent while connecting: a transaction pooler refuses them, or drops them, which is noticed afterwards.
///
/// The writer's and the member's statements name what they want by keys that have an index. The server plans a statement while its
/// tables are empty, and keeps the plan: left alone it reads tables from end to end until it next gathers statistics. It then takes
/// each plan for costly, and compiles it first, which costs more than any of them.
const WRITER: &str = "-c synchronous_commit=on -c lock_timeout=5s -c idle_in_transaction_session_timeout=2s -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";
const MEMBER: &str = "-c synchronous_commit=on -c lock_timeout=3s -c statement_timeout=4s -c idle_in_transaction_session_timeout=2s -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";
const READER: &str = "-c lock_timeout=5s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s -c jit=off";

const POOLER: &str = "it is behind a connection pooler, which does not support docent's prepared statements, session settings and locks; name the server itself in [store] url";

/// The lock of sessions that write, named by two numbers that nobody else is likely to use: `doce` and `nt` in ASCII. Hosts that work
/// together share it; a session that must be alone holds it alone.
const LOCK_ALONE: &str = "SELECT pg_try_advisory_lock(1685021541, 28276)";
const LOCK_SHARED: &str = "SELECT pg_try_advisory_lock_shared(1685021541, 28276)";

/// Who else may write into a database meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Writers {
    /// Nobody.
    Alone,
    /// Other hosts.
    Shared,
}

/// How the server is to prove who it is.
#[derive(Debug, Clone)]
pub enum Trust {
    /// It is not asked to: a socket file, or a network that is trusted.
    Plain,
    /// Its certificate is checked, and the name in it must be that of the host.
    Verified(Arc<tokio_rustls::rustls::ClientConfig>),
}

/// Where the shared store is, and how it is reached.
pub struct Database {
    /// Each server that is named, in this order.
    servers: Vec<Config>,
    /// Which of them was connected to last: it is asked first.
    last: AtomicUsize,
    trust: Trust,
    /// Without a password.
    shown: String,
    silence: Silence,
}

/// A config for each server that is named in one of them all.
fn servers(all: &Config) -> Vec<Config> {
    let (addresses, ports) = (all.get_hostaddrs(), all.get_ports());
    let count = all.get_hosts().len().max(addresses.len());
    if count < 2 {
        return vec![all.clone()];
    }
    let server = |n: usize| {
        let mut one = Config::new();
        match all.get_hosts().get(n) {
            Some(Host::Tcp(host)) => drop(one.host(host)),
            Some(Host::Unix(folder)) => drop(one.host_path(folder)),
            None => {}
        }
        if let Some(address) = addresses.get(n) {
            one.hostaddr(*address);
        }
        // One port is that of all.
        if let Some(port) = ports.get(n).or(ports.first()) {
            one.port(*port);
        }
        if let Some(user) = all.get_user() {
            one.user(user);
        }
        if let Some(password) = all.get_password() {
            one.password(password);
        }
        if let Some(name) = all.get_dbname() {
            one.dbname(name);
        }
        if let Some(name) = all.get_application_name() {
            one.application_name(name);
        }
        if let Some(interval) = all.get_keepalives_interval() {
            one.keepalives_interval(interval);
        }
        if let Some(retries) = all.get_keepalives_retries() {
            one.keepalives_retries(retries);
        }
        one.connect_timeout(CONNECT)
            .tcp_user_timeout(UNCONFIRMED)
            .keepalives(all.get_keepalives())
            .keepalives_idle(all.get_keepalives_idle())
            .ssl_mode(all.get_ssl_mode())
            .target_session_attrs(all.get_target_session_attrs())
            .channel_binding(all.get_channel_binding());
        one
    };
    (0..count).map(server).collect()
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What is in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseInspection {
    /// The version of the server.
    pub(crate) server: String,
    /// The schema of the store in it; 0: there is none yet.
    pub(crate) schema: i64,
    /// Which store it is.
    pub(crate) identity: Option<StoreIdentity>,
    /// Where it was moved to.
    pub(crate) moved_to: Option<String>,
    /// This docent does not know the schema.
    pub(crate) is_newer: bool,
    /// It is a copy that is not finished.
    pub(crate) is_unfinished: bool,
    /// It is the schema of this docent, and the store may be used.
    pub(crate) is_current: bool,
    /// The server finds damage of its pages.
    pub(crate) has_checksums: bool,
}

impl Database {
    /// The database at `url`, with a password if it asks for one.
    ///
    /// # Errors
    /// A sentence that says why the URL is not one.
    pub fn new(url: &str, password: Option<&[u8]>, trust: Trust) -> Result<Self, String> {
        let mut config = Config::from_str(url).map_err(|error| told(&error))?;
        if config.get_password().is_some() {
            return Err("it contains a password".to_owned());
        }
        let shown = shown(&config);
        if let Some(password) = password {
            config.password(password);
        }
        config
            .connect_timeout(CONNECT)
            .tcp_user_timeout(UNCONFIRMED)
            .keepalives_idle(Duration::from_secs(30))
            .application_name("docent")
            .ssl_mode(match trust {
                Trust::Plain => SslMode::Disable,
                Trust::Verified(_) => SslMode::Require,
            });
        Ok(Database {
            servers: servers(&config),
            last: AtomicUsize::new(0),
            trust,
            shown,
            silence: Silence::default(),
        })
    }

    /// Where it is, for a message.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    fn connect(&self, options: &str) -> sql::Result<Session> {
        self.connect_with(options, Patience::Shared(self.silence.clone()))
    }

    fn connect_with(&self, options: &str, patience: Patience) -> sql::Result<Session> {
        let mut failed = sql::Error::Silent;
        let (count, last) = (self.servers.len(), self.last.load(Ordering::Relaxed));
        for at in (0..count).map(|n| (last + n) % count) {
            let mut config = self.servers[at].clone();
            config.options(options);
            let patience = patience.clone();
            // Each server has its own time: one that accepts and says nothing must not use up that of the next.
            let connected = match &self.trust {
                Trust::Plain => Session::connect(&config, NoTls, patience, CONNECT),
                Trust::Verified(tls) => {
                    let tls = MakeRustlsConnect::new(tls.as_ref().clone());
                    Session::connect(&config, tls, patience, CONNECT)
                }
            };
            match connected {
                Ok(session) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(session);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// A session that only reads.
    pub(in crate::store) fn connect_reader(&self) -> sql::Result<Session> {
        self.connect(READER)
    }

    /// A session that keeps a host among those of the store, and finds out for all others of it when the server falls silent.
    pub(in crate::store) fn connect_member(&self) -> sql::Result<Session> {
        self.connect_with(MEMBER, Patience::Judging(self.silence.clone(), ANSWER))
    }

    /// A session that writes, unless others write who must not meanwhile.
    pub(in crate::store) fn connect_writer(
        &self,
        writers: Writers,
    ) -> Result<Connection, DatabaseError> {
        let session = self
            .connect(WRITER)
            .map_err(|error| self.unreachable(&error))?;
        let connection = Connection::Postgres(Box::new(session));
        self.fit(&connection)?;
        let lock = match writers {
            Writers::Alone => LOCK_ALONE,
            Writers::Shared => LOCK_SHARED,
        };
        let locked = connection.query_row(lock, [], |row| row.get::<bool>(0));
        match locked.map_err(|error| self.unreachable(&error))? {
            true => Ok(connection),
            false => Err(DatabaseError::InUse(self.shown.clone())),
        }
    }

    /// What is in the database. Nothing is changed.
    ///
    /// # Errors
    /// It cannot be reached or used.
    pub(crate) fn inspect(&self) -> Result<DatabaseInspection, DatabaseError> {
        let session = self
            .connect(READER)
            .map_err(|error| self.unreachable(&error))?;
        let connection = Connection::Postgres(Box::new(session));
        self.fit(&connection)?;
        let found = schema::version(&connection).and_then(|found| {
            let server =
                connection.query_row("SELECT current_setting('server_version')", [], |row| {
                    row.get(0)
                })?;
            let (identity, moved_to, is_unfinished) = match found {
                0 => (None, None, false),
                _ => (
                    Some(StoreIdentity::read(&connection)?),
                    schema::moved_to(&connection)?,
                    schema::is_unfinished(&connection)?,
                ),
            };
            Ok(DatabaseInspection {
                server,
                schema: found,
                is_current: found == schema::VERSION && moved_to.is_none() && !is_unfinished,
                identity,
                moved_to,
                is_unfinished,
                is_newer: found > schema::VERSION,
                has_checksums: checksums::are_kept(&connection)?,
            })
        });
        found.map_err(|error| self.unreachable(&error))
    }

    /// Checks that the server can keep what it is given.
    fn fit(&self, connection: &Connection) -> Result<(), DatabaseError> {
        let setting = |name: &str| -> Result<String, DatabaseError> {
            let found =
                connection.query_row("SELECT current_setting(?1)", [name], |row| row.get(0));
            found.map_err(|error| self.unreachable(&error))
        };
        let unfit = |why: &str| DatabaseError::Unfit {
            shown: self.shown.clone(),
            why: why.to_owned(),
        };
        let version = setting("server_version_num")?;
        if version.parse::<i64>().is_ok_and(|number| number < OLDEST) {
            let have = setting("server_version")?;
            return Err(unfit(&format!(
                "it is PostgreSQL {have}, but docent needs 15 or newer; upgrade the server"
            )));
        }
        if setting("fsync")? != "on" {
            return Err(unfit(
                "fsync is off, so a crash of its machine loses commits that it reported as durable; set fsync = on",
            ));
        }
        if setting("server_encoding")? != "UTF8" {
            return Err(unfit(
                "its encoding is not UTF8; create the database with ENCODING 'UTF8' TEMPLATE template0",
            ));
        }
        if setting("idle_in_transaction_session_timeout")? == "0" {
            return Err(unfit(POOLER));
        }
        if setting("in_hot_standby")? == "on" {
            return Err(unfit(
                "it is a standby; name the primary, or add target_session_attrs=read-write to the URL",
            ));
        }
        Ok(())
    }

    pub(in crate::store) fn unreachable(&self, error: &sql::Error) -> DatabaseError {
        let (shown, cause) = (self.shown.clone(), error.to_string());
        // PgBouncer's words.
        match cause.contains("unsupported startup parameter") {
            true => DatabaseError::Unfit {
                shown,
                why: format!("{POOLER} ({cause})"),
            },
            false => DatabaseError::Unreachable { shown, cause },
        }
    }
}

/// A database as it is shown: `postgres://USER@HOST:PORT/NAME`.
fn shown(config: &Config) -> String {
    let port = |at: usize| {
        let ports = config.get_ports();
        let port = ports.get(at).or(ports.first()).copied();
        port.filter(|port| *port != 5432)
            .map_or_else(String::new, |port| format!(":{port}"))
    };
    let hosts = config.get_hosts().iter().enumerate();
    let hosts: Vec<String> = hosts
        .map(|(at, host)| match host {
            Host::Tcp(name) => format!("{name}{}", port(at)),
            Host::Unix(folder) => format!("{}{}", Path::display(folder), port(at)),
        })
        .collect();
    let user = config
        .get_user()
        .map_or(String::new(), |user| format!("{user}@"));
    let name = config.get_dbname().unwrap_or_default();
    format!("postgres://{user}{}/{name}", hosts.join(","))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use tokio_postgres::config::TargetSessionAttrs;

    use super::*;
    use crate::store::tests::server::TestDatabase;

    #[test]
    fn each_server_that_is_named_is_one_of_its_own() {
        let url = "postgres://docent@db1:5433,%2Fsockets/docent?target_session_attrs=read-write";
        let servers = servers(&url.parse().unwrap());
        let told = |one: &Config| (one.get_hosts().to_vec(), one.get_ports().to_vec());
        let [one, two] = servers.as_slice() else {
            panic!("{servers:?}");
        };
        assert_eq!(told(one), (vec![Host::Tcp("db1".to_owned())], vec![5433]));
        assert_eq!(told(two).0, [Host::Unix("/sockets".into())]);
        for server in [one, two] {
            let attributes = server.get_target_session_attrs();
            assert_eq!(attributes, TargetSessionAttrs::ReadWrite);
            assert_eq!(
                (server.get_user(), server.get_dbname()),
                (Some("docent"), Some("docent"))
            );
        }
    }

    #[test]
    fn a_server_that_accepts_and_says_nothing_does_not_keep_docent_from_the_next() {
        let database = TestDatabase::new();
        let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = database.url_after(deaf.local_addr().unwrap());
        let began = Instant::now();
        let both = Database::new(&url, None, Trust::Plain).unwrap();
        drop(both.connect_member().unwrap());
        assert!(began.elapsed() >= CONNECT, "the first one was asked first");
        let again = Instant::now();
        drop(both.connect_reader().unwrap());
        assert!(
            again.elapsed() < CONNECT,
            "the one that answered is asked first"
        );
    }
}
