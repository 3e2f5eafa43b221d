//! Where the command line prints.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use console::Term;
use serde::Serialize;

use super::text::{Style, width, wrap};
use crate::error::{Exit, Fatal};
use crate::json;
use crate::telemetry;
use crate::visible::visible;

/// When output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// Only on a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// The style of a stream that has colours by itself or not.
    fn style(self, colored: bool) -> Style {
        Style::new(match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => colored,
        })
    }
}

/// Columns below which nothing is broken: whoever has fewer reads what the terminal makes of it.
const NARROWEST: usize = 20;

/// How wide lines may be: as `COLUMNS` says, else as the terminal says; none for what is no terminal.
fn columns(terminal: &Term, variable: Option<&str>) -> Option<usize> {
    let said = variable.and_then(|text| text.trim().parse().ok());
    let found = said.or_else(|| {
        let size = terminal.size_checked();
        size.map(|(_, columns)| usize::from(columns))
    });
    found.filter(|columns| *columns >= NARROWEST)
}

/// The one way to stdout and stderr. What is for people goes through [`fitted`], what is for programs through `write`.
pub(super) struct Output {
    out: Box<dyn Write>,
    /// How stdout is styled, and how wide it is.
    pub(super) style: Style,
    err: Style,
    /// Whether progress is shown: stderr is a terminal.
    pub(super) progress: bool,
}

impl Output {
    /// The process's own.
    pub(super) fn new(color: Color) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let variable = std::env::var("COLUMNS").ok();
        let style = color.style(telemetry::is_colored(&out));
        let progress = err.is_terminal();
        Output {
            style: style.within(columns(&Term::stdout(), variable.as_deref())),
            err: color
                .style(telemetry::is_colored(&err))
                .within(columns(&Term::stderr(), None)),
            out: Box::new(BufWriter::new(out)),
            progress,
        }
    }

    /// Prints a part of the result for programs, as it is.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        self.out.write_all(bytes).map_err(closed)
    }

    /// Prints lines of the result for people.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Fatal> {
        let text = fitted(text, self.style.width);
        self.write(text.as_bytes())
    }

    /// Prints a line of the result for people.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Fatal> {
        self.text(text)?;
        self.write(b"\n")
    }

    /// Prints the result as one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Fatal> {
        let text = json::to_string(value).map_err(|e| Fatal::new(Exit::Internal, e))?;
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    /// Prints the result: in JSON, or what people read of it.
    pub(super) fn answer(
        &mut self,
        json: bool,
        value: &impl Serialize,
        text: impl FnOnce(Style) -> String,
    ) -> Result<(), Fatal> {
        if json {
            return self.json(value);
        }
        let text = text(self.style);
        self.text(&text)
    }

    /// Lets out what is printed so far.
    pub(super) fn flush(&mut self) -> Result<(), Fatal> {
        self.out.flush().map_err(closed)
    }

    /// Says something that is not the result.
    pub(super) fn note(&self, text: &str) {
        say(&fitted(text, self.err.width));
    }

    /// Says why the process ends; an empty text says nothing.
    pub(super) fn complain(&self, text: &str) {
        let fit = |text: &str| fitted(text, self.err.width);
        match text.strip_prefix("docent: ") {
            _ if text.is_empty() => {}
            _ if telemetry::stderr_is_journal() => say(&as_errors(&fitted(text, None))),
            Some(rest) => say(&fit(&format!("{} {rest}", self.err.wrong("docent:")))),
            None => say(&fit(text)),
        }
    }
}

/// Text for people, as it may go out: nothing in it commands but our own colours, and lines that are wider than the terminal
/// break at the ends of words. The rest of a line stands below the beginning of its text: behind a name and its gap, where
/// the line has one, else two columns further in.
fn fitted(text: &str, columns: Option<usize>) -> String {
    let lines = text.split('\n').map(|line| {
        let line = guarded(line);
        match columns {
            Some(columns) if shown_width(&line) > columns => broken(&line, columns),
            _ => line,
        }
    });
    let lines: Vec<String> = lines.collect();
    lines.join("\n")
}

/// The length of the colour that `text` begins with: `ESC [ digits and ; m`.
fn color_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    rest[end..].starts_with('m').then_some(end + 3)
}

/// The parts of a line: colours (true) and what is between them.
fn parts(line: &str) -> Vec<(bool, &str)> {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some(at) = rest
        .match_indices('\x1b')
        .find_map(|(at, _)| color_length(&rest[at..]).map(|length| (at, length)))
    {
        let (before, after) = rest.split_at(at.0);
        parts.push((false, before));
        parts.push((true, &after[..at.1]));
        rest = &after[at.1..];
    }
    parts.push((false, rest));
    parts
}

