//! A wire between docent and a Redis that fails in ways in which neither end can: replies are swallowed, frames are cut, all is
//! silent without a goodbye. What Redis was asked for before that, it has done.

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
}

/// The wire. Its connections end when it is dropped.
pub(crate) struct Wire {
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

struct State {
    redis: PathBuf,
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

    /// Waits while everything is silent.
    fn heard(&self) {
        while self.has(Fault::Silence) && !self.over() {
            std::thread::park_timeout(LOOK);
        }
    }
}

impl Wire {
    /// A wire to the Redis that listens on this socket.
    pub(crate) fn to(redis: PathBuf, seed: u64) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("it can be polled");
        let state = Arc::new(State {
            redis,
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

    /// From now on it does this.
    pub(crate) fn set(&self, fault: Fault) {
        self.state.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// How many replies have failed so far.
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
            // A Redis that is away refuses.
            let Ok(redis) = UnixStream::connect(&state.redis) else {
                continue;
            };
            client.set_nonblocking(false).expect("a plain socket");
            client.set_nodelay(true).expect("a plain socket");
            client.set_read_timeout(Some(LOOK)).expect("a timeout");
            redis.set_read_timeout(Some(LOOK)).expect("a timeout");
            let ends = (
                client.try_clone().expect("the same socket"),
                redis.try_clone().expect("the same socket"),
            );
            let rng = Rng::with_seed(state.seed.wrapping_add(connection));
            scope.spawn(move || asked(client, redis, state));
            scope.spawn(move || replied(ends.1, ends.0, (state, rng)));
        }
    });
}

/// Carries what Redis is asked for.
fn asked(mut client: TcpStream, mut redis: UnixStream, state: &State) {
    while let Some(bytes) = read(&mut client, state) {
        state.heard();
        if redis.write_all(&bytes).is_err() {
            break;
        }
    }
    // The other thread of this connection sees its end by this, whichever of the two ended first.
    redis.shutdown(Shutdown::Both).ok();
    client.shutdown(Shutdown::Both).ok();
}

/// Carries what Redis replies, or not.
fn replied(mut redis: UnixStream, mut client: TcpStream, (state, mut rng): (&State, Rng)) {
    while let Some(bytes) = read(&mut redis, state) {
        state.heard();
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
    redis.shutdown(Shutdown::Both).ok();
    client.shutdown(Shutdown::Both).ok();
}

/// What comes next; `None` at the end.
fn read(from: &mut impl Read, state: &State) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 64 * 1024];
    while !state.over() {
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
