//! Paths: the roots can be read, `data_dir` is ours alone, the socket can be made.

use std::error::Error;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::Access;

use super::Findings;
use crate::config::{Config, GROUPS, group_id, shell_word, trusted};

/// Says what makes a folder when the service starts, if something does.
type Makes<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// Each root can be listed and entered.
pub(super) fn collections(config: &Config, findings: &mut Findings) {
    for collection in &config.collections {
        let (name, path) = (&collection.name, collection.path.display());
        if let Err(cause) = std::fs::read_dir(&collection.path) {
            findings.lack(
                "collections",
                format!("the collection {name}: cannot list {path}: {cause}"),
                "make it, let this user read it, or name another path",
            );
        } else if let Err(cause) = rustix::fs::access(&collection.path, Access::EXEC_OK) {
            findings.lack(
                "collections",
                format!("the collection {name}: cannot enter {path}: {cause}"),
                format!(
                    "let this user enter it, or all: `chmod a+x {}`",
                    shell_word(&collection.path)
                ),
            );
        }
    }
}

/// `data_dir` can be made or written, and nobody else can read it.
pub(super) fn data_dir(data_dir: &Path, makes: Makes<'_>, findings: &mut Findings) {
    safe("data_dir", data_dir, findings);
    let topic = ("data_dir", "set another data_dir");
    writable_folder(topic, data_dir, makes, findings);
    let Ok(found) = std::fs::metadata(data_dir) else {
        return;
    };
    let path = data_dir.display();
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us && us != 0 {
        findings.lack(
            "data_dir",
            format!(
                "data_dir: {path} belongs to the user {}, and this is {us}",
                found.uid()
            ),
            format!(
                "do this as that user, or give it to this one: `chown -R {us} {}`",
                shell_word(data_dir)
            ),
        );
    } else if found.mode() & 0o077 != 0 {
        findings.lack(
            "data_dir",
            format!(
                "data_dir: others may use {path}: its mode is {:04o}",
                found.mode() & 0o7777
            ),
            format!(
                "it holds the text of the documents: `chmod 700 {}`",
                shell_word(data_dir)
            ),
        );
    }
}

/// The control socket can be made where it is to be, or is there already.
pub(super) fn socket(socket: &Path, makes: Makes<'_>, findings: &mut Findings) {
    if let Some(folder) = socket.parent() {
        safe("socket", folder, findings);
    }
    match std::fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => findings.lack(
            "socket",
            format!("the control socket: {} is not a socket", socket.display()),
            "move it away, or set another [control] socket",
        ),
        Ok(_) => {}
        Err(_) => {
            if let Some(folder) = socket.parent() {
                let topic = ("socket", "set another [control] socket");
                writable_folder(topic, folder, makes, findings);
            }
        }
    }
}

/// The group that may use the control socket exists.
pub(super) fn group(name: &str, findings: &mut Findings) {
    match group_id(name) {
        _ if name.is_empty() => {}
        Ok(Some(_)) => {}
        Ok(None) => findings.lack(
            "socket",
            format!("the control socket: there is no group `{name}`"),
            format!(
                "make it (groupadd {}), or set another [control] group",
                shell_word(Path::new(name))
            ),
        ),
        Err(cause) => findings.lack(
            "socket",
            format!("the control socket: {GROUPS} cannot be read: {cause}"),
            "let docent's user read it, or set no [control] group",
        ),
    }
}

/// That nobody else can put something in the place of a path.
fn safe(check: &'static str, path: &Path, findings: &mut Findings) {
    if let Err(cause) = trusted(path) {
        let what = match cause.source() {
            Some(source) => format!("{check}: {cause}: {source}"),
            None => format!("{check}: {cause}"),
        };
        findings.lack(check, what, cause.remedy());
    }
}

/// That a folder can be written, or be made where it is missing: by docent, or by the service manager before docent starts.
fn writable_folder(
    (check, otherwise): (&'static str, &str),
    folder: &Path,
    makes: Makes<'_>,
    findings: &mut Findings,
) {
    let Some(nearest) = folder
        .ancestors()
        .find(|above| above.symlink_metadata().is_ok())
    else {
        return;
    };
    if !nearest.is_dir() {
        let what = format!("{check}: {} is not a folder", nearest.display());
        findings.lack(check, what, format!("move it away, or {otherwise}"));
        return;
    }
    let made = makes(folder).filter(|_| nearest != folder);
    match rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => {}
        Err(_) if made.is_some() => findings.notes.extend(made),
        Err(cause) if nearest == folder => findings.lack(
            check,
            format!("{check}: cannot write to {}: {cause}", folder.display()),
            format!("let this user write to it, or {otherwise}"),
        ),
        Err(cause) => findings.lack(
            check,
            format!(
                "{check}: cannot make {} in {}: {cause}",
                folder.display(),
                nearest.display()
            ),
            format!("make it and give it to this user, or {otherwise}"),
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
        let mut findings = Findings::default();
        collections(&config, &mut findings);
        data_dir(&config.data_dir, &|_| None, &mut findings);
        socket(&config.socket_path(), &|_| None, &mut findings);
        let what: Vec<&str> = findings.lacks.iter().map(|l| l.what.as_str()).collect();
        assert_eq!(what.len(), 3, "{what:?}");
        assert!(
            what[0].starts_with("the collection docs: cannot list "),
            "{what:?}"
        );
        assert!(what[1].starts_with("data_dir: ") && what[1].ends_with("/file is not a folder"));
        assert!(what[2].starts_with("socket: ") && what[2].ends_with("/file is not a folder"));
    }

    #[test]
    fn a_place_that_somebody_else_can_replace_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mut findings = Findings::default();
        data_dir(&folder.path().join("data"), &|_| None, &mut findings);
        socket(
            &folder.path().join("run/docent.sock"),
            &|_| None,
            &mut findings,
        );
        assert_eq!(findings.lacks.len(), 2);
        for lack in &findings.lacks {
            assert!(lack.what.contains("its mode is 0777"), "{}", lack.what);
            assert!(lack.remedy.contains("chmod go-w"), "{}", lack.remedy);
        }
    }

    #[test]
    fn a_data_dir_that_others_may_read_and_a_file_in_the_sockets_place_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::create_dir(&path).unwrap();
        for (mode, lacks) in [(0o755, 1), (0o700, 0)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut findings = Findings::default();
            data_dir(&path, &|_| None, &mut findings);
            assert_eq!(findings.lacks.len(), lacks, "{mode:o}");
        }
        std::fs::write(path.join("docent.sock"), "").unwrap();
        let mut findings = Findings::default();
        socket(&path.join("docent.sock"), &|_| None, &mut findings);
        assert!(findings.lacks[0].what.ends_with("is not a socket"));
    }

    #[test]
    fn a_group_that_does_not_exist_is_told() {
        for (name, lacks) in [("", 0), ("root", 0), ("no-such-group", 1)] {
            let mut findings = Findings::default();
            group(name, &mut findings);
            assert_eq!(findings.lacks.len(), lacks, "{name}: {findings:?}");
        }
    }
}
