//! `docent health`

use clap::Args;

use super::context::Context;
use super::table::{Cell, Table, text as texts, word};
use super::text::{Style, clock, counted};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{HealthIssue, HealthList, Severity};

/// The flags of `health`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Include closed issues
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let target = Target::new("/health").with("all", arguments.all.then_some("true"));
    let list: HealthList = context.get(&target)?;
    let text = |style| match list.issues.is_empty() {
        true => format!("no issues at {}\n", clock(&list.judged_at)),
        false => render(&list.issues, style),
    };
    context.out.answer(arguments.json, &list, text)?;
    Ok(Exit::Clean)
}

/// One issue a row: what and since when; what was found and what would be right; what was tried.
fn render(issues: &[HealthIssue], style: Style) -> String {
    let mut table = Table::new(&[
        word("SEVERITY"),
        texts("ABOUT"),
        word("SINCE"),
        texts("WHAT IS WRONG"),
    ]);
    for issue in issues {
        let (severity, paint): (_, fn(Style, &str) -> String) =
            match (&issue.closed_at, issue.severity.known()) {
                (Some(_), _) => ("over".to_owned(), Style::good),
                (None, Some(Severity::Error)) => (issue.severity.to_string(), Style::wrong),
                (None, _) => (issue.severity.to_string(), Style::doubtful),
            };
        // The key of an issue begins with its detector, which stands before it.
        let key = issue.subject.split_once(':');
        let about = key.map_or(issue.subject.as_str(), |(_, about)| about);
        let about = format!("{} {about}", issue.detector);
        table.row(vec![
            Cell::painted(severity, paint),
            Cell::painted(about, Style::place),
            clock(&issue.opened_at).into(),
            told(issue).into(),
        ]);
    }
    table.render(style)
}

fn told(issue: &HealthIssue) -> String {
    let mut text = format!("{}; expected: {}", issue.value, issue.limit);
    if let Some(at) = &issue.closed_at {
        text.push_str(&format!("; closed at {}", clock(at)));
    }
    if let Some(fix) = &issue.fix {
        let result = issue.fix_result.as_deref().unwrap_or("under way");
        let tried = counted(u64::from(issue.fix_attempts), "attempt", "attempts");
        text.push_str(&format!("; fix {fix}, {tried}: {result}"));
    }
    if let Some(remedy) = &issue.remedy {
        text.push_str(&format!("; to do: {remedy}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::Detector;

    #[test]
    fn an_issue_tells_what_is_wrong_and_what_was_tried() {
        let mut issue = HealthIssue {
            subject: "agent_parked:agent/rag@host".to_owned(),
            severity: Severity::Error.into(),
            detector: Detector::AgentParked.into(),
            value: "parked: it panicked".to_owned(),
            limit: "running".to_owned(),
            opened_at: "2026-01-31T12:00:00Z".to_owned(),
            closed_at: None,
            fix: Some("restart".to_owned()),
            fix_attempts: 2,
            fix_result: None,
            remedy: Some("mend it".to_owned()),
        };
        let text = render(&[issue.clone()], Style::new(false));
        assert!(text.starts_with("SEVERITY  ABOUT "), "{text}");
        assert!(
            text.contains("\nerror     agent_parked agent/rag@host  "),
            "{text}"
        );
        assert!(
            text.ends_with(
                "  parked: it panicked; expected: running; fix restart, 2 attempts: under way; to do: mend it\n"
            ),
            "{text}"
        );
        issue.closed_at = Some("2026-01-31T12:05:00Z".to_owned());
        assert!(render(&[issue], Style::new(false)).contains("\nover "));
    }
}
