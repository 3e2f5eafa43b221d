//! What the benches share: servers of their own, and a docent on them that has one agent.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use docent::internals::bus::redis::{Inbox, Link, LinkState, RedisSettings};
use docent::internals::bus::{Carrier, Embedded};
use docent::internals::event::{AgentName, Known};
use docent::internals::runtime::shutdown::{Level, StopSwitch, stop_pair};
use docent::internals::runtime::{
    Agent, AgentPlan, Board, CarrierFactory, RestartPolicy, RunnerOptions, Supervisor,
    SupervisorOptions, supervisor_channel,
};
use docent::internals::store::{
    Closer, Database, FlightRecorder, HostOptions, RetryPolicy, Store, StoreOptions, Trust,
};
use fred::prelude::{Builder, Client, ClientLike, Config};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Longer than any round on any machine: then something hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

pub(crate) type Failure = Box<dyn std::error::Error>;

/// A Redis that keeps nothing, on a Unix socket in a folder of its own. Killed when dropped.
pub(crate) struct Redis {
    dir: tempfile::TempDir,
    child: Child,
}

impl Redis {
    pub(crate) fn start() -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(dir.path().join("redis.sock"))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server does not start ({error}); install it: apt-get install redis-server"))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::os::unix::net::UnixStream::connect(dir.path().join("redis.sock")).is_err() {
            if Instant::now() > deadline {
                return Err("redis-server does not answer within 30 s".into());
            }
            std::thread::yield_now();
        }
        Ok(Redis { dir, child })
    }

    fn url(&self) -> String {
        format!(
            "redis+unix://{}",
            self.dir.path().join("redis.sock").display()
        )
    }

    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let client = Builder::from_config(Config::from_url(&self.url())?).build()?;
        client.init().await?;
        client.flushall::<()>(false).await?;
        Ok(client)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A PostgreSQL on a Unix socket in a folder of its own, durable as docent asks for it. Killed when dropped.
pub(crate) struct Postgres {
    dir: tempfile::TempDir,
    child: Child,
    /// Databases that were made.
    made: std::cell::Cell<u32>,
}

