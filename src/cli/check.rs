//! `docent check`

use std::path::Path;

use clap::Args;
use rustix::fs::Access;
use serde::Serialize;

use super::context::Context;
use super::text::counted;
use crate::config::{Config, Problem};
use crate::error::{Exit, Fatal};

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
    problems: Vec<Mistake>,
    environment: Vec<Lack>,
}

/// A mistake in the config.
#[derive(Debug, Serialize)]
struct Mistake {
    origin: String,
    key: String,
    what: String,
    remedy: String,
}

/// Something that the config needs and this machine has not.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Lack {
    what: String,
    remedy: String,
}

/// 0 without a mistake, 78 with one, 1 if only the environment fails.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let (problems, environment) = match context.load()? {
        Err(problems) => (problems, Vec::new()),
        Ok(_) if arguments.no_environment => (Vec::new(), Vec::new()),
        Ok(loaded) => (Vec::new(), lacks(&loaded.config)),
    };
    let exit = match problems.iter().any(|problem| problem.denied) {
        true => Exit::Permission,
        false if !problems.is_empty() => Exit::Config,
        false if !environment.is_empty() => Exit::Negative,
        false => Exit::Clean,
    };
    if arguments.quiet {
        return Ok(exit);
    }
    if arguments.json {
        let problems = problems.into_iter().map(mistake).collect();
        context.out.json(&Findings {
            problems,
            environment,
        })?;
        return Ok(exit);
    }
    for problem in &problems {
        context.out.line(&problem.to_string())?;
    }
    for lack in &environment {
        context
            .out
            .line(&format!("{}; {}", lack.what, lack.remedy))?;
    }
    match problems.len() + environment.len() {
        0 => context.out.line("no mistakes")?,
        n => context.out.note(&counted(n as u64, "mistake", "mistakes")),
    }
    Ok(exit)
}

fn mistake(problem: Problem) -> Mistake {
    Mistake {
        origin: problem.origin.to_string(),
        key: problem.key,
        what: problem.what,
        remedy: problem.remedy,
    }
}

/// What the config needs and this user on this machine does not have.
fn lacks(config: &Config) -> Vec<Lack> {
    let collections = config.collections.iter().filter_map(|collection| {
        let cause = std::fs::read_dir(&collection.path).err()?;
        Some(Lack {
            what: format!(
                "the collection {}: cannot list {}: {cause}",
                collection.name,
                collection.path.display()
            ),
            remedy: "make it, or let this user read it".to_owned(),
        })
    });
    collections.chain(unwritable(&config.data_dir)).collect()
}

/// That `data_dir` cannot be written, or not be made.
fn unwritable(data_dir: &Path) -> Option<Lack> {
    let nearest = data_dir.ancestors().find(|folder| folder.exists())?;
    let lack = |what: String, remedy: &str| {
        Some(Lack {
            what,
            remedy: remedy.to_owned(),
        })
    };
    if !nearest.is_dir() {
        return lack(
            format!("data_dir: {} is not a folder", nearest.display()),
            "move it away, or set another data_dir",
        );
    }
    match rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => None,
        Err(cause) if nearest == data_dir => lack(
            format!("data_dir: cannot write to {}: {cause}", data_dir.display()),
            "let this user write to it",
        ),
        Err(cause) => lack(
            format!(
                "data_dir: cannot make {} in {}: {cause}",
                data_dir.display(),
                nearest.display()
            ),
            "make it and give it to this user",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(folder: &Path, text: &str) -> Config {
        let file = folder.join("docent.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources {
            file: Some(file),
            directory: folder.to_owned(),
            host_name: Some("host".to_owned()),
            ..Sources::default()
        };
        Config::load(sources).unwrap().config
    }

    #[test]
    fn what_is_not_there_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let good = "data_dir = \"new/one\"\n[[collection]]\nname = \"docs\"\npath = \"docs\"\n";
        assert_eq!(lacks(&config(folder.path(), good)), []);
        let bad = "data_dir = \"file/x\"\n[[collection]]\nname = \"docs\"\npath = \"lost\"\n";
        let found = lacks(&config(folder.path(), bad));
        assert_eq!(found.len(), 2);
        assert!(
            found[0]
                .what
                .starts_with("the collection docs: cannot list "),
            "{}",
            found[0].what
        );
        assert!(
            found[1].what.ends_with("/file is not a folder"),
            "{}",
            found[1].what
        );
    }
}
