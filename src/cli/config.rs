//! `docent config show` and `docent config schema`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use super::text::{Style, plain};
use crate::config::{ShownSetting, schema};
use crate::error::{Exit, Fatal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print every effective value, and where it was set
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the config file, for editors
    Schema,
}

/// `config show --json`
#[derive(Serialize)]
struct Values {
    /// The file that was read; null: none, the defaults and variables alone.
    file: Option<String>,
    /// Why it is this one.
    why: String,
    /// Files that would be used without it.
    others: Vec<String>,
    values: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    key: String,
    value: String,
    origin: String,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    match arguments.verb {
        Verb::Show { json } => show(context, json),
        Verb::Schema => {
            // Indented: it goes into a file that people read too.
            context.out.write(format!("{:#}\n", schema()).as_bytes())?;
            Ok(Exit::Clean)
        }
    }
}

fn show(context: &mut Context, json: bool) -> Result<Exit, Fatal> {
    let choice = context.choice();
    let loaded = context.load(&choice)??;
    if json {
        let values = loaded.show().iter().map(|shown| Value {
            key: shown.key.clone(),
            value: shown.value.clone(),
            origin: shown.origin.to_string(),
        });
        let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        context.out.json(&Values {
            file: choice.file.as_ref().map(text),
            why: choice.reason(),
            others: choice.others.iter().map(text).collect(),
            values: values.collect(),
        })?;
    } else {
        let head = format!("# config: {}", plain(&choice.line()));
        let head = context.out.style.dim(&head);
        context.out.line(&head)?;
        let text = render(loaded.show(), context.out.style);
        context.out.text(&text)?;
    }
    Ok(Exit::Clean)
}

/// As it would stand in a file, with the origin as a comment.
fn render(values: &[ShownSetting], style: Style) -> String {
    let width = values
        .iter()
        .map(|v| v.key.len() + v.value.len() + 3)
        .filter(|w| *w <= 60)
        .max()
        .unwrap_or(0);
    let lines = values.iter().map(|shown| {
        let setting = plain(&format!("{} = {}", shown.key, shown.value));
        format!(
            "{setting:width$}  {}\n",
            style.dim(&plain(&format!("# {}", shown.origin)))
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn every_value_stands_with_its_origin() {
        let sources = Sources {
            variables: vec![(
                "DOCENT__REDIS__URL".into(),
                "redis://me:hunter2@host:1".into(),
            )],
            directory: "/".into(),
            host_name: Some("host".to_owned()),
            ..Sources::default()
        };
        let text = render(Config::load(sources).unwrap().show(), Style::new(false));
        let line = |key: &str| {
            text.lines()
                .find(|line| line.starts_with(key))
                .unwrap()
                .to_owned()
        };
        assert!(line("watch.debounce").ends_with("# default"));
        assert!(line("redis.url").ends_with("# DOCENT__REDIS__URL"));
        assert!(!text.contains("hunter2"));
    }
}
