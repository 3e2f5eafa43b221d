//! Paths: the roots can be read, `data_dir` is ours alone, the socket can be created.

use std::error::Error;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::Access;

use super::EnvironmentReport;
use crate::config::{Config, group_id, shell_word, trusted};
use crate::daemon;

/// Tells what makes a directory when the service starts, if anything does.
type Makes<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// Each root can be listed and entered.
pub(super) fn collections(config: &Config, report: &mut EnvironmentReport) {
    for collection in &config.collections {
        let (name, path) = (&collection.name, collection.path.display());
        if let Err(cause) = std::fs::read_dir(&collection.path) {
            report.unmet(
                "collections",
                format!("the collection {name}: cannot list {path}: {cause}"),
                "create it, let this user read it, or name another path",
            );
        } else if let Err(cause) = rustix::fs::access(&collection.path, Access::EXEC_OK) {
            report.unmet(
                "collections",
                format!("the collection {name}: cannot enter {path}: {cause}"),
                format!(
                    "let this user enter it, or everybody: `chmod a+x {}`",
                    shell_word(&collection.path)
                ),
            );
        }
    }
}

/// `data_dir` exists or can be made, is writable, and nobody else can read it.
pub(super) fn data_dir(data_dir: &Path, makes: Makes<'_>, report: &mut EnvironmentReport) {
    safe("data_dir", data_dir, report);
    writable_folder("data_dir", data_dir, makes, report);
    let Ok(found) = std::fs::metadata(data_dir) else {
        return;
    };
    let path = data_dir.display();
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us && us != 0 {
        report.unmet(
            "data_dir",
            format!(
                "data_dir: {path} belongs to the user {}, but this is the user {us}",
                found.uid()
            ),
            format!(
                "run this as that user, or make this user the owner: `chown -R {us} {}`",
                shell_word(data_dir)
            ),
        );
    } else if found.mode() & 0o077 != 0 {
        report.unmet(
            "data_dir",
            format!(
                "data_dir: other users may access {path}: its mode is {:04o}",
                found.mode() & 0o7777
            ),
            format!(
                "keep the text of the documents in it private: `chmod 700 {}`",
                shell_word(data_dir)
            ),
        );
    }
}

/// The control socket exists or can be made.
pub(super) fn socket(socket: &Path, makes: Makes<'_>, report: &mut EnvironmentReport) {
    if let Some(folder) = socket.parent() {
        safe("socket", folder, report);
    }
    match std::fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => report.unmet(
            "socket",
            format!("the control socket: {} is not a socket", socket.display()),
            "move it away, or set another [control] socket",
        ),
        Ok(_) => {}
        Err(_) => {
            if let Some(folder) = socket.parent() {
                writable_folder("socket", folder, makes, report);
            }
        }
    }
}

/// The certificate of the API and its key can be read.
pub(super) fn certificate(config: &Config, report: &mut EnvironmentReport) {
    let files = [
        ("tls_certificate", &config.http.tls_certificate),
        ("tls_key", &config.http.tls_key),
    ];
    let named = files
        .iter()
        .filter(|(_, path)| !path.as_os_str().is_empty());
    let mut readable = 0;
    for (key, path) in named {
        match std::fs::File::open(path) {
            Ok(_) => readable += 1,
            Err(cause) => report.unmet(
                "http",
                format!("[http] {key}: cannot read {}: {cause}", path.display()),
                "name a file in PEM that this user may read",
            ),
        }
    }
    if readable == files.len()
        && let Err(why) = daemon::tls(config)
    {
        let cause = why
            .source()
            .map_or_else(String::new, |cause| format!(": {cause}"));
        let what = format!("[http] tls_certificate and tls_key: {why}{cause}");
        report.unmet(
            "http",
            what,
            "name the files in PEM of a certificate and its key",
        );
    }
}

/// The group that may use the control socket exists.
pub(super) fn group(name: &str, report: &mut EnvironmentReport) {
    if !name.is_empty() && group_id(name).is_none() {
        report.unmet(
            "socket",
            format!("the control socket: there is no group `{name}`"),
            format!(
                "create it (`groupadd {}`), or set another [control] group",
                shell_word(Path::new(name))
            ),
        );
    }
}

/// Nobody else can replace a path.
fn safe(check: &'static str, path: &Path, report: &mut EnvironmentReport) {
    if let Err(cause) = trusted(path) {
        let what = match cause.source() {
            Some(source) => format!("{check}: {cause}: {source}"),
            None => format!("{check}: {cause}"),
        };
        report.unmet(check, what, cause.remedy());
    }
}

