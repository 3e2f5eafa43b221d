//! The file system below a root, through directory handles: no link is followed, no name leads out of the root.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fd::AsFd;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::pulse::Pulse;
use crate::store::FileStat;

/// The most entries of a directory that are listed: their names are in memory while it is walked.
const ENTRIES_MAX: usize = 1_000_000;

/// Bytes read between two signs of life.
const CHUNK: usize = 1024 * 1024;

/// What identifies a file or a directory while it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// What distinguishes the directory at a root's path from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RootId {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// When it was made, nanoseconds since 1970; 0 where the file system does not tell. Inode numbers are reused.
    pub(super) born_ns: i64,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    Directory,
    File(FileStat),
    /// A link, a pipe, a socket, a device.
    Other,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirEntry {
    pub(super) name: Vec<u8>,
    pub(super) directory: bool,
}

/// How reading a file ended.
#[derive(Debug)]
pub(super) enum FileRead {
    /// It was read whole, and its stat was the same before and after.
    Whole(FileStat, Vec<u8>),
    /// It changed while it was read.
    Changed,
    /// It is no longer a regular file of a size that is read.
    Another,
}

/// Opens a root: a directory that can be listed. The path of the root itself may lead through links.
pub(super) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::open(path, flags, Mode::empty())?)
}

/// Opens the directory `name` in `above` without following a link.
pub(super) fn open_directory(above: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(above, name, flags, Mode::empty())
}

/// Opens the file `name` in `above` for reading, without following a link and without waiting for a pipe's other end.
pub(super) fn open_file(above: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags =
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    fs::openat(above, name, flags, Mode::empty())
}

/// Identifies the directory of a handle.
pub(super) fn id(handle: &OwnedFd) -> Result<FileId, Errno> {
    fs::fstat(handle).map(|s| FileId {
        device: s.st_dev,
        inode: s.st_ino,
    })
}

/// Identifies the directory of a root's handle.
pub(super) fn root_id(handle: &OwnedFd) -> Result<RootId, Errno> {
    let FileId { device, inode } = id(handle)?;
    let wanted = fs::StatxFlags::BTIME;
    let born_ns = match fs::statx(handle, c"", AtFlags::EMPTY_PATH, wanted) {
        Ok(seen) if fs::StatxFlags::from_bits_retain(seen.stx_mask).contains(wanted) => {
            nanoseconds(seen.stx_btime.tv_sec, u64::from(seen.stx_btime.tv_nsec))
        }
        _ => 0,
    };
    Ok(RootId {
        device,
        inode,
        born_ns,
    })
}

/// Whether the error says that docent has no permission. Files that docent may no longer read must leave search; any
/// other error says nothing about that.
pub(super) fn is_denied(errno: Errno) -> bool {
    matches!(errno, Errno::ACCESS | Errno::PERM)
}

/// Whether docent may read the file `name` in `above`, as far as can be told without opening it.
pub(super) fn may_read(above: &OwnedFd, name: &[u8]) -> bool {
    let asked = fs::accessat(above, name, fs::Access::READ_OK, AtFlags::EACCESS);
    !asked.is_err_and(is_denied)
}

/// Fails if docent may not search a directory for names.
pub(super) fn may_enter(directory: &OwnedFd) -> Result<(), Errno> {
    match fs::accessat(directory, c".", fs::Access::EXEC_OK, AtFlags::EACCESS) {
        Err(errno) if is_denied(errno) => Err(errno),
        _ => Ok(()),
    }
}

/// The stat of the file `name` in `above`, if it has other names too.
pub(super) fn stat_with_other_names(above: &OwnedFd, name: &[u8]) -> Option<FileStat> {
    let stat = fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    match kind_of(&stat) {
        NodeKind::File(file) if stat.st_nlink > 1 => Some(file),
        _ => None,
    }
}

/// What `name` in `above` is. Links are not followed.
pub(super) fn kind(above: &OwnedFd, name: &[u8]) -> Result<NodeKind, Errno> {
    fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW).map(|s| kind_of(&s))
}

fn kind_of(stat: &Stat) -> NodeKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => NodeKind::Directory,
        FileType::RegularFile => NodeKind::File(file_stat(stat)),
        _ => NodeKind::Other,
    }
}

fn nanoseconds(seconds: i64, fraction: u64) -> i64 {
    let fraction = i64::try_from(fraction).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(fraction)
}

fn file_stat(stat: &Stat) -> FileStat {
    FileStat {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

/// Lists the files and directories in a directory in the order of their paths: a directory sorts with the slash that
/// follows its name. Links, pipes, sockets and devices are left out.
pub(super) fn list(directory: &OwnedFd) -> io::Result<Vec<DirEntry>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut stream = Dir::new(fs::openat(directory, c".", flags, Mode::empty())?)?;
    let mut entries = Vec::new();
    while let Some(entry) = stream.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not tell in the listing.
            FileType::Unknown => match kind(directory, name) {
                Ok(NodeKind::Directory) => FileType::Directory,
                Ok(NodeKind::File(_)) => FileType::RegularFile,
                Ok(NodeKind::Other) | Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            },
            known => known,
        };
        if kind == FileType::Directory || kind == FileType::RegularFile {
            entries.push(DirEntry {
                name: name.to_vec(),
                directory: kind == FileType::Directory,
            });
        }
        if entries.len() > ENTRIES_MAX {
            return Err(io::Error::other(format!(
                "it has more than {ENTRIES_MAX} entries"
            )));
        }
    }
    entries.sort_unstable_by(|a, b| a.sort_key().cmp(b.sort_key()));
    Ok(entries)
}

