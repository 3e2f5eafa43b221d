//! Whether store and index are intact, and whether there is room for more.

use std::path::Path;

use super::Findings;
use crate::config::{Config, format_size};
use crate::disk;
use crate::index;
use crate::store::{Inspection, denied, inspect};

/// The store is whole and of a schema that this docent knows, and so is the index.
pub(super) fn store(config: &Config, findings: &mut Findings) {
    let path = config.data_dir.join("store.db");
    let path = path.display();
    let denied = denied(&config.data_dir);
    for denied in &denied {
        let what = format!("the store: {denied}");
        findings.lack("store", what, denied.remedy.clone());
    }
    if !denied.is_empty() {
        return;
    }
    let found = inspect(&config.data_dir);
    if found != Inspection::InUse {
        // One that a daemon has changes all the time, and the daemon compares it with the store.
        index(&config.data_dir.join("index"), findings);
    }
    match found {
        Inspection::Absent | Inspection::Intact => {}
        Inspection::InUse => findings.notes.push(format!(
            "a daemon has {path}: it checks the store itself, `docent health` tells"
        )),
        Inspection::Newer { found, known } => findings.lack(
            "store",
            format!("the store: {path} has schema {found}, and this docent knows up to {known}"),
            "run the newer docent, or put back a copy from before",
        ),
        Inspection::Damaged(cause) => findings.lack(
            "store",
            format!("the store: {path} is damaged: {cause}"),
            "put back a copy, or move it away with its -wal file: documents are read anew, events and audit log begin anew",
        ),
        Inspection::Unreadable(cause) => findings.lack(
            "store",
            format!("the store: cannot read {path}: {cause}"),
            "let this user read it, or run as the user that docent runs as",
        ),
    }
}

/// What is in the index's folder has the checksums that it should have.
fn index(folder: &Path, findings: &mut Findings) {
    if let Err(reason) = index::inspect(folder) {
        findings.lack(
            "index",
            format!("the index: {}: {reason}", folder.display()),
            "nothing: the next start makes it anew from the store",
        );
    }
}

/// There is more free space than the floor.
pub(super) fn free_space(config: &Config, findings: &mut Findings) {
    let Some(nearest) = config.data_dir.ancestors().find(|above| above.exists()) else {
        return;
    };
    let floor = config.store.free_space_floor;
    match disk::free_space(nearest) {
        Ok(free) => {
            if free < floor {
                findings.lack(
                    "space",
                    format!(
                        "free space: the disk of {} has {}, less than [store] free_space_floor = \"{}\": nothing is captured",
                        nearest.display(),
                        format_size(free),
                        format_size(floor)
                    ),
                    "free space, or set a lower floor",
                );
            }
        }
        Err(cause) => findings.lack(
            "space",
            format!(
                "free space: cannot ask the disk of {}: {cause}",
                nearest.display()
            ),
            "mend the disk, or set another data_dir",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::config;

    #[test]
    fn a_store_that_is_no_store_and_a_floor_that_is_too_high_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let text = "data_dir = \"data\"\n[store]\nfree_space_floor = \"1TiB\"\n";
        let config = config(folder.path(), text);
        let mut findings = Findings::default();
        store(&config, &mut findings);
        assert_eq!(findings, Findings::default(), "nothing is there yet");
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let file = folder.path().join("data/store.db");
        std::fs::write(
            &file,
            "this is no database, and long enough to have a header of one",
        )
        .unwrap();
        store(&config, &mut findings);
        assert_eq!(findings.lacks.len(), 1, "{findings:?}");
        assert!(
            findings.lacks[0].what.contains("store.db is damaged: "),
            "{findings:?}"
        );
        assert!(
            std::fs::read_to_string(&file)
                .unwrap()
                .starts_with("this is no database")
        );
        let before = findings.lacks.len();
        free_space(&config, &mut findings);
        let disk = rustix::fs::statvfs(folder.path()).unwrap();
        let short = disk.f_bavail * disk.f_frsize < 1 << 40;
        assert_eq!(findings.lacks.len() - before, usize::from(short));
    }
}
