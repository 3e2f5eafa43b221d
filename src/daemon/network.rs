//! What the API is served on: the control socket, and TCP.

use std::io::ErrorKind;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::error::{Exit, Fatal};
use crate::http;

/// As many open files as the operating system lets this process have: a connection is one.
pub(super) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// What the API is served on.
pub(super) struct Sockets {
    pub(super) control: http::ControlSocket,
    pub(super) network: Option<http::NetworkListener>,
}

impl Sockets {
    pub(super) async fn bind(config: &Config) -> Result<Self, Fatal> {
        let control = http::bind(&config.socket_path(), &config.control.group)
            .await
            .map_err(bind_failed)?;
        let network = listener(config).await?;
        Ok(Sockets { control, network })
    }
}

/// What to do where `[http] listen` cannot be bound.
pub(crate) fn listen_hint(error: ErrorKind, address: SocketAddr) -> String {
    match error {
        ErrorKind::AddrInUse => format!(
            "another process has the address, `ss -ltnp sport = :{}` names it: stop that one, or set another [http] listen",
            address.port()
        ),
        ErrorKind::PermissionDenied => {
            "set a port above 1023 in [http] listen, and let a proxy use the lower one".to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have the address: set one of its own in [http] listen".to_owned()
        }
        _ => "set an address of this machine in [http] listen, or \"\" for none".to_owned(),
    }
}

/// The listener on TCP, if there is to be one.
async fn listener(config: &Config) -> Result<Option<http::NetworkListener>, Fatal> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen on {address}")]
    struct NotBound {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    }
    let Some(address) = config.http.listen else {
        return Ok(None);
    };
    let tls = tls(config).map_err(tls_failed)?;
    let encrypted = tls.is_some();
    let bound = http::NetworkListener::bind(address, tls).await;
    let listener = bound.map_err(|source| {
        let exit = Exit::of_io(&source, Exit::Unavailable);
        let hint = listen_hint(source.kind(), address);
        Fatal::new(exit, NotBound { address, source }).hint(hint)
    })?;
    let address = listener.address().unwrap_or(address);
    tracing::info!(%address, tls = encrypted, "the API is also served on this address");
    if !encrypted && !address.ip().is_loopback() {
        tracing::warn!(%address, "other machines reach this address without TLS: others on the network can read tokens and documents");
    }
    Ok(Some(listener))
}

/// The certificate and the key that the config names, if it does.
///
/// # Errors
/// They cannot be used.
pub(crate) fn tls(config: &Config) -> Result<Option<http::Tls>, http::TlsError> {
    let (certificate, key) = (&config.http.tls_certificate, &config.http.tls_key);
    match certificate.as_os_str().is_empty() {
        true => Ok(None),
        false => http::Tls::load(certificate, key).map(Some),
    }
}

fn bind_failed(error: http::BindError) -> Fatal {
    let exit = match &error {
        http::BindError::Io { source, .. } => Exit::of_io(source, Exit::Unavailable),
        http::BindError::Untrusted { .. } => Exit::Permission,
        http::BindError::NoGroup(_) => Exit::Config,
        _ => Exit::Unavailable,
    };
    Fatal::new(exit, error)
}

fn tls_failed(error: http::TlsError) -> Fatal {
    let exit = match error.is_denied() {
        true => Exit::Permission,
        false => Exit::Config,
    };
    Fatal::new(exit, error)
        .hint("[http] tls_certificate and tls_key name the files, in PEM; docent's user must be able to read both")
}
