//! `docent read`

use std::io::{self, IsTerminal};

use clap::Args;

use super::context::{Context, block_on};
use super::text::{counted, tabbed};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{LeftOff, ReadAnswer};

/// The flags of `read`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The document, as COLLECTION/PATH, and the lines of it
    #[arg(value_name = "COLLECTION/PATH[:FIRST[-LAST]]")]
    reference: String,
    /// At most so many lines [default: 10000]
    #[arg(long, value_name = "N")]
    max_lines: Option<usize>,
    /// At most so many bytes [default: 1 MiB]
    #[arg(long, value_name = "N")]
    max_bytes: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the text as it is indexed.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let number = |n: Option<usize>| n.map(|n| n.to_string());
    let target = Target::new("/read")
        .with("ref", Some(&arguments.reference))
        .with("max_lines", number(arguments.max_lines).as_deref())
        .with("max_bytes", number(arguments.max_bytes).as_deref());
    let answer: ReadAnswer = block_on(async { Ok(client.get(&target).await?) })?;
    if arguments.json {
        context.out.json(&answer)?;
        return Ok(Exit::Clean);
    }
    if io::stdout().is_terminal() {
        for line in lines(&answer.text) {
            context.out.line(&tabbed(line))?;
        }
    } else {
        context.out.write(answer.text.as_bytes())?;
        if !answer.text.is_empty() && !answer.text.ends_with(['\n', '\r']) {
            context.out.write(b"\n")?;
        }
    }
    context.out.flush()?;
    for note in notes(&answer) {
        context.out.note(&note);
    }
    Ok(Exit::Clean)
}

/// The lines of a text, which end with a line feed, a carriage return, or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('\r'))
}

/// What is to be said besides the text.
fn notes(answer: &ReadAnswer) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(left) = &answer.left_off {
        notes.push(left_off(left));
    }
    if answer.stale {
        notes.push(STALE.to_owned());
    }
    notes
}

/// What is said of a text whose file is another one by now.
pub(super) const STALE: &str = "the file has changed since docent read it";

/// What an answer had no room for, in a sentence.
pub(super) fn left_off(left: &LeftOff) -> String {
    let lines = counted(u64::from(left.lines), "line", "lines");
    let bytes = counted(left.bytes, "byte", "bytes");
    let next = match &left.next {
        Some(next) => format!("; it goes on at {next}"),
        None => String::new(),
    };
    format!("left off: {lines} ({bytes}){next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said_with_where_it_goes_on() {
        let mut answer = ReadAnswer {
            collection: "docs".to_owned(),
            path: "a.md".to_owned(),
            version: 2,
            digest: "d".to_owned(),
            lines: [1, 2],
            total_lines: 1202,
            text: "a\rb\r\nc".to_owned(),
            stale: true,
            missing: None,
            left_off: Some(LeftOff {
                lines: 1200,
                bytes: 5000,
                next: Some("docs/a.md:3-1202".to_owned()),
            }),
        };
        let left = "left off: 1,200 lines (5,000 bytes); it goes on at docs/a.md:3-1202";
        assert_eq!(notes(&answer), [left, STALE]);
        answer.stale = false;
        answer.left_off = None;
        assert!(notes(&answer).is_empty());
        assert_eq!(lines(&answer.text).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
