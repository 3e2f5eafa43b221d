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
    #[error("this is not the URL of a database: {0}")]
    Url(String),
    #[error("cannot read the password file {path}: {source}", path = .path.display())]
    Password { path: PathBuf, source: io::Error },
    #[error("cannot use the file with the certificates of the authorities: {0}")]
    Authorities(#[source] NetworkError),
}

/// What a database is reached with.
pub(crate) struct DatabaseAccess<'a> {
    /// Where it is, without a password.
    pub(crate) url: &'a str,
    pub(crate) password_file: Option<&'a Path>,
    /// The certificates of the authorities to trust; `None`: those of the system.
    pub(crate) ca_file: Option<&'a Path>,
    pub(crate) tls: StoreTls,
}

impl DatabaseAccess<'_> {
    /// The database.
    ///
    /// # Errors
    /// A file that is named cannot be used.
    pub(crate) fn database(&self) -> Result<Database, DatabaseConfigError> {
        let password = match self.password_file {
            None => None,
            Some(path) => Some(password(path).map_err(|source| {
                let path = path.to_owned();
                DatabaseConfigError::Password { path, source }
            })?),
        };
        let trust = match self.tls {
            StoreTls::VerifyFull if !is_local_database(self.url) => {
                let tls = tls_config(self.ca_file).map_err(DatabaseConfigError::Authorities)?;
                Trust::Verified(Arc::new(tls))
            }
            StoreTls::VerifyFull | StoreTls::Disable => Trust::Plain,
        };
        Database::new(self.url, password.as_deref(), trust).map_err(DatabaseConfigError::Url)
    }
}

/// The database of the store; `None`: the store is a file.
///
/// # Errors
/// A file that the config names cannot be used.
pub(crate) fn database(config: &Config) -> Result<Option<Database>, DatabaseConfigError> {
    fn named(path: &Path) -> Option<&Path> {
        (!path.as_os_str().is_empty()).then_some(path)
    }
    let store = &config.store;
    if store.url.is_empty() {
        return Ok(None);
    }
    let access = DatabaseAccess {
        url: &store.url,
        password_file: named(&store.password_file),
        ca_file: named(&store.ca_file),
        tls: store.tls,
    };
    access.database().map(Some)
}

/// The password in a file, without the end of its line.
fn password(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(PASSWORD_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PASSWORD_MAX {
        let why = format!("it has more than {PASSWORD_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    for end in [b"\n", b"\r"] {
        if bytes.ends_with(end) {
            bytes.pop();
        }
    }
    Ok(bytes)
}
