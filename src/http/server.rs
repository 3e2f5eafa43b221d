//! Listening and serving. Every connection is polled by [`serve`] itself: it starts no task, so that its end is the end
//! of all of them.

use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Peer;

/// Connections at once. There are more than requests at once, so that one too many is told so.
const CONNECTIONS_MAX: usize = 512;
/// How long a connection may take to send the head of its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long answers under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait after the operating system refused a connection.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Where requests come from.
#[derive(Debug)]
pub enum Listener {
    /// The control socket.
    Unix(UnixListener),
    /// TCP.
    Tcp(TcpListener),
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Listener::Unix(listener)
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener::Tcp(listener)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Peer { uid: Some(uid) }))
            }
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Peer { uid: None }))
            }
        }
    }
}

/// Serves `router` until told to stop; then takes no new connection, and gives the answers under way two seconds.
///
/// A panic in a handler ends its connection and is logged; the others go on.
pub async fn serve(listener: impl Into<Listener>, router: Router, stop: CancellationToken) {
    let listener = listener.into();
    let mut connections = FuturesUnordered::new();
    let mut not_before = Instant::now();
    loop {
        let accept = async {
            sleep_until(not_before).await;
            listener.accept().await
        };
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept, if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => connections.push(connection(stream, peer, router.clone(), stop.clone())),
                Err(error) => {
                    tracing::warn!(%error, "control connection refused by the operating system");
                    not_before = Instant::now() + REFUSED_PAUSE;
                }
            },
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let rest = async { while connections.next().await.is_some() {} };
    if timeout(GRACE, rest).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "control connections cut off at the end"
        );
    }
}

async fn connection(stream: Box<dyn Stream>, peer: Peer, router: Router, stop: CancellationToken) {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        inner.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let until_stopped = async {
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    match AssertUnwindSafe(until_stopped).catch_unwind().await {
        Ok(Ok(())) => {}
        // A client that goes away in the middle is its own affair.
        Ok(Err(error)) => tracing::debug!(%error, "control connection ended early"),
        Err(_) => tracing::error!("control request panicked"),
    }
}
