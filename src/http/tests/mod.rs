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
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bus::{CarrierChoice, Monitor};
use crate::event::{AgentName, Event, EventId, EventType, NewEvent, Seq, Subject};
use crate::index::IndexHit;
use crate::runtime::AgentState;
use crate::store::tests::{options, settle_key, write};
use crate::store::{Capture, Closer, Digest, Effect, FileStat, Outcome, Settlement};

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
            board.update(*agent, |a| a.state = AgentState::Running);
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
            comparing: Compute::new(1),
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

    /// What serves on the socket, which is there from now on, until the daemon stops.
    async fn server(&self) -> impl Future<Output = ()> {
        let listener = bind(&self.socket, "").await.unwrap();
        serve(
            listener,
            router(self.state.clone()),
            self.state.stop.clone(),
            self.state.info.timeouts,
        )
    }

    /// Serves while `test` runs; both within a deadline.
    async fn serving<T>(&self, test: impl Future<Output = T>) -> T {
        let server = self.server().await;
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
        self.event(published.id).await
    }

    async fn event(&self, id: EventId) -> Event {
        let found = self.state.store.event(id).await.unwrap();
        found.unwrap().0
    }

    /// Settles a delivery as the runner would.
    async fn settle(&self, event: &Event, agent: AgentName, settlement: Settlement) {
        let settled = settle_key(&self.state.store, event.key(agent), settlement);
        settled.await.unwrap();
    }

    /// A delivery fails for good.
    async fn fails(&self, event: &Event, agent: AgentName, why: &str) {
        let failure = Settlement::Permanent(why.to_owned());
        self.settle(event, agent, failure).await;
    }

    async fn write(&self, effects: Vec<Effect>, events: Vec<NewEvent>) {
        write(&self.state.store, effects, events).await;
    }

    fn agent_is(&self, agent: AgentName, state: AgentState) {
        self.state.board.update(agent, |a| a.state = state);
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.client.get(&Target::new(path)).await.unwrap()
    }

    /// Why this is not answered.
    async fn refused(&self, target: &Target) -> wire::Problem {
        problem(self.client.get::<Value>(target).await.unwrap_err())
    }

    /// Every line of an answer that ends.
    async fn all(&self, target: &Target) -> Vec<Value> {
        let mut lines = self.client.lines(target).await.unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(serde_json::from_slice(&line).unwrap());
        }
        all
    }

    async fn status_of(&self, method: Method, path: &str) -> u16 {
        let response = self.raw(method, path, Bytes::new()).await;
        response.status().as_u16()
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
            let bytes = body.collect().await.unwrap().to_bytes();
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

/// What is answered to a request over TCP that comes from this address, without a connection.
async fn ask(
    router: &axum::Router,
    from: [u8; 4],
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Body> {
    let ends = Ends {
        remote: SocketAddr::from((from, 4711)),
        local: SocketAddr::from(([127, 0, 0, 1], 9870)),
        tls: false,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:9870")
        .extension(Peer {
            uid: None,
            ends: Some(ends),
        });
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let service = TowerToHyperService::new(router.clone());
    let called = timeout(Duration::from_secs(30), service.call(request));
    called.await.expect("an answer begins").unwrap()
}

async fn text(answer: Response<Body>) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
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

/// A file of `docs` with its bytes.
fn captured(path: &[u8], bytes: &[u8]) -> Effect {
    Effect::Capture(Capture {
        collection: "docs".to_owned(),
        path: path.to_vec(),
        digest: Digest::of(bytes),
        stat: FileStat::default(),
        packed: Some(crate::store::pack(bytes)),
        previous: None,
    })
}

/// An answer with these hits, listed as one.
fn answer(hits: Vec<IndexHit>) -> Answer {
    Answer {
        listed: hits.len(),
        hits,
        about: true,
        nearest: Vec::new(),
        legs: vec!["keyword"],
        corrected: Vec::new(),
        cut: false,
        without_store: false,
        took: Duration::from_millis(2),
    }
}

fn head(daemon: &Daemon) -> Seq {
    daemon.state.store.head().borrow().seq
}
