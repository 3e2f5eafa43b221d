//! The state in one sentence, and what to do.

use super::super::wire::{AgentState, Condition, IssueOverview, Status, Summary};
use crate::amounts::counted;

/// How it stands, by its status and the open issues, the errors first.
pub(super) fn summary(status: &Status, issues: &[IssueOverview]) -> Summary {
    match status.state {
        Condition::Starting => Summary {
            text: starting(status),
            remedy: None,
        },
        Condition::Draining => Summary {
            text: format!(
                "docent is stopping: {} under way are finished first; all other work stays owed",
                counted(status.bus.in_flight, "delivery", "deliveries")
            ),
            remedy: None,
        },
        Condition::Degraded => degraded(status),
        Condition::Running => running(status, issues),
    }
}

fn starting(status: &Status) -> String {
    let not_yet = status
        .agents
        .iter()
        .filter(|(_, agent)| matches!(agent.state.known(), Some(AgentState::Starting)));
    let names: Vec<&str> = not_yet.map(|(name, _)| name.as_str()).collect();
    match names.is_empty() {
        true => "docent is starting: the index is being opened".to_owned(),
        false => format!("docent is starting: {} have yet to start", names.join(", ")),
    }
}

fn degraded(status: &Status) -> Summary {
    let Some(first) = status.wrong.first() else {
        return Summary {
            text: "docent is degraded".to_owned(),
            remedy: None,
        };
    };
    let more = match status.wrong.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Summary {
        text: format!("docent is degraded: {}{more}", first.what),
        remedy: Some(first.remedy.clone()),
    }
}

fn running(status: &Status, issues: &[IssueOverview]) -> Summary {
    let way = match status.freshness.pending {
        0 => format!(
            "{} searchable, nothing is pending",
            counted(status.documents, "document is", "documents are")
        ),
        pending => format!(
            "{} on the way to search",
            counted(pending, "change is", "changes are")
        ),
    };
    let Some(first) = issues.first() else {
        return Summary {
            text: format!("docent is well: {way}"),
            remedy: None,
        };
    };
    Summary {
        text: format!(
            "docent works: {way}; {}: {}",
            counted(issues.len() as u64, "warning", "warnings"),
            first.what
        ),
        remedy: Some(first.remedy.clone()),
    }
}
