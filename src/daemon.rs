//! The composition root: the life of the process. Open the store, bind the socket, begin the agents, wait for a signal, drain.

mod agents;
mod carriers;
mod copy;
mod database;
mod last_run;
mod network;
mod options;
mod redis_facts;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rustix::fs::Mode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Loaded, MetricsAccess, ShownSetting};
use crate::document::CHUNKING;
use crate::embed::EmbeddingTable;
use crate::error::{Exit, Fatal};
use crate::event::{AgentName, Millis, awake};
use crate::http::{self, MetricsReaders};
use crate::index::Searcher;
use crate::runtime::shutdown::{self, conduct, stop_pair};
use crate::runtime::{
    Board, Compute, Notifier, RestartPolicy, RestartRequest, ScanDesk, Supervisor, SupervisorEnd,
    SupervisorOptions, supervisor_channel, tell_switched,
};
use crate::store::{Closer, HostOptions, INDEXED_BY, RetryPolicy, Store, StoreOptions};
use agents::{AgentParts, plans};
use carriers::Carriers;
pub(crate) use copy::{StoreCopy, copy_store};
pub(crate) use database::{DatabaseAccess, database};
pub(crate) use network::{listen_hint, tls};

/// How long the store may take to write what it was handed, at the end.
const CLOSE: Duration = Duration::from_secs(10);

/// Threads for work that blocks or computes, at least.
pub(super) const COMPUTE_MIN: usize = 2;

/// Runs the daemon until it is told to stop. `chosen`: the config file, and why it is that one.
///
/// # Errors
/// It cannot start: the store, the socket, an address. The error says what to do.
pub(crate) fn run(loaded: Loaded, chosen: &str) -> Result<Exit, Fatal> {
    // Whatever makes a file in `data_dir`, SQLite and the index among them, makes it for this user alone.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    network::raise_file_limit();
    // It ends with this function, after everything that goes by it.
    let _ticker = awake::tick().map_err(|e| Fatal::new(Exit::Internal, e))?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.clamp(2, 8))
        .max_blocking_threads(16)
        .thread_keep_alive(Duration::from_secs(2))
        .thread_name("docent")
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(Exit::Internal, e))?;
    let result = runtime.block_on(serve(loaded, chosen, threads));
    // A thread that cannot be stopped must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(loaded: Loaded, chosen: &str, threads: usize) -> Result<Exit, Fatal> {
    let settings = loaded.show().to_vec();
    let config = loaded.config;
    let began = std::time::SystemTime::now();
    let mut signals = shutdown::signals().map_err(|e| Fatal::new(Exit::Internal, e))?;
    let on = enabled(&config);
    let notifier = notifier(&config);
    config::trusted(&config.data_dir).map_err(|cause| {
        let remedy = cause.remedy();
        Fatal::new(Exit::Permission, cause).hint(format!("data_dir is not safe; {remedy}"))
    })?;
    let host = host_options(&config, &settings);
    let opening = open(&config, store_options(&config, &on), host);
    let (store, closer) = notifier.extend_while(opening).await?;
    let behind = switched(&store, &config, &on).await;
    let sockets = network::Sockets::bind(&config).await?;
    let tokens = http::Tokens::load(&store)
        .await
        .map_err(|e| Fatal::new(Exit::Data, e))?;
    // A start that was refused before this was no run.
    last_run::tell(&store);
    let recorder = last_run::record(&config.data_dir);
    let (supervisor_handle, requests) = supervisor_channel();
    let carriers = Carriers::start(&config, &store);
    let parts = AgentParts {
        board: Board::new(&on),
        searcher: Searcher::new(store.clone()),
        desk: ScanDesk::default(),
        compute: Compute::new(threads.max(COMPUTE_MIN)),
        threads,
        supervisor: supervisor_handle,
        monitor: carriers.monitor(),
        notifier,
        redis: carriers.redis_facts(&config),
        recorder,
        on,
        store,
        config,
        settings,
    };
    let stop_serving = CancellationToken::new();
    let mut listeners = listen(&parts, sockets, behind, tokens, &stop_serving);
    tell_started(&parts.config, chosen);
    let ready = tokio::select! {
        ready = carriers.ready() => ready,
        stopped = terminated(&mut signals) => Err(stopped),
    };
    let lived = match ready {
        Ok(()) => {
            tracing::info!(
                carrier = parts.monitor.active().as_str(),
                why = parts.monitor.why(),
                "carrying events"
            );
            supervise(&parts, &carriers, Incoming { requests, signals }).await
        }
        Err(fatal) => Err(fatal),
    };
    let searcher = parts.searcher.clone();
    last_run::end(parts.recorder.as_ref());
    drop(parts);
    carriers.close().await;
    let closed = close(searcher, closer, stop_serving, &mut listeners).await;
    let (summary, forced) = lived?;
    Ok(verdict(&summary, forced, closed, began))
}

