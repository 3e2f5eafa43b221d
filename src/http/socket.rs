//! The control socket as a file: who may use it, and what stands in its place.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Gid, Mode, OFlags};
use thiserror::Error;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::config::{Untrusted, group_id, trusted};
use crate::log_once::LogOnce;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// Why the control socket cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum BindError {
    /// Somebody answers on it.
    #[error("the control socket {path} is in use by another process; stop that one, or set another [control] socket", path = .0.display())]
    InUse(PathBuf),
    /// Something else has its name.
    #[error("{path} is not a socket; move it away, or set another [control] socket", path = .0.display())]
    NotASocket(PathBuf),
    /// The group does not exist.
    #[error("there is no group `{0}`; make it, or set another [control] group")]
    NoGroup(String),
    /// Somebody else can put something in its place.
    #[error("the control socket {path} is not safe; {remedy}", path = .path.display())]
    Untrusted {
        path: PathBuf,
        /// What to do about it.
        remedy: String,
        /// Who can, and where.
        #[source]
        cause: Untrusted,
    },
    /// The operating system refuses.
    #[error("cannot {attempt} {path}", path = .path.display())]
    Io {
        attempt: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// How long one attempt to bind it again may take: who holds its place may not answer.
const REBIND: Duration = Duration::from_secs(1);

/// The control socket, and the file that it was bound to. Bound again when that file is gone.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    gid: Option<u32>,
    listener: UnixListener,
    /// Device and inode of the file.
    file: (u64, u64),
    /// Why it could not be bound again, as it was said last.
    unbound: LogOnce<Option<String>>,
}

impl ControlSocket {
    /// The next connection. May be dropped while it waits.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// Whether the file is where it was bound.
    pub(super) fn is_there(&self) -> bool {
        let found = std::fs::symlink_metadata(&self.path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == self.file)
    }

