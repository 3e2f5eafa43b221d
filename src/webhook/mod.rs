//! Telling another program something: one signed POST, as Standard Webhooks (version 1) has it.
//!
//! A redirect is not followed: what is sent, and to whom, is what the config says. Times and sizes are bounded.

mod sign;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::config::WebhookUrl;
use crate::event::Millis;
use sign::{Secret, SecretError};

/// How long connecting may take, with agreeing on keys,
const CONNECT: Duration = Duration::from_secs(10);
/// and one attempt as a whole.
const ATTEMPT: Duration = Duration::from_secs(30);

/// Bytes of an answer that are read: enough to say why a message was refused.
const ANSWER_MAX: usize = 4096;

/// Characters of it that are told.
const TOLD_MAX: usize = 200;

/// Bytes of the largest file with a secret,
const SECRET_MAX: u64 = 4096;

/// and with authorities: those of a whole system are a quarter of that.
const AUTHORITIES_MAX: u64 = 1 << 20;

/// Why a message was not taken.
#[derive(Debug, Error)]
pub(crate) enum WebhookError {
    #[error("cannot read the {what} file {path}: {source}", path = .path.display())]
    Unreadable {
        /// What it is for.
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// What stands there is none.
    #[error("{path} contains no secret: {source}", path = .path.display())]
    Secret { path: PathBuf, source: SecretError },
    #[error("the CA file {path} has no certificate in PEM", path = .path.display())]
    NoAuthority { path: PathBuf },
    #[error("the CA file {path} has a certificate that cannot be an authority's: {source}", path = .path.display())]
    Authority {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("cannot connect to {authority}: {source}")]
    Connect {
        authority: String,
        source: io::Error,
    },
    #[error(
        "{authority} is not trusted: {source}; `ca_file` of the alert can name the file of its authority"
    )]
    Untrusted {
        authority: String,
        source: io::Error,
    },
    #[error("cannot use TLS to {authority}: {source}")]
    Tls {
        authority: String,
        source: rustls::Error,
    },
    #[error("{0} did not answer within {ATTEMPT:?}")]
    Late(String),
    #[error("the exchange with {authority} failed: {source}")]
    Exchange {
        authority: String,
        source: hyper::Error,
    },
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    /// It answered, and not that it took the message.
    #[error("{authority} answered {status}{told}")]
    Refused {
        authority: String,
        status: u16,
        told: String,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The same on every attempt, so that a receiver can leave out what it has.
    pub id: String,
    /// One JSON object.
    pub body: String,
}