/// Opens the store; bringing an older one forward may take long.
#[expect(clippy::disallowed_methods, reason = "awaited right here")]
async fn open(
    config: &Config,
    options: StoreOptions,
    host: HostOptions,
) -> Result<(Store, Closer), Fatal> {
    let data_dir = config.data_dir.clone();
    let database = database(config).map_err(|error| Fatal::new(Exit::Config, error))?;
    let opening = tokio::task::spawn_blocking(move || match database {
        None => Store::open(&data_dir, options),
        Some(database) => Store::open_database(&data_dir, database, options, host),
    });
    let opened = opening.await.map_err(|e| Fatal::new(Exit::Internal, e))?;
    Ok(opened?)
}

/// Tells which agents were turned on or off since the last start; gives whether some have to catch up.
async fn switched(store: &Store, config: &Config, on: &[AgentName]) -> bool {
    let names: Vec<String> = config.collections.iter().map(|c| c.name.clone()).collect();
    let told = tell_switched(store, on, &config.instance, &names).await;
    told.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot record which agents were turned on or off; the next start will");
        false
    })
}

/// Waits for the signal that ends a start before the agents have begun: nothing is pending then.
async fn terminated(signals: &mut signal_hook_tokio::Signals) -> Fatal {
    while let Some(signal) = signals.next().await {
        if shutdown::request(signal) == shutdown::Request::Terminate {
            return Fatal::silent(Exit::Clean);
        }
    }
    std::future::pending().await
}

/// What comes in while the agents run.
struct Incoming {
    requests: mpsc::Receiver<RestartRequest>,
    signals: signal_hook_tokio::Signals,
}

/// Runs the supervisor, until a signal ends it.
async fn supervise(
    parts: &AgentParts,
    carriers: &Carriers,
    incoming: Incoming,
) -> Result<(SupervisorEnd, bool), Fatal> {
    let config = &parts.config;
    let plans = plans(parts, carriers)?;
    let policy = RestartPolicy {
        restarts: config.supervisor.restarts as usize,
        window: config.supervisor.restart_window,
        backoff_min: config.supervisor.restart_backoff_min,
        backoff_max: config.supervisor.restart_backoff_max,
    };
    let options = SupervisorOptions {
        restarts: policy,
        instance: config.instance.clone(),
        recorder: parts.recorder.clone(),
    };
    let supervisor = Supervisor::new(
        parts.store.clone(),
        parts.board.clone(),
        options,
        incoming.requests,
        plans,
    );
    let (switch, stop) = stop_pair();
    let ended = CancellationToken::new();
    let signals_handle = incoming.signals.handle();
    let signals = Box::pin(incoming.signals.map(shutdown::request));
    let conductor = conduct(signals, &switch, config.shutdown_timeout, ended.clone());
    let told = stop.clone();
    let notifying = parts
        .notifier
        .report(&parts.store, &parts.board, &told, &ended);
    let work = async {
        let summary = supervisor.run(stop).await;
        ended.cancel();
        summary
    };
    let (forced, (), summary) = tokio::join!(conductor, notifying, work);
    signals_handle.close();
    Ok((summary, forced))
}

