//! `docent man`

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use thiserror::Error;

use super::Cli;
use crate::error::{Exit, Fatal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The directory of the pages; docent makes it if it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Debug, Error)]
#[error("cannot write the pages to {path}", path = .path.display())]
struct UnwritablePage {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes one page for each verb.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Fatal> {
    let directory = &arguments.directory;
    write(directory).map_err(|source| {
        let exit = Exit::of_io(&source, Exit::Internal);
        let path = directory.clone();
        Fatal::new(exit, UnwritablePage { path, source })
            .hint("name a directory that you may write to")
    })?;
    Ok(Exit::Clean)
}

fn write(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    // The pages of `help` would repeat all others.
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("man1");
        write(&directory).unwrap();
        for page in ["docent.1", "docent-check.1", "docent-config-schema.1"] {
            let text = std::fs::read_to_string(directory.join(page)).unwrap();
            assert!(text.contains(".TH "), "{page}");
        }
        let command = Cli::command();
        for verb in command.get_subcommands() {
            let page = directory.join(format!("docent-{}.1", verb.get_name()));
            assert!(page.exists(), "{}", page.display());
        }
    }
}