impl Postgres {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let program = |name: &str| server_program(name, dir.path());
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown")
                .arg("postgres")
                .arg(dir.path())
                .status()?;
            if !given.success() {
                return Err(
                    "the user postgres is not there; install it: apt-get install postgresql".into(),
                );
            }
        }
        let made = program("initdb")?
            .args([
                "-A",
                "trust",
                "-U",
                "docent",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-D",
                "data",
            ])
            .status()?;
        if !made.success() {
            return Err("initdb failed".into());
        }
        let child = program("postgres")?
            .args(["-D", "data", "-c", "listen_addresses=", "-k"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .spawn()?;
        let postgres = Postgres {
            dir,
            child,
            made: std::cell::Cell::new(0),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = postgres.client("postgres").await {
            if Instant::now() > deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(postgres)
    }

    fn url(&self, database: &str) -> String {
        let host = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://docent@{host}/{database}")
    }

    pub(crate) async fn client(&self, database: &str) -> Result<tokio_postgres::Client, Failure> {
        let (client, connection) =
            tokio_postgres::connect(&self.url(database), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes an empty database; its name.
    pub(crate) async fn database(&self) -> Result<String, Failure> {
        self.made.set(self.made.get() + 1);
        let name = format!("round{}", self.made.get());
        let client = self.client("postgres").await?;
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await?;
        Ok(name)
    }

    /// Opens a store in a database.
    pub(crate) async fn open(
        &self,
        database: &str,
        dir: &std::path::Path,
        host: HostOptions,
    ) -> Result<(Store, Closer), Failure> {
        let (dir, database) = (
            dir.to_owned(),
            Database::new(&self.url(database), None, Trust::Plain)?,
        );
        let opening = tokio::task::spawn_blocking(move || {
            Store::open_database(&dir, database, options(), host)
        });
        Ok(opening.await??)
    }
}

/// A program of PostgreSQL, as a user who is not root.
fn server_program(name: &str, folder: &std::path::Path) -> Result<Command, Failure> {
    let mut folders: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .map_err(|error| {
            format!("PostgreSQL is not there ({error}); install it: apt-get install postgresql")
        })?
        .collect::<Result<_, _>>()?;
    folders.sort_by_key(std::fs::DirEntry::path);
    let newest = folders.last().ok_or("PostgreSQL has no version")?;
    let path = newest.path().join("bin").join(name);
    // It does not run as root.
    let mut command = match rustix::process::geteuid().is_root() {
        false => Command::new(path),
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(path);
            command
        }
    };
    command.current_dir(folder).stdout(Stdio::null());
    Ok(command)
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The processes that it has started end with it.
        Command::new("kill")
            .args(["-QUIT", &self.child.id().to_string()])
            .status()
            .ok();
        self.child.wait().ok();
    }
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        retry: RetryPolicy {
            max_retries: 3,
            backoff_min: Duration::from_secs(1),
            backoff_max: BACKOFF_MAX,
        },
        event_size: 64 * 1024,
        ledger_keep: Duration::from_secs(24 * 3600),
        ledger_keep_events: 200_000,
        versions: 20,
        agents: vec![AgentName::Test],
    }
}

/// A host of this name. `takes`: Redis may hand it what belongs to another one's slots.
pub(crate) fn host(instance: &str, takes: bool) -> HostOptions {
    HostOptions {
        instance: instance.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        collections: Vec::new(),
        settings: std::collections::BTreeMap::new(),
        takes,
    }
}

/// An agent at work on a store, on this carrier.
pub(crate) struct Working {
    switch: StopSwitch,
    supervisor: JoinHandle<()>,
    stop_link: CancellationToken,
    link: Option<JoinHandle<()>>,
}

impl Working {
    /// Begins: over Redis where one is given.
    pub(crate) async fn begin(
        store: &Store,
        redis: Option<&Redis>,
        instance: &str,
        agent: Arc<dyn Fn() -> Arc<dyn Agent> + Send + Sync>,
    ) -> Result<Working, Failure> {
        let stop_link = CancellationToken::new();
        let mut link_task = None;
        let carrier: CarrierFactory = match redis {
            None => {
                let store = store.clone();
                Arc::new(move || {
                    Box::new(Embedded::new(store.clone(), AgentName::Test, BACKOFF_MAX))
                        as Box<dyn Carrier>
                })
            }
            Some(redis) => {
                let (link, task) = Link::new(settings(redis, instance), store.clone());
                link_task = Some(tokio::spawn(task.run(stop_link.clone())));
                let verdict = link.first_verdict().await;
                if !matches!(verdict, LinkState::Up { .. }) {
                    return Err(format!("Redis cannot carry: {verdict:?}").into());
                }
                Arc::new(move || {
                    Box::new(Inbox::new(link.clone(), AgentName::Test)) as Box<dyn Carrier>
                })
            }
        };
        let (switch, stop) = stop_pair();
        let supervisor = supervisor(store, carrier, instance, agent)?;
        Ok(Working {
            switch,
            supervisor: tokio::spawn(async move { drop(supervisor.run(stop).await) }),
            stop_link,
            link: link_task,
        })
    }

    pub(crate) async fn end(self) -> Result<(), Failure> {
        self.switch.raise(Level::Drain);
        self.supervisor.await?;
        self.stop_link.cancel();
        if let Some(task) = self.link {
            task.await?;
        }
        Ok(())
    }
}

fn supervisor(
    store: &Store,
    carrier: CarrierFactory,
    instance: &str,
    agent: Arc<dyn Fn() -> Arc<dyn Agent> + Send + Sync>,
) -> Result<Supervisor, Failure> {
    let data_dir = store.path().parent().ok_or("the store is in no folder")?;
    let recorder = FlightRecorder::begin(data_dir)?;
    let plan = AgentPlan {
        name: AgentName::Test,
        agent,
        carrier,
        options: RunnerOptions {
            concurrency: 16,
            unsettled: 64,
            unsettled_bytes: 32 << 20,
            capacity: 256,
            stall_timeout: Duration::from_secs(20),
            backoff_max: BACKOFF_MAX,
            pause_min: Duration::from_secs(1),
            pause_max: BACKOFF_MAX,
        },
    };
    let policy = RestartPolicy {
        restarts: 0,
        window: Duration::from_secs(60),
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(30),
    };
    let (_, requests) = supervisor_channel();
    let board = Board::new(&[AgentName::Test]);
    Ok(Supervisor::new(
        store.clone(),
        board,
        SupervisorOptions {
            restarts: policy,
            instance: instance.to_owned(),
            recorder: Some(recorder),
        },
        requests,
        vec![plan],
    ))
}

fn settings(redis: &Redis, instance: &str) -> RedisSettings {
    RedisSettings {
        url: redis.url(),
        shown: redis.url(),
        namespace: "docent".to_owned(),
        group: "docent".to_owned(),
        instance: instance.to_owned(),
        block_time: Duration::from_secs(1),
        window: 256,
        window_per_subject: 4,
        journal_entries: 100_000,
        journal_bytes: 256 << 20,
        ingress_dead: 10_000,
        known: Known::default(),
        event_size: 64 << 10,
        backoff_max: BACKOFF_MAX,
        falls_back: false,
    }
}
