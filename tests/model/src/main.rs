//! The rules of delivery, searched exhaustively. `README.md` says what is modelled and how to run it.

mod graph;
mod host;
mod hosts;
mod leases;
mod model;
mod runs;
mod search;
mod states;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use model::Broken;
use runs::{Expect, Run, Size};
use search::{Found, Report};

const USAGE: &str =
    "usage: docent-model [quick | all | NAME...]; a NAME may end in *; quick is the default
  -v  tells the last state of a counterexample, and the counterexamples that are expected";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run_all(&arguments, &mut io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(74),
    }
}

/// False: a run did not end as it should, or none was chosen.
fn run_all(arguments: &[String], out: &mut impl Write) -> io::Result<bool> {
    let wordy = arguments.iter().any(|argument| argument == "-v");
    let names: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| *argument != "-v")
        .collect();
    let chosen: Vec<Run> = runs::all()
        .into_iter()
        .filter(|run| is_chosen(run, &names))
        .collect();
    if chosen.is_empty() {
        writeln!(out, "no run has this name\n{USAGE}")?;
        return Ok(false);
    }
    let (began, mut states, mut wrong) = (Instant::now(), 0, 0);
    for run in &chosen {
        let report = run.search();
        states += report.states;
        if !tell(run, &report, wordy, out)? {
            wrong += 1;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    writeln!(
        out,
        "{} runs, {states} states, {seconds:.1} s; not as expected: {wrong}",
        chosen.len()
    )?;
    Ok(wrong == 0)
}

fn is_chosen(run: &Run, names: &[&str]) -> bool {
    let matches = |name: &&str| match (*name, name.strip_suffix('*')) {
        ("all", _) => true,
        ("quick", _) => run.size == Size::Quick,
        (_, Some(beginning)) => run.name.starts_with(beginning),
        (name, None) => run.name == name,
    };
    names.iter().any(matches) || (names.is_empty() && run.size == Size::Quick)
}

/// Says how a run ended. False: not as it should.
fn tell(run: &Run, report: &Report, wordy: bool, out: &mut impl Write) -> io::Result<bool> {
    let Report {
        states,
        steps,
        found,
    } = report;
    let name = run.name;
    let right = run.expect.is_met_by(found);
    let mark = if right { "ok " } else { "NO " };
    match found {
        Found::Holds => writeln!(out, "{mark}{name}: holds; {states} states, {steps} steps")?,
        Found::TooMany => writeln!(out, "{mark}{name}: too many states, over {states}")?,
        Found::Counterexample {
            broken,
            trace,
            state,
        } => {
            writeln!(out, "{mark}{name}: {broken}; after {} steps", trace.len())?;
            if !right || wordy {
                for label in trace {
                    writeln!(out, "      {label}")?;
                }
            }
            if wordy {
                writeln!(out, "{state}")?;
            }
        }
    }
    if !right {
        writeln!(out, "   expected: {}", run.expect)?;
    }
    Ok(right)
}

impl Expect {
    fn is_met_by(self, found: &Found) -> bool {
        match (self, found) {
            (Expect::Holds, Found::Holds) => true,
            (Expect::Breaks(expected), Found::Counterexample { broken, .. }) => expected == *broken,
            _ => false,
        }
    }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expect::Holds => f.write_str("holds"),
            Expect::Breaks(broken) => Broken::fmt(broken, f),
        }
    }
}
