//! The database that the config names for the store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::config::{Config, StoreTls, is_local_database};
use crate::http::{NetworkError, tls_config};
use crate::store::{Database, Trust};

/// Bytes of the largest file with a password.
const PASSWORD_MAX: u64 = 4096;

/// Why the database cannot be reached with what the config names.
#[derive(Debug, Error)]
pub(crate) enum DatabaseConfigError {
    #[error("[store] url is not the URL of a database: {0}")]
    Url(String),
    #[error("cannot read [store] password_file {path}: {source}", path = .path.display())]
    Password { path: PathBuf, source: io::Error },
    #[error("cannot use [store] ca_file: {0}")]
    Authorities(#[source] NetworkError),
}

/// The database of the store; `None`: the store is a file.
///
/// # Errors
/// A file that the config names cannot be used.
pub(crate) fn database(config: &Config) -> Result<Option<Database>, DatabaseConfigError> {
    let store = &config.store;
    if store.url.is_empty() {
        return Ok(None);
    }
    let named = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
    let password = match named(&store.password_file) {
        None => None,
        Some(path) => {
            let read = password(&path);
            Some(read.map_err(|source| DatabaseConfigError::Password { path, source })?)
        }
    };
    let trust = match store.tls {
        StoreTls::VerifyFull if !is_local_database(&store.url) => {
            let tls = tls_config(named(&store.ca_file).as_deref());
            Trust::Verified(Arc::new(tls.map_err(DatabaseConfigError::Authorities)?))
        }
        StoreTls::VerifyFull | StoreTls::Disable => Trust::Plain,
    };
    let database = Database::new(&store.url, password.as_deref(), trust);
    database.map(Some).map_err(DatabaseConfigError::Url)
}

/// The password in a file, without the line feed at its end.
fn password(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(PASSWORD_MAX).read_to_end(&mut bytes)?;
    let end = bytes.trim_ascii_end().len();
    bytes.truncate(end);
    Ok(bytes)
}