/// The way to the service manager. One that cannot be reached ends a start of its own accord, by its own deadline.
fn notifier(config: &Config) -> Notifier {
    let notifier = Notifier::from_environment().unwrap_or_else(|error| {
        tracing::error!(%error, "cannot reach the service manager that $NOTIFY_SOCKET names");
        Notifier::default()
    });
    let (unit, known) = (notifier.watchdog(), config.supervisor.watchdog);
    if let Some(unit) = unit.filter(|unit| *unit < known) {
        tracing::warn!(unit = ?unit, config = ?known, "WatchdogSec of the unit is below supervisor.watchdog; make them equal, or an agent that stalls may end the whole process");
    }
    notifier
}

fn enabled(config: &Config) -> Vec<AgentName> {
    let on = |name: &str| {
        config
            .agents
            .all()
            .iter()
            .any(|(n, agent)| *n == name && agent.enabled)
    };
    AgentName::ALL
        .iter()
        .copied()
        .filter(|name| on(name.as_str()))
        .collect()
}

fn store_options(config: &Config, on: &[AgentName]) -> StoreOptions {
    StoreOptions {
        retry: RetryPolicy {
            max_retries: config.redis.max_retries,
            backoff_min: config.delivery.backoff_min,
            backoff_max: config.delivery.backoff_max,
        },
        event_size: size(config.delivery.event_size),
        ledger_keep: config.delivery.ledger_keep,
        ledger_keep_events: config.delivery.ledger_keep_events,
        versions: config.documents.versions,
        agents: on.to_vec(),
    }
}

/// Says what has started. `chosen`: the config file, and why it is that one.
fn tell_started(config: &Config, chosen: &str) {
    tracing::info!(name: "docent.started", version = env!("CARGO_PKG_VERSION"), instance = config.instance,
        config = chosen, data_dir = %config.data_dir.display(), socket = %config.socket_path().display(), "started");
    // On a database another host may watch them.
    if config.collections.is_empty() && config.store.url.is_empty() {
        tracing::warn!(
            "docent watches no documents: no [[collection]] is configured; add one with a name and a path"
        );
    }
}

/// What the keys begin with of settings that belong to the store, and not to a host: all hosts have the same.
const OF_THE_STORE: &[&str] = &[
    "bus.mode",
    "redis.max_retries",
    "delivery.backoff_",
    "delivery.ledger_keep",
    "delivery.event_size",
    "documents.versions",
    "documents.file_",
    "documents.secrets",
    "index.chunk_",
    "audit.retention",
    "scheduler.timezone",
    "jobs.",
    "alert",
];

