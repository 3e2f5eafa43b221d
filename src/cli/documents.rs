//! `docent documents`

use clap::Args;

use super::context::{Context, block_on};
use super::text::{Style, one_line, plain};
use crate::error::{Exit, Fatal};
use crate::http::wire::Document;
use crate::http::{ClientError, LineStream, Target};

/// The flags of `documents`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only of this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Only in this state: stored, rejected, unsupported, unreadable, captured
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
    context.out.line("]}")?;
    Ok(Exit::Clean)
}

async fn print_table(context: &mut Context, mut lines: LineStream) -> Result<Exit, Fatal> {
    let style = context.out.style;
    let mut none = true;
    while let Some(line) = lines.next().await? {
        if std::mem::take(&mut none) {
            let headings = format!("{:11}  {:>7}  {}", "STATE", "VERSION", "DOCUMENT");
            context.out.line(&style.dim(&headings))?;
        }
        let document: Document =
            serde_json::from_slice(&line).map_err(|e| ClientError::Unexpected(e.to_string()))?;
        context.out.line(&render(&document, style))?;
    }
    if none {
        context.out.note("no documents");
    }
    Ok(Exit::Clean)
}

/// State, version and place in columns of fixed width, for the list is longer than memory; then title or reason.
fn render(document: &Document, style: Style) -> String {
    let state = format!("{:11}", plain(&document.state));
    let state = match document.state.as_str() {
        "stored" => style.good(&state),
        "rejected" | "unreadable" => style.wrong(&state),
        "captured" => style.doubtful(&state),
        _ => style.dim(&state),
    };
    let version = if document.version == 0 {
        "-".to_owned()
    } else {
        document.version.to_string()
    };
    let place = style.place(&format!(
        "{}/{}",
        plain(&document.collection),
        plain(&document.path)
    ));
    let remark = document
        .reason
        .as_deref()
        .or(document.title.as_deref())
        .unwrap_or_default();
    let line = format!(
        "{state}  {version:>7}  {place}  {}",
        style.dim(&one_line(remark, 100))
    );
    if remark.is_empty() {
        line.trim_end().to_owned()
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_line_with_its_title_or_the_reason() {
        let mut document = Document {
            collection: "docs".to_owned(),
            path: "a.md".to_owned(),
            version: 3,
            digest: None,
            state: "stored".to_owned(),
            reason: None,
            title: Some("A title".to_owned()),
        };
        let style = Style::new(false);
        assert_eq!(
            render(&document, style),
            "stored             3  docs/a.md  A title"
        );
        document.state = "unsupported".to_owned();
        document.version = 0;
        document.reason = Some("not a type\nthat is read".to_owned());
        assert_eq!(
            render(&document, style),
            "unsupported        -  docs/a.md  not a type…"
        );
    }
}
