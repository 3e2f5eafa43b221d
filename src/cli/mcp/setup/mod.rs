//! `docent mcp --setup`: the piece of configuration by which a client starts docent.
//!
//! What stands in a file already stays, with its comments; of an entry `docent` only the keys that are written here change.

mod difference;
mod json;
mod toml;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::super::context::Context;
use super::super::which::Why;
use crate::error::{Exit, Fatal};

/// The name of the entry.
const NAME: &str = "docent";

/// Bytes of the largest file that is changed.
const FILE_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Program {
    ClaudeCode,
    Codex,
    Cursor,
    Vscode,
    Zed,
    Gemini,
}

/// How the client starts docent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Start {
    command: String,
    arguments: Vec<String>,
}

impl Program {
    /// The file of a project that the client reads.
    fn file(self) -> &'static str {
        match self {
            Program::ClaudeCode => ".mcp.json",
            Program::Codex => ".codex/config.toml",
            Program::Cursor => ".cursor/mcp.json",
            Program::Vscode => ".vscode/mcp.json",
            Program::Zed => ".zed/settings.json",
            Program::Gemini => ".gemini/settings.json",
        }
    }

    /// The key of the servers in that file.
    fn key(self) -> &'static str {
        match self {
            Program::ClaudeCode | Program::Cursor | Program::Gemini => "mcpServers",
            Program::Codex => "mcp_servers",
            Program::Vscode => "servers",
            Program::Zed => "context_servers",
        }
    }

    /// The text of the file with the entry in it; `text` is what stands there so far.
    fn with_entry(self, text: &str, start: &Start) -> Result<String, String> {
        match self {
            Program::Codex => toml::with_entry(text, self.key(), start),
            // It asks for the kind of server.
            Program::Vscode => json::with_entry(text, self.key(), &[("type", "stdio")], start),
            _ => json::with_entry(text, self.key(), &[], start),
        }
    }
}

/// Prints the piece, or puts it into the file.
pub(super) fn run(context: &mut Context, program: Program, write: bool) -> Result<Exit, Fatal> {
    let start = start(context)?;
    let file = program.file();
    if !write {
        let piece = program.with_entry("", &start).map_err(unusable(file))?;
        context.out.write(piece.as_bytes())?;
        context.out.flush()?;
        context.out.note(&format!(
            "this belongs in {file} of a project; --write puts it there"
        ));
        return Ok(Exit::Clean);
    }
    let path = Path::new(file);
    let before = present(path)?;
    let after = program
        .with_entry(before.as_deref().unwrap_or_default(), &start)
        .map_err(unusable(file))?;
    if before.as_deref() == Some(&after) {
        context.out.line(&format!("{file} is as it should be"))?;
        return Ok(Exit::Clean);
    }
    let difference = difference::unified(file, before.as_deref().unwrap_or_default(), &after);
    context.out.text(&difference.replace('\t', "    "))?;
    context.out.flush()?;
    replace(path, &after).map_err(unwritable(path))?;
    context.out.note(&format!("written to {file}"));
    Ok(Exit::Clean)
}

/// How this very program is started with the config that rules now, or for the machine that was named.
fn start(context: &Context) -> Result<Start, Fatal> {
    let called = std::env::args_os().next().unwrap_or_else(|| NAME.into());
    let called = PathBuf::from(called);
    // A bare name is found by the client as it was found here.
    let command = match called.components().count() {
        1 => called,
        _ => std::env::current_exe().map_err(|e| Fatal::new(Exit::Internal, e))?,
    };
    let mut arguments = vec!["mcp".to_owned()];
    if let Some((url, files)) = context.other_machine() {
        arguments.extend(["--url".to_owned(), url.to_owned()]);
        for (flag, file) in files {
            arguments.extend([flag.to_owned(), absolute(file)?]);
        }
    }
    let choice = context.choice();
    let named = matches!(choice.why, Why::Flag | Why::Variable);
    if let Some(config) = choice.file.filter(|_| named) {
        arguments.extend(["--config".to_owned(), absolute(&config)?]);
    }
    let command = text_of(command)?;
    Ok(Start { command, arguments })
}

/// The client may start docent in any directory.
fn absolute(path: &Path) -> Result<String, Fatal> {
    text_of(std::path::absolute(path).map_err(|e| Fatal::new(Exit::Usage, e))?)
}

fn text_of(path: PathBuf) -> Result<String, Fatal> {
    path.into_os_string().into_string().map_err(|path| {
        let shown = path.to_string_lossy().into_owned();
        Fatal::new(
            Exit::Usage,
            format!("{shown} is not UTF-8, and no client's config can name it"),
        )
    })
}

fn unusable(file: &str) -> impl Fn(String) -> Fatal {
    let file = file.to_owned();
    move |why| {
        Fatal::new(Exit::Data, format!("cannot add docent to {file}: {why}"))
            .hint("correct the file, or add by hand what --setup prints; nothing was changed")
    }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Fatal {
    let path = path.display().to_string();
    move |error| {
        let exit = Exit::of_io(&error, Exit::Internal);
        Fatal::new(exit, format!("cannot write {path}: {error}"))
    }
}

/// What stands in the file; none: there is no such file.
fn present(path: &Path) -> Result<Option<String>, Fatal> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.len() > FILE_MAX => {
            let text = format!("{} has more than {FILE_MAX} bytes", path.display());
            return Err(Fatal::new(Exit::Data, text));
        }
        _ => {}
    }
    let text = fs::read_to_string(path);
    text.map(Some).map_err(|error| {
        let exit = Exit::of_io(&error, Exit::Data);
        Fatal::new(exit, format!("cannot read {}: {error}", path.display()))
    })
}

/// Writes the file whole or not at all; behind a link, the file that it leads to.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let beside = real.with_extension(format!("docent-{}", std::process::id()));
    let mut file = File::options().write(true).create_new(true).open(&beside)?;
    let written = (|| {
        file.write_all(text.as_bytes())?;
        if let Ok(found) = fs::metadata(&real) {
            file.set_permissions(found.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&beside, &real)
    })();
    if written.is_err() {
        // What is not wanted any more; that it cannot be removed changes nothing.
        fs::remove_file(&beside).ok();
    }
    written
}

#[cfg(test)]
mod tests;
