//! Whether store and index are intact, and whether there is room for more.

use std::path::Path;

use super::EnvironmentReport;
use crate::config::{Config, Loaded, format_size};
use crate::daemon::host_options;
use crate::disk;
use crate::index;
use crate::store::{
    Database, DatabaseInspection, FINISH_COPY, Inspection, denied, disagreement_with_others,
    follow_moved, inspect,
};

/// The store is intact and has a schema that this docent knows, and the index is intact. Gives whether a daemon may have it.
pub(super) fn store(loaded: &Loaded, report: &mut EnvironmentReport) -> bool {
    let config = &loaded.config;
    let path = config.data_dir.join("store.db");
    let path = path.display();
    let denied = denied(&config.data_dir);
    for denied in &denied {
        let what = format!("the store: {denied}");
        report.unmet("store", what, denied.remedy.clone());
    }
    if !denied.is_empty() {
        return true;
    }
    let found = inspect(&config.data_dir);
    let runs = found == Inspection::InUse;
    if !runs {
        // A daemon changes its index all the time, and compares it with the store itself.
        index(&config.data_dir.join("index"), report);
    }
    if !config.store.url.is_empty() {
        database(loaded, report);
        return runs;
    }
    match found {
        Inspection::Absent | Inspection::Intact => {}
        Inspection::InUse => report.notes.push(format!(
            "a daemon is using {path}, and checks the store itself; see `docent health`"
        )),
        Inspection::Newer { found, known } => report.unmet(
            "store",
            format!("the store: {path} has schema {found}, but this docent knows only up to {known}"),
            "run the newer docent, or restore an earlier copy",
        ),
        Inspection::Moved(to) => report.unmet(
            "store",
            format!("the store: {path} was moved to {to}"),
            follow_moved(&to),
        ),
        Inspection::Damaged(cause) => report.unmet(
            "store",
            format!("the store: {path} is damaged: {cause}"),
            "restore a backup, or move it away with its -wal file: docent then reads every document again and starts a new ledger and audit log",
        ),
        Inspection::Unreadable(cause) => report.unmet(
            "store",
            format!("the store: cannot read {path}: {cause}"),
            "let this user read it, or run as the user that docent runs as",
        ),
    }
    runs
}

/// The database of the store can be reached, has a schema that this docent knows, and the hosts that work on it have the same settings.
fn database(loaded: &Loaded, report: &mut EnvironmentReport) {
    let database = crate::daemon::database(&loaded.config).map_err(|error| error.to_string());
    let inspected = database
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|database| {
            let found = database.as_ref().map(Database::inspect).transpose();
            found.map_err(|error| error.to_string())
        });
    if let (Ok(Some(database)), Ok(Some(found))) = (&database, &inspected)
        && found.is_current
    {
        let differs =
            disagreement_with_others(database, &host_options(&loaded.config, loaded.show()));
        if let Some(why) = differs.unwrap_or_else(Some) {
            let why = why.to_string();
            let (what, remedy) = why.split_once("; ").unwrap_or((&why, "correct [store]"));
            report.unmet("store", what, remedy);
        }
    }
    match inspected {
        Ok(None) => {}
        Ok(Some(found)) if found.is_newer => report.unmet(
            "store",
            format!(
                "the store in PostgreSQL has schema {}, which this docent does not know",
                found.schema
            ),
            "run the newer docent",
        ),
        Ok(Some(DatabaseInspection {
            moved_to: Some(to), ..
        })) => report.unmet(
            "store",
            format!("the store: it was moved from this database to {to}"),
            follow_moved(&to),
        ),
        Ok(Some(found)) if found.is_unfinished => report.unmet(
            "store",
            "the store: what is in the database is a copy that is not finished",
            FINISH_COPY,
        ),
        Ok(Some(found)) => {
            report.notes.push(format!(
                "the store is in PostgreSQL {}: {}",
                found.server,
                match found.schema {
                    0 => "the database is empty; the first start creates the tables".to_owned(),
                    schema => format!("schema {schema}"),
                }
            ));
            if !found.has_checksums {
                report.notes.push(
                    "PostgreSQL keeps no checksums, so it does not find damage on its disk; enable them with pg_checksums --enable while PostgreSQL is stopped"
                        .to_owned(),
                );
            }
        }
        Err(why) => report.unmet(
            "store",
            why,
            "start or repair the server, or correct [store] url, password_file, ca_file and tls",
        ),
    }
}

/// The index's files have the right checksums.
fn index(folder: &Path, report: &mut EnvironmentReport) {
    if let Err(reason) = index::inspect(folder) {
        report.unmet(
            "index",
            format!("the index: {}: {reason}", folder.display()),
            "nothing to do: the next start rebuilds it from the store",
        );
    }
}

/// More space is free than the floor.
pub(super) fn free_space(config: &Config, report: &mut EnvironmentReport) {
    let Some(nearest) = config.data_dir.ancestors().find(|above| above.exists()) else {
        return;
    };
    let floor = config.store.free_space_floor;
    match disk::free_space(nearest) {
        Ok(free) => {
            if free < floor {
                report.unmet(
                    "space",
                    format!(
                        "free space: the disk of {} has {}, less than [store] free_space_floor = \"{}\": nothing is captured",
                        nearest.display(),
                        format_size(free),
                        format_size(floor)
                    ),
                    "free some space, or set a lower floor",
                );
            }
        }
        Err(cause) => report.unmet(
            "space",
            format!(
                "free space: cannot query the disk of {}: {cause}",
                nearest.display()
            ),
            "repair the disk, or set another data_dir",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::loaded;

    #[test]
    fn a_store_that_is_no_store_and_a_floor_that_is_too_high_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let text = "data_dir = \"data\"\n[store]\nfree_space_floor = \"1TiB\"\n";
        let loaded = loaded(folder.path(), text);
        let mut report = EnvironmentReport::default();
        store(&loaded, &mut report);
        assert_eq!(report, EnvironmentReport::default(), "nothing is there yet");
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let file = folder.path().join("data/store.db");
        std::fs::write(
            &file,
            "this is no database, and long enough to have a header of one",
        )
        .unwrap();
        store(&loaded, &mut report);
        assert_eq!(report.unmet.len(), 1, "{report:?}");
        assert!(
            report.unmet[0].what.contains("store.db is damaged: "),
            "{report:?}"
        );
        assert!(
            std::fs::read_to_string(&file)
                .unwrap()
                .starts_with("this is no database")
        );
        let before = report.unmet.len();
        free_space(&loaded.config, &mut report);
        let disk = rustix::fs::statvfs(folder.path()).unwrap();
        let short = disk.f_bavail * disk.f_frsize < 1 << 40;
        assert_eq!(report.unmet.len() - before, usize::from(short));
    }
}
