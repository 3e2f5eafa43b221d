//! `docent scan`

use std::time::Duration;

use clap::Args;

use super::context::{Context, block_on};
use super::progress::alongside;
use super::text::{Style, counted, duration, number, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{Absent, ScanAnswer};

/// The flags of `scan`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Report only this collection (all are scanned)
    collection: Option<String>,
    /// Accept a root that is missing (name its collection) or was replaced by another directory
    #[arg(long)]
    accept_removals: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks for a scan and waits until every file that it saw is captured or reported.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let accept = arguments.accept_removals.then_some("true");
    let target = Target::new("/scan")
        .with("collection", arguments.collection.as_deref())
        .with("accept_removals", accept);
    let answer = block_on(async {
        let asked = client.post::<ScanAnswer>(&target);
        Ok(alongside(&context.out, &client, asked).await?)
    })?;
    let text = |style| render(&answer, style);
    context.out.answer(arguments.json, &answer, text)?;
    Ok(Exit::Clean)
}

fn render(answer: &ScanAnswer, style: Style) -> String {
    let mut text = format!(
        "scanned {}, {} read again ({})\n",
        counted(answer.seen, "file", "files"),
        number(answer.changed),
        duration(Duration::from_millis(answer.took_ms).as_secs_f64())
    );
    for collection in &answer.collections {
        let files = counted(collection.files, "file", "files");
        text.push_str(&format!(
            "  {}  {files}\n",
            style.place(&plain(&collection.collection))
        ));
    }
    for absent in &answer.absent {
        let what = format!(
            "{} cannot be reached: {}",
            plain(&absent.collection),
            plain(&absent.cause)
        );
        text.push_str(&format!("  {} {what}\n", style.wrong("!")));
    }
    for unlisted in &answer.unlisted {
        text.push_str(&format!(
            "  {} {}\n",
            style.wrong("!"),
            unlisted_line(unlisted)
        ));
    }
    text
}

/// What of a collection could not be read.
pub(super) fn unlisted_line(unlisted: &Absent) -> String {
    format!(
        "{} has places that cannot be read: {}",
        plain(&unlisted.collection),
        plain(&unlisted.cause)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::ScannedCollection;

    #[test]
    fn a_scan_tells_its_counts_and_what_it_could_not_reach() {
        let answer = ScanAnswer {
            seen: 1234,
            changed: 7,
            collections: vec![ScannedCollection {
                collection: "docs".to_owned(),
                files: 1234,
                began_at: String::new(),
                ended_at: String::new(),
            }],
            absent: vec![Absent {
                collection: "wiki".to_owned(),
                cause: "no such file; its documents are kept".to_owned(),
            }],
            unlisted: vec![Absent {
                collection: "docs".to_owned(),
                cause: "/docs/locked".to_owned(),
            }],
            took_ms: 1500,
        };
        let expected = "scanned 1,234 files, 7 read again (1.5s)\n  docs  1,234 files\n  \
                        ! wiki cannot be reached: no such file; its documents are kept\n  \
                        ! docs has places that cannot be read: /docs/locked\n";
        assert_eq!(render(&answer, Style::new(false)), expected);
    }
}
