//! `docent health`

use clap::Args;

use super::context::{Context, block_on};
use super::text::{Style, counted, moment, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{HealthIssue, HealthList};

/// The flags of `health`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also issues that are over
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the issues.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let target = Target::new("/health").with("all", arguments.all.then_some("true"));
    let list: HealthList = block_on(async { Ok(client.get(&target).await?) })?;
    if arguments.json {
        context.out.json(&list)?;
    } else if list.issues.is_empty() {
        context.out.line("no issues")?;
    } else {
        for issue in &list.issues {
            let text = render(issue, context.out.style);
            context.out.write(text.as_bytes())?;
        }
    }
    Ok(Exit::Clean)
}

/// What and since when; what was found and what would be right; what was tried.
fn render(issue: &HealthIssue, style: Style) -> String {
    let severity = match (&issue.closed_at, issue.severity.as_str()) {
        (Some(_), _) => style.good("over"),
        (None, "error") => style.wrong("error"),
        (None, other) => style.doubtful(&plain(other)),
    };
    let until = issue
        .closed_at
        .as_deref()
        .map_or_else(String::new, |at| format!(" until {}", moment(at)));
    // The key of an issue begins with its detector, which stands behind it.
    let key = issue.subject.strip_prefix(&issue.detector);
    let about = key.and_then(|rest| rest.strip_prefix(':'));
    let mut text = format!(
        "{severity}  {}  {} since {}{until}\n    {}; it should be {}\n",
        style.place(&plain(about.unwrap_or(&issue.subject))),
        plain(&issue.detector),
        moment(&issue.opened_at),
        plain(&issue.value),
        plain(&issue.limit)
    );
    if let Some(fix) = &issue.fix {
        let result = issue
            .fix_result
            .as_deref()
            .map_or_else(|| "under way".to_owned(), plain);
        let tried = counted(u64::from(issue.fix_attempts), "attempt", "attempts");
        text.push_str(&format!("    {}, {tried}: {result}\n", plain(fix)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_tells_what_is_wrong_and_what_was_tried() {
        let mut issue = HealthIssue {
            subject: "agents:agent/rag@host".to_owned(),
            severity: "error".to_owned(),
            detector: "agents".to_owned(),
            value: "parked: it panicked".to_owned(),
            limit: "running".to_owned(),
            opened_at: "2026-01-31T12:00:00Z".to_owned(),
            closed_at: None,
            fix: Some("restart".to_owned()),
            fix_attempts: 2,
            fix_result: None,
        };
        let text = render(&issue, Style::new(false));
        assert!(
            text.starts_with("error  agent/rag@host  agents since 2026-01-31 "),
            "{text}"
        );
        assert!(text.ends_with("\n    parked: it panicked; it should be running\n    restart, 2 attempts: under way\n"), "{text}");
        issue.closed_at = Some("2026-01-31T12:05:00Z".to_owned());
        assert!(render(&issue, Style::new(false)).starts_with("over  "));
    }
}
