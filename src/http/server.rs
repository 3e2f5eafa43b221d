//! Listening and serving. Every connection is polled by [`serve`] itself: it starts no task, so that its end is the end
//! of all of them.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Peer;
use super::listener::{Accepted, Listener, Stream};
use super::tls::ReadFiles;
use super::unheard::{Awaited, Unheard};

/// Connections at once of the daemon's own user and root. There are more than requests at once, so that one too many is told
/// so; with those of others they leave some of the 1024 files that a process may have open.
const OWN_MAX: usize = 320;
/// Connections beyond that which are told so; what comes beyond these is closed unheard.
const TOLD_MAX: usize = 64;
/// How long answers under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait after the operating system refused a connection.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the control socket is still where it was bound.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes that are kept of what was received, and of what was not sent yet, before the answer's next part is made.
const BUFFER: usize = 64 * 1024;

/// How long a client may keep the server waiting before it loses its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientTimeouts {
    /// For the head of its next request.
    pub head: Duration,
    /// For the first of a body, for its next part, and for the rest of a line that it has begun.
    pub body: Duration,
    /// For it to read anything of its answer.
    pub answer: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        ClientTimeouts {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(60),
        }
    }
}

/// Which share of the connections one is counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Own,
    Others,
    /// Only to be told that there are too many.
    Told,
}

/// How many connections there are.
#[derive(Debug)]
struct Shares {
    others_max: usize,
    own: usize,
    others: usize,
    told: usize,
}

impl Shares {
    fn new(others_max: usize) -> Self {
        Shares {
            others_max,
            own: 0,
            others: 0,
            told: 0,
        }
    }

    fn of(&mut self, share: Share) -> &mut usize {
        match share {
            Share::Own => &mut self.own,
            Share::Others => &mut self.others,
            Share::Told => &mut self.told,
        }
    }

    /// Whether a connection over TCP has no place.
    fn are_full(&self, peer: Peer) -> bool {
        peer.ends.is_some() && self.others >= self.others_max
    }

    /// The place of one that gives it up.
    fn take_over(&mut self) -> Share {
        self.others += 1;
        Share::Others
    }

    /// The place of a connection of `peer`, if there is one.
    fn take(&mut self, peer: Peer) -> Option<Share> {
        let place = if peer.is_own() {
            (Share::Own, OWN_MAX)
        } else {
            (Share::Others, self.others_max)
        };
        let places = [place, (Share::Told, TOLD_MAX)];
        let (share, _) = places.into_iter().find(|(s, max)| *self.of(*s) < *max)?;
        *self.of(share) += 1;
        Some(share)
    }
}

/// In a request that came on a connection too many: it is told so, whatever it asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooMany;

/// Serves `router` until told to stop; then takes no new connection, and gives the answers under way two seconds.
///
/// A panic in a handler ends its connection and is logged; the others go on. A client that keeps the server waiting for longer
/// than `timeouts` says loses its connection.
pub(crate) async fn serve(
    listener: impl Into<Listener>,
    router: Router,
    stop: CancellationToken,
    timeouts: ClientTimeouts,
) {
    let mut listener = listener.into();
    let mut connections = FuturesUnordered::new();
    let mut shares = Shares::new(listener.others_max());
    let mut unheard = Unheard::default();
    let mut not_before = Instant::now();
    // The certificate, as it is read again: it never keeps connections waiting.
    let mut reading: Option<JoinHandle<Option<ReadFiles>>> = None;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accept = async {
            sleep_until(not_before).await;
            listener.accept().await
        };
        let event = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept => ServerEvent::Accepted(accepted),
            Some(share) = connections.next(), if !connections.is_empty() => ServerEvent::Ended(share),
            Some(read) = OptionFuture::from(reading.as_mut()) => ServerEvent::Read(read),
            _ = look.tick() => ServerEvent::Look,
        };
        match event {
            ServerEvent::Accepted(Ok((accepted, peer))) => {
                let Some(arrival) = admit(accepted, peer, &mut shares, &mut unheard) else {
                    continue;
                };
                let share = arrival.share;
                let serving = connection(arrival, router.clone(), stop.clone(), timeouts);
                connections.push(serving.map(move |()| share));
            }
            ServerEvent::Accepted(Err(error)) => {
                tracing::warn!(%error, "connection refused by the operating system");
                not_before = Instant::now() + REFUSED_PAUSE;
            }
            ServerEvent::Ended(share) => *shares.of(share) -= 1,
            ServerEvent::Look => {
                listener.keep().await;
                reading = reading.or_else(|| listener.look());
            }
            ServerEvent::Read(read) => {
                reading = None;
                listener.take(read);
            }
        }
    }
    listener.close();
    let rest = async {
        while connections.next().await.is_some() {}
        OptionFuture::from(reading).await
    };
    if timeout(GRACE, rest).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut off at the stop"
        );
    }
}

