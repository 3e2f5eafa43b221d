//! The folder of the index: made, locked, verified, and wiped when what is in it cannot be trusted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tantivy::directory::error::LockError;
use tantivy::directory::{DirectoryLock, INDEX_WRITER_LOCK};
use tantivy::{Index as KeywordIndex, IndexSettings, TantivyError};

use super::analyse::{analyser, exact_analyser};
use super::directory::MemoryDirectory;
use super::error::{IndexError, WhyNew, plain};
use super::fields::{ANALYSER, EXACT_ANALYSER, schema};
use super::identity::{Identity, IndexPosition};

/// The least length of a file that ends in tantivy's footer: its length and its magic number.
const LEAST_FOOTER: usize = 8;

/// The folder, locked against every other writer for as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    directory: MemoryDirectory,
    _lock: DirectoryLock,
    /// What stood there was no folder.
    was_something_else: bool,
}

impl Folder {
    /// Makes the folder if need be, and locks it.
    ///
    /// # Errors
    /// Another writer holds it, or the file system refuses.
    pub(super) fn take(path: &Path) -> Result<Self, IndexError> {
        let was_something_else = make(path)?;
        let directory = MemoryDirectory::new(path);
        let lock = match directory.lock() {
            Err(LockError::IoError(_)) => {
                // Something that is not a file has the lock's name.
                let name = path.join(&INDEX_WRITER_LOCK.filepath);
                remove(&name).map_err(folder_error("remove", &name))?;
                directory.lock()
            }
            taken_or_busy => taken_or_busy,
        };
        let lock = lock.map_err(|e| match e {
            LockError::LockBusy => IndexError::Busy(path.to_owned()),
            LockError::IoError(e) => folder_error("lock", path)(io::Error::other(e)),
        })?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            _lock: lock,
            was_something_else,
        })
    }

    /// The index in the folder and its position, if it can be continued.
    ///
    /// # Errors
    /// It cannot; the reason says why.
    pub(super) fn existing(
        &self,
        identity: &Identity,
    ) -> Result<(KeywordIndex, IndexPosition), WhyNew> {
        if self.was_something_else {
            return Err(WhyNew::NotAFolder);
        }
        if !KeywordIndex::exists(&self.directory).map_err(damaged)? {
            return Err(WhyNew::Absent);
        }
        let index = KeywordIndex::open(self.directory.clone()).map_err(damaged)?;
        let meta = index.load_metas().map_err(damaged)?;
        let position = identity.position(meta.payload.as_deref())?;
        if index.schema() != schema(identity.stores_chunks).0 {
            return Err(WhyNew::Foreign);
        }
        let managed = index.directory().list_managed_files();
        for file in meta.list_segment_files() {
            verify(&self.path, &index, &file, managed.contains(&file))?;
        }
        Ok((with_analyser(index), position))
    }

    /// Empties the folder and makes an index in it that has nothing, not even a position.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn begin_anew(&self, identity: &Identity) -> Result<KeywordIndex, IndexError> {
        let entries = fs::read_dir(&self.path).map_err(folder_error("list", &self.path))?;
        for entry in entries {
            let path = entry.map_err(folder_error("list", &self.path))?.path();
            // The lock is on this very file: another one under its name would not exclude anybody.
            if path.file_name() != INDEX_WRITER_LOCK.filepath.file_name() {
                remove(&path).map_err(folder_error("remove", &path))?;
            }
        }
        let settings = IndexSettings::default();
        let (schema, _) = schema(identity.stores_chunks);
        KeywordIndex::create(self.directory.clone(), schema, settings)
            .map(with_analyser)
            .map_err(IndexError::keyword("make an empty index"))
    }
}

/// Verifies one of the files that a segment may have, and that it is in the list of files.
fn verify(folder: &Path, index: &KeywordIndex, file: &Path, managed: bool) -> Result<(), WhyNew> {
    let length = match fs::metadata(folder.join(file)) {
        Ok(metadata) => metadata.len(),
        // Not every segment has every file. One that is needed is missed when its segment is opened.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(damaged(e)),
    };
    // tantivy panics on a footer that is cut in its last bytes.
    let whole = length >= LEAST_FOOTER as u64;
    let sound = whole && index.directory().validate_checksum(file).map_err(damaged)?;
    let name = file.display();
    match (sound, managed) {
        (true, true) => Ok(()),
        (false, _) => Err(WhyNew::Damaged(format!(
            "the checksum of {name} does not match"
        ))),
        (true, false) => Err(WhyNew::Damaged(format!(
            "{name} is not in the list of files"
        ))),
    }
}

/// Looks at the index in a folder that nobody writes to, and changes nothing. Where there is none, nothing is wrong.
///
/// # Errors
/// Its files are not what they were when they were written.
pub(crate) fn inspect(folder: &Path) -> Result<(), WhyNew> {
    if !folder.exists() || is_gone(folder) {
        return Ok(());
    }
    let index = KeywordIndex::open(MemoryDirectory::new(folder)).map_err(damaged)?;
    let meta = index.load_metas().map_err(damaged)?;
    let managed = index.directory().list_managed_files();
    for file in meta.list_segment_files() {
        verify(folder, &index, &file, managed.contains(&file))?;
    }
    Ok(())
}

/// Whether there is no index at `path` any more: somebody removed it, or the folder.
pub(super) fn is_gone(path: &Path) -> bool {
    matches!(KeywordIndex::exists(&MemoryDirectory::new(path)), Ok(false))
}

fn with_analyser(index: KeywordIndex) -> KeywordIndex {
    index.tokenizers().register(ANALYSER, analyser());
    index
        .tokenizers()
        .register(EXACT_ANALYSER, exact_analyser());
    index
}

