//! How glibc's allocator is told to give memory back.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Left alone, glibc raises both with the largest block that was ever freed. The keyword index frees blocks of 4 MiB with
/// each commit, so that in the end each of up to eight arenas a processor keeps megabytes that nobody uses.
const SETTINGS: [(&str, &str); 2] = [
    // Bytes free at the end of an arena, from which on they go back to the kernel.
    ("MALLOC_TRIM_THRESHOLD_", "524288"),
    // Size from which on a block is the kernel's, who has it back as soon as it is free.
    ("MALLOC_MMAP_THRESHOLD_", "1048576"),
];

/// Variables by which somebody has decided otherwise.
const DECIDED: [&str; 5] = [
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_ARENA_MAX",
    "MALLOC_TOP_PAD_",
    "GLIBC_TUNABLES",
];

/// Begins this process anew, with the same id, arguments and files, under [`SETTINGS`]: glibc reads them at the start of a
/// process and never again. Does nothing if they stand already.
///
/// # Errors
/// It cannot be done; docent runs as well, but takes more memory.
pub(super) fn bound() -> io::Result<()> {
    if is_decided(|name| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    Err(Command::new(program)
        .arg0(name.as_deref().unwrap_or(OsStr::new("docent")))
        .args(arguments)
        .envs(SETTINGS)
        .exec())
}

/// Whether one of the variables is `set`.
fn is_decided(set: impl Fn(&str) -> bool) -> bool {
    DECIDED.into_iter().any(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_happens_once_and_not_against_a_decision() {
        assert!(!is_decided(|_| false));
        assert!(is_decided(|name| name == "GLIBC_TUNABLES"));
        for (name, _) in SETTINGS {
            assert!(is_decided(|set| set == name), "{name}");
        }
    }
}
