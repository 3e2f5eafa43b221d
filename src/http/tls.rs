//! TLS: the certificate and its key, read again when their files change.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::log_once::LogOnce;

/// Why TLS cannot be served.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} has no {what} in PEM", path = .path.display())]
    NotPem {
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The two do not fit.
    #[error("the certificate {certificate} and the key {key} cannot be used together", certificate = .certificate.display(), key = .key.display())]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

impl TlsError {
    /// Whether this user may not read a file.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, TlsError::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// What changes when a file does.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

/// The files as they were read again.
pub(super) struct ReadFiles {
    stamp: Stamp,
    config: Result<Arc<ServerConfig>, TlsError>,
}

/// The certificate that is shown to clients.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: Arc<ServerConfig>,
    /// Of the files when they were read last.
    stamp: Stamp,
    /// Why the files cannot be used, as it was said last.
    unusable: LogOnce<Option<String>>,
}

impl Tls {
    /// Reads a certificate with those that lead to its authority, and its key.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        // Before they are read: what changes meanwhile is read again.
        let stamp = stamp(certificate, key);
        Ok(Tls {
            config: read(certificate, key)?,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            stamp,
            unusable: LogOnce::default(),
        })
    }

    /// What serves the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    /// Looks whether the files changed, and reads them again then. It blocks, so it belongs on a thread that may.
    pub(super) fn look(&self) -> impl FnOnce() -> Option<ReadFiles> + Send + use<> {
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        let known = self.stamp;
        move || {
            let stamp = stamp(&certificate, &key);
            (stamp != known).then(|| ReadFiles {
                stamp,
                config: read(&certificate, &key),
            })
        }
    }

    /// Uses what was read. Files that cannot be used, such as one without the other, leave all as it is.
    pub(super) fn take(&mut self, files: ReadFiles) {
        self.stamp = files.stamp;
        let certificate = self.certificate.display();
        match files.config {
            Ok(config) => {
                self.config = config;
                self.unusable.is_new(None);
                tracing::info!(%certificate, "the certificate was read again");
            }
            Err(error) => {
                let why = super::socket::chain(&error);
                if self.unusable.is_new(Some(why.clone())) {
                    tracing::error!(%certificate, why, "the new certificate cannot be used; the previous one stays in use");
                }
            }
        }
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    let of = |found: Metadata| {
        let changed = (found.ctime(), found.ctime_nsec());
        (found.dev(), found.ino(), found.size(), changed.0, changed.1)
    };
    [certificate, key].map(|path| std::fs::metadata(path).ok().map(of))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(of_file(key, "private key"))?;
    let unusable = |source| TlsError::Unusable {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a file; there is one at least.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let read = CertificateDer::pem_file_iter(path).map_err(of_file(path, what))?;
    let chain: Result<Vec<_>, _> = read.collect();
    let chain = chain.map_err(of_file(path, what))?;
    if chain.is_empty() {
        let path = path.to_owned();
        return Err(TlsError::NotPem { path, what });
    }
    Ok(chain)
}

fn of_file(path: &Path, what: &'static str) -> impl FnOnce(pem::Error) -> TlsError {
    let path = path.to_owned();
    move |error| match error {
        pem::Error::Io(source) => TlsError::Unreadable { path, source },
        _ => TlsError::NotPem { path, what },
    }
}
