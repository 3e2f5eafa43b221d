//! The way to a daemon on another machine: its address, a token, and whom to trust that it is the one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::{ClientError, Duplex};
use crate::config::PublicUrl;
use crate::http::tls::{TlsError, certificates};

/// How long the other machine may take to answer a call, and to agree on keys.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no way.
#[derive(Debug, Error)]
pub(crate) enum NetworkError {
    /// The address is none.
    #[error(
        "`{0}` is not the address of a daemon; write one such as https://docs.example.org:9870, without a path"
    )]
    Url(String),
    /// The token cannot be sent.
    #[error(
        "the token file does not contain a token; write what `docent token create` printed, and nothing else"
    )]
    Token,
    /// The authorities cannot be read.
    #[error(transparent)]
    Authorities(TlsError),
    /// One of the authorities is none.
    #[error("{path} has a certificate that cannot be an authority's", path = .path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error(
        "this system has no CA certificates; install the package ca-certificates, or name a file with --ca-file"
    )]
    NoAuthorities,
    /// Keys cannot be agreed on.
    #[error("TLS cannot be used")]
    Tls(#[source] rustls::Error),
}

/// The way to a daemon over TCP.
#[derive(Clone)]
pub(super) struct Network {
    url: String,
    pub(super) authority: String,
    host: String,
    port: u16,
    /// What a request shows.
    pub(super) bearer: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Network").field(&self.url).finish()
    }
}

impl Network {
    /// The way to `url` with a token; trusted is who has a certificate of an authority in `ca_file`, or of the system's.
    pub(super) fn new(
        url: &str,
        token: &str,
        ca_file: Option<&Path>,
    ) -> Result<Self, NetworkError> {
        let no_url = || NetworkError::Url(url.to_owned());
        let server = PublicUrl::parse(url).ok_or_else(no_url)?;
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let bearer = Some(token)
            .filter(|token| is_token(token))
            .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        let mut bearer = bearer.ok_or(NetworkError::Token)?;
        bearer.set_sensitive(true);
        let (scheme, tls) = match server.is_https {
            true => {
                let name = ServerName::try_from(server.host.clone()).map_err(|_| no_url())?;
                ("https", Some((connector(ca_file)?, name)))
            }
            false => ("http", None),
        };
        Ok(Network {
            url: format!("{scheme}://{}", server.authority),
            host: server.host,
            port: server.port,
            authority: server.authority,
            bearer,
            tls,
        })
    }

    pub(super) async fn connect(&self) -> Result<Box<dyn Duplex>, ClientError> {
        let url = || self.url.clone();
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let connecting = timeout(
            CONNECT_TIMEOUT,
            TcpStream::connect((&*self.host, self.port)),
        );
        let stream = connecting.await.unwrap_or_else(|_| Err(late()));
        let stream = stream.map_err(|source| ClientError::Away { url: url(), source })?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let agreeing = timeout(CONNECT_TIMEOUT, connector.connect(name.clone(), stream));
        let stream = agreeing.await.unwrap_or_else(|_| Err(late()));
        let stream = stream.map_err(|source| ClientError::Untrusted { url: url(), source })?;
        Ok(Box::new(stream))
    }
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, NetworkError> {
    Ok(TlsConnector::from(Arc::new(tls_config(ca_file)?)))
}

/// How a server is to prove who it is: by a certificate of one of these authorities, else of one of the system's.
///
/// # Errors
/// The file cannot be read, or there are no authorities.
pub(crate) fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, NetworkError> {
    Ok(
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(NetworkError::Tls)?
            .with_root_certificates(authorities(ca_file)?)
            .with_no_client_auth(),
    )
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, NetworkError> {
    let mut trusted = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates(path).map_err(NetworkError::Authorities)? {
                trusted.add(certificate).map_err(|source| {
                    let path = path.to_owned();
                    NetworkError::Authority { path, source }
                })?;
            }
        }
        None => {
            // Those of the system that cannot be used are left out: others may do.
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    match trusted.is_empty() {
        true => Err(NetworkError::NoAuthorities),
        false => Ok(trusted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_host_and_a_port() {
        let way = |url: &str| {
            let network = Network::new(url, "docent_1", None);
            network.map(|n| (n.host, n.port, n.authority))
        };
        let expected =
            |host: &str, port, authority: &str| (host.to_owned(), port, authority.to_owned());
        for (url, host, port, authority) in [
            (
                "http://Docs.example.org",
                "docs.example.org",
                80,
                "docs.example.org",
            ),
            (
                "http://127.0.0.1:9870/",
                "127.0.0.1",
                9870,
                "127.0.0.1:9870",
            ),
            ("http://[::1]:9870", "::1", 9870, "[::1]:9870"),
        ] {
            assert_eq!(way(url).unwrap(), expected(host, port, authority), "{url}");
        }
        for url in ["docs.example.org", "http://a/b", "ftp://a", ""] {
            assert!(matches!(way(url), Err(NetworkError::Url(_))), "{url}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_told_and_none_is_shown() {
        for token in ["", "a b", "a\nb", "é"] {
            let way = Network::new("http://a", token, None);
            assert!(matches!(way, Err(NetworkError::Token)), "{token:?}");
        }
        let way = Network::new("http://a", "docent_secret", None).unwrap();
        assert!(!format!("{way:?} {:?}", way.bearer).contains("secret"));
    }
}
