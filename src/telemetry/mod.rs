//! Logs: one line an event on stderr, for people or as JSON. Fields, not sentences with values in them; the names are `agent`,
//! `event`, `subject`, `collection`, `path`, `error`, `why`.

use std::io::IsTerminal;

use thiserror::Error;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat, LogLevel};

/// Logging was set up before in this process.
#[derive(Debug, Error)]
#[error("logging is set up already")]
pub struct AlreadySet;

/// Sets logging up for this process. A panic becomes a log line too.
///
/// # Errors
/// It was set up before.
pub fn init(log: &Log) -> Result<(), AlreadySet> {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    // What libraries say below a warning is theirs to read.
    let targets = Targets::new()
        .with_target("docent", level)
        .with_default(Level::WARN.min(level));
    let registry = tracing_subscriber::registry().with(targets);
    let terminal = std::io::stderr().is_terminal();
    let done = match log.format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Auto | LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_ansi(terminal)
                    .with_target(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    done.map_err(|_| AlreadySet)?;
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
