//! Paths made absolute, the control socket's place, the host's name.

use super::check::{INSTANCE, LONGEST_INSTANCE, is_among};
use std::io;
use std::path::{Component, Path, PathBuf};

/// The `data_dir` of an installed system, whose socket is in `/run`.
const SYSTEM_DATA_DIR: &str = "/var/lib/docent";

/// The socket of an installed system.
const SYSTEM_SOCKET: &str = "/run/docent/docent.sock";

/// Bytes of the longest path that a Unix socket can be bound to on Linux (`sun_path` with its zero).
pub(crate) const LONGEST_SOCKET: usize = 107;

/// `path` relative to `base`, without `.` and `..`.
pub(crate) fn absolute(base: &Path, path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in base.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                // At the root there is nothing to leave, as for the kernel.
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The directory that paths in `file` are relative to. Its symbolic links are resolved, because `..` in such a path means the
/// parent of the real directory.
pub(crate) fn base_of(file: &Path, directory: &Path) -> PathBuf {
    let file = absolute(directory, file);
    let folder = file.parent().unwrap_or(Path::new("/"));
    real(folder)
}

/// `path` with its symbolic links resolved, as far as it exists.
pub(crate) fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        let above = above.canonicalize().ok()?;
        Some(if rest.as_os_str().is_empty() {
            above
        } else {
            above.join(rest)
        })
    });
    there.unwrap_or_else(|| path.to_owned())
}

/// `path` as a word of a shell command: in quotes where it needs them.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The control socket of a daemon with this `data_dir`, unless the config names another one.
pub(crate) fn default_socket(data_dir: &Path) -> PathBuf {
    if data_dir == Path::new(SYSTEM_DATA_DIR) {
        PathBuf::from(SYSTEM_SOCKET)
    } else {
        data_dir.join("docent.sock")
    }
}

/// The name of this host, as the kernel knows it, else as `/etc/hostname` has it.
///
/// # Errors
/// When neither can be read.
pub(crate) fn host_name() -> io::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))?;
    Ok(name.trim().to_owned())
}

/// An instance name made of a host's name: small letters, and a hyphen for what may not stand in one.
/// None if nothing is left.
pub(crate) fn instance_of(host_name: &str) -> Option<String> {
    let name: String = host_name
        .trim()
        .chars()
        .take(LONGEST_INSTANCE)
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if is_among(c, INSTANCE) { c } else { '-' })
        .collect();
    name.contains(|c: char| c.is_ascii_alphanumeric())
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_paths_absolute() {
        for (path, expected) in [
            ("docs", "/etc/docent/docs"),
            ("./docs/", "/etc/docent/docs"),
            ("..", "/etc"),
            ("../../../../x", "/x"),
            ("/srv/./a/../b", "/srv/b"),
        ] {
            assert_eq!(
                absolute(Path::new("/etc/docent"), Path::new(path)),
                Path::new(expected),
                "{path}"
            );
        }
    }

    #[test]
    fn counts_from_the_real_folder() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let real_folder = dir.path().canonicalize().expect("it exists").join("a/b");
        std::fs::create_dir_all(&real_folder).expect("writable");
        std::os::unix::fs::symlink(&real_folder, dir.path().join("link")).expect("writable");
        assert_eq!(base_of(Path::new("link/x.toml"), dir.path()), real_folder);
    }

    #[test]
    fn a_word_of_a_command_is_one_word() {
        for (path, word) in [
            ("/srv/a-b_c.d", "/srv/a-b_c.d"),
            ("/srv/my notes", "'/srv/my notes'"),
            ("/srv/it's $HOME", r"'/srv/it'\''s $HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[test]
    fn places_the_socket() {
        assert_eq!(
            default_socket(Path::new("/var/lib/docent")),
            Path::new("/run/docent/docent.sock")
        );
        assert_eq!(
            default_socket(Path::new("/tmp/x")),
            Path::new("/tmp/x/docent.sock")
        );
    }

    #[test]
    fn makes_an_instance_of_a_host_name() {
        assert_eq!(
            instance_of("Web-01.Example.org\n").as_deref(),
            Some("web-01.example.org")
        );
        assert_eq!(instance_of("büro pc").as_deref(), Some("b-ro-pc"));
        assert_eq!(
            instance_of(&"x".repeat(200)).map(|name| name.len()),
            Some(64)
        );
        assert_eq!(instance_of(" \n"), None);
        assert_eq!(instance_of("ü"), None);
    }

    #[test]
    fn this_host_has_a_name() {
        assert!(!host_name().expect("Linux tells it").is_empty());
    }
}