/// What this host says of itself to others on the same store.
pub(crate) fn host_options(config: &Config, settings: &[ShownSetting]) -> HostOptions {
    let is_of_store = |key: &str| {
        let switches =
            key.starts_with("agents.") && (key.ends_with(".enabled") || key.ends_with(".carrier"));
        switches || OF_THE_STORE.iter().any(|of| key.starts_with(of))
    };
    let of_store = settings.iter().filter(|setting| is_of_store(&setting.key));
    let of_store = of_store.map(|setting| (setting.key.clone(), setting.value.clone()));
    let embedder = EmbeddingTable::embedded().identity();
    let indexed_by = format!("embedder {embedder}, chunking {CHUNKING}");
    let collections = config.collections.iter();
    HostOptions {
        instance: config.instance.clone(),
        version: env!("CARGO_PKG_VERSION"),
        collections: collections.map(|c| c.name.clone()).collect(),
        settings: of_store
            .chain([(INDEXED_BY.to_owned(), indexed_by)])
            .collect(),
        takes: carriers::uses_redis(config),
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Serves the control socket, and TCP if that is on.
#[expect(clippy::disallowed_methods, reason = "joined by close")]
fn listen(
    parts: &AgentParts,
    sockets: network::Sockets,
    behind: bool,
    tokens: http::Tokens,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let config = &parts.config;
    let network::Sockets { control, network } = sockets;
    let timeouts = http::ClientTimeouts::default();
    let info = http::Info {
        data_dir: config.data_dir.clone(),
        instance: config.instance.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        embedder: EmbeddingTable::embedded().identity().to_owned(),
        started_at: Millis::now(),
        limits: options::limits(config),
        roots: options::roots(config),
        known: options::known(config),
        metrics: config.http.metrics != MetricsAccess::Off,
        dashboard: network
            .as_ref()
            .and_then(|network| network.served(&config.http.public_url)),
        requests: config.control.requests,
        body: config.control.body,
        event_size: config.delivery.event_size,
        timeouts,
        settings: parts.settings.clone(),
    };
    let state = http::State {
        store: parts.store.clone(),
        searcher: Arc::new(parts.searcher.clone()),
        board: parts.board.clone(),
        scans: parts.desk.clone(),
        carriers: parts.monitor.clone(),
        redis: parts.redis.clone(),
        supervisor: parts.supervisor.clone(),
        info: Arc::new(info),
        stop: stop.clone(),
        memory: Arc::new(http::Memory::new(behind)),
        overviews: Arc::default(),
        // Threads of their own: what agents compute is not to keep a reader waiting.
        compute: Compute::new(COMPUTE_MIN),
        comparing: Compute::new(COMPUTE_MIN),
        tokens: Arc::new(tokens),
        sessions: Arc::default(),
    };
    let mut listeners = JoinSet::new();
    let (tokens, store) = (state.tokens.clone(), state.store.clone());
    listeners.spawn(tokens.follow(store, stop.clone()));
    listeners.spawn(http::observe(state.clone(), stop.clone()));
    listeners.spawn(http::answer_restarts(state.clone(), stop.clone()));
    listeners.spawn(http::serve(
        control,
        http::router(state.clone()),
        stop.clone(),
        timeouts,
    ));
    if let Some(network) = network {
        let loopback = config.http.listen.is_some_and(|at| at.ip().is_loopback());
        let readers = match config.http.metrics {
            MetricsAccess::Loopback if !loopback => MetricsReaders::TokenHolders,
            MetricsAccess::Loopback | MetricsAccess::Open => MetricsReaders::Everybody,
            MetricsAccess::Off => MetricsReaders::Nobody,
        };
        let router = http::tcp_router(state, &config.http.public_url, readers);
        listeners.spawn(http::serve(network, router, stop.clone(), timeouts));
    }
    listeners
}

/// Socket and search last of all, then the store. False: the store did not close in time.
#[expect(
    clippy::disallowed_methods,
    reason = "joining the writer blocks; bounded by a deadline"
)]
async fn close(
    searcher: Searcher,
    closer: Closer,
    stop_serving: CancellationToken,
    listeners: &mut JoinSet<()>,
) -> bool {
    stop_serving.cancel();
    while listeners.join_next().await.is_some() {}
    searcher.close();
    drop(searcher);
    let closing = tokio::task::spawn_blocking(move || closer.close());
    matches!(awake::timeout(CLOSE, closing).await, Ok(Ok(true)))
}

/// How Redis is used by this config; `falls_back`: the embedded carrier takes over without it.
pub(crate) fn redis_settings(
    config: &Config,
    falls_back: bool,
) -> crate::bus::redis::RedisSettings {
    carriers::settings(config, falls_back)
}

/// How the process ends.
fn verdict(
    summary: &SupervisorEnd,
    forced: bool,
    closed: bool,
    began: std::time::SystemTime,
) -> Exit {
    let up = began.elapsed().unwrap_or_default();
    if summary.gave_up {
        return Exit::Internal;
    }
    if !closed {
        tracing::error!(deadline = ?CLOSE, "the store did not close in time; its last writes may be missing, and that work is still owed");
    }
    if summary.stragglers.is_empty() && !forced && closed {
        tracing::info!(name: "docent.stopped", up = ?up, "stopped");
        return Exit::Clean;
    }
    tracing::warn!(
        name: "docent.stopped",
        unfinished = summary.stragglers.join("; "),
        "stopped before all work was finished; it is still owed, and the next start continues with it"
    );
    Exit::Temporary
}
