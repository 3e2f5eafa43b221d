//! The API on a real socket with a real store; the index and the agents are played.

mod access;
mod api;
mod follow;
mod further;
mod lists;
mod openapi;
mod overview;
mod pages;
mod publish;
mod wait;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bus::{CarrierChoice, Monitor};
use crate::event::{AgentName, Event, EventType, NewEvent, Seq, Subject};
use crate::store::{Closer, Incarnation, Outcome, RetryPolicy, Settlement, StoreOptions};

/// A search that gives what it was told to give.
struct PlayedSearch {
    state: watch::Sender<FollowerState>,
    answer: Mutex<Result<Answer, ()>>,
    asked: Mutex<Vec<SearchRequest>>,
}

impl Search for PlayedSearch {
    fn search(&self, request: SearchRequest) -> Boxed<'_, Result<Answer, SearchError>> {
        self.asked.lock().unwrap().push(request);
        let answer = self
            .answer
            .lock()
            .unwrap()
            .clone()
            .map_err(|()| SearchError::NotReady);
        Box::pin(async move { answer })
    }

    fn state(&self) -> watch::Receiver<FollowerState> {
        self.state.subscribe()
    }

    fn can_do_without_store(&self) -> bool {
        false
    }
}

struct Daemon {
    state: State,
    search: Arc<PlayedSearch>,
    client: Client,
    socket: std::path::PathBuf,
    /// Looks how it stands.
    _observer: tokio::task::JoinSet<()>,
    _folder: tempfile::TempDir,
    _closer: Closer,
}

fn options() -> StoreOptions {
    StoreOptions {
        retry: RetryPolicy {
            max_retries: 0,
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(1),
        },
        event_size: 64 * 1024,
        ledger_keep: Duration::from_secs(3600),
        ledger_keep_events: 100_000,
        versions: 20,
        agents: AgentName::ALL.to_vec(),
    }
}

/// What does not change, of a daemon that serves so many requests at once.
pub(super) fn info(requests: usize) -> Info {
    Info {
        data_dir: PathBuf::new(),
        instance: "host".to_owned(),
        version: "0.1.0".to_owned(),
        embedder: "table".to_owned(),
        started_at: Millis::now(),
        limits: Limits {
            free_space: 0,
            ..Limits::default()
        },
        roots: BTreeMap::new(),
        known: Known {
            collections: vec!["docs".to_owned()],
            jobs: vec!["verify".to_owned()],
        },
        metrics: true,
        dashboard: None,
        requests,
        body: 1024 * 1024,
        event_size: 64 * 1024,
        timeouts: ClientTimeouts::default(),
        settings: Vec::new(),
    }
}

impl Daemon {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("a data dir");
        let (store, closer) = Store::open(&data_dir, options()).unwrap();
        let board = Board::new(AgentName::ALL);
        board.enter(Phase::Running);
        for agent in AgentName::ALL {
            board.update(*agent, |a| a.state = crate::runtime::AgentState::Running);
        }
        let ready = FollowerState {
            ready: true,
            ..FollowerState::default()
        };
        let search = Arc::new(PlayedSearch {
            state: watch::Sender::new(ready),
            answer: Mutex::new(Err(())),
            asked: Mutex::default(),
        });
        let info = Info {
            data_dir: data_dir.clone(),
            roots: BTreeMap::from([("docs".to_owned(), folder.path().join("docs"))]),
            ..info(4)
        };
        let socket = data_dir.join("docent.sock");
        let state = State {
            carriers: Monitor::new(
                CarrierChoice::Embedded,
                Vec::new(),
                None,
                watch::channel(None).1,
            ),
            redis: Arc::new(|| None),
            store,
            searcher: search.clone(),
            board,
            scans: ScanDesk::default(),
            supervisor: crate::runtime::supervisor_channel().0,
            info: Arc::new(info),
            stop: CancellationToken::new(),
            memory: Arc::default(),
            overviews: Arc::default(),
            compute: Compute::new(1),
            tokens: Arc::default(),
            sessions: Arc::default(),
        };
        let mut observer = tokio::task::JoinSet::new();
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        observer.spawn(observe(state.clone(), state.stop.clone()));
        Daemon {
            state,
            search,
            client: Client::new(&socket, &data_dir),
            socket,
            _observer: observer,
            _folder: folder,
            _closer: closer,
        }
    }

    /// Serves while `test` runs; both within a deadline.
    async fn serving<T>(&self, test: impl Future<Output = T>) -> T {
        let listener = bind(&self.socket, "").await.unwrap();
        let server = serve(
            listener,
            router(self.state.clone()),
            self.state.stop.clone(),
            self.state.info.timeouts,
        );
        let both = async {
            tokio::select! {
                () = server => panic!("the server ended before the test"),
                result = test => result,
            }
        };
        timeout(Duration::from_secs(30), both)
            .await
            .expect("within the deadline")
    }

    async fn publish(&self, kind: EventType, subject: &str) -> Event {
        let subject = Subject::parse(subject).unwrap();
        let new = NewEvent::root(kind, "test", subject, json!({}));
        let published = self.state.store.publish(new).await.unwrap();
        self.state
            .store
            .event(published.id)
            .await
            .unwrap()
            .unwrap()
            .0
    }

    /// Settles a delivery as the runner would.
    async fn settle(&self, event: &Event, agent: AgentName, settlement: Settlement) {
        let fence = Incarnation::begin().flight(crate::store::FlightRight::Free);
        let pending = self
            .state
            .store
            .settle(event.key(agent), fence, settlement, "test")
            .await
            .unwrap();
        pending.committed().await.unwrap();
    }

    /// A raw request; gives status, headers and body.
    async fn raw(&self, method: Method, path: &str, body: Bytes) -> Response<Vec<u8>> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "docent")
            .body(http_body_util::Full::new(body))
            .unwrap();
        let exchange = async {
            let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
            let bytes = http_body_util::BodyExt::collect(body)
                .await
                .unwrap()
                .to_bytes();
            Response::from_parts(parts, bytes.to_vec())
        };
        tokio::pin!(connection, exchange);
        tokio::select! {
            ended = &mut connection => ended.unwrap(),
            response = &mut exchange => return response,
        }
        exchange.await
    }
}

fn problem(error: ClientError) -> wire::Problem {
    match error {
        ClientError::Problem(problem) => problem,
        other => panic!("no problem: {other:?}"),
    }
}

/// Waits for a condition, with a deadline.
async fn until(mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(10), polling)
        .await
        .expect("the condition comes true");
}

async fn all_lines(mut lines: LineStream) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        all.push(serde_json::from_slice(&line).unwrap());
    }
    all
}

fn head(daemon: &Daemon) -> Seq {
    daemon.state.store.head().borrow().seq
}
