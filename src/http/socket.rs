//! The control socket as a file: who may use it, and what stands in its place.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use thiserror::Error;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// Why the control socket cannot be opened.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody answers on it.
    #[error("the control socket {path} is in use by another process; stop that one, or set another [control] socket", path = .0.display())]
    InUse(PathBuf),
    /// Something else has its name.
    #[error("{path} is not a socket; move it away, or set another [control] socket", path = .0.display())]
    NotASocket(PathBuf),
    /// The group does not exist.
    #[error("there is no group `{0}`; make it, or set another [control] group")]
    NoGroup(String),
    /// The operating system refuses.
    #[error("cannot {attempt} {path}", path = .path.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Opens the control socket at `path`: 0600, or 0660 for `group` if one is named. Its folder is made if it is missing,
/// 0700 or 0750 for the group; one that is there is left as it is. A socket that nobody answers on is replaced: the
/// daemon that made it was killed.
///
/// The caller holds the lock on `data_dir`, so no other daemon with this config can be about to open it too.
///
/// # Errors
/// See [`BindError`].
pub async fn bind(path: &Path, group: &str) -> Result<UnixListener, BindError> {
    let gid = match group {
        "" => None,
        name => Some(group_id(name)?),
    };
    if let Some(folder) = path.parent() {
        make_folder(folder, gid)?;
    }
    clear(path).await?;
    let socket = UnixSocket::new_stream().map_err(failed("make the control socket", path))?;
    // The file takes the mode that the socket has when it is bound: it is never open to more than that, not for a moment.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)
        .map_err(|e| failed("make private the control socket", path)(e.into()))?;
    socket
        .bind(path)
        .map_err(failed("bind the control socket", path))?;
    if let Some(gid) = gid {
        give(path, gid)?;
        let mode = Permissions::from_mode(0o660);
        std::fs::set_permissions(path, mode).map_err(failed("open to its group", path))?;
    }
    socket
        .listen(BACKLOG)
        .map_err(failed("listen on the control socket", path))
}

/// The error of an attempt on `path`.
fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BindError {
    let path = path.to_owned();
    move |source| BindError::Io {
        attempt,
        path,
        source,
    }
}

fn make_folder(folder: &Path, gid: Option<u32>) -> Result<(), BindError> {
    if folder.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    let mode = if gid.is_some() { 0o750 } else { 0o700 };
    std::fs::set_permissions(folder, Permissions::from_mode(mode))
        .map_err(failed("make private the folder", folder))?;
    if let Some(gid) = gid {
        give(folder, gid)?;
    }
    Ok(())
}

/// Gives a file to a group, unless the group has it: a service whose own group it is may be forbidden to ask.
fn give(path: &Path, gid: u32) -> Result<(), BindError> {
    let found = std::fs::symlink_metadata(path).map_err(failed("look at", path))?;
    if found.gid() == gid {
        return Ok(());
    }
    std::os::unix::fs::chown(path, None, Some(gid)).map_err(failed("give to its group", path))
}

/// Removes the socket of a daemon that was killed.
async fn clear(path: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at the control socket", path)(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed("remove the old control socket", path))
        }
        Err(error) => Err(failed("try the control socket", path)(error)),
    }
}

/// The number of a group, from `/etc/group`.
fn group_id(name: &str) -> Result<u32, BindError> {
    let path = Path::new("/etc/group");
    let table = std::fs::read_to_string(path).map_err(failed("read", path))?;
    find_group(&table, name).ok_or_else(|| BindError::NoGroup(name.to_owned()))
}

fn find_group(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        fields.nth(1).filter(|_| found)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let table = "root:x:0:\ndocent-admin:x:7:\ndocent:x:990:alice,bob\n";
        assert_eq!(find_group(table, "docent"), Some(990));
        assert_eq!(find_group(table, "doc"), None);
    }

    #[tokio::test]
    async fn the_socket_is_private_and_replaces_only_one_that_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docent.sock");
        let first = bind(&path, "").await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = bind(&path, "").await;
        assert!(matches!(second, Err(BindError::InUse(_))), "{second:?}");
        drop(first);
        bind(&path, "").await.unwrap();

        let file = folder.path().join("a file");
        std::fs::write(&file, "kept").unwrap();
        assert!(matches!(
            bind(&file, "").await,
            Err(BindError::NotASocket(_))
        ));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        assert!(matches!(
            bind(&path, "no such group").await,
            Err(BindError::NoGroup(_))
        ));
    }
}