/// Gives a connection its place; `None`: there is none for it.
fn admit(
    accepted: Accepted,
    peer: Peer,
    shares: &mut Shares,
    unheard: &mut Unheard,
) -> Option<Arrival> {
    let share = match shares.are_full(peer) && unheard.cut_oldest() {
        true => Some(shares.take_over()),
        false => shares.take(peer),
    };
    let Some(share) = share else {
        log_too_many(&peer);
        return None;
    };
    Some(Arrival {
        accepted,
        peer,
        share,
        awaited: match share {
            Share::Others => unheard.enter(),
            // Its place is of no use to others.
            Share::Own | Share::Told => Arc::default(),
        },
    })
}

fn log_too_many(peer: &Peer) {
    let address = peer.ends.map(|ends| ends.remote.ip().to_string());
    tracing::warn!(
        uid = peer.uid,
        address,
        "a connection was closed unread: there are too many"
    );
}

/// What the server reacts to.
enum ServerEvent {
    Accepted(io::Result<(Accepted, Peer)>),
    Ended(Share),
    Look,
    /// The certificate was looked at; what is in its files if they changed.
    Read(Result<Option<ReadFiles>, JoinError>),
}

/// A connection with its place.
struct Arrival {
    accepted: Accepted,
    peer: Peer,
    share: Share,
    awaited: Arc<Awaited>,
}

/// Serves a connection until it ends, or is to give up its place.
async fn connection(
    arrival: Arrival,
    router: Router,
    stop: CancellationToken,
    timeouts: ClientTimeouts,
) {
    let awaited = arrival.awaited.clone();
    tokio::select! {
        () = served(arrival, router, stop, timeouts) => {}
        () = awaited.cut() => tracing::debug!("connection cut off: others wait for its place, and it has asked for nothing"),
    }
}

async fn served(
    arrival: Arrival,
    router: Router,
    stop: CancellationToken,
    timeouts: ClientTimeouts,
) {
    let Arrival {
        accepted,
        peer,
        share,
        awaited,
    } = arrival;
    let opened = tokio::select! {
        opened = timeout(timeouts.head, accepted.opened()) => opened,
        () = stop.cancelled() => return,
    };
    let stream = match opened {
        Ok(Ok(stream)) => Reader::new(stream, timeouts.answer),
        Ok(Err(error)) => {
            return tracing::debug!(%error, "the client and docent did not agree on keys");
        }
        Err(_) => return tracing::debug!("the client did not agree on keys in time"),
    };
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        awaited.heard();
        request.extensions_mut().insert(peer);
        if share == Share::Told {
            request.extensions_mut().insert(TooMany);
        }
        inner.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_buf_size(BUFFER)
        .keep_alive(share != Share::Told)
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
        Ok(Err(error)) => tracing::debug!(%error, "connection ended early"),
        Err(_) => tracing::error!("a request panicked"),
    }
}

/// A connection whose client must read what it is sent: one that takes nothing for `patience` is cut off.
struct Reader {
    stream: Box<dyn Stream>,
    patience: Duration,
    /// Runs while there is something that the client does not take.
    waits: Option<Pin<Box<Sleep>>>,
}

impl Reader {
    fn new(stream: Box<dyn Stream>, patience: Duration) -> Self {
        Reader {
            stream,
            patience,
            waits: None,
        }
    }

    /// What becomes of an attempt to send.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.waits = None;
            return sent;
        }
        let patience = self.patience;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(patience)));
        if waits.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        tracing::debug!("connection cut off: its client does not read");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Reader {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_cannot_take_the_places_of_the_daemons_own_user() {
        let user = |uid| Peer {
            uid: Some(uid),
            ends: None,
        };
        let own = user(rustix::process::geteuid().as_raw());
        let other = user(4711);
        let mut shares = Shares::new(7);
        for _ in 0..7 {
            assert_eq!(shares.take(other), Some(Share::Others));
        }
        for _ in 0..TOLD_MAX {
            assert_eq!(shares.take(other), Some(Share::Told));
        }
        assert_eq!(shares.take(other), None);
        assert_eq!(shares.take(own), Some(Share::Own));
        *shares.of(Share::Others) -= 1;
        assert_eq!(shares.take(other), Some(Share::Others));
    }
}
