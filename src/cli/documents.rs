//! `docent documents`

use clap::Args;

use super::context::{Context, block_on};
use super::table::{Cell, Table, numeric, text as texts, word};
use super::text::{Style, one_line};
use crate::error::{Exit, Fatal};
use crate::http::wire::{DocumentView, ListedState};
use crate::http::{ClientError, LineStream, Target};

/// The flags of `documents`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only files of this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Only files in this state: stored, rejected, unsupported, unreadable, withheld or captured
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the list while it comes.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let target = Target::new("/documents")
        .with("collection", arguments.collection.as_deref())
        .with("state", arguments.state.as_deref());
    block_on(async {
        let lines = client.lines(&target).await?;
        if arguments.json {
            return print_object(context, lines).await;
        }
        print_table(context, lines).await
    })
}

/// One object around the lines, which are objects already.
async fn print_object(context: &mut Context, mut lines: LineStream) -> Result<Exit, Fatal> {
    context.out.write(b"{\"documents\":[")?;
    let mut separator: &[u8] = b"";
    while let Some(line) = lines.next().await? {
        context.out.write(separator)?;
        context.out.write(&line)?;
        separator = b",";
    }
    context.out.write(b"]}\n")?;
    Ok(Exit::Clean)
}

async fn print_table(context: &mut Context, mut lines: LineStream) -> Result<Exit, Fatal> {
    let mut table = Table::new(&[
        word("STATE"),
        numeric("VERSION"),
        texts("DOCUMENT"),
        texts("TITLE OR REASON"),
    ]);
    let mut none = true;
    while let Some(line) = lines.next().await? {
        none = false;
        let document: DocumentView =
            serde_json::from_slice(&line).map_err(|e| ClientError::Unexpected(e.to_string()))?;
        table.row(cells(&document));
        table.print_batch(&mut context.out)?;
    }
    table.print(&mut context.out)?;
    if none {
        context.out.note("no documents");
    }
    Ok(Exit::Clean)
}

fn cells(document: &DocumentView) -> Vec<Cell> {
    let paint: fn(Style, &str) -> String = match document.state.known() {
        Some(ListedState::Stored) => Style::good,
        Some(ListedState::Rejected | ListedState::Unreadable) => Style::wrong,
        Some(ListedState::Captured) => Style::doubtful,
        Some(ListedState::Unsupported | ListedState::Withheld) | None => Style::dim,
    };
    let version = match document.version {
        0 => "-".to_owned(),
        version => version.to_string(),
    };
    let place = format!("{}/{}", document.collection, document.path);
    let remark = document.reason.as_deref().or(document.title.as_deref());
    vec![
        Cell::painted(document.state.to_string(), paint),
        version.into(),
        Cell::painted(place, Style::place),
        Cell::painted(one_line(remark.unwrap_or_default(), 300), Style::dim),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_line_with_its_title_or_the_reason() {
        let mut document = DocumentView {
            collection: "docs".to_owned(),
            path: "a.md".to_owned(),
            version: 3,
            digest: None,
            state: ListedState::Stored.into(),
            reason: None,
            title: Some("A title".to_owned()),
        };
        let mut table = Table::new(&[word("S"), numeric("V"), texts("D"), texts("T")]);
        table.row(cells(&document));
        document.state = ListedState::Unsupported.into();
        document.version = 0;
        document.path = "a\nb\x1b.md".to_owned();
        document.reason = Some("not a type\nthat is read".to_owned());
        table.row(cells(&document));
        let text = table.render(Style::new(false));
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "stored       3  docs/a.md         A title",
                "unsupported  -  docs/a\\nb\\x1B.md  not a type…"
            ]
        );
    }
}