    /// Binds it again, and says so, or why not; then it is to be tried again.
    pub(super) async fn rebind(&mut self) {
        let path = self.path.display();
        let attempt = tokio::time::timeout(REBIND, bind_for(&self.path, self.gid));
        let why = match attempt.await {
            Ok(Ok(anew)) => {
                tracing::warn!(name: "control.bound_again", socket = %path, "the control socket was gone; it is bound again");
                *self = anew;
                return;
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("it was not known within {REBIND:?} what is in its place"),
        };
        if self.unbound.is_new(Some(why.clone())) {
            tracing::error!(socket = %path, why, "the control socket is gone and cannot be bound again, so no command reaches docent; docent keeps trying");
        }
    }

    /// Closes it and removes its file, unless another one stands there by now.
    pub(crate) fn close(self) {
        if self.is_there() {
            // Should it stay, the next start finds that nobody answers on it.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// An error and its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Opens the control socket at `path`: 0600, or 0660 for `group` if one is named. Its folder is made if it is missing,
/// 0700 or 0750 for the group; one that is there is left as it is, and refused if others can put something else in the
/// socket's place. A socket that nobody answers on is replaced: the daemon that made it was killed.
///
/// The caller holds the lock on `data_dir`, so no other daemon with this config can be about to open it too.
pub(crate) async fn bind(path: &Path, group: &str) -> Result<ControlSocket, BindError> {
    let gid = match group {
        "" => None,
        name => {
            let found = group_id(name);
            Some(found.ok_or_else(|| BindError::NoGroup(name.to_owned()))?)
        }
    };
    bind_for(path, gid).await
}

/// The same for a group by its number, which is known without asking the system, as that may block.
async fn bind_for(path: &Path, gid: Option<u32>) -> Result<ControlSocket, BindError> {
    if let Some(folder) = path.parent() {
        trusted(folder).map_err(|cause| untrusted(path, cause))?;
        make_folder(folder, gid)?;
    }
    clear(path).await?;
    let socket = UnixSocket::new_stream().map_err(failed("make the control socket", path))?;
    // The file takes the mode that the socket has when it is bound: it is never open to more than that, not for a moment.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)
        .map_err(|e| failed("restrict access to the control socket", path)(e.into()))?;
    socket
        .bind(path)
        .map_err(failed("bind the control socket", path))?;
    let file = Inode::at(path)?;
    if let Some(gid) = gid {
        file.give(gid)?;
        file.set_mode(0o660)?;
    }
    let listener = socket
        .listen(BACKLOG)
        .map_err(failed("listen on the control socket", path))?;
    Ok(ControlSocket {
        path: path.to_owned(),
        gid,
        listener,
        file: (file.found.dev(), file.found.ino()),
        unbound: LogOnce::default(),
    })
}

fn untrusted(path: &Path, cause: Untrusted) -> BindError {
    BindError::Untrusted {
        path: path.to_owned(),
        remedy: cause.remedy(),
        cause,
    }
}

/// What stands at a path at one moment, held: what is done to it is done to nothing else, whatever stands there later.
struct Inode {
    path: PathBuf,
    held: OwnedFd,
    found: Metadata,
}

impl Inode {
    /// A link is not followed.
    fn at(path: &Path) -> Result<Self, BindError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| failed("look at", path)(e.into()))?;
        let held = File::from(held);
        let found = held.metadata().map_err(failed("look at", path))?;
        if found.is_symlink() {
            let cause = io::Error::other("it was replaced by a link");
            return Err(failed("look at", path)(cause));
        }
        Ok(Inode {
            path: path.to_owned(),
            held: held.into(),
            found,
        })
    }

    /// Gives it to a group, unless the group has it: a service whose own group it is may be forbidden to ask.
    fn give(&self, gid: u32) -> Result<(), BindError> {
        if self.found.gid() == gid {
            return Ok(());
        }
        let group = Some(Gid::from_raw(gid));
        rustix::fs::chownat(&self.held, "", None, group, AtFlags::EMPTY_PATH)
            .map_err(|e| failed("give to its group", &self.path)(e.into()))
    }

    fn set_mode(&self, mode: u32) -> Result<(), BindError> {
        // By the number of the descriptor, which leads to this inode alone.
        let held = format!("/proc/self/fd/{}", self.held.as_raw_fd());
        std::fs::set_permissions(held, Permissions::from_mode(mode))
            .map_err(failed("set the permissions of", &self.path))
    }
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
    let made = Inode::at(folder)?;
    if let Some(gid) = gid {
        made.give(gid)?;
    }
    made.set_mode(if gid.is_some() { 0o750 } else { 0o700 })
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(path.exists());

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

    #[tokio::test]
    async fn a_socket_that_is_gone_is_bound_again_and_what_stands_in_its_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/docent.sock");
        let mut socket = bind(&path, "").await.unwrap();
        assert!(socket.is_there());
        let mode = std::fs::metadata(path.parent().unwrap()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);

        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(!socket.is_there());
        socket.rebind().await;
        assert!(socket.is_there());
        UnixStream::connect(&path).await.unwrap();

        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "foreign").unwrap();
        socket.rebind().await;
        assert!(!socket.is_there());
        assert!(
            socket
                .unbound
                .last()
                .as_ref()
                .unwrap()
                .contains("is not a socket")
        );
        std::fs::remove_file(&path).unwrap();
        let other = bind(&path, "").await.unwrap();
        socket.rebind().await;
        assert!(socket.unbound.last().as_ref().unwrap().contains("in use"));
        socket.close();
        assert!(other.is_there(), "it is not ours to remove");
        other.close();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let refused = bind(&folder.path().join("docent.sock"), "").await;
        assert!(
            matches!(refused, Err(BindError::Untrusted { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn what_is_done_to_an_inode_does_not_follow_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = (folder.path().join("x"), folder.path().join("secret"));
        std::fs::write(&secret, "").unwrap();
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "").unwrap();
        let held = Inode::at(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert!(Inode::at(&path).is_err());
        held.set_mode(0o640).unwrap();
        let mode = std::fs::metadata(&secret).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
