//! `docent history`

use clap::Args;

use super::context::Context;
use super::table::{Table, numeric, text as texts, word};
use super::text::{Style, moment, number, one_line, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{DocumentState, History};

/// Digits of a digest that are shown.
const DIGEST: usize = 12;

/// The flags of `history`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The document, as COLLECTION/PATH
    document: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the stored versions, newest first.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let target = Target::new("/documents/history").with("of", Some(&arguments.document));
    let history: History = context.get(&target)?;
    let text = |style| render(&history, style);
    context.out.answer(arguments.json, &history, text)?;
    Ok(Exit::Clean)
}

fn render(history: &History, style: Style) -> String {
    let place = format!("{}/{}", plain(&history.collection), plain(&history.path));
    let mut table = Table::new(&[
        numeric("VERSION"),
        word("STORED AT"),
        numeric("BYTES"),
        word("DIGEST"),
        word("STATE"),
        texts("TITLE OR REASON"),
    ]);
    for version in &history.versions {
        let remark = version
            .reason
            .as_deref()
            .or(version.title.as_deref())
            .unwrap_or_default();
        table.row(vec![
            version.version.to_string().into(),
            moment(&version.at).into(),
            number(version.size).into(),
            version
                .digest
                .chars()
                .take(DIGEST)
                .collect::<String>()
                .into(),
            version.state.to_string().into(),
            one_line(remark, 80).into(),
        ]);
    }
    let removed = if history.state == DocumentState::Removed {
        " (its file is gone)"
    } else {
        ""
    };
    format!("{}{removed}\n{}", style.place(&place), table.render(style))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::Version;

    #[test]
    fn versions_stand_below_each_other() {
        let version = |number, state: DocumentState, reason: Option<&str>| Version {
            version: number,
            at: "2026-01-31T12:00:00Z".to_owned(),
            digest: "0123456789abcdef".repeat(4),
            size: 1234,
            state: state.into(),
            reason: reason.map(str::to_owned),
            title: Some("Guide".to_owned()),
        };
        let history = History {
            document: "id".to_owned(),
            collection: "docs".to_owned(),
            path: "a.md".to_owned(),
            state: DocumentState::Removed.into(),
            versions: vec![
                version(2, DocumentState::Rejected, Some("not UTF-8")),
                version(1, DocumentState::Stored, None),
            ],
        };
        let text = render(&history, Style::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "docs/a.md (its file is gone)");
        assert!(
            lines[2].ends_with("1,234  0123456789ab  rejected  not UTF-8"),
            "{text}"
        );
        assert!(
            lines[3].ends_with("1,234  0123456789ab  stored    Guide"),
            "{text}"
        );
    }
}
