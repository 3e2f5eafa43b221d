//! The journal of systemd, spoken natively: each line with its fields, its severity and, where it has one, its id.

use std::collections::HashMap;
use std::io;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::lines::LINES;

/// What lines are found by: `journalctl -t docent`.
const IDENTIFIER: &str = "docent";

/// What the names of our fields begin with: `agent` is `DOCENT_AGENT`.
const PREFIX: &str = "DOCENT";

/// Whether stderr is the stream that the service manager opened to the journal, as `$JOURNAL_STREAM` says: the variable is
/// inherited, so alone it proves nothing.
pub(crate) fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stat = rustix::fs::fstat(std::io::stderr());
    stat.is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// A layer that writes to the journal.
pub(super) struct Journal {
    plain: tracing_journald::Layer,
    /// By the name of the line: what carries its id and its severity.
    named: HashMap<&'static str, tracing_journald::Layer>,
}

impl Journal {
    /// The journal of this machine.
    ///
    /// # Errors
    /// Its socket is not there.
    pub(super) fn open() -> io::Result<Self> {
        let named = |line: &super::lines::NamedLine| {
            let layer = layer(Priority::Notice)?.with_custom_fields([("MESSAGE_ID", line.id)]);
            Ok((line.name, layer))
        };
        Ok(Journal {
            plain: layer(Priority::Informational)?,
            named: LINES.iter().map(named).collect::<io::Result<_>>()?,
        })
    }
}

fn layer(info: Priority) -> io::Result<tracing_journald::Layer> {
    let mappings = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    Ok(tracing_journald::layer()?
        .with_syslog_identifier(IDENTIFIER.to_owned())
        .with_field_prefix(Some(PREFIX.to_owned()))
        .with_priority_mappings(mappings))
}

impl<S> Layer<S> for Journal
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.plain.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.plain.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let named = self.named.get(event.metadata().name());
        named.unwrap_or(&self.plain).on_event(event, context);
    }
}
