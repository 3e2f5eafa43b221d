//! Text lines for a journal that reads stderr: each begins with its severity in angle brackets, which the journal takes off.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{self, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::lines::priority;

/// A line without time, which the journal knows, and with its severity.
pub(super) struct Prefixed(Format<Full, ()>);

impl Default for Prefixed {
    fn default() -> Self {
        Prefixed(
            format::format()
                .without_time()
                .with_ansi(false)
                .with_target(false)
                .with_level(false),
        )
    }
}

impl<S, N> FormatEvent<S, N> for Prefixed
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(event.metadata()) as u8)?;
        self.0.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::fields::LogFields;
    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Lines;

        fn make_writer(&'a self) -> Lines {
            self.clone()
        }
    }

    #[test]
    fn each_line_begins_with_its_severity() {
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Prefixed::default())
            .fmt_fields(LogFields)
            .with_writer(lines.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!(agent = "rag", "a");
            tracing::warn!("b");
            tracing::info!(name: "docent.ready", "c");
            tracing::info!("d");
            tracing::debug!("e");
            let path = "a\n<3>b\x1b[2J\u{202E}";
            tracing::info!(path, %path, "the file {path}");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let (first, hostile) = text.split_at(text.find("<6>the").unwrap());
        assert_eq!(first, "<3>a agent=\"rag\"\n<4>b\n<5>c\n<6>d\n<7>e\n");
        let shown = "a\\n<3>b\\x1B[2J\\u{202E}";
        assert_eq!(hostile.lines().count(), 1, "{hostile}");
        assert!(
            hostile.starts_with(&format!("<6>the file {shown} path=\"a\\n<3>b")),
            "{hostile}"
        );
        assert!(hostile.ends_with(&format!(" path={shown}\n")), "{hostile}");
    }
}
