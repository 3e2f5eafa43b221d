//! `docent read`

use std::io::{self, IsTerminal};

use clap::Args;

use super::context::{Context, block_on};
use super::text::tabbed;
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::ReadAnswer;

/// The flags of `read`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The document, as COLLECTION/PATH, and the lines of it
    #[arg(value_name = "COLLECTION/PATH[:FIRST[-LAST]]")]
    reference: String,
    /// Maximum number of lines [default: 10000]
    #[arg(long, value_name = "N")]
    max_lines: Option<usize>,
    /// Maximum number of bytes [default: 1 MiB]
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
    for note in answer.notes() {
        context.out.note(&note);
    }
    Ok(Exit::Clean)
}

/// The lines of a text, which end with a line feed, a carriage return, or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_suffix('\r').unwrap_or(text);
    text.lines().flat_map(|line| line.split('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_either_or_both() {
        for text in ["a\rb\r\nc", "a\rb\r\nc\r", "a\rb\r\nc\n"] {
            assert_eq!(lines(text).collect::<Vec<_>>(), ["a", "b", "c"], "{text:?}");
        }
    }
}