/// A receiver with what signs for it and whom it may be. There is no `Debug`, because of the secret.
pub(crate) struct Receiver {
    url: WebhookUrl,
    secret: Secret,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Receiver {
    /// Reads the secret and the certificates of the authorities to trust: those in `ca_file`, else those of the system (or those
    /// in the file that `SSL_CERT_FILE` names). It blocks.
    ///
    /// # Errors
    /// The secret cannot be used, or the authorities, or TLS.
    pub(crate) fn new(
        url: &WebhookUrl,
        secret_file: &Path,
        ca_file: Option<&Path>,
    ) -> Result<Self, WebhookError> {
        let text = read("secret", secret_file, SECRET_MAX)?;
        let text = String::from_utf8(text).map_err(|error| WebhookError::Unreadable {
            what: "secret",
            path: secret_file.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        let secret = Secret::parse(&text).map_err(|source| WebhookError::Secret {
            path: secret_file.to_owned(),
            source,
        })?;
        let tls = match url.is_https {
            true => {
                let trusted = ca_file.map_or_else(|| Ok(authorities_of_system()), authorities)?;
                let tls = tls(&url.host, trusted).map_err(|source| WebhookError::Tls {
                    authority: url.authority.clone(),
                    source,
                })?;
                Some(tls)
            }
            false => None,
        };
        Ok(Receiver {
            url: url.clone(),
            secret,
            tls,
        })
    }

    /// Sends `message`, once.
    ///
    /// # Errors
    /// Nobody answered that it was taken.
    pub(crate) async fn tell(&self, message: &Message, now: Millis) -> Result<(), WebhookError> {
        let late = |_| WebhookError::Late(self.url.authority.clone());
        timeout(ATTEMPT, self.attempt(message, now))
            .await
            .unwrap_or_else(|elapsed| Err(late(elapsed)))
    }

    async fn attempt(&self, message: &Message, now: Millis) -> Result<(), WebhookError> {
        let failed = |source| WebhookError::Exchange {
            authority: self.url.authority.clone(),
            source,
        };
        let request = self.request(message, now)?;
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(failed)?;
            self.judge(answer).await
        };
        let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
        tokio::select! {
            biased;
            judged = &mut exchange => return judged,
            // How it ended is told to whoever waits for the answer.
            ended = &mut connection => drop(ended),
        }
        exchange.await
    }

    fn request(
        &self,
        message: &Message,
        now: Millis,
    ) -> Result<Request<Full<Bytes>>, WebhookError> {
        let timestamp = now.0.div_euclid(1000).to_string();
        let signature = self.secret.sign(&message.id, &timestamp, &message.body);
        Ok(Request::builder()
            .method(Method::POST)
            .uri(&self.url.target)
            .header("host", &self.url.authority)
            .header("connection", "close")
            .header("content-type", "application/json")
            .header("user-agent", concat!("docent/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(message.body.clone())))?)
    }

    async fn connect(&self) -> Result<Box<dyn Duplex>, WebhookError> {
        let failed = |source| {
            let authority = self.url.authority.clone();
            match is_untrusted(&source) {
                true => WebhookError::Untrusted { authority, source },
                false => WebhookError::Connect { authority, source },
            }
        };
        let connecting = async {
            let stream = TcpStream::connect((self.url.host.as_str(), self.url.port)).await?;
            Ok::<Box<dyn Duplex>, io::Error>(match &self.tls {
                None => Box::new(stream),
                Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
            })
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let connected = timeout(CONNECT, connecting).await;
        connected.unwrap_or_else(|_| Err(late())).map_err(failed)
    }

    /// Whether an answer says that the message was taken.
    async fn judge(&self, answer: Response<Incoming>) -> Result<(), WebhookError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let told = match status.is_redirection() {
            true => {
                "; redirects are not followed, so write the address that it leads to".to_owned()
            }
            false => beginning(answer.into_body()).await,
        };
        Err(WebhookError::Refused {
            authority: self.url.authority.clone(),
            status: status.as_u16(),
            told,
        })
    }
}

/// The beginning of an answer, for a message.
async fn beginning(mut body: Incoming) -> String {
    let mut read = Vec::new();
    while read.len() < ANSWER_MAX {
        // An answer that breaks off has said what it has.
        let Some(Ok(frame)) = body.frame().await else {
            break;
        };
        read.extend(frame.into_data().unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&read);
    let told: String = text.trim().chars().take(TOLD_MAX).collect();
    if told.is_empty() {
        told
    } else {
        format!(
            ": {}",
            told.split_whitespace().collect::<Vec<_>>().join(" ")
        )
    }
}

/// The bytes of a file that has no more than so many.
fn read(what: &'static str, path: &Path, most: u64) -> Result<Vec<u8>, WebhookError> {
    use io::Read as _;
    let whole = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        match file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(bytes),
        }
    };
    whole().map_err(|source| WebhookError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })
}

fn authorities_of_system() -> RootCertStore {
    let mut trusted = RootCertStore::empty();
    // Those that cannot be used are left out: others may do.
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    trusted
}

/// The authorities in a file, which all can be used.
fn authorities(file: &Path) -> Result<RootCertStore, WebhookError> {
    let path = || file.to_owned();
    let pem = read("CA", file, AUTHORITIES_MAX)?;
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| WebhookError::NoAuthority { path: path() })?;
        let added = trusted.add(certificate);
        added.map_err(|source| WebhookError::Authority {
            path: path(),
            source,
        })?;
    }
    match trusted.is_empty() {
        true => Err(WebhookError::NoAuthority { path: path() }),
        false => Ok(trusted),
    }
}

/// Whether the receiver showed a certificate that no authority vouches for.
fn is_untrusted(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

fn tls(
    host: &str,
    trusted: RootCertStore,
) -> Result<(TlsConnector, ServerName<'static>), rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
