//! A wire between docent and a server that fails in ways in which neither end can: replies are swallowed, frames are cut, all is
//! silent without a goodbye. What the server was asked for before that, it has done.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;

/// How long a thread waits before it looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// One reply of so many fails, while replies do.
const ONE_OF: usize = 20;

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// Carries everything.
    None,
    /// Some replies do not arrive, and the connection is gone.
    Swallow,
    /// Of some replies a part arrives, and the connection is gone.
    Cut,
    /// Nothing arrives on either side until this is over; then all of it does.
    Silence,
    /// Nothing arrives on either side, not later either, nor that an end hangs up: a connection on which something was lost is
    /// never heard of again.
    Dark,
    /// Every connection ends, and none begins.
    Away,
    /// What would commit a transaction arrives when this is over.
    Uncommitted,
}

/// The wire. Its connections end when it is dropped.
pub(crate) struct Wire {
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

struct State {
    server: PathBuf,
    fault: AtomicU8,
    happened: AtomicUsize,
    over: AtomicBool,
    seed: u64,
}

impl State {
    fn has(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::SeqCst) == fault as u8
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits while it does this.
    fn pass(&self, fault: Fault) {
        while self.has(fault) && !self.over() {
            std::thread::park_timeout(LOOK);
        }
    }

    /// Whether these bytes arrive, on a connection of which something may be lost.
    fn arrives(&self, is_lost: &AtomicBool) -> bool {
        self.pass(Fault::Silence);
        if self.has(Fault::Dark) {
            is_lost.store(true, Ordering::SeqCst);
        }
        !is_lost.load(Ordering::SeqCst)
    }
}

impl Wire {
    /// A wire to the server that listens on this socket.
    pub(crate) fn to(server: PathBuf, seed: u64) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("it can be polled");
        let state = Arc::new(State {
            server,
            fault: AtomicU8::new(Fault::None as u8),
            happened: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            seed,
        });
        let shared = state.clone();
        let listener = std::thread::spawn(move || listen(&listener, &shared));
        Wire {
            address,
            state,
            listener: Some(listener),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The URL of docent's database in the PostgreSQL that it leads to.
    pub(crate) fn postgres_url(&self) -> String {
        format!("postgres://docent@{}/docent", self.address)
    }

    /// From now on it does this.
    pub(crate) fn set(&self, fault: Fault) {
        self.state.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// How many replies have failed, or commits were held back, so far.
    pub(crate) fn happened(&self) -> usize {
        self.state.happened.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.take() {
            listener.join().expect("the wire ends by itself");
        }
    }
}

/// Carries every connection until it is over.
fn listen(listener: &TcpListener, state: &State) {
    std::thread::scope(|scope| {
        for connection in 0.. {
            let client = loop {
                match listener.accept() {
                    Ok((client, _)) => break client,
                    Err(_) if state.over() => return,
                    Err(_) => std::thread::park_timeout(LOOK),
                }
            };
            if state.has(Fault::Away) {
                continue;
            }
            // A server that is away refuses.
            let Ok(server) = UnixStream::connect(&state.server) else {
                continue;
            };
            client.set_nonblocking(false).expect("a plain socket");
            client.set_nodelay(true).expect("a plain socket");
            client.set_read_timeout(Some(LOOK)).expect("a timeout");
            server.set_read_timeout(Some(LOOK)).expect("a timeout");
            let ends = (
                client.try_clone().expect("the same socket"),
                server.try_clone().expect("the same socket"),
            );
            let rng = Rng::with_seed(state.seed.wrapping_add(connection));
            let is_lost = Arc::new(AtomicBool::new(false));
            let is_lost_too = is_lost.clone();
            scope.spawn(move || {
                asked(&client, &server, (state, &is_lost));
                hang_up(&client, &server, state);
            });
            scope.spawn(move || {
                replied(&ends.1, &ends.0, (state, &is_lost_too), rng);
                hang_up(&ends.0, &ends.1, state);
            });
        }
    });
}

/// Ends a connection. The other thread of it sees its end by this, whichever of the two ended first.
fn hang_up(client: &TcpStream, server: &UnixStream, state: &State) {
    state.pass(Fault::Dark);
    server.shutdown(Shutdown::Both).ok();
    client.shutdown(Shutdown::Both).ok();
}

/// Carries what the server is asked for.
fn asked(mut client: &TcpStream, mut server: &UnixStream, (state, is_lost): (&State, &AtomicBool)) {
    while let Some(bytes) = read(&mut client, state) {
        if !state.arrives(is_lost) {
            continue;
        }
        if state.has(Fault::Uncommitted) && bytes.windows(6).any(|word| word == b"COMMIT") {
            state.happened.fetch_add(1, Ordering::SeqCst);
            state.pass(Fault::Uncommitted);
        }
        if server.write_all(&bytes).is_err() {
            break;
        }
    }
}

/// Carries what the server replies, or not.
fn replied(
    mut server: &UnixStream,
    mut client: &TcpStream,
    (state, is_lost): (&State, &AtomicBool),
    mut rng: Rng,
) {
    while let Some(bytes) = read(&mut server, state) {
        if !state.arrives(is_lost) {
            continue;
        }
        let fails = rng.usize(..ONE_OF) == 0;
        let arrives = match fails {
            true if state.has(Fault::Swallow) => 0,
            true if state.has(Fault::Cut) => bytes.len() / 2,
            _ => bytes.len(),
        };
        let written = client.write_all(&bytes[..arrives]);
        if arrives < bytes.len() {
            state.happened.fetch_add(1, Ordering::SeqCst);
            break;
        }
        if written.is_err() {
            break;
        }
    }
}

/// What comes next; `None` at the end.
fn read(from: &mut impl Read, state: &State) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 64 * 1024];
    while !state.over() && !state.has(Fault::Away) {
        match from.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => {
                buffer.truncate(count);
                return Some(buffer);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return None,
        }
    }
    None
}
