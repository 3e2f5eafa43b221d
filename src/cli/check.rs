//! `docent check`

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::text::{counted, plain};
use crate::config::Problem;
use crate::environment;
use crate::error::{Exit, Fatal};

/// Said where no config file was named and none is in its place.
const NO_FILE: &str = "no config file was read: there is no /etc/docent/docent.toml, and no ./config/docent.toml of yours; \
                       what is checked are the defaults and the DOCENT__ variables";

/// The flags of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Check the config alone, not what it needs of this machine
    #[arg(long)]
    no_environment: bool,
    /// Say nothing; the exit code is the answer
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    /// The file that was read; null: none, the defaults and variables alone.
    file: Option<String>,
    problems: Vec<Mistake>,
    environment: Vec<Missing>,
    /// What could not be tried, and why.
    notes: Vec<String>,
}

/// A mistake in the config.
#[derive(Debug, Serialize)]
struct Mistake {
    /// As it is printed.
    #[serde(skip)]
    line: String,
    origin: String,
    key: String,
    what: String,
    remedy: String,
}

/// Something that the config needs and this machine has not.
#[derive(Debug, Serialize)]
struct Missing {
    check: &'static str,
    what: String,
    remedy: String,
}

/// 0 without a mistake, 78 with one, 1 if only the environment fails.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let file = context.file()?;
    let (problems, found) = match context.load_from(file.clone())? {
        Err(problems) => (problems, environment::Findings::default()),
        Ok(_) if arguments.no_environment => (Vec::new(), environment::Findings::default()),
        Ok(loaded) => (Vec::new(), environment::examine(&loaded.config)),
    };
    let exit = match problems.iter().any(|problem| problem.denied) {
        true => Exit::Permission,
        false if !problems.is_empty() => Exit::Config,
        false if !found.lacks.is_empty() => Exit::Negative,
        false => Exit::Clean,
    };
    if arguments.quiet {
        return Ok(exit);
    }
    let mut notes = found.notes;
    if file.is_none() {
        notes.insert(0, NO_FILE.to_owned());
    }
    let lacks = found.lacks.into_iter().map(|lack| Missing {
        check: lack.check,
        what: lack.what,
        remedy: lack.remedy,
    });
    let findings = Findings {
        file: file.map(|file| file.to_string_lossy().into_owned()),
        problems: problems.into_iter().map(mistake).collect(),
        environment: lacks.collect(),
        notes,
    };
    if arguments.json {
        context.out.json(&findings)?;
    } else {
        tell(context, &findings)?;
    }
    Ok(exit)
}

fn tell(context: &mut Context, findings: &Findings) -> Result<(), Fatal> {
    for note in &findings.notes {
        context.out.note(&plain(note));
    }
    for Mistake { line, .. } in &findings.problems {
        context.out.line(&plain(line))?;
    }
    for lack in &findings.environment {
        let line = format!("{}; {}", lack.what, lack.remedy);
        context.out.line(&plain(&line))?;
    }
    match findings.problems.len() + findings.environment.len() {
        0 => context.out.line("no mistakes")?,
        n => context.out.note(&counted(n as u64, "mistake", "mistakes")),
    }
    Ok(())
}

fn mistake(problem: Problem) -> Mistake {
    Mistake {
        line: problem.to_string(),
        origin: problem.origin.to_string(),
        key: problem.key,
        what: problem.what,
        remedy: problem.remedy,
    }
}