/// A directory is writable, or docent can make it, or the service manager makes it before docent starts.
fn writable_folder(
    check: &'static str,
    folder: &Path,
    makes: Makes<'_>,
    report: &mut EnvironmentReport,
) {
    let otherwise = match check {
        "socket" => "set another [control] socket",
        _ => "set another data_dir",
    };
    let Some(nearest) = folder
        .ancestors()
        .find(|above| above.symlink_metadata().is_ok())
    else {
        return;
    };
    if !nearest.is_dir() {
        let what = format!("{check}: {} is not a folder", nearest.display());
        report.unmet(check, what, format!("move it away, or {otherwise}"));
        return;
    }
    let made = makes(folder).filter(|_| nearest != folder);
    match rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => {}
        Err(_) if made.is_some() => report.notes.extend(made),
        Err(cause) if nearest == folder => report.unmet(
            check,
            format!("{check}: cannot write to {}: {cause}", folder.display()),
            format!("let this user write to it, or {otherwise}"),
        ),
        Err(cause) => report.unmet(
            check,
            format!(
                "{check}: cannot create {} in {}: {cause}",
                folder.display(),
                nearest.display()
            ),
            format!("create it and give it to this user, or {otherwise}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::environment::tests::config;

    #[test]
    fn what_is_not_there_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let text = "data_dir = \"file/x\"\n[control]\nsocket = \"file/s\"\n[[collection]]\nname = \"docs\"\npath = \"lost\"\n";
        let config = config(folder.path(), text);
        let mut report = EnvironmentReport::default();
        collections(&config, &mut report);
        data_dir(&config.data_dir, &|_| None, &mut report);
        socket(&config.socket_path(), &|_| None, &mut report);
        let what: Vec<&str> = report.unmet.iter().map(|l| l.what.as_str()).collect();
        assert_eq!(what.len(), 3, "{what:?}");
        assert!(
            what[0].starts_with("the collection docs: cannot list "),
            "{what:?}"
        );
        assert!(what[1].starts_with("data_dir: ") && what[1].ends_with("/file is not a folder"));
        assert!(what[2].starts_with("socket: ") && what[2].ends_with("/file is not a folder"));
    }

    #[test]
    fn a_certificate_and_a_key_that_cannot_be_served_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "[http]\nlisten = \"127.0.0.1:1\"\ntls_certificate = \"a.pem\"\ntls_key = \"a.key\"\n";
        let config = config(folder.path(), text);
        let told = || {
            let mut report = EnvironmentReport::default();
            certificate(&config, &mut report);
            let what = report.unmet.into_iter().map(|unmet| unmet.what);
            what.collect::<Vec<_>>()
        };
        let absent = told();
        assert!(
            absent.len() == 2 && absent[1].contains("a.key"),
            "{absent:?}"
        );
        for name in ["a.pem", "a.key"] {
            std::fs::write(folder.path().join(name), "no PEM").unwrap();
        }
        let no_pem = told();
        assert!(
            no_pem.len() == 1 && no_pem[0].ends_with("a.pem has no certificate in PEM"),
            "{no_pem:?}"
        );
    }

    #[test]
    fn a_place_that_somebody_else_can_replace_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mut report = EnvironmentReport::default();
        data_dir(&folder.path().join("data"), &|_| None, &mut report);
        socket(
            &folder.path().join("run/docent.sock"),
            &|_| None,
            &mut report,
        );
        assert_eq!(report.unmet.len(), 2);
        for unmet in &report.unmet {
            assert!(unmet.what.contains("its mode is 0777"), "{}", unmet.what);
            assert!(unmet.remedy.contains("chmod go-w"), "{}", unmet.remedy);
        }
    }

    #[test]
    fn a_data_dir_that_others_may_read_and_a_file_in_the_sockets_place_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::create_dir(&path).unwrap();
        for (mode, unmet) in [(0o755, 1), (0o700, 0)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut report = EnvironmentReport::default();
            data_dir(&path, &|_| None, &mut report);
            assert_eq!(report.unmet.len(), unmet, "{mode:o}");
        }
        std::fs::write(path.join("docent.sock"), "").unwrap();
        let mut report = EnvironmentReport::default();
        socket(&path.join("docent.sock"), &|_| None, &mut report);
        assert!(report.unmet[0].what.ends_with("is not a socket"));
    }

    #[test]
    fn a_group_that_does_not_exist_is_told() {
        for (name, unmet) in [("", 0), ("root", 0), ("no-such-group", 1)] {
            let mut report = EnvironmentReport::default();
            group(name, &mut report);
            assert_eq!(report.unmet.len(), unmet, "{name}: {report:?}");
        }
    }
}
