//! `docent check`

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::text::{counted, plain};
use super::which::{Choice, Why};
use crate::config::{Violation, shell_word};
use crate::environment;
use crate::error::{Exit, Fatal};

/// The flags of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Check only the config, not the machine it will run on
    #[arg(long)]
    no_environment: bool,
    /// Print nothing; only set the exit code
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

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

/// Something that the config needs and this machine does not have.
#[derive(Debug, Serialize)]
struct Missing {
    check: &'static str,
    what: String,
    remedy: String,
}

/// 0 without a mistake, 78 with one, 1 if only the environment fails.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let choice = context.choice();
    let (violations, found) = match context.load(&choice)? {
        Err(violations) => (violations, environment::EnvironmentReport::default()),
        Ok(_) if arguments.no_environment => {
            (Vec::new(), environment::EnvironmentReport::default())
        }
        Ok(loaded) => {
            let found = environment::examine(&loaded, &again(&choice));
            (Vec::new(), found)
        }
    };
    let exit = match violations.iter().any(|violation| violation.denied) {
        true => Exit::Permission,
        false if !violations.is_empty() => Exit::Config,
        false if !found.unmet.is_empty() => Exit::Negative,
        false => Exit::Clean,
    };
    if arguments.quiet {
        return Ok(exit);
    }
    let mut notes = found.notes;
    match choice.why {
        Why::Flag => {}
        Why::Nothing => notes.insert(
            0,
            format!(
                "no config file was read; checking the defaults and the DOCENT__ variables: {}",
                choice.reason()
            ),
        ),
        _ => notes.insert(0, format!("the config is {}", choice.line())),
    }
    let unmet = found.unmet.into_iter().map(|unmet| Missing {
        check: unmet.check,
        what: unmet.what,
        remedy: unmet.remedy,
    });
    let findings = Findings {
        file: choice.file.map(|file| file.to_string_lossy().into_owned()),
        problems: violations.into_iter().map(mistake).collect(),
        environment: unmet.collect(),
        notes,
    };
    if arguments.json {
        context.out.json(&findings)?;
    } else {
        tell(context, &findings)?;
    }
    Ok(exit)
}

/// The command, without its program, that checks this config again wherever and by whom it is called.
fn again(choice: &Choice) -> String {
    let file = choice.file.as_deref().map(std::path::absolute);
    let file = file.and_then(Result::ok);
    file.map_or_else(
        || "check".to_owned(),
        |file| format!("check --config {}", shell_word(&file)),
    )
}

fn tell(context: &mut Context, findings: &Findings) -> Result<(), Fatal> {
    for note in &findings.notes {
        context.out.note(&plain(note));
    }
    for Mistake { line, .. } in &findings.problems {
        context.out.line(&plain(line))?;
    }
    for missing in &findings.environment {
        let line = format!("{}; {}", missing.what, missing.remedy);
        context.out.line(&plain(&line))?;
    }
    match findings.problems.len() + findings.environment.len() {
        0 => context.out.line("no mistakes")?,
        n => context.out.note(&counted(n as u64, "mistake", "mistakes")),
    }
    Ok(())
}

fn mistake(violation: Violation) -> Mistake {
    Mistake {
        line: violation.to_string(),
        origin: violation.origin.to_string(),
        key: violation.key,
        what: violation.what,
        remedy: violation.remedy,
    }
}
