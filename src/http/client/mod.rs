//! The client's side of the control socket, and of the API over TCP: one connection a request, driven by the call that waits
//! for it.

mod answer;
mod network;
mod target;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::percent;
use super::wire::{DATA_DIR_HEADER, Problem};
use answer::Driver;
pub(super) use answer::LINE_BYTES_MAX;
pub(crate) use answer::LineStream;
use network::Network;
pub(crate) use network::{NetworkError, tls_config};
pub use target::Target;

/// How long an answer that should come at once may take to begin.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it is tried to connect to a daemon that is busy, and how often.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const CONNECT_AGAIN: Duration = Duration::from_millis(50);
/// Bytes of the largest answer that is not a stream of lines.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a request has no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error("docent does not answer on {path}", path = .path.display())]
    Unreachable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// So many wait to be heard that the kernel takes no more.
    #[error("docent is busy: it accepts no connections on {path}", path = .path.display())]
    Busy { path: PathBuf },
    /// The socket is not for this user.
    #[error("this user may not use the control socket {path}", path = .path.display())]
    Forbidden {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the daemon on {path} works on {found}, not on {wanted}", path = .path.display(), wanted = .wanted.display())]
    Foreign {
        path: PathBuf,
        found: String,
        /// The one that the config names.
        wanted: PathBuf,
    },
    /// Nobody answers at an address.
    #[error("docent does not answer at {url}")]
    Away {
        url: String,
        #[source]
        source: io::Error,
    },
    /// Whoever answers cannot show that it is the one, or does not speak TLS.
    #[error("no secure connection to {url}")]
    Untrusted {
        url: String,
        #[source]
        source: io::Error,
    },
    /// The connection ended in the middle.
    #[error("docent went away in the middle of its answer")]
    Lost(#[source] hyper::Error),
    /// It said that nothing follows.
    #[error("docent has stopped")]
    Ended,
    /// The answer did not begin.
    #[error("docent did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The request cannot be sent.
    #[error("the request is too long; write less")]
    TooLong,
    /// The answer is not what this version of the command line knows.
    #[error(
        "cannot read docent's answer: {0}; are the daemon and this command of the same version?"
    )]
    Unexpected(String),
    /// The daemon says no.
    #[error("{0}")]
    Problem(Problem),
}

/// What a request is sent over.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// The way to one daemon.
#[derive(Debug, Clone)]
pub struct Client(Way);

#[derive(Debug, Clone)]
enum Way {
    Socket(Socket),
    Network(Box<Network>),
}

/// The control socket of the daemon that works on `data_dir`.
#[derive(Debug, Clone)]
struct Socket {
    path: PathBuf,
    data_dir: PathBuf,
}

impl Client {
    /// A client for the daemon that listens on `socket` and works on `data_dir`.
    pub fn new(socket: &Path, data_dir: &Path) -> Self {
        Client(Way::Socket(Socket {
            path: socket.to_owned(),
            data_dir: data_dir.to_owned(),
        }))
    }

    /// A client for the daemon at `url`, with a token. A certificate must be of an authority in `ca_file`, or of one that the
    /// system trusts.
    pub(crate) fn over_network(
        url: &str,
        token: &str,
        ca_file: Option<&Path>,
    ) -> Result<Self, NetworkError> {
        let network = Network::new(url, token, ca_file)?;
        Ok(Client(Way::Network(Box::new(network))))
    }

    /// Asks for `target`.
    pub async fn get<T: DeserializeOwned>(&self, target: &Target) -> Result<T, ClientError> {
        self.get_within(target, Duration::ZERO).await
    }

