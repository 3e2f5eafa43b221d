//! The API: HTTP over a Unix socket, for the command line and for whoever may read the socket, and over TCP.
//!
//! - Every answer on the control socket names the daemon's `data_dir` in a header, so that a client knows whom it asked.
//! - An answer that is an error is a [`wire::Problem`]; an answer that may be long is one JSON object a line, made while
//!   it is sent.
//! - **BOUND-1** Requests at once, bodies, lines and pages have limits; what is over a limit is told so.
//! - **READ-1** Search answers whatever carries events.
//!
//! [`router()`] belongs on the control socket alone: whoever may open that may do everything. [`tcp_router`] serves the same to
//! those who have a token.

mod access;
mod acted;
mod agents;
mod alerts;
mod audit;
mod checkpoint;
mod cite;
mod client;
mod dashboard;
mod dead;
mod documents;
mod elsewhere;
mod events;
mod figures;
mod follow;
mod fresh;
mod freshness;
mod health;
mod history;
mod ingress;
mod lines;
mod listener;
mod mcp;
mod metrics;
mod openapi;
mod operate;
mod overview;
mod page;
mod params;
pub(crate) mod percent;
mod probes;
mod problem;
mod publish;
mod read;
mod reference;
mod report;
mod restarts;
mod router;
mod routes;
mod same;
mod scan;
mod search;
mod server;
mod socket;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod token;
mod unheard;
mod wait;
pub(crate) mod wire;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use access::{Sessions, Tokens};
pub use client::{Client, Target};
pub(crate) use client::{ClientError, LineStream, NetworkError, tls_config};
pub(crate) use dashboard::Served;
pub(crate) use freshness::Memory;
pub(crate) use listener::NetworkListener;
pub(crate) use mcp::{Ask, Server as McpServer};
pub(crate) use overview::{Overviews, observe};
pub(crate) use params::{Ends, Peer};
pub(crate) use restarts::answer_restarts;
pub(crate) use router::{MetricsReaders, router, tcp_router};
pub(crate) use server::{ClientTimeouts, serve};
pub(crate) use socket::{BindError, ControlSocket, bind};
pub(crate) use tls::{Tls, TlsError};

use access::Caller;

use crate::bus::Monitor;
use crate::config::ShownSetting;
use crate::event::{Known, Millis};
use crate::health::{Limits, RedisLook};
use crate::index::{Answer, FollowerState, SearchError, SearchRequest, Searcher};
use crate::runtime::{Board, Boxed, Compute, Phase, ScanDesk, SupervisorHandle};
use crate::store::Store;

/// What the API asks of the index.
pub(crate) trait Search: Send + Sync {
    fn search(&self, request: SearchRequest) -> Boxed<'_, Result<Answer, SearchError>>;

    /// How far the index has followed the store.
    fn state(&self) -> watch::Receiver<FollowerState>;

    /// Whether it can answer while the store is away.
    fn can_do_without_store(&self) -> bool;
}

impl Search for Searcher {
    fn search(&self, request: SearchRequest) -> Boxed<'_, Result<Answer, SearchError>> {
        Box::pin(Searcher::search(self, request))
    }

    fn state(&self) -> watch::Receiver<FollowerState> {
        Searcher::state(self)
    }

    fn can_do_without_store(&self) -> bool {
        Searcher::can_do_without_store(self)
    }
}

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    /// Where the store is.
    pub data_dir: PathBuf,
    pub instance: String,
    pub version: String,
    /// The identity of the embedder.
    pub embedder: String,
    /// When the daemon started.
    pub started_at: Millis,
    /// What is too much; below its free space nothing is captured.
    pub limits: Limits,
    pub roots: BTreeMap<String, PathBuf>,
    /// The names that events may be about.
    pub known: Known,
    /// Whether there is `/metrics`.
    pub metrics: bool,
    /// Where the dashboard is served, if it is.
    pub dashboard: Option<Served>,
    /// Requests served at once.
    pub requests: usize,
    /// Bytes of the largest body.
    pub body: u64,
    /// Bytes of the largest event.
    pub event_size: u64,
    /// How long clients may keep the server waiting.
    pub timeouts: ClientTimeouts,
    /// The config that the daemon runs with, and where each value came from.
    pub settings: Vec<ShownSetting>,
}

/// What the API works with. Cheap to clone.
///
/// It holds the store: the store's `Closer` can be waited for only when the router is gone.
#[derive(Clone)]
pub(crate) struct State {
    pub store: Store,
    pub searcher: Arc<dyn Search>,
    /// What is known of the agents.
    pub board: Board,
    /// Where scans are asked for.
    pub scans: ScanDesk,
    pub carriers: Monitor,
    pub redis: RedisLook,
    pub supervisor: SupervisorHandle,
    /// What does not change.
    pub info: Arc<Info>,
    /// Ends the answers that would go on for ever; the token that [`serve`] is stopped by.
    pub stop: CancellationToken,
    /// What freshness remembers between requests.
    pub memory: Arc<Memory>,
    /// What is seen by all who look at everything.
    pub overviews: Arc<Overviews>,
    /// Where documents are read and compared.
    pub compute: Compute,
    /// For looks at files that may hang.
    pub comparing: Compute,
    /// Who may use the API over TCP.
    pub tokens: Arc<Tokens>,
    /// Who is logged in to the dashboard.
    pub sessions: Arc<Sessions>,
}

impl State {
    /// Waits until the daemon drains or the server stops.
    async fn stopping(&self) {
        let mut phase = self.board.phase();
        tokio::select! {
            // The board outlives this call, so waiting cannot fail.
            draining = phase.wait_for(|phase| *phase == Phase::Draining) => drop(draining),
            () = self.stop.cancelled() => {}
        }
    }

    /// Whether the daemon drains.
    fn is_draining(&self) -> bool {
        *self.board.phase().borrow() == Phase::Draining
    }

    /// How far the index has followed.
    fn follower(&self) -> FollowerState {
        self.searcher.state().borrow().clone()
    }

    /// The names that there are: those of the config, and the collections of other hosts on the same store.
    fn known(&self) -> Cow<'_, Known> {
        let known = &self.info.known;
        known.and(&self.store.leases().known_collections())
    }

    /// That there is a collection of this name, and for this caller.
    fn known_collection(&self, caller: &Caller, collection: &str) -> Result<(), wire::Problem> {
        caller
            .known(&self.known())
            .collection(collection)
            .map_err(|e| wire::Problem::new(wire::ProblemKind::NotFound, e.to_string()))
    }
}

/// A counter that may, for a moment, be behind what it counts.
fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
