//! Reading a document as it is indexed: captured bytes, never the file.
//!
//! The file itself is looked at for one thing: whether it is still what was captured.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use axum::extract::State as Shared;
use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::Deserialize;

use super::State;
use super::access::Caller;
use super::lines::Json;
use super::params::{Params, limited};
use super::reference::{self, Known, Referenced, find, no_document};
use super::text::{Room, part};
use super::wire::{LeftOff, Problem, ProblemKind, ReadAnswer};
use crate::event::escape;
use crate::store::{Digest, DocumentRow, FileStat};

/// Lines and bytes of one answer, unless it is said, and at most.
const LINES: usize = 10_000;
const LINES_MAX: usize = 1_000_000;
const BYTES: usize = 1024 * 1024;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The query of `GET /api/v1/read`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadQuery {
    #[serde(rename = "ref")]
    reference: String,
    max_lines: Option<usize>,
    max_bytes: Option<usize>,
}

pub(super) async fn read(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<ReadQuery>,
) -> Result<Json<ReadAnswer>, Problem> {
    let room = Room {
        lines: limited(query.max_lines, LINES, LINES_MAX)?,
        bytes: limited(query.max_bytes, BYTES, BYTES_MAX)?,
    };
    let found = find(&state, &caller, &query.reference).await?;
    let Some((known, named)) = found.filter(|(known, _)| known.readable().is_some()) else {
        return Err(no_document());
    };
    let text = text_of(&state, &known.document).await?;
    let stale = is_stale(&state, &known).await?;
    let answer = state
        .compute
        .run(move || answer(&known.document, &text, (named, room), stale))
        .await;
    Ok(Json(answer.map_err(internal)??))
}

/// The text of a document's present version.
pub(super) async fn text_of(state: &State, document: &DocumentRow) -> Result<String, Problem> {
    let digest = document.digest.clone();
    let Some(bytes) = state.store.content(digest.clone()).await? else {
        let detail = format!("the bytes {digest} are not in the store");
        return Err(Problem::new(ProblemKind::StoreUnavailable, detail)
            .hint("`docent scan` reads the file again"));
    };
    // What is stored as a document is text.
    let text = String::from_utf8(bytes).map_err(|e| internal(e.to_string()))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

pub(super) fn internal(cause: String) -> Problem {
    Problem::new(ProblemKind::Internal, cause)
}

fn answer(
    document: &DocumentRow,
    text: &str,
    (named, room): (Option<Referenced>, Room),
    stale: bool,
) -> Result<ReadAnswer, Problem> {
    let place = format!("{}/{}", document.collection, escape(&document.path));
    let bad = |detail| Problem::new(ProblemKind::BadRequest, detail);
    let wanted = named.map(reference::range).transpose().map_err(bad)?;
    let (total_lines, part) = part(text, wanted, room);
    let Some(part) = part else {
        let detail = format!("{place} has {total_lines} lines");
        return Err(Problem::new(ProblemKind::NotFound, detail));
    };
    let last = wanted.map_or(total_lines, |(_, last)| last.min(total_lines));
    let left_off = (part.bytes_left > 0).then(|| LeftOff {
        lines: part.lines_left,
        bytes: part.bytes_left as u64,
        next: part.next.map(|next| format!("{place}:{next}-{last}")),
    });
    Ok(ReadAnswer {
        collection: document.collection.clone(),
        path: escape(&document.path),
        version: document.version,
        digest: document.digest.to_string(),
        lines: part.lines,
        total_lines,
        text: part.text.to_owned(),
        stale,
        left_off,
    })
}

/// Whether the file is another one than what is shown of it.
async fn is_stale(state: &State, known: &Known) -> Result<bool, Problem> {
    let Some(row) = known.readable() else {
        return Ok(true);
    };
    let root = state.info.roots.get(&row.collection).cloned();
    let (Some(root), true) = (root, row.digest.as_ref() == Some(&known.document.digest)) else {
        // Newer bytes are captured, and not processed yet.
        return Ok(true);
    };
    let (path, stat, digest) = (row.path.clone(), row.stat, known.document.digest.clone());
    let looked = state
        .compute
        .run(move || is_same(&root, &path, &stat, &digest).unwrap_or(false));
    looked.await.map(|same| !same).map_err(internal)
}

/// Whether the file at `path` below `root` holds the bytes of this digest. One with the same stat is not read.
fn is_same(root: &Path, path: &[u8], known: &FileStat, digest: &Digest) -> Result<bool, Errno> {
    let file = open_below(root, path)?;
    let stat = fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if is_stat(&stat, known) || size != known.size {
        return Ok(size == known.size);
    }
    let mut bytes = Vec::new();
    // Not further than what it is compared with.
    let read = File::from(file)
        .take(known.size + 1)
        .read_to_end(&mut bytes);
    Ok(read.is_ok() && Digest::of(&bytes) == *digest)
}

fn is_stat(stat: &Stat, known: &FileStat) -> bool {
    let at = |seconds: i64, fraction: u64| {
        let fraction = i64::try_from(fraction).unwrap_or(0);
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(fraction)
    };
    known.size == u64::try_from(stat.st_size).unwrap_or(0)
        && known.mtime_ns == at(stat.st_mtime, stat.st_mtime_nsec)
        && known.ctime_ns == at(stat.st_ctime, stat.st_ctime_nsec)
        && (known.device, known.inode) == (stat.st_dev, stat.st_ino)
}

/// Opens a file without following a link below the root, and without waiting for a pipe's other end.
fn open_below(root: &Path, path: &[u8]) -> Result<OwnedFd, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = fs::open(root, folder, Mode::empty())?;
    let mut names = path.split(|b| *b == b'/').peekable();
    while let Some(name) = names.next() {
        let flags = match names.peek() {
            Some(_) => folder,
            None => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        };
        at = fs::openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_its_stat_or_else_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub").join("a.md");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "one").unwrap();
        let digest = Digest::of(b"one");
        let stat = fs::stat(&file).unwrap();
        let mut known = FileStat {
            size: 3,
            mtime_ns: stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec as i64,
            ctime_ns: stat.st_ctime * 1_000_000_000 + stat.st_ctime_nsec as i64,
            device: stat.st_dev,
            inode: stat.st_ino,
        };
        assert!(is_stat(&stat, &known));
        let same = |known: &FileStat| is_same(folder.path(), b"sub/a.md", known, &digest);
        assert_eq!(same(&known), Ok(true));
        known.mtime_ns -= 1;
        assert_eq!(same(&known), Ok(true), "touched");
        std::fs::write(&file, "two").unwrap();
        assert_eq!(same(&known), Ok(false));
        std::fs::write(&file, "longer").unwrap();
        assert_eq!(same(&known), Ok(false));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(same(&known), Err(Errno::NOENT));
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert_eq!(same(&known), Err(Errno::LOOP));
        std::fs::remove_dir_all(folder.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("sub")).unwrap();
        assert_eq!(same(&known), Err(Errno::NOTDIR));
    }
}