fn guarded(line: &str) -> String {
    let show = |(color, part)| {
        if color {
            Cow::Borrowed(part)
        } else {
            visible(part)
        }
    };
    parts(line).into_iter().map(show).collect()
}

fn shown_width(line: &str) -> usize {
    let texts = parts(line).into_iter().filter(|(color, _)| !color);
    texts.map(|(_, text)| width(text)).sum()
}

fn broken(line: &str, columns: usize) -> String {
    let indent = " ".repeat(hang(line, columns));
    let (mut text, mut used) = (String::new(), 0);
    for word in line.split_inclusive(' ') {
        let wide = shown_width(word.trim_end());
        if used > indent.len() && used + wide > columns && wide > 0 {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            text.push_str(&indent);
            used = indent.len();
        }
        text.push_str(word);
        used += shown_width(word);
    }
    text
}

/// Where the rest of a line stands: behind the first gap of two spaces or more, if it is not far in.
fn hang(line: &str, columns: usize) -> usize {
    let shown: String = parts(line)
        .into_iter()
        .filter_map(|(color, text)| (!color).then_some(text))
        .collect();
    let lead = shown.len() - shown.trim_start_matches(' ').len();
    let gap = shown[lead..].find("  ").map(|at| {
        let name = &shown[lead..lead + at];
        let rest = &shown[lead + at..];
        lead + width(name) + (rest.len() - rest.trim_start_matches(' ').len())
    });
    gap.filter(|at| *at <= columns / 3)
        .unwrap_or((lead + 2).min(columns / 3))
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
    // One line of the terminal, or what does not fit would stay there for good.
    let columns = columns(&Term::stderr(), None).unwrap_or(80);
    let first = wrap(&visible(text), columns - 1).swap_remove(0);
    // As above; progress that nobody sees changes nothing.
    write!(err, "\r\x1b[2K{first}")
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
        let colored = |color: Color, stream| color.style(stream).bold("x") != "x";
        assert!(colored(Color::Auto, true));
        assert!(!colored(Color::Auto, false));
        assert!(colored(Color::Always, false));
        assert!(!colored(Color::Never, true));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!telemetry::is_colored(&file), "it is no terminal");
    }

    #[test]
    fn a_line_is_as_wide_as_columns_or_the_terminal_says_and_a_pipe_has_no_end() {
        let stream = || {
            std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
        };
        let pipe = Term::read_write_pair(stream().unwrap(), stream().unwrap());
        for (variable, expected) in [
            (None, None),
            (Some("80"), Some(80)),
            (Some("wide"), None),
            (Some("3"), None),
        ] {
            assert_eq!(columns(&pipe, variable), expected, "{variable:?}");
        }
    }

    #[test]
    fn nothing_but_our_colours_gets_out() {
        let red = Style::new(true).wrong("a");
        let line = format!("{red} \x1b[2J\x1b]0;t\x07 \u{202E}\t");
        assert_eq!(
            fitted(&line, None),
            format!("{red} \\x1B[2J\\x1B]0;t\\x07 \\u{{202E}}\\t")
        );
        assert_eq!(fitted("a\nb", None), "a\nb");
    }

    #[test]
    fn a_line_that_is_too_wide_breaks_at_the_ends_of_words_below_its_text() {
        assert_eq!(
            fitted("name    one two three four five six", Some(24)),
            "name    one two three\n        four five six"
        );
        assert_eq!(
            fitted("  ! the agent rag is parked for ever", Some(24)),
            "  ! the agent rag is\n    parked for ever"
        );
        let long = "a/path/that/is/longer/than/the/whole/line";
        assert_eq!(
            fitted(&format!("at {long}"), Some(24)),
            format!("at\n  {long}")
        );
        let colored = Style::new(true);
        let line = format!(
            "{}  {}",
            colored.dim("name"),
            colored.good("one two three four five")
        );
        assert_eq!(
            fitted(&line, Some(24)),
            "\x1b[2mname\x1b[0m  \x1b[32mone two three four\n      five\x1b[0m"
        );
        for columns in [20, 33, 80] {
            let text = fitted(
                "wörter 日本語 and 🦀 🦀 🦀 in a line that is rather long ok",
                Some(columns),
            );
            assert!(text.lines().all(|line| width(line) <= columns), "{text}");
        }
    }
}
