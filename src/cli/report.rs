//! `docent report`

use clap::Args;

use super::context::Context;
use super::table::{Table, word};
use super::text::{Style, moment};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{ReportAnswer, ReportList};

/// The flags of `report`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The period: day, week, or FROM..TO with dates or times in UTC, such as 2026-11-01..2026-11-08
    #[arg(long, value_name = "PERIOD", default_value = "week", conflicts_with_all = ["list", "show"])]
    period: String,
    /// List the stored reports
    #[arg(long, conflicts_with = "show")]
    list: bool,
    /// Print a stored report
    #[arg(long, value_name = "NAME")]
    show: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints a report in Markdown, or which ones there are.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    if arguments.list {
        let list: ReportList = context.get(&Target::new("/reports"))?;
        let text = |style| render(&list, style);
        context.out.answer(arguments.json, &list, text)?;
        return Ok(Exit::Clean);
    }
    let target = match &arguments.show {
        Some(name) => Target::new("/reports").segment(name),
        None => Target::new("/report").with("period", Some(&arguments.period)),
    };
    let answer: ReportAnswer = context.get_slowly(&target)?;
    let text = |_| answer.markdown;
    context.out.answer(arguments.json, &answer.report, text)?;
    Ok(Exit::Clean)
}

fn render(list: &ReportList, style: Style) -> String {
    if list.reports.is_empty() {
        return "no reports yet\n".to_owned();
    }
    let mut table = Table::new(&[word("REPORT"), word("WRITTEN AT")]);
    for report in &list.reports {
        table.row(vec![report.name.as_str().into(), moment(&report.at).into()]);
    }
    table.render(style)
}
