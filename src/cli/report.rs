//! `docent report`

use clap::Args;

use super::context::{Context, block_on};
use super::table::{Table, word};
use super::text::moment;
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
    let client = context.client()?;
    if arguments.list {
        let list: ReportList = block_on(async { Ok(client.get(&Target::new("/reports")).await?) })?;
        return print_list(context, arguments.json, &list);
    }
    let target = match &arguments.show {
        Some(name) => Target::new("/reports").segment(name),
        None => Target::new("/report").with("period", Some(&arguments.period)),
    };
    let answer: ReportAnswer = block_on(async { Ok(client.get_slowly(&target).await?) })?;
    match arguments.json {
        true => context.out.json(&answer.report)?,
        false => context.out.text(&answer.markdown)?,
    }
    Ok(Exit::Clean)
}

fn print_list(context: &mut Context, json: bool, list: &ReportList) -> Result<Exit, Fatal> {
    if json {
        context.out.json(list)?;
    } else if list.reports.is_empty() {
        context.out.line("no reports yet")?;
    } else {
        let mut table = Table::new(&[word("REPORT"), word("WRITTEN AT")]);
        for report in &list.reports {
            table.row(vec![report.name.as_str().into(), moment(&report.at).into()]);
        }
        let text = table.render(context.out.style);
        context.out.text(&text)?;
    }
    Ok(Exit::Clean)
}