    /// Asks for `target`, whose answer may begin so much later than others.
    pub async fn get_within<T: DeserializeOwned>(
        &self,
        target: &Target,
        later: Duration,
    ) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, target, Empty::new());
        json(in_time(ANSWER_TIMEOUT + later, answer).await?).await
    }

    /// The whole answer to a request, or to one with a body, as it came.
    pub(crate) async fn whole(
        &self,
        target: &Target,
        body: Option<Bytes>,
    ) -> Result<Vec<u8>, ClientError> {
        let answered = match body {
            Some(body) => self.send(Method::POST, target, Full::new(body)).await?,
            None => in_time(ANSWER_TIMEOUT, self.send(Method::GET, target, Empty::new())).await?,
        };
        collected(answered).await
    }

    /// Asks for `target`, whose answer takes as long as it takes.
    pub async fn get_slowly<T: DeserializeOwned>(&self, target: &Target) -> Result<T, ClientError> {
        json(self.send(Method::GET, target, Empty::new()).await?).await
    }

    /// Has something done, however long it takes.
    pub async fn post<T: DeserializeOwned>(&self, target: &Target) -> Result<T, ClientError> {
        json(self.send(Method::POST, target, Empty::new()).await?).await
    }

    /// Sends a body.
    pub async fn post_body<T: DeserializeOwned>(
        &self,
        target: &Target,
        body: Bytes,
    ) -> Result<T, ClientError> {
        json(self.send(Method::POST, target, Full::new(body)).await?).await
    }

    /// Asks for `target`, which answers in lines.
    pub async fn lines(&self, target: &Target) -> Result<LineStream, ClientError> {
        let answer = self.send(Method::GET, target, Empty::new());
        stream(in_time(ANSWER_TIMEOUT, answer).await?).await
    }

    /// Sends a body while its answer comes in lines.
    pub async fn stream<B>(&self, target: &Target, body: B) -> Result<LineStream, ClientError>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        stream(in_time(ANSWER_TIMEOUT, self.send(Method::POST, target, body)).await?).await
    }

    async fn send<B>(
        &self,
        method: Method,
        target: &Target,
        body: B,
    ) -> Result<Answered, ClientError>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let uri: Uri = target.as_str().parse().map_err(|_| ClientError::TooLong)?;
        let host = match &self.0 {
            Way::Socket(_) => "docent",
            Way::Network(network) => &network.authority,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(hyper::header::HOST, host)
            .body(body)
            .map_err(|e| ClientError::Unexpected(e.to_string()))?;
        let stream: Box<dyn Duplex> = match &self.0 {
            Way::Socket(socket) => {
                let connected = socket.connect().await;
                Box::new(connected.map_err(|e| socket.refused(e))?)
            }
            Way::Network(network) => {
                let bearer = network.bearer.clone();
                let headers = request.headers_mut();
                headers.insert(hyper::header::AUTHORIZATION, bearer);
                network.connect().await?
            }
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ClientError::Lost)?;
        let mut driver = Driver::new(connection);
        let response = driver
            .drive(sender.send_request(request))
            .await
            .map_err(ClientError::Lost)?;
        if let Way::Socket(socket) = &self.0 {
            socket.check_identity(&response)?;
        }
        Ok(Answered { driver, response })
    }
}

impl Socket {
    /// A connection. While so many wait for one that the kernel takes no more, it is tried again for a moment.
    async fn connect(&self) -> io::Result<UnixStream> {
        let until = Instant::now() + CONNECT_PATIENCE;
        loop {
            match UnixStream::connect(&self.path).await {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    sleep(CONNECT_AGAIN).await;
                }
                connected => return connected,
            }
        }
    }

    fn refused(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { path, source },
            io::ErrorKind::WouldBlock => ClientError::Busy { path },
            _ => ClientError::Unreachable { path, source },
        }
    }

    /// The answer must name the `data_dir` that the config names.
    fn check_identity(&self, response: &Response<Incoming>) -> Result<(), ClientError> {
        let found = response
            .headers()
            .get(DATA_DIR_HEADER)
            .and_then(|value| value.to_str().ok());
        match found {
            Some(found) if found == percent::encode(self.data_dir.as_os_str().as_bytes()) => Ok(()),
            Some(found) => Err(ClientError::Foreign {
                path: self.path.clone(),
                found: String::from_utf8_lossy(&percent::decode(found)).into_owned(),
                wanted: self.data_dir.clone(),
            }),
            None => Err(ClientError::Unexpected(
                "it does not name its data_dir".to_owned(),
            )),
        }
    }
}

/// An answer whose body is still to come, over the connection that `driver` drives.
struct Answered {
    driver: Driver,
    response: Response<Incoming>,
}

async fn in_time(
    limit: Duration,
    answer: impl Future<Output = Result<Answered, ClientError>>,
) -> Result<Answered, ClientError> {
    timeout(limit, answer)
        .await
        .unwrap_or(Err(ClientError::Silent(limit)))
}

/// The whole body, as what it should be or as a problem.
async fn json<T: DeserializeOwned>(answered: Answered) -> Result<T, ClientError> {
    let collected = collected(answered).await?;
    serde_json::from_slice(&collected).map_err(|e| ClientError::Unexpected(e.to_string()))
}

/// The whole body, unless it is a problem.
async fn collected(answered: Answered) -> Result<Vec<u8>, ClientError> {
    let Answered {
        mut driver,
        response,
    } = answered;
    let status = response.status();
    let collected = driver.drive(collect(response.into_body())).await?;
    if status.is_success() {
        return Ok(collected);
    }
    let problem = serde_json::from_slice(&collected);
    let unexpected = |e| ClientError::Unexpected(format!("{status}: {e}"));
    Err(problem.map_or_else(unexpected, ClientError::Problem))
}

async fn collect(mut body: Incoming) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(ClientError::Lost)?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::Unexpected("it is too long".to_owned()));
        }
    }
    Ok(bytes)
}

async fn stream(answered: Answered) -> Result<LineStream, ClientError> {
    if !answered.response.status().is_success() {
        // The body of a failure is a problem, never a value.
        return match json::<serde::de::IgnoredAny>(answered).await {
            Ok(_) => Err(ClientError::Unexpected(
                "a failure without a problem".to_owned(),
            )),
            Err(error) => Err(error),
        };
    }
    let body = answered.response.into_body();
    Ok(LineStream::new(answered.driver, body))
}
