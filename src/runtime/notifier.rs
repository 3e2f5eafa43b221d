//! What the service manager is told, by the protocol of `sd_notify(3)`: ready, stopping, how it stands, and that it makes progress.
//!
//! **WATCH-1** A ping says that the supervisor's loop and every task of every agent make progress, never just that a timer ran. While
//! one of them stands still there is none, and the service manager ends the process. Where there is no service manager nothing
//! happens.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shutdown::Stop;
use super::status::{AgentState, Board, Phase};
use super::watched::Still;
use crate::event::AgentName;
use crate::log_once::LogOnce;
use crate::store::Store;

/// How often it is looked whether there is something to tell, at most; sooner where the watchdog is impatient.
const LOOK: Duration = Duration::from_secs(1);

/// Between two status lines, at least.
const STATUS: Duration = Duration::from_secs(1);

/// How long counting the documents for a status line may take; then the line goes without.
const COUNT: Duration = Duration::from_secs(1);
/// Between two such counts, at least.
const COUNTING: Duration = Duration::from_secs(10);

/// How often it is asked for more time while a start takes long, for how much each time, and until when at most: opening a store
/// of an earlier docent brings it forward, and how long that takes nobody knows before.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
const EXTEND_BY: u32 = 60_000_000; // microseconds
const EXTEND_UNTIL: Duration = Duration::from_secs(3600);

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    /// Never waits: a service manager that hangs must not hold anything up.
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The way that the environment names; none if it names none.
    ///
    /// # Errors
    /// It names one that cannot be reached.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else {
            return Ok(Notifier::default());
        };
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        Notifier::at(path.as_bytes(), watchdog)
    }

    fn at(path: &[u8], watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match path.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        Ok(Notifier {
            socket: Some(socket),
            watchdog,
        })
    }

    /// After how long without a ping the service manager ends this process.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Asks for more time for the start again and again until `work`, which it waits for, has ended.
    pub(crate) async fn extend_while<T>(&self, work: impl Future<Output = T>) -> T {
        self.extend(EXTEND_EVERY, work).await
    }

    async fn extend<T>(&self, every: Duration, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let began = Instant::now();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(every), if began.elapsed() < EXTEND_UNTIL => {
                    let status = NotifyState::Status("starting: opening the store");
                    self.send(&[NotifyState::ExtendTimeoutUsec(EXTEND_BY), status]);
                }
            }
        }
    }

    /// Tells what there is to tell, until `ended`.
    pub(crate) async fn report(
        &self,
        store: &Store,
        board: &Board,
        stop: &Stop,
        ended: &CancellationToken,
    ) {
        if self.socket.is_none() {
            return;
        }
        let telling = async { tokio::join!(self.tell(board, stop), self.describe(store, board)) };
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            _ = telling => {}
        }
    }

    /// Phases and pings. Waits for nothing but a change and the time.
    async fn tell(&self, board: &Board, stop: &Stop) {
        let look = self.watchdog.map_or(LOOK, |limit| LOOK.min(limit / 8));
        let mut phases = board.phase();
        let mut told = ManagerState::default();
        loop {
            told.stopping =
                told.stopping || (stop.draining() && self.send(&[NotifyState::Stopping]));
            let running = *phases.borrow_and_update() == Phase::Running;
            told.ready = told.ready || (running && self.send(&[NotifyState::Ready]));
            self.ping(board, &mut told);
            tokio::select! {
                () = stop.changed() => {}
                Ok(()) = phases.changed() => {}
                () = tokio::time::sleep(look) => {}
            }
        }
    }

    /// Pings if it is time to and everything makes progress; looks again soon if something does not.
    fn ping(&self, board: &Board, told: &mut ManagerState) {
        let Some(limit) = self.watchdog else { return };
        // A look early rather than late: half of the limit is what the protocol asks for.
        if told
            .pinged
            .is_some_and(|at| at.elapsed() + LOOK.min(limit / 8) < limit / 2)
        {
            return;
        }
        let still = board.still();
        if still.is_none() && self.send(&[NotifyState::Watchdog]) {
            told.pinged = Some(Instant::now());
        }
        told.still(still, limit);
    }

    /// The status line, whenever it has changed.
    async fn describe(&self, store: &Store, board: &Board) {
        let mut said = String::new();
        let (mut documents, mut counted, mut count_at) = (None, None, Instant::now());
        loop {
            let next = Instant::now() + STATUS;
            let commits = Some(store.figures().file_commits.get());
            // What other hosts commit is not counted here.
            let may_differ = counted != commits || store.leases().are_shared();
            if may_differ && Instant::now() >= count_at {
                let counts = tokio::time::timeout(COUNT, store.document_counts()).await;
                let counts = counts.ok().and_then(Result::ok);
                documents = counts.map(|(stored, _)| stored);
                counted = documents.and(commits);
                count_at = Instant::now() + COUNTING;
            }
            let line = status(store, board, documents);
            if line != said && self.send(&[NotifyState::Status(&line)]) {
                said = line;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// True: it was taken. What was not is told again with the next look.
    fn send(&self, states: &[NotifyState<'_>]) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
        match socket.send(lines.join("\n").as_bytes()) {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "the service manager does not accept notifications");
                false
            }
        }
    }
}

/// What the service manager knows.
#[derive(Debug, Default)]
struct ManagerState {
    ready: bool,
    stopping: bool,
    pinged: Option<Instant>,
    /// There are no pings.
    silent: LogOnce<bool>,
}

impl ManagerState {
    /// Says in the log, once, that there are no pings and why.
    fn still(&mut self, still: Option<Still>, limit: Duration) {
        match still {
            Some(Still { whose, task, idle }) if self.silent.is_new(true) => {
                tracing::error!(name: "docent.stands_still", agent = whose, task, idle = ?idle, watchdog = ?limit,
                    "a task makes no progress; if that continues, the service manager restarts this process");
            }
            None if self.silent.is_new(false) => {
                tracing::info!("every task makes progress again");
            }
            _ => {}
        }
    }
}

/// How it stands, in one line.
fn status(store: &Store, board: &Board, documents: Option<u64>) -> String {
    match *board.phase().borrow() {
        Phase::Starting => return "starting".to_owned(),
        Phase::Draining => return "stopping: finishing what is pending".to_owned(),
        Phase::Running => {}
    }
    let (up, on, parked) = agents(board);
    let owed: i64 = AgentName::ALL
        .iter()
        .map(|name| store.counts(*name).owed)
        .sum();
    let mut line = format!("{up}/{on} agents, {owed} owed");
    if let Some(documents) = documents {
        line.push_str(&format!(", {documents} documents"));
    }
    if !parked.is_empty() {
        line.push_str(&format!("; parked: {}", parked.join(", ")));
    }
    line
}

/// How many agents are at work, how many are on, and which are parked.
fn agents(board: &Board) -> (usize, usize, Vec<&'static str>) {
    let agents = board.agents();
    let agents = agents.borrow();
    let count = |is: fn(AgentState) -> bool| agents.iter().filter(|a| is(a.state)).count();
    let parked = agents.iter().filter(|a| a.state == AgentState::Parked);
    (
        count(|state| state == AgentState::Running),
        count(|state| state != AgentState::Off),
        parked.map(|a| a.name.as_str()).collect(),
    )
}

#[cfg(test)]
mod tests;