impl DirEntry {
    fn sort_key(&self) -> impl Iterator<Item = &u8> {
        self.name.iter().chain(self.directory.then_some(&b'/'))
    }
}

/// Reads an open file of at most `limit` bytes.
pub(super) fn read(file: &OwnedFd, limit: u64, pulse: &Pulse) -> Result<FileRead, Errno> {
    let NodeKind::File(before) = kind_of(&fs::fstat(file)?) else {
        return Ok(FileRead::Another);
    };
    if before.size > limit {
        return Ok(FileRead::Another);
    }
    let size = usize::try_from(before.size).map_err(|_| Errno::FBIG)?;
    // One byte more than the file has, to see the end or that there is more.
    let mut bytes = vec![0; size + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        let end = bytes.len().min(filled + CHUNK);
        match rustix::io::read(file, &mut bytes[filled..end]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        pulse.beat();
    }
    if filled != size || kind_of(&fs::fstat(file)?) != NodeKind::File(before) {
        return Ok(FileRead::Changed);
    }
    bytes.truncate(size);
    Ok(FileRead::Whole(before, bytes))
}

/// What was found at the path of a small file that steers docent (ignore rules).
#[derive(Debug)]
pub(super) enum SmallFile {
    /// A file, with all its bytes.
    Whole(Vec<u8>),
    /// A file with more bytes than the limit.
    TooLarge,
    /// A link, and links are not followed.
    Link,
    /// A directory, a pipe, a socket or a device.
    Another,
    /// A file that docent may not read.
    Denied,
}

/// Reads the small file `name` in `above`. A pipe of that name is never waited for.
pub(super) fn read_small(
    above: impl AsFd,
    name: &[u8],
    follow: bool,
    limit: u64,
) -> Result<SmallFile, Errno> {
    let (at, open) = if follow {
        (AtFlags::empty(), OFlags::empty())
    } else {
        (AtFlags::SYMLINK_NOFOLLOW, OFlags::NOFOLLOW)
    };
    // A pipe is recognised here and never opened.
    let stat = fs::statat(&above, name, at)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return Ok(SmallFile::Link),
        _ => return Ok(SmallFile::Another),
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | open;
    let file = match fs::openat(&above, name, flags, Mode::empty()) {
        Err(Errno::ACCESS | Errno::PERM) => return Ok(SmallFile::Denied),
        opened => opened?,
    };
    let NodeKind::File(stat) = kind_of(&fs::fstat(&file)?) else {
        return Ok(SmallFile::Another);
    };
    if stat.size > limit {
        return Ok(SmallFile::TooLarge);
    }
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 8192];
    loop {
        match rustix::io::read(&file, &mut chunk[..]) {
            Ok(0) => return Ok(SmallFile::Whole(bytes)),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if bytes.len() as u64 > limit {
            return Ok(SmallFile::TooLarge);
        }
    }
}

/// The kind of a file system on which other hosts' changes are not notified here; `None`: it is a local one.
pub(super) fn is_remote(root: &OwnedFd) -> Option<&'static str> {
    // The magic numbers of statfs(2).
    const REMOTE: &[(u64, &str)] = &[
        (0x6969, "NFS"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB2"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9P"),
        (0x00C3_6400, "Ceph"),
        (0x517B, "SMB"),
        (0x5346_414F, "AFS"),
        (0x786F_4256, "vboxsf"),
        (0x0BD0_0BD0, "Lustre"),
        (0x0116_1970, "GFS2"),
        (0x7461_636F, "OCFS2"),
    ];
    let kind = u64::try_from(fs::fstatfs(root).ok()?.f_type).ok()?;
    REMOTE
        .iter()
        .find(|(magic, _)| *magic == kind)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_the_order_of_their_paths_and_links_and_pipes_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a", "b"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for file in ["a.md", "a0", "a-b"] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("a.md", dir.path().join("link.md")).unwrap();
        fs::mknodat(
            fs::CWD,
            dir.path().join("pipe.md"),
            FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        let names: Vec<String> = list(&open_root(dir.path()).unwrap())
            .unwrap()
            .into_iter()
            .map(|e| String::from_utf8(e.name).unwrap())
            .collect();
        // `a/` sorts between `a-b` and `a.md`… `-` 2d, `.` 2e, `/` 2f, `0` 30.
        assert_eq!(names, ["a-b", "a.md", "a", "a0", "b"]);
    }

    #[test]
    fn a_file_over_the_limit_and_a_pipe_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.md"), "12345").unwrap();
        fs::mknodat(
            fs::CWD,
            dir.path().join("p.md"),
            FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        let root = open_root(dir.path()).unwrap();
        let pulse = Pulse::default();
        let file = open_file(&root, b"x.md").unwrap();
        assert!(matches!(read(&file, 4, &pulse).unwrap(), FileRead::Another));
        let file = open_file(&root, b"x.md").unwrap();
        assert!(
            matches!(read(&file, 5, &pulse).unwrap(), FileRead::Whole(s, b) if s.size == 5 && b == b"12345")
        );
        let pipe = open_file(&root, b"p.md").unwrap();
        assert!(matches!(read(&pipe, 5, &pulse).unwrap(), FileRead::Another));
        let small = |name: &[u8]| read_small(&root, name, false, 4).unwrap();
        assert!(matches!(small(b"x.md"), SmallFile::TooLarge));
        assert!(matches!(small(b"p.md"), SmallFile::Another));
    }
}
