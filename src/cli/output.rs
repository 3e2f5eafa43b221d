//! Where the command line prints.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::text::Style;
use crate::error::{Exit, Fatal};
use crate::json;
use crate::telemetry;

/// When output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// The style of a stream that is a terminal or not, in an environment with a `NO_COLOR` that is not empty or without.
    fn style(self, terminal: bool, no_color: bool) -> Style {
        Style::new(match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        })
    }
}

/// The one way to stdout and stderr.
pub(super) struct Output {
    out: Box<dyn Write>,
    /// How stdout is styled.
    pub(super) style: Style,
    err: Style,
    /// Whether progress is shown: stderr is a terminal.
    pub(super) progress: bool,
}

impl Output {
    /// The process's own.
    pub(super) fn new(color: Color) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Output {
            out: Box::new(BufWriter::new(io::stdout())),
            style: color.style(io::stdout().is_terminal(), no_color),
            err: color.style(io::stderr().is_terminal(), no_color),
            progress: io::stderr().is_terminal(),
        }
    }

    /// Prints a part of the result as it is.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        self.out.write_all(bytes).map_err(closed)
    }

    /// Prints a line of the result.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Fatal> {
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    /// Prints the result as one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Fatal> {
        let text = json::to_string(value).map_err(|e| Fatal::new(Exit::Internal, e))?;
        self.line(&text)
    }

    /// Lets out what is printed so far.
    pub(super) fn flush(&mut self) -> Result<(), Fatal> {
        self.out.flush().map_err(closed)
    }

    /// Says something that is not the result.
    pub(super) fn note(&self, text: &str) {
        say(text);
    }

    /// Says why the process ends; an empty text says nothing.
    pub(super) fn complain(&self, text: &str) {
        match text.strip_prefix("docent: ") {
            _ if text.is_empty() => {}
            _ if telemetry::stderr_is_journal() => say(&as_errors(text)),
            Some(rest) => say(&format!("{} {rest}", self.err.wrong("docent:"))),
            None => say(text),
        }
    }
}

/// Lines that the journal takes for errors: without the number it would call them mere information.
fn as_errors(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("<3>{line}")).collect();
    lines.join("\n")
}

fn say(text: &str) {
    // There is nowhere to tell that stderr is closed.
    writeln!(io::stderr(), "{text}").ok();
}

/// Replaces the line of progress on stderr; an empty text removes it.
pub(super) fn rewrite_line(text: &str) {
    let mut err = io::stderr();
    // As above; progress that nobody sees changes nothing.
    write!(err, "\r\x1b[2K{text}")
        .and_then(|()| err.flush())
        .ok();
}

/// A reader that has gone away, as `head` does, has all it wanted: a quiet end.
fn closed(error: io::Error) -> Fatal {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Fatal::silent(Exit::Clean);
    }
    #[derive(Debug, thiserror::Error)]
    #[error("cannot write to stdout")]
    struct Unwritable(#[source] io::Error);
    Fatal::new(Exit::Internal, Unwritable(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(io::ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn to(kind: io::ErrorKind) -> Fatal {
        let mut output = Output::new(Color::Never);
        output.out = Box::new(Gone(kind));
        output.line("x").unwrap_err()
    }

    #[test]
    fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
        let gone = to(io::ErrorKind::BrokenPipe);
        assert_eq!((gone.exit(), gone.report().as_str()), (Exit::Clean, ""));
        let full = to(io::ErrorKind::StorageFull);
        assert_eq!(full.exit(), Exit::Internal);
        assert!(
            full.report()
                .starts_with("docent: cannot write to stdout: "),
            "{}",
            full.report()
        );
    }

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        let colored =
            |color: Color, terminal, no_color| color.style(terminal, no_color).bold("x") != "x";
        assert!(colored(Color::Auto, true, false));
        assert!(!colored(Color::Auto, false, false));
        assert!(!colored(Color::Auto, true, true));
        assert!(colored(Color::Always, false, true));
        assert!(!colored(Color::Never, true, false));
    }
}
