//! Logs: one line an event, for people, as JSON, or natively in the journal of systemd. Fields, not sentences with values in
//! them; the names are `agent`, `event`, `subject`, `collection`, `path`, `error`, `why`. A line that an operator matches has a
//! name (`telemetry/lines.rs`); a fault that repeats writes a bounded number of lines (`telemetry/limit.rs`).

mod fields;
mod journal;
mod limit;
mod lines;
mod prefixed;

use std::io::{IsTerminal, Write, stderr};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use thiserror::Error;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use journal::stderr_is_journal;

use crate::config::{Log, LogFormat, LogLevel};
use crate::json;
use fields::LogFields;
use journal::Journal;
use limit::RepeatLimit;
use prefixed::Prefixed;

/// Libraries that log every attempt of something that docent repeats, and says itself.
const CHATTY: [&str; 2] = ["fred", "rustls"];

/// Libraries that warn of what docent copes with: a watched directory that is gone, a segment that was merged meanwhile.
const ANXIOUS: [&str; 2] = ["notify", "tantivy"];

/// Whether a stream has colours unless somebody says otherwise: on a terminal that knows them, without `NO_COLOR`. `CLICOLOR`
/// and `CLICOLOR_FORCE` are heeded too.
pub(crate) fn is_colored(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Logging was set up before in this process.
#[derive(Debug, Error)]
#[error("logging is set up already")]
pub(crate) struct AlreadySet;

/// Sets logging up for this process. A panic becomes a log line too.
///
/// # Errors
/// It was set up before.
pub(crate) fn init(log: &Log) -> Result<(), AlreadySet> {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let (output, journal_failed) = output(log.format);
    tracing_subscriber::registry()
        .with(targets(level))
        .with(RepeatLimit::default())
        .with(output)
        .try_init()
        .map_err(|_| AlreadySet)?;
    if let Some(error) = journal_failed {
        tracing::warn!(%error, "the journal's own socket does not answer; lines go to stderr, without fields");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let said = panic
            .payload_as_str()
            .unwrap_or("a panic without a message");
        let thread = std::thread::current();
        tracing::error!(
            place,
            thread = thread.name().unwrap_or("unnamed"),
            "panicked: {said}"
        );
    }));
    Ok(())
}

/// Who may say what.
fn targets(level: Level) -> Targets {
    // What libraries say below a warning is theirs to read.
    let mut targets = Targets::new()
        .with_target("docent", level)
        .with_default(Level::WARN.min(level));
    if level < Level::DEBUG {
        targets = targets
            .with_targets(CHATTY.map(|name| (name, LevelFilter::OFF)))
            .with_targets(ANXIOUS.map(|name| (name, LevelFilter::ERROR)));
    }
    targets
}

/// Where lines go, and why not to the journal though they should.
fn output<S>(format: LogFormat) -> (Box<dyn Layer<S> + Send + Sync>, Option<std::io::Error>)
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let terminal = stderr().is_terminal();
    let text = || {
        fmt::layer()
            .with_ansi(is_colored(&stderr()))
            .with_target(false)
            .fmt_fields(LogFields)
            .with_writer(stderr)
    };
    let json = || {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(|| Escaped(stderr()))
    };
    let journal = match format {
        LogFormat::Text => return (text().boxed(), None),
        LogFormat::Json => return (json().boxed(), None),
        LogFormat::Journald => Journal::open(),
        LogFormat::Auto if stderr_is_journal() => Journal::open(),
        LogFormat::Auto if terminal => return (text().boxed(), None),
        LogFormat::Auto => return (json().boxed(), None),
    };
    match journal {
        Ok(journal) => (journal.boxed(), None),
        Err(error) => {
            let prefixed = fmt::layer()
                .event_format(Prefixed::default())
                .fmt_fields(LogFields)
                .with_writer(stderr);
            (prefixed.boxed(), Some(error))
        }
    }
}

/// Takes whole lines of JSON, and lets nothing hidden through.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(json::escaped(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_hides_nothing() {
        let mut escaped = Escaped(Vec::new());
        escaped
            .write_all("{\"a\":\"\u{9b}2J\"}\n".as_bytes())
            .unwrap();
        assert_eq!(escaped.0, b"{\"a\":\"\\u009b2J\"}\n");
    }

    #[test]
    fn a_library_that_says_every_attempt_is_heard_by_whoever_looks_for_faults_alone() {
        let heard = |level| targets(level).would_enable("fred::router", &Level::WARN);
        assert!(!heard(Level::INFO));
        assert!(heard(Level::DEBUG));
        let of_index = |level, said| targets(level).would_enable("tantivy::indexer", said);
        assert!(!of_index(Level::INFO, &Level::WARN));
        assert!(of_index(Level::INFO, &Level::ERROR));
        assert!(of_index(Level::DEBUG, &Level::WARN));
        assert!(targets(Level::INFO).would_enable("docent::runtime", &Level::INFO));
    }
}