/// Makes the folder `path`; true if something else had to give way to it.
fn make(path: &Path) -> Result<bool, IndexError> {
    let in_the_way = match fs::symlink_metadata(path) {
        // A link to a folder is a folder.
        Ok(_) => !path.is_dir(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(folder_error("look at", path)(e)),
    };
    if in_the_way {
        remove(path).map_err(folder_error("remove", path))?;
    }
    fs::create_dir_all(path).map_err(folder_error("make the folder", path))?;
    Ok(in_the_way)
}

/// Removes whatever has the name `path`, never what a link points to.
fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

fn folder_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IndexError {
    let path = path.to_owned();
    move |source| IndexError::Folder {
        attempted,
        path,
        source,
    }
}

/// What went wrong while reading an index is the reason to make another.
pub(super) fn damaged(error: impl Into<TantivyError>) -> WhyNew {
    WhyNew::Damaged(plain(&error.into()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::testing::{generated, identity, known, numbers, open, words};
    use super::super::{Index, Replacement};
    use super::*;

    /// Two commits, so that there is a segment with deletions, and their files.
    fn filled(path: &Path) -> (Vec<Replacement>, Vec<(OsString, Vec<u8>)>) {
        let index = open(path).index;
        let batch: Vec<_> = (0..20)
            .map(|d| generated(d, d.into(), u64::from(d) * 100))
            .collect();
        index.apply(&batch, 4).unwrap();
        index.apply(&[generated(0, 50, 9000)], 5).unwrap();
        drop(index);
        let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
        let files: Vec<_> = files
            .map(|e| (e.file_name(), fs::read(e.path()).unwrap()))
            .collect();
        let mut batch = batch;
        batch[0] = generated(0, 50, 9000);
        (batch, files)
    }

    fn restore(path: &Path, files: &[(OsString, Vec<u8>)]) {
        remove(path).unwrap();
        fs::create_dir(path).unwrap();
        for (name, content) in files {
            fs::write(path.join(name), content).unwrap();
        }
    }

    /// Opens the index and makes sure that it is what it was, or empty; whether it was continued.
    fn continued(path: &Path, content: &[Replacement]) -> bool {
        let opened = open(path);
        if opened.why_new.is_some() {
            assert_eq!((opened.position, opened.index.chunks().unwrap()), (0, 0));
            return false;
        }
        assert_eq!(opened.position, 5);
        let loaded = opened.index.load(known(content)).unwrap();
        assert_eq!((loaded.not_indexed, loaded.dangling), (0, 0));
        assert!(numbers(&opened.index, &words("retry \"index\"")).len() > 3);
        true
    }

    #[test]
    fn an_index_with_a_damaged_file_is_begun_anew() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("index");
        let (content, files) = filled(&path);
        restore(&path, &files);
        assert!(continued(&path, &content), "undamaged it is continued");
        for (name, whole) in &files {
            if name.to_string_lossy().ends_with(".lock") {
                continue;
            }
            let length = whole.len();
            let mut damages: Vec<Option<Vec<u8>>> =
                vec![None, Some(vec![0xA5; length]), Some(vec![0; length])];
            damages.extend(
                [0, 1, 5, 8, length / 2, length - 1].map(|cut| Some(whole[..cut].to_vec())),
            );
            damages.extend([0, 3, length / 3, length / 2].map(|at| {
                let mut altered = whole.clone();
                altered[at] ^= 0x10;
                Some(altered)
            }));
            for (kind, damage) in damages.into_iter().enumerate() {
                restore(&path, &files);
                match damage {
                    None => fs::remove_file(path.join(name)).unwrap(),
                    Some(damage) => fs::write(path.join(name), damage).unwrap(),
                }
                // The footer of a segment file is not under its checksum, but nothing in it is used.
                let continued = continued(&path, &content);
                assert!(!continued || kind > 8, "{name:?} with damage {kind}");
            }
        }
    }

    #[test]
    fn whatever_stands_in_its_place_gives_way() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("index");
        let (content, files) = filled(&path);

        remove(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        let opened = open(&path);
        assert_eq!(opened.why_new, Some(WhyNew::NotAFolder));
        drop(opened);
        assert!(fs::metadata(&path).unwrap().is_dir());

        restore(&path, &files);
        fs::remove_file(path.join("meta.json")).unwrap();
        fs::create_dir_all(path.join("meta.json/sub")).unwrap();
        assert!(!continued(&path, &content));

        restore(&path, &files);
        fs::remove_file(path.join(&INDEX_WRITER_LOCK.filepath)).unwrap();
        fs::create_dir_all(path.join(&INDEX_WRITER_LOCK.filepath).join("sub")).unwrap();
        assert!(continued(&path, &content), "a strange lock is no damage");
    }

    #[test]
    fn wiping_follows_no_link() {
        let parent = tempfile::tempdir().unwrap();
        let (path, other) = (parent.path().join("index"), parent.path().join("other"));
        fs::create_dir_all(&path).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("precious"), "kept").unwrap();
        std::os::unix::fs::symlink(&other, path.join("link")).unwrap();
        drop(open(&path));
        assert!(fs::symlink_metadata(path.join("link")).is_err());
        assert_eq!(fs::read(other.join("precious")).unwrap(), b"kept");
    }

    #[test]
    fn an_index_of_tantivy_that_is_not_ours_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let directory = MemoryDirectory::new(folder.path());
        KeywordIndex::create(directory, schema(false).0, IndexSettings::default()).unwrap();
        let opened = Index::open(folder.path(), &identity()).unwrap();
        assert_eq!(opened.why_new, Some(WhyNew::Foreign));
    }
}
