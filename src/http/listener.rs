//! Where requests come from: the control socket, and TCP with TLS or without.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::socket::ControlSocket;
use super::tls::{ReadFiles, Tls};
use super::{Ends, Peer, Served};

/// Connections at once to the control socket, of others than the daemon's own user and root.
const OTHERS_MAX: usize = 512;
/// Connections at once over TCP, at most and at least, and files that are left for everything else.
const NETWORK_MAX: u64 = 512;
const NETWORK_MIN: u64 = 32;
const OTHER_FILES: u64 = 1024;

/// Where requests come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Control(ControlSocket),
    Network(NetworkListener),
}

/// A listener on TCP.
#[derive(Debug)]
pub(crate) struct NetworkListener {
    listener: TcpListener,
    tls: Option<Tls>,
}

impl NetworkListener {
    /// Listens on an address, with TLS or without.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<Tls>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(NetworkListener { listener, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where it serves the dashboard; `public_url`: the name that clients know it by, if that is not its address. None: the
    /// operating system does not tell.
    pub(crate) fn served(&self, public_url: &str) -> Option<Served> {
        Some(Served {
            address: self.address().ok()?,
            tls: self.tls.is_some(),
            public_url: public_url.to_owned(),
        })
    }

    async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        let (stream, remote) = self.listener.accept().await?;
        let ends = Ends {
            remote,
            local: stream.local_addr()?,
            tls: self.tls.is_some(),
        };
        // Answers are written whole: there is nothing to gather them with. A client that is gone already is found out later.
        stream.set_nodelay(true).ok();
        let accepted = match &self.tls {
            Some(tls) => Accepted::Encrypted(stream, tls.acceptor()),
            None => Accepted::Plain(Box::new(stream)),
        };
        let ends = Some(ends);
        Ok((accepted, Peer { uid: None, ends }))
    }
}

/// A connection as it was accepted.
pub(super) enum Accepted {
    Plain(Box<dyn Stream>),
    /// The client has yet to agree on keys.
    Encrypted(TcpStream, TlsAcceptor),
}

impl Accepted {
    /// What is read and written.
    pub(super) async fn opened(self) -> io::Result<Box<dyn Stream>> {
        match self {
            Accepted::Plain(stream) => Ok(stream),
            Accepted::Encrypted(stream, acceptor) => Ok(Box::new(acceptor.accept(stream).await?)),
        }
    }
}

impl From<ControlSocket> for Listener {
    fn from(socket: ControlSocket) -> Self {
        Listener::Control(socket)
    }
}

impl From<NetworkListener> for Listener {
    fn from(listener: NetworkListener) -> Self {
        Listener::Network(listener)
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Listener::Control(socket) => {
                let stream = socket.accept().await?;
                let uid = Some(stream.peer_cred()?.uid());
                let accepted = Accepted::Plain(Box::new(stream));
                Ok((accepted, Peer { uid, ends: None }))
            }
            Listener::Network(listener) => listener.accept().await,
        }
    }

    /// Binds a control socket again whose file is gone.
    pub(super) async fn keep(&mut self) {
        if let Listener::Control(socket) = self
            && !socket.is_there()
        {
            socket.rebind().await;
        }
    }

    /// Looks whether a certificate changed, if there is one, on a thread that may block.
    #[expect(clippy::disallowed_methods, reason = "awaited by the server")]
    pub(super) fn look(&self) -> Option<JoinHandle<Option<ReadFiles>>> {
        match self {
            Listener::Network(NetworkListener { tls: Some(tls), .. }) => {
                Some(tokio::task::spawn_blocking(tls.look()))
            }
            Listener::Control(_) | Listener::Network(NetworkListener { tls: None, .. }) => None,
        }
    }

    /// Uses a certificate that was read again, if one was.
    pub(super) fn take(&mut self, read: Result<Option<ReadFiles>, JoinError>) {
        let Listener::Network(NetworkListener { tls: Some(tls), .. }) = self else {
            return;
        };
        match read {
            Ok(Some(files)) => tls.take(files),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot look whether the certificate changed; docent tries again")
            }
        }
    }

    /// How many connections it may have of others than the daemon's own user and root.
    pub(super) fn others_max(&self) -> usize {
        match self {
            Listener::Control(_) => OTHERS_MAX,
            Listener::Network(_) => {
                let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
                let left = files
                    .saturating_sub(OTHER_FILES)
                    .clamp(NETWORK_MIN, NETWORK_MAX);
                usize::try_from(left).unwrap_or(OTHERS_MAX)
            }
        }
    }

    pub(super) fn close(self) {
        if let Listener::Control(socket) = self {
            socket.close();
        }
    }
}
